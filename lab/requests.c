// SPDX-License-Identifier: Apache-2.0
//
// What each request of the management API means.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest_service.h"
#include "text.h"

enum { JOB_WAIT_MAX_MS = 60000 };

static void unknown_vm(struct kvpbus_lab_connection *connection)
{
    kvpbus_lab_reply_error(connection, KVPBUS_VM_UNKNOWN, "this lab has no such VM");
}

static uint64_t latency_of(struct kvpbus_lab *lab, const ProtobufCBinaryData *guid)
{
    struct kvpbus_lab_vm *vm = kvpbus_lab_vm_by_guid(lab, guid->data, guid->len);
    int64_t latency = 0;
    if (vm != NULL)
        kvpbus_lab_fault_strikes(&vm->faults, KVPBUS_LAB_FAULT_LATENCY, &latency);
    return (uint64_t)latency;
}

uint64_t kvpbus_lab_request_latency(struct kvpbus_lab_connection *connection)
{
    struct kvpbus_lab *lab = connection->lab;
    const Kvpbus__Lab__Request *request = connection->request;
    uint64_t longest = 0;
    switch (request->kind_case) {
    case KVPBUS__LAB__REQUEST__KIND_READ_GUEST:
        for (size_t i = 0; i < request->read_guest->n_guids && i < KVPBUS_LAB_GUIDS_MAX; i++) {
            uint64_t latency = latency_of(lab, &request->read_guest->guids[i]);
            longest = latency > longest ? latency : longest;
        }
        return longest;
    case KVPBUS__LAB__REQUEST__KIND_READ_HOST:
        return latency_of(lab, &request->read_host->guid);
    case KVPBUS__LAB__REQUEST__KIND_CALL:
        return latency_of(lab, &request->call->guid);
    default:
        return 0;
    }
}

// One VM's part of a ReadGuest request.
struct read_part {
    struct kvpbus_lab_connection *connection;
    uint32_t index;
};

static void give_part(struct kvpbus_lab_connection *connection, uint32_t index,
                      enum kvpbus_error error, const struct kvpbus_lab_item *items, size_t count)
{
    assert(connection->reads > 0);
    connection->reads--;
    kvpbus_lab_reply_items(connection, error, index, items, count, connection->reads > 0);
    kvpbus_lab_connection_release(connection);
}

static void on_part(void *context, enum kvpbus_error error, const struct kvpbus_lab_item *items,
                    size_t count)
{
    struct read_part *part = context;
    struct kvpbus_lab_connection *connection = part->connection;
    uint32_t index = part->index;
    free(part);
    give_part(connection, index, error, items, count);
}

static void read_part(struct kvpbus_lab_connection *connection, uint32_t index, bool intrinsic,
                      struct kvpbus_lab_vm *vm)
{
    struct read_part *part = vm != NULL ? malloc(sizeof *part) : NULL;
    if (part == NULL) {
        give_part(connection, index, vm != NULL ? KVPBUS_NOMEM : KVPBUS_VM_UNKNOWN, NULL, 0);
        return;
    }
    part->connection = connection;
    part->index = index;
    kvpbus_lab_read_guest(vm, intrinsic, on_part, part);
}

// All VMs at once, each answered when it is ready. The last answer frees the request, so that it is
// not looked at again after it.
static void read_guest(struct kvpbus_lab_connection *connection,
                       const Kvpbus__Lab__ReadGuest *request)
{
    struct kvpbus_lab_vm *vms[KVPBUS_LAB_GUIDS_MAX];
    const bool intrinsic = request->intrinsic;
    size_t count = request->n_guids;
    if (count == 0 || count > KVPBUS_LAB_GUIDS_MAX) {
        kvpbus_lab_reply_error(connection, KVPBUS_INVALID_ARGUMENT,
                               "a read is of 1 to 256 VMs in one request");
        return;
    }
    for (size_t i = 0; i < count; i++)
        vms[i] =
            kvpbus_lab_vm_by_guid(connection->lab, request->guids[i].data, request->guids[i].len);
    connection->wait = KVPBUS_LAB_WAIT_READS;
    connection->reads = count;
    if (vms[0] != NULL)
        vms[0]->stats.queries++;
    for (size_t i = 0; i < count; i++)
        read_part(connection, (uint32_t)i, intrinsic, vms[i]);
}

