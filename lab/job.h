// SPDX-License-Identifier: Apache-2.0
//
// One job of the management service, between job.c (its life) and job_items.c (its work).
#ifndef KVPBUS_LAB_JOB_H
#define KVPBUS_LAB_JOB_H

#include "lab.h"

// HRESULTs that the service shows in ErrorDescription.
#define KVPBUS_LAB_DEVICE_NOT_READY INT64_C(0x800710DF)
#define KVPBUS_LAB_BAD_PARAMETER INT64_C(0x80070057)
#define KVPBUS_LAB_NO_RESOURCES INT64_C(0x800705AA)

struct kvpbus_lab_job {
    uint64_t id;
    struct kvpbus_lab_vm *vm;
    enum kvpbus_operation operation;
    struct kvpbus_lab_item *items; // freed when the job has ended
    size_t count;
    size_t next;  // item that is being done
    size_t until; // where it stops, by a fault before `count`
    // Faults, drawn when the job was made.
    bool lost, silent, no_effect, not_delivered, too_many;
    struct kvpbus_lab_outcome outcome;
    struct kvpbus_lab_job *queued; // behind this one at the VM
};

// Ends the job as a success, or with an error.
void kvpbus_lab_job_complete(struct kvpbus_lab_job *job);
void kvpbus_lab_job_fail(struct kvpbus_lab_job *job, uint32_t error_code, int64_t hresult,
                         const char *description);

// Does the items of a job that runs, one by one, and ends it.
void kvpbus_lab_job_run(struct kvpbus_lab_job *job);

#endif
