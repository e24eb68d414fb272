// SPDX-License-Identifier: Apache-2.0
//
// Receiving: a message leased for the client, and its acknowledgement.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_client_state.h"

typedef Kvpbus__Control__Response Response;

static void say_delivery(struct control_client *client, const struct kvpbus_delivery *delivery)
{
    const struct kvpbus_message *message = &delivery->message;
    struct kvpbus_endpoint *from = kvpbus_bus_find(control_service(client)->bus, delivery->peer);
    char id[KVPBUS_MESSAGE_ID_TEXT];
    Kvpbus__Control__Delivery said = KVPBUS__CONTROL__DELIVERY__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    kvpbus_message_id_format(&message->id, id);
    said.lease = delivery->lease;
    said.peer = (char *)(from != NULL ? kvpbus_endpoint_peer(from)->name : "");
    said.id = id;
    said.topic = (char *)message->topic;
    said.stream = (char *)(message->stream != NULL ? message->stream : "");
    said.class_ = (char *)kvpbus_class_name(message->class_);
    said.created_ms = (uint64_t)message->created_ms;
    said.body_length = message->body_length;
    said.try_ = delivery->try_;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_DELIVERY;
    response.delivery = &said;
    control_respond(client, &response);
    for (size_t at = 0; at < message->body_length; at += KVPBUS_FRAME_CHUNK) {
        size_t left = message->body_length - at;
        Kvpbus__Control__Chunk piece = KVPBUS__CONTROL__CHUNK__INIT;
        piece.data.data = (uint8_t *)message->body + at;
        piece.data.len = left < KVPBUS_FRAME_CHUNK ? left : KVPBUS_FRAME_CHUNK;
        response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_CHUNK;
        response.chunk = &piece;
        control_respond(client, &response);
    }
}

static void on_leased(void *context, struct kvpbus_delivery *delivery,
                      const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    client->leasing = false;
    if (client->closing && delivery != NULL)
        kvpbus_bus_nack(client->bus, delivery->lease, 0, "the client went away", NULL, NULL);
    if (!control_returned(client)) {
        kvpbus_delivery_free(delivery);
        return;
    }
    if (delivery == NULL && failure->code != KVPBUS_NOT_FOUND) {
        control_fail(client, failure->code, failure->detail);
    } else if (delivery != NULL) {
        client->request = CONTROL_IDLE;
        client->lease = delivery->lease;
        say_delivery(client, delivery);
    } else if (client->again) {
        control_look_for_message(client);
    }
    kvpbus_delivery_free(delivery);
}

void control_look_for_message(struct control_client *client)
{
    client->again = client->leasing;
    if (client->leasing)
        return;
    client->leasing = true;
    client->jobs++;
    kvpbus_bus_lease(client->bus, 0, client->any_topic ? NULL : client->pattern, client->lease_ms,
                     on_leased, client);
}

void control_receive(struct control_client *client, const Kvpbus__Control__ReceiveRequest *request)
{
    if (strlen(request->pattern) > KVPBUS_TOPIC_MAX) {
        control_fail(client, KVPBUS_BAD_TOPIC, "");
        return;
    }
    client->any_topic = request->pattern[0] == '\0';
    snprintf(client->pattern, sizeof client->pattern, "%s", request->pattern);
    client->lease_ms = request->lease_ms != 0 ? request->lease_ms : 60000;
    client->request = CONTROL_RECEIVING;
    control_look_for_message(client);
}

void control_ack(struct control_client *client, const Kvpbus__Control__AckRequest *request)
{
    if (request->lease == client->lease)
        client->lease = 0;
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_bus_ack(client->bus, request->lease, control_on_done, client);
}
