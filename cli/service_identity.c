// SPDX-License-Identifier: Apache-2.0
//
// What changes who is who while the service runs: a new identity of this side, a VM under another
// id.
#include <stdlib.h>
#include <string.h>

#include "kvpbus/identity.h"
#include "service.h"

// --- a new identity of this side ---

enum kvpbus_error kvpbus_service_rotate(struct kvpbus_service *service, bool force,
                                        struct kvpbus_failure *failure)
{
    struct kvpbus_state_dir *state = &service->state;
    const struct kvpbus_peer *behind = kvpbus_bus_left_behind(service->bus);
    char fingerprint[KVPBUS_FINGERPRINT_TEXT];
    if (behind != NULL && !force)
        return kvpbus_fail(
            failure, KVPBUS_BUSY,
            "%s has not been here since the identity was replaced %d times; with one "
            "more it would have to be paired again: start it first, or give --force",
            behind->name, KVPBUS_STATEMENTS_MAX);
    enum kvpbus_error error = kvpbus_state_dir_rotate(state, service->options.role, failure);
    if (error != KVPBUS_OK)
        return error;
    kvpbus_service_tick(service);
    kvpbus_bus_rotate(service->bus, state->identity, state->secret, &state->rotation);
    kvpbus_fingerprint(state->identity, fingerprint);
    kvpbus_log_event(KVPBUS_LOGGED_ROTATED, NULL, "this side has a new identity: %s", fingerprint);
    return KVPBUS_OK;
}

// --- a VM under another id ---

// A VM's new id waits for its turn with the two endpoints.
struct rebind_call {
    struct kvpbus_service *service;
    struct kvpbus_endpoint *endpoint, *other; // NULL: nobody has that id
    uint8_t vm[KVPBUS_VM_ID_BYTES];
    bool started;
    kvpbus_done_fn *callback;
    void *context;
};

static void rebind_done(void *context, const struct kvpbus_failure *failure)
{
    struct rebind_call *call = context;
    struct kvpbus_service *service = call->service;
    service->rebind = NULL;
    service->calls--;
    if (failure->code == KVPBUS_OK && service->ops->rebound != NULL)
        service->ops->rebound(service->program);
    kvpbus_endpoint_release(call->endpoint);
    if (call->other != NULL)
        kvpbus_endpoint_release(call->other);
    call->callback(call->context, failure);
    free(call);
}

static struct kvpbus_endpoint *endpoint_of_vm(const struct kvpbus_service *service,
                                              const uint8_t vm[KVPBUS_VM_ID_BYTES])
{
    for (size_t i = 0; i < service->endpoint_count; i++)
        if (memcmp(kvpbus_endpoint_peer(service->endpoints[i])->vm, vm, KVPBUS_VM_ID_BYTES) == 0)
            return service->endpoints[i];
    return NULL;
}

// Whoever has the id now: it may have been listed since the call was made.
static void hold_other(struct rebind_call *call)
{
    if (call->other != NULL)
        return;
    call->other = endpoint_of_vm(call->service, call->vm);
    if (call->other != NULL)
        kvpbus_endpoint_hold(call->other);
}

void kvpbus_service_start_rebind(struct kvpbus_service *service)
{
    struct rebind_call *call = service->rebind;
    if (call == NULL || call->started)
        return;
    hold_other(call);
    if (!kvpbus_endpoint_quiet(call->endpoint) ||
        (call->other != NULL && !kvpbus_endpoint_quiet(call->other)))
        return;
    call->started = true;
    kvpbus_endpoint_take(call->endpoint);
    if (call->other != NULL)
        kvpbus_endpoint_take(call->other);
    kvpbus_bus_rebind(call->endpoint, call->vm, rebind_done, call);
}

// Whether it may be now; the journal looks at the rest.
static enum kvpbus_error may_rebind(const struct kvpbus_service *service,
                                    const struct kvpbus_endpoint *endpoint, bool force,
                                    struct kvpbus_failure *failure)
{
    const char *name = kvpbus_endpoint_peer(endpoint)->name;
    struct kvpbus_link_status status;
    if (service->options.role != KVPBUS_ROLE_HOST)
        return kvpbus_fail(failure, KVPBUS_UNSUPPORTED, "that is done on the host, not in a VM");
    if (service->rebind != NULL || service->move != NULL)
        return kvpbus_fail(failure, KVPBUS_BUSY, "another VM is being %s; try again",
                           service->rebind != NULL ? "rebound" : "moved");
    kvpbus_endpoint_status(endpoint, &status);
    if (status.state != KVPBUS_LINK_SUSPENDED && !force)
        return kvpbus_fail(failure, KVPBUS_BUSY,
                           "%s is here and running, so the other one may be a clone of it: stop "
                           "it, or give --force and it has to be paired again as a new VM",
                           name);
    return KVPBUS_OK;
}

void kvpbus_service_rebind(struct kvpbus_service *service, struct kvpbus_endpoint *endpoint,
                           const uint8_t vm[KVPBUS_VM_ID_BYTES], bool force,
                           kvpbus_done_fn *callback, void *context)
{
    struct kvpbus_failure failure = {0};
    if (endpoint_of_vm(service, vm) == endpoint)
        kvpbus_fail(&failure, KVPBUS_INVALID_ARGUMENT, "%s has this id already",
                    kvpbus_endpoint_peer(endpoint)->name);
    if (failure.code != KVPBUS_OK || may_rebind(service, endpoint, force, &failure) != KVPBUS_OK) {
        callback(context, &failure);
        return;
    }
    struct rebind_call *call = calloc(1, sizeof *call);
    if (call == NULL)
        abort();
    call->service = service;
    call->endpoint = endpoint;
    memcpy(call->vm, vm, sizeof call->vm);
    call->callback = callback;
    call->context = context;
    service->rebind = call;
    service->calls++;
    kvpbus_endpoint_hold(endpoint);
    hold_other(call);
}
