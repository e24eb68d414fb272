// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "frame.h"
#include "paths.h"

struct kvpbus_client {
    int socket;
    char path[108];
    struct kvpbus_frame_reader reader;
    uint8_t bytes[KVPBUS_FRAME_CHUNK]; // received and not yet taken
    size_t start, end;
};

static const char *choose(const char *path)
{
    static const char *const defaults[] = {KVPBUS_HOST_SOCKET, KVPBUS_GUEST_SOCKET};
    if (path == NULL)
        path = getenv("KVPBUS_SOCKET");
    for (size_t i = 0; path == NULL && i < sizeof defaults / sizeof *defaults; i++)
        if (access(defaults[i], F_OK) == 0)
            path = defaults[i];
    return path;
}

enum kvpbus_error kvpbus_client_open(const char *path, struct kvpbus_client **out,
                                     struct kvpbus_failure *failure)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    path = choose(path);
    if (path == NULL)
        return kvpbus_fail(
            failure, KVPBUS_NO_DAEMON,
            "no kvpbus service runs here; start kvpbus-host or kvpbus-guest, or name "
            "its socket with --socket or KVPBUS_SOCKET");
    if (strlen(path) >= sizeof address.sun_path)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "the socket path %.60s... is too long",
                           path);
    struct kvpbus_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    strcpy(address.sun_path, path);
    strcpy(client->path, path);
    client->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->socket < 0 ||
        connect(client->socket, (struct sockaddr *)&address, sizeof address) != 0) {
        enum kvpbus_error error = errno == EACCES ? KVPBUS_ACCESS : KVPBUS_NO_DAEMON;
        kvpbus_fail(
            failure, error,
            error == KVPBUS_ACCESS
                ? "you may not use the service at %s (%s); ask to join its group, or use sudo"
                : "no kvpbus service answers at %s (%s); start it, or name another socket "
                  "with --socket",
            path, strerror(errno));
        kvpbus_client_close(client);
        return error;
    }
    *out = client;
    return KVPBUS_OK;
}

void kvpbus_client_close(struct kvpbus_client *client)
{
    if (client == NULL)
        return;
    if (client->socket >= 0)
        close(client->socket);
    free(client);
}

static enum kvpbus_error lost(const struct kvpbus_client *client, struct kvpbus_failure *failure)
{
    return kvpbus_fail(failure, KVPBUS_CLOSED,
                       "the service at %s ended while it was asked; see its log", client->path);
}

enum kvpbus_error kvpbus_client_send(struct kvpbus_client *client,
                                     const Kvpbus__Control__Request *request,
                                     struct kvpbus_failure *failure)
{
    size_t length = kvpbus__control__request__get_packed_size(request);
    if (length > KVPBUS_FRAME_MAX)
        return kvpbus_fail(failure, KVPBUS_TOO_LARGE, "an argument is too long");
    uint8_t *bytes = malloc(KVPBUS_FRAME_HEAD + length);
    if (bytes == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    kvpbus_frame_head(bytes, length);
    kvpbus__control__request__pack(request, bytes + KVPBUS_FRAME_HEAD);
    length += KVPBUS_FRAME_HEAD;
    size_t sent = 0;
    while (sent < length) {
        ssize_t written = send(client->socket, bytes + sent, length - sent, MSG_NOSIGNAL);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            break;
        sent += (size_t)written;
    }
    free(bytes);
    // What the service said before it closed is still there to be read.
    return sent == length || errno == EPIPE ? KVPBUS_OK : lost(client, failure);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static enum kvpbus_error fill(struct kvpbus_client *client, int64_t deadline,
                              struct kvpbus_failure *failure)
{
    for (;;) {
        int64_t left = deadline < 0 ? -1 : deadline - now_ms();
        if (deadline >= 0 && left < 0)
            left = 0;
        struct pollfd wait = {.fd = client->socket, .events = POLLIN};
        int ready = poll(&wait, 1, left > INT32_MAX ? INT32_MAX : (int)left);
        if (ready == 0 && deadline >= 0 && now_ms() >= deadline)
            return kvpbus_fail(failure, KVPBUS_TIMEOUT, "nothing came in time");
        if (ready <= 0)
            continue;
        ssize_t length = recv(client->socket, client->bytes, sizeof client->bytes, 0);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            return lost(client, failure);
        client->start = 0;
        client->end = (size_t)length;
        return KVPBUS_OK;
    }
}

enum kvpbus_error kvpbus_client_receive(struct kvpbus_client *client, int64_t timeout_ms,
                                        Kvpbus__Control__Response **response,
                                        struct kvpbus_failure *failure)
{
    int64_t deadline = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
    const uint8_t *frame = NULL;
    size_t length = 0, taken;
    while (frame == NULL) {
        enum kvpbus_error error = KVPBUS_OK;
        if (client->start == client->end)
            error = fill(client, deadline, failure);
        if (error != KVPBUS_OK)
            return error;
        if (kvpbus_frame_take(&client->reader, client->bytes + client->start,
                              client->end - client->start, &taken, &frame, &length) != KVPBUS_OK)
            return kvpbus_fail(failure, KVPBUS_PROTOCOL, "%s is not the socket of a kvpbus service",
                               client->path);
        client->start += taken;
    }
    *response = kvpbus__control__response__unpack(NULL, length, frame);
    kvpbus_frame_next(&client->reader);
    if (*response == NULL)
        return kvpbus_fail(failure, KVPBUS_PROTOCOL, "%s is not the socket of a kvpbus service",
                           client->path);
    if ((*response)->kind_case != KVPBUS__CONTROL__RESPONSE__KIND_FAILURE)
        return KVPBUS_OK;
    enum kvpbus_error code = (enum kvpbus_error)(*response)->failure->code;
    kvpbus_fail(failure, code, "%s", (*response)->failure->detail);
    kvpbus__control__response__free_unpacked(*response, NULL);
    *response = NULL;
    return code;
}
