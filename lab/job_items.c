// SPDX-License-Identifier: Apache-2.0
//
// The work of a job: each item is checked against what the host holds, kept there, and, when the VM
// runs, sent to its guest before the next one is looked at.
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "job.h"

// What becomes of one item: done, skipped, or the ErrorCode with which the job ends.
enum { ADMIT = 0, SKIP = 1 };

static uint32_t admit(const struct kvpbus_lab_job *job, const struct kvpbus_lab_item *item)
{
    const struct kvpbus_lab_vm *vm = job->vm;
    const struct kvpbus_lab_options *options = &vm->lab->options;
    bool exists = kvpbus_lab_items_find(&vm->host_items, item->key) != NULL;
    switch (job->operation) {
    case KVPBUS_OP_ADD:
        return exists ? KVPBUS_RETURN_INVALID_PARAMETER : ADMIT;
    case KVPBUS_OP_MODIFY:
        return exists ? ADMIT : options->modify_missing;
    case KVPBUS_OP_REMOVE:
        break;
    }
    if (exists)
        return ADMIT;
    return options->remove_missing == KVPBUS_RETURN_COMPLETED ? SKIP : options->remove_missing;
}

// True when so many more items do not go into the VM's configuration.
static bool is_full(const struct kvpbus_lab_job *job, size_t more)
{
    const struct kvpbus_lab_vm *vm = job->vm;
    return job->operation == KVPBUS_OP_ADD &&
           (job->too_many || vm->overfull ||
            vm->host_items.count + more > vm->lab->options.item_limit);
}

static void fail_full(struct kvpbus_lab_job *job)
{
    kvpbus_lab_vm_set_overfull(job->vm, true);
    kvpbus_lab_job_fail(job, KVPBUS_RETURN_FAILED, KVPBUS_LAB_NO_RESOURCES,
                        "The Data Exchange service has too many items: insufficient system "
                        "resources exist to complete the request (0x800705AA).");
}

static void fail_code(struct kvpbus_lab_job *job, uint32_t code, const char *key)
{
    static const char *const what[] = {[KVPBUS_OP_ADD] = "exists already",
                                       [KVPBUS_OP_MODIFY] = "does not exist",
                                       [KVPBUS_OP_REMOVE] = "does not exist"};
    char text[160];
    snprintf(text, sizeof text, "The key '%.60s' %s.", key, what[job->operation]);
    kvpbus_lab_job_fail(job, code, 0, text);
}

static void keep(struct kvpbus_lab_job *job, const struct kvpbus_lab_item *item)
{
    struct kvpbus_lab_vm *vm = job->vm;
    struct kvpbus_lab_item *found = kvpbus_lab_items_find(&vm->host_items, item->key);
    vm->host_items_changed = true;
    switch (job->operation) {
    case KVPBUS_OP_ADD:
        if (!kvpbus_lab_items_append(&vm->host_items, item->key, item->value))
            return;
        vm->stats.items_added++;
        vm->stats.value_bytes += strlen(item->value);
        return;
    case KVPBUS_OP_MODIFY:
        assert(found != NULL);
        memcpy(found->value, item->value, sizeof found->value);
        vm->stats.items_modified++;
        vm->stats.value_bytes += strlen(item->value);
        return;
    case KVPBUS_OP_REMOVE:
        assert(found != NULL);
        kvpbus_lab_items_remove(&vm->host_items, found);
        vm->stats.items_removed++;
        if (vm->host_items.count < vm->lab->options.item_limit)
            kvpbus_lab_vm_set_overfull(vm, false);
        return;
    }
}

static void on_delivered(struct kvpbus_lab_request *request, uint32_t status);

static bool deliver(struct kvpbus_lab_job *job, const struct kvpbus_lab_item *item)
{
    struct kvpbus_lab_vm *vm = job->vm;
    struct kvpbus_lab_request *request = &vm->job_request;
    if (job->operation == KVPBUS_OP_REMOVE) {
        kvpbus_lab_request_delete(request, KVP_POOL_EXTERNAL, item->key);
    } else {
        char value[KVPBUS_LAB_VALUE_BYTES + 1];
        memcpy(value, item->value, sizeof value);
        kvpbus_lab_vm_cut(vm, value);
        kvpbus_lab_request_set(request, KVP_POOL_EXTERNAL, item->key, value);
    }
    request->done = on_delivered;
    request->context = job;
    return vm->exchange_enabled && kvpbus_lab_driver_submit(&vm->driver, request);
}

