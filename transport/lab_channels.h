// SPDX-License-Identifier: Apache-2.0
//
// Connections to one kvpbus-lab. Each request has one for itself while it lasts, so that a job that
// hangs holds up nothing but its own caller; idle ones are kept. For any thread.
#ifndef KVPBUS_LAB_CHANNELS_H
#define KVPBUS_LAB_CHANNELS_H

#include <pthread.h>

#include "lab_channel.h"

enum {
    KVPBUS_LAB_CHANNELS_IDLE = 8,
    KVPBUS_LAB_ADDRESS = 108, // with its NUL: as much as a Unix socket's name can be
};

struct kvpbus_lab_channels {
    char address[KVPBUS_LAB_ADDRESS]; // as kvpbus_lab_channel_open takes it
    pthread_mutex_t lock;
    int idle[KVPBUS_LAB_CHANNELS_IDLE];
    size_t idle_count;
};

// KVPBUS_INVALID_ARGUMENT, as of kvpbus_lab_channel_check. Does not connect.
enum kvpbus_error kvpbus_lab_channels_init(struct kvpbus_lab_channels *channels,
                                           const char *address, struct kvpbus_failure *failure);

// None may be taken any more.
void kvpbus_lab_channels_close(struct kvpbus_lab_channels *channels);

// An idle one that is still connected, or a new one, as kvpbus_lab_channel_open gives it.
enum kvpbus_error kvpbus_lab_channels_take(struct kvpbus_lab_channels *channels, int64_t deadline,
                                           int *fd, struct kvpbus_failure *failure);

// Gives it back; unless it is `healthy`, with no reply due, it is closed.
void kvpbus_lab_channels_give(struct kvpbus_lab_channels *channels, int fd, bool healthy);

#endif
