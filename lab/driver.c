// SPDX-License-Identifier: Apache-2.0
#include "driver.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_TIMEOUT_MS = 30000 };

static const char driver_version[] = "3.1";

struct kvpbus_lab_device {
    uv_poll_t poll;
    int fd;
    bool registered;
};

static void send_next(struct kvpbus_lab_driver *driver);

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void free_device(uv_handle_t *handle)
{
    struct kvpbus_lab_device *device = (struct kvpbus_lab_device *)handle;
    close(device->fd);
    free(device);
}

// Takes the first request off the queue and tells its owner, who may submit it again at once.
static void finish_head(struct kvpbus_lab_driver *driver, uint32_t status)
{
    struct kvpbus_lab_request *request = driver->head;
    assert(request != NULL);
    driver->head = request->next;
    if (driver->head == NULL)
        driver->tail = NULL;
    driver->in_flight = false;
    uv_timer_stop(driver->timer);
    request->next = NULL;
    request->done(request, status);
}

static void drop_device(struct kvpbus_lab_driver *driver)
{
    struct kvpbus_lab_device *device = driver->device;
    if (device == NULL)
        return;
    bool registered = device->registered;
    driver->device = NULL;
    driver->stale = 0;
    uv_poll_stop(&device->poll);
    uv_close((uv_handle_t *)&device->poll, free_device);
    // Nothing new can be queued meanwhile, since no device is connected.
    while (driver->head != NULL)
        finish_head(driver, HV_E_FAIL);
    if (registered)
        driver->events.lost(driver->events.context);
}

static void on_timeout(uv_timer_t *timer)
{
    struct kvpbus_lab_driver *driver = timer->data;
    assert(driver->in_flight);
    driver->stale++;
    finish_head(driver, HV_E_FAIL);
    send_next(driver);
}

static bool transmit(struct kvpbus_lab_driver *driver, const struct hv_kvp_msg *message)
{
    ssize_t sent;
    do
        sent = send(driver->device->fd, message, sizeof *message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof *message;
}

static void send_next(struct kvpbus_lab_driver *driver)
{
    if (driver->in_flight || driver->frozen || driver->head == NULL || driver->device == NULL)
        return;
    if (!transmit(driver, &driver->head->message)) {
        drop_device(driver);
        return;
    }
    driver->in_flight = true;
    uv_timer_start(driver->timer, on_timeout, ANSWER_TIMEOUT_MS, 0);
}

static void on_registration(struct kvpbus_lab_driver *driver, const struct hv_kvp_msg *message)
{
    if (message->kvp_hdr.operation != KVP_OP_REGISTER1) {
        drop_device(driver);
        return;
    }
    struct hv_kvp_msg answer = {.kvp_hdr = {.operation = KVP_OP_REGISTER1}};
    memcpy(answer.body.kvp_register.version, driver_version, sizeof driver_version);
    if (!transmit(driver, &answer)) {
        drop_device(driver);
        return;
    }
    driver->device->registered = true;
    driver->events.connected(driver->events.context);
}

static void on_answer(struct kvpbus_lab_driver *driver, const struct hv_kvp_msg *message)
{
    if (driver->stale > 0) {
        driver->stale--;
        return;
    }
    if (!driver->in_flight)
        return;
    driver->head->message = *message;
    finish_head(driver, (uint32_t)message->error);
    send_next(driver);
}

static void on_device(uv_poll_t *poll, int status, int events)
{
    struct kvpbus_lab_driver *driver = poll->data;
    (void)events;
    struct hv_kvp_msg message;
    ssize_t length =
        status == 0 ? recv(driver->device->fd, &message, sizeof message, MSG_DONTWAIT) : -1;
    if (length < 0 && status == 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length != (ssize_t)sizeof message)
        drop_device(driver);
    else if (!driver->device->registered)
        on_registration(driver, &message);
    else
        on_answer(driver, &message);
}

static void on_listener(uv_poll_t *poll, int status, int events)
{
    struct kvpbus_lab_driver *driver = poll->data;
    (void)events;
    int fd = status == 0 ? accept4(driver->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
    if (fd < 0)
        return;
    // The driver's device has one opener: a second one is refused.
    struct kvpbus_lab_device *device = driver->device == NULL ? calloc(1, sizeof *device) : NULL;
    if (device == NULL) {
        close(fd);
        return;
    }
    device->fd = fd;
    if (uv_poll_init(driver->loop, &device->poll, fd) != 0) {
        close(fd);
        free(device);
        return;
    }
    device->poll.data = driver;
    driver->device = device;
    uv_poll_start(&device->poll, UV_READABLE, on_device);
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

enum kvpbus_error kvpbus_lab_driver_open(struct kvpbus_lab_driver *driver, uv_loop_t *loop,
                                         const char *socket_path,
                                         struct kvpbus_lab_driver_events events,
                                         struct kvpbus_failure *failure)
{
    *driver = (struct kvpbus_lab_driver){.loop = loop, .events = events, .listener = -1};
    int fd = listen_at(socket_path);
    if (fd < 0)
        return kvpbus_fail(failure, KVPBUS_IO, "cannot listen on %s: %s", socket_path,
                           strerror(errno));
    uv_poll_t *poll = calloc(1, sizeof *poll);
    uv_timer_t *timer = calloc(1, sizeof *timer);
    if (poll == NULL || timer == NULL || uv_poll_init(loop, poll, fd) != 0) {
        free(poll);
        free(timer);
        close(fd);
        return kvpbus_fail(failure, KVPBUS_NOMEM, "listening on %s", socket_path);
    }
    uv_timer_init(loop, timer);
    timer->data = driver;
    poll->data = driver;
    driver->listener = fd;
    driver->listener_poll = poll;
    driver->timer = timer;
    uv_poll_start(poll, UV_READABLE, on_listener);
    return KVPBUS_OK;
}

void kvpbus_lab_driver_close(struct kvpbus_lab_driver *driver)
{
    if (driver->listener_poll == NULL)
        return;
    drop_device(driver);
    uv_poll_stop(driver->listener_poll);
    uv_close((uv_handle_t *)driver->listener_poll, free_handle);
    uv_close((uv_handle_t *)driver->timer, free_handle);
    close(driver->listener);
    driver->listener_poll = NULL;
    driver->timer = NULL;
    driver->listener = -1;
}

void kvpbus_lab_driver_reset(struct kvpbus_lab_driver *driver)
{
    drop_device(driver);
    driver->frozen = false;
}

bool kvpbus_lab_driver_connected(const struct kvpbus_lab_driver *driver)
{
    return driver->device != NULL && driver->device->registered;
}

bool kvpbus_lab_driver_busy(const struct kvpbus_lab_driver *driver)
{
    return driver->in_flight;
}

bool kvpbus_lab_driver_submit(struct kvpbus_lab_driver *driver, struct kvpbus_lab_request *request)
{
    assert(request->next == NULL && request->done != NULL && request != driver->tail);
    if (!kvpbus_lab_driver_connected(driver))
        return false;
    if (driver->tail != NULL)
        driver->tail->next = request;
    else
        driver->head = request;
    driver->tail = request;
    send_next(driver);
    return true;
}

void kvpbus_lab_driver_freeze(struct kvpbus_lab_driver *driver, bool frozen)
{
    driver->frozen = frozen;
    if (frozen)
        uv_timer_stop(driver->timer);
    else if (driver->in_flight)
        uv_timer_start(driver->timer, on_timeout, ANSWER_TIMEOUT_MS, 0);
    else
        send_next(driver);
}
