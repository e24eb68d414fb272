// SPDX-License-Identifier: Apache-2.0
//
// What time it is, and what is due: ends of leases, forgetting, jobs that are tried again.
#include "bus_internal.h"

uint64_t bus_timer(const struct kvpbus_bus *bus, int64_t wall_ms)
{
    if (wall_ms == 0 || wall_ms - bus->wall > TIMER_MAX)
        return bus->now + TIMER_MAX;
    return wall_ms <= bus->wall ? bus->now : bus->now + (uint64_t)(wall_ms - bus->wall);
}

void bus_leases_by(struct kvpbus_bus *bus, uint64_t ms)
{
    if (ms < TIMER_MAX && bus->now + ms < bus->leases_at)
        bus->leases_at = bus->now + ms;
}

struct leases_job {
    struct bus_job head;
    int64_t wall, next;
    int64_t due; // the peer to be told, 0 none
};

static enum kvpbus_error leases_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct leases_job *job = (struct leases_job *)base;
    enum kvpbus_error error = kvpbus_journal_leases_end(journal, job->wall, &job->next);
    job->due = kvpbus_journal_receipts_due(journal);
    return error;
}

static void leases_finished(struct bus_job *base)
{
    struct leases_job *job = (struct leases_job *)base;
    base->bus->leases_busy = false;
    base->bus->leases_at = bus_timer(base->bus, job->next);
    if (base->job.result == KVPBUS_OK)
        feed_receipts(base->bus, job->due);
    bus_inbox(base->bus, 0);
}

struct prune_job {
    struct bus_job head;
    int64_t wall;
    bool more;
};

static enum kvpbus_error prune_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct prune_job *job = (struct prune_job *)base;
    return kvpbus_journal_prune(journal, job->wall, PRUNE_ROWS, &job->more);
}

static void prune_finished(struct bus_job *base)
{
    base->bus->prune_busy = false;
    if (base->job.result == KVPBUS_OK && ((struct prune_job *)base)->more)
        base->bus->prune_at = base->bus->now + PRUNE_AGAIN;
}

static void bus_timers(struct kvpbus_bus *bus)
{
    if (!bus->leases_busy && bus->now >= bus->leases_at) {
        struct leases_job *job = bus_job_new(sizeof *job, bus, NULL, leases_run, leases_finished);
        job->wall = bus->wall;
        bus->leases_busy = true;
        bus_submit(&job->head);
    }
    if (!bus->prune_busy && bus->now >= bus->prune_at) {
        struct prune_job *job = bus_job_new(sizeof *job, bus, NULL, prune_run, prune_finished);
        job->wall = bus->wall;
        bus->prune_busy = true;
        bus->prune_at = bus->now + PRUNE_EVERY;
        bus_submit(&job->head);
    }
}

void kvpbus_bus_tick(struct kvpbus_bus *bus, uint64_t now_ms, int64_t wall_ms)
{
    assert(now_ms >= bus->now);
    bus->now = now_ms;
    bus->wall = wall_ms;
    bus_timers(bus);
    for (size_t i = 0; i < bus->endpoint_count; i++) {
        struct kvpbus_endpoint *endpoint = bus->endpoints[i];
        if (now_ms >= endpoint->retry_at)
            bus_retry_jobs(endpoint);
        if (endpoint->link == NULL)
            continue;
        kvpbus_link_tick(endpoint->link, now_ms);
        bus_drain(endpoint);
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t kvpbus_bus_deadline(const struct kvpbus_bus *bus)
{
    uint64_t deadline = NEVER;
    if (!bus->leases_busy)
        deadline = earlier(deadline, bus->leases_at);
    if (!bus->prune_busy)
        deadline = earlier(deadline, bus->prune_at);
    for (size_t i = 0; i < bus->endpoint_count; i++) {
        const struct kvpbus_endpoint *endpoint = bus->endpoints[i];
        deadline = earlier(deadline, endpoint->retry_at);
        if (endpoint->link == NULL)
            continue;
        deadline = earlier(deadline, feed_deadline(endpoint));
        if (endpoint->suspended)
            continue;
        deadline = earlier(deadline, kvpbus_link_deadline(endpoint->link));
        if (!endpoint->reading_peer)
            deadline = earlier(deadline, endpoint->poll_at);
    }
    return deadline;
}
