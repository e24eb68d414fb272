// SPDX-License-Identifier: Apache-2.0
//
// Trust that was given beforehand: keys from files, and enrolment tokens on both sides.
#include <sodium.h>
#include <stdio.h>

#include "bus_internal.h"
#include "hello.h"

struct enroll_job {
    struct bus_job head;
    bool take; // the token, else trust `identity`
    uint8_t identity[KVPBUS_IDENTITY_BYTES], mine[KVPBUS_IDENTITY_BYTES];
    struct kvpbus_token token;
    struct kvpbus_peer peer;
    kvpbus_done_fn *callback;
    void *context;
};

static enum kvpbus_error enroll_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct enroll_job *job = (struct enroll_job *)base;
    int64_t peer = job->head.peer;
    enum kvpbus_error error = job->take ? kvpbus_journal_token_take(journal, peer, &job->token)
                                        : kvpbus_journal_trust(journal, peer, job->identity);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_introduced(journal, peer, job->mine);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_peer_get(journal, peer, &job->peer);
    if (error != KVPBUS_OK)
        base->failure = *kvpbus_journal_failure(journal);
    return error;
}

static const struct kvpbus_failure *failure_of(struct bus_job *base)
{
    // The commit may fail without saying more than a code.
    base->job.failure.code = base->job.result;
    return &base->job.failure;
}

static void enroll_finished(struct bus_job *base)
{
    struct enroll_job *job = (struct enroll_job *)base;
    struct kvpbus_endpoint *endpoint = base->endpoint;
    if (base->job.result == KVPBUS_OK) {
        endpoint->peer = job->peer;
        // Without a link yet, it finds both in the journal.
        if (endpoint->link != NULL && job->take)
            bus_prove(endpoint, &job->token);
        if (endpoint->link != NULL)
            bus_pinned(endpoint);
        kvpbus_bus_notice(endpoint);
    }
    if (job->callback != NULL)
        job->callback(job->context, failure_of(base));
}

static void enroll_dispose(struct bus_job *base)
{
    struct enroll_job *job = (struct enroll_job *)base;
    sodium_memzero(&job->token, sizeof job->token);
}

static struct enroll_job *enroll_job(struct kvpbus_endpoint *endpoint, kvpbus_done_fn *callback,
                                     void *context)
{
    struct enroll_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, enroll_run, enroll_finished);
    job->head.dispose = enroll_dispose;
    memcpy(job->mine, endpoint->bus->options.identity, sizeof job->mine);
    job->callback = callback;
    job->context = context;
    return job;
}

void kvpbus_bus_trust(struct kvpbus_endpoint *endpoint,
                      const uint8_t identity[KVPBUS_IDENTITY_BYTES], kvpbus_done_fn *callback,
                      void *context)
{
    struct enroll_job *job = enroll_job(endpoint, callback, context);
    memcpy(job->identity, identity, sizeof job->identity);
    bus_submit(&job->head);
}

void kvpbus_bus_token_take(struct kvpbus_endpoint *endpoint, const struct kvpbus_token *token,
                           kvpbus_done_fn *callback, void *context)
{
    struct enroll_job *job = enroll_job(endpoint, callback, context);
    job->take = true;
    job->token = *token;
    bus_submit(&job->head);
}

// --- a host makes one ---

struct make_job {
    struct bus_job head;
    bool replaces;
    struct kvpbus_token token;
    kvpbus_token_fn *callback;
    void *context;
};

static enum kvpbus_error make_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct make_job *job = (struct make_job *)base;
    enum kvpbus_error error =
        kvpbus_journal_token_make(journal, job->head.peer, &job->token, job->replaces);
    if (error != KVPBUS_OK)
        base->failure = *kvpbus_journal_failure(journal);
    return error;
}

static void make_finished(struct bus_job *base)
{
    struct make_job *job = (struct make_job *)base;
    bool made = base->job.result == KVPBUS_OK;
    job->callback(job->context, made ? &job->token : NULL, failure_of(base));
}

