// SPDX-License-Identifier: Apache-2.0
#include "kvpbus/management.h"

#include <stdlib.h>
#include <string.h>

static enum kvpbus_error ambiguous(const char *name, size_t times, const struct kvpbus_vm *first,
                                   const struct kvpbus_vm *second, struct kvpbus_failure *failure)
{
    char one[KVPBUS_GUID_TEXT + 1], other[KVPBUS_GUID_TEXT + 1];
    kvpbus_guid_format(first->guid, one);
    kvpbus_guid_format(second->guid, other);
    return kvpbus_fail(failure, KVPBUS_VM_AMBIGUOUS,
                       "%zu VMs are named %.60s; use the GUID: %s%s%s%s", times, name, one,
                       times > 2 ? ", " : " or ", other, times > 2 ? " or another" : "");
}

enum kvpbus_error kvpbus_management_find(struct kvpbus_management *management, const char *vm,
                                         struct kvpbus_vm *found, struct kvpbus_failure *failure)
{
    struct kvpbus_vm *vms;
    const struct kvpbus_vm *hits[2] = {NULL, NULL};
    size_t count, times = 0;
    uint8_t guid[KVPBUS_GUID_BYTES];
    bool by_guid = kvpbus_guid_parse(vm, guid);
    enum kvpbus_error error = management->ops->list(management, &vms, &count, failure);
    if (error != KVPBUS_OK)
        return error;
    for (size_t i = 0; i < count; i++) {
        if (by_guid ? memcmp(vms[i].guid, guid, sizeof guid) != 0 : strcmp(vms[i].name, vm) != 0)
            continue;
        if (times < 2)
            hits[times] = &vms[i];
        times++;
    }
    if (times == 0)
        error = kvpbus_fail(failure, KVPBUS_VM_UNKNOWN,
                            "this host has no VM %.100s; 'kvpbus vms' lists them", vm);
    else if (times > 1)
        error = ambiguous(vm, times, hits[0], hits[1], failure);
    else
        *found = *hits[0];
    free(vms);
    return error;
}
