// SPDX-License-Identifier: Apache-2.0
//
// The life of a job: accepted or refused, queued at its VM, run, ended, remembered.
#include "job.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static struct kvpbus_lab_job **slot_of(struct kvpbus_lab *lab, uint64_t id)
{
    return &lab->jobs[id % KVPBUS_LAB_JOBS_MAX];
}

static bool has_ended(const struct kvpbus_lab_job *job)
{
    return job->outcome.state >= KVPBUS_JOB_COMPLETED;
}

static void free_job(struct kvpbus_lab_job *job)
{
    if (job != NULL)
        free(job->items);
    free(job);
}

void kvpbus_lab_jobs_free(struct kvpbus_lab *lab)
{
    for (size_t i = 0; i < KVPBUS_LAB_JOBS_MAX; i++) {
        free_job(lab->jobs[i]);
        lab->jobs[i] = NULL;
    }
}

static bool value_is_text(const struct kvpbus_lab_item *item)
{
    return kvpbus_lab_text_within(item->value, strlen(item->value), SIZE_MAX);
}

// What the service refuses before it makes a job.
static uint32_t refusal(struct kvpbus_lab_vm *vm, enum kvpbus_operation operation,
                        const struct kvpbus_lab_item *items, size_t count)
{
    const struct kvpbus_lab_options *options = &vm->lab->options;
    int64_t code;
    if (kvpbus_lab_fault_strikes(&vm->faults, KVPBUS_LAB_FAULT_ERROR, &code))
        return (uint32_t)code;
    if (count == 0 || count > KVPBUS_MANAGEMENT_BATCH)
        return KVPBUS_RETURN_INVALID_PARAMETER;
    for (size_t i = 0; i < count; i++) {
        const struct kvpbus_lab_item *item = &items[i];
        if (item->key[0] == '\0' ||
            !kvpbus_lab_text_within(item->key, strlen(item->key), KVPBUS_LAB_KEY_UNITS))
            return KVPBUS_RETURN_INVALID_PARAMETER;
        if (operation != KVPBUS_OP_REMOVE && !value_is_text(item))
            return KVPBUS_RETURN_INVALID_PARAMETER;
        if (operation != KVPBUS_OP_REMOVE &&
            !kvpbus_lab_text_within(item->value, strlen(item->value), options->value_limit))
            return options->too_long;
        for (size_t j = 0; j < i; j++)
            if (strcmp(items[j].key, item->key) == 0)
                return KVPBUS_RETURN_INVALID_PARAMETER;
    }
    if (!vm->exchange_enabled && options->exchange_off != KVPBUS_RETURN_COMPLETED)
        return options->exchange_off;
    if (vm->state == KVPBUS_VM_STATE_PAUSED || vm->state == KVPBUS_VM_STATE_SAVED)
        return KVPBUS_RETURN_INVALID_STATE;
    if (vm->queue_length >= KVPBUS_LAB_QUEUE_MAX)
        return KVPBUS_RETURN_IN_USE;
    return KVPBUS_RETURN_JOB_STARTED;
}

// One fault to a job at most, so that each count means what it says.
static void draw_faults(struct kvpbus_lab_job *job)
{
    struct kvpbus_lab_faults *faults = &job->vm->faults;
    if (job->operation == KVPBUS_OP_ADD &&
        kvpbus_lab_fault_strikes(faults, KVPBUS_LAB_FAULT_TOO_MANY, NULL))
        job->too_many = true;
    else if (kvpbus_lab_fault_strikes(faults, KVPBUS_LAB_FAULT_LOST_JOB, NULL))
        job->lost = true;
    else if (kvpbus_lab_fault_strikes(faults, KVPBUS_LAB_FAULT_SILENT_JOB, NULL))
        job->silent = true;
    else if (kvpbus_lab_fault_strikes(faults, KVPBUS_LAB_FAULT_HALF_BATCH, NULL))
        job->until = job->count / 2;
    else if (kvpbus_lab_fault_strikes(faults, KVPBUS_LAB_FAULT_NO_EFFECT, NULL))
        job->no_effect = true;
    else if (kvpbus_lab_fault_strikes(faults, KVPBUS_LAB_FAULT_NOT_DELIVERED, NULL))
        job->not_delivered = true;
}

static void alter_text(enum kvpbus_lab_item_text how, char value[KVPBUS_LAB_VALUE_BYTES + 1])
{
    if (how == KVPBUS_LAB_TEXT_TRIMMED)
        kvpbus_lab_text_trim(value);
    else if (how == KVPBUS_LAB_TEXT_ESCAPED)
        kvpbus_lab_text_escape(value, KVPBUS_LAB_VALUE_UNITS + 1);
}

static struct kvpbus_lab_job *make_job(struct kvpbus_lab_vm *vm, enum kvpbus_operation operation,
                                       const struct kvpbus_lab_item *items, size_t count)
{
    struct kvpbus_lab *lab = vm->lab;
    struct kvpbus_lab_job **slot = slot_of(lab, lab->last_job + 1);
    struct kvpbus_lab_job *job = calloc(1, sizeof *job);
    struct kvpbus_lab_item *copy = calloc(count, sizeof *copy);
    bool taken = *slot != NULL && (*slot)->items != NULL;
    if (job == NULL || copy == NULL || taken) {
        free(job);
        free(copy);
        return NULL;
    }
    memcpy(copy, items, count * sizeof *copy);
    for (size_t i = 0; i < count; i++)
        alter_text(lab->options.item_text, copy[i].value);
    free_job(*slot);
    *slot = job;
    job->id = ++lab->last_job;
    job->vm = vm;
    job->operation = operation;
    job->items = copy;
    job->count = count;
    job->until = count;
    job->outcome.return_value = KVPBUS_RETURN_JOB_STARTED;
    job->outcome.job = job->id;
    job->outcome.state = KVPBUS_JOB_NEW;
    draw_faults(job);
    return job;
}

