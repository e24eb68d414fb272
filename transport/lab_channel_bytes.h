// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a connection to the lab: what lab_channel.c needs of the system's sockets.
#ifndef KVPBUS_LAB_CHANNEL_BYTES_H
#define KVPBUS_LAB_CHANNEL_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvpbus/error.h"

// True for 127.0.0.1:PORT, whose port goes to *port.
bool kvpbus_lab_channel_port(const char *address, uint16_t *port);

// What is left until the deadline, in milliseconds: 0 when it has passed.
int kvpbus_lab_channel_left(int64_t deadline);

// No lab listens at the address; `text` is the system's word for it, `os_code` its number.
enum kvpbus_error kvpbus_lab_channel_absent(const char *address, enum kvpbus_error code,
                                            int64_t os_code, const char *text,
                                            struct kvpbus_failure *failure);

// All of the bytes, or KVPBUS_CLOSED or KVPBUS_TIMEOUT.
enum kvpbus_error kvpbus_lab_channel_send_all(int fd, const uint8_t *bytes, size_t length,
                                              int64_t deadline, struct kvpbus_failure *failure);
enum kvpbus_error kvpbus_lab_channel_receive_all(int fd, uint8_t *bytes, size_t length,
                                                 int64_t deadline, struct kvpbus_failure *failure);

#endif
