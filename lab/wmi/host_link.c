// SPDX-License-Identifier: Apache-2.0
//
// Requests to the lab. Each has a connection for itself while it lasts; idle ones are kept.
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "host_internal.h"
#include "lab_channel.h"

enum {
    IDLE_MAX = 8,
    ADDRESS_MAX = 256,
    CONNECT_MS = 10000,
    // Longer than the lab's longest latency: a client that waits less gives up by itself.
    REPLY_MS = 900000,
};

struct kvpbus_cim_host {
    atomic_int references;
    struct kvpbus_cim_scope scope;
    char address[ADDRESS_MAX];
    uint64_t incarnation; // of the service that this is connected to; 0 before that
    pthread_mutex_t lock;
    int idle[IDLE_MAX];
    size_t idle_count;
};

static int take_idle(struct kvpbus_cim_host *host)
{
    pthread_mutex_lock(&host->lock);
    int fd = host->idle_count > 0 ? host->idle[--host->idle_count] : -1;
    pthread_mutex_unlock(&host->lock);
    return fd;
}

static void give_back(struct kvpbus_cim_host *host, int fd)
{
    pthread_mutex_lock(&host->lock);
    bool kept = host->idle_count < IDLE_MAX;
    if (kept)
        host->idle[host->idle_count++] = fd;
    pthread_mutex_unlock(&host->lock);
    if (!kept)
        kvpbus_lab_channel_close(fd);
}

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

static enum kvpbus_cim_status connect_lab(struct kvpbus_cim_host *host, int *fd)
{
    for (int idle = take_idle(host); idle >= 0; idle = take_idle(host)) {
        if (kvpbus_lab_channel_alive(idle)) {
            *fd = idle;
            return KVPBUS_CIM_OK;
        }
        kvpbus_lab_channel_close(idle);
    }
    return status_of(
        kvpbus_lab_channel_open(host->address, kvpbus_lab_channel_deadline(CONNECT_MS), fd, NULL));
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
static enum kvpbus_error receive_all(int fd, kvpbus_cim_on_reply *on_reply, void *context,
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
        if (*refusal == KVPBUS_CIM_OK)
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
    enum kvpbus_cim_status status = connect_lab(host, &fd);
    if (status != KVPBUS_CIM_OK)
        return status;
    request->through_service = true;
    request->incarnation = host->incarnation;
    enum kvpbus_error error =
        kvpbus_lab_channel_send(fd, request, kvpbus_lab_channel_deadline(REPLY_MS), NULL);
    if (refused != NULL)
        *refused = error == KVPBUS_TOO_LARGE;
    if (error == KVPBUS_OK)
        error = receive_all(fd, on_reply, context, &refusal);
    if (error == KVPBUS_OK)
        give_back(host, fd);
    else
        kvpbus_lab_channel_close(fd);
    return error == KVPBUS_OK ? refusal : status_of(error);
}

static void on_greeting(void *context, const Kvpbus__Lab__Reply *reply)
{
    struct kvpbus_cim_host *host = context;
    host->incarnation = reply->incarnation;
}

// A lab that does not answer is found when a client connects, not later.
static enum kvpbus_cim_status greet(struct kvpbus_cim_host *host)
{
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__ListVms list = KVPBUS__LAB__LIST_VMS__INIT;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_LIST;
    request.list = &list;
    enum kvpbus_cim_status status = kvpbus_cim_ask(host, &request, on_greeting, host, NULL);
    return status == KVPBUS_CIM_HIDDEN ? KVPBUS_CIM_OK : status;
}

enum kvpbus_cim_status kvpbus_cim_host_open(const char *address,
                                            const struct kvpbus_cim_scope *scope,
                                            struct kvpbus_cim_host **out)
{
    if (strlen(address) >= ADDRESS_MAX)
        return KVPBUS_CIM_UNREACHABLE;
    struct kvpbus_cim_host *host = calloc(1, sizeof *host);
    if (host == NULL)
        return KVPBUS_CIM_NOMEM;
    atomic_init(&host->references, 1);
    pthread_mutex_init(&host->lock, NULL);
    host->scope = *scope;
    strcpy(host->address, address);
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
    for (size_t i = 0; i < host->idle_count; i++)
        kvpbus_lab_channel_close(host->idle[i]);
    pthread_mutex_destroy(&host->lock);
    free(host);
}

const struct kvpbus_cim_scope *kvpbus_cim_host_scope(const struct kvpbus_cim_host *host)
{
    return &host->scope;
}
