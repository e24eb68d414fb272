// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "metrics.h"
#include "metrics_server.h"

enum {
    CONNECTIONS_MAX = 16,
    CONNECTION_MEMORY = 16 * 1024, // bytes of a request's head
    CONNECTION_TIMEOUT = 10,       // s
    BACKLOG = 16,
    SOCKET_MODE = 0660,
};

struct kvpbus_metrics_server {
    struct kvpbus_service *service;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    int handles; // of the two, not yet closed
    bool stopping;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; // of a Unix socket, else ""
};

// One request that waits for its figures.
struct scrape {
    struct kvpbus_metrics_server *server;
    struct MHD_Connection *connection;
    char *text;
    size_t length;
};

// --- addresses ---

union address {
    struct sockaddr any;
    struct sockaddr_un local;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

static bool parse_port(const char *text, in_port_t *port)
{
    char *end;
    if (text[0] < '1' || text[0] > '9')
        return false;
    long number = strtol(text, &end, 10);
    *port = htons((uint16_t)number);
    return *end == '\0' && number <= UINT16_MAX;
}

static bool parse_local(const char *path, union address *address, socklen_t *length)
{
    if (path[0] != '/' || strlen(path) >= sizeof address->local.sun_path)
        return false;
    address->local.sun_family = AF_UNIX;
    strcpy(address->local.sun_path, path);
    *length = sizeof address->local;
    return true;
}

// Figures are nobody's business beyond this machine: what should leave it goes through something
// that authenticates whoever asks.
static bool parse(const char *text, union address *address, socklen_t *length)
{
    char host[INET6_ADDRSTRLEN + 2];
    const char *colon = strrchr(text, ':');
    memset(address, 0, sizeof *address);
    if (strncmp(text, "unix:", 5) == 0)
        return parse_local(text + 5, address, length);
    if (colon == NULL || (size_t)(colon - text) >= sizeof host)
        return false;
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    if (strcmp(host, "[::1]") == 0) {
        address->six.sin6_family = AF_INET6;
        address->six.sin6_addr = in6addr_loopback;
        *length = sizeof address->six;
        return parse_port(colon + 1, &address->six.sin6_port);
    }
    address->four.sin_family = AF_INET;
    *length = sizeof address->four;
    return inet_pton(AF_INET, host, &address->four.sin_addr) == 1 &&
           ntohl(address->four.sin_addr.s_addr) >> 24 == 127 &&
           parse_port(colon + 1, &address->four.sin_port);
}

bool kvpbus_metrics_address_valid(const char *text)
{
    union address address;
    socklen_t length;
    return parse(text, &address, &length);
}

// --- requests ---

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *text)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_figures(struct scrape *scrape)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(scrape->length, scrape->text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        return MHD_NO;
    scrape->text = NULL; // it is the response's now
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                            "text/plain; version=0.0.4; charset=utf-8");
    enum MHD_Result result = MHD_queue_response(scrape->connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static void on_timer(uv_timer_t *timer);

static void on_gathered(void *context, char *text, size_t length)
{
    struct scrape *scrape = context;
    scrape->text = text;
    scrape->length = length;
    MHD_resume_connection(scrape->connection);
    uv_timer_start(&scrape->server->timer, on_timer, 0, 0);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_length, void **kept)
{
    struct kvpbus_metrics_server *server = context;
    struct scrape *scrape = *kept;
    (void)version;
    (void)upload;
    if (scrape != NULL)
        return scrape->text != NULL ? answer_figures(scrape) : MHD_NO;
    *upload_length = 0;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
    if (strcmp(url, "/metrics") != 0)
        return answer(connection, MHD_HTTP_NOT_FOUND, "there is only /metrics\n");
    if (server->stopping)
        return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "the service stops\n");
    scrape = calloc(1, sizeof *scrape);
    if (scrape == NULL)
        return MHD_NO;
    scrape->server = server;
    scrape->connection = connection;
    *kept = scrape;
    MHD_suspend_connection(connection);
    kvpbus_metrics_gather(server->service, on_gathered, scrape);
    return MHD_YES;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **kept,
                         enum MHD_RequestTerminationCode code)
{
    struct scrape *scrape = *kept;
    (void)context;
    (void)connection;
    (void)code;
    if (scrape != NULL)
        free(scrape->text);
    free(scrape);
    *kept = NULL;
}

