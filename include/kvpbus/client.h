// SPDX-License-Identifier: Apache-2.0
//
// A program's way to the kvpbus service of this machine.
#ifndef KVPBUS_CLIENT_H
#define KVPBUS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvpbus/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kvpbus_client;

// `path` NULL: KVPBUS_SOCKET, else the default socket of whichever service is there. At most 5 s.
// KVPBUS_NO_DAEMON, KVPBUS_ACCESS, KVPBUS_BUSY.
enum kvpbus_error kvpbus_client_open(const char *path, struct kvpbus_client **client,
                                     struct kvpbus_failure *failure);
void kvpbus_client_close(struct kvpbus_client *client); // NULL: nothing

#ifdef __cplusplus
}
#endif

#endif
