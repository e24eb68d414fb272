// SPDX-License-Identifier: Apache-2.0
#include "wmi_workers_windows.h"

#include <assert.h>
#include <objbase.h>
#include <process.h>
#include <stdlib.h>

// A task ends by itself at its deadline, with more to say than that it was left.
enum { GRACE_MS = 50 };

struct kvpbus_wmi_workers {
    void (*leave)(void *context);
    void (*end)(void *context);
    void *context;
    SRWLOCK lock; // of all below and of the tasks' flags
    CONDITION_VARIABLE work, gone;
    struct kvpbus_wmi_task *first, *last; // not begun
    unsigned queued, threads, idle;
    unsigned references; // the threads, and whoever has not closed it
    bool closing;
};

uint64_t kvpbus_wmi_now(void)
{
    return GetTickCount64();
}

struct kvpbus_wmi_workers *kvpbus_wmi_workers_new(void (*leave)(void *context),
                                                  void (*end)(void *context), void *context)
{
    struct kvpbus_wmi_workers *workers = calloc(1, sizeof *workers);
    if (workers == NULL)
        return NULL;
    workers->leave = leave;
    workers->end = end;
    workers->context = context;
    workers->references = 1;
    InitializeSRWLock(&workers->lock);
    InitializeConditionVariable(&workers->work);
    InitializeConditionVariable(&workers->gone);
    return workers;
}

static void unlock_and_drop(struct kvpbus_wmi_workers *workers)
{
    bool last = --workers->references == 0;
    ReleaseSRWLockExclusive(&workers->lock);
    if (!last)
        return;
    workers->end(workers->context);
    free(workers);
}

void kvpbus_wmi_workers_close(struct kvpbus_wmi_workers *workers, unsigned wait_ms)
{
    uint64_t until = kvpbus_wmi_now() + wait_ms;
    AcquireSRWLockExclusive(&workers->lock);
    assert(!workers->closing && workers->first == NULL);
    workers->closing = true;
    WakeAllConditionVariable(&workers->work);
    for (uint64_t now = kvpbus_wmi_now(); workers->references > 1 && now < until;
         now = kvpbus_wmi_now())
        SleepConditionVariableSRW(&workers->gone, &workers->lock, (DWORD)(until - now), 0);
    unlock_and_drop(workers);
}

// --- the threads ---

static struct kvpbus_wmi_task *take(struct kvpbus_wmi_workers *workers)
{
    workers->idle++;
    while (workers->first == NULL && !workers->closing)
        SleepConditionVariableSRW(&workers->work, &workers->lock, INFINITE, 0);
    workers->idle--;
    struct kvpbus_wmi_task *task = workers->first;
    if (task == NULL)
        return NULL;
    workers->first = task->next;
    if (workers->first == NULL)
        workers->last = NULL;
    workers->queued--;
    task->begun = true;
    return task;
}

static void carry_out(struct kvpbus_wmi_workers *workers, struct kvpbus_wmi_task *task)
{
    ReleaseSRWLockExclusive(&workers->lock);
    task->run(task);
    AcquireSRWLockExclusive(&workers->lock);
    task->done = true;
    bool left = task->left;
    WakeAllConditionVariable(&task->changed);
    if (!left)
        return;
    ReleaseSRWLockExclusive(&workers->lock);
    task->discard(task);
    AcquireSRWLockExclusive(&workers->lock);
}

static unsigned __stdcall thread_main(void *context)
{
    struct kvpbus_wmi_workers *workers = context;
    HRESULT joined = CoInitializeEx(NULL, COINIT_MULTITHREADED | COINIT_DISABLE_OLE1DDE);
    AcquireSRWLockExclusive(&workers->lock);
    for (struct kvpbus_wmi_task *task = take(workers); task != NULL; task = take(workers))
        carry_out(workers, task);
    // While the lock is let go here, no other thread begins: the last is known.
    if (workers->threads == 1) {
        ReleaseSRWLockExclusive(&workers->lock);
        workers->leave(workers->context);
        AcquireSRWLockExclusive(&workers->lock);
    }
    workers->threads--;
    ReleaseSRWLockExclusive(&workers->lock);
    if (SUCCEEDED(joined))
        CoUninitialize();
    AcquireSRWLockExclusive(&workers->lock);
    WakeAllConditionVariable(&workers->gone); // it looks when the lock is free
    unlock_and_drop(workers);
    return 0;
}

// One more thread, if there is work for it and there may be one.
static void grow(struct kvpbus_wmi_workers *workers)
{
    if (workers->queued <= workers->idle || workers->threads == KVPBUS_WMI_WORKERS_MAX)
        return;
    uintptr_t thread = _beginthreadex(NULL, 0, thread_main, workers, 0, NULL);
    if (thread == 0)
        return; // those that there are go on
    CloseHandle((HANDLE)thread);
    workers->threads++;
    workers->references++;
}

// --- tasks ---

static void unlink_task(struct kvpbus_wmi_workers *workers, const struct kvpbus_wmi_task *task)
{
    struct kvpbus_wmi_task *before = NULL;
    for (struct kvpbus_wmi_task *at = workers->first; at != task; at = at->next)
        before = at;
    if (before == NULL)
        workers->first = task->next;
    else
        before->next = task->next;
    if (workers->last == task)
        workers->last = before;
    workers->queued--;
}

enum kvpbus_wmi_ending kvpbus_wmi_workers_run(struct kvpbus_wmi_workers *workers,
                                              struct kvpbus_wmi_task *task)
{
    enum kvpbus_wmi_ending ending = KVPBUS_WMI_DONE;
    uint64_t until = task->deadline + GRACE_MS;
    task->workers = workers;
    InitializeConditionVariable(&task->changed);
    AcquireSRWLockExclusive(&workers->lock);
    assert(!workers->closing);
    if (workers->last != NULL)
        workers->last->next = task;
    else
        workers->first = task;
    workers->last = task;
    workers->queued++;
    grow(workers);
    WakeConditionVariable(&workers->work);
    // Without a thread, as when none could be begun, nobody would come.
    for (uint64_t now = kvpbus_wmi_now(); !task->done && now < until && workers->threads > 0;
         now = kvpbus_wmi_now())
        SleepConditionVariableSRW(&task->changed, &workers->lock, (DWORD)(until - now), 0);
    if (!task->begun) {
        unlink_task(workers, task);
        ending = KVPBUS_WMI_NOT_BEGUN;
    } else if (!task->done) {
        task->left = true;
        WakeAllConditionVariable(&task->changed);
        ending = KVPBUS_WMI_LEFT;
    }
    ReleaseSRWLockExclusive(&workers->lock);
    return ending;
}

unsigned kvpbus_wmi_task_rest(struct kvpbus_wmi_task *task)
{
    uint64_t now = kvpbus_wmi_now();
    AcquireSRWLockShared(&task->workers->lock);
    bool left = task->left;
    ReleaseSRWLockShared(&task->workers->lock);
    return left || now >= task->deadline ? 0 : (unsigned)(task->deadline - now);
}

void kvpbus_wmi_task_pause(struct kvpbus_wmi_task *task, unsigned ms)
{
    unsigned rest = kvpbus_wmi_task_rest(task);
    uint64_t until = kvpbus_wmi_now() + (ms < rest ? ms : rest);
    AcquireSRWLockExclusive(&task->workers->lock);
    for (uint64_t now = kvpbus_wmi_now(); !task->left && now < until; now = kvpbus_wmi_now())
        SleepConditionVariableSRW(&task->changed, &task->workers->lock, (DWORD)(until - now), 0);
    ReleaseSRWLockExclusive(&task->workers->lock);
}
