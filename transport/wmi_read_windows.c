// SPDX-License-Identifier: Apache-2.0
//
// The items of guests and of the host, read over WMI.
#include <stdlib.h>
#include <string.h>

#include "wmi_management_windows.h"
#include "wmi_text.h"

// Of a VM's Data Exchange component: EnabledState, OperationalStatus.
enum { COMPONENT_DISABLED = 3, STATUS_NO_CONTACT = 12, STATUS_LOST_COMMUNICATION = 13 };

// --- the items of guests ---

struct guest_call {
    struct kvpbus_wmi_call call;
    char prefix[KVPBUS_PREFIX_MAX + 1];
    size_t count;
    uint8_t (*guids)[KVPBUS_GUID_BYTES];
    struct kvpbus_scan *scans;
    enum kvpbus_error *results;
    bool *settled; // the result is final
    bool *contact; // the component does not say that it has lost its guest
};

// The position of a VM among those that are asked for; their number when it is not.
static size_t position(const struct guest_call *guest, const uint8_t guid[KVPBUS_GUID_BYTES])
{
    size_t i = 0;
    while (i < guest->count && memcmp(guest->guids[i], guid, KVPBUS_GUID_BYTES) != 0)
        i++;
    return i;
}

// Whether the component can be in contact with its guest, as far as it says so itself.
static HRESULT has_contact(IWbemClassObject *object, bool *contact)
{
    uint32_t enabled = 0, status = 0;
    bool enabled_set = false, status_set = false;
    HRESULT result = kvpbus_com_number(object, L"EnabledState", &enabled, &enabled_set);
    if (SUCCEEDED(result))
        result = kvpbus_com_first_number(object, L"OperationalStatus", &status, &status_set);
    *contact =
        !(enabled_set && enabled == COMPONENT_DISABLED) &&
        !(status_set && (status == STATUS_NO_CONTACT || status == STATUS_LOST_COMMUNICATION));
    return result;
}

// Items are believed whatever else is said; where there are none, or null, the VM's state may tell
// why.
static HRESULT take_items(struct guest_call *guest, size_t index, IWbemClassObject *object)
{
    struct kvpbus_scan *scan = &guest->scans[index];
    long count, more = -1;
    HRESULT result = kvpbus_com_items(object, L"GuestExchangeItems", guest->prefix, scan, &count);
    if (SUCCEEDED(result) && guest->call.wmi->with_intrinsic)
        result =
            kvpbus_com_items(object, L"GuestIntrinsicExchangeItems", guest->prefix, scan, &more);
    if (SUCCEEDED(result))
        result = has_contact(object, &guest->contact[index]);
    guest->results[index] = KVPBUS_OK;
    guest->settled[index] = count > 0 || more > 0 || (count == 0 && guest->contact[index]);
    return result;
}

static HRESULT take_component(void *context, IWbemClassObject *object)
{
    struct guest_call *guest = context;
    char id[64];
    uint8_t guid[KVPBUS_GUID_BYTES];
    bool set;
    HRESULT result = kvpbus_com_text(object, L"SystemName", id, sizeof id, &set);
    if (FAILED(result) || !kvpbus_guid_parse(id, guid))
        return result;
    size_t index = position(guest, guid);
    if (index == guest->count || guest->settled[index])
        return S_OK;
    return take_items(guest, index, object);
}

// The VMs of the last listing that are not asked for, at most KVPBUS_WMI_NAMED_MAX; false when
// there are more, or nothing is known.
static bool others(struct guest_call *guest, uint8_t (*named)[KVPBUS_GUID_BYTES], size_t *count)
{
    struct kvpbus_wmi *wmi = guest->call.wmi;
    AcquireSRWLockShared(&wmi->lock);
    bool few = wmi->known != NULL;
    *count = 0;
    for (size_t i = 0; few && i < wmi->known_count; i++) {
        if (position(guest, wmi->known[i]) < guest->count)
            continue;
        few = *count < KVPBUS_WMI_NAMED_MAX;
        if (few)
            memcpy(named[(*count)++], wmi->known[i], KVPBUS_GUID_BYTES);
    }
    ReleaseSRWLockShared(&wmi->lock);
    return few;
}

// One query, whatever the number of VMs. Which are asked for is said where few words do, so that a
// VM whose items take long is not read on behalf of others.
static void make_query(struct guest_call *guest, char *query)
{
    uint8_t named[KVPBUS_WMI_NAMED_MAX][KVPBUS_GUID_BYTES];
    size_t count = guest->count;
    bool all_but = count > KVPBUS_WMI_NAMED_MAX;
    if (!all_but)
        memcpy(named, guest->guids, count * sizeof *named);
    else if (!others(guest, named, &count))
        count = 0;
    kvpbus_wmi_guest_query((const uint8_t(*)[KVPBUS_GUID_BYTES])named, count, all_but,
                           guest->call.wmi->with_intrinsic, query);
}

