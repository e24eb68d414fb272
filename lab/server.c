// SPDX-License-Identifier: Apache-2.0
//
// The sockets of the management API: accepts connections, cuts the bytes into frames, and lets each
// connection have one request at a time.
#include "server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest_service.h"

enum { HEADER = 4, INPUT_FIRST = 4096 };

struct kvpbus_lab_server {
    uv_pipe_t listener;
    uv_tcp_t tcp_listener; // with the option tcp
    char path[sizeof((struct sockaddr_un *)NULL)->sun_path];
    char port_file[PATH_MAX + 16];
    unsigned port;
    struct kvpbus_lab_connection *connections[KVPBUS_LAB_CONNECTIONS_MAX];
};

struct output {
    uv_write_t write;
    uv_buf_t buffer;
};

static void next_request(struct kvpbus_lab_connection *connection);

static void on_handle_closed(uv_handle_t *handle)
{
    struct kvpbus_lab_connection *connection = handle->data;
    connection->handles--;
    kvpbus_lab_connection_release(connection);
}

void kvpbus_lab_hang_up(struct kvpbus_lab_connection *connection)
{
    struct kvpbus_lab_server *server = connection->lab->server;
    if (connection->closed)
        return;
    connection->closed = true;
    if (connection->guest != NULL)
        kvpbus_lab_guest_closed(connection);
    for (size_t i = 0; i < KVPBUS_LAB_CONNECTIONS_MAX; i++)
        if (server->connections[i] == connection)
            server->connections[i] = NULL;
    uv_close((uv_handle_t *)&connection->channel, on_handle_closed);
    uv_close((uv_handle_t *)&connection->timer, on_handle_closed);
}

void kvpbus_lab_connection_release(struct kvpbus_lab_connection *connection)
{
    if (!connection->closed || connection->handles > 0 || connection->reads > 0)
        return;
    if (connection->request != NULL)
        kvpbus__lab__request__free_unpacked(connection->request, NULL);
    free(connection->input);
    free(connection);
}

static void on_written(uv_write_t *write, int status)
{
    struct output *output = (struct output *)write;
    if (status != 0)
        kvpbus_lab_hang_up(write->data);
    free(output->buffer.base);
    free(output);
}

bool kvpbus_lab_send(struct kvpbus_lab_connection *connection, const Kvpbus__Lab__Reply *reply)
{
    size_t length = kvpbus__lab__reply__get_packed_size(reply);
    assert(length <= KVPBUS_LAB_REPLY_MAX);
    struct output *output = calloc(1, sizeof *output);
    uint8_t *bytes = malloc(HEADER + length);
    if (output == NULL || bytes == NULL) {
        free(output);
        free(bytes);
        return false;
    }
    for (size_t i = 0; i < HEADER; i++)
        bytes[i] = (uint8_t)(length >> (8 * (HEADER - 1 - i)));
    kvpbus__lab__reply__pack(reply, bytes + HEADER);
    output->buffer = uv_buf_init((char *)bytes, (unsigned)(HEADER + length));
    output->write.data = connection;
    if (uv_write(&output->write, &connection->channel.stream, &output->buffer, 1, on_written) == 0)
        return true;
    free(bytes);
    free(output);
    return false;
}

void kvpbus_lab_reply(struct kvpbus_lab_connection *connection, Kvpbus__Lab__Reply *reply,
                      bool more)
{
    if (connection->closed)
        return;
    reply->more = more;
    reply->incarnation = connection->lab->incarnation;
    if (!kvpbus_lab_send(connection, reply)) {
        kvpbus_lab_hang_up(connection);
        return;
    }
    if (!more)
        kvpbus_lab_request_done(connection);
}

void kvpbus_lab_request_done(struct kvpbus_lab_connection *connection)
{
    connection->wait = KVPBUS_LAB_WAIT_NOTHING;
    uv_timer_stop(&connection->timer);
    if (connection->request != NULL)
        kvpbus__lab__request__free_unpacked(connection->request, NULL);
    connection->request = NULL;
    next_request(connection);
}

void kvpbus_lab_reply_error(struct kvpbus_lab_connection *connection, enum kvpbus_error error,
                            const char *detail)
{
    Kvpbus__Lab__Reply reply = KVPBUS__LAB__REPLY__INIT;
    reply.error = (uint32_t)error;
    reply.detail = (char *)detail;
    kvpbus_lab_reply(connection, &reply, false);
}

