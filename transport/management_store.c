// SPDX-License-Identifier: Apache-2.0
//
// One VM's store as the host sees it. The service can add what does not exist and modify what
// does, in calls that may be carried out in part; so what exists is remembered. Where that proves
// wrong, one read settles what happened, and what is left is tried once more.
#include "kvpbus/management.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "changes.h"
#include "management_verdict.h"

struct management_store {
    struct kvpbus_store head;
    struct kvpbus_management *management;
    uint8_t guid[KVPBUS_GUID_BYTES];

    // Of the fields below. Only a write or a read while no write runs changes `known`.
    pthread_mutex_t lock;
    struct kvpbus_scan known; // the own items when last seen, and what was written since
    bool known_valid;
    bool write_running;
    uint64_t writes; // begun so far
};

// The changes of one write. A change is open until its result is final.
struct batch {
    struct management_store *store;
    const struct kvpbus_change *changes;
    size_t count;
    enum kvpbus_error *results;
    bool open[KVPBUS_CHANGES_MAX];
    bool again[KVPBUS_CHANGES_MAX];     // its call collided
    bool uncertain[KVPBUS_CHANGES_MAX]; // its call may have been carried out in part
    bool added[KVPBUS_CHANGES_MAX];     // Add has been tried
    enum kvpbus_error stop;             // why no further call is made; KVPBUS_OK: go on
    bool lost;                          // a call may still be running
    struct kvpbus_failure *failure;
};

static struct management_store *from_head(struct kvpbus_store *store)
{
    return (struct management_store *)store;
}

static struct kvpbus_item *find(const struct kvpbus_scan *scan, const char *key)
{
    for (size_t i = 0; i < scan->count; i++) {
        if (strcmp(scan->items[i].key, key) == 0)
            return &scan->items[i];
    }
    return NULL;
}

static enum kvpbus_error read_host(struct management_store *store, struct kvpbus_scan *scan,
                                   struct kvpbus_failure *failure)
{
    kvpbus_scan_clear(scan);
    enum kvpbus_error error = store->management->ops->read_host(
        store->management, store->head.prefix, store->guid, scan, failure);
    if (error != KVPBUS_OK)
        kvpbus_scan_clear(scan);
    return error;
}

// With the lock held.
static void learn(struct management_store *store, const struct kvpbus_scan *scan)
{
    kvpbus_scan_clear(&store->known);
    store->known_valid = true;
    for (size_t i = 0; i < scan->count && store->known_valid; i++) {
        const struct kvpbus_item *item = &scan->items[i];
        store->known_valid =
            kvpbus_scan_add(&store->known, store->head.prefix, item->key, strlen(item->key),
                            item->value, strlen(item->value)) == KVPBUS_OK;
    }
    store->known.skipped = scan->skipped;
}

static enum kvpbus_error read_own(struct kvpbus_store *head, struct kvpbus_scan *scan,
                                  struct kvpbus_failure *failure)
{
    struct management_store *store = from_head(head);
    pthread_mutex_lock(&store->lock);
    uint64_t writes = store->writes;
    bool beside_write = store->write_running;
    pthread_mutex_unlock(&store->lock);

    enum kvpbus_error error = read_host(store, scan, failure);
    if (error != KVPBUS_OK)
        return error;
    // A read beside a write may show what was before it.
    pthread_mutex_lock(&store->lock);
    if (!beside_write && store->writes == writes)
        learn(store, scan);
    pthread_mutex_unlock(&store->lock);
    return KVPBUS_OK;
}

static enum kvpbus_error read_peer(struct kvpbus_store *head, struct kvpbus_scan *scan,
                                   struct kvpbus_failure *failure)
{
    struct management_store *store = from_head(head);
    enum kvpbus_error result = KVPBUS_OK;
    uint8_t guids[1][KVPBUS_GUID_BYTES];
    memcpy(guids[0], store->guid, KVPBUS_GUID_BYTES);
    kvpbus_scan_clear(scan);
    enum kvpbus_error error = store->management->ops->read_guest(
        store->management, head->prefix, (const uint8_t(*)[KVPBUS_GUID_BYTES])guids, 1, scan,
        &result, failure);
    if (error == KVPBUS_OK && result != KVPBUS_OK)
        error = kvpbus_fail(failure, result, "reading the guest's items");
    if (error != KVPBUS_OK)
        kvpbus_scan_clear(scan);
    return error;
}

