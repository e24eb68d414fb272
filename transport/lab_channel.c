// SPDX-License-Identifier: Apache-2.0
#include "lab_channel.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    HEADER = 4,
    REQUEST_MAX = 512 * 1024,
    REPLY_MAX = 4 * 1024 * 1024,
    CONNECT_RETRY_MS = 5,
};

int64_t kvpbus_lab_channel_deadline(unsigned ms)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + ms;
}

static int remaining(int64_t deadline)
{
    int64_t left = deadline - kvpbus_lab_channel_deadline(0);
    if (left < 0)
        return 0;
    return left > INT32_MAX ? INT32_MAX : (int)left;
}

static enum kvpbus_error no_lab(const char *path, int error, struct kvpbus_failure *failure)
{
    enum kvpbus_error code = error == EACCES || error == EPERM ? KVPBUS_ACCESS : KVPBUS_STORE_GONE;
    kvpbus_fail(failure, code, "no lab at %.120s (%s): start 'kvpbus-lab run DIR --vm NAME'", path,
                strerror(error));
    if (failure != NULL)
        failure->os_code = error;
    return code;
}

// A full queue of connections is the only thing that a connection has to wait for.
static int connect_until(int fd, const struct sockaddr_un *address, int64_t deadline)
{
    while (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0) {
        if (errno != EAGAIN && errno != EINTR)
            return errno;
        if (remaining(deadline) == 0)
            return ETIMEDOUT;
        poll(NULL, 0, CONNECT_RETRY_MS);
    }
    return 0;
}

enum kvpbus_error kvpbus_lab_channel_open(const char *path, int64_t deadline, int *fd,
                                          struct kvpbus_failure *failure)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return no_lab(path, ENAMETOOLONG, failure);
    memcpy(address.sun_path, path, strlen(path) + 1);
    int channel = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (channel < 0)
        return no_lab(path, errno, failure);
    int error = connect_until(channel, &address, deadline);
    if (error != 0) {
        close(channel);
        if (error == ETIMEDOUT)
            return kvpbus_fail(failure, KVPBUS_TIMEOUT, "the lab at %s does not answer", path);
        return no_lab(path, error, failure);
    }
    *fd = channel;
    return KVPBUS_OK;
}

bool kvpbus_lab_channel_alive(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

// Waits until the connection can be read or written. A hang-up shows in the call that follows.
static enum kvpbus_error wait_for(int fd, short events, int64_t deadline,
                                  struct kvpbus_failure *failure)
{
    struct pollfd poller = {.fd = fd, .events = events};
    int ready;
    do
        ready = poll(&poller, 1, remaining(deadline));
    while (ready < 0 && errno == EINTR);
    if (ready > 0)
        return KVPBUS_OK;
    return kvpbus_fail(failure, KVPBUS_TIMEOUT, "the lab has not answered in time");
}

static bool try_again(int error)
{
    return error == EAGAIN || error == EINTR;
}

static enum kvpbus_error send_all(int fd, const uint8_t *bytes, size_t length, int64_t deadline,
                                  struct kvpbus_failure *failure)
{
    for (size_t sent = 0; sent < length;) {
        ssize_t step = send(fd, bytes + sent, length - sent, MSG_NOSIGNAL);
        if (step < 0 && !try_again(errno))
            return kvpbus_fail(failure, KVPBUS_CLOSED, "the connection to the lab is lost: %s",
                               strerror(errno));
        sent += step > 0 ? (size_t)step : 0;
        if (step < 0) {
            enum kvpbus_error error = wait_for(fd, POLLOUT, deadline, failure);
            if (error != KVPBUS_OK)
                return error;
        }
    }
    return KVPBUS_OK;
}

static enum kvpbus_error receive_all(int fd, uint8_t *bytes, size_t length, int64_t deadline,
                                     struct kvpbus_failure *failure)
{
    for (size_t got = 0; got < length;) {
        ssize_t step = recv(fd, bytes + got, length - got, 0);
        if (step == 0 || (step < 0 && !try_again(errno)))
            return kvpbus_fail(failure, KVPBUS_CLOSED, "the lab has closed the connection");
        got += step > 0 ? (size_t)step : 0;
        if (step < 0) {
            enum kvpbus_error error = wait_for(fd, POLLIN, deadline, failure);
            if (error != KVPBUS_OK)
                return error;
        }
    }
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_lab_channel_send(int fd, const Kvpbus__Lab__Request *request,
                                          int64_t deadline, struct kvpbus_failure *failure)
{
    size_t length = kvpbus__lab__request__get_packed_size(request);
    if (length > REQUEST_MAX)
        return kvpbus_fail(failure, KVPBUS_TOO_LARGE, "a request of %zu bytes", length);
    uint8_t *bytes = malloc(HEADER + length);
    if (bytes == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "a request to the lab");
    for (size_t i = 0; i < HEADER; i++)
        bytes[i] = (uint8_t)(length >> (8 * (HEADER - 1 - i)));
    kvpbus__lab__request__pack(request, bytes + HEADER);
    enum kvpbus_error error = send_all(fd, bytes, HEADER + length, deadline, failure);
    free(bytes);
    return error;
}

enum kvpbus_error kvpbus_lab_channel_receive(int fd, Kvpbus__Lab__Reply **reply, int64_t deadline,
                                             struct kvpbus_failure *failure)
{
    uint8_t header[HEADER];
    enum kvpbus_error error = receive_all(fd, header, HEADER, deadline, failure);
    if (error != KVPBUS_OK)
        return error;
    size_t length = 0;
    for (size_t i = 0; i < HEADER; i++)
        length = length << 8 | header[i];
    if (length > REPLY_MAX)
        return kvpbus_fail(failure, KVPBUS_PROTOCOL, "a reply of %zu bytes: not a lab?", length);
    uint8_t *bytes = malloc(length > 0 ? length : 1);
    if (bytes == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "a reply of the lab");
    error = receive_all(fd, bytes, length, deadline, failure);
    if (error == KVPBUS_OK) {
        *reply = kvpbus__lab__reply__unpack(NULL, length, bytes);
        if (*reply == NULL)
            error = kvpbus_fail(failure, KVPBUS_PROTOCOL, "a reply that is none: not a lab?");
    }
    free(bytes);
    return error;
}
