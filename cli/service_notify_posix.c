// SPDX-License-Identifier: Apache-2.0
//
// The protocol is one datagram a message and stable by promise, so it is spoken here: libsystemd
// would bring three compressors and a second crypto library into a process that holds keys.
#include "service_notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "service.h"

struct kvpbus_notifier {
    struct kvpbus_service *service;
    struct sockaddr_un address;
    socklen_t length;
    uv_timer_t timer;
    struct kvpbus_job turn;
    bool turning;
};

// The datagram goes to a process that reads at once; one that is lost costs a sign of life, of
// which there are several to a deadline.
static void say(const struct kvpbus_notifier *notifier, const char *text)
{
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0 || sendto(descriptor, text, strlen(text), MSG_NOSIGNAL,
                                 (const struct sockaddr *)&notifier->address, notifier->length) < 0)
        kvpbus_log(KVPBUS_LOG_WARNING, "the service manager cannot be told %s: %s", text,
                   strerror(errno));
    if (descriptor >= 0)
        close(descriptor);
}

static bool set_address(struct kvpbus_notifier *notifier, const char *path)
{
    size_t length = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || length >= sizeof notifier->address.sun_path)
        return false;
    notifier->address.sun_family = AF_UNIX;
    memcpy(notifier->address.sun_path, path, length);
    if (path[0] == '@')
        notifier->address.sun_path[0] = '\0'; // a name that is not in the file system
    notifier->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return true;
}

// --- signs of life ---

static enum kvpbus_error turn_run(struct kvpbus_job *job, struct kvpbus_journal *journal)
{
    (void)job;
    (void)journal;
    return KVPBUS_OK;
}

static void turn_done(struct kvpbus_job *job)
{
    struct kvpbus_notifier *notifier =
        (struct kvpbus_notifier *)((char *)job - offsetof(struct kvpbus_notifier, turn));
    notifier->turning = false;
    notifier->service->calls--;
    say(notifier, "WATCHDOG=1");
}

static void on_timer(uv_timer_t *timer)
{
    struct kvpbus_notifier *notifier = timer->data;
    if (notifier->turning)
        return;
    notifier->turning = true;
    notifier->service->calls++;
    notifier->turn = (struct kvpbus_job){.run = turn_run, .done = turn_done};
    struct kvpbus_executor *executor = kvpbus_journal_thread_executor(notifier->service->journal);
    executor->submit(executor, &notifier->turn);
}

// The deadline in ms; 0: no watchdog, or one for another process.
static uint64_t watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (usec == NULL || (pid != NULL && strtoll(pid, NULL, 10) != (long long)getpid()))
        return 0;
    return strtoull(usec, NULL, 10) / 1000;
}

// --- life ---

struct kvpbus_notifier *kvpbus_notifier_start(struct kvpbus_service *service)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct kvpbus_notifier *notifier = path != NULL ? calloc(1, sizeof *notifier) : NULL;
    if (notifier == NULL)
        return NULL;
    if (!set_address(notifier, path)) {
        free(notifier);
        return NULL;
    }
    notifier->service = service;
    uv_timer_init(service->loop, &notifier->timer);
    notifier->timer.data = notifier;
    uint64_t deadline = watchdog_ms();
    if (deadline > 0)
        uv_timer_start(&notifier->timer, on_timer, 0, deadline / 3 + 1);
    uv_unref((uv_handle_t *)&notifier->timer);
    say(notifier, "READY=1");
    return notifier;
}

void kvpbus_notify_nothing_to_do(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct kvpbus_notifier notifier = {0};
    if (path != NULL && set_address(&notifier, path))
        say(&notifier, "READY=1");
}

// It sees the exit code.
void kvpbus_notify_cut_short(void)
{
}

void kvpbus_notifier_stopping(struct kvpbus_notifier *notifier)
{
    char text[64];
    if (notifier == NULL)
        return;
    // Its own time for a stop holds if that is longer.
    snprintf(text, sizeof text, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64,
             (uint64_t)(kvpbus_service_stops_within(notifier->service) + KVPBUS_STOP_MARGIN) *
                 1000);
    say(notifier, text);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void kvpbus_notifier_close(struct kvpbus_notifier *notifier)
{
    if (notifier != NULL)
        uv_close((uv_handle_t *)&notifier->timer, on_closed);
}
