// SPDX-License-Identifier: Apache-2.0
//
// What consumers ask of the bus: leases and what ends them.
#include <stdio.h>

#include "bus_internal.h"

// --- room ---

void bus_room(struct kvpbus_endpoint *endpoint, const uint64_t room[KVPBUS_CLASS_COUNT])
{
    uint64_t left = room[KVPBUS_CLASS_NORMAL], longest = endpoint->bus->options.body_max;
    memcpy(endpoint->room, room, sizeof endpoint->room);
    kvpbus_link_room(endpoint->link, room);
    if (left < longest && !endpoint->scarce) {
        endpoint->scarce = true;
        bus_event(endpoint, KVPBUS_EVENT_ALARM,
                  "its inbox here is nearly full: its messages wait until some are consumed, dead "
                  "letters are dropped, or inbox_max or journal_max is raised");
    } else if (left >= 2 * longest) {
        endpoint->scarce = false;
    }
}

// The peer is told of the room that was made when it may be waiting for it.
struct room_job {
    struct bus_job head;
    uint64_t room[KVPBUS_CLASS_COUNT];
};

static enum kvpbus_error room_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct room_job *job = (struct room_job *)base;
    return kvpbus_journal_room(journal, job->head.peer, job->room);
}

static void room_finished(struct bus_job *base)
{
    struct room_job *job = (struct room_job *)base;
    if (base->job.result != KVPBUS_OK || base->endpoint->link == NULL)
        return;
    bus_room(base->endpoint, job->room);
}

void bus_room_made(struct kvpbus_bus *bus)
{
    for (size_t i = 0; i < bus->endpoint_count; i++) {
        struct kvpbus_endpoint *endpoint = bus->endpoints[i];
        bool scarce = false;
        for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
            scarce |= endpoint->room[class_] < 2 * (uint64_t)bus->options.body_max;
        if (!scarce || !endpoint->feeding)
            continue;
        struct room_job *job = bus_job_new(sizeof *job, bus, endpoint, room_run, room_finished);
        bus_submit(&job->head);
    }
}

// --- leases ---

struct lease_job {
    struct bus_job head;
    struct bus_filter filter;
    struct kvpbus_message_id reply_to;
    bool replies;
    unsigned kinds;
    uint64_t lease_ms;
    int64_t wall;
    struct kvpbus_delivery *delivery;
    struct kvpbus_awaited awaited;
    bool awaits;
    kvpbus_lease_fn *callback;
    void *context;
};

static enum kvpbus_error lease_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct lease_job *job = (struct lease_job *)base;
    struct kvpbus_filter filter = {
        .peer = job->filter.peer,
        .pattern = bus_filter_pattern(&job->filter),
        .kinds = job->kinds,
        .reply_to = job->replies ? &job->reply_to : NULL,
    };
    job->awaits = false;
    base->failure.code = KVPBUS_OK;
    enum kvpbus_error error =
        kvpbus_journal_lease(journal, &filter, job->lease_ms, job->wall, &job->delivery);
    if (error == KVPBUS_NOT_FOUND && job->replies) {
        enum kvpbus_error asked =
            kvpbus_journal_awaited(journal, filter.peer, &job->reply_to, job->wall, &job->awaited);
        job->awaits = asked == KVPBUS_OK;
        error = asked == KVPBUS_OK ? error : asked;
    }
    return bus_told(base, journal, error);
}

static void lease_finished(struct bus_job *base)
{
    struct lease_job *job = (struct lease_job *)base;
    struct kvpbus_bus *bus = base->bus;
    // A lease that was not committed is none.
    if (base->job.result != KVPBUS_OK && job->delivery != NULL) {
        kvpbus_delivery_free(job->delivery);
        job->delivery = NULL;
    }
    if (job->delivery != NULL)
        bus_leases_by(bus, job->lease_ms);
    bool awaits = job->awaits && base->job.result == KVPBUS_NOT_FOUND;
    job->callback(job->context, job->delivery, awaits ? &job->awaited : NULL, bus_failure(base));
}

