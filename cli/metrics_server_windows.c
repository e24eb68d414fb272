// SPDX-License-Identifier: Apache-2.0
//
// None: Prometheus' own exporter for Windows reads a file, which `kvpbus metrics` fills. So no
// address is right here, and the configuration that names one is refused.
#include "metrics_server.h"

bool kvpbus_metrics_address_valid(const char *address)
{
    (void)address;
    return false;
}

enum kvpbus_error kvpbus_metrics_server_open(struct kvpbus_service *service, const char *address,
                                             struct kvpbus_metrics_server **server,
                                             struct kvpbus_failure *failure)
{
    (void)service;
    *server = NULL;
    return kvpbus_fail(failure, KVPBUS_UNSUPPORTED,
                       "no metrics at %s: there is no listener on "
                       "Windows; use 'kvpbus metrics'",
                       address);
}

void kvpbus_metrics_server_stopping(struct kvpbus_metrics_server *server)
{
    (void)server;
}

void kvpbus_metrics_server_close(struct kvpbus_metrics_server *server)
{
    (void)server;
}
