// SPDX-License-Identifier: Apache-2.0
#include "bus.h"

#include <sodium.h>
#include <stdio.h>

#include "audit_journal.h"
#include "bus_internal.h"

// --- jobs ---

static void end_job(struct bus_job *job)
{
    job->finished(job);
    if (job->dispose != NULL)
        job->dispose(job);
    if (job->endpoint != NULL)
        bus_drain(job->endpoint);
    free(job);
}

static void job_done(struct kvpbus_job *base)
{
    struct bus_job *job = (struct bus_job *)base;
    struct kvpbus_bus *bus = job->bus;
    assert(bus->jobs > 0);
    bus->jobs--;
    if (job->audit_due)
        bus_audit_sign(bus);
    if (base->result == KVPBUS_OK) {
        bus->journal_failing = false;
    } else if (job->needed) {
        if (!bus->journal_failing)
            bus_event(job->endpoint, KVPBUS_EVENT_ALARM, base->failure.detail);
        bus->journal_failing = true;
        base->next = job->endpoint->retry;
        job->endpoint->retry = base;
        job->endpoint->retry_at = bus->now + JOB_RETRY;
        return;
    }
    end_job(job);
}

// On the journal's thread.
static enum kvpbus_error job_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct bus_job *job = (struct bus_job *)base;
    kvpbus_journal_time(journal, job->wall);
    enum kvpbus_error error = job->run(base, journal);
    job->audit_due = kvpbus_journal_audit_due(journal);
    return error;
}

void *bus_job_new(size_t size, struct kvpbus_bus *bus, struct kvpbus_endpoint *endpoint,
                  enum kvpbus_error (*run)(struct kvpbus_job *, struct kvpbus_journal *),
                  void (*finished)(struct bus_job *))
{
    struct bus_job *job = calloc(1, size);
    if (job == NULL) {
        fputs("kvpbus: out of memory\n", stderr);
        abort();
    }
    job->job.run = run != NULL ? job_run : NULL; // NULL: it works outside of transactions
    job->run = run;
    job->job.done = job_done;
    job->bus = bus;
    job->endpoint = endpoint;
    job->finished = finished;
    if (endpoint != NULL) {
        job->peer = endpoint->peer.id;
        job->session = endpoint->session;
    }
    return job;
}

void bus_submit(struct bus_job *job)
{
    job->bus->jobs++;
    job->wall = job->bus->wall;
    job->job.next = NULL;
    job->job.result = KVPBUS_OK;
    job->bus->executor->submit(job->bus->executor, &job->job);
}

void bus_retry_jobs(struct kvpbus_endpoint *endpoint)
{
    struct kvpbus_job *job = endpoint->retry, *ordered = NULL;
    endpoint->retry = NULL;
    endpoint->retry_at = NEVER;
    while (job != NULL) { // the list has the newest first
        struct kvpbus_job *next = job->next;
        job->next = ordered;
        ordered = job;
        job = next;
    }
    while (ordered != NULL) {
        struct kvpbus_job *next = ordered->next;
        struct bus_job *again = (struct bus_job *)ordered;
        // Behind the SYNC of a later session it would speak of other positions.
        if (again->of_session && again->session != endpoint->session)
            end_job(again);
        else
            bus_submit(again);
        ordered = next;
    }
}

void bus_end_session_jobs(struct kvpbus_endpoint *endpoint)
{
    struct kvpbus_job *job = endpoint->retry, *kept = NULL, **last = &kept;
    endpoint->retry = NULL;
    while (job != NULL) {
        struct kvpbus_job *next = job->next;
        job->next = NULL;
        if (((struct bus_job *)job)->of_session) {
            end_job((struct bus_job *)job);
        } else {
            *last = job;
            last = &job->next;
        }
        job = next;
    }
    endpoint->retry = kept;
}

// --- telling the owner ---

void bus_inbox(struct kvpbus_bus *bus, int64_t peer)
{
    if (bus->options.listener.inbox != NULL)
        bus->options.listener.inbox(bus->options.listener.context, peer);
}

void bus_outcome(struct kvpbus_bus *bus, int64_t peer)
{
    if (bus->options.listener.outcome != NULL)
        bus->options.listener.outcome(bus->options.listener.context, peer);
}

void bus_event(struct kvpbus_endpoint *endpoint, enum kvpbus_event event, const char *text)
{
    const struct kvpbus_bus_listener *listener = &endpoint->bus->options.listener;
    if (listener->event != NULL)
        listener->event(listener->context, endpoint->peer.id, event, text);
}

// --- life ---

static void sodium_random(void *context, uint8_t *bytes, size_t length)
{
    (void)context;
    randombytes_buf(bytes, length);
}

