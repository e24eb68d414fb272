// SPDX-License-Identifier: Apache-2.0
//
// What becomes of messages: waiting for outcomes, withdrawal, and what is known of one.
#include <stdlib.h>
#include <string.h>

#include "control_client_state.h"

typedef Kvpbus__Control__Response Response;

// --- waiting ---

struct control_target *control_target_one(struct control_client *client,
                                          struct kvpbus_endpoint *endpoint)
{
    client->targets = calloc(1, sizeof *client->targets);
    if (client->targets == NULL)
        return NULL;
    client->targets[0] = (struct control_target){.client = client, .endpoint = endpoint};
    client->target_count = 1;
    return &client->targets[0];
}

static void say_outcome(const struct control_target *target,
                        const struct kvpbus_message_status *status)
{
    char id[KVPBUS_MESSAGE_ID_TEXT], guid[KVPBUS_GUID_TEXT + 1];
    Kvpbus__Control__Outcome outcome = KVPBUS__CONTROL__OUTCOME__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    kvpbus_message_id_format(&target->id, id);
    outcome.id = id;
    outcome.outcome = (char *)kvpbus_outcome_name(status->outcome);
    outcome.reason = (char *)status->reason;
    outcome.peer =
        (char *)kvpbus_service_name(control_service(target->client), target->endpoint, guid);
    outcome.consumed = status->consumed;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_OUTCOME;
    response.outcome = &outcome;
    control_respond(target->client, &response);
}

// Every target has its answer.
static void over(struct control_client *client)
{
    bool several = client->several;
    client->request = CONTROL_IDLE;
    control_forget(client);
    if (several)
        control_done(client);
}

static void ask(struct control_target *target);

static void on_status(void *context, const struct kvpbus_message_status *status,
                      const struct kvpbus_failure *failure)
{
    static const struct kvpbus_message_status forgotten = {
        .outcome = KVPBUS_OUTCOME_UNKNOWN,
        .reason = "the history has ended",
    };
    struct control_target *target = context;
    struct control_client *client = target->client;
    if (!control_returned(client))
        return;
    bool again = target->again;
    target->asking = target->again = false;
    if (status == NULL && failure->code != KVPBUS_NOT_FOUND) {
        client->unsure = true; // the journal fails; it is asked again
        return;
    }
    if (status == NULL)
        status = &forgotten;
    bool waits = status->outcome == KVPBUS_OUTCOME_PENDING ||
                 (status->outcome == KVPBUS_OUTCOME_DELIVERED && !status->consumed &&
                  client->wait == CONTROL_WAIT_CONSUMED);
    if (waits && again)
        ask(target);
    if (waits)
        return;
    target->open = false;
    client->target_open--;
    say_outcome(target, status);
    if (!client->closing && client->target_open == 0)
        over(client);
}

static void ask(struct control_target *target)
{
    target->again = target->asking;
    if (target->asking)
        return;
    target->asking = true;
    target->client->jobs++;
    kvpbus_bus_message_status(target->endpoint, &target->id, on_status, target);
}

void control_look_for_outcome(struct control_client *client, int64_t peer)
{
    for (size_t i = 0; i < client->target_count; i++) {
        struct control_target *target = &client->targets[i];
        if (target->open && (peer == 0 || kvpbus_endpoint_peer(target->endpoint)->id == peer))
            ask(target);
    }
}

void control_await(struct control_client *client)
{
    if (client->target_open == 0) {
        over(client);
        return;
    }
    client->request = CONTROL_WAITING;
    client->told = UINT64_MAX;
    control_look_for_outcome(client, 0);
}

void control_say_progress(struct control_client *client)
{
    struct kvpbus_link_status status;
    Kvpbus__Control__Progress progress = KVPBUS__CONTROL__PROGRESS__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    if (client->unsure) {
        client->unsure = false;
        control_look_for_outcome(client, 0);
    }
    if (client->several)
        return;
    kvpbus_endpoint_status(client->targets[0].endpoint, &status);
    // The largest bundle under way: what one waits for with a progress bar.
    for (size_t i = 0; i < status.progress_count; i++)
        if (status.progress[i].total > progress.total) {
            progress.total = status.progress[i].total;
            progress.acknowledged = status.progress[i].acknowledged;
        }
    if (progress.total == 0 || progress.acknowledged == client->told)
        return;
    client->told = progress.acknowledged;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_PROGRESS;
    response.progress = &progress;
    control_respond(client, &response);
}

