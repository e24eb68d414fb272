// SPDX-License-Identifier: Apache-2.0
//
// A VM that goes on under another id: its row gets the id, and the row of whatever has that id gets
// the old one. Each link is made anew, for it writes into another VM's store.
#include "bus_internal.h"

struct rebind_job {
    struct bus_job head;
    int64_t other; // the row that had the id, 0 none
    uint8_t vm[KVPBUS_VM_ID_BYTES];
    struct kvpbus_peer peers[2];
    struct bus_memory memories[2];
    kvpbus_done_fn *callback;
    void *context;
};

static enum kvpbus_error load(struct kvpbus_journal *journal, struct rebind_job *job, size_t which,
                              int64_t peer)
{
    enum kvpbus_error error = kvpbus_journal_peer_get(journal, peer, &job->peers[which]);
    return error == KVPBUS_OK ? bus_remember(journal, peer, &job->memories[which]) : error;
}

static enum kvpbus_error rebind_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct rebind_job *job = (struct rebind_job *)base;
    int64_t peer = job->head.peer;
    enum kvpbus_error error = kvpbus_journal_rebind(journal, peer, job->vm, &job->other);
    if (error == KVPBUS_OK)
        error = load(journal, job, 0, peer);
    if (error == KVPBUS_OK && job->other != 0)
        error = load(journal, job, 1, job->other);
    if (error != KVPBUS_OK)
        base->failure = *kvpbus_journal_failure(journal);
    return error;
}

void bus_move_link(struct kvpbus_endpoint *endpoint, const struct kvpbus_peer *peer,
                   const struct bus_memory *memory)
{
    if (endpoint->link == NULL) { // it is made when its journal has been read
        endpoint->peer = *peer;
        return;
    }
    feed_end(endpoint);
    bus_end_session_jobs(endpoint);
    kvpbus_link_free(endpoint->link);
    endpoint->peer = *peer;
    endpoint->session = 0;
    bus_open_link(endpoint, memory);
    bus_drain(endpoint);
}

static void rebind_finished(struct bus_job *base)
{
    struct rebind_job *job = (struct rebind_job *)base;
    if (base->job.result == KVPBUS_OK) {
        struct kvpbus_endpoint *other = kvpbus_bus_find(base->bus, job->other);
        bus_move_link(base->endpoint, &job->peers[0], &job->memories[0]);
        if (other != NULL)
            bus_move_link(other, &job->peers[1], &job->memories[1]);
        bus_event(base->endpoint, KVPBUS_EVENT_REBOUND,
                  "it goes on under another id; its agent follows when it sees that");
    }
    job->callback(job->context, bus_failure(base));
}

void kvpbus_bus_rebind(struct kvpbus_endpoint *endpoint, const uint8_t vm[KVPBUS_VM_ID_BYTES],
                       kvpbus_done_fn *callback, void *context)
{
    struct rebind_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, rebind_run, rebind_finished);
    memcpy(job->vm, vm, sizeof job->vm);
    job->callback = callback;
    job->context = context;
    bus_submit(&job->head);
}
