// SPDX-License-Identifier: Apache-2.0
//
// Sending: the message as it comes in chunks, its progress, its outcome.
#include <stdlib.h>
#include <string.h>

#include "control_client_state.h"

typedef Kvpbus__Control__Request Request;
typedef Kvpbus__Control__Response Response;

static void say_queued(struct control_client *client)
{
    char id[KVPBUS_MESSAGE_ID_TEXT];
    Kvpbus__Control__Queued queued = KVPBUS__CONTROL__QUEUED__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    kvpbus_message_id_format(&client->id, id);
    queued.id = id;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_QUEUED;
    response.queued = &queued;
    control_respond(client, &response);
}

static void on_queued(void *context, const struct kvpbus_message_id *id,
                      const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    if (!control_returned(client))
        return;
    bool wait = client->send->wait > 0;
    control_forget(client);
    if (id == NULL) {
        control_fail(client, failure->code, failure->detail);
        return;
    }
    client->id = *id;
    client->request = wait ? CONTROL_WAITING : CONTROL_IDLE;
    client->told = UINT64_MAX;
    say_queued(client);
    if (wait)
        control_look_for_outcome(client);
}

static void queue(struct control_client *client)
{
    const Kvpbus__Control__SendRequest *send = client->send;
    struct kvpbus_message message = {
        .topic = send->topic,
        .stream = send->stream,
        .class_ = (enum kvpbus_class)send->class_,
        .ttl_ms = send->ttl_ms,
        .body = client->body,
        .body_length = client->body_length,
    };
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_bus_send(client->endpoint, &message, false, on_queued, client);
}

void control_send(struct control_client *client, Request *request)
{
    Kvpbus__Control__SendRequest *send = request->send;
    uint64_t body_max = control_service(client)->options.body_max;
    struct kvpbus_failure failure = {0};
    if (body_max == 0)
        body_max = KVPBUS_MESSAGE_DEFAULT_MAX;
    if (send->n_peers > 0 || send->all || send->wait > 1) {
        control_fail(client, KVPBUS_UNSUPPORTED,
                     "the service sends to one peer at a time and waits for the delivery at most");
        return;
    }
    client->endpoint = control_named(client, send->peer);
    if (client->endpoint == NULL)
        return;
    if (!kvpbus_endpoint_peer(client->endpoint)->paired) {
        kvpbus_fail(&failure, KVPBUS_UNPAIRED, "%s is not paired; run 'kvpbus pair %s' first",
                    send->peer, send->peer);
        control_fail(client, failure.code, failure.detail);
        return;
    }
    if (send->class_ >= KVPBUS_CLASS_COUNT) {
        control_fail(client, KVPBUS_INVALID_ARGUMENT, "there is no such class");
        return;
    }
    if (send->body_length > body_max) {
        kvpbus_fail(&failure, KVPBUS_TOO_LARGE,
                    "the message has %llu bytes, the limit is %llu; split it, or raise body_max on "
                    "both sides",
                    (unsigned long long)send->body_length, (unsigned long long)body_max);
        control_fail(client, failure.code, failure.detail);
        return;
    }
    // Checked before the body comes, so that a wrong topic is said at once.
    struct kvpbus_message shape = {
        .topic = send->topic,
        .stream = send->stream,
        .class_ = (enum kvpbus_class)send->class_,
    };
    if (kvpbus_message_check(&shape, (size_t)body_max, &failure) != KVPBUS_OK) {
        control_fail(client, failure.code, failure.detail);
        return;
    }
    client->body = malloc(send->body_length + 1);
    if (client->body == NULL) {
        control_fail(client, KVPBUS_NOMEM, "");
        return;
    }
    client->body_length = 0;
    client->send = send;
    request->send = NULL; // ours now
    request->kind_case = KVPBUS__CONTROL__REQUEST__KIND__NOT_SET;
    client->request = CONTROL_BODY;
    if (client->send->body_length == 0)
        queue(client);
}

void control_chunk(struct control_client *client, const Kvpbus__Control__Chunk *chunk)
{
    if (client->request != CONTROL_BODY || chunk->data.len == 0)
        return; // of a message that was refused meanwhile, or nothing
    uint64_t missing = client->send->body_length - client->body_length;
    if (chunk->data.len > missing) {
        control_forget(client);
        control_fail(client, KVPBUS_PROTOCOL, "");
        return;
    }
    memcpy(client->body + client->body_length, chunk->data.data, chunk->data.len);
    client->body_length += chunk->data.len;
    if (client->body_length == client->send->body_length)
        queue(client);
}

static void on_status(void *context, const struct kvpbus_message_status *status,
                      const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    if (!control_returned(client))
        return;
    client->asking = false;
    if (client->request != CONTROL_WAITING)
        return;
    if (status == NULL) {
        control_fail(client, failure->code, failure->detail);
        return;
    }
    if (status->outcome == KVPBUS_OUTCOME_PENDING)
        return;
    char id[KVPBUS_MESSAGE_ID_TEXT];
    Kvpbus__Control__Outcome outcome = KVPBUS__CONTROL__OUTCOME__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    kvpbus_message_id_format(&client->id, id);
    outcome.id = id;
    outcome.outcome = (char *)kvpbus_outcome_name(status->outcome);
    outcome.reason = (char *)status->reason;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_OUTCOME;
    response.outcome = &outcome;
    client->request = CONTROL_IDLE;
    control_respond(client, &response);
}

void control_look_for_outcome(struct control_client *client)
{
    if (client->asking)
        return;
    client->asking = true;
    client->jobs++;
    kvpbus_bus_message_status(client->endpoint, &client->id, on_status, client);
}

void control_say_progress(struct control_client *client)
{
    struct kvpbus_link_status status;
    Kvpbus__Control__Progress progress = KVPBUS__CONTROL__PROGRESS__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    kvpbus_endpoint_status(client->endpoint, &status);
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
    control_look_for_outcome(client);
}
