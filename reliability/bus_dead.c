// SPDX-License-Identifier: Apache-2.0
//
// Dead letters for those who look after them. What is asked of all that match is done some at a
// time, so that the journal's other work goes on between.
#include <stdio.h>

#include "bus_internal.h"

enum { DEAD_STEP = 64 }; // letters in one job

struct dead_job {
    struct bus_job head;
    struct bus_filter filter;
    struct kvpbus_message_id id;
    bool by_id;
    int64_t wall;
    // a page
    int64_t after;
    struct kvpbus_dead_letter letters[KVPBUS_DEAD_PAGE];
    size_t count;
    bool more;
    // one of them, or all
    struct kvpbus_delivery *delivery;
    bool retry;
    struct kvpbus_dead_walk before, walk;
    union {
        kvpbus_dead_list_fn *list;
        kvpbus_dead_get_fn *get;
        kvpbus_dead_done_fn *done;
    } callback;
    void *context;
};

static struct dead_job *dead_job(struct kvpbus_bus *bus, const struct kvpbus_dead_filter *filter,
                                 enum kvpbus_error (*run)(struct kvpbus_job *,
                                                          struct kvpbus_journal *),
                                 void (*finished)(struct bus_job *), void *context)
{
    struct dead_job *job = bus_job_new(sizeof *job, bus, NULL, run, finished);
    bus_filter_set(&job->filter, filter->peer, filter->pattern);
    job->by_id = filter->id != NULL;
    if (job->by_id)
        job->id = *filter->id;
    job->wall = bus->wall;
    job->context = context;
    return job;
}

static struct kvpbus_dead_filter filter_of(const struct dead_job *job)
{
    return (struct kvpbus_dead_filter){
        .peer = job->filter.peer,
        .pattern = bus_filter_pattern(&job->filter),
        .id = job->by_id ? &job->id : NULL,
    };
}

// --- looking ---

static enum kvpbus_error list_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct dead_job *job = (struct dead_job *)base;
    struct kvpbus_dead_filter filter = filter_of(job);
    return bus_told(base, journal,
                    kvpbus_journal_dead_list(journal, &filter, job->after, job->letters,
                                             KVPBUS_DEAD_PAGE, &job->count, &job->more));
}

static void list_finished(struct bus_job *base)
{
    struct dead_job *job = (struct dead_job *)base;
    bool done = base->job.result == KVPBUS_OK;
    job->callback.list(job->context, job->letters, done ? job->count : 0, done && job->more,
                       bus_failure(base));
}

void kvpbus_bus_dead_list(struct kvpbus_bus *bus, const struct kvpbus_dead_filter *filter,
                          int64_t after, kvpbus_dead_list_fn *callback, void *context)
{
    struct dead_job *job = dead_job(bus, filter, list_run, list_finished, context);
    job->after = after;
    job->callback.list = callback;
    bus_submit(&job->head);
}

static enum kvpbus_error get_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct dead_job *job = (struct dead_job *)base;
    struct kvpbus_dead_filter filter = filter_of(job);
    return bus_told(base, journal, kvpbus_journal_dead_get(journal, &filter, &job->delivery));
}

static void get_finished(struct bus_job *base)
{
    struct dead_job *job = (struct dead_job *)base;
    if (base->job.result != KVPBUS_OK) {
        kvpbus_delivery_free(job->delivery);
        job->delivery = NULL;
    }
    job->callback.get(job->context, job->delivery, bus_failure(base));
}

void kvpbus_bus_dead_get(struct kvpbus_bus *bus, const struct kvpbus_dead_filter *filter,
                         kvpbus_dead_get_fn *callback, void *context)
{
    struct dead_job *job = dead_job(bus, filter, get_run, get_finished, context);
    job->callback.get = callback;
    bus_submit(&job->head);
}

// --- back into the inbox, or away ---

static enum kvpbus_error walk_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct dead_job *job = (struct dead_job *)base;
    struct kvpbus_dead_filter filter = filter_of(job);
    job->walk = job->before;
    return bus_told(
        base, journal,
        job->retry ? kvpbus_journal_dead_retry(journal, &filter, job->wall, DEAD_STEP, &job->walk)
                   : kvpbus_journal_dead_drop(journal, &filter, DEAD_STEP, &job->walk));
}

static void walk_finished(struct bus_job *base);

static void walk(struct kvpbus_bus *bus, const struct kvpbus_dead_filter *filter, bool retry,
                 const struct kvpbus_dead_walk *before, kvpbus_dead_done_fn *callback,
                 void *context)
{
    struct dead_job *job = dead_job(bus, filter, walk_run, walk_finished, context);
    job->retry = retry;
    job->before = *before;
    job->callback.done = callback;
    bus_submit(&job->head);
}

static void walk_finished(struct bus_job *base)
{
    struct dead_job *job = (struct dead_job *)base;
    struct kvpbus_bus *bus = base->bus;
    struct kvpbus_dead_filter filter = filter_of(job);
    bool done = base->job.result == KVPBUS_OK;
    if (done && job->walk.more)
        walk(bus, &filter, job->retry, &job->walk, job->callback.done, job->context);
    else
        job->callback.done(job->context, done ? job->walk.count : job->before.count,
                           bus_failure(base));
    bus_room_made(bus);
    bus_inbox(bus, 0);
}

static const struct kvpbus_dead_walk begin;

void kvpbus_bus_dead_retry(struct kvpbus_bus *bus, const struct kvpbus_dead_filter *filter,
                           kvpbus_dead_done_fn *callback, void *context)
{
    walk(bus, filter, true, &begin, callback, context);
}

void kvpbus_bus_dead_drop(struct kvpbus_bus *bus, const struct kvpbus_dead_filter *filter,
                          kvpbus_dead_done_fn *callback, void *context)
{
    walk(bus, filter, false, &begin, callback, context);
}