// Why the items of a VM cannot be read; KVPBUS_OK: there are none.
static enum kvpbus_error reason_of(const struct kvpbus_vm *vms, size_t count,
                                   const uint8_t guid[KVPBUS_GUID_BYTES], bool contact)
{
    const struct kvpbus_vm *vm = NULL;
    for (size_t i = 0; i < count && vm == NULL; i++) {
        if (memcmp(vms[i].guid, guid, KVPBUS_GUID_BYTES) == 0)
            vm = &vms[i];
    }
    if (vm == NULL)
        return KVPBUS_VM_UNKNOWN;
    if (vm->state == KVPBUS_VM_STATE_OFF || vm->state == KVPBUS_VM_STATE_STOPPING ||
        vm->state == KVPBUS_VM_STATE_SAVED)
        return KVPBUS_VM_OFF;
    if (!vm->exchange_enabled)
        return KVPBUS_EXCHANGE_DISABLED;
    bool runs = vm->state == KVPBUS_VM_STATE_RUNNING || vm->state == KVPBUS_VM_STATE_FAILED;
    return runs && contact ? KVPBUS_OK : KVPBUS_STORE_GONE;
}

static bool all_settled(const struct guest_call *guest)
{
    for (size_t i = 0; i < guest->count; i++) {
        if (!guest->settled[i])
            return false;
    }
    return true;
}

// Why those have no items that have none.
static HRESULT explain(struct kvpbus_wmi_connection *connection, struct guest_call *guest)
{
    struct kvpbus_vm *vms;
    size_t count;
    HRESULT result = kvpbus_wmi_list_vms(connection, &guest->call, &vms, &count);
    if (FAILED(result))
        return result;
    for (size_t i = 0; i < guest->count; i++) {
        if (!guest->settled[i])
            guest->results[i] = reason_of(vms, count, guest->guids[i], guest->contact[i]);
    }
    free(vms);
    return S_OK;
}

static HRESULT guest_step(struct kvpbus_wmi_connection *connection, struct kvpbus_wmi_call *call)
{
    struct guest_call *guest = (struct guest_call *)call;
    char query[KVPBUS_WMI_QUERY_ROOM];
    for (size_t i = 0; i < guest->count; i++) {
        guest->settled[i] = guest->contact[i] = false;
        kvpbus_scan_clear(&guest->scans[i]);
    }
    make_query(guest, query);
    call->work.step = "reading the items of guests";
    HRESULT result = kvpbus_wmi_query(connection, &call->work, query, take_component, guest);
    if (SUCCEEDED(result) && !all_settled(guest))
        result = explain(connection, guest);
    return result;
}

static void guest_run(struct kvpbus_wmi_task *task)
{
    struct kvpbus_wmi_call *call = (struct kvpbus_wmi_call *)task;
    HRESULT result = kvpbus_wmi_attempt(call, guest_step);
    if (FAILED(result))
        kvpbus_wmi_failed(call, result);
}

static void guest_discard(struct kvpbus_wmi_task *task)
{
    struct guest_call *guest = (struct guest_call *)task;
    for (size_t i = 0; guest->scans != NULL && i < guest->count; i++)
        kvpbus_scan_free(&guest->scans[i]);
    free(guest->guids);
    free(guest->scans);
    free(guest->results);
    free(guest->settled);
    free(guest->contact);
    free(guest);
}

static struct guest_call *new_guest_call(const uint8_t (*guids)[KVPBUS_GUID_BYTES], size_t count,
                                         const char *prefix)
{
    struct guest_call *guest = calloc(1, sizeof *guest);
    if (guest == NULL)
        return NULL;
    guest->count = count;
    guest->guids = calloc(count, sizeof *guest->guids);
    guest->scans = calloc(count, sizeof *guest->scans);
    guest->results = calloc(count, sizeof *guest->results);
    guest->settled = calloc(count, sizeof *guest->settled);
    guest->contact = calloc(count, sizeof *guest->contact);
    if (guest->guids == NULL || guest->scans == NULL || guest->results == NULL ||
        guest->settled == NULL || guest->contact == NULL) {
        guest_discard(&guest->call.work.task);
        return NULL;
    }
    memcpy(guest->guids, guids, count * sizeof *guids);
    strncpy(guest->prefix, prefix, sizeof guest->prefix - 1);
    return guest;
}

static void give_scans(struct guest_call *guest, struct kvpbus_scan *scans,
                       enum kvpbus_error *results)
{
    for (size_t i = 0; i < guest->count; i++) {
        struct kvpbus_scan own = scans[i];
        scans[i] = guest->scans[i];
        guest->scans[i] = own; // freed with the call
        results[i] = guest->results[i];
    }
}