static void enqueue(struct kvpbus_lab_vm *vm, struct kvpbus_lab_job *job);

void kvpbus_lab_call(struct kvpbus_lab_vm *vm, enum kvpbus_operation operation,
                     const struct kvpbus_lab_item *items, size_t count,
                     struct kvpbus_lab_outcome *outcome)
{
    uint64_t *calls[] = {[KVPBUS_OP_ADD] = &vm->stats.calls_add,
                         [KVPBUS_OP_MODIFY] = &vm->stats.calls_modify,
                         [KVPBUS_OP_REMOVE] = &vm->stats.calls_remove};
    ++*calls[operation];
    *outcome = (struct kvpbus_lab_outcome){0};
    outcome->return_value = refusal(vm, operation, items, count);
    if (outcome->return_value != KVPBUS_RETURN_JOB_STARTED)
        return;
    struct kvpbus_lab_job *job = make_job(vm, operation, items, count);
    if (job == NULL) {
        outcome->return_value = KVPBUS_RETURN_OUT_OF_MEMORY;
        return;
    }
    *outcome = job->outcome;
    enqueue(vm, job);
}

bool kvpbus_lab_job_outcome(const struct kvpbus_lab *lab, uint64_t id,
                            struct kvpbus_lab_outcome *outcome)
{
    const struct kvpbus_lab_job *job = lab->jobs[id % KVPBUS_LAB_JOBS_MAX];
    if (job == NULL || job->id != id)
        return false;
    *outcome = job->outcome;
    return true;
}

static void on_job_timer(uv_timer_t *timer)
{
    struct kvpbus_lab_vm *vm = timer->data;
    struct kvpbus_lab_job *job = vm->queue_head;
    assert(job != NULL && job->outcome.state == KVPBUS_JOB_STARTING);
    job->outcome.state = KVPBUS_JOB_RUNNING;
    kvpbus_lab_job_run(job);
}

// A lost job waits for nothing and holds up nobody: it is remembered as running, for ever.
static void lose(struct kvpbus_lab_job *job)
{
    job->outcome.state = KVPBUS_JOB_RUNNING;
    job->vm->stats.jobs_lost++;
    free(job->items);
    job->items = NULL;
}

static void enqueue(struct kvpbus_lab_vm *vm, struct kvpbus_lab_job *job)
{
    if (job->lost) {
        lose(job);
        return;
    }
    if (vm->queue_tail != NULL)
        vm->queue_tail->queued = job;
    else
        vm->queue_head = job;
    vm->queue_tail = job;
    vm->queue_length++;
    kvpbus_lab_jobs_pump(vm);
}

void kvpbus_lab_jobs_pump(struct kvpbus_lab_vm *vm)
{
    struct kvpbus_lab_job *job = vm->queue_head;
    // What the host holds goes to a guest that has just connected before anything new does.
    if (job == NULL || job->outcome.state != KVPBUS_JOB_NEW || vm->push.active)
        return;
    int64_t more = 0;
    kvpbus_lab_fault_strikes(&vm->faults, KVPBUS_LAB_FAULT_JOB_LATENCY, &more);
    job->outcome.state = KVPBUS_JOB_STARTING;
    uv_timer_start(&vm->job_timer, on_job_timer, vm->lab->options.job_latency_ms + (uint64_t)more,
                   0);
}

static void end(struct kvpbus_lab_job *job, enum kvpbus_job_state state)
{
    struct kvpbus_lab_vm *vm = job->vm;
    assert(vm->queue_head == job && !has_ended(job));
    vm->queue_head = job->queued;
    if (vm->queue_head == NULL)
        vm->queue_tail = NULL;
    vm->queue_length--;
    job->queued = NULL;
    free(job->items);
    job->items = NULL;
    kvpbus_lab_vm_save_items(vm);
    if (job->silent) {
        vm->stats.jobs_lost++;
    } else {
        job->outcome.state = state;
        *(state == KVPBUS_JOB_COMPLETED ? &vm->stats.jobs_completed : &vm->stats.jobs_failed) += 1;
        kvpbus_lab_server_job_ended(vm->lab, job->id);
    }
    kvpbus_lab_jobs_pump(vm);
}

void kvpbus_lab_job_complete(struct kvpbus_lab_job *job)
{
    end(job, KVPBUS_JOB_COMPLETED);
}

void kvpbus_lab_job_fail(struct kvpbus_lab_job *job, uint32_t error_code, int64_t hresult,
                         const char *description)
{
    job->outcome.error_code = error_code;
    job->outcome.hresult = hresult;
    snprintf(job->outcome.description, sizeof job->outcome.description, "%s", description);
    end(job, KVPBUS_JOB_EXCEPTION);
}