static void read_checkpoint(struct kvpbus_lab_connection *connection,
                            const Kvpbus__Lab__ReadHost *request)
{
    struct kvpbus_lab_items items = {0};
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error = kvpbus_lab_checkpoint_items(connection->lab, request->guid.data,
                                                          request->guid.len, &items, &failure);
    if (error == KVPBUS_OK)
        kvpbus_lab_reply_items(connection, KVPBUS_OK, 0, items.items, items.count, false);
    else
        kvpbus_lab_reply_error(connection, error, failure.detail);
    kvpbus_lab_items_free(&items);
}

static void read_host(struct kvpbus_lab_connection *connection,
                      const Kvpbus__Lab__ReadHost *request)
{
    struct kvpbus_lab_vm *vm =
        kvpbus_lab_vm_by_guid(connection->lab, request->guid.data, request->guid.len);
    if (vm == NULL) {
        read_checkpoint(connection, request);
        return;
    }
    vm->stats.reads_host++;
    kvpbus_lab_reply_items(connection, KVPBUS_OK, 0, vm->host_items.items, vm->host_items.count,
                           false);
}

static void reply_outcome(struct kvpbus_lab_connection *connection,
                          struct kvpbus_lab_outcome *outcome)
{
    Kvpbus__Lab__Reply reply = KVPBUS__LAB__REPLY__INIT;
    Kvpbus__Lab__Outcome message = KVPBUS__LAB__OUTCOME__INIT;
    message.return_value = outcome->return_value;
    message.job = outcome->job;
    message.job_state = outcome->state;
    message.error_code = outcome->error_code;
    message.hresult = outcome->hresult;
    message.description = outcome->description;
    reply.outcome = &message;
    kvpbus_lab_reply(connection, &reply, false);
}

static bool take(const ProtobufCBinaryData *data, char *text, size_t size)
{
    text[0] = '\0';
    if (data->len == 0)
        return true;
    if (data->len >= size || memchr(data->data, '\0', data->len) != NULL)
        return false;
    memcpy(text, data->data, data->len);
    text[data->len] = '\0';
    return true;
}

// What is longer than any value may be is cut behind the first character too many, for the service
// to refuse. Two units more than the limit, since a character may take two.
static bool take_value(const ProtobufCBinaryData *data, struct kvpbus_lab_item *item)
{
    ProtobufCBinaryData kept = *data;
    if (data->len >= sizeof item->value &&
        !kvpbus_lab_text_fit((const char *)data->data, data->len, KVPBUS_LAB_VALUE_UNITS + 2,
                             sizeof item->value - 1, &kept.len))
        return false;
    return take(&kept, item->value, sizeof item->value);
}

static void call(struct kvpbus_lab_connection *connection, const Kvpbus__Lab__Call *request)
{
    struct kvpbus_lab_outcome outcome = {.return_value = KVPBUS_RETURN_INVALID_PARAMETER};
    struct kvpbus_lab_vm *vm =
        kvpbus_lab_vm_by_guid(connection->lab, request->guid.data, request->guid.len);
    if (vm == NULL) {
        unknown_vm(connection);
        return;
    }
    // One item more than is allowed is enough for the service to refuse the call.
    enum { ROOM = KVPBUS_MANAGEMENT_BATCH + 1 };
    size_t count = request->n_items < ROOM ? request->n_items : ROOM;
    struct kvpbus_lab_item *items = calloc(ROOM, sizeof *items);
    bool valid = items != NULL && request->operation <= KVPBUS_OP_REMOVE;
    for (size_t i = 0; valid && i < count; i++)
        valid = take(&request->items[i]->key, items[i].key, sizeof items[i].key) &&
                take_value(&request->items[i]->value, &items[i]);
    if (valid)
        kvpbus_lab_call(vm, (enum kvpbus_operation)request->operation, items, count, &outcome);
    free(items);
    reply_outcome(connection, &outcome);
}

// Jobs that a restart of the service has forgotten are so for clients that come through it.
static bool outcome_of(const struct kvpbus_lab_connection *connection, uint64_t job,
                       struct kvpbus_lab_outcome *outcome)
{
    const struct kvpbus_lab *lab = connection->lab;
    bool forgotten = connection->request->through_service && job <= lab->forgotten_jobs;
    return !forgotten && kvpbus_lab_job_outcome(lab, job, outcome);
}

