// SPDX-License-Identifier: Apache-2.0
#include "fake_management.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fake_management *from_head(struct kvpbus_management *management)
{
    return (struct fake_management *)management;
}

static size_t place_of(const struct fake_items *items, const char *key)
{
    size_t place = 0;
    while (place < items->count && strcmp(items->items[place].key, key) != 0)
        place++;
    return place;
}

void fake_set(struct fake_items *items, const char *key, const char *value)
{
    size_t place = place_of(items, key);
    if (value == NULL) {
        if (place < items->count)
            items->items[place] = items->items[--items->count];
        return;
    }
    cr_assert_lt(place, FAKE_ITEMS_MAX);
    snprintf(items->items[place].key, sizeof(items->items[place].key), "%s", key);
    snprintf(items->items[place].value, sizeof(items->items[place].value), "%s", value);
    if (place == items->count)
        items->count++;
}

const char *fake_get(const struct fake_items *items, const char *key)
{
    size_t place = place_of(items, key);
    return place < items->count ? items->items[place].value : NULL;
}

static enum kvpbus_error scan_items(const struct fake_items *items, const char *prefix,
                                    struct kvpbus_scan *scan)
{
    for (size_t i = 0; i < items->count; i++) {
        const struct kvpbus_item *item = &items->items[i];
        enum kvpbus_error error = kvpbus_scan_add(scan, prefix, item->key, strlen(item->key),
                                                  item->value, strlen(item->value));
        if (error != KVPBUS_OK)
            return error;
    }
    return KVPBUS_OK;
}

static enum kvpbus_error list(struct kvpbus_management *management, struct kvpbus_vm **vms,
                              size_t *count, struct kvpbus_failure *failure)
{
    struct fake_management *fake = from_head(management);
    fake->lists++;
    *vms = malloc(sizeof(**vms));
    if (*vms == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "list");
    **vms = fake->vm;
    if (fake->host.count > fake->limit)
        (*vms)->state = KVPBUS_VM_STATE_FAILED;
    *count = fake->vm_absent ? 0 : 1;
    return KVPBUS_OK;
}

static enum kvpbus_error read_guest(struct kvpbus_management *management, const char *prefix,
                                    const uint8_t (*guids)[KVPBUS_GUID_BYTES], size_t count,
                                    struct kvpbus_scan *scans, enum kvpbus_error *results,
                                    struct kvpbus_failure *failure)
{
    struct fake_management *fake = from_head(management);
    (void)failure;
    cr_assert_eq(count, 1);
    cr_assert_arr_eq(guids[0], fake->vm.guid, KVPBUS_GUID_BYTES);
    kvpbus_scan_clear(&scans[0]);
    results[0] = fake->guest_result;
    return results[0] == KVPBUS_OK ? scan_items(&fake->guest, prefix, &scans[0]) : KVPBUS_OK;
}

static enum kvpbus_error read_host(struct kvpbus_management *management, const char *prefix,
                                   const uint8_t guid[KVPBUS_GUID_BYTES], struct kvpbus_scan *scan,
                                   struct kvpbus_failure *failure)
{
    struct fake_management *fake = from_head(management);
    cr_assert_arr_eq(guid, fake->vm.guid, KVPBUS_GUID_BYTES);
    fake->reads++;
    kvpbus_scan_clear(scan);
    if (fake->read_host_error != KVPBUS_OK)
        return kvpbus_fail(failure, fake->read_host_error, "cannot read");
    if (fake->oversized != NULL)
        scan->skipped++;
    return scan_items(&fake->host, prefix, scan);
}

static bool exists(const struct fake_management *fake, const char *key)
{
    return fake_get(&fake->host, key) != NULL ||
           (fake->oversized != NULL && strcmp(fake->oversized, key) == 0);
}

static uint32_t apply(struct fake_management *fake, enum kvpbus_operation operation,
                      const struct kvpbus_change *item)
{
    bool there = exists(fake, item->key);
    if (operation == KVPBUS_OP_ADD && there)
        return KVPBUS_RETURN_INVALID_PARAMETER;
    if (operation == KVPBUS_OP_ADD && fake->host.count >= fake->limit) {
        fake->vm.state = KVPBUS_VM_STATE_FAILED;
        return KVPBUS_RETURN_FAILED;
    }
    if (operation == KVPBUS_OP_MODIFY && !there)
        return fake->modify_missing;
    if (operation == KVPBUS_OP_REMOVE && !there)
        return fake->remove_missing;
    if (fake->oversized != NULL && strcmp(fake->oversized, item->key) == 0)
        fake->oversized = NULL;
    fake_set(&fake->host, item->key, operation == KVPBUS_OP_REMOVE ? NULL : item->value);
    return KVPBUS_RETURN_COMPLETED;
}

