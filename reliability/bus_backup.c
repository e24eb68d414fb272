// SPDX-License-Identifier: Apache-2.0
//
// A backup of the journal: one job after another copies some pages, so that the bus's own jobs come
// in between.
#include <stdio.h>

#include "bus_internal.h"

enum { STEP_PAGES = 256 }; // about 1 MiB

enum backup_stage { BACKUP_BEGIN, BACKUP_STEP, BACKUP_DROP };

struct backup_job {
    struct bus_job head;
    enum backup_stage stage;
    char *path; // with BACKUP_BEGIN
    struct kvpbus_backup_state state;
    struct kvpbus_failure why; // with BACKUP_DROP
    kvpbus_backup_fn *callback;
    void *context;
};

static enum kvpbus_error backup_after(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct backup_job *job = (struct backup_job *)base;
    enum kvpbus_error error = KVPBUS_OK;
    switch (job->stage) {
    case BACKUP_BEGIN:
        error = kvpbus_journal_backup_begin(journal, job->path);
        break;
    case BACKUP_STEP:
        error = kvpbus_journal_backup_step(journal, STEP_PAGES, &job->state);
        if (error == KVPBUS_OK && job->state.whole)
            error = kvpbus_journal_backup_end(journal, true);
        break;
    case BACKUP_DROP:
        error = kvpbus_journal_backup_end(journal, false);
        break;
    }
    if (error != KVPBUS_OK)
        base->failure = *kvpbus_journal_failure(journal);
    return error;
}

static void backup_dispose(struct bus_job *base)
{
    free(((struct backup_job *)base)->path);
}

static void backup_finished(struct bus_job *base);

static struct backup_job *next_job(const struct backup_job *last, enum backup_stage stage)
{
    struct backup_job *job = bus_job_new(sizeof *job, last->head.bus, NULL, NULL, backup_finished);
    job->head.job.after = backup_after;
    job->stage = stage;
    job->callback = last->callback;
    job->context = last->context;
    job->state = last->state;
    return job;
}

static void give_up(const struct backup_job *last, const struct kvpbus_failure *why)
{
    struct backup_job *job = next_job(last, BACKUP_DROP);
    job->why = *why;
    bus_submit(&job->head);
}

static void step_finished(const struct backup_job *job)
{
    struct kvpbus_failure none = {0};
    uint64_t total = job->state.total;
    if (job->state.whole) {
        job->callback(job->context, total, total, &none);
        return;
    }
    if (job->callback(job->context, job->state.done, total, &none)) {
        bus_submit(&next_job(job, BACKUP_STEP)->head);
        return;
    }
    kvpbus_fail(&none, KVPBUS_CLOSED, "the backup was given up");
    give_up(job, &none);
}

static void backup_finished(struct bus_job *base)
{
    struct backup_job *job = (struct backup_job *)base;
    struct kvpbus_failure *failure = &base->job.failure;
    failure->code = base->job.result;
    if (failure->code != KVPBUS_OK && failure->detail[0] == '\0')
        snprintf(failure->detail, sizeof failure->detail, "%s", kvpbus_error_text(failure->code));
    if (job->stage == BACKUP_DROP)
        job->callback(job->context, 0, 0, &job->why);
    else if (failure->code != KVPBUS_OK && job->stage == BACKUP_STEP)
        give_up(job, failure);
    else if (failure->code != KVPBUS_OK)
        job->callback(job->context, 0, 0, failure);
    else if (job->stage == BACKUP_BEGIN)
        bus_submit(&next_job(job, BACKUP_STEP)->head);
    else
        step_finished(job);
}

void kvpbus_bus_backup(struct kvpbus_bus *bus, const char *path, kvpbus_backup_fn *callback,
                       void *context)
{
    struct backup_job first = {.head = {.bus = bus}, .callback = callback, .context = context};
    struct backup_job *job = next_job(&first, BACKUP_BEGIN);
    job->path = strdup(path);
    if (job->path == NULL)
        abort(); // a few bytes
    job->head.dispose = backup_dispose;
    bus_submit(&job->head);
}
