// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "guest_service.h"
#include "text.h"

// As other software does it: without a lock, whoever holds one.
static enum kvpbus_error wipe_pool(struct kvpbus_lab_vm *vm, int64_t pool,
                                   struct kvpbus_failure *failure)
{
    char path[PATH_MAX + 32];
    if (vm->windows)
        return kvpbus_lab_guest_wipe(vm, pool, failure);
    snprintf(path, sizeof path, "%s/.kvp_pool_%d", vm->pools, (int)pool);
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0)
        return kvpbus_fail(failure, KVPBUS_IO, "cannot empty %s: %s", path, strerror(errno));
    close(fd);
    return KVPBUS_OK;
}

// As cloud-init does: its unit comes after the daemon's.
void kvpbus_lab_vm_wipe_at_boot(struct kvpbus_lab_vm *vm)
{
    int64_t pool;
    struct kvpbus_failure failure;
    if (vm->pushed || !kvpbus_lab_fault_strikes(&vm->faults, KVPBUS_LAB_FAULT_WIPE_AT_BOOT, &pool))
        return;
    if (wipe_pool(vm, pool, &failure) != KVPBUS_OK)
        kvpbus_lab_log(vm, "%s", failure.detail);
}

// The service is offered to the guest again, which is a new connection for it.
static void set_exchange(struct kvpbus_lab_vm *vm, bool enabled)
{
    if (vm->exchange_enabled == enabled)
        return;
    vm->exchange_enabled = enabled;
    if (enabled && kvpbus_lab_driver_connected(&vm->driver))
        kvpbus_lab_push_start(vm);
    kvpbus_lab_vm_changed(vm);
}

static void clear(struct kvpbus_lab_vm *vm)
{
    kvpbus_lab_fault_clear(&vm->faults);
    set_exchange(vm, true);
    if (vm->host_items.count < vm->lab->options.item_limit)
        kvpbus_lab_vm_set_overfull(vm, false);
    kvpbus_lab_vm_adjust_daemon(vm);
}

enum kvpbus_error kvpbus_lab_vm_fault(struct kvpbus_lab_vm *vm, enum kvpbus_lab_fault fault,
                                      int64_t value, uint32_t count, struct kvpbus_failure *failure)
{
    switch (fault) {
    case KVPBUS_LAB_FAULT_CLEAR:
        clear(vm);
        return KVPBUS_OK;
    case KVPBUS_LAB_FAULT_WIPE_POOL:
        return wipe_pool(vm, value, failure);
    case KVPBUS_LAB_FAULT_DISABLE_EXCHANGE:
    case KVPBUS_LAB_FAULT_ENABLE_EXCHANGE:
        set_exchange(vm, fault == KVPBUS_LAB_FAULT_ENABLE_EXCHANGE);
        return KVPBUS_OK;
    case KVPBUS_LAB_FAULT_DAEMON_ABSENT:
        kvpbus_lab_fault_set(&vm->faults, fault, value, 0);
        kvpbus_lab_vm_adjust_daemon(vm);
        return KVPBUS_OK;
    default:
        kvpbus_lab_fault_set(&vm->faults, fault, value, count);
        return KVPBUS_OK;
    }
}

void kvpbus_lab_vm_cut(struct kvpbus_lab_vm *vm, char *value)
{
    size_t length = strlen(value), kept;
    if (!kvpbus_lab_fault_active(&vm->faults, KVPBUS_LAB_FAULT_CUT_VALUE))
        return;
    int64_t units = vm->faults.of[KVPBUS_LAB_FAULT_CUT_VALUE].value;
    if (!kvpbus_lab_text_fit(value, length, (size_t)units, SIZE_MAX, &kept) || kept == length)
        return;
    kvpbus_lab_fault_strikes(&vm->faults, KVPBUS_LAB_FAULT_CUT_VALUE, NULL);
    value[kept] = '\0';
}
