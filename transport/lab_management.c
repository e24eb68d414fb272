// SPDX-License-Identifier: Apache-2.0
//
// The management service of the lab, over its socket.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvpbus/management.h"
#include "lab_channels.h"
#include "lab_management.h"

enum {
    DEADLINE_MS = 30000,
    GUIDS_MAX = 256, // VMs in one request
};

struct lab_management {
    struct kvpbus_management head;
    struct kvpbus_lab_channels channels;
    unsigned deadline_ms; // of a call, the wait for its job included
};

static struct lab_management *from_head(struct kvpbus_management *head)
{
    return (struct lab_management *)head;
}

static int64_t deadline_of(const struct lab_management *lab)
{
    return kvpbus_lab_channel_deadline(lab->deadline_ms);
}

// The lab is gone, from the caller's point of view.
static enum kvpbus_error gone(enum kvpbus_error error, struct kvpbus_failure *failure)
{
    if (error != KVPBUS_CLOSED)
        return error;
    if (failure != NULL)
        failure->code = KVPBUS_STORE_GONE;
    return KVPBUS_STORE_GONE;
}

// Sends a request on a connection of its own. *sent tells whether the lab may act on it.
static enum kvpbus_error ask(struct lab_management *lab, const Kvpbus__Lab__Request *request,
                             int64_t deadline, int *fd, bool *sent, struct kvpbus_failure *failure)
{
    *sent = false;
    enum kvpbus_error error = kvpbus_lab_channels_take(&lab->channels, deadline, fd, failure);
    if (error != KVPBUS_OK)
        return error;
    error = kvpbus_lab_channel_send(*fd, request, deadline, failure);
    *sent = error == KVPBUS_OK;
    if (error != KVPBUS_OK)
        kvpbus_lab_channels_give(&lab->channels, *fd, false);
    return gone(error, failure);
}

// A request with one reply, whose own error it returns; *reply is set only with KVPBUS_OK.
static enum kvpbus_error exchange(struct lab_management *lab, const Kvpbus__Lab__Request *request,
                                  int64_t deadline, Kvpbus__Lab__Reply **reply, bool *sent,
                                  struct kvpbus_failure *failure)
{
    int fd;
    enum kvpbus_error error = ask(lab, request, deadline, &fd, sent, failure);
    if (error != KVPBUS_OK)
        return error;
    error = kvpbus_lab_channel_receive(fd, reply, deadline, failure);
    kvpbus_lab_channels_give(&lab->channels, fd, error == KVPBUS_OK);
    if (error != KVPBUS_OK)
        return gone(error, failure);
    // The lab has refused the request, which is then not carried out.
    *sent = false;
    error = (enum kvpbus_error)(*reply)->error;
    if (error == KVPBUS_OK)
        return KVPBUS_OK;
    kvpbus_fail(failure, error, "%s", (*reply)->detail);
    kvpbus__lab__reply__free_unpacked(*reply, NULL);
    return error;
}

static bool copy_vm(struct kvpbus_vm *vm, const Kvpbus__Lab__Vm *message)
{
    if (message->guid.len != KVPBUS_GUID_BYTES)
        return false;
    memcpy(vm->guid, message->guid.data, KVPBUS_GUID_BYTES);
    snprintf(vm->name, sizeof vm->name, "%s", message->name);
    vm->state = (enum kvpbus_vm_state)message->state;
    vm->exchange_enabled = message->exchange_enabled;
    return true;
}