static enum kvpbus_error read_back(struct management_store *store, struct kvpbus_failure *failure)
{
    struct kvpbus_scan scan = {0};
    enum kvpbus_error error = read_host(store, &scan, failure);
    pthread_mutex_lock(&store->lock);
    store->known_valid = false;
    if (error == KVPBUS_OK) {
        learn(store, &scan);
        if (!store->known_valid)
            error = kvpbus_fail(failure, KVPBUS_NOMEM, "remembering the host's items");
    }
    pthread_mutex_unlock(&store->lock);
    kvpbus_scan_free(&scan);
    return error;
}

static void remember(struct management_store *store, const struct kvpbus_change *change)
{
    pthread_mutex_lock(&store->lock);
    struct kvpbus_item *item = find(&store->known, change->key);
    size_t before = store->known.count;
    if (change->value == NULL) {
        if (item != NULL)
            *item = store->known.items[--store->known.count];
    } else if (item != NULL) {
        memcpy(item->value, change->value, strlen(change->value) + 1);
    } else if (kvpbus_scan_add(&store->known, store->head.prefix, change->key, strlen(change->key),
                               change->value, strlen(change->value)) != KVPBUS_OK ||
               store->known.count == before) {
        store->known_valid = false;
    }
    pthread_mutex_unlock(&store->lock);
}

// Is the change one for this operation, as far as is known? A scan does not show items whose value
// is over our limits; when there are such, a removal is tried in any case, and a put that could
// not be added is one for Modify.
static bool belongs(const struct batch *batch, size_t index, enum kvpbus_operation operation)
{
    const struct kvpbus_scan *known = &batch->store->known;
    const struct kvpbus_change *change = &batch->changes[index];
    bool exists = find(known, change->key) != NULL;
    if (known->skipped > 0 && (change->value == NULL || batch->added[index]))
        exists = true;
    switch (operation) {
    case KVPBUS_OP_ADD:
        return change->value != NULL && !exists;
    case KVPBUS_OP_MODIFY:
        return change->value != NULL && exists;
    default:
        return change->value == NULL && exists;
    }
}

// The state of the VM may tell more than "invalid state".
static enum kvpbus_error reason_by_state(const struct management_store *store,
                                         enum kvpbus_error reason, struct kvpbus_failure *failure)
{
    struct kvpbus_vm *vms = NULL;
    size_t count = 0;
    const struct kvpbus_vm *vm = NULL;
    if (store->management->ops->list(store->management, &vms, &count, NULL) != KVPBUS_OK)
        return reason;
    for (size_t i = 0; i < count && vm == NULL; i++) {
        if (memcmp(vms[i].guid, store->guid, KVPBUS_GUID_BYTES) == 0)
            vm = &vms[i];
    }
    if (vm == NULL)
        reason = KVPBUS_VM_UNKNOWN;
    else if (!vm->exchange_enabled)
        reason = KVPBUS_EXCHANGE_DISABLED;
    else if (vm->state == KVPBUS_VM_STATE_FAILED)
        reason = KVPBUS_STORE_TOO_MANY;
    else if (vm->state == KVPBUS_VM_STATE_OFF || vm->state == KVPBUS_VM_STATE_SAVED ||
             vm->state == KVPBUS_VM_STATE_STOPPING)
        reason = KVPBUS_VM_OFF;
    free(vms);
    if (failure != NULL)
        failure->code = reason;
    return reason;
}

