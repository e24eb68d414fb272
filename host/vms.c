// SPDX-License-Identifier: Apache-2.0
#include "vms.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof((struct kvpbus_vm *)NULL)->name == sizeof((struct kvpbus_peer *)NULL)->name,
              "a peer is named as its VM is");

enum { LIST_EVERY = 2000 }; // ms between two looks at which VMs there are

struct vm {
    struct kvpbus_vms *vms;
    struct kvpbus_vm known;
    struct kvpbus_store *store;
    struct kvpbus_endpoint *endpoint; // NULL until its row is there
    bool seen;                        // in the present listing
    enum kvpbus_error said;           // last, why there is none
};

struct kvpbus_vms {
    struct kvpbus_management *management;
    const char *prefix;
    struct kvpbus_service *service;
    uv_timer_t timer;
    uv_work_t work;
    bool listing;
    struct kvpbus_vm *listed;
    size_t listed_count;
    enum kvpbus_error error, said;
    struct kvpbus_failure failure;
    struct vm **all;
    size_t count;
};

struct kvpbus_vms *kvpbus_vms_new(struct kvpbus_management *management, const char *prefix)
{
    struct kvpbus_vms *vms = calloc(1, sizeof *vms);
    if (vms == NULL)
        abort();
    vms->management = management;
    vms->prefix = prefix;
    return vms;
}

// --- which VMs there are ---
// Why nothing can be exchanged with the VM now; NULL: it can.
static const char *obstacle(const struct vm *vm)
{
    if (!vm->seen)
        return "the VM is gone from this host; what is queued waits for it";
    if (!vm->known.exchange_enabled)
        return "Data Exchange is switched off for the VM";
    switch (vm->known.state) {
    case KVPBUS_VM_STATE_RUNNING:
    case KVPBUS_VM_STATE_FAILED:
        return NULL;
    case KVPBUS_VM_STATE_PAUSED:
        return "the VM is paused";
    case KVPBUS_VM_STATE_SAVED:
        return "the VM is saved";
    case KVPBUS_VM_STATE_STARTING:
        return "the VM is starting";
    default:
        return "the VM is off";
    }
}

static void show_obstacle(struct vm *vm)
{
    const char *why = obstacle(vm);
    if (vm->endpoint != NULL)
        kvpbus_endpoint_suspend(vm->endpoint, why != NULL, why);
}

// One that has an endpoint keeps it though its new name could not be kept.
static void on_added(void *context, struct kvpbus_endpoint *endpoint,
                     const struct kvpbus_failure *failure)
{
    struct vm *vm = context;
    if (endpoint != NULL)
        vm->endpoint = endpoint;
    else if (failure->code != vm->said)
        kvpbus_log_event(KVPBUS_LOGGED_NOT_SERVED, vm->known.name, "%s: %s",
                         vm->endpoint == NULL ? "cannot be served" : "its name cannot be kept",
                         failure->detail);
    vm->said = endpoint != NULL ? KVPBUS_OK : failure->code;
    show_obstacle(vm);
}

static struct vm *find(struct kvpbus_vms *vms, const uint8_t guid[KVPBUS_GUID_BYTES])
{
    for (size_t i = 0; i < vms->count; i++)
        if (memcmp(vms->all[i]->known.guid, guid, KVPBUS_GUID_BYTES) == 0)
            return vms->all[i];
    return NULL;
}

static struct vm *add(struct kvpbus_vms *vms, const uint8_t guid[KVPBUS_GUID_BYTES])
{
    struct vm *vm = calloc(1, sizeof *vm);
    struct vm **grown = realloc(vms->all, (vms->count + 1) * sizeof *grown);
    if (vm == NULL || grown == NULL)
        abort();
    vms->all = grown;
    vm->vms = vms;
    memcpy(vm->known.guid, guid, KVPBUS_GUID_BYTES);
    if (kvpbus_management_store_open(vms->management, guid, vms->prefix, &vm->store) != KVPBUS_OK)
        abort(); // out of memory
    vms->all[vms->count++] = vm;
    return vm;
}