static enum kvpbus_error list(struct kvpbus_management *head, struct kvpbus_vm **vms, size_t *count,
                              struct kvpbus_failure *failure)
{
    Kvpbus__Lab__ListVms query = KVPBUS__LAB__LIST_VMS__INIT;
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_LIST;
    request.list = &query;
    Kvpbus__Lab__Reply *reply;
    bool sent;
    struct lab_management *lab = from_head(head);
    enum kvpbus_error error = exchange(lab, &request, deadline_of(lab), &reply, &sent, failure);
    if (error != KVPBUS_OK)
        return error;
    *count = reply->n_vms;
    *vms = calloc(reply->n_vms + 1, sizeof **vms);
    if (*vms == NULL)
        error = kvpbus_fail(failure, KVPBUS_NOMEM, "listing the lab's VMs");
    for (size_t i = 0; error == KVPBUS_OK && i < reply->n_vms; i++)
        if (!copy_vm(&(*vms)[i], reply->vms[i]))
            error = kvpbus_fail(failure, KVPBUS_PROTOCOL, "a VM of the lab has no GUID");
    if (error != KVPBUS_OK) {
        free(*vms);
        *vms = NULL;
    }
    kvpbus__lab__reply__free_unpacked(reply, NULL);
    return error;
}

static enum kvpbus_error fill(struct kvpbus_scan *scan, const char *prefix,
                              const Kvpbus__Lab__Reply *reply)
{
    enum kvpbus_error error = KVPBUS_OK;
    for (size_t i = 0; error == KVPBUS_OK && i < reply->n_items; i++) {
        const Kvpbus__Lab__Item *item = reply->items[i];
        error = kvpbus_scan_add(scan, prefix, (const char *)item->key.data, item->key.len,
                                (const char *)item->value.data, item->value.len);
    }
    if (error != KVPBUS_OK)
        kvpbus_scan_clear(scan);
    return error;
}

// Receives the replies of up to GUIDS_MAX VMs, in whatever order they come.
static enum kvpbus_error collect(int fd, const char *prefix, size_t count, int64_t deadline,
                                 struct kvpbus_scan *scans, enum kvpbus_error *results,
                                 struct kvpbus_failure *failure)
{
    enum kvpbus_error error = KVPBUS_OK;
    bool more = true;
    for (size_t i = 0; error == KVPBUS_OK && more; i++) {
        Kvpbus__Lab__Reply *reply;
        error = kvpbus_lab_channel_receive(fd, &reply, deadline, failure);
        if (error != KVPBUS_OK)
            return error;
        size_t index = reply->index;
        more = reply->more;
        if (index >= count || more != (i + 1 < count))
            error = kvpbus_fail(failure, KVPBUS_PROTOCOL, "the lab answers what nobody asked");
        else if (reply->error != KVPBUS_OK)
            results[index] = (enum kvpbus_error)reply->error;
        else
            results[index] = fill(&scans[index], prefix, reply);
        kvpbus__lab__reply__free_unpacked(reply, NULL);
    }
    return error;
}

static enum kvpbus_error read_some(struct lab_management *lab, const char *prefix,
                                   const uint8_t (*guids)[KVPBUS_GUID_BYTES], size_t count,
                                   int64_t deadline, struct kvpbus_scan *scans,
                                   enum kvpbus_error *results, struct kvpbus_failure *failure)
{
    ProtobufCBinaryData names[GUIDS_MAX];
    Kvpbus__Lab__ReadGuest query = KVPBUS__LAB__READ_GUEST__INIT;
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    assert(count > 0 && count <= GUIDS_MAX);
    for (size_t i = 0; i < count; i++) {
        names[i].data = (uint8_t *)guids[i];
        names[i].len = KVPBUS_GUID_BYTES;
    }
    query.n_guids = count;
    query.guids = names;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_READ_GUEST;
    request.read_guest = &query;
    int fd;
    bool sent;
    enum kvpbus_error error = ask(lab, &request, deadline, &fd, &sent, failure);
    if (error != KVPBUS_OK)
        return error;
    error = collect(fd, prefix, count, deadline, scans, results, failure);
    kvpbus_lab_channels_give(&lab->channels, fd, error == KVPBUS_OK);
    return gone(error, failure);
}

