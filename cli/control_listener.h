// SPDX-License-Identifier: Apache-2.0
//
// Where clients come to a service, and who they are; one source per system.
#ifndef KVPBUS_CONTROL_LISTENER_H
#define KVPBUS_CONTROL_LISTENER_H

#include <stdbool.h>
#include <uv.h>

#include "kvpbus/error.h"

struct control_listener;

// On the loop's thread: a client waits to be taken.
typedef void control_waiting_fn(void *context);

// Whether it can be a path to listen at. KVPBUS_INVALID_ARGUMENT, as of the next.
enum kvpbus_error control_listener_check(const char *path, struct kvpbus_failure *failure);
enum kvpbus_error control_listener_open(uv_loop_t *loop, const char *path,
                                        control_waiting_fn *waiting, void *context,
                                        struct control_listener **listener,
                                        struct kvpbus_failure *failure);
// Makes `pipe`, which has been initialised, the connection to the client that waits; 0 or an error
// of libuv.
int control_listener_take(struct control_listener *listener, uv_pipe_t *pipe);
// Freed by the loop.
void control_listener_close(struct control_listener *listener);

enum { CONTROL_USER_TEXT = 48 };

// Who the client is, as an audit names it: "uid 1000", "MACHINE\name". *owner: may have this side's
// secrets. False: it is not known.
bool control_listener_user(const uv_pipe_t *pipe, char text[CONTROL_USER_TEXT], bool *owner);

#endif