void kvpbus_bus_lease(struct kvpbus_bus *bus, const struct kvpbus_filter *filter, uint64_t lease_ms,
                      kvpbus_lease_fn *callback, void *context)
{
    struct lease_job *job = bus_job_new(sizeof *job, bus, NULL, lease_run, lease_finished);
    bus_filter_set(&job->filter, filter->peer, filter->pattern);
    job->kinds = filter->kinds;
    job->replies = filter->reply_to != NULL;
    if (job->replies)
        job->reply_to = *filter->reply_to;
    job->lease_ms = lease_ms;
    job->wall = bus->wall;
    job->callback = callback;
    job->context = context;
    bus_submit(&job->head);
}

// --- the end of a lease ---

enum ending { END_ACK, END_NACK, END_REJECT, END_LATER };

struct end_job {
    struct bus_job head;
    int64_t lease;
    enum ending ending;
    uint64_t ms; // of a delay, or of the rest of the lease
    char reason[KVPBUS_REASON_MAX + 1];
    int64_t wall;
    int64_t due; // the peer to be told, 0 none
    kvpbus_done_fn *callback;
    void *context;
};

static enum kvpbus_error end_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct end_job *job = (struct end_job *)base;
    enum kvpbus_error error = KVPBUS_OK;
    base->failure.code = KVPBUS_OK;
    switch (job->ending) {
    case END_ACK:
        error = kvpbus_journal_ack(journal, job->lease);
        break;
    case END_NACK:
        error = kvpbus_journal_nack(journal, job->lease, job->ms, job->reason, job->wall);
        break;
    case END_REJECT:
        error = kvpbus_journal_reject(journal, job->lease, job->reason, job->wall);
        break;
    case END_LATER:
        error = kvpbus_journal_extend(journal, job->lease, job->ms, job->wall);
        break;
    }
    job->due = kvpbus_journal_receipts_due(journal);
    return bus_told(base, journal, error);
}

static void end_finished(struct bus_job *base)
{
    struct end_job *job = (struct end_job *)base;
    struct kvpbus_bus *bus = base->bus;
    bool done = base->job.result == KVPBUS_OK;
    if (done && (job->ending == END_NACK || job->ending == END_LATER))
        bus_leases_by(bus, job->ms);
    if (job->callback != NULL)
        job->callback(job->context, bus_failure(base));
    if (!done || job->ending == END_LATER)
        return;
    bus_room_made(bus);
    feed_receipts(bus, job->due);
    bus_inbox(bus, 0); // the next message of the stream may come now
}

static void end_lease(struct kvpbus_bus *bus, int64_t lease, enum ending ending, uint64_t ms,
                      const char *reason, kvpbus_done_fn *callback, void *context)
{
    struct end_job *job = bus_job_new(sizeof *job, bus, NULL, end_run, end_finished);
    job->lease = lease;
    job->ending = ending;
    job->ms = ms;
    snprintf(job->reason, sizeof job->reason, "%s", reason != NULL ? reason : "");
    job->wall = bus->wall;
    job->callback = callback;
    job->context = context;
    bus_submit(&job->head);
}

void kvpbus_bus_ack(struct kvpbus_bus *bus, int64_t lease, kvpbus_done_fn *callback, void *context)
{
    end_lease(bus, lease, END_ACK, 0, NULL, callback, context);
}

void kvpbus_bus_nack(struct kvpbus_bus *bus, int64_t lease, uint64_t delay_ms, const char *reason,
                     kvpbus_done_fn *callback, void *context)
{
    end_lease(bus, lease, END_NACK, delay_ms, reason, callback, context);
}

void kvpbus_bus_reject(struct kvpbus_bus *bus, int64_t lease, const char *reason,
                       kvpbus_done_fn *callback, void *context)
{
    end_lease(bus, lease, END_REJECT, 0, reason, callback, context);
}

void kvpbus_bus_extend(struct kvpbus_bus *bus, int64_t lease, uint64_t lease_ms,
                       kvpbus_done_fn *callback, void *context)
{
    end_lease(bus, lease, END_LATER, lease_ms, NULL, callback, context);
}
