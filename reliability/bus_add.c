// SPDX-License-Identifier: Apache-2.0
//
// A peer that is added while the bus runs: its row in the journal, then its endpoint.
#include <stdio.h>

#include "bus_internal.h"

struct add_job {
    struct bus_job head;
    uint8_t vm[KVPBUS_VM_ID_BYTES];
    char name[KVPBUS_PEER_NAME_MAX + 1];
    struct kvpbus_peer peer;
    kvpbus_added_fn *callback;
    void *context;
};

static enum kvpbus_error add_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct add_job *job = (struct add_job *)base;
    enum kvpbus_error error = kvpbus_journal_peer(journal, job->vm, job->name, &job->peer);
    if (error != KVPBUS_OK)
        base->failure = *kvpbus_journal_failure(journal);
    return error;
}

static void add_finished(struct bus_job *base)
{
    struct add_job *job = (struct add_job *)base;
    struct kvpbus_endpoint *endpoint = NULL;
    struct kvpbus_failure *failure = &base->job.failure;
    enum kvpbus_error error = base->job.result;
    if (error == KVPBUS_OK)
        error = kvpbus_bus_attach(base->bus, &job->peer, job->peer.vm, &endpoint);
    if (error == KVPBUS_TOO_LARGE)
        kvpbus_fail(
            failure, error,
            "%d peers are known already, which is the most: unpair those that are gone, then "
            "start the service anew",
            KVPBUS_PEERS_MAX);
    failure->code = error;
    if (error != KVPBUS_OK && failure->detail[0] == '\0')
        snprintf(failure->detail, sizeof failure->detail, "%s", kvpbus_error_text(error));
    if (job->callback != NULL)
        job->callback(job->context, error == KVPBUS_OK ? endpoint : NULL, failure);
}

void kvpbus_bus_add(struct kvpbus_bus *bus, const uint8_t *vm, const char *name,
                    kvpbus_added_fn *callback, void *context)
{
    struct add_job *job = bus_job_new(sizeof *job, bus, NULL, add_run, add_finished);
    if (vm != NULL)
        memcpy(job->vm, vm, sizeof job->vm);
    snprintf(job->name, sizeof job->name, "%s", name);
    job->callback = callback;
    job->context = context;
    bus_submit(&job->head);
}