static enum kvpbus_error read_guest(struct kvpbus_management *head, const char *prefix,
                                    const uint8_t (*guids)[KVPBUS_GUID_BYTES], size_t count,
                                    struct kvpbus_scan *scans, enum kvpbus_error *results,
                                    struct kvpbus_failure *failure)
{
    int64_t deadline = deadline_of(from_head(head));
    enum kvpbus_error error = KVPBUS_OK;
    for (size_t i = 0; i < count; i++) {
        kvpbus_scan_clear(&scans[i]);
        results[i] = KVPBUS_STORE_GONE;
    }
    for (size_t done = 0; error == KVPBUS_OK && done < count;) {
        size_t step = count - done < GUIDS_MAX ? count - done : GUIDS_MAX;
        error = read_some(from_head(head), prefix, guids + done, step, deadline, scans + done,
                          results + done, failure);
        done += step;
    }
    for (size_t i = 0; error != KVPBUS_OK && i < count; i++) {
        kvpbus_scan_clear(&scans[i]);
        results[i] = error;
    }
    return error;
}

static enum kvpbus_error read_host(struct kvpbus_management *head, const char *prefix,
                                   const uint8_t guid[KVPBUS_GUID_BYTES], struct kvpbus_scan *scan,
                                   struct kvpbus_failure *failure)
{
    Kvpbus__Lab__ReadHost query = KVPBUS__LAB__READ_HOST__INIT;
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    query.guid.data = (uint8_t *)guid;
    query.guid.len = KVPBUS_GUID_BYTES;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_READ_HOST;
    request.read_host = &query;
    kvpbus_scan_clear(scan);
    Kvpbus__Lab__Reply *reply;
    bool sent;
    struct lab_management *lab = from_head(head);
    enum kvpbus_error error = exchange(lab, &request, deadline_of(lab), &reply, &sent, failure);
    if (error != KVPBUS_OK)
        return error;
    error = fill(scan, prefix, reply);
    kvpbus__lab__reply__free_unpacked(reply, NULL);
    if (error != KVPBUS_OK)
        kvpbus_fail(failure, error, "reading the host's items");
    return error;
}

static enum kvpbus_error take_outcome(Kvpbus__Lab__Reply *reply, struct kvpbus_call_result *result,
                                      uint64_t *job, struct kvpbus_failure *failure)
{
    const Kvpbus__Lab__Outcome *outcome = reply->outcome;
    enum kvpbus_error error = KVPBUS_OK;
    if (outcome == NULL) {
        error = kvpbus_fail(failure, KVPBUS_TIMEOUT, "the lab has not said what became of a call");
    } else {
        *job = outcome->job;
        result->return_value = outcome->return_value;
        result->had_job = outcome->job != 0;
        result->job_state = (enum kvpbus_job_state)outcome->job_state;
        result->error_code = outcome->error_code;
        result->hresult = outcome->hresult;
        snprintf(result->description, sizeof result->description, "%s", outcome->description);
    }
    kvpbus__lab__reply__free_unpacked(reply, NULL);
    return error;
}

// Whatever goes wrong once the call was made: the job may still run.
static enum kvpbus_error follow_job(struct lab_management *lab, uint64_t job, int64_t deadline,
                                    struct kvpbus_call_result *result,
                                    struct kvpbus_failure *failure)
{
    Kvpbus__Lab__JobQuery query = KVPBUS__LAB__JOB_QUERY__INIT;
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    query.id = job;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_JOB;
    request.job = &query;
    while (result->job_state < KVPBUS_JOB_COMPLETED) {
        Kvpbus__Lab__Reply *reply;
        bool sent;
        int64_t left = deadline - kvpbus_lab_channel_deadline(0);
        if (left <= 0)
            return kvpbus_fail(failure, KVPBUS_TIMEOUT, "the job has not ended in time");
        // The lab answers a little before the deadline, so that the answer is not missed.
        query.wait_ms = (uint32_t)(left > 20 ? left - 10 : left / 2);
        enum kvpbus_error error = exchange(lab, &request, deadline, &reply, &sent, failure);
        if (error == KVPBUS_OK)
            error = take_outcome(reply, result, &job, failure);
        if (error != KVPBUS_OK) {
            if (failure != NULL)
                failure->code = KVPBUS_TIMEOUT;
            return KVPBUS_TIMEOUT;
        }
    }
    return KVPBUS_OK;
}

