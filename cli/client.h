// SPDX-License-Identifier: Apache-2.0
//
// The command's side of the control socket: blocking, one request at a time.
#ifndef KVPBUS_CLIENT_H
#define KVPBUS_CLIENT_H

#include <stdbool.h>

#include "control.pb-c.h"
#include "kvpbus/error.h"

struct kvpbus_client;

// `path` NULL: KVPBUS_SOCKET, else the default socket of whichever service is there.
// KVPBUS_NO_DAEMON.
enum kvpbus_error kvpbus_client_open(const char *path, struct kvpbus_client **client,
                                     struct kvpbus_failure *failure);
void kvpbus_client_close(struct kvpbus_client *client);

enum kvpbus_error kvpbus_client_send(struct kvpbus_client *client,
                                     const Kvpbus__Control__Request *request,
                                     struct kvpbus_failure *failure);

// The next response, freed with kvpbus__control__response__free_unpacked. A Failure of the service
// comes back as the error it names. timeout_ms -1: without end; KVPBUS_TIMEOUT.
enum kvpbus_error kvpbus_client_receive(struct kvpbus_client *client, int64_t timeout_ms,
                                        Kvpbus__Control__Response **response,
                                        struct kvpbus_failure *failure);

#endif