// --- withdrawal ---

static void on_withdrawn(void *context, struct kvpbus_endpoint *endpoint,
                         const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    if (!control_returned(client))
        return;
    bool known = failure->code == KVPBUS_OK || failure->code == KVPBUS_EXISTS;
    struct control_target *target = NULL;
    if (known && client->wait != CONTROL_WAIT_QUEUED && endpoint != NULL) {
        target = control_target_one(client, endpoint);
        if (target == NULL) {
            control_fail(client, KVPBUS_NOMEM, "");
            return;
        }
        target->id = client->withdrawn;
        target->open = true;
        client->target_open = 1;
        control_await(client);
    } else if (failure->code == KVPBUS_OK) {
        control_done(client);
    } else {
        control_fail(client, failure->code, failure->detail);
    }
}

void control_withdraw(struct control_client *client,
                      const Kvpbus__Control__WithdrawRequest *request)
{
    if (!kvpbus_message_id_parse(request->id, &client->withdrawn)) {
        control_fail(client, KVPBUS_INVALID_ARGUMENT, CONTROL_NO_ID);
        return;
    }
    control_forget(client);
    client->several = false;
    client->wait = request->wait ? CONTROL_WAIT_DELIVERED : CONTROL_WAIT_QUEUED;
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_bus_withdraw(client->bus, &client->withdrawn, on_withdrawn, client);
}

// --- history ---

static void fill(const struct control_client *client, const struct kvpbus_message_record *record,
                 char *id, char *guid, Kvpbus__Control__Record *out)
{
    kvpbus__control__record__init(out);
    kvpbus_message_id_format(&record->id, id);
    out->sent = record->sent;
    out->peer = (char *)kvpbus_service_name(control_service(client),
                                            kvpbus_bus_find(client->bus, record->peer), guid);
    out->id = id;
    out->topic = (char *)record->topic;
    out->stream = (char *)record->stream;
    out->class_ = (char *)kvpbus_class_name(record->class_);
    out->size = record->size;
    out->queued_ms = (uint64_t)record->begun_ms;
    out->settled_ms = (uint64_t)record->settled_ms;
    if (record->sent)
        out->outcome = (char *)kvpbus_outcome_name(record->outcome);
    else
        out->place = (char *)kvpbus_place_name(record->place);
    out->reason = (char *)record->reason;
    out->receipt = record->receipt;
    out->consumed_ms = (uint64_t)record->consumed_ms;
    out->tries = record->tries;
}

static void on_shown(void *context, const struct kvpbus_message_record *records, size_t count,
                     const struct kvpbus_failure *failure)
{
    enum { MOST = 2 }; // bus.h
    struct control_client *client = context;
    char ids[MOST][KVPBUS_MESSAGE_ID_TEXT], guids[MOST][KVPBUS_GUID_TEXT + 1];
    Kvpbus__Control__Record out[MOST], *list[MOST];
    Kvpbus__Control__Records said = KVPBUS__CONTROL__RECORDS__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    if (!control_returned(client))
        return;
    if (count == 0) {
        control_fail(client, failure->code, failure->detail);
        return;
    }
    for (; said.n_records < count && said.n_records < MOST; said.n_records++) {
        size_t i = said.n_records;
        fill(client, &records[i], ids[i], guids[i], &out[i]);
        list[i] = &out[i];
    }
    said.records = list;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_RECORDS;
    response.records = &said;
    client->request = CONTROL_IDLE;
    control_respond(client, &response);
}

void control_show(struct control_client *client, const Kvpbus__Control__ShowRequest *request)
{
    struct kvpbus_message_id id;
    if (!kvpbus_message_id_parse(request->id, &id)) {
        control_fail(client, KVPBUS_INVALID_ARGUMENT, CONTROL_NO_ID);
        return;
    }
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_bus_show(client->bus, &id, on_shown, client);
}
