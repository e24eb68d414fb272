// SPDX-License-Identifier: Apache-2.0
//
// What the bus enters into the audit beside what the journal enters itself, and how much of what a
// peer can cause: a stranger in the store must not push out what was entered before.
#include <sodium.h>
#include <stdio.h>

#include "audit_bus.h"
#include "bus_internal.h"

enum {
    LIMIT_EVERY = 60 * 1000, // ms for an entry of each sort and peer
    LIMIT_AT_ONCE = 10,
};

bool bus_audit_may(const struct kvpbus_endpoint *endpoint, enum audit_limit sort, const char *text,
                   char detail[KVPBUS_AUDIT_DETAIL_MAX + 1])
{
    const struct audit_tokens *tokens = &endpoint->audit[sort];
    if (tokens->free_at > endpoint->bus->now + (LIMIT_AT_ONCE - 1) * LIMIT_EVERY)
        return false;
    int length = snprintf(detail, KVPBUS_AUDIT_DETAIL_MAX + 1, "%s", text);
    if (tokens->skipped > 0 && length >= 0 && length < KVPBUS_AUDIT_DETAIL_MAX)
        snprintf(detail + length, KVPBUS_AUDIT_DETAIL_MAX + 1 - (size_t)length,
                 "%s(%u more were not entered)", length > 0 ? " " : "", tokens->skipped);
    return true;
}

void bus_audit_count(struct kvpbus_endpoint *endpoint, enum audit_limit sort, bool entered)
{
    struct audit_tokens *tokens = &endpoint->audit[sort];
    uint64_t now = endpoint->bus->now;
    if (entered)
        tokens->free_at = (tokens->free_at > now ? tokens->free_at : now) + LIMIT_EVERY;
    tokens->skipped = entered ? 0 : tokens->skipped + 1;
}

bool bus_audit_limit(struct kvpbus_endpoint *endpoint, enum audit_limit sort, const char *text,
                     char detail[KVPBUS_AUDIT_DETAIL_MAX + 1])
{
    bool may = bus_audit_may(endpoint, sort, text, detail);
    bus_audit_count(endpoint, sort, may);
    return may;
}

// --- signing ---
// A job has its own copy of the keys: they may be replaced while it waits.
struct keys {
    uint8_t identity[KVPBUS_IDENTITY_BYTES], secret[KVPBUS_SECRET_BYTES];
};

static void take_keys(struct keys *keys, const struct kvpbus_bus *bus)
{
    memcpy(keys->identity, bus->options.identity, sizeof keys->identity);
    memcpy(keys->secret, bus->options.secret, sizeof keys->secret);
}

struct sign_job {
    struct bus_job head;
    struct keys keys;
};

static enum kvpbus_error sign_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct sign_job *job = (struct sign_job *)base;
    return kvpbus_journal_audit_sign(journal, job->keys.identity, job->keys.secret, NULL);
}

static void sign_finished(struct bus_job *base)
{
    base->bus->audit_busy = false; // it stays due when it failed
}

static void sign_dispose(struct bus_job *base)
{
    sodium_memzero(&((struct sign_job *)base)->keys, sizeof(struct keys));
}

void bus_audit_key(struct kvpbus_bus *bus)
{
    struct sign_job *job = bus_job_new(sizeof *job, bus, NULL, sign_run, sign_finished);
    take_keys(&job->keys, bus);
    job->head.dispose = sign_dispose;
    bus->audit_busy = true;
    bus_submit(&job->head);
}

void bus_audit_sign(struct kvpbus_bus *bus)
{
    if (!bus->audit_busy)
        bus_audit_key(bus);
}

// --- entering ---

struct audit_job {
    struct bus_job head;
    struct keys keys;
    int64_t peer;
    enum kvpbus_audit_kind kind;
    char detail[KVPBUS_AUDIT_DETAIL_MAX + 1];
    bool sign;
};

