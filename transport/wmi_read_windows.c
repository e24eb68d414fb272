// SPDX-License-Identifier: Apache-2.0
//
// The items of guests and of the host, read over WMI.
#include <stdlib.h>
#include <string.h>

#include "wmi_management_windows.h"
#include "wmi_text.h"

// OperationalStatus of a VM's part of Data Exchange.
enum { STATUS_NO_CONTACT = 12, STATUS_LOST_COMMUNICATION = 13 };

// --- the items of guests ---

struct guest_call {
    struct kvpbus_wmi_call call;
    char prefix[KVPBUS_PREFIX_MAX + 1];
    size_t count;
    uint8_t (*guids)[KVPBUS_GUID_BYTES];
    struct kvpbus_scan *scans;
    enum kvpbus_error *results;
    bool *settled; // the result is final
};

// The position of a VM among those that are asked for; their number when it is not.
static size_t position(const struct guest_call *guest, const uint8_t guid[KVPBUS_GUID_BYTES])
{
    size_t i = 0;
    while (i < guest->count && memcmp(guest->guids[i], guid, KVPBUS_GUID_BYTES) != 0)
        i++;
    return i;
}

// Without contact there are no items, or those of before; what of it is the matter, the VM's state
// tells.
static bool readable(IWbemClassObject *object, bool any)
{
    uint32_t enabled, status;
    bool enabled_set, status_set;
    if (FAILED(kvpbus_com_number(object, L"EnabledState", &enabled, &enabled_set)) ||
        FAILED(kvpbus_com_first_number(object, L"OperationalStatus", &status, &status_set)))
        return false;
    if (enabled_set && enabled == 3)
        return false;
    return any || !status_set ||
           (status != STATUS_NO_CONTACT && status != STATUS_LOST_COMMUNICATION);
}

static HRESULT take_component(void *context, IWbemClassObject *object)
{
    struct guest_call *guest = context;
    char id[64];
    uint8_t guid[KVPBUS_GUID_BYTES];
    bool set, any, any_intrinsic = false;
    HRESULT result = kvpbus_com_text(object, L"SystemName", id, sizeof id, &set);
    if (FAILED(result) || !kvpbus_guid_parse(id, guid))
        return result;
    size_t index = position(guest, guid);
    if (index == guest->count || guest->settled[index])
        return S_OK;
    struct kvpbus_scan *scan = &guest->scans[index];
    result = kvpbus_com_items(object, L"GuestExchangeItems", guest->prefix, scan, &any);
    if (SUCCEEDED(result) && guest->call.wmi->with_intrinsic)
        result = kvpbus_com_items(object, L"GuestIntrinsicExchangeItems", guest->prefix, scan,
                                  &any_intrinsic);
    if (FAILED(result))
        return result;
    guest->settled[index] = readable(object, any || any_intrinsic);
    guest->results[index] = KVPBUS_OK;
    if (!guest->settled[index])
        kvpbus_scan_clear(scan);
    return S_OK;
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

static enum kvpbus_error reason_of(const struct kvpbus_vm *vms, size_t count,
                                   const uint8_t guid[KVPBUS_GUID_BYTES])
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(vms[i].guid, guid, KVPBUS_GUID_BYTES) != 0)
            continue;
        if (vms[i].state == KVPBUS_VM_STATE_OFF || vms[i].state == KVPBUS_VM_STATE_STOPPING ||
            vms[i].state == KVPBUS_VM_STATE_SAVED)
            return KVPBUS_VM_OFF;
        return vms[i].exchange_enabled ? KVPBUS_STORE_GONE : KVPBUS_EXCHANGE_DISABLED;
    }
    return KVPBUS_VM_UNKNOWN;
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
            guest->results[i] = reason_of(vms, count, guest->guids[i]);
    }
    free(vms);
    return S_OK;
}

static HRESULT guest_step(struct kvpbus_wmi_connection *connection, struct kvpbus_wmi_call *call)
{
    struct guest_call *guest = (struct guest_call *)call;
    char query[KVPBUS_WMI_QUERY_ROOM];
    for (size_t i = 0; i < guest->count; i++) {
        guest->settled[i] = false;
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
    if (guest->guids == NULL || guest->scans == NULL || guest->results == NULL ||
        guest->settled == NULL) {
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
    bool set, any;
    HRESULT result = kvpbus_com_text(object, L"InstanceID", id, sizeof id, &set);
    if (FAILED(result) || host->found || !kvpbus_wmi_instance_vm(id, guid) ||
        memcmp(guid, host->guid, sizeof guid) != 0)
        return result;
    host->found = true;
    return kvpbus_com_items(object, L"HostExchangeItems", host->prefix, &host->scan, &any);
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
    bool unknown = reason_of(vms, count, host->guid) == KVPBUS_VM_UNKNOWN;
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