static void make_dispose(struct bus_job *base)
{
    struct make_job *job = (struct make_job *)base;
    sodium_memzero(&job->token, sizeof job->token);
}

void kvpbus_bus_token_make(struct kvpbus_endpoint *endpoint, uint64_t ttl_ms, bool replaces,
                           kvpbus_token_fn *callback, void *context)
{
    struct kvpbus_bus *bus = endpoint->bus;
    struct make_job *job = bus_job_new(sizeof *job, bus, endpoint, make_run, make_finished);
    job->head.dispose = make_dispose;
    job->replaces = replaces;
    memcpy(job->token.host, bus->options.identity, sizeof job->token.host);
    memcpy(job->token.vm, endpoint->peer.vm, sizeof job->token.vm);
    job->token.ends_ms = (uint64_t)bus->wall + ttl_ms;
    bus->options.random(bus->options.random_context, job->token.id, sizeof job->token.id);
    bus->options.random(bus->options.random_context, job->token.secret, sizeof job->token.secret);
    job->callback = callback;
    job->context = context;
    bus_submit(&job->head);
}

bool bus_proof(const struct kvpbus_endpoint *endpoint, const struct kvpbus_link_event *event,
               struct kvpbus_proof *proof)
{
    const uint8_t *bytes;
    size_t length;
    if (endpoint->bus->options.role != KVPBUS_ROLE_HOST ||
        !kvpbus_extension_find(event->extensions.bytes, event->extensions.length,
                               KVPBUS_EXTENSION_ENROLMENT, &bytes, &length) ||
        length != KVPBUS_PROOF_BYTES)
        return false;
    memcpy(proof->bytes, bytes, sizeof proof->bytes);
    memcpy(proof->identity, event->identity, sizeof proof->identity);
    memcpy(proof->epoch, event->epoch, sizeof proof->epoch);
    return true;
}

// Each new hello may prove the same again: it is counted each time and said once.
void bus_enrolment_refused(struct kvpbus_endpoint *endpoint, const struct kvpbus_failure *why)
{
    char text[sizeof why->detail + 40];
    endpoint->refused_enrolments++;
    if (strncmp(endpoint->refused_why, why->detail, sizeof endpoint->refused_why - 1) == 0)
        return;
    snprintf(endpoint->refused_why, sizeof endpoint->refused_why, "%s", why->detail);
    snprintf(text, sizeof text, "an enrolment was refused: %s", why->detail);
    bus_event(endpoint, KVPBUS_EVENT_ALARM, text);
    bus_audit_alarm(endpoint, KVPBUS_AUDIT_NOT_PAIRED, why->detail);
}

uint64_t kvpbus_endpoint_refused_enrolments(const struct kvpbus_endpoint *endpoint)
{
    return endpoint->refused_enrolments;
}

// --- a guest proves one ---

void bus_prove(struct kvpbus_endpoint *endpoint, const struct kvpbus_token *token)
{
    if (kvpbus_link_enroll(endpoint->link, token, endpoint->bus->now) == KVPBUS_OK)
        endpoint->enrolling = true;
    else
        bus_event(endpoint, KVPBUS_EVENT_ALARM,
                  "this side's hello has no room for the proof of the enrolment token");
}

static enum kvpbus_error confirmed_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    enum kvpbus_error error = kvpbus_journal_token_done(journal, ((struct bus_job *)base)->peer);
    if (error != KVPBUS_OK)
        base->failure = *kvpbus_journal_failure(journal);
    return error;
}

static void confirmed_finished(struct bus_job *base)
{
    bus_event(base->endpoint, KVPBUS_EVENT_CHANGED,
              "paired: the host has confirmed the enrolment token");
}

void bus_confirmed(struct kvpbus_endpoint *endpoint)
{
    if (!endpoint->enrolling)
        return;
    endpoint->enrolling = false;
    kvpbus_link_enroll(endpoint->link, NULL, endpoint->bus->now);
    struct bus_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, confirmed_run, confirmed_finished);
    job->needed = true;
    bus_submit(job);
}
