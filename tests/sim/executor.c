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
    enum kvpbus_error error = kvpbus_jobs_run(process->queued, process->journal);
    if (side->disk.dead)
        return false;
    size_t count = 0;
    if (process->finished == NULL)
        process->finish_at = sim_side_now(side) + sim_draw(side->world, side->world->timing.finish);
    for (struct kvpbus_job *job = process->queued, *next; job != NULL; job = next, count++) {
        next = job->next;
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
