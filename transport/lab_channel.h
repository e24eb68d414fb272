// SPDX-License-Identifier: Apache-2.0
//
// A connection to the management API of kvpbus-lab (proto/lab.proto): one request and its replies
// at a time, with deadlines. For one thread at a time.
#ifndef KVPBUS_LAB_CHANNEL_H
#define KVPBUS_LAB_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "kvpbus/error.h"
#include "lab.pb-c.h"

// The time, in milliseconds of the monotonic clock, that lies `ms` ahead.
int64_t kvpbus_lab_channel_deadline(unsigned ms);

// Whether a lab could be there. KVPBUS_INVALID_ARGUMENT.
enum kvpbus_error kvpbus_lab_channel_check(const char *address, struct kvpbus_failure *failure);

// Connects, in *fd: a descriptor, on Windows a socket, whose value fits as that of every handle
// does. The address is the path of the lab's socket (not on Windows, where Wine has none of the
// kind) or 127.0.0.1:PORT of a lab with --tcp. KVPBUS_STORE_GONE when no lab listens there;
// KVPBUS_ACCESS, KVPBUS_TIMEOUT.
enum kvpbus_error kvpbus_lab_channel_open(const char *address, int64_t deadline, int *fd,
                                          struct kvpbus_failure *failure);

void kvpbus_lab_channel_close(int fd);

// True when nothing has happened on an idle connection: the lab is still there.
bool kvpbus_lab_channel_alive(int fd);

// Sends a request. Unless it returns KVPBUS_OK the lab has not seen the whole request and does not
// act on it; the connection is to be closed.
enum kvpbus_error kvpbus_lab_channel_send(int fd, const Kvpbus__Lab__Request *request,
                                          int64_t deadline, struct kvpbus_failure *failure);

// Receives one reply, which the caller frees with kvpbus__lab__reply__free_unpacked. On an error
// the connection is to be closed: KVPBUS_CLOSED, KVPBUS_TIMEOUT, KVPBUS_PROTOCOL, KVPBUS_NOMEM.
enum kvpbus_error kvpbus_lab_channel_receive(int fd, Kvpbus__Lab__Reply **reply, int64_t deadline,
                                             struct kvpbus_failure *failure);

#endif
