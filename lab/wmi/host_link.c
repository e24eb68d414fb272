// SPDX-License-Identifier: Apache-2.0
//
// Requests to the lab.
#include <stdatomic.h>
#include <stdlib.h>

#include "host_internal.h"
#include "lab_channels.h"

enum {
    CONNECT_MS = 10000,
    // Longer than the lab's longest latency, an hour: a client that waits less gives up by itself.
    REPLY_MS = 3700000,
};

struct kvpbus_cim_host {
    atomic_int references;
    struct kvpbus_cim_scope scope;
    struct kvpbus_lab_channels channels;
    uint64_t incarnation; // of the service that this is connected to; 0 before that
};

static enum kvpbus_cim_status status_of(enum kvpbus_error error)
{
    switch (error) {
    case KVPBUS_OK:
        return KVPBUS_CIM_OK;
    case KVPBUS_NOMEM:
        return KVPBUS_CIM_NOMEM;
    case KVPBUS_ACCESS:
        return KVPBUS_CIM_ACCESS_DENIED;
    case KVPBUS_STORE_GONE:
    case KVPBUS_TIMEOUT:
    case KVPBUS_CLOSED:
        return KVPBUS_CIM_UNREACHABLE;
    default:
        return KVPBUS_CIM_FAILED;
    }
}

static enum kvpbus_cim_status status_of_service(Kvpbus__Lab__ServiceState state)
{
    switch (state) {
    case KVPBUS__LAB__SERVICE_STATE__SERVICE_NORMAL:
        return KVPBUS_CIM_OK;
    case KVPBUS__LAB__SERVICE_STATE__SERVICE_RESTARTED:
        return KVPBUS_CIM_DISCONNECTED;
    case KVPBUS__LAB__SERVICE_STATE__SERVICE_STOPPED:
        return KVPBUS_CIM_UNREACHABLE;
    case KVPBUS__LAB__SERVICE_STATE__SERVICE_DENIES:
        return KVPBUS_CIM_ACCESS_DENIED;
    case KVPBUS__LAB__SERVICE_STATE__SERVICE_ABSENT:
        return KVPBUS_CIM_INVALID_NAMESPACE;
    case KVPBUS__LAB__SERVICE_STATE__SERVICE_HIDES:
        return KVPBUS_CIM_HIDDEN;
    default:
        return KVPBUS_CIM_FAILED;
    }
}

// All replies of a request. What the service refuses is not given to `on_reply`.
static enum kvpbus_error receive_all(struct kvpbus_cim_host *host, int fd,
                                     kvpbus_cim_on_reply *on_reply, void *context,
                                     enum kvpbus_cim_status *refusal)
{
    for (bool more = true; more;) {
        Kvpbus__Lab__Reply *reply;
        enum kvpbus_error error =
            kvpbus_lab_channel_receive(fd, &reply, kvpbus_lab_channel_deadline(REPLY_MS), NULL);
        if (error != KVPBUS_OK)
            return error;
        more = reply->more;
        *refusal = status_of_service(reply->refused_by);
        if (host->incarnation == 0)
            host->incarnation = reply->incarnation;
        if (*refusal == KVPBUS_CIM_OK && on_reply != NULL)
            on_reply(context, reply);
        kvpbus__lab__reply__free_unpacked(reply, NULL);
    }
    return KVPBUS_OK;
}

enum kvpbus_cim_status kvpbus_cim_ask(struct kvpbus_cim_host *host, Kvpbus__Lab__Request *request,
                                      kvpbus_cim_on_reply *on_reply, void *context, bool *refused)
{
    int fd;
    enum kvpbus_cim_status refusal = KVPBUS_CIM_OK;
    enum kvpbus_error error = kvpbus_lab_channels_take(
        &host->channels, kvpbus_lab_channel_deadline(CONNECT_MS), &fd, NULL);
    if (error != KVPBUS_OK)
        return status_of(error);
    request->through_service = true;
    request->incarnation = host->incarnation;
    error = kvpbus_lab_channel_send(fd, request, kvpbus_lab_channel_deadline(REPLY_MS), NULL);
    if (refused != NULL)
        *refused = error == KVPBUS_TOO_LARGE;
    if (error == KVPBUS_OK)
        error = receive_all(host, fd, on_reply, context, &refusal);
    kvpbus_lab_channels_give(&host->channels, fd, error == KVPBUS_OK);
    return error == KVPBUS_OK ? refusal : status_of(error);
}

// A lab that does not answer is found when a client connects, not later.
static enum kvpbus_cim_status greet(struct kvpbus_cim_host *host)
{
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__ListVms list = KVPBUS__LAB__LIST_VMS__INIT;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_LIST;
    request.list = &list;
    enum kvpbus_cim_status status = kvpbus_cim_ask(host, &request, NULL, NULL, NULL);
    return status == KVPBUS_CIM_HIDDEN ? KVPBUS_CIM_OK : status;
}

enum kvpbus_cim_status kvpbus_cim_host_open(const char *address,
                                            const struct kvpbus_cim_scope *scope,
                                            struct kvpbus_cim_host **out)
{
    struct kvpbus_cim_host *host = calloc(1, sizeof *host);
    if (host == NULL)
        return KVPBUS_CIM_NOMEM;
    if (kvpbus_lab_channels_init(&host->channels, address, NULL) != KVPBUS_OK) {
        free(host);
        return KVPBUS_CIM_UNREACHABLE;
    }
    atomic_init(&host->references, 1);
    host->scope = *scope;
    enum kvpbus_cim_status status = greet(host);
    if (status != KVPBUS_CIM_OK) {
        kvpbus_cim_host_release(host);
        return status;
    }
    *out = host;
    return KVPBUS_CIM_OK;
}

void kvpbus_cim_host_retain(struct kvpbus_cim_host *host)
{
    atomic_fetch_add(&host->references, 1);
}

void kvpbus_cim_host_release(struct kvpbus_cim_host *host)
{
    if (atomic_fetch_sub(&host->references, 1) > 1)
        return;
    kvpbus_lab_channels_close(&host->channels);
    free(host);
}

const struct kvpbus_cim_scope *kvpbus_cim_host_scope(const struct kvpbus_cim_host *host)
{
    return &host->scope;
}
