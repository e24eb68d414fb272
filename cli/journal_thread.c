// SPDX-License-Identifier: Apache-2.0
#include "journal_thread.h"

#include <assert.h>
#include <stdlib.h>

enum { GROUP_MAX = 512 }; // jobs in one transaction

struct job_list {
    struct kvpbus_job *first, **last;
};

struct kvpbus_journal_thread {
    struct kvpbus_executor executor; // first
    struct kvpbus_journal *journal;
    uv_thread_t thread;
    uv_mutex_t mutex;
    uv_cond_t wake;
    uv_async_t turn;
    void (*before)(void *context);
    void *context;
    bool stopping;
    struct job_list submitted; // in this turn of the loop; the loop's thread only
    struct job_list queued, finished;
};

static void list_init(struct job_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_add(struct job_list *list, struct kvpbus_job *job)
{
    job->next = NULL;
    *list->last = job;
    list->last = &job->next;
}

// All of `from`, which is empty then.
static void list_join(struct job_list *list, struct job_list *from)
{
    if (from->first == NULL)
        return;
    *list->last = from->first;
    list->last = from->last;
    list_init(from);
}

static struct kvpbus_job *list_take(struct job_list *list)
{
    struct kvpbus_job *job = list->first;
    if (job == NULL)
        return NULL;
    list->first = job->next;
    if (list->first == NULL)
        list->last = &list->first;
    job->next = NULL;
    return job;
}

// --- on the journal's thread ---

static void thread_main(void *argument)
{
    struct kvpbus_journal_thread *thread = argument;
    uv_mutex_lock(&thread->mutex);
    for (;;) {
        while (thread->queued.first == NULL && !thread->stopping)
            uv_cond_wait(&thread->wake, &thread->mutex);
        if (thread->queued.first == NULL)
            break;
        struct job_list group;
        list_init(&group);
        for (int i = 0; i < GROUP_MAX && thread->queued.first != NULL; i++)
            list_add(&group, list_take(&thread->queued));
        uv_mutex_unlock(&thread->mutex);
        kvpbus_jobs_run(group.first, thread->journal);
        uv_mutex_lock(&thread->mutex);
        list_join(&thread->finished, &group);
        uv_async_send(&thread->turn);
    }
    uv_mutex_unlock(&thread->mutex);
}

// --- on the loop's thread ---

// What was asked in one turn of the loop goes together, so that it shares a transaction: the
// packets of a scan above all.
static void hand_over(struct kvpbus_journal_thread *thread)
{
    if (thread->submitted.first == NULL)
        return;
    uv_mutex_lock(&thread->mutex);
    list_join(&thread->queued, &thread->submitted);
    uv_cond_signal(&thread->wake);
    uv_mutex_unlock(&thread->mutex);
}

static void finish(struct kvpbus_journal_thread *thread)
{
    struct job_list finished;
    list_init(&finished);
    uv_mutex_lock(&thread->mutex);
    list_join(&finished, &thread->finished);
    uv_mutex_unlock(&thread->mutex);
    if (finished.first != NULL)
        thread->before(thread->context);
    for (struct kvpbus_job *job; (job = list_take(&finished)) != NULL;)
        kvpbus_job_finish(job);
}

static void on_turn(uv_async_t *async)
{
    struct kvpbus_journal_thread *thread = async->data;
    hand_over(thread);
    finish(thread);
}

static void submit(struct kvpbus_executor *executor, struct kvpbus_job *job)
{
    struct kvpbus_journal_thread *thread = (struct kvpbus_journal_thread *)executor;
    assert(!thread->stopping);
    list_add(&thread->submitted, job);
    uv_async_send(&thread->turn);
}

struct kvpbus_executor *kvpbus_journal_thread_executor(struct kvpbus_journal_thread *thread)
{
    return &thread->executor;
}

enum kvpbus_error kvpbus_journal_thread_start(uv_loop_t *loop, struct kvpbus_journal *journal,
                                              void (*before)(void *context), void *context,
                                              struct kvpbus_journal_thread **out)
{
    struct kvpbus_journal_thread *thread = calloc(1, sizeof *thread);
    if (thread == NULL)
        return KVPBUS_NOMEM;
    thread->executor.submit = submit;
    thread->journal = journal;
    thread->before = before;
    thread->context = context;
    list_init(&thread->submitted);
    list_init(&thread->queued);
    list_init(&thread->finished);
    thread->turn.data = thread;
    if (uv_mutex_init(&thread->mutex) != 0 || uv_cond_init(&thread->wake) != 0 ||
        uv_async_init(loop, &thread->turn, on_turn) != 0 ||
        uv_thread_create(&thread->thread, thread_main, thread) != 0)
        abort(); // at start only, when the system has no threads left
    *out = thread;
    return KVPBUS_OK;
}

static void on_closed(uv_handle_t *handle)
{
    struct kvpbus_journal_thread *thread = handle->data;
    uv_mutex_destroy(&thread->mutex);
    uv_cond_destroy(&thread->wake);
    free(thread);
}

void kvpbus_journal_thread_stop(struct kvpbus_journal_thread *thread)
{
    hand_over(thread);
    uv_mutex_lock(&thread->mutex);
    thread->stopping = true;
    uv_cond_signal(&thread->wake);
    uv_mutex_unlock(&thread->mutex);
    uv_thread_join(&thread->thread);
    finish(thread);
    kvpbus_journal_close(thread->journal);
    uv_close((uv_handle_t *)&thread->turn, on_closed);
}
