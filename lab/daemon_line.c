// SPDX-License-Identifier: Apache-2.0
#include "daemon_line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "message.h"

static const char driver_version[] = "3.1";

struct kvpbus_lab_daemon {
    struct kvpbus_lab_device device;
    struct kvpbus_lab_daemon_line *line;
    uv_poll_t poll;
    int fd;
    bool registered;
    bool enumerates; // the request that it has
};

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void free_daemon(uv_handle_t *handle)
{
    struct kvpbus_lab_daemon *daemon = handle->data;
    close(daemon->fd);
    free(daemon);
}

static void hang_up(struct kvpbus_lab_device *device)
{
    struct kvpbus_lab_daemon *daemon = (struct kvpbus_lab_daemon *)device;
    daemon->line->daemon = NULL;
    uv_poll_stop(&daemon->poll);
    uv_close((uv_handle_t *)&daemon->poll, free_daemon);
}

static void lose(struct kvpbus_lab_daemon *daemon)
{
    if (daemon->registered)
        kvpbus_lab_driver_drop(daemon->line->driver);
    else
        hang_up(&daemon->device);
}

static bool transmit(const struct kvpbus_lab_daemon *daemon, const struct hv_kvp_msg *message)
{
    ssize_t sent;
    do
        sent = send(daemon->fd, message, sizeof *message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof *message;
}

static bool send_request(struct kvpbus_lab_device *device, const struct kvpbus_lab_request *request)
{
    struct kvpbus_lab_daemon *daemon = (struct kvpbus_lab_daemon *)device;
    static struct hv_kvp_msg message; // what is not set in it is of no request
    kvpbus_lab_message_make(&message, request);
    daemon->enumerates = request->operation == KVP_OP_ENUMERATE;
    return transmit(daemon, &message);
}

static void on_registration(struct kvpbus_lab_daemon *daemon, const struct hv_kvp_msg *message)
{
    struct hv_kvp_msg answer = {.kvp_hdr = {.operation = KVP_OP_REGISTER1}};
    memcpy(answer.body.kvp_register.version, driver_version, sizeof driver_version);
    if (message->kvp_hdr.operation != KVP_OP_REGISTER1 || !transmit(daemon, &answer)) {
        lose(daemon);
        return;
    }
    daemon->registered = kvpbus_lab_driver_attach(daemon->line->driver, &daemon->device);
    if (!daemon->registered)
        lose(daemon);
}

// What is not UTF-8 the kernel tells the host as a failure (fact sheet part 1).
static void on_answer(struct kvpbus_lab_daemon *daemon, const struct hv_kvp_msg *message)
{
    struct kvpbus_lab_item item;
    uint32_t status = (uint32_t)message->error;
    bool has_item = daemon->enumerates && status == HV_S_OK;
    if (has_item && !kvpbus_lab_message_item(message, &item)) {
        has_item = false;
        status = HV_E_FAIL;
    }
    kvpbus_lab_driver_answer(daemon->line->driver, status, has_item ? &item : NULL);
}

static void on_device(uv_poll_t *poll, int status, int events)
{
    struct kvpbus_lab_daemon *daemon = poll->data;
    (void)events;
    struct hv_kvp_msg message;
    ssize_t length = status == 0 ? recv(daemon->fd, &message, sizeof message, MSG_DONTWAIT) : -1;
    if (length < 0 && status == 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length != (ssize_t)sizeof message)
        lose(daemon);
    else if (!daemon->registered)
        on_registration(daemon, &message);
    else
        on_answer(daemon, &message);
}

static void on_listener(uv_poll_t *poll, int status, int events)
{
    struct kvpbus_lab_daemon_line *line = poll->data;
    (void)events;
    int fd = status == 0 ? accept4(line->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
    if (fd < 0)
        return;
    // The driver's device has one opener: a second one is refused.
    struct kvpbus_lab_daemon *daemon = line->daemon == NULL ? calloc(1, sizeof *daemon) : NULL;
    if (daemon == NULL) {
        close(fd);
        return;
    }
    daemon->device.send = send_request;
    daemon->device.drop = hang_up;
    daemon->line = line;
    daemon->fd = fd;
    if (uv_poll_init(line->loop, &daemon->poll, fd) != 0) {
        close(fd);
        free(daemon);
        return;
    }
    daemon->poll.data = daemon;
    line->daemon = daemon;
    uv_poll_start(&daemon->poll, UV_READABLE, on_device);
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    unlink(path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

enum kvpbus_error kvpbus_lab_daemon_line_open(struct kvpbus_lab_daemon_line *line, uv_loop_t *loop,
                                              const char *socket_path,
                                              struct kvpbus_lab_driver *driver,
                                              struct kvpbus_failure *failure)
{
    *line = (struct kvpbus_lab_daemon_line){.loop = loop, .driver = driver, .listener = -1};
    int fd = listen_at(socket_path);
    if (fd < 0)
        return kvpbus_fail(failure, KVPBUS_IO, "cannot listen on %s: %s", socket_path,
                           strerror(errno));
    uv_poll_t *poll = calloc(1, sizeof *poll);
    if (poll == NULL || uv_poll_init(loop, poll, fd) != 0) {
        free(poll);
        close(fd);
        return kvpbus_fail(failure, KVPBUS_NOMEM, "listening on %s", socket_path);
    }
    poll->data = line;
    line->listener = fd;
    line->listener_poll = poll;
    uv_poll_start(poll, UV_READABLE, on_listener);
    return KVPBUS_OK;
}

void kvpbus_lab_daemon_line_reset(struct kvpbus_lab_daemon_line *line)
{
    if (line->daemon != NULL)
        lose(line->daemon);
}

void kvpbus_lab_daemon_line_close(struct kvpbus_lab_daemon_line *line)
{
    if (line->listener_poll == NULL)
        return;
    kvpbus_lab_daemon_line_reset(line);
    uv_poll_stop(line->listener_poll);
    uv_close((uv_handle_t *)line->listener_poll, free_handle);
    close(line->listener);
    line->listener_poll = NULL;
    line->listener = -1;
}
