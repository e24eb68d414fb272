// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lab_channel.h"
#include "lab_channel_bytes.h"

enum { CONNECT_RETRY_MS = 5 };

int64_t kvpbus_lab_channel_deadline(unsigned ms)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + ms;
}

static enum kvpbus_error no_lab(const char *address, int error, struct kvpbus_failure *failure)
{
    enum kvpbus_error code = error == EACCES || error == EPERM ? KVPBUS_ACCESS : KVPBUS_STORE_GONE;
    return kvpbus_lab_channel_absent(address, code, error, strerror(error), failure);
}

// A full queue of connections is the only thing that a connection to a path has to wait for.
static int connect_path(int fd, const char *path, int64_t deadline)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    while (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        if (errno != EAGAIN && errno != EINTR)
            return errno;
        if (kvpbus_lab_channel_left(deadline) == 0)
            return ETIMEDOUT;
        poll(NULL, 0, CONNECT_RETRY_MS);
    }
    return 0;
}

static int connect_port(int fd, uint16_t port, int64_t deadline)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1, error = 0;
    // Requests and replies are small and wait for each other.
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return 0;
    if (errno != EINPROGRESS && errno != EINTR)
        return errno;
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    int ready;
    do
        ready = poll(&poller, 1, kvpbus_lab_channel_left(deadline));
    while (ready < 0 && errno == EINTR);
    socklen_t size = sizeof error;
    if (ready <= 0)
        return ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

enum kvpbus_error kvpbus_lab_channel_check(const char *address, struct kvpbus_failure *failure)
{
    return strlen(address) < sizeof((struct sockaddr_un *)0)->sun_path
               ? KVPBUS_OK
               : kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                             "the path %.120s is too long for a socket", address);
}

enum kvpbus_error kvpbus_lab_channel_open(const char *address, int64_t deadline, int *fd,
                                          struct kvpbus_failure *failure)
{
    uint16_t port;
    bool tcp = kvpbus_lab_channel_port(address, &port);
    int channel = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (channel < 0)
        return no_lab(address, errno, failure);
    int error =
        tcp ? connect_port(channel, port, deadline) : connect_path(channel, address, deadline);
    if (error != 0) {
        close(channel);
        if (error == ETIMEDOUT)
            return kvpbus_fail(failure, KVPBUS_TIMEOUT, "the lab at %s does not answer", address);
        return no_lab(address, error, failure);
    }
    *fd = channel;
    return KVPBUS_OK;
}

void kvpbus_lab_channel_close(int fd)
{
    close(fd);
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
        ready = poll(&poller, 1, kvpbus_lab_channel_left(deadline));
    while (ready < 0 && errno == EINTR);
    if (ready > 0)
        return KVPBUS_OK;
    return kvpbus_fail(failure, KVPBUS_TIMEOUT, "the lab has not answered in time");
}

static bool try_again(int error)
{
    return error == EAGAIN || error == EINTR;
}

enum kvpbus_error kvpbus_lab_channel_send_all(int fd, const uint8_t *bytes, size_t length,
                                              int64_t deadline, struct kvpbus_failure *failure)
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

enum kvpbus_error kvpbus_lab_channel_receive_all(int fd, uint8_t *bytes, size_t length,
                                                 int64_t deadline, struct kvpbus_failure *failure)
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