// Those that the journal knows, before the first listing.
static void add_known(struct kvpbus_vms *vms)
{
    for (size_t i = 0; i < vms->service->endpoint_count; i++) {
        struct kvpbus_endpoint *endpoint = vms->service->endpoints[i];
        add(vms, kvpbus_endpoint_peer(endpoint)->vm)->endpoint = endpoint;
        kvpbus_endpoint_suspend(endpoint, true, "the VM has not been looked for yet");
    }
}

void kvpbus_vms_rebound(void *program)
{
    struct kvpbus_vms *vms = program;
    for (size_t i = 0; i < vms->count; i++)
        vms->all[i]->endpoint = NULL;
    for (size_t i = 0; i < vms->service->endpoint_count; i++) {
        struct kvpbus_endpoint *endpoint = vms->service->endpoints[i];
        const uint8_t *guid = kvpbus_endpoint_peer(endpoint)->vm;
        struct vm *vm = find(vms, guid);
        if (vm == NULL)
            vm = add(vms, guid);
        vm->endpoint = endpoint;
    }
    for (size_t i = 0; i < vms->count; i++)
        show_obstacle(vms->all[i]);
}

static void take_list(struct kvpbus_vms *vms)
{
    for (size_t i = 0; i < vms->count; i++)
        vms->all[i]->seen = false;
    for (size_t i = 0; i < vms->listed_count; i++) {
        struct vm *vm = find(vms, vms->listed[i].guid);
        bool renamed = vm != NULL && strcmp(vm->known.name, vms->listed[i].name) != 0;
        if (vm == NULL)
            vm = add(vms, vms->listed[i].guid);
        // No peer is forgotten while the service runs: too many stay too many. A name that could
        // not be kept is tried again.
        if (vm->endpoint == NULL ? vm->said != KVPBUS_TOO_LARGE : renamed || vm->said != KVPBUS_OK)
            kvpbus_service_add_peer(vms->service, vms->listed[i].guid, vms->listed[i].name,
                                    on_added, vm);
        vm->known = vms->listed[i];
        vm->seen = true;
    }
    for (size_t i = 0; i < vms->count; i++)
        show_obstacle(vms->all[i]);
}

static void list_work(uv_work_t *work)
{
    struct kvpbus_vms *vms = work->data;
    vms->error = vms->management->ops->list(vms->management, &vms->listed, &vms->listed_count,
                                            &vms->failure);
}

static void list_done(uv_work_t *work, int status)
{
    struct kvpbus_vms *vms = work->data;
    (void)status;
    vms->listing = false;
    vms->service->calls--;
    if (vms->error == KVPBUS_OK) {
        if (!vms->service->stopping)
            take_list(vms);
        free(vms->listed);
        vms->listed = NULL;
        if (vms->said != KVPBUS_OK)
            kvpbus_log_event(KVPBUS_LOGGED_MANAGEMENT_BACK, NULL,
                             "the management service answers again");
    } else if (vms->error != vms->said) {
        kvpbus_log_event(KVPBUS_LOGGED_MANAGEMENT_GONE, NULL, "%s", vms->failure.detail);
    }
    vms->said = vms->error;
}

static void on_timer(uv_timer_t *timer)
{
    struct kvpbus_vms *vms = timer->data;
    if (vms->listing || vms->service->stopping)
        return;
    vms->listing = true;
    vms->work.data = vms;
    vms->service->calls++;
    uv_queue_work(vms->service->loop, &vms->work, list_work, list_done);
}

void kvpbus_vms_start(struct kvpbus_vms *vms, struct kvpbus_service *service)
{
    vms->service = service;
    add_known(vms);
    uv_timer_init(service->loop, &vms->timer);
    vms->timer.data = vms;
    uv_timer_start(&vms->timer, on_timer, 0, LIST_EVERY);
    uv_unref((uv_handle_t *)&vms->timer);
}

