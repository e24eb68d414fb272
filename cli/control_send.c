// SPDX-License-Identifier: Apache-2.0
//
// Sending: the message as it comes in chunks, its progress, its outcome.
#include <stdlib.h>
#include <string.h>

#include "control_client_state.h"

typedef Kvpbus__Control__Request Request;
typedef Kvpbus__Control__Response Response;
typedef Kvpbus__Control__SendRequest SendRequest;

// --- the message that a request describes ---

enum { CORRELATION = KVPBUS_BUNDLE_ID_BYTES + 2 };

struct shape {
    struct kvpbus_message message; // without its body; points into the request and the rest
    struct kvpbus_header headers[KVPBUS_HEADERS_MAX];
    uint8_t correlation[CORRELATION];
};

// The request that a reply answers, by its id.
static enum kvpbus_error shape_reply(const SendRequest *send, struct shape *shape,
                                     struct kvpbus_failure *failure)
{
    struct kvpbus_message_id id;
    if (!kvpbus_message_id_parse(send->reply_to, &id))
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, CONTROL_NO_ID);
    memcpy(shape->correlation, id.bundle, sizeof id.bundle);
    shape->correlation[sizeof id.bundle] = (uint8_t)(id.index >> 8);
    shape->correlation[sizeof id.bundle + 1] = (uint8_t)id.index;
    shape->message.correlation = shape->correlation;
    shape->message.correlation_length = CORRELATION;
    shape->message.status = send->status;
    return KVPBUS_OK;
}

static enum kvpbus_error shape_of(const SendRequest *send, struct shape *shape,
                                  struct kvpbus_failure *failure)
{
    if (send->class_ >= KVPBUS_CLASS_COUNT)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "there is no such class");
    if (send->n_headers > KVPBUS_HEADERS_MAX)
        return kvpbus_fail(failure, KVPBUS_TOO_LARGE, "a message has at most %d headers",
                           KVPBUS_HEADERS_MAX);
    if (send->kind == KVPBUS_KIND_REQUEST && send->ttl_ms == 0)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "a request has a lifetime");
    for (size_t i = 0; i < send->n_headers; i++)
        shape->headers[i] = (struct kvpbus_header){.name = send->headers[i]->name,
                                                   .value = send->headers[i]->value};
    shape->message = (struct kvpbus_message){
        .topic = send->topic,
        .stream = send->stream,
        .class_ = (enum kvpbus_class)send->class_,
        .ttl_ms = send->ttl_ms,
        .kind = (enum kvpbus_kind)send->kind,
        .headers = shape->headers,
        .header_count = send->n_headers,
    };
    return send->kind == KVPBUS_KIND_REPLY || send->kind == KVPBUS_KIND_LAST_REPLY
               ? shape_reply(send, shape, failure)
               : KVPBUS_OK;
}

// --- queued ---

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
    struct shape shape;
    struct kvpbus_failure failure = {0};
    if (shape_of(client->send, &shape, &failure) != KVPBUS_OK) {
        control_fail(client, failure.code, failure.detail);
        return;
    }
    shape.message.body = client->body;
    shape.message.body_length = client->body_length;
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_bus_send(client->endpoint, &shape.message, client->send->resend, on_queued, client);
}

void control_send(struct control_client *client, Request *request)
{
    SendRequest *send = request->send;
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
    if (send->body_length > body_max) {
        kvpbus_fail(&failure, KVPBUS_TOO_LARGE,
                    "the message has %llu bytes, the limit is %llu; split it, or raise body_max on "
                    "both sides",
                    (unsigned long long)send->body_length, (unsigned long long)body_max);
        control_fail(client, failure.code, failure.detail);
        return;
    }
    // Checked before the body comes, so that a wrong topic is said at once.
    struct shape shape;
    if (shape_of(send, &shape, &failure) != KVPBUS_OK ||
        kvpbus_message_check(&shape.message, (size_t)body_max, &failure) != KVPBUS_OK) {
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