enum kvpbus_error kvpbus_bus_open(const struct kvpbus_bus_options *options,
                                  struct kvpbus_executor *executor, struct kvpbus_bus **out)
{
    if (sodium_init() < 0)
        return KVPBUS_INTERNAL;
    const char *prefix = options->prefix != NULL ? options->prefix : "kvpbus";
    if (!kvpbus_prefix_valid(prefix) || options->ring_slots > KVPBUS_RING_MAX ||
        options->value_max > KVPBUS_VALUE_MAX ||
        (options->value_max != 0 && options->value_max < KVPBUS_VALUE_MIN))
        return KVPBUS_INVALID_ARGUMENT;
    struct kvpbus_bus *bus = calloc(1, sizeof *bus);
    if (bus == NULL)
        return KVPBUS_NOMEM;
    bus->options = *options;
    struct kvpbus_bus_options *own = &bus->options;
    own->prefix = prefix;
    own->ring_slots = own->ring_slots != 0 ? own->ring_slots : KVPBUS_RING_MAX;
    own->value_max = own->value_max != 0 ? own->value_max : KVPBUS_VALUE_MAX;
    own->bundle_target = own->bundle_target != 0 ? own->bundle_target : BUNDLE_TARGET;
    own->body_max = own->body_max != 0 ? own->body_max : KVPBUS_MESSAGE_DEFAULT_MAX;
    kvpbus_bus_polling(bus, own->poll_fast_ms, own->poll_slow_ms);
    if (own->random == NULL)
        own->random = sodium_random;
    bus->executor = executor;
    *out = bus;
    return KVPBUS_OK;
}

bool kvpbus_bus_busy(const struct kvpbus_bus *bus)
{
    for (size_t i = 0; i < bus->endpoint_count; i++) {
        const struct kvpbus_endpoint *endpoint = bus->endpoints[i];
        if (!kvpbus_endpoint_quiet(endpoint))
            return true;
    }
    return bus->jobs > 0;
}

static void endpoint_free(struct kvpbus_endpoint *endpoint)
{
    while (endpoint->retry != NULL) {
        struct bus_job *job = (struct bus_job *)endpoint->retry;
        endpoint->retry = job->job.next;
        if (job->dispose != NULL)
            job->dispose(job);
        free(job);
    }
    kvpbus_link_free(endpoint->link);
    free(endpoint);
}

void kvpbus_bus_close(struct kvpbus_bus *bus)
{
    if (bus == NULL)
        return;
    assert(!kvpbus_bus_busy(bus));
    for (size_t i = 0; i < bus->endpoint_count; i++)
        endpoint_free(bus->endpoints[i]);
    free(bus->endpoints);
    sodium_memzero(bus, sizeof *bus);
    free(bus);
}

// --- endpoints ---

struct kvpbus_endpoint *kvpbus_bus_find(const struct kvpbus_bus *bus, int64_t peer)
{
    for (size_t i = 0; i < bus->endpoint_count; i++)
        if (bus->endpoints[i]->peer.id == peer)
            return bus->endpoints[i];
    return NULL;
}

const struct kvpbus_peer *kvpbus_endpoint_peer(const struct kvpbus_endpoint *endpoint)
{
    return &endpoint->peer;
}

// The link needs the epochs of earlier lives, so it is made when the journal has given them.
struct attach_job {
    struct bus_job head;
    struct bus_memory memory;
    bool enrolling;
    struct kvpbus_token token;
};

enum kvpbus_error bus_remember(struct kvpbus_journal *journal, int64_t peer,
                               struct bus_memory *memory)
{
    enum kvpbus_error error =
        kvpbus_journal_epochs(journal, peer, true, memory->own, &memory->own_count);
    if (error == KVPBUS_OK)
        error =
            kvpbus_journal_epochs(journal, peer, false, memory->retired, &memory->retired_count);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_chain(journal, peer, &memory->chain);
    return error == KVPBUS_OK ? kvpbus_journal_room(journal, peer, memory->room) : error;
}

static enum kvpbus_error attach_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct attach_job *job = (struct attach_job *)base;
    enum kvpbus_error error = bus_remember(journal, job->head.peer, &job->memory);
    if (error == KVPBUS_OK && job->head.bus->options.role == KVPBUS_ROLE_GUEST)
        error = kvpbus_journal_token_open(journal, job->head.peer, &job->enrolling, &job->token);
    if (error != KVPBUS_OK)
        base->failure = *kvpbus_journal_failure(journal);
    return error;
}

static void attach_finished(struct bus_job *base)
{
    struct attach_job *job = (struct attach_job *)base;
    bus_open_link(base->endpoint, &job->memory);
    if (job->enrolling)
        bus_prove(base->endpoint, &job->token);
    sodium_memzero(&job->token, sizeof job->token);
}