void kvpbus_vms_free(struct kvpbus_vms *vms)
{
    uv_close((uv_handle_t *)&vms->timer, NULL);
    uv_run(vms->service->loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < vms->count; i++) {
        kvpbus_store_close(vms->all[i]->store);
        free(vms->all[i]);
    }
    free(vms->all);
    free(vms);
}

// --- their stores ---

struct kvpbus_store *kvpbus_vms_store(void *program, const struct kvpbus_endpoint *endpoint)
{
    struct kvpbus_vms *vms = program;
    for (size_t i = 0; i < vms->count; i++)
        if (vms->all[i]->endpoint == endpoint)
            return vms->all[i]->store;
    abort(); // an endpoint is made only for a VM of ours
}

struct query {
    uv_work_t work;
    struct kvpbus_vms *vms;
    size_t count;
    struct kvpbus_endpoint **endpoints;
    uint8_t (*guids)[KVPBUS_GUID_BYTES];
    struct kvpbus_scan *scans;
    enum kvpbus_error *results;
    enum kvpbus_error error;
    struct kvpbus_failure failure;
};

static void free_query(struct query *query)
{
    free(query->endpoints);
    free(query->guids);
    free(query->scans);
    free(query->results);
    free(query);
}

static void query_work(uv_work_t *work)
{
    struct query *query = work->data;
    struct kvpbus_management *management = query->vms->management;
    query->error = management->ops->read_guest(
        management, query->vms->prefix, (const uint8_t(*)[KVPBUS_GUID_BYTES])query->guids,
        query->count, query->scans, query->results, &query->failure);
}

static void query_done(uv_work_t *work, int status)
{
    struct query *query = work->data;
    (void)status;
    query->vms->service->calls--;
    kvpbus_service_tick(query->vms->service);
    for (size_t i = 0; i < query->count; i++) {
        enum kvpbus_error error = query->error != KVPBUS_OK ? query->error : query->results[i];
        struct kvpbus_failure failure = query->failure;
        if (query->error == KVPBUS_OK && error != KVPBUS_OK)
            kvpbus_fail(&failure, error, "%s", kvpbus_error_text(error));
        kvpbus_bus_read_done(query->endpoints[i], KVPBUS_ACTION_READ_PEER, error, &query->scans[i],
                             &failure);
        kvpbus_scan_free(&query->scans[i]);
    }
    free_query(query);
}

static struct query *new_query(struct kvpbus_vms *vms, size_t capacity)
{
    struct query *query = calloc(1, sizeof *query);
    if (query != NULL) {
        query->endpoints = calloc(capacity, sizeof(struct kvpbus_endpoint *));
        query->guids = calloc(capacity, sizeof *query->guids);
        query->scans = calloc(capacity, sizeof *query->scans);
        query->results = calloc(capacity, sizeof *query->results);
    }
    if (query == NULL || query->endpoints == NULL || query->guids == NULL || query->scans == NULL ||
        query->results == NULL)
        abort(); // a few hundred bytes a VM
    query->work.data = query;
    query->vms = vms;
    return query;
}

static void add_to(struct query *query, struct kvpbus_endpoint *endpoint)
{
    query->endpoints[query->count] = endpoint;
    memcpy(query->guids[query->count], kvpbus_endpoint_peer(endpoint)->vm, KVPBUS_GUID_BYTES);
    query->count++;
}

static void start_query(struct query *query)
{
    query->vms->service->calls++;
    uv_queue_work(query->vms->service->loop, &query->work, query_work, query_done);
}

// One query for all, but for VMs whose stores take long: each of these is asked alone, so that
// nobody waits for it.
void kvpbus_vms_read(void *program, struct kvpbus_endpoint **endpoints, size_t count)
{
    struct kvpbus_vms *vms = program;
    struct query *all = new_query(vms, count);
    for (size_t i = 0; i < count; i++) {
        struct query *query = kvpbus_endpoint_stuffed(endpoints[i]) ? new_query(vms, 1) : all;
        add_to(query, endpoints[i]);
        if (query != all)
            start_query(query);
    }
    if (all->count > 0)
        start_query(all);
    else
        free_query(all);
}
