// SPDX-License-Identifier: Apache-2.0
//
// What a host sends when the guest's service connects: facts about the host (pool 3), then all host
// items (pool 0), one message each. Jobs wait for the end of it.
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lab.h"

// The items that a host writes into Guest\Parameters (fact sheet part 3), values of a plain host.
static const struct {
    const char *key, *value; // NULL: filled in by `fact`
} facts[] = {
    {"HostName", NULL},
    {"HostingSystemEditionId", "8"},
    {"HostingSystemNestedLevel", "0"},
    {"HostingSystemOsMajor", "10"},
    {"HostingSystemOsMinor", "0"},
    {"HostingSystemProcessorArchitecture", "9"},
    {"HostingSystemSpMajor", "0"},
    {"HostingSystemSpMinor", "0"},
    {"PhysicalHostName", NULL},
    {"PhysicalHostNameFullyQualified", NULL},
    {"VirtualMachineDynamicMemoryBalancingEnabled", "0"},
    {"VirtualMachineId", NULL},
    {"VirtualMachineName", NULL},
};
enum { FACTS = sizeof facts / sizeof *facts };

static void fact(const struct kvpbus_lab_vm *vm, size_t index, char *value, size_t size)
{
    if (facts[index].value != NULL) {
        snprintf(value, size, "%s", facts[index].value);
    } else if (strcmp(facts[index].key, "VirtualMachineId") == 0) {
        assert(size > KVPBUS_GUID_TEXT);
        kvpbus_guid_format(vm->guid, value);
    } else if (strcmp(facts[index].key, "VirtualMachineName") == 0) {
        snprintf(value, size, "%s", vm->name);
    } else if (gethostname(value, size) != 0) {
        snprintf(value, size, "lab");
    }
    value[size - 1] = '\0';
}

static void stop(struct kvpbus_lab_vm *vm, bool pushed)
{
    vm->push.active = false;
    vm->pushed = pushed;
    if (pushed)
        kvpbus_lab_vm_pushed(vm);
    kvpbus_lab_jobs_pump(vm);
}

static void on_sent(struct kvpbus_lab_request *request, uint32_t status);

static void send_one(struct kvpbus_lab_vm *vm)
{
    struct kvpbus_lab_push *push = &vm->push;
    if (push->next >= FACTS + vm->host_items.count) {
        stop(vm, true);
        return;
    }
    if (push->next < FACTS) {
        char value[256];
        fact(vm, push->next, value, sizeof value);
        kvpbus_lab_request_set(&push->request, KVP_POOL_AUTO_EXTERNAL, facts[push->next].key,
                               value);
    } else {
        const struct kvpbus_lab_item *item = &vm->host_items.items[push->next - FACTS];
        kvpbus_lab_request_set(&push->request, KVP_POOL_EXTERNAL, item->key, item->value);
    }
    push->request.done = on_sent;
    push->request.context = vm;
    if (!kvpbus_lab_driver_submit(&vm->driver, &push->request))
        stop(vm, false);
}

// A guest that refuses an item is not asked twice; the others follow all the same.
static void on_sent(struct kvpbus_lab_request *request, uint32_t status)
{
    struct kvpbus_lab_vm *vm = request->context;
    if (!kvpbus_lab_driver_connected(&vm->driver) || !vm->exchange_enabled) {
        stop(vm, false);
        return;
    }
    if (status == HV_S_OK)
        vm->stats.guest_sets++;
    vm->push.next++;
    send_one(vm);
}

void kvpbus_lab_push_start(struct kvpbus_lab_vm *vm)
{
    if (vm->push.active)
        return;
    vm->push.active = true;
    vm->push.next = 0;
    send_one(vm);
}
