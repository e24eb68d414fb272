// SPDX-License-Identifier: Apache-2.0
//
// The journal's thread, as jobs that run after a while in groups of one transaction each; their
// callbacks come a while after the commit.
#include "world.h"

static void add(struct kvpbus_job ***end, struct kvpbus_job *job)
{
    job->next = NULL;
    **end = job;
    *end = &job->next;
}

static void submit(struct kvpbus_executor *executor, struct kvpbus_job *job)
{
    struct sim_process *process = (struct sim_process *)executor;
    struct sim_world *world = process->side->world;
    if (process->queued == NULL) {
        process->run_at = sim_side_now(process->side) + sim_draw(world, world->timing.job);
        if (sim_strikes(world, SIM_SLOW_JOURNAL))
            process->run_at += sim_rng_range(&world->rng, 500, 10000);
    }
    add(&process->queued_end, job);
}

void sim_executor_init(struct sim_process *process)
{
    process->executor.submit = submit;
    process->queued_end = &process->queued;
    process->finished_end = &process->finished;
}

static void run_one(struct sim_process *process, struct kvpbus_job *job)
{
    job->result = kvpbus_journal_savepoint(process->journal);
    if (job->result == KVPBUS_OK) {
        job->result = job->run(job, process->journal);
        enum kvpbus_error released =
            kvpbus_journal_release(process->journal, job->result == KVPBUS_OK);
        if (job->result != KVPBUS_OK || released == KVPBUS_OK)
            return;
        job->result = released;
    }
    job->failure = *kvpbus_journal_failure(process->journal);
}

static enum kvpbus_error run_group(struct sim_process *process, struct kvpbus_failure *failure)
{
    enum kvpbus_error error = kvpbus_journal_begin(process->journal);
    if (error != KVPBUS_OK) {
        *failure = *kvpbus_journal_failure(process->journal);
        return error;
    }
    for (struct kvpbus_job *job = process->queued; job != NULL; job = job->next)
        run_one(process, job);
    error = kvpbus_journal_commit(process->journal, failure);
    if (error != KVPBUS_OK)
        kvpbus_journal_rollback(process->journal);
    return error;
}

// What the journal must never say when its disk is sound.
static void judge(struct sim_process *process, const struct kvpbus_job *job)
{
    struct sim_side *side = process->side;
    enum kvpbus_error error = job->result;
    bool bad = error == KVPBUS_JOURNAL_DAMAGED || error == KVPBUS_INTERNAL;
    bool disk = error == KVPBUS_IO || error == KVPBUS_NO_SPACE;
    if (bad || (disk && side->disk.failures == 0))
        sim_fail(side->world, "a job of side %d fails with %s: %s", side->index,
                 kvpbus_error_name(error), job->failure.detail);
}

bool sim_executor_run(struct sim_process *process)
{
    struct sim_side *side = process->side;
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error = run_group(process, &failure);
    if (side->disk.dead)
        return false;
    size_t count = 0;
    if (process->finished == NULL)
        process->finish_at = sim_side_now(side) + sim_draw(side->world, side->world->timing.finish);
    for (struct kvpbus_job *job = process->queued, *next; job != NULL; job = next, count++) {
        next = job->next;
        if (error != KVPBUS_OK && job->result == KVPBUS_OK) {
            job->result = error;
            job->failure = failure;
        }
        judge(process, job);
        add(&process->finished_end, job);
    }
    process->queued = NULL;
    process->queued_end = &process->queued;
    sim_trace(side->world, side->index, "journal: %zu job%s, %s", count, count == 1 ? "" : "s",
              kvpbus_error_name(error));
    return true;
}

void sim_executor_finish(struct sim_process *process)
{
    struct kvpbus_job *job = process->finished, *next;
    process->finished = NULL;
    process->finished_end = &process->finished;
    for (; job != NULL; job = next) {
        next = job->next;
        kvpbus_job_finish(job);
    }
}
