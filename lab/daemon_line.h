// SPDX-License-Identifier: Apache-2.0
//
// The kernel's side of a Linux guest's KVP device: the socket that the device shim connects to, the
// daemon's registration, and its requests and answers.
#ifndef KVPBUS_LAB_DAEMON_LINE_H
#define KVPBUS_LAB_DAEMON_LINE_H

#include "driver.h"

struct kvpbus_lab_daemon; // who has opened the device

struct kvpbus_lab_daemon_line {
    uv_loop_t *loop;
    struct kvpbus_lab_driver *driver;
    int listener;
    uv_poll_t *listener_poll; // NULL: not open
    struct kvpbus_lab_daemon *daemon;
};

// Listens at the path for daemons, each of which becomes the driver's device when it registers.
enum kvpbus_error kvpbus_lab_daemon_line_open(struct kvpbus_lab_daemon_line *line, uv_loop_t *loop,
                                              const char *socket_path,
                                              struct kvpbus_lab_driver *driver,
                                              struct kvpbus_failure *failure);

// The daemon has ended, registered or not.
void kvpbus_lab_daemon_line_reset(struct kvpbus_lab_daemon_line *line);

// The loop must run once more.
void kvpbus_lab_daemon_line_close(struct kvpbus_lab_daemon_line *line);

#endif