static void judge(struct batch *batch, const struct kvpbus_verdict *verdict, size_t index)
{
    batch->results[index] = verdict->error;
    switch (verdict->kind) {
    case KVPBUS_VERDICT_DONE:
        remember(batch->store, &batch->changes[index]);
        batch->open[index] = false;
        break;
    case KVPBUS_VERDICT_LOST:
        batch->open[index] = false;
        break;
    case KVPBUS_VERDICT_COLLISION:
        batch->again[index] = true;
        batch->uncertain[index] = verdict->partial;
        break;
    case KVPBUS_VERDICT_REFUSED:
        batch->uncertain[index] = verdict->partial;
        batch->open[index] = verdict->partial;
        break;
    }
}

// One call with all the chosen changes.
static void call(struct batch *batch, enum kvpbus_operation operation, const bool *chosen)
{
    struct kvpbus_management *management = batch->store->management;
    struct kvpbus_change items[KVPBUS_MANAGEMENT_BATCH];
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (chosen[i])
            items[count++] = batch->changes[i];
    }
    if (count == 0)
        return;
    struct kvpbus_call_result result = {0};
    enum kvpbus_error error = management->ops->call(management, operation, batch->store->guid,
                                                    items, count, &result, batch->failure);
    struct kvpbus_verdict verdict =
        kvpbus_management_verdict(operation, count, error, &result, batch->failure);
    if (verdict.ask_state)
        verdict.error = reason_by_state(batch->store, verdict.error, batch->failure);

    // Too many items is what a removal cures, and what exists can still be modified; what is wrong
    // with one item says nothing about others. Anything else would only fail again.
    if (verdict.kind == KVPBUS_VERDICT_LOST)
        batch->stop = KVPBUS_STORE_BUSY;
    else if (verdict.kind == KVPBUS_VERDICT_REFUSED && verdict.error != KVPBUS_STORE_TOO_MANY &&
             verdict.error != KVPBUS_STORE_REJECTED)
        batch->stop = verdict.error;
    if (verdict.kind == KVPBUS_VERDICT_LOST)
        batch->lost = true;
    for (size_t i = 0; i < batch->count; i++) {
        if (chosen[i])
            judge(batch, &verdict, i);
    }
}

// Carries out what is open, as far as is known with one Add, one Modify and one Remove.
static void carry_out(struct batch *batch)
{
    static const enum kvpbus_operation order[] = {KVPBUS_OP_ADD, KVPBUS_OP_MODIFY,
                                                  KVPBUS_OP_REMOVE};
    bool chosen[3][KVPBUS_CHANGES_MAX] = {0};
    for (size_t i = 0; i < batch->count; i++) {
        bool any = false;
        batch->again[i] = false;
        for (size_t o = 0; o < 3; o++) {
            chosen[o][i] = batch->open[i] && belongs(batch, i, order[o]);
            any = any || chosen[o][i];
        }
        if (batch->open[i] && !any) {
            batch->results[i] = KVPBUS_OK; // to be removed, and not there
            batch->open[i] = false;
        }
        batch->added[i] = batch->added[i] || chosen[0][i];
    }
    for (size_t o = 0; o < 3; o++) {
        if (batch->stop == KVPBUS_OK) {
            call(batch, order[o], chosen[o]);
            continue;
        }
        for (size_t i = 0; i < batch->count; i++) {
            if (chosen[o][i]) {
                batch->results[i] = batch->stop;
                batch->open[i] = false;
            }
        }
    }
}

static bool any_open(const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->open[i])
            return true;
    }
    return false;
}

