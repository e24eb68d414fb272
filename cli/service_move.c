// SPDX-License-Identifier: Apache-2.0
//
// A VM that goes to another host, and one that comes, while the service runs. What was exported
// stays in the state folder as moved-<GUID>, for --undo, until the VM is exported or comes again.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "kvpbus/management.h"
#include "service.h"

typedef void move_fn(struct kvpbus_endpoint *endpoint, const struct kvpbus_moving *moving,
                     kvpbus_done_fn *callback, void *context);

// It waits for its turn with the endpoint.
struct move_call {
    struct kvpbus_service *service;
    struct kvpbus_endpoint *endpoint; // NULL: it is being added
    bool started;
    move_fn *move;
    struct kvpbus_moving moving;
    kvpbus_done_fn *callback;
    void *context;
};

#define EXPORT "export.part"
#define IMPORT "import.part"
#define IMPORTED "import.journal"

static void name(const char *state, const char *file, char path[KVPBUS_MOVE_PATH])
{
    snprintf(path, KVPBUS_MOVE_PATH, "%s/%s", state, file);
}

void kvpbus_move_path(const struct kvpbus_service *service, const char *what,
                      char path[KVPBUS_MOVE_PATH])
{
    name(service->state.path, strcmp(what, "export") == 0 ? EXPORT : IMPORT, path);
}

void kvpbus_move_clear(const char *state)
{
    static const char *const files[] = {EXPORT, IMPORT, IMPORTED};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[KVPBUS_MOVE_PATH];
        name(state, files[i], path);
        kvpbus_file_remove(path);
    }
}

static void copy_path(const struct kvpbus_service *service, const uint8_t vm[KVPBUS_VM_ID_BYTES],
                      char path[KVPBUS_MOVE_PATH])
{
    char file[8 + KVPBUS_GUID_TEXT], guid[KVPBUS_GUID_TEXT + 1];
    kvpbus_guid_format(vm, guid);
    snprintf(file, sizeof file, "moved-%s", guid);
    name(service->state.path, file, path);
}

static void finish(struct move_call *call, const struct kvpbus_failure *failure)
{
    char path[KVPBUS_MOVE_PATH];
    struct kvpbus_service *service = call->service;
    service->move = NULL;
    service->calls--;
    if (call->endpoint != NULL)
        kvpbus_endpoint_release(call->endpoint);
    // What is in the journal again is not kept beside it.
    if (failure->code == KVPBUS_OK && call->move != kvpbus_bus_export) {
        copy_path(service, kvpbus_endpoint_peer(call->endpoint)->vm, path);
        kvpbus_file_remove(path);
    }
    call->callback(call->context, failure);
    free(call);
}

static void move_done(void *context, const struct kvpbus_failure *failure)
{
    finish(context, failure);
}

void kvpbus_service_start_move(struct kvpbus_service *service)
{
    struct move_call *call = service->move;
    if (call == NULL || call->started || call->endpoint == NULL ||
        !kvpbus_endpoint_quiet(call->endpoint))
        return;
    call->started = true;
    kvpbus_endpoint_take(call->endpoint);
    call->move(call->endpoint, &call->moving, move_done, call);
}

// Whether it may be now; the journal looks at the rest.
static enum kvpbus_error may_move(const struct kvpbus_service *service,
                                  const struct kvpbus_endpoint *endpoint, bool forth,
                                  struct kvpbus_failure *failure)
{
    struct kvpbus_link_status status;
    if (service->options.role != KVPBUS_ROLE_HOST)
        return kvpbus_fail(failure, KVPBUS_UNSUPPORTED, "that is done on the host, not in a VM");
    if (service->move != NULL || service->rebind != NULL)
        return kvpbus_fail(failure, KVPBUS_BUSY, "another VM is being moved; try again");
    if (endpoint == NULL || !forth || kvpbus_endpoint_peer(endpoint)->moved)
        return KVPBUS_OK;
    kvpbus_endpoint_status(endpoint, &status);
    if (status.state != KVPBUS_LINK_SUSPENDED)
        return kvpbus_fail(failure, KVPBUS_BUSY,
                           "%s runs on this host: move it first, or stop or pause it, then export "
                           "it",
                           kvpbus_endpoint_peer(endpoint)->name);
    return KVPBUS_OK;
}

static struct move_call *begin(struct kvpbus_service *service, struct kvpbus_endpoint *endpoint,
                               move_fn *move, kvpbus_done_fn *callback, void *context)
{
    struct kvpbus_failure failure = {0};
    if (may_move(service, endpoint, move == kvpbus_bus_export, &failure) != KVPBUS_OK) {
        callback(context, &failure);
        return NULL;
    }
    struct move_call *call = calloc(1, sizeof *call);
    if (call == NULL)
        abort();
    call->service = service;
    call->endpoint = endpoint;
    call->move = move;
    call->callback = callback;
    call->context = context;
    service->move = call;
    service->calls++;
    if (endpoint != NULL)
        kvpbus_endpoint_hold(endpoint);
    return call;
}

void kvpbus_service_export(struct kvpbus_service *service, struct kvpbus_endpoint *endpoint,
                           const uint8_t host[KVPBUS_IDENTITY_BYTES], kvpbus_done_fn *callback,
                           void *context)
{
    struct move_call *call = begin(service, endpoint, kvpbus_bus_export, callback, context);
    if (call == NULL)
        return;
    copy_path(service, kvpbus_endpoint_peer(endpoint)->vm, call->moving.copy);
    name(service->state.path, EXPORT, call->moving.sealed);
    memcpy(call->moving.host, host, sizeof call->moving.host);
}

void kvpbus_service_export_undo(struct kvpbus_service *service, struct kvpbus_endpoint *endpoint,
                                kvpbus_done_fn *callback, void *context)
{
    struct move_call *call = begin(service, endpoint, kvpbus_bus_export_undo, callback, context);
    if (call != NULL)
        copy_path(service, kvpbus_endpoint_peer(endpoint)->vm, call->moving.copy);
}

static void on_added(void *context, struct kvpbus_endpoint *endpoint,
                     const struct kvpbus_failure *failure)
{
    struct move_call *call = context;
    if (endpoint == NULL) {
        finish(call, failure);
        return;
    }
    call->endpoint = endpoint;
    kvpbus_endpoint_hold(endpoint);
    if (call->service->ops->rebound != NULL)
        call->service->ops->rebound(call->service->program);
}

void kvpbus_service_import(struct kvpbus_service *service, const struct kvpbus_parcel *parcel,
                           bool replace, kvpbus_done_fn *callback, void *context)
{
    struct kvpbus_endpoint *endpoint = NULL;
    for (size_t i = 0; i < service->endpoint_count; i++)
        if (memcmp(kvpbus_endpoint_peer(service->endpoints[i])->vm, parcel->vm,
                   sizeof parcel->vm) == 0)
            endpoint = service->endpoints[i];
    struct move_call *call = begin(service, endpoint, kvpbus_bus_import, callback, context);
    if (call == NULL)
        return;
    name(service->state.path, IMPORTED, call->moving.copy);
    name(service->state.path, IMPORT, call->moving.sealed);
    memcpy(call->moving.host, parcel->from, sizeof call->moving.host);
    call->moving.replace = replace;
    if (endpoint == NULL) // it has not been seen here yet, or is not running
        kvpbus_service_add_peer(service, parcel->vm, parcel->name, on_added, call);
}
