// SPDX-License-Identifier: Apache-2.0
//
// The guest's items as the host sees them: a pool, enumerated by index through the daemon, which
// reads its file afresh each time. Not a snapshot. Or, of pool 1, the copy of an enumeration some
// time ago, where the lab plays a host that caches.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lab.h"

enum { INDEX_MAX = 4 * KVPBUS_LAB_ITEMS_MAX }; // values that are looked at, said or not

struct read {
    struct kvpbus_lab_vm *vm;
    uint8_t pool;
    uint32_t next; // index
    struct kvpbus_lab_request request;
    struct kvpbus_lab_items items;
    kvpbus_lab_read_done *done; // NULL: only the cached copy is refreshed
    void *context;
};

static void give(struct kvpbus_lab_vm *vm, const struct kvpbus_lab_item *items, size_t count,
                 kvpbus_lab_read_done *done, void *context)
{
    for (size_t i = 0; i < count; i++)
        vm->stats.guest_bytes_read += strlen(items[i].value);
    vm->stats.guest_items_read += count;
    done(context, KVPBUS_OK, count > 0 ? items : NULL, count);
}

// Gives the last result to a reader, whole or, by the fault, one half and the next time the other.
static void give_last(struct kvpbus_lab_vm *vm, kvpbus_lab_read_done *done, void *context)
{
    size_t count = vm->last_read.count;
    size_t first = 0;
    if (kvpbus_lab_fault_strikes(&vm->faults, KVPBUS_LAB_FAULT_PARTIAL_READ, NULL)) {
        size_t half = count / 2;
        first = vm->second_half ? half : 0;
        count = vm->second_half ? count - half : half;
        vm->second_half = !vm->second_half;
    }
    give(vm, count > 0 ? vm->last_read.items + first : NULL, count, done, context);
}

static int by_key(const void *one, const void *other)
{
    return strcmp(((const struct kvpbus_lab_item *)one)->key,
                  ((const struct kvpbus_lab_item *)other)->key);
}

static void finish(struct read *read, enum kvpbus_error error)
{
    struct kvpbus_lab_vm *vm = read->vm;
    if (vm->lab->options.sort_guest && read->items.count > 0)
        qsort(read->items.items, read->items.count, sizeof *read->items.items, by_key);
    if (error == KVPBUS_OK && read->pool == KVP_POOL_GUEST) {
        struct kvpbus_lab_items old = vm->last_read;
        vm->last_read = read->items;
        vm->has_last_read = true;
        read->items = old;
    }
    if (read->done == NULL)
        vm->reading_cache = false;
    else if (error != KVPBUS_OK)
        read->done(read->context, error, NULL, 0);
    else if (read->pool == KVP_POOL_GUEST)
        give_last(vm, read->done, read->context);
    else
        give(vm, read->items.items, read->items.count, read->done, read->context);
    kvpbus_lab_items_free(&read->items);
    free(read);
}

static void on_item(struct kvpbus_lab_request *request, uint32_t status);

static void ask(struct read *read)
{
    kvpbus_lab_request_enumerate(&read->request, read->pool, read->next++);
    read->request.done = on_item;
    read->request.context = read;
    if (!kvpbus_lab_driver_submit(&read->vm->driver, &read->request))
        finish(read, KVPBUS_STORE_GONE);
}

// Any other error ends the host's enumeration with what there is, as its end does: an item that is
// not UTF-8 hides those behind it (fact sheet part 1).
static void on_item(struct kvpbus_lab_request *request, uint32_t status)
{
    struct read *read = request->context;
    struct kvpbus_lab_vm *vm = read->vm;
    struct kvpbus_lab_item *item = &request->item;
    vm->stats.guest_enumerations++;
    if (status == HV_E_FAIL && !kvpbus_lab_driver_connected(&vm->driver)) {
        finish(read, KVPBUS_STORE_GONE);
        return;
    }
    if (status == KVPBUS_LAB_NOT_SUPPORTED && read->next < INDEX_MAX) {
        ask(read);
        return;
    }
    if (status != HV_S_OK) {
        finish(read, KVPBUS_OK);
        return;
    }
    kvpbus_lab_vm_cut(vm, item->value);
    if (!kvpbus_lab_items_append(&read->items, item->key, item->value) ||
        read->items.count >= vm->lab->options.guest_limit) {
        finish(read, KVPBUS_OK);
        return;
    }
    ask(read);
}

static bool start(struct kvpbus_lab_vm *vm, uint8_t pool, kvpbus_lab_read_done *done, void *context)
{
    struct read *read = calloc(1, sizeof *read);
    if (read == NULL)
        return false;
    read->vm = vm;
    read->pool = pool;
    read->items.limit = KVPBUS_LAB_ITEMS_MAX;
    read->done = done;
    read->context = context;
    ask(read);
    return true;
}

static enum kvpbus_error readable(const struct kvpbus_lab_vm *vm)
{
    if (vm->state == KVPBUS_VM_STATE_OFF || vm->state == KVPBUS_VM_STATE_STOPPING ||
        vm->state == KVPBUS_VM_STATE_SAVED)
        return KVPBUS_VM_OFF;
    if (!vm->exchange_enabled)
        return KVPBUS_EXCHANGE_DISABLED;
    if (vm->state == KVPBUS_VM_STATE_PAUSED || !kvpbus_lab_driver_connected(&vm->driver))
        return KVPBUS_STORE_GONE;
    return KVPBUS_OK;
}

void kvpbus_lab_read_guest(struct kvpbus_lab_vm *vm, bool intrinsic, kvpbus_lab_read_done *done,
                           void *context)
{
    vm->stats.reads_guest++;
    enum kvpbus_error error = readable(vm);
    bool last = !intrinsic && error == KVPBUS_OK && vm->has_last_read;
    bool stale = last && kvpbus_lab_fault_strikes(&vm->faults, KVPBUS_LAB_FAULT_STALE_READ, NULL);
    bool cached = last && vm->lab->options.guest_cache_ms > 0;
    if (error != KVPBUS_OK)
        done(context, error, NULL, 0);
    else if (stale || cached)
        give_last(vm, done, context);
    else if (!start(vm, intrinsic ? KVP_POOL_AUTO : KVP_POOL_GUEST, done, context))
        done(context, KVPBUS_NOMEM, NULL, 0);
}

static void on_cache_timer(uv_timer_t *timer)
{
    struct kvpbus_lab_vm *vm = timer->data;
    if (vm->reading_cache || readable(vm) != KVPBUS_OK)
        return;
    vm->reading_cache = true;
    if (!start(vm, KVP_POOL_GUEST, NULL, NULL))
        vm->reading_cache = false;
}

void kvpbus_lab_read_cache_start(struct kvpbus_lab_vm *vm)
{
    uint32_t period = vm->lab->options.guest_cache_ms;
    if (period > 0)
        uv_timer_start(&vm->cache_timer, on_cache_timer, period, period);
}
