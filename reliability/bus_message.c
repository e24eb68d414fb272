// SPDX-License-Identifier: Apache-2.0
//
// What programs ask of the bus: each call is one job and one callback.
#include <stdio.h>

#include "audit_bus.h"
#include "bus_internal.h"
#include "kvpbus/identity.h"
#include "message_copy.h"

enum kvpbus_error bus_told(struct kvpbus_job *job, struct kvpbus_journal *journal,
                           enum kvpbus_error error)
{
    if (error != KVPBUS_OK && job->failure.code == KVPBUS_OK) {
        job->failure = *kvpbus_journal_failure(journal);
        job->failure.code = error;
    }
    return error;
}

const struct kvpbus_failure *bus_failure(struct bus_job *job)
{
    struct kvpbus_failure *failure = &job->job.failure;
    failure->code = job->job.result;
    if (failure->code != KVPBUS_OK && failure->detail[0] == '\0')
        snprintf(failure->detail, sizeof failure->detail, "%s", kvpbus_error_text(failure->code));
    return failure;
}

// --- send ---

struct send_job {
    struct bus_job head;
    struct kvpbus_message *message;
    bool resend_on_revert;
    int64_t wall;
    kvpbus_queued_fn *callback;
    void *context;
};

static enum kvpbus_error send_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct send_job *job = (struct send_job *)base;
    base->failure.code = KVPBUS_OK;
    if (job->message == NULL)
        return kvpbus_fail(&base->failure, KVPBUS_NOMEM, "no memory to copy the message");
    enum kvpbus_error error =
        kvpbus_message_check(job->message, job->head.bus->options.body_max, &base->failure);
    if (error != KVPBUS_OK)
        return error;
    return bus_told(base, journal,
                    kvpbus_journal_queue(journal, job->head.peer, job->message,
                                         job->resend_on_revert, job->wall));
}

static void send_finished(struct bus_job *base)
{
    struct send_job *job = (struct send_job *)base;
    bool queued = base->job.result == KVPBUS_OK;
    if (queued)
        feed_queued(base->endpoint, job->message->class_, job->message->ttl_ms);
    if (job->callback != NULL)
        job->callback(job->context, queued ? &job->message->id : NULL, bus_failure(base));
}

static void send_dispose(struct bus_job *base)
{
    free(((struct send_job *)base)->message);
}

void kvpbus_bus_send(struct kvpbus_endpoint *endpoint, const struct kvpbus_message *message,
                     bool resend_on_revert, kvpbus_queued_fn *callback, void *context)
{
    struct send_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, send_run, send_finished);
    job->message = kvpbus_message_copy(message);
    job->resend_on_revert = resend_on_revert;
    job->wall = endpoint->bus->wall;
    job->callback = callback;
    job->context = context;
    job->head.dispose = send_dispose;
    bus_submit(&job->head);
}

// --- ask ---

struct status_job {
    struct bus_job head;
    struct kvpbus_message_id id;
    struct kvpbus_message_status status;
    kvpbus_status_fn *callback;
    void *context;
};

static enum kvpbus_error status_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct status_job *job = (struct status_job *)base;
    return bus_told(base, journal,
                    kvpbus_journal_status(journal, job->head.peer, &job->id, &job->status));
}

static void status_finished(struct bus_job *base)
{
    struct status_job *job = (struct status_job *)base;
    job->callback(job->context, base->job.result == KVPBUS_OK ? &job->status : NULL,
                  bus_failure(base));
}

void kvpbus_bus_message_status(struct kvpbus_endpoint *endpoint, const struct kvpbus_message_id *id,
                               kvpbus_status_fn *callback, void *context)
{
    struct status_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, status_run, status_finished);
    job->id = *id;
    job->callback = callback;
    job->context = context;
    bus_submit(&job->head);
}

struct withdraw_job {
    struct bus_job head;
    struct kvpbus_message_id id;
    int64_t peer;
    kvpbus_withdrawn_fn *callback;
    void *context;
};

static enum kvpbus_error withdraw_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct withdraw_job *job = (struct withdraw_job *)base;
    struct kvpbus_message_status status;
    enum kvpbus_error error = kvpbus_journal_sent_to(journal, &job->id, &job->peer);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_status(journal, job->peer, &job->id, &status);
    if (error == KVPBUS_OK && status.outcome != KVPBUS_OUTCOME_PENDING)
        return kvpbus_fail(&base->failure, KVPBUS_EXISTS,
                           "the message is %s already: it cannot be withdrawn any more",
                           kvpbus_outcome_name(status.outcome));
    if (error == KVPBUS_OK)
        error = kvpbus_journal_withdraw(journal, job->peer, &job->id);
    return bus_told(base, journal, error);
}

static void withdraw_finished(struct bus_job *base)
{
    struct withdraw_job *job = (struct withdraw_job *)base;
    struct kvpbus_endpoint *endpoint = kvpbus_bus_find(base->bus, job->peer);
    if (base->job.result == KVPBUS_OK && endpoint != NULL)
        endpoint->gaps_due = true;
    job->callback(job->context, endpoint, bus_failure(base));
    if (base->job.result != KVPBUS_OK || endpoint == NULL)
        return;
    bus_drain(endpoint);
    bus_outcome(base->bus, job->peer);
}

void kvpbus_bus_withdraw(struct kvpbus_bus *bus, const struct kvpbus_message_id *id,
                         kvpbus_withdrawn_fn *callback, void *context)
{
    struct withdraw_job *job = bus_job_new(sizeof *job, bus, NULL, withdraw_run, withdraw_finished);
    job->id = *id;
    job->callback = callback;
    job->context = context;
    bus_submit(&job->head);
}

