// SPDX-License-Identifier: Apache-2.0
//
// Store calls of a service, on pool threads.
#include <stdlib.h>

#include "service.h"

// --- of the bus ---

struct store_call {
    uv_work_t work;
    struct kvpbus_service *service;
    struct kvpbus_endpoint *endpoint;
    struct kvpbus_store *store;
    enum kvpbus_action_kind kind;
    const struct kvpbus_change *changes;
    size_t count;
    struct kvpbus_scan scan;
    enum kvpbus_error error;
    enum kvpbus_error results[KVPBUS_CHANGES_MAX];
    struct kvpbus_failure failure;
};

static void call_work(uv_work_t *work)
{
    struct store_call *call = work->data;
    const struct kvpbus_store_ops *ops = call->store->ops;
    if (call->kind == KVPBUS_ACTION_WRITE)
        call->error =
            ops->write(call->store, call->changes, call->count, call->results, &call->failure);
    else if (call->kind == KVPBUS_ACTION_READ_OWN)
        call->error = ops->read_own(call->store, &call->scan, &call->failure);
    else
        call->error = ops->read_peer(call->store, &call->scan, &call->failure);
}

static void call_done(uv_work_t *work, int status)
{
    struct store_call *call = work->data;
    (void)status;
    call->service->calls--;
    kvpbus_service_tick(call->service);
    if (call->kind == KVPBUS_ACTION_WRITE)
        kvpbus_bus_write_done(call->endpoint, call->results, &call->failure);
    else
        kvpbus_bus_read_done(call->endpoint, call->kind, call->error, &call->scan, &call->failure);
    kvpbus_scan_free(&call->scan);
    free(call);
}

static void start_call(struct kvpbus_service *service, const struct kvpbus_action *action)
{
    struct store_call *call = calloc(1, sizeof *call);
    if (call == NULL)
        abort(); // a few KiB: nothing that was promised is lost, the journal has it
    call->work.data = call;
    call->service = service;
    call->endpoint = action->endpoint;
    call->store = service->ops->store(service->program, action->endpoint);
    call->kind = action->kind;
    call->changes = action->changes;
    call->count = action->count;
    service->calls++;
    uv_queue_work(service->loop, &call->work, call_work, call_done);
}

void kvpbus_service_take_actions(struct kvpbus_service *service)
{
    struct kvpbus_endpoint **readers = NULL;
    size_t reader_count = 0;
    if (service->endpoint_count > 0)
        readers = calloc(service->endpoint_count, sizeof *readers);
    for (size_t i = 0; readers != NULL && i < service->endpoint_count; i++) {
        struct kvpbus_action action;
        while (kvpbus_bus_action(service->endpoints[i], &action)) {
            if (action.kind == KVPBUS_ACTION_READ_PEER && service->ops->read_peers != NULL)
                readers[reader_count++] = action.endpoint;
            else
                start_call(service, &action);
        }
    }
    if (reader_count > 0)
        service->ops->read_peers(service->program, readers, reader_count);
    free(readers);
}

// --- of the items ---

// Both stores for `kvpbus items`. The contract of a store forbids two calls of a kind at once, so
// this one waits for its turn, and holds the bus back meanwhile.
struct both_call {
    uv_work_t work;
    struct both_call *next;
    struct kvpbus_endpoint *endpoint;
    struct kvpbus_service *service;
    struct kvpbus_store *store;
    struct kvpbus_scan own, peer;
    struct kvpbus_failure failure;
    kvpbus_both_fn *callback;
    void *context;
};

static void both_work(uv_work_t *work)
{
    struct both_call *call = work->data;
    if (call->store->ops->read_own(call->store, &call->own, &call->failure) == KVPBUS_OK)
        call->store->ops->read_peer(call->store, &call->peer, &call->failure);
}

static void both_done(uv_work_t *work, int status)
{
    struct both_call *call = work->data;
    (void)status;
    call->service->calls--;
    kvpbus_endpoint_release(call->endpoint);
    call->callback(call->context, &call->own, &call->peer, &call->failure);
    kvpbus_scan_free(&call->own);
    kvpbus_scan_free(&call->peer);
    free(call);
}

void kvpbus_service_read_both(struct kvpbus_service *service, struct kvpbus_endpoint *endpoint,
                              kvpbus_both_fn *callback, void *context)
{
    struct both_call *call = calloc(1, sizeof *call);
    if (call == NULL)
        abort();
    call->work.data = call;
    call->service = service;
    call->endpoint = endpoint;
    call->callback = callback;
    call->context = context;
    service->calls++;
    kvpbus_endpoint_hold(endpoint);
    call->next = service->held_calls;
    service->held_calls = call;
}

void kvpbus_service_start_held(struct kvpbus_service *service)
{
    for (struct both_call **link = &service->held_calls; *link != NULL;) {
        struct both_call *call = *link;
        if (!kvpbus_endpoint_quiet(call->endpoint)) {
            link = &call->next;
            continue;
        }
        *link = call->next;
        kvpbus_endpoint_take(call->endpoint);
        call->store = service->ops->store(service->program, call->endpoint);
        uv_queue_work(service->loop, &call->work, both_work, both_done);
    }
}
