// SPDX-License-Identifier: Apache-2.0
#include "socket.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "paths.h"

enum { CONNECT_WITHIN = 5 }; // s; only a service that hangs takes any time

static_assert((size_t)KVPBUS_SOCKET_PATH == sizeof(((struct sockaddr_un *)0)->sun_path),
              "a path that fits here fits the system");

const char *kvpbus_socket_find(void)
{
    static const char *const defaults[] = {KVPBUS_HOST_SOCKET, KVPBUS_GUEST_SOCKET};
    const char *path = getenv("KVPBUS_SOCKET");
    for (size_t i = 0; path == NULL && i < sizeof defaults / sizeof *defaults; i++)
        if (access(defaults[i], F_OK) == 0)
            path = defaults[i];
    return path;
}

static enum kvpbus_error refused(const char *path, int code, struct kvpbus_failure *failure)
{
    enum kvpbus_error error = code == EACCES   ? KVPBUS_ACCESS
                              : code == EAGAIN ? KVPBUS_BUSY
                                               : KVPBUS_NO_DAEMON;
    kvpbus_fail(failure, error,
                error == KVPBUS_ACCESS
                    ? "you may not use the service at %s (%s); ask to join its group, or use sudo"
                : error == KVPBUS_BUSY
                    ? "the service at %s takes no connection (%s); does it hang? see its log"
                    : "no kvpbus service answers at %s (%s); start it ('kvpbus doctor' says "
                      "what is missing), or name another socket with --socket",
                path, strerror(code));
    if (failure != NULL)
        failure->os_code = code;
    return error;
}

struct kvpbus_socket {
    int descriptor;
};

enum kvpbus_error kvpbus_socket_open(const char *path, struct kvpbus_socket **out,
                                     struct kvpbus_failure *failure)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval within = {.tv_sec = CONNECT_WITHIN};
    if (strlen(path) >= sizeof address.sun_path)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "the socket path %.60s... is too long",
                           path);
    strcpy(address.sun_path, path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return refused(path, errno, failure);
    // It bounds connect too, where the service does not accept.
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &within, sizeof within);
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0 ||
        fcntl(descriptor, F_SETFL, O_NONBLOCK) != 0) {
        int code = errno;
        close(descriptor);
        return refused(path, code, failure);
    }
    *out = malloc(sizeof **out);
    if (*out == NULL) {
        close(descriptor);
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    }
    (*out)->descriptor = descriptor;
    return KVPBUS_OK;
}

void kvpbus_socket_close(struct kvpbus_socket *socket)
{
    close(socket->descriptor);
    free(socket);
}

kvpbus_notice kvpbus_socket_notice(const struct kvpbus_socket *socket)
{
    return socket->descriptor;
}

// What a call gave, in this file's terms.
static ptrdiff_t moved(ssize_t result)
{
    if (result >= 0)
        return result;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
}

ptrdiff_t kvpbus_socket_write(struct kvpbus_socket *socket, const uint8_t *bytes, size_t length)
{
    return moved(send(socket->descriptor, bytes, length, MSG_NOSIGNAL));
}

ptrdiff_t kvpbus_socket_read(struct kvpbus_socket *socket, uint8_t *bytes, size_t size)
{
    ssize_t got = recv(socket->descriptor, bytes, size, 0);
    return got == 0 ? -1 : moved(got);
}

int64_t kvpbus_socket_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool kvpbus_socket_wait(struct kvpbus_socket *socket, bool write, int64_t deadline)
{
    struct pollfd wait = {.fd = socket->descriptor,
                          .events = (short)(write ? POLLIN | POLLOUT : POLLIN)};
    for (;;) {
        int64_t left = deadline < 0 ? -1 : deadline - kvpbus_socket_now();
        if (deadline >= 0 && left < 0)
            left = 0;
        if (poll(&wait, 1, left > INT32_MAX ? INT32_MAX : (int)left) > 0)
            return true;
        if (left == 0)
            return false;
    }
}
