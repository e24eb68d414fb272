// SPDX-License-Identifier: Apache-2.0
//
// The control socket of a service: what the kvpbus command asks. Many clients, one request of each
// at a time; a client that does not read is dropped when 4 MiB wait for it.
#ifndef KVPBUS_CONTROL_SERVER_H
#define KVPBUS_CONTROL_SERVER_H

#include "service.h"

enum kvpbus_error kvpbus_control_server_open(struct kvpbus_service *service, const char *path,
                                             struct kvpbus_control_server **server,
                                             struct kvpbus_failure *failure);
// Drops all clients; freed by the loop.
void kvpbus_control_server_close(struct kvpbus_control_server *server);

// From the bus: clients that wait for a message, or for an outcome, look again.
void kvpbus_control_server_inbox(struct kvpbus_control_server *server);
void kvpbus_control_server_outcome(struct kvpbus_control_server *server, int64_t peer);

#endif