void bus_open_link(struct kvpbus_endpoint *endpoint, const struct bus_memory *memory)
{
    struct kvpbus_bus *bus = endpoint->bus;
    struct kvpbus_link_options options = {
        .role = bus->options.role,
        .prefix = bus->options.prefix,
        .ring_slots = bus->options.ring_slots,
        .value_max = bus->options.value_max,
        // Room for the frame around the longest body; what one bundle may need at most.
        .bundle_max = (uint32_t)(bus->options.body_max + bus->options.bundle_target +
                                 KVPBUS_MESSAGE_OVERHEAD + KVPBUS_BUNDLE_HEADER),
        .own_epochs = (const uint8_t(*)[KVPBUS_EPOCH_BYTES])memory->own,
        .own_epoch_count = memory->own_count,
        .retired_epochs = (const uint8_t(*)[KVPBUS_EPOCH_BYTES])memory->retired,
        .retired_epoch_count = memory->retired_count,
        .random = bus->options.random,
        .random_context = bus->options.random_context,
    };
    memcpy(options.identity, bus->options.identity, sizeof options.identity);
    memcpy(options.secret, bus->options.secret, sizeof options.secret);
    memcpy(options.vm, endpoint->peer.vm, sizeof options.vm);
    endpoint->link = kvpbus_link_new(&options, bus->now);
    sodium_memzero(options.secret, sizeof options.secret);
    if (endpoint->link == NULL) {
        fputs("kvpbus: out of memory\n", stderr);
        abort();
    }
    kvpbus_link_room(endpoint->link, memory->room);
    memcpy(endpoint->room, memory->room, sizeof endpoint->room);
    struct kvpbus_rotation rotation;
    endpoint->chain = memory->chain;
    bus_statements(endpoint, &rotation);
    kvpbus_link_extend(endpoint->link, KVPBUS_EXTENSION_ROTATION,
                       rotation.length > 0 ? rotation.bytes : NULL, rotation.length, bus->now);
    kvpbus_link_extend(endpoint->link, KVPBUS_EXTENSION_FORMER_VMS,
                       endpoint->peer.former_count > 0 ? endpoint->peer.former[0] : NULL,
                       endpoint->peer.former_count * KVPBUS_VM_ID_BYTES, bus->now);
    bus_pinned(endpoint);
    kvpbus_link_suspend(endpoint->link, endpoint->suspended, bus->now);
}

enum kvpbus_error kvpbus_bus_attach(struct kvpbus_bus *bus, const struct kvpbus_peer *peer,
                                    const uint8_t vm[KVPBUS_VM_ID_BYTES],
                                    struct kvpbus_endpoint **out)
{
    *out = kvpbus_bus_find(bus, peer->id);
    if (*out != NULL) {
        memcpy((*out)->peer.name, peer->name, sizeof peer->name);
        return KVPBUS_OK;
    }
    if (bus->endpoint_count == KVPBUS_PEERS_MAX)
        return KVPBUS_TOO_LARGE;
    struct kvpbus_endpoint **grown =
        realloc(bus->endpoints, (bus->endpoint_count + 1) * sizeof *grown);
    if (grown == NULL)
        return KVPBUS_NOMEM;
    bus->endpoints = grown;
    struct kvpbus_endpoint *endpoint = calloc(1, sizeof *endpoint);
    if (endpoint == NULL)
        return KVPBUS_NOMEM;
    endpoint->bus = bus;
    endpoint->peer = *peer;
    memcpy(endpoint->peer.vm, vm, sizeof endpoint->peer.vm);
    endpoint->retry_at = NEVER;
    endpoint->expire_at = bus->now;
    bus->endpoints[bus->endpoint_count++] = endpoint;
    struct attach_job *job = bus_job_new(sizeof *job, bus, endpoint, attach_run, attach_finished);
    job->head.needed = true;
    bus_submit(&job->head);
    *out = endpoint;
    return KVPBUS_OK;
}

void kvpbus_endpoint_suspend(struct kvpbus_endpoint *endpoint, bool suspended, const char *why)
{
    endpoint->why = why;
    if (endpoint->suspended == suspended)
        return;
    endpoint->suspended = suspended;
    endpoint->poll_at = endpoint->bus->now;
    if (endpoint->link == NULL)
        return;
    kvpbus_link_suspend(endpoint->link, suspended, endpoint->bus->now);
    bus_drain(endpoint);
}

// --- status ---

void kvpbus_endpoint_status(const struct kvpbus_endpoint *endpoint,
                            struct kvpbus_link_status *status)
{
    memset(status, 0, sizeof *status);
    if (endpoint->link == NULL) {
        snprintf(status->why, sizeof status->why, "the journal is being read");
        return;
    }
    kvpbus_link_status(endpoint->link, status);
    if (endpoint->suspended && endpoint->why != NULL)
        snprintf(status->why, sizeof status->why, "%s", endpoint->why);
    else if (endpoint->read_error != KVPBUS_OK)
        snprintf(status->why, sizeof status->why, "reading fails: %s",
                 kvpbus_error_text(endpoint->read_error));
}