// Settles the open changes by what the store now holds. Returns true when some are to be tried
// again: those whose call collided.
static bool settle(struct batch *batch)
{
    struct management_store *store = batch->store;
    if (batch->lost || read_back(store, NULL) != KVPBUS_OK) {
        for (size_t i = 0; i < batch->count; i++) {
            if (batch->open[i] && (batch->uncertain[i] || batch->again[i]))
                batch->results[i] = KVPBUS_STORE_UNKNOWN;
        }
        return false;
    }
    bool again = false;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kvpbus_change *change = &batch->changes[i];
        const struct kvpbus_item *item = find(&store->known, change->key);
        if (!batch->open[i])
            continue;
        bool fulfilled = change->value == NULL
                             ? item == NULL && store->known.skipped == 0
                             : item != NULL && strcmp(item->value, change->value) == 0;
        if (fulfilled)
            batch->results[i] = KVPBUS_OK;
        else if (batch->again[i] && batch->stop != KVPBUS_OK)
            batch->results[i] = batch->stop;
        batch->open[i] = !fulfilled && batch->again[i];
        again = again || batch->open[i];
    }
    return again && batch->stop == KVPBUS_OK;
}

static enum kvpbus_error carry_out_with_retry(struct batch *batch)
{
    carry_out(batch);
    if (any_open(batch) && settle(batch)) {
        carry_out(batch);
        if (any_open(batch))
            settle(batch);
    }
    if (batch->lost) {
        pthread_mutex_lock(&batch->store->lock);
        batch->store->known_valid = false;
        pthread_mutex_unlock(&batch->store->lock);
    }
    enum kvpbus_error error = kvpbus_changes_gravest(batch->results, batch->count);
    if (batch->failure != NULL)
        batch->failure->code = error;
    return error;
}

static enum kvpbus_error write_changes(struct kvpbus_store *head,
                                       const struct kvpbus_change *changes, size_t count,
                                       enum kvpbus_error *results, struct kvpbus_failure *failure)
{
    struct management_store *store = from_head(head);
    enum kvpbus_error error = kvpbus_changes_check(head->prefix, changes, count, results, failure);
    if (error != KVPBUS_OK || count == 0)
        return error;
    pthread_mutex_lock(&store->lock);
    assert(!store->write_running);
    store->write_running = true;
    store->writes++;
    bool known = store->known_valid;
    pthread_mutex_unlock(&store->lock);

    if (!known)
        error = read_back(store, failure);
    if (error == KVPBUS_OK) {
        struct batch batch = {
            .store = store,
            .changes = changes,
            .count = count,
            .results = results,
            .failure = failure,
            .stop = KVPBUS_OK,
        };
        for (size_t i = 0; i < count; i++)
            batch.open[i] = true;
        error = carry_out_with_retry(&batch);
    } else {
        kvpbus_changes_set_all(results, count, error);
    }
    pthread_mutex_lock(&store->lock);
    store->write_running = false;
    pthread_mutex_unlock(&store->lock);
    return error;
}

static kvpbus_notice notice_fd(struct kvpbus_store *store)
{
    (void)store;
    return KVPBUS_NO_NOTICE;
}

static void acknowledge_notice(struct kvpbus_store *store)
{
    (void)store;
}

static void close_store(struct kvpbus_store *head)
{
    struct management_store *store = from_head(head);
    pthread_mutex_destroy(&store->lock);
    kvpbus_scan_free(&store->known);
    free(store);
}

static const struct kvpbus_store_ops management_ops = {
    .kind = "management",
    .read_own = read_own,
    .read_peer = read_peer,
    .write = write_changes,
    .notice_fd = notice_fd,
    .acknowledge_notice = acknowledge_notice,
    .close = close_store,
};

enum kvpbus_error kvpbus_management_store_open(struct kvpbus_management *management,
                                               const uint8_t guid[KVPBUS_GUID_BYTES],
                                               const char *prefix, struct kvpbus_store **store)
{
    if (!kvpbus_prefix_valid(prefix))
        return KVPBUS_INVALID_ARGUMENT;
    struct management_store *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return KVPBUS_NOMEM;
    if (pthread_mutex_init(&made->lock, NULL) != 0) {
        free(made);
        return KVPBUS_NOMEM;
    }
    made->head.ops = &management_ops;
    memcpy(made->head.prefix, prefix, strlen(prefix) + 1);
    made->management = management;
    memcpy(made->guid, guid, KVPBUS_GUID_BYTES);
    *store = &made->head;
    return KVPBUS_OK;
}