struct show_job {
    struct bus_job head;
    struct kvpbus_message_id id;
    struct kvpbus_message_record records[2];
    size_t count;
    kvpbus_show_fn *callback;
    void *context;
};

static enum kvpbus_error show_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct show_job *job = (struct show_job *)base;
    return bus_told(base, journal,
                    kvpbus_journal_show(journal, &job->id, job->records,
                                        sizeof job->records / sizeof *job->records, &job->count));
}

static void show_finished(struct bus_job *base)
{
    struct show_job *job = (struct show_job *)base;
    job->callback(job->context, job->records, base->job.result == KVPBUS_OK ? job->count : 0,
                  bus_failure(base));
}

void kvpbus_bus_show(struct kvpbus_bus *bus, const struct kvpbus_message_id *id,
                     kvpbus_show_fn *callback, void *context)
{
    struct show_job *job = bus_job_new(sizeof *job, bus, NULL, show_run, show_finished);
    job->id = *id;
    job->callback = callback;
    job->context = context;
    bus_submit(&job->head);
}

struct counts_job {
    struct bus_job head;
    struct kvpbus_journal_counts counts;
    kvpbus_counts_fn *callback;
    void *context;
};

static enum kvpbus_error counts_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct counts_job *job = (struct counts_job *)base;
    return bus_told(base, journal, kvpbus_journal_counts(journal, job->head.peer, &job->counts));
}

static void counts_finished(struct bus_job *base)
{
    struct counts_job *job = (struct counts_job *)base;
    job->callback(job->context, base->job.result == KVPBUS_OK ? &job->counts : NULL,
                  bus_failure(base));
}

void kvpbus_bus_counts(struct kvpbus_endpoint *endpoint, kvpbus_counts_fn *callback, void *context)
{
    struct counts_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, counts_run, counts_finished);
    job->callback = callback;
    job->context = context;
    bus_submit(&job->head);
}

// --- pair ---

struct pair_job {
    struct bus_job head;
    bool unpair;
    uint8_t identity[KVPBUS_IDENTITY_BYTES], mine[KVPBUS_IDENTITY_BYTES];
    uint8_t vm[KVPBUS_VM_ID_BYTES];
    struct kvpbus_failure refusal; // found out before the job; code KVPBUS_OK: none
    struct kvpbus_peer peer;
    kvpbus_done_fn *callback;
    void *context;
};

static enum kvpbus_error pair_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct pair_job *job = (struct pair_job *)base;
    int64_t peer = job->head.peer;
    if (job->refusal.code != KVPBUS_OK) {
        base->failure = job->refusal;
        return job->refusal.code;
    }
    enum kvpbus_error error = job->unpair
                                  ? kvpbus_journal_unpin(journal, peer)
                                  : kvpbus_journal_pin(journal, peer, job->identity, job->vm);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_introduced(journal, peer, job->mine);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_peer_get(journal, peer, &job->peer);
    return bus_told(base, journal, error);
}

static void pair_finished(struct bus_job *base)
{
    struct pair_job *job = (struct pair_job *)base;
    if (base->job.result == KVPBUS_OK) {
        base->endpoint->peer = job->peer;
        if (base->endpoint->link != NULL)
            bus_pinned(base->endpoint);
        kvpbus_bus_notice(base->endpoint);
    } else if (job->refusal.code != KVPBUS_OK) {
        kvpbus_bus_audit(base->bus, base->endpoint, KVPBUS_AUDIT_NOT_PAIRED, job->refusal.detail,
                         false);
    }
    if (job->callback != NULL)
        job->callback(job->context, bus_failure(base));
}

static struct pair_job *pair_job(struct kvpbus_endpoint *endpoint, kvpbus_done_fn *callback,
                                 void *context)
{
    struct pair_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, pair_run, pair_finished);
    memcpy(job->mine, endpoint->bus->options.identity, sizeof job->mine);
    // On a host the VM id is the peer's for good; on a guest it comes with the host's hello.
    memcpy(job->vm,
           endpoint->bus->options.role == KVPBUS_ROLE_HOST ? endpoint->peer.vm
                                                           : endpoint->pending_vm,
           sizeof job->vm);
    job->callback = callback;
    job->context = context;
    return job;
}

void kvpbus_bus_pair(struct kvpbus_endpoint *endpoint, const char *fingerprint,
                     kvpbus_done_fn *callback, void *context)
{
    struct pair_job *job = pair_job(endpoint, callback, context);
    if (!endpoint->peer.pending)
        kvpbus_fail(&job->refusal, KVPBUS_UNPAIRED,
                    endpoint->peer.paired
                        ? "%s is paired already and no other identity waits"
                        : "%s has not shown its identity yet: start kvpbus there and try again",
                    endpoint->peer.name);
    else if (!kvpbus_fingerprint_matches(endpoint->peer.pending_identity, fingerprint))
        kvpbus_fail(&job->refusal, KVPBUS_BAD_KEY,
                    "the identity that %s shows has another fingerprint: compare it again, and do "
                    "not pair if it stays different",
                    endpoint->peer.name);
    memcpy(job->identity, endpoint->peer.pending_identity, sizeof job->identity);
    bus_submit(&job->head);
}

void kvpbus_bus_pin(struct kvpbus_endpoint *endpoint, const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                    kvpbus_done_fn *callback, void *context)
{
    struct pair_job *job = pair_job(endpoint, callback, context);
    memcpy(job->identity, identity, sizeof job->identity);
    bus_submit(&job->head);
}

void kvpbus_bus_unpair(struct kvpbus_endpoint *endpoint, kvpbus_done_fn *callback, void *context)
{
    struct pair_job *job = pair_job(endpoint, callback, context);
    job->unpair = true;
    bus_submit(&job->head);
}
