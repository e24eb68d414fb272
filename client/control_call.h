// SPDX-License-Identifier: Apache-2.0
//
// The local service asked in its own words (proto/control.proto): what include/kvpbus/client.h has
// no function for. Blocking.
#ifndef KVPBUS_CONTROL_CALL_H
#define KVPBUS_CONTROL_CALL_H

#include "control.pb-c.h"
#include "kvpbus/client.h"

// Returns when the socket has taken the whole request.
enum kvpbus_error kvpbus_control_write(struct kvpbus_client *client,
                                       const Kvpbus__Control__Request *request,
                                       struct kvpbus_failure *failure);

// The next response, freed with kvpbus__control__response__free_unpacked. A Failure of the service
// comes back as the error it names. timeout_ms -1: without end; KVPBUS_TIMEOUT.
enum kvpbus_error kvpbus_control_read(struct kvpbus_client *client, int64_t timeout_ms,
                                      Kvpbus__Control__Response **response,
                                      struct kvpbus_failure *failure);

// The peer of this name, or with NULL all, page by page until there are `most` or more; freed with
// kvpbus__control__peers__free_unpacked. (*peers)->total says how many the service has. timeout_ms
// is for each page.
enum kvpbus_error kvpbus_control_peers(struct kvpbus_client *client, const char *peer, size_t most,
                                       int64_t timeout_ms, Kvpbus__Control__Peers **peers,
                                       struct kvpbus_failure *failure);

#endif
