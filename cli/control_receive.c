// SPDX-License-Identifier: Apache-2.0
//
// Receiving: a message leased for the client, and what ends the lease.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control_client_state.h"

typedef Kvpbus__Control__Response Response;

enum { LEASE_MS = 60000, CORRELATION = KVPBUS_BUNDLE_ID_BYTES + 2 };

// --- a message to the client ---

// The text form of the request that a reply answers.
static void reply_to(const struct kvpbus_message *message, char *text)
{
    struct kvpbus_message_id id;
    text[0] = '\0';
    if (message->kind < KVPBUS_KIND_REPLY || message->correlation_length != CORRELATION)
        return;
    memcpy(id.bundle, message->correlation, sizeof id.bundle);
    id.index = (uint16_t)(message->correlation[sizeof id.bundle] << 8 |
                          message->correlation[sizeof id.bundle + 1]);
    kvpbus_message_id_format(&id, text);
}

static bool say_chunk(struct control_client *client)
{
    const struct kvpbus_message *message = &client->delivery->message;
    Kvpbus__Control__Chunk piece = KVPBUS__CONTROL__CHUNK__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    size_t left = message->body_length - client->said;
    piece.data.data = (uint8_t *)message->body + client->said;
    piece.data.len = left < KVPBUS_FRAME_CHUNK ? left : KVPBUS_FRAME_CHUNK;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_CHUNK;
    response.chunk = &piece;
    client->said += piece.data.len;
    if (piece.data.len > 0)
        control_respond(client, &response);
    if (client->said < message->body_length)
        return true;
    client->request = CONTROL_IDLE;
    kvpbus_delivery_free(client->delivery);
    client->delivery = NULL;
    return false;
}

void control_say_delivery(struct control_client *client, struct kvpbus_delivery *delivery)
{
    const struct kvpbus_message *message = &delivery->message;
    char id[KVPBUS_MESSAGE_ID_TEXT], request[KVPBUS_MESSAGE_ID_TEXT], guid[KVPBUS_GUID_TEXT + 1];
    Kvpbus__Control__Header headers[KVPBUS_HEADERS_MAX], *list[KVPBUS_HEADERS_MAX];
    Kvpbus__Control__Delivery said = KVPBUS__CONTROL__DELIVERY__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    for (size_t i = 0; i < message->header_count; i++) {
        kvpbus__control__header__init(&headers[i]);
        headers[i].name = (char *)message->headers[i].name;
        headers[i].value = (char *)message->headers[i].value;
        list[i] = &headers[i];
    }
    kvpbus_message_id_format(&message->id, id);
    reply_to(message, request);
    said.lease = delivery->lease;
    said.peer = (char *)kvpbus_service_name(control_service(client),
                                            kvpbus_bus_find(client->bus, delivery->peer), guid);
    said.id = id;
    said.topic = (char *)message->topic;
    said.stream = (char *)(message->stream != NULL ? message->stream : "");
    said.class_ = (char *)kvpbus_class_name(message->class_);
    said.created_ms = (uint64_t)message->created_ms;
    said.ttl_ms = message->ttl_ms;
    said.body_length = message->body_length;
    said.try_ = delivery->try_;
    said.kind = (uint32_t)message->kind;
    said.status = message->status;
    said.reply_to = request;
    said.n_headers = message->header_count;
    said.headers = list;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_DELIVERY;
    response.delivery = &said;
    control_respond(client, &response);
    client->delivery = delivery;
    client->said = 0;
    control_answer(client, say_chunk);
}

// No reply can come any more.
static void say_over(struct control_client *client, const struct kvpbus_awaited *awaited)
{
    char id[KVPBUS_MESSAGE_ID_TEXT];
    Kvpbus__Control__Outcome outcome = KVPBUS__CONTROL__OUTCOME__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    kvpbus_message_id_format(&client->reply_to, id);
    outcome.id = id;
    outcome.outcome = (char *)kvpbus_outcome_name(awaited->outcome);
    outcome.reason = (char *)awaited->reason;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_OUTCOME;
    response.outcome = &outcome;
    client->request = CONTROL_IDLE;
    control_respond(client, &response);
}

// --- looking for one ---

