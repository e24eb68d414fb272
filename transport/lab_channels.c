// SPDX-License-Identifier: Apache-2.0
#include "lab_channels.h"

#include <assert.h>
#include <string.h>

enum kvpbus_error kvpbus_lab_channels_init(struct kvpbus_lab_channels *channels,
                                           const char *address, struct kvpbus_failure *failure)
{
    enum kvpbus_error error = kvpbus_lab_channel_check(address, failure);
    if (error != KVPBUS_OK)
        return error;
    assert(strlen(address) < sizeof channels->address);
    memcpy(channels->address, address, strlen(address) + 1);
    channels->idle_count = 0;
    pthread_mutex_init(&channels->lock, NULL);
    return KVPBUS_OK;
}

void kvpbus_lab_channels_close(struct kvpbus_lab_channels *channels)
{
    while (channels->idle_count > 0)
        kvpbus_lab_channel_close(channels->idle[--channels->idle_count]);
    pthread_mutex_destroy(&channels->lock);
}

static int take_idle(struct kvpbus_lab_channels *channels)
{
    pthread_mutex_lock(&channels->lock);
    int fd = channels->idle_count > 0 ? channels->idle[--channels->idle_count] : -1;
    pthread_mutex_unlock(&channels->lock);
    return fd;
}

enum kvpbus_error kvpbus_lab_channels_take(struct kvpbus_lab_channels *channels, int64_t deadline,
                                           int *fd, struct kvpbus_failure *failure)
{
    for (int idle = take_idle(channels); idle >= 0; idle = take_idle(channels)) {
        if (kvpbus_lab_channel_alive(idle)) {
            *fd = idle;
            return KVPBUS_OK;
        }
        kvpbus_lab_channel_close(idle);
    }
    return kvpbus_lab_channel_open(channels->address, deadline, fd, failure);
}

void kvpbus_lab_channels_give(struct kvpbus_lab_channels *channels, int fd, bool healthy)
{
    bool kept = false;
    if (healthy) {
        pthread_mutex_lock(&channels->lock);
        kept = channels->idle_count < KVPBUS_LAB_CHANNELS_IDLE;
        if (kept)
            channels->idle[channels->idle_count++] = fd;
        pthread_mutex_unlock(&channels->lock);
    }
    if (!kept)
        kvpbus_lab_channel_close(fd);
}
