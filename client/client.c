// SPDX-License-Identifier: Apache-2.0
//
// A connection to the local service: made, made anew, ended, and shown to an event loop.
#include <stdlib.h>
#include <string.h>

#include "client_internal.h"

enum kvpbus_error kvpbus_client_open(const char *path, struct kvpbus_client **out,
                                     struct kvpbus_failure *failure)
{
    if (path == NULL)
        path = kvpbus_socket_find();
    if (path == NULL)
        return kvpbus_fail(failure, KVPBUS_NO_DAEMON,
                           "no kvpbus service runs here; 'kvpbus doctor' says what is missing; "
                           "or name its socket with --socket or KVPBUS_SOCKET");
    struct kvpbus_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    enum kvpbus_error error = kvpbus_socket_open(path, &client->socket, failure);
    if (error != KVPBUS_OK) {
        free(client);
        return error;
    }
    client->open = true;
    strcpy(client->path, path);
    *out = client;
    return KVPBUS_OK;
}

static void hang_up(struct kvpbus_client *client)
{
    if (client->socket != NULL)
        kvpbus_socket_close(client->socket);
    client->socket = NULL;
    client->open = false;
    client_clear(client);
    client_forget_operation(client);
    client_message_forget(client);
}

void kvpbus_client_close(struct kvpbus_client *client)
{
    if (client == NULL)
        return;
    hang_up(client);
    free(client->out);
    free(client);
}

enum kvpbus_error kvpbus_client_reconnect(struct kvpbus_client *client,
                                          struct kvpbus_failure *failure)
{
    hang_up(client);
    enum kvpbus_error error = kvpbus_socket_open(client->path, &client->socket, failure);
    client->open = error == KVPBUS_OK;
    return error;
}

kvpbus_notice kvpbus_client_fd(const struct kvpbus_client *client)
{
    return client->socket != NULL ? kvpbus_socket_notice(client->socket) : KVPBUS_NO_NOTICE;
}

bool kvpbus_client_wants_write(const struct kvpbus_client *client)
{
    return client->open && client->out_sent < client->out_length;
}