// Says why, and hangs up: what follows on this connection cannot be understood.
static void refuse(struct kvpbus_lab_connection *connection, const char *why)
{
    Kvpbus__Lab__Reply reply = KVPBUS__LAB__REPLY__INIT;
    reply.error = KVPBUS_PROTOCOL;
    reply.detail = (char *)why;
    kvpbus_lab_send(connection, &reply);
    uv_read_stop(&connection->channel.stream);
    // The frame fits into the socket's buffer, so that closing does not lose it.
    kvpbus_lab_hang_up(connection);
}

static void on_latency(uv_timer_t *timer)
{
    kvpbus_lab_request_begin(timer->data);
}

// A timer also without latency, so that a client with many requests waiting is not served at the
// cost of the others, nor by recursion.
static void begin(struct kvpbus_lab_connection *connection)
{
    struct kvpbus_lab *lab = connection->lab;
    uint64_t latency = connection->guest != NULL
                           ? 0
                           : lab->options.latency_ms + kvpbus_lab_request_latency(connection);
    uv_timer_start(&connection->timer, on_latency, latency, 0);
}

static void next_request(struct kvpbus_lab_connection *connection)
{
    if (connection->closed || connection->request != NULL || connection->input_length < HEADER)
        return;
    const uint8_t *input = connection->input;
    size_t length =
        (size_t)input[0] << 24 | (size_t)input[1] << 16 | (size_t)input[2] << 8 | (size_t)input[3];
    if (length > KVPBUS_LAB_REQUEST_MAX) {
        refuse(connection, "the request is longer than 512 KiB");
        return;
    }
    if (connection->input_length < HEADER + length)
        return;
    connection->request = kvpbus__lab__request__unpack(NULL, length, input + HEADER);
    connection->input_length -= HEADER + length;
    memmove(connection->input, input + HEADER + length, connection->input_length);
    if (connection->request == NULL)
        refuse(connection, "the request is not one of this API");
    else
        begin(connection);
}

// Room for what is to come: one request and a little of the next.
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct kvpbus_lab_connection *connection = handle->data;
    (void)suggested;
    *buffer = uv_buf_init(NULL, 0);
    if (connection->input_length == connection->input_capacity) {
        size_t capacity =
            connection->input_capacity == 0 ? INPUT_FIRST : connection->input_capacity * 2;
        if (capacity > 2 * KVPBUS_LAB_REQUEST_MAX)
            return;
        uint8_t *input = realloc(connection->input, capacity);
        if (input == NULL)
            return;
        connection->input = input;
        connection->input_capacity = capacity;
    }
    *buffer = uv_buf_init((char *)connection->input + connection->input_length,
                          (unsigned)(connection->input_capacity - connection->input_length));
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct kvpbus_lab_connection *connection = stream->data;
    (void)buffer;
    if (length < 0) {
        kvpbus_lab_hang_up(connection);
        return;
    }
    connection->input_length += (size_t)length;
    next_request(connection);
}

static struct kvpbus_lab_connection **free_slot(struct kvpbus_lab_server *server)
{
    for (size_t i = 0; i < KVPBUS_LAB_CONNECTIONS_MAX; i++)
        if (server->connections[i] == NULL)
            return &server->connections[i];
    return NULL;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct kvpbus_lab *lab = listener->data;
    if (status != 0)
        return;
    struct kvpbus_lab_connection *connection = calloc(1, sizeof *connection);
    struct kvpbus_lab_connection **slot = free_slot(lab->server);
    if (connection == NULL) {
        kvpbus_lab_log(NULL, "a connection is lost: out of memory");
        return;
    }
    connection->lab = lab;
    connection->handles = 2;
    if (listener->type == UV_TCP) {
        uv_tcp_init(lab->loop, &connection->channel.tcp);
        // Requests and replies are small and wait for each other.
        uv_tcp_nodelay(&connection->channel.tcp, 1);
    } else {
        uv_pipe_init(lab->loop, &connection->channel.pipe, 0);
    }
    uv_timer_init(lab->loop, &connection->timer);
    connection->channel.stream.data = connection;
    connection->timer.data = connection;
    if (uv_accept(listener, &connection->channel.stream) != 0 || slot == NULL) {
        kvpbus_lab_hang_up(connection);
        return;
    }
    *slot = connection;
    uv_read_start(&connection->channel.stream, on_alloc, on_read);
}

// In one step, so that who finds the file finds the whole number.
static enum kvpbus_error write_port(const char *path, unsigned port, struct kvpbus_failure *failure)
{
    char next[PATH_MAX + 32];
    snprintf(next, sizeof next, "%s.new", path);
    FILE *file = fopen(next, "we");
    bool written = file != NULL && fprintf(file, "%u\n", port) > 0;
    if (file != NULL)
        written = fclose(file) == 0 && written;
    if (written && rename(next, path) == 0)
        return KVPBUS_OK;
    int error = errno;
    unlink(next);
    return kvpbus_fail(failure, KVPBUS_IO, "cannot write %s: %s", path, strerror(error));
}