static uint64_t lease_for(const struct control_client *client, uint64_t asked_ms)
{
    uint64_t configured = control_service(client)->options.lease_ms;
    if (asked_ms != 0)
        return asked_ms;
    return configured != 0 ? configured : LEASE_MS;
}

static void on_leased(void *context, struct kvpbus_delivery *delivery,
                      const struct kvpbus_awaited *awaited, const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    client->leasing = false;
    if (client->closing && delivery != NULL)
        kvpbus_bus_nack(client->bus, delivery->lease, 0, "the client went away", NULL, NULL);
    if (!control_returned(client)) {
        kvpbus_delivery_free(delivery);
        return;
    }
    bool none = failure->code == KVPBUS_NOT_FOUND;
    client->reply_ends_ms = awaited != NULL ? awaited->ends_ms : 0;
    if (delivery != NULL) {
        client->lease = delivery->lease;
        control_say_delivery(client, delivery);
    } else if (none && awaited != NULL && awaited->over) {
        say_over(client, awaited);
    } else if (none && client->again) {
        control_look_for_message(client);
    } else if (!none || client->now) {
        control_fail(client, failure->code, failure->detail);
    }
}

void control_look_for_message(struct control_client *client)
{
    client->again = client->leasing;
    if (client->leasing)
        return;
    struct kvpbus_filter filter = {
        .peer = client->from,
        .pattern = client->any_topic ? NULL : client->pattern,
        .kinds = client->kinds,
        .reply_to = client->replies ? &client->reply_to : NULL,
    };
    client->leasing = true;
    client->jobs++;
    kvpbus_bus_lease(client->bus, &filter, client->lease_ms, on_leased, client);
}

void control_look_for_reply(struct control_client *client)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (client->replies && client->reply_ends_ms != 0 &&
        (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 >= client->reply_ends_ms)
        control_look_for_message(client);
}

void control_receive(struct control_client *client, const Kvpbus__Control__ReceiveRequest *request)
{
    client->from = 0;
    if (request->peer[0] != '\0') {
        struct kvpbus_endpoint *from = control_named(client, request->peer);
        if (from == NULL)
            return;
        client->from = kvpbus_endpoint_peer(from)->id;
    }
    client->replies = request->reply_to[0] != '\0';
    if (client->replies && !kvpbus_message_id_parse(request->reply_to, &client->reply_to)) {
        control_fail(client, KVPBUS_INVALID_ARGUMENT, CONTROL_NO_ID);
        return;
    }
    client->any_topic = request->pattern[0] == '\0';
    snprintf(client->pattern, sizeof client->pattern, "%s", request->pattern);
    client->kinds = request->kinds;
    client->now = request->now;
    client->lease_ms = lease_for(client, request->lease_ms);
    client->reply_ends_ms = 0;
    client->request = CONTROL_RECEIVING;
    control_look_for_message(client);
}

// --- the end of a lease ---

// The client no longer answers for it.
static void let_go(struct control_client *client, int64_t lease)
{
    if (lease == client->lease)
        client->lease = 0;
    client->request = CONTROL_BUSY;
    client->jobs++;
}

void control_ack(struct control_client *client, const Kvpbus__Control__AckRequest *request)
{
    let_go(client, request->lease);
    kvpbus_bus_ack(client->bus, request->lease, control_on_done, client);
}

void control_nack(struct control_client *client, const Kvpbus__Control__NackRequest *request)
{
    if (!kvpbus_text_valid(request->reason, KVPBUS_REASON_MAX)) {
        struct kvpbus_failure failure = {0};
        kvpbus_fail(&failure, KVPBUS_INVALID_ARGUMENT,
                    "a reason is up to %d bytes of UTF-8 without control characters",
                    KVPBUS_REASON_MAX);
        control_fail(client, failure.code, failure.detail);
        return;
    }
    let_go(client, request->lease);
    if (request->dead)
        kvpbus_bus_reject(client->bus, request->lease, request->reason, control_on_done, client);
    else
        kvpbus_bus_nack(client->bus, request->lease, request->delay_ms, request->reason,
                        control_on_done, client);
}

void control_extend(struct control_client *client, const Kvpbus__Control__ExtendRequest *request)
{
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_bus_extend(client->bus, request->lease, lease_for(client, request->lease_ms),
                      control_on_done, client);
}