// --- the loop ---

static void run(struct kvpbus_metrics_server *server)
{
    MHD_UNSIGNED_LONG_LONG timeout;
    MHD_run(server->daemon);
    if (MHD_get_timeout(server->daemon, &timeout) == MHD_YES)
        uv_timer_start(&server->timer, on_timer, timeout, 0);
    else
        uv_timer_stop(&server->timer);
}

static void on_timer(uv_timer_t *timer)
{
    run(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run(poll->data);
}

// --- life ---

static int listen_at(struct kvpbus_metrics_server *server, const char *text)
{
    union address address;
    socklen_t length = 0;
    int on = 1;
    struct stat status;
    if (!parse(text, &address, &length)) {
        errno = EINVAL;
        return -1;
    }
    int descriptor = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return -1;
    bool local = address.any.sa_family == AF_UNIX;
    if (local && lstat(address.local.sun_path, &status) == 0 && S_ISSOCK(status.st_mode))
        unlink(address.local.sun_path); // left over: the state folder's lock is ours
    if (!local)
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    mode_t before = umask(0777 & ~SOCKET_MODE);
    int bound = bind(descriptor, &address.any, length);
    umask(before);
    if (bound != 0 || listen(descriptor, BACKLOG) != 0) {
        int number = errno;
        close(descriptor);
        errno = number;
        return -1;
    }
    if (local)
        strcpy(server->path, address.local.sun_path);
    return descriptor;
}

enum kvpbus_error kvpbus_metrics_server_open(struct kvpbus_service *service, const char *address,
                                             struct kvpbus_metrics_server **out,
                                             struct kvpbus_failure *failure)
{
    struct kvpbus_metrics_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    server->service = service;
    int descriptor = listen_at(server, address);
    if (descriptor < 0) {
        kvpbus_fail(failure, KVPBUS_IO, "no metrics at %s: %s", address, strerror(errno));
        free(server);
        return KVPBUS_IO;
    }
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, server,
        MHD_OPTION_LISTEN_SOCKET, descriptor, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)CONNECTION_TIMEOUT, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_END);
    if (server->daemon == NULL) {
        close(descriptor);
        free(server);
        return kvpbus_fail(failure, KVPBUS_IO, "no metrics at %s: the server does not start",
                           address);
    }
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    uv_timer_init(service->loop, &server->timer);
    uv_poll_init(service->loop, &server->poll, info->epoll_fd);
    server->poll.data = server->timer.data = server;
    uv_poll_start(&server->poll, UV_READABLE, on_readable);
    uv_unref((uv_handle_t *)&server->poll);
    uv_unref((uv_handle_t *)&server->timer);
    server->handles = 2;
    *out = server;
    return KVPBUS_OK;
}

void kvpbus_metrics_server_stopping(struct kvpbus_metrics_server *server)
{
    if (server != NULL)
        server->stopping = true;
}

static void on_closed(uv_handle_t *handle)
{
    struct kvpbus_metrics_server *server = handle->data;
    if (--server->handles == 0)
        free(server);
}

void kvpbus_metrics_server_close(struct kvpbus_metrics_server *server)
{
    if (server == NULL)
        return;
    MHD_run(server->daemon); // what was resumed last goes on, so that nothing is suspended now
    uv_poll_stop(&server->poll);
    MHD_stop_daemon(server->daemon);
    if (server->path[0] != '\0')
        unlink(server->path);
    uv_close((uv_handle_t *)&server->poll, on_closed);
    uv_close((uv_handle_t *)&server->timer, on_closed);
}
