// SPDX-License-Identifier: Apache-2.0
//
// How jobs run and how actions are carried out: what the programs' threads share with a program
// that embeds the bus and has no thread but its own.
#include <assert.h>
#include <stddef.h>

#include "bus.h"

// --- on the journal's thread ---

static void run_one(struct kvpbus_job *job, struct kvpbus_journal *journal)
{
    job->result = kvpbus_journal_savepoint(journal);
    if (job->result != KVPBUS_OK) {
        job->failure = *kvpbus_journal_failure(journal);
        return;
    }
    if (job->run != NULL)
        job->result = job->run(job, journal);
    enum kvpbus_error released = kvpbus_journal_release(journal, job->result == KVPBUS_OK);
    if (job->result == KVPBUS_OK && released != KVPBUS_OK) {
        job->result = released;
        job->failure = *kvpbus_journal_failure(journal);
    }
}

// A group whose transaction fails has not happened, whatever its jobs found on the way.
enum kvpbus_error kvpbus_jobs_run(struct kvpbus_job *first, struct kvpbus_journal *journal)
{
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error = kvpbus_journal_begin(journal);
    if (error != KVPBUS_OK)
        failure = *kvpbus_journal_failure(journal);
    for (struct kvpbus_job *job = first; error == KVPBUS_OK && job != NULL; job = job->next)
        run_one(job, journal);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_commit(journal, &failure);
    for (struct kvpbus_job *job = first; error != KVPBUS_OK && job != NULL; job = job->next)
        if (job->result == KVPBUS_OK) {
            job->result = error;
            job->failure = failure;
        }
    for (struct kvpbus_job *job = first; job != NULL; job = job->next)
        if (job->result == KVPBUS_OK && job->after != NULL)
            job->result = job->after(job, journal);
    return error;
}

// --- on the caller's thread ---

static void submit(struct kvpbus_executor *executor, struct kvpbus_job *job)
{
    struct kvpbus_inline *jobs = (struct kvpbus_inline *)executor;
    job->next = NULL;
    *jobs->last = job;
    jobs->last = &job->next;
}

void kvpbus_inline_init(struct kvpbus_inline *jobs, struct kvpbus_journal *journal)
{
    jobs->executor.submit = submit;
    jobs->journal = journal;
    jobs->first = NULL;
    jobs->last = &jobs->first;
}

bool kvpbus_inline_run(struct kvpbus_inline *jobs)
{
    struct kvpbus_job *job = jobs->first;
    jobs->first = NULL;
    jobs->last = &jobs->first;
    if (job != NULL)
        kvpbus_jobs_run(job, jobs->journal);
    for (struct kvpbus_job *next; job != NULL; job = next) {
        next = job->next;
        kvpbus_job_finish(job);
    }
    return jobs->first != NULL;
}

// --- actions ---

void kvpbus_action_carry_out(const struct kvpbus_action *action, struct kvpbus_store *store)
{
    struct kvpbus_failure failure = {0};
    struct kvpbus_scan scan = {0};
    enum kvpbus_error error, results[KVPBUS_CHANGES_MAX];
    switch (action->kind) {
    case KVPBUS_ACTION_WRITE:
        store->ops->write(store, action->changes, action->count, results, &failure);
        kvpbus_bus_write_done(action->endpoint, results, &failure);
        break;
    case KVPBUS_ACTION_READ_OWN:
        error = store->ops->read_own(store, &scan, &failure);
        kvpbus_bus_read_done(action->endpoint, action->kind, error, &scan, &failure);
        break;
    case KVPBUS_ACTION_READ_PEER:
        error = store->ops->read_peer(store, &scan, &failure);
        kvpbus_bus_read_done(action->endpoint, action->kind, error, &scan, &failure);
        break;
    }
    kvpbus_scan_free(&scan);
}
