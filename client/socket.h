// SPDX-License-Identifier: Apache-2.0
//
// The way to the local service, one file per platform: a Unix socket, on Windows a named pipe. Only
// kvpbus_socket_open (5 s at most) and kvpbus_socket_wait ever wait.
#ifndef KVPBUS_SOCKET_H
#define KVPBUS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvpbus/error.h"
#include "kvpbus/platform.h"

enum { KVPBUS_SOCKET_PATH = 108 }; // bytes of a path with its NUL

// KVPBUS_SOCKET, else the default socket of whichever service is there; NULL: there is none.
const char *kvpbus_socket_find(void);

struct kvpbus_socket;

// KVPBUS_NO_DAEMON, KVPBUS_ACCESS.
enum kvpbus_error kvpbus_socket_open(const char *path, struct kvpbus_socket **socket,
                                     struct kvpbus_failure *failure);
void kvpbus_socket_close(struct kvpbus_socket *socket);

// What can be waited for by others; it is not theirs to read, write or reset.
kvpbus_notice kvpbus_socket_notice(const struct kvpbus_socket *socket);

// How many bytes were taken or came; 0: none now; -1: the other end is gone.
ptrdiff_t kvpbus_socket_write(struct kvpbus_socket *socket, const uint8_t *bytes, size_t length);
ptrdiff_t kvpbus_socket_read(struct kvpbus_socket *socket, uint8_t *bytes, size_t size);

// Until something can be read (or written, where `write` says so), or `deadline` of
// kvpbus_socket_now is there; -1: without end. False: it is there and nothing else is.
bool kvpbus_socket_wait(struct kvpbus_socket *socket, bool write, int64_t deadline);
int64_t kvpbus_socket_now(void); // ms, monotonic

#endif
