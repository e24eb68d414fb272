// SPDX-License-Identifier: Apache-2.0
//
// A connection to the local service: made, and ended.
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
                           "no kvpbus service runs here; start kvpbus-host or kvpbus-guest, or "
                           "name its socket with --socket or KVPBUS_SOCKET");
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

void kvpbus_client_close(struct kvpbus_client *client)
{
    if (client == NULL)
        return;
    kvpbus_socket_close(client->socket);
    free(client->out);
    free(client);
}