// Programs under Wine have no Unix sockets: for them the same API is on the loopback, which every
// user of the machine reaches.
static enum kvpbus_error listen_tcp(struct kvpbus_lab *lab, struct kvpbus_failure *failure)
{
    struct kvpbus_lab_server *server = lab->server;
    struct sockaddr_in address = {.sin_family = AF_INET};
    int size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int status = uv_tcp_bind(&server->tcp_listener, (const struct sockaddr *)&address, 0);
    if (status == 0)
        status = uv_listen((uv_stream_t *)&server->tcp_listener, 64, on_connection);
    if (status == 0)
        status = uv_tcp_getsockname(&server->tcp_listener, (struct sockaddr *)&address, &size);
    if (status != 0)
        return kvpbus_fail(failure, KVPBUS_IO, "cannot listen on 127.0.0.1: %s",
                           uv_strerror(status));
    server->port = ntohs(address.sin_port);
    return write_port(server->port_file, server->port, failure);
}

enum kvpbus_error kvpbus_lab_server_open(struct kvpbus_lab *lab, const char *socket_path,
                                         struct kvpbus_failure *failure)
{
    struct kvpbus_lab_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "opening %s", socket_path);
    lab->server = server;
    uv_pipe_init(lab->loop, &server->listener, 0);
    uv_tcp_init(lab->loop, &server->tcp_listener);
    server->listener.data = lab;
    server->tcp_listener.data = lab;
    if (strlen(socket_path) >= sizeof server->path)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "the path %s is too long for a socket: choose a shorter folder",
                           socket_path);
    memcpy(server->path, socket_path, strlen(socket_path) + 1);
    snprintf(server->port_file, sizeof server->port_file, "%s/host.port", lab->options.directory);
    // Left by a lab that was killed; the caller holds the lock of the folder.
    unlink(socket_path);
    unlink(server->port_file);
    // The owner's alone, from the moment at which it is there.
    mode_t mask = umask(0077);
    int status = uv_pipe_bind(&server->listener, socket_path);
    umask(mask);
    if (status == 0)
        status = uv_listen((uv_stream_t *)&server->listener, 64, on_connection);
    if (status != 0)
        return kvpbus_fail(failure, KVPBUS_IO, "cannot listen on %s: %s", socket_path,
                           uv_strerror(status));
    return lab->options.tcp ? listen_tcp(lab, failure) : KVPBUS_OK;
}

unsigned kvpbus_lab_server_port(const struct kvpbus_lab *lab)
{
    return lab->server->port;
}

void kvpbus_lab_server_close(struct kvpbus_lab *lab)
{
    struct kvpbus_lab_server *server = lab->server;
    if (server == NULL || uv_is_closing((uv_handle_t *)&server->listener))
        return;
    for (size_t i = 0; i < KVPBUS_LAB_CONNECTIONS_MAX; i++)
        if (server->connections[i] != NULL)
            kvpbus_lab_hang_up(server->connections[i]);
    uv_close((uv_handle_t *)&server->listener, NULL);
    uv_close((uv_handle_t *)&server->tcp_listener, NULL);
    unlink(server->path);
    unlink(server->port_file);
}

void kvpbus_lab_server_free(struct kvpbus_lab *lab)
{
    free(lab->server);
    lab->server = NULL;
}

void kvpbus_lab_server_job_ended(struct kvpbus_lab *lab, uint64_t job)
{
    for (size_t i = 0; lab->server != NULL && i < KVPBUS_LAB_CONNECTIONS_MAX; i++) {
        struct kvpbus_lab_connection *connection = lab->server->connections[i];
        if (connection != NULL && connection->wait == KVPBUS_LAB_WAIT_JOB &&
            connection->wait_job == job)
            kvpbus_lab_request_job_ended(connection);
    }
}

void kvpbus_lab_server_vm_changed(struct kvpbus_lab *lab, struct kvpbus_lab_vm *vm)
{
    for (size_t i = 0; lab->server != NULL && i < KVPBUS_LAB_CONNECTIONS_MAX; i++) {
        struct kvpbus_lab_connection *connection = lab->server->connections[i];
        if (connection != NULL && connection->wait == KVPBUS_LAB_WAIT_VM &&
            connection->wait_vm == vm)
            kvpbus_lab_request_vm_changed(connection);
    }
}
