// SPDX-License-Identifier: Apache-2.0
//
// Requests to bytes, bytes to responses.
#include <stdlib.h>

#include "client_internal.h"
#include "control_call.h"

enum { OUT_KEPT = 1024 * 1024 }; // bytes of room that stay when all is sent

// --- out ---

bool client_make_room(struct kvpbus_client *client, size_t length)
{
    if (client->out_sent == client->out_length)
        client->out_sent = client->out_length = 0;
    if (client->out_size - client->out_length >= length)
        return true;
    size_t size = client->out_length + length;
    if (size < 2 * client->out_size)
        size = 2 * client->out_size;
    uint8_t *grown = realloc(client->out, size);
    if (grown == NULL)
        return false;
    client->out = grown;
    client->out_size = size;
    return true;
}

enum kvpbus_error client_put(struct kvpbus_client *client, const Kvpbus__Control__Request *request,
                             struct kvpbus_failure *failure)
{
    size_t length = kvpbus__control__request__get_packed_size(request);
    if (length > KVPBUS_FRAME_MAX)
        return kvpbus_fail(failure, KVPBUS_TOO_LARGE, "an argument is too long");
    if (!client_make_room(client, KVPBUS_FRAME_HEAD + length))
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    uint8_t *frame = client->out + client->out_length;
    kvpbus_frame_head(frame, length);
    kvpbus__control__request__pack(request, frame + KVPBUS_FRAME_HEAD);
    client->out_length += KVPBUS_FRAME_HEAD + length;
    return KVPBUS_OK;
}

void client_flush(struct kvpbus_client *client)
{
    while (client->open && client->out_sent < client->out_length) {
        ptrdiff_t sent = kvpbus_socket_write(client->socket, client->out + client->out_sent,
                                             client->out_length - client->out_sent);
        if (sent == 0)
            return;
        // What the service said before it hung up is still there to be read.
        client->out_sent = sent < 0 ? client->out_length : client->out_sent + (size_t)sent;
    }
    if (client->out_sent == client->out_length && client->out_size > OUT_KEPT) {
        free(client->out);
        client->out = NULL;
        client->out_sent = client->out_length = client->out_size = 0;
    }
}

// --- in ---

void client_clear(struct kvpbus_client *client)
{
    client->start = client->end = 0;
    client->out_sent = client->out_length = 0;
    kvpbus_frame_next(&client->reader);
}

enum kvpbus_error client_lost(const struct kvpbus_client *client, struct kvpbus_failure *failure)
{
    return kvpbus_fail(failure, KVPBUS_CLOSED,
                       "the service at %s ended while it was asked; see its log", client->path);
}

enum kvpbus_error client_strange(struct kvpbus_client *client, struct kvpbus_failure *failure)
{
    client->open = false;
    client_clear(client);
    return kvpbus_fail(failure, KVPBUS_PROTOCOL, "%s is not the socket of a kvpbus service",
                       client->path);
}

static enum kvpbus_error fill(struct kvpbus_client *client, int64_t deadline,
                              struct kvpbus_failure *failure)
{
    for (;;) {
        client_flush(client);
        if (!client->open)
            return client_lost(client, failure);
        ptrdiff_t got = kvpbus_socket_read(client->socket, client->bytes, sizeof client->bytes);
        client->open = got >= 0;
        if (got > 0) {
            client->start = 0;
            client->end = (size_t)got;
            return KVPBUS_OK;
        }
        if (client->open &&
            !kvpbus_socket_wait(client->socket, client->out_sent < client->out_length, deadline))
            return kvpbus_fail(failure, KVPBUS_TIMEOUT, "nothing came in time");
    }
}

enum kvpbus_error client_take(struct kvpbus_client *client, int64_t deadline,
                              Kvpbus__Control__Response **response, struct kvpbus_failure *failure)
{
    const uint8_t *frame = NULL;
    size_t length = 0, taken;
    while (frame == NULL) {
        enum kvpbus_error error = KVPBUS_OK;
        if (client->start == client->end)
            error = fill(client, deadline, failure);
        if (error != KVPBUS_OK)
            return error;
        if (kvpbus_frame_take(&client->reader, client->bytes + client->start,
                              client->end - client->start, &taken, &frame, &length) != KVPBUS_OK)
            return client_strange(client, failure);
        client->start += taken;
    }
    *response = kvpbus__control__response__unpack(NULL, length, frame);
    kvpbus_frame_next(&client->reader);
    if (*response == NULL)
        return client_strange(client, failure);
    if ((*response)->kind_case != KVPBUS__CONTROL__RESPONSE__KIND_FAILURE)
        return KVPBUS_OK;
    enum kvpbus_error code = (enum kvpbus_error)(*response)->failure->code;
    kvpbus_fail(failure, code, "%s", (*response)->failure->detail);
    kvpbus__control__response__free_unpacked(*response, NULL);
    *response = NULL;
    return code != KVPBUS_OK ? code : client_strange(client, failure);
}

// --- the service in its own words ---

enum kvpbus_error kvpbus_control_write(struct kvpbus_client *client,
                                       const Kvpbus__Control__Request *request,
                                       struct kvpbus_failure *failure)
{
    enum kvpbus_error error = client_put(client, request, failure);
    client_flush(client);
    while (error == KVPBUS_OK && client->out_sent < client->out_length) {
        kvpbus_socket_wait(client->socket, true, -1);
        client_flush(client);
    }
    return error;
}

enum kvpbus_error kvpbus_control_read(struct kvpbus_client *client, int64_t timeout_ms,
                                      Kvpbus__Control__Response **response,
                                      struct kvpbus_failure *failure)
{
    return client_take(client, timeout_ms < 0 ? -1 : kvpbus_socket_now() + timeout_ms, response,
                       failure);
}