void kvpbus_lab_request_job_ended(struct kvpbus_lab_connection *connection)
{
    struct kvpbus_lab_outcome outcome;
    assert(connection->wait == KVPBUS_LAB_WAIT_JOB);
    if (outcome_of(connection, connection->wait_job, &outcome))
        reply_outcome(connection, &outcome);
    else
        kvpbus_lab_reply_error(connection, KVPBUS_NOT_FOUND, "the job is not known any more");
}

static void on_job_wait(uv_timer_t *timer)
{
    kvpbus_lab_request_job_ended(timer->data);
}

static void query_job(struct kvpbus_lab_connection *connection,
                      const Kvpbus__Lab__JobQuery *request)
{
    struct kvpbus_lab_outcome outcome;
    uint32_t wait = request->wait_ms < JOB_WAIT_MAX_MS ? request->wait_ms : JOB_WAIT_MAX_MS;
    connection->wait = KVPBUS_LAB_WAIT_JOB;
    connection->wait_job = request->id;
    bool known = outcome_of(connection, request->id, &outcome);
    if (!known || outcome.state >= KVPBUS_JOB_COMPLETED || wait == 0)
        kvpbus_lab_request_job_ended(connection);
    else
        uv_timer_start(&connection->timer, on_job_wait, wait, 0);
}

void kvpbus_lab_request_vm_changed(struct kvpbus_lab_connection *connection)
{
    struct kvpbus_lab_vm *vm = connection->wait_vm;
    assert(connection->wait == KVPBUS_LAB_WAIT_VM);
    if (!kvpbus_lab_vm_settled(vm))
        return;
    if (vm->broken)
        kvpbus_lab_reply_error(connection, KVPBUS_IO, "the VM's daemon cannot be started");
    else
        kvpbus_lab_reply_error(connection, KVPBUS_OK, kvpbus_vm_state_text(vm->state));
}

static void control(struct kvpbus_lab_connection *connection, const Kvpbus__Lab__Control *request)
{
    static enum kvpbus_error (*const disk_actions[])(struct kvpbus_lab_vm *, const char *,
                                                     struct kvpbus_failure *) = {
        [KVPBUS__LAB__ACTION__CHECKPOINT] = kvpbus_lab_vm_checkpoint,
        [KVPBUS__LAB__ACTION__REVERT] = kvpbus_lab_vm_revert,
        [KVPBUS__LAB__ACTION__CLONE] = kvpbus_lab_vm_clone,
        [KVPBUS__LAB__ACTION__IMPORT] = kvpbus_lab_vm_import,
    };
    static enum kvpbus_error (*const actions[])(struct kvpbus_lab_vm *, struct kvpbus_failure *) = {
        [KVPBUS__LAB__ACTION__START] = kvpbus_lab_vm_start,
        [KVPBUS__LAB__ACTION__STOP] = kvpbus_lab_vm_stop,
        [KVPBUS__LAB__ACTION__REBOOT] = kvpbus_lab_vm_reboot,
        [KVPBUS__LAB__ACTION__PAUSE] = kvpbus_lab_vm_pause,
        [KVPBUS__LAB__ACTION__RESUME] = kvpbus_lab_vm_resume,
        [KVPBUS__LAB__ACTION__SAVE] = kvpbus_lab_vm_save,
    };
    struct kvpbus_lab_vm *vm = kvpbus_lab_vm_by_name(connection->lab, request->vm);
    struct kvpbus_failure failure = {0};
    size_t action = (size_t)request->action;
    if (vm == NULL) {
        unknown_vm(connection);
        return;
    }
    if (action >= sizeof disk_actions / sizeof *disk_actions) {
        kvpbus_lab_reply_error(connection, KVPBUS_INVALID_ARGUMENT, "there is no such action");
        return;
    }
    // The action itself may bring the VM where it is to go, and tells those who wait at once.
    enum kvpbus_error error = disk_actions[action] != NULL
                                  ? disk_actions[action](vm, request->name, &failure)
                                  : actions[action](vm, &failure);
    if (error != KVPBUS_OK) {
        kvpbus_lab_reply_error(connection, error, failure.detail);
        return;
    }
    connection->wait = KVPBUS_LAB_WAIT_VM;
    connection->wait_vm = vm;
    kvpbus_lab_request_vm_changed(connection);
}