enum kvpbus_error kvpbus_wmi_read_guest(struct kvpbus_management *management, const char *prefix,
                                        const uint8_t (*guids)[KVPBUS_GUID_BYTES], size_t count,
                                        struct kvpbus_scan *scans, enum kvpbus_error *results,
                                        struct kvpbus_failure *failure)
{
    enum kvpbus_error error = KVPBUS_OK;
    if (count == 0)
        return KVPBUS_OK;
    struct guest_call *guest = new_guest_call(guids, count, prefix);
    if (guest == NULL) {
        error = kvpbus_fail(failure, KVPBUS_NOMEM, "reading the items of guests");
    } else {
        kvpbus_wmi_prepare(&guest->call, kvpbus_wmi_of(management), guest_run, guest_discard);
        if (kvpbus_wmi_carry_out(&guest->call, &error, failure)) {
            error = guest->call.error;
            if (error == KVPBUS_OK)
                give_scans(guest, scans, results);
            guest_discard(&guest->call.work.task);
        }
    }
    for (size_t i = 0; error != KVPBUS_OK && i < count; i++) {
        kvpbus_scan_clear(&scans[i]);
        results[i] = error;
    }
    return error;
}

// --- the items of the host ---

struct host_call {
    struct kvpbus_wmi_call call;
    char prefix[KVPBUS_PREFIX_MAX + 1];
    uint8_t guid[KVPBUS_GUID_BYTES];
    struct kvpbus_scan scan;
    bool found;
};

static HRESULT take_host_items(void *context, IWbemClassObject *object)
{
    struct host_call *host = context;
    char id[128];
    uint8_t guid[KVPBUS_GUID_BYTES];
    bool set;
    long items;
    HRESULT result = kvpbus_com_text(object, L"InstanceID", id, sizeof id, &set);
    if (FAILED(result) || host->found || !kvpbus_wmi_instance_vm(id, guid) ||
        memcmp(guid, host->guid, sizeof guid) != 0)
        return result;
    host->found = true;
    return kvpbus_com_items(object, L"HostExchangeItems", host->prefix, &host->scan, &items);
}

static HRESULT host_step(struct kvpbus_wmi_connection *connection, struct kvpbus_wmi_call *call)
{
    struct host_call *host = (struct host_call *)call;
    char query[KVPBUS_WMI_QUERY_ROOM];
    host->found = false;
    kvpbus_scan_clear(&host->scan);
    kvpbus_wmi_host_query(host->guid, query);
    call->work.step = "reading the items of the host";
    HRESULT result = kvpbus_wmi_query(connection, &call->work, query, take_host_items, host);
    if (FAILED(result) || host->found)
        return result;
    struct kvpbus_vm *vms;
    size_t count;
    result = kvpbus_wmi_list_vms(connection, call, &vms, &count);
    if (FAILED(result))
        return result;
    bool unknown = reason_of(vms, count, host->guid, false) == KVPBUS_VM_UNKNOWN;
    free(vms);
    call->error = unknown ? kvpbus_fail(&call->failure, KVPBUS_VM_UNKNOWN, "%s",
                                        kvpbus_error_text(KVPBUS_VM_UNKNOWN))
                          : kvpbus_fail(&call->failure, KVPBUS_STORE_GONE,
                                        "the VM has no settings of Data Exchange");
    return S_OK;
}

static void host_run(struct kvpbus_wmi_task *task)
{
    struct kvpbus_wmi_call *call = (struct kvpbus_wmi_call *)task;
    HRESULT result = kvpbus_wmi_attempt(call, host_step);
    if (FAILED(result))
        kvpbus_wmi_failed(call, result);
}

static void host_discard(struct kvpbus_wmi_task *task)
{
    struct host_call *host = (struct host_call *)task;
    kvpbus_scan_free(&host->scan);
    free(host);
}

enum kvpbus_error kvpbus_wmi_read_host(struct kvpbus_management *management, const char *prefix,
                                       const uint8_t guid[KVPBUS_GUID_BYTES],
                                       struct kvpbus_scan *scan, struct kvpbus_failure *failure)
{
    enum kvpbus_error error;
    kvpbus_scan_clear(scan);
    struct host_call *host = calloc(1, sizeof *host);
    if (host == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "reading the items of the host");
    memcpy(host->guid, guid, sizeof host->guid);
    strncpy(host->prefix, prefix, sizeof host->prefix - 1);
    kvpbus_wmi_prepare(&host->call, kvpbus_wmi_of(management), host_run, host_discard);
    if (!kvpbus_wmi_carry_out(&host->call, &error, failure))
        return error;
    error = host->call.error;
    if (error == KVPBUS_OK) {
        struct kvpbus_scan own = *scan;
        *scan = host->scan;
        host->scan = own; // freed with the call
    }
    host_discard(&host->call.work.task);
    return error;
}