static enum kvpbus_error make_call(struct lab_management *lab, Kvpbus__Lab__Call *call,
                                   struct kvpbus_call_result *result,
                                   struct kvpbus_failure *failure)
{
    int64_t deadline = deadline_of(lab);
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__Reply *reply;
    uint64_t job = 0;
    bool sent;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_CALL;
    request.call = call;
    enum kvpbus_error error = exchange(lab, &request, deadline, &reply, &sent, failure);
    if (error != KVPBUS_OK && sent) {
        if (failure != NULL)
            failure->code = KVPBUS_TIMEOUT;
        return KVPBUS_TIMEOUT;
    }
    if (error == KVPBUS_OK)
        error = take_outcome(reply, result, &job, failure);
    if (error == KVPBUS_OK && job != 0)
        error = follow_job(lab, job, deadline, result, failure);
    return error;
}

static enum kvpbus_error call(struct kvpbus_management *head, enum kvpbus_operation operation,
                              const uint8_t guid[KVPBUS_GUID_BYTES],
                              const struct kvpbus_change *items, size_t count,
                              struct kvpbus_call_result *result, struct kvpbus_failure *failure)
{
    Kvpbus__Lab__Item messages[KVPBUS_MANAGEMENT_BATCH];
    Kvpbus__Lab__Item *pointers[KVPBUS_MANAGEMENT_BATCH];
    Kvpbus__Lab__Call message = KVPBUS__LAB__CALL__INIT;
    if (count == 0 || count > KVPBUS_MANAGEMENT_BATCH)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "a call takes 1 to %d items, not %zu",
                           KVPBUS_MANAGEMENT_BATCH, count);
    for (size_t i = 0; i < count; i++) {
        const char *value = operation == KVPBUS_OP_REMOVE ? "" : items[i].value;
        kvpbus__lab__item__init(&messages[i]);
        messages[i].key.data = (uint8_t *)items[i].key;
        messages[i].key.len = strlen(items[i].key);
        messages[i].value.data = (uint8_t *)value;
        messages[i].value.len = strlen(value);
        pointers[i] = &messages[i];
    }
    *result = (struct kvpbus_call_result){0};
    message.operation = operation;
    message.guid.data = (uint8_t *)guid;
    message.guid.len = KVPBUS_GUID_BYTES;
    message.n_items = count;
    message.items = pointers;
    return make_call(from_head(head), &message, result, failure);
}

static void close_management(struct kvpbus_management *head)
{
    struct lab_management *lab = from_head(head);
    kvpbus_lab_channels_close(&lab->channels);
    free(lab);
}

static const struct kvpbus_management_ops lab_ops = {
    .list = list,
    .read_guest = read_guest,
    .read_host = read_host,
    .call = call,
    .close = close_management,
};

void kvpbus_lab_management_set_deadline(struct kvpbus_management *management, unsigned ms)
{
    assert(management->ops == &lab_ops);
    from_head(management)->deadline_ms = ms;
}

enum kvpbus_error kvpbus_lab_management_open(const char *address,
                                             struct kvpbus_management **management,
                                             struct kvpbus_failure *failure)
{
    struct lab_management *lab = calloc(1, sizeof *lab);
    int fd;
    if (lab == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "the lab's management service");
    enum kvpbus_error error = kvpbus_lab_channels_init(&lab->channels, address, failure);
    if (error != KVPBUS_OK) {
        free(lab);
        return error;
    }
    lab->deadline_ms = DEADLINE_MS;
    lab->head.ops = &lab_ops;
    // Whether there is a lab is told now, not at the first call.
    error = kvpbus_lab_channels_take(&lab->channels, deadline_of(lab), &fd, failure);
    if (error != KVPBUS_OK) {
        close_management(&lab->head);
        return error;
    }
    kvpbus_lab_channels_give(&lab->channels, fd, true);
    *management = &lab->head;
    return KVPBUS_OK;
}