static void fault(struct kvpbus_lab_connection *connection, const Kvpbus__Lab__Fault *request)
{
    struct kvpbus_lab_vm *vm = kvpbus_lab_vm_by_name(connection->lab, request->vm);
    struct kvpbus_failure failure = {0};
    enum kvpbus_lab_fault kind;
    if (vm == NULL) {
        unknown_vm(connection);
        return;
    }
    enum kvpbus_error error =
        kvpbus_lab_fault_parse(request->kind, request->has_value, request->value, &kind, &failure);
    if (error == KVPBUS_OK)
        error = kvpbus_lab_vm_fault(vm, kind, request->value, request->count, &failure);
    kvpbus_lab_reply_error(connection, error, failure.detail);
}

static void stats(struct kvpbus_lab_connection *connection, const Kvpbus__Lab__StatsQuery *request)
{
    struct kvpbus_lab_vm *vm = NULL;
    if (request->vm[0] != '\0') {
        vm = kvpbus_lab_vm_by_name(connection->lab, request->vm);
        if (vm == NULL) {
            unknown_vm(connection);
            return;
        }
    }
    kvpbus_lab_reply_stats(connection, vm);
}

static void service(struct kvpbus_lab_connection *connection, const Kvpbus__Lab__Service *request)
{
    bool known = kvpbus_lab_service_set(connection->lab, (uint32_t)request->state);
    kvpbus_lab_reply_error(connection, known ? KVPBUS_OK : KVPBUS_INVALID_ARGUMENT,
                           known ? "" : "there is no such state of the service");
}

// True when the request has been answered by the service's refusal.
static bool refused_by_service(struct kvpbus_lab_connection *connection)
{
    const Kvpbus__Lab__Request *request = connection->request;
    Kvpbus__Lab__Reply reply = KVPBUS__LAB__REPLY__INIT;
    enum kvpbus_lab_service_state state = KVPBUS_LAB_SERVICE_NORMAL;
    if (request->through_service)
        state = kvpbus_lab_service_refusal(connection->lab, request->incarnation);
    if (state == KVPBUS_LAB_SERVICE_NORMAL)
        return false;
    reply.error = KVPBUS_STORE_GONE;
    reply.detail = (char *)"the management service has refused the request";
    reply.refused_by = (Kvpbus__Lab__ServiceState)state;
    kvpbus_lab_reply(connection, &reply, false);
    return true;
}

void kvpbus_lab_request_begin(struct kvpbus_lab_connection *connection)
{
    const Kvpbus__Lab__Request *request = connection->request;
    assert(request != NULL);
    if (refused_by_service(connection))
        return;
    switch (request->kind_case) {
    case KVPBUS__LAB__REQUEST__KIND_LIST:
        kvpbus_lab_reply_vms(connection);
        break;
    case KVPBUS__LAB__REQUEST__KIND_READ_GUEST:
        read_guest(connection, request->read_guest);
        break;
    case KVPBUS__LAB__REQUEST__KIND_READ_HOST:
        read_host(connection, request->read_host);
        break;
    case KVPBUS__LAB__REQUEST__KIND_CALL:
        call(connection, request->call);
        break;
    case KVPBUS__LAB__REQUEST__KIND_JOB:
        query_job(connection, request->job);
        break;
    case KVPBUS__LAB__REQUEST__KIND_CONTROL:
        control(connection, request->control);
        break;
    case KVPBUS__LAB__REQUEST__KIND_FAULT:
        fault(connection, request->fault);
        break;
    case KVPBUS__LAB__REQUEST__KIND_STATS:
        stats(connection, request->stats);
        break;
    case KVPBUS__LAB__REQUEST__KIND_SERVICE:
        service(connection, request->service);
        break;
    case KVPBUS__LAB__REQUEST__KIND_ATTACH:
        kvpbus_lab_guest_attach(connection, request->attach);
        break;
    case KVPBUS__LAB__REQUEST__KIND_ANSWER:
        kvpbus_lab_guest_answer(connection);
        break;
    default:
        kvpbus_lab_reply_error(connection, KVPBUS_UNSUPPORTED, "this lab has no such request");
        break;
    }
}
