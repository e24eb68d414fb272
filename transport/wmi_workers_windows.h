// SPDX-License-Identifier: Apache-2.0
//
// Threads on which a call may take as long as it likes while its caller waits no longer than it
// wants to: COM calls cannot be given a deadline, so that one that hangs keeps its thread, and its
// caller goes. All threads belong to the multi-threaded apartment.
#ifndef KVPBUS_WMI_WORKERS_WINDOWS_H
#define KVPBUS_WMI_WORKERS_WINDOWS_H

#include <windows.h>

#include <stdbool.h>
#include <stdint.h>

// Threads at most; a task beyond waits for one until its deadline.
enum { KVPBUS_WMI_WORKERS_MAX = 64 };

struct kvpbus_wmi_workers;

// Set by the caller, all else to zeros: `run`, `discard`, `deadline`.
struct kvpbus_wmi_task {
    void (*run)(struct kvpbus_wmi_task *task);
    void (*discard)(struct kvpbus_wmi_task *task); // frees one that its caller has left
    uint64_t deadline;                             // of kvpbus_wmi_now
    struct kvpbus_wmi_workers *workers;
    struct kvpbus_wmi_task *next;
    CONDITION_VARIABLE changed;
    bool begun, done, left;
};

enum kvpbus_wmi_ending {
    KVPBUS_WMI_DONE,      // the task belongs to the caller again
    KVPBUS_WMI_NOT_BEGUN, // the same, and it has not run: no thread was free
    KVPBUS_WMI_LEFT,      // it still runs, and is discarded when it ends
};

// Milliseconds of a clock that only goes forward.
uint64_t kvpbus_wmi_now(void);

// `leave` is called on the last thread that ends after kvpbus_wmi_workers_close, while its
// apartment still lives, and `end` when nothing uses the context any more. NULL when there is no
// memory.
struct kvpbus_wmi_workers *kvpbus_wmi_workers_new(void (*leave)(void *context),
                                                  void (*end)(void *context), void *context);

// Waits at most `wait_ms` for tasks that were left; `end` comes when the last one ends.
void kvpbus_wmi_workers_close(struct kvpbus_wmi_workers *workers, unsigned wait_ms);

// Runs a task on a thread and waits until it is done or its deadline has passed.
enum kvpbus_wmi_ending kvpbus_wmi_workers_run(struct kvpbus_wmi_workers *workers,
                                              struct kvpbus_wmi_task *task);

// For a task that runs: milliseconds until its deadline; 0 when it has passed or nobody waits.
unsigned kvpbus_wmi_task_rest(struct kvpbus_wmi_task *task);

// Pauses it, at most until its deadline, or until its caller leaves.
void kvpbus_wmi_task_pause(struct kvpbus_wmi_task *task, unsigned ms);

#endif
