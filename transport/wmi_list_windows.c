// SPDX-License-Identifier: Apache-2.0
//
// Which VMs there are, over WMI.
#include <stdlib.h>
#include <string.h>

#include "wmi_management_windows.h"
#include "wmi_text.h"

enum { HEALTH_CRITICAL = 25 }; // HealthState of a VM

struct listing {
    struct kvpbus_vm *vms;
    size_t count, capacity;
};

static struct kvpbus_vm *append(struct listing *listing)
{
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity == 0 ? 64 : listing->capacity * 2;
        struct kvpbus_vm *vms = realloc(listing->vms, capacity * sizeof *vms);
        if (vms == NULL)
            return NULL;
        listing->vms = vms;
        listing->capacity = capacity;
    }
    struct kvpbus_vm *vm = &listing->vms[listing->count++];
    memset(vm, 0, sizeof *vm);
    return vm;
}

// The host itself is a system of this class too; its Name is no GUID.
static HRESULT take_system(void *context, IWbemClassObject *object)
{
    char id[64];
    uint8_t guid[KVPBUS_GUID_BYTES];
    uint32_t enabled = 0, health = 0;
    bool set;
    HRESULT result = kvpbus_com_text(object, L"Name", id, sizeof id, &set);
    if (FAILED(result) || !set || !kvpbus_guid_parse(id, guid))
        return result;
    struct kvpbus_vm *vm = append(context);
    if (vm == NULL)
        return E_OUTOFMEMORY;
    memcpy(vm->guid, guid, sizeof vm->guid);
    result = kvpbus_com_text(object, L"ElementName", vm->name, sizeof vm->name, &set);
    if (SUCCEEDED(result))
        result = kvpbus_com_number(object, L"EnabledState", &enabled, &set);
    if (SUCCEEDED(result))
        result = kvpbus_com_number(object, L"HealthState", &health, &set);
    vm->state = kvpbus_wmi_vm_state(enabled);
    if (vm->state == KVPBUS_VM_STATE_RUNNING && health == HEALTH_CRITICAL)
        vm->state = KVPBUS_VM_STATE_FAILED;
    return result;
}

static HRESULT take_settings(void *context, IWbemClassObject *object)
{
    struct listing *listing = context;
    char id[128];
    uint8_t guid[KVPBUS_GUID_BYTES];
    uint32_t enabled;
    bool set;
    HRESULT result = kvpbus_com_text(object, L"InstanceID", id, sizeof id, &set);
    if (FAILED(result) || !kvpbus_wmi_instance_vm(id, guid))
        return result;
    result = kvpbus_com_number(object, L"EnabledState", &enabled, &set);
    for (size_t i = 0; i < listing->count; i++) {
        if (memcmp(listing->vms[i].guid, guid, sizeof guid) == 0)
            listing->vms[i].exchange_enabled = kvpbus_wmi_exchange_enabled(enabled);
    }
    return result;
}

static void remember(struct kvpbus_wmi *wmi, const struct listing *listing)
{
    uint8_t(*known)[KVPBUS_GUID_BYTES] = calloc(listing->count + 1, sizeof *known);
    for (size_t i = 0; known != NULL && i < listing->count; i++)
        memcpy(known[i], listing->vms[i].guid, KVPBUS_GUID_BYTES);
    AcquireSRWLockExclusive(&wmi->lock);
    free(wmi->known);
    wmi->known = known;
    wmi->known_count = known != NULL ? listing->count : 0;
    ReleaseSRWLockExclusive(&wmi->lock);
}

HRESULT kvpbus_wmi_list_vms(struct kvpbus_wmi_connection *connection, struct kvpbus_wmi_call *call,
                            struct kvpbus_vm **vms, size_t *count)
{
    struct listing listing = {0};
    call->work.step = "listing the VMs";
    HRESULT result = kvpbus_wmi_query(
        connection, &call->work,
        "SELECT Name,ElementName,EnabledState,HealthState FROM Msvm_ComputerSystem", take_system,
        &listing);
    if (SUCCEEDED(result)) {
        call->work.step = "reading which VMs exchange data";
        result = kvpbus_wmi_query(
            connection, &call->work,
            "SELECT InstanceID,EnabledState FROM Msvm_KvpExchangeComponentSettingData",
            take_settings, &listing);
    }
    if (FAILED(result)) {
        free(listing.vms);
        return result;
    }
    remember(call->wmi, &listing);
    *vms = listing.vms;
    *count = listing.count;
    return S_OK;
}

struct list_call {
    struct kvpbus_wmi_call call;
    struct kvpbus_vm *vms;
    size_t count;
};

static HRESULT list_step(struct kvpbus_wmi_connection *connection, struct kvpbus_wmi_call *call)
{
    struct list_call *list = (struct list_call *)call;
    return kvpbus_wmi_list_vms(connection, call, &list->vms, &list->count);
}

static void list_run(struct kvpbus_wmi_task *task)
{
    struct kvpbus_wmi_call *call = (struct kvpbus_wmi_call *)task;
    HRESULT result = kvpbus_wmi_attempt(call, list_step);
    if (FAILED(result))
        kvpbus_wmi_failed(call, result);
}

static void list_discard(struct kvpbus_wmi_task *task)
{
    struct list_call *list = (struct list_call *)task;
    free(list->vms);
    free(list);
}

enum kvpbus_error kvpbus_wmi_list(struct kvpbus_management *management, struct kvpbus_vm **vms,
                                  size_t *count, struct kvpbus_failure *failure)
{
    enum kvpbus_error error;
    struct list_call *list = calloc(1, sizeof *list);
    if (list == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "listing the VMs");
    kvpbus_wmi_prepare(&list->call, kvpbus_wmi_of(management), list_run, list_discard);
    if (!kvpbus_wmi_carry_out(&list->call, &error, failure))
        return error;
    error = list->call.error;
    *vms = NULL;
    *count = 0;
    if (error == KVPBUS_OK) {
        // Never NULL, so that there is always something to free.
        *vms = list->vms != NULL ? list->vms : calloc(1, sizeof **vms);
        *count = list->count;
        list->vms = NULL;
        if (*vms == NULL)
            error = kvpbus_fail(failure, KVPBUS_NOMEM, "listing the VMs");
    }
    list_discard(&list->call.work.task);
    return error;
}
