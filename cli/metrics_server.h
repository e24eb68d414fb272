// SPDX-License-Identifier: Apache-2.0
//
// GET /metrics for Prometheus, at a Unix socket or a port of the loopback interface, by
// configuration only. HTTP is libmicrohttpd's: small, in Debian since long, and content to be run
// by our loop; what people and scanners send to an HTTP port is no place for a parser of our own.
#ifndef KVPBUS_METRICS_SERVER_H
#define KVPBUS_METRICS_SERVER_H

#include "service.h"

struct kvpbus_metrics_server;

// "unix:/PATH", "127.0.0.1:PORT" or "[::1]:PORT".
bool kvpbus_metrics_address_valid(const char *address);

// Belongs to the loop's thread.
enum kvpbus_error kvpbus_metrics_server_open(struct kvpbus_service *service, const char *address,
                                             struct kvpbus_metrics_server **server,
                                             struct kvpbus_failure *failure);
// Nothing more is gathered. The bus may be closed when what is under way has come back.
void kvpbus_metrics_server_stopping(struct kvpbus_metrics_server *server);
// Once the bus has nothing under way. NULL is ignored; freed by the loop, which must run on.
void kvpbus_metrics_server_close(struct kvpbus_metrics_server *server);

#endif