static void fail_device(struct kvpbus_lab_job *job)
{
    kvpbus_lab_job_fail(job, KVPBUS_RETURN_FAILED, KVPBUS_LAB_DEVICE_NOT_READY,
                        "Failed while setting the Data Exchange item in the guest operating "
                        "system: the device is not ready for use (0x800710DF).");
}

static void on_delivered(struct kvpbus_lab_request *request, uint32_t status)
{
    struct kvpbus_lab_job *job = request->context;
    struct kvpbus_lab_vm *vm = job->vm;
    bool missing = job->operation == KVPBUS_OP_REMOVE && status == HV_S_CONT;
    if (status == HV_E_FAIL) {
        fail_device(job);
        return;
    }
    *(job->operation == KVPBUS_OP_REMOVE ? &vm->stats.guest_deletes : &vm->stats.guest_sets) += 1;
    if (status != HV_S_OK && !missing) {
        kvpbus_lab_job_fail(job, KVPBUS_RETURN_FAILED, KVPBUS_LAB_BAD_PARAMETER,
                            "Failed to set the value in the guest operating system: the parameter "
                            "is incorrect (0x80070057).");
        return;
    }
    if (vm->lab->options.drop_failed)
        keep(job, &job->items[job->next]);
    job->next++;
    kvpbus_lab_job_run(job);
}

// Whether the guest hears of it: not when it is off, nor when the host only keeps what it is given.
static bool is_sent(const struct kvpbus_lab_job *job, const struct kvpbus_lab_item *item)
{
    const struct kvpbus_lab_vm *vm = job->vm;
    const struct kvpbus_lab_item *kept = kvpbus_lab_items_find(&vm->host_items, item->key);
    if (vm->state == KVPBUS_VM_STATE_OFF || job->not_delivered)
        return false;
    if (!vm->exchange_enabled && vm->lab->options.exchange_off == KVPBUS_RETURN_COMPLETED)
        return false;
    return !(vm->lab->options.skip_unchanged && job->operation == KVPBUS_OP_MODIFY &&
             kept != NULL && strcmp(kept->value, item->value) == 0);
}

// Checks one item and begins with it. Returns false when the job waits for the guest or has ended.
static bool do_item(struct kvpbus_lab_job *job, const struct kvpbus_lab_item *item)
{
    struct kvpbus_lab_vm *vm = job->vm;
    uint32_t code = admit(job, item);
    if (code == SKIP)
        return true;
    if (code != ADMIT) {
        fail_code(job, code, item->key);
        return false;
    }
    if (is_full(job, 1)) {
        fail_full(job);
        return false;
    }
    bool send = is_sent(job, item);
    if (!send || !vm->lab->options.drop_failed)
        keep(job, item);
    if (!send)
        return true;
    if (!deliver(job, item))
        fail_device(job);
    return false;
}

// With the atomic option: whether all items would go through, before the first is done.
static bool check_batch(struct kvpbus_lab_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        uint32_t code = admit(job, &job->items[i]);
        if (code == ADMIT || code == SKIP)
            continue;
        fail_code(job, code, job->items[i].key);
        return false;
    }
    if (is_full(job, job->count)) {
        fail_full(job);
        return false;
    }
    return true;
}

void kvpbus_lab_job_run(struct kvpbus_lab_job *job)
{
    assert(job->outcome.state == KVPBUS_JOB_RUNNING);
    if (job->no_effect) {
        kvpbus_lab_job_complete(job);
        return;
    }
    if (job->next == 0 && job->vm->lab->options.atomic && !check_batch(job))
        return;
    while (job->next < job->until) {
        if (!do_item(job, &job->items[job->next]))
            return;
        job->next++;
    }
    if (job->until < job->count)
        kvpbus_lab_job_fail(job, KVPBUS_RETURN_FAILED, 0, "The operation failed.");
    else
        kvpbus_lab_job_complete(job);
}