// Not atomic: what stands before the first bad item stays done.
static uint32_t apply_all(struct fake_management *fake, enum kvpbus_operation operation,
                          const struct kvpbus_change *items, size_t count)
{
    uint32_t code = KVPBUS_RETURN_COMPLETED;
    for (size_t i = 0; i < count && code == KVPBUS_RETURN_COMPLETED; i++)
        code = apply(fake, operation, &items[i]);
    return code;
}

static void answer(const struct fake_management *fake, struct kvpbus_call_result *result,
                   uint32_t code)
{
    result->return_value = fake->direct ? code : KVPBUS_RETURN_JOB_STARTED;
    result->had_job = !fake->direct;
    result->job_state =
        code == KVPBUS_RETURN_COMPLETED ? KVPBUS_JOB_COMPLETED : KVPBUS_JOB_EXCEPTION;
    result->error_code = code;
    if (code != KVPBUS_RETURN_COMPLETED)
        snprintf(result->description, sizeof(result->description), "the job failed");
}

static enum kvpbus_error faulty_call(struct fake_management *fake, enum kvpbus_operation operation,
                                     const struct kvpbus_change *items, size_t count,
                                     struct kvpbus_call_result *result,
                                     struct kvpbus_failure *failure)
{
    const struct fake_fault *fault = &fake->fault;
    size_t applied = fault->applied < count ? fault->applied : count;
    switch (fault->kind) {
    case FAKE_RETURN:
        result->return_value = fault->code;
        return KVPBUS_OK;
    case FAKE_JOB:
        apply_all(fake, operation, items, applied);
        answer(fake, result, fault->code);
        result->return_value = KVPBUS_RETURN_JOB_STARTED;
        result->had_job = true;
        result->job_state = fault->state;
        result->hresult = fault->hresult;
        return KVPBUS_OK;
    case FAKE_TIMEOUT:
        apply_all(fake, operation, items, applied);
        return kvpbus_fail(failure, KVPBUS_TIMEOUT, "no answer");
    case FAKE_DISCONNECTED:
        return kvpbus_fail(failure, KVPBUS_STORE_GONE, "no connection");
    default:
        answer(fake, result, KVPBUS_RETURN_COMPLETED);
        return KVPBUS_OK;
    }
}

static enum kvpbus_error call(struct kvpbus_management *management, enum kvpbus_operation operation,
                              const uint8_t guid[KVPBUS_GUID_BYTES],
                              const struct kvpbus_change *items, size_t count,
                              struct kvpbus_call_result *result, struct kvpbus_failure *failure)
{
    struct fake_management *fake = from_head(management);
    cr_assert_arr_eq(guid, fake->vm.guid, KVPBUS_GUID_BYTES);
    cr_assert(count >= 1 && count <= KVPBUS_MANAGEMENT_BATCH);
    memset(result, 0, sizeof(*result));
    size_t made = strlen(fake->order);
    if (made + 1 < sizeof(fake->order))
        fake->order[made] = "AMR"[operation];
    fake->calls[operation]++;
    fake->last_count[operation] = count;
    if (fake->fault.kind != FAKE_NO_FAULT && fake->fault.skip > 0) {
        fake->fault.skip--;
    } else if (fake->fault.kind != FAKE_NO_FAULT && fake->fault.times > 0) {
        fake->fault.times--;
        return faulty_call(fake, operation, items, count, result, failure);
    }
    answer(fake, result, apply_all(fake, operation, items, count));
    return KVPBUS_OK;
}

static void close_fake(struct kvpbus_management *management)
{
    (void)management;
}

static const struct kvpbus_management_ops fake_ops = {
    .list = list,
    .read_guest = read_guest,
    .read_host = read_host,
    .call = call,
    .close = close_fake,
};

void fake_management_make(struct fake_management *fake)
{
    memset(fake, 0, sizeof(*fake));
    fake->head.ops = &fake_ops;
    memset(fake->vm.guid, 0xa5, KVPBUS_GUID_BYTES);
    snprintf(fake->vm.name, sizeof(fake->vm.name), "vm");
    fake->vm.state = KVPBUS_VM_STATE_RUNNING;
    fake->vm.exchange_enabled = true;
    fake->limit = 256;
    fake->modify_missing = KVPBUS_RETURN_INVALID_PARAMETER;
    fake->remove_missing = KVPBUS_RETURN_COMPLETED;
}
