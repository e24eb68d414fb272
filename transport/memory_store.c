// SPDX-License-Identifier: Apache-2.0
#include "kvpbus/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "changes.h"

// The items of one side. A scan serves as the container: its limit on the number of items is then
// the store's ceiling.
struct pair {
    struct kvpbus_scan sides[2];
    unsigned open;
};

struct memory_store {
    struct kvpbus_store head;
    struct pair *pair;
    struct kvpbus_scan *own;
    struct kvpbus_scan *peer;
};

static struct memory_store *from_head(struct kvpbus_store *store)
{
    return (struct memory_store *)store;
}

static enum kvpbus_error copy(const struct memory_store *store, const struct kvpbus_scan *from,
                              struct kvpbus_scan *scan, struct kvpbus_failure *failure)
{
    kvpbus_scan_clear(scan);
    for (size_t i = 0; i < from->count; i++) {
        const struct kvpbus_item *item = &from->items[i];
        enum kvpbus_error error =
            kvpbus_scan_add(scan, store->head.prefix, item->key, strlen(item->key), item->value,
                            strlen(item->value));
        if (error != KVPBUS_OK) {
            kvpbus_scan_clear(scan);
            return kvpbus_fail(failure, error, "reading a memory store");
        }
    }
    return KVPBUS_OK;
}

static enum kvpbus_error read_own(struct kvpbus_store *store, struct kvpbus_scan *scan,
                                  struct kvpbus_failure *failure)
{
    return copy(from_head(store), from_head(store)->own, scan, failure);
}

static enum kvpbus_error read_peer(struct kvpbus_store *store, struct kvpbus_scan *scan,
                                   struct kvpbus_failure *failure)
{
    return copy(from_head(store), from_head(store)->peer, scan, failure);
}

static struct kvpbus_item *find(struct kvpbus_scan *items, const char *key)
{
    for (size_t i = 0; i < items->count; i++) {
        if (strcmp(items->items[i].key, key) == 0)
            return &items->items[i];
    }
    return NULL;
}

static enum kvpbus_error apply(const char *prefix, struct kvpbus_scan *own,
                               const struct kvpbus_change *change)
{
    struct kvpbus_item *item = find(own, change->key);
    if (change->value == NULL) {
        if (item != NULL)
            *item = own->items[--own->count];
        return KVPBUS_OK;
    }
    if (item != NULL) {
        memcpy(item->value, change->value, strlen(change->value) + 1);
        return KVPBUS_OK;
    }
    if (own->count == KVPBUS_SCAN_MAX)
        return KVPBUS_STORE_TOO_MANY;
    return kvpbus_scan_add(own, prefix, change->key, strlen(change->key), change->value,
                           strlen(change->value));
}

static enum kvpbus_error write_changes(struct kvpbus_store *store,
                                       const struct kvpbus_change *changes, size_t count,
                                       enum kvpbus_error *results, struct kvpbus_failure *failure)
{
    enum kvpbus_error error = kvpbus_changes_check(store->prefix, changes, count, results, failure);
    if (error != KVPBUS_OK)
        return error;
    for (size_t i = 0; i < count; i++) {
        results[i] = apply(store->prefix, from_head(store)->own, &changes[i]);
        if (results[i] != KVPBUS_OK)
            kvpbus_fail(failure, results[i], "%.40s: no room in a memory store", changes[i].key);
    }
    return kvpbus_changes_gravest(results, count);
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

static void close_store(struct kvpbus_store *store)
{
    struct pair *pair = from_head(store)->pair;
    assert(pair->open > 0);
    if (--pair->open == 0) {
        kvpbus_scan_free(&pair->sides[0]);
        kvpbus_scan_free(&pair->sides[1]);
        free(pair);
    }
    free(store);
}

static const struct kvpbus_store_ops memory_ops = {
    .kind = "memory",
    .read_own = read_own,
    .read_peer = read_peer,
    .write = write_changes,
    .notice_fd = notice_fd,
    .acknowledge_notice = acknowledge_notice,
    .close = close_store,
};

static struct memory_store *new_side(const char *prefix, struct pair *pair, unsigned side)
{
    struct memory_store *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return NULL;
    store->head.ops = &memory_ops;
    memcpy(store->head.prefix, prefix, strlen(prefix) + 1);
    store->pair = pair;
    store->own = &pair->sides[side];
    store->peer = &pair->sides[1 - side];
    pair->open++;
    return store;
}

enum kvpbus_error kvpbus_memory_store_pair(const char *prefix, struct kvpbus_store **host,
                                           struct kvpbus_store **guest)
{
    if (!kvpbus_prefix_valid(prefix))
        return KVPBUS_INVALID_ARGUMENT;
    struct pair *pair = calloc(1, sizeof(*pair));
    if (pair == NULL)
        return KVPBUS_NOMEM;
    struct memory_store *host_side = new_side(prefix, pair, 0);
    struct memory_store *guest_side = new_side(prefix, pair, 1);
    if (host_side == NULL || guest_side == NULL) {
        free(host_side);
        free(guest_side);
        free(pair);
        return KVPBUS_NOMEM;
    }
    *host = &host_side->head;
    *guest = &guest_side->head;
    return KVPBUS_OK;
}