static enum kvpbus_error audit_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct audit_job *job = (struct audit_job *)base;
    enum kvpbus_error error = kvpbus_journal_audit(journal, job->peer, job->kind, job->detail);
    if (error == KVPBUS_OK && job->sign)
        error = kvpbus_journal_audit_sign(journal, job->keys.identity, job->keys.secret, NULL);
    return error;
}

static void audit_finished(struct bus_job *base)
{
    (void)base; // a failing journal is told of by what needs it
}

static void audit_dispose(struct bus_job *base)
{
    sodium_memzero(&((struct audit_job *)base)->keys, sizeof(struct keys));
}

void kvpbus_bus_audit(struct kvpbus_bus *bus, struct kvpbus_endpoint *endpoint,
                      enum kvpbus_audit_kind kind, const char *detail, bool sign)
{
    struct audit_job *job = bus_job_new(sizeof *job, bus, NULL, audit_run, audit_finished);
    job->peer = endpoint != NULL ? endpoint->peer.id : 0;
    job->kind = kind;
    job->sign = sign;
    take_keys(&job->keys, bus);
    job->head.dispose = audit_dispose;
    snprintf(job->detail, sizeof job->detail, "%s", detail);
    bus_submit(&job->head);
}

void bus_audit_alarm(struct kvpbus_endpoint *endpoint, enum kvpbus_audit_kind kind,
                     const char *text)
{
    char detail[KVPBUS_AUDIT_DETAIL_MAX + 1];
    if (bus_audit_limit(endpoint, AUDIT_LIMIT_ALARMS, text, detail))
        kvpbus_bus_audit(endpoint->bus, endpoint, kind, detail, false);
}

void bus_audit_event(struct kvpbus_endpoint *endpoint, enum kvpbus_link_event_kind kind,
                     const char *text)
{
    if (kind == KVPBUS_LINK_ALARM)
        bus_audit_alarm(endpoint, KVPBUS_AUDIT_ALARM, text);
    else if (kind == KVPBUS_LINK_WENT_BACK)
        bus_audit_alarm(endpoint, KVPBUS_AUDIT_REVERTED, text);
    else if (kind == KVPBUS_LINK_SECOND_WRITER)
        bus_audit_alarm(endpoint, KVPBUS_AUDIT_SECOND_WRITER, text);
}

// --- reading ---

struct read_job {
    struct bus_job head;
    struct keys keys;
    struct kvpbus_audit_query query;
    bool sign;
    struct kvpbus_audit_mark mark;
    struct kvpbus_audit_page page;
    kvpbus_audit_page_fn *callback;
    void *context;
};

static enum kvpbus_error read_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct read_job *job = (struct read_job *)base;
    enum kvpbus_error error = KVPBUS_OK;
    if (job->sign)
        error =
            kvpbus_journal_audit_sign(journal, job->keys.identity, job->keys.secret, &job->mark);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_audit_read(journal, &job->query, &job->page);
    if (error != KVPBUS_OK)
        base->failure = *kvpbus_journal_failure(journal);
    return error;
}

static void read_finished(struct bus_job *base)
{
    struct read_job *job = (struct read_job *)base;
    bool done = base->job.result == KVPBUS_OK;
    base->job.failure.code = base->job.result;
    job->callback(job->context, done ? &job->page : NULL, done && job->sign ? &job->mark : NULL,
                  &base->job.failure);
}

static void read_dispose(struct bus_job *base)
{
    sodium_memzero(&((struct read_job *)base)->keys, sizeof(struct keys));
}

void kvpbus_bus_audit_read(struct kvpbus_bus *bus, const struct kvpbus_audit_query *query,
                           bool sign, kvpbus_audit_page_fn *callback, void *context)
{
    struct read_job *job = bus_job_new(sizeof *job, bus, NULL, read_run, read_finished);
    job->query = *query;
    job->sign = sign;
    take_keys(&job->keys, bus);
    job->head.dispose = read_dispose;
    job->callback = callback;
    job->context = context;
    bus_submit(&job->head);
}
