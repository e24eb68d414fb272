// SPDX-License-Identifier: Apache-2.0
//
// What a client of the control socket asks, and the answers.
#include <stdlib.h>

#include "control_client_state.h"

typedef Kvpbus__Control__Request Request;

struct kvpbus_service *control_service(const struct control_client *client)
{
    return client->server->service;
}

struct kvpbus_endpoint *control_named(struct control_client *client, const char *peer)
{
    struct kvpbus_failure failure = {0};
    struct kvpbus_endpoint *endpoint = kvpbus_service_find(control_service(client), peer, &failure);
    if (endpoint == NULL)
        control_fail(client, failure.code, failure.detail);
    return endpoint;
}

void control_forget(struct control_client *client)
{
    control_backup_forget(client);
    control_move_forget(client);
    if (client->send != NULL)
        kvpbus__control__send_request__free_unpacked(client->send, NULL);
    client->send = NULL;
    free(client->body);
    client->body = NULL;
    kvpbus_delivery_free(client->delivery);
    client->delivery = NULL;
    free(client->text);
    client->text = NULL;
    client->body_length = 0;
    free(client->targets);
    client->targets = NULL;
    client->target_count = client->target_next = client->target_open = client->copies = 0;
    if (client->peers != NULL)
        kvpbus__control__peers__free_unpacked(client->peers, NULL);
    client->peers = NULL;
    free(client->asked);
    client->asked = NULL;
}

void control_on_done(void *context, const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    if (!control_returned(client))
        return;
    if (failure->code == KVPBUS_OK)
        control_done(client);
    else
        control_fail(client, failure->code, failure->detail);
}

static void take_chunk(struct control_client *client, const Kvpbus__Control__Chunk *chunk)
{
    if (client->request == CONTROL_IMPORTING)
        control_import_chunk(client, chunk);
    else
        control_chunk(client, chunk);
}

// Whoever keeps a part of the request takes it out.
static void begin(struct control_client *client, Request *request)
{
    switch (request->kind_case) {
    case KVPBUS__CONTROL__REQUEST__KIND_IDENTITY:
        control_identity(client);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_PAIR:
        control_pair(client, request->pair);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_UNPAIR:
        control_unpair(client, request->unpair);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_ENROLL:
        control_enroll(client, request->enroll);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_SEND:
        control_send(client, request);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_CHUNK:
        take_chunk(client, request->chunk);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_RECEIVE:
        control_receive(client, request->receive);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_ACK:
        control_ack(client, request->ack);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_NACK:
        control_nack(client, request->nack);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_EXTEND:
        control_extend(client, request->extend);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_WITHDRAW:
        control_withdraw(client, request->withdraw);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_SHOW:
        control_show(client, request->show);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_DEAD:
        control_dead(client, request->dead);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_AUDIT:
        control_audit(client, request->audit);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_BACKUP:
        control_backup(client);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_METRICS:
        control_metrics(client);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_STATUS:
        control_status(client, request->status);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_ITEMS:
        control_items(client, request->items);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_REBIND:
        control_rebind(client, request->rebind);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_EXPORT:
        control_export(client, request->export);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_IMPORT:
        control_import(client, request->import);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_ROTATE:
        control_rotate(client, request->rotate);
        break;
    default:
        control_fail(client, KVPBUS_UNSUPPORTED,
                     "the service does not know this request; is it older than the command?");
    }
}

void control_request(struct control_client *client, const uint8_t *frame, size_t length)
{
    Request *request = kvpbus__control__request__unpack(NULL, length, frame);
    if (request == NULL) {
        control_fail(client, KVPBUS_PROTOCOL, "");
        control_drop(client);
        return;
    }
    bool body = request->kind_case == KVPBUS__CONTROL__REQUEST__KIND_CHUNK;
    if (client->request != CONTROL_IDLE && !body) {
        control_fail(client, KVPBUS_BUSY, "one request at a time");
        control_drop(client);
    } else {
        control_audit_asked(client, request);
        begin(client, request);
    }
    kvpbus__control__request__free_unpacked(request, NULL);
}
