// SPDX-License-Identifier: Apache-2.0
#include "control_server.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_client_state.h"

enum {
    CLIENTS_MAX = 64,
    // More than the answers to a message for KVPBUS_PEERS_MAX peers. What may be longer goes out in
    // steps, while no more than the second waits.
    UNSENT_MAX = 4 * 1024 * 1024,
    UNSENT_LOW = 256 * 1024,
    PROGRESS_EVERY = 250, // ms
};

// --- out ---

struct outgoing {
    uv_write_t write;
    struct control_client *client;
    size_t length;
    uint8_t bytes[];
};

static void on_written(uv_write_t *write, int status)
{
    struct outgoing *outgoing = write->data;
    outgoing->client->unsent -= outgoing->length;
    if (status < 0 || outgoing->client->refused)
        control_drop(outgoing->client);
    else
        control_go_on(outgoing->client);
    free(outgoing);
}

void control_go_on(struct control_client *client)
{
    while (client->request == CONTROL_ANSWERING && !client->closing &&
           client->unsent <= UNSENT_LOW && client->step(client))
        ;
}

void control_answer(struct control_client *client, control_step_fn *step)
{
    client->request = CONTROL_ANSWERING;
    client->step = step;
    control_go_on(client);
}

void control_respond(struct control_client *client, const Kvpbus__Control__Response *response)
{
    size_t length = kvpbus__control__response__get_packed_size(response);
    assert(length <= KVPBUS_FRAME_MAX);
    if (client->closing)
        return;
    if (client->unsent + length > UNSENT_MAX) {
        control_drop(client);
        return;
    }
    struct outgoing *outgoing = malloc(sizeof *outgoing + KVPBUS_FRAME_HEAD + length);
    if (outgoing == NULL) {
        control_drop(client);
        return;
    }
    outgoing->client = client;
    outgoing->length = KVPBUS_FRAME_HEAD + length;
    outgoing->write.data = outgoing;
    kvpbus_frame_head(outgoing->bytes, length);
    kvpbus__control__response__pack(response, outgoing->bytes + KVPBUS_FRAME_HEAD);
    uv_buf_t buffer = uv_buf_init((char *)outgoing->bytes, (unsigned)outgoing->length);
    client->unsent += outgoing->length;
    if (uv_write(&outgoing->write, (uv_stream_t *)&client->pipe, &buffer, 1, on_written) != 0) {
        client->unsent -= outgoing->length;
        free(outgoing);
        control_drop(client);
    }
}

void control_fail(struct control_client *client, enum kvpbus_error code, const char *detail)
{
    Kvpbus__Control__Failure failure = KVPBUS__CONTROL__FAILURE__INIT;
    Kvpbus__Control__Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    failure.code = (uint32_t)code;
    failure.detail = (char *)(detail[0] != '\0' ? detail : kvpbus_error_text(code));
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_FAILURE;
    response.failure = &failure;
    client->request = CONTROL_IDLE;
    control_respond(client, &response);
}

void control_done(struct control_client *client)
{
    control_done_with(client, 0);
}

void control_done_with(struct control_client *client, uint64_t count)
{
    Kvpbus__Control__Done done = KVPBUS__CONTROL__DONE__INIT;
    done.count = count;
    Kvpbus__Control__Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_DONE;
    response.done = &done;
    client->request = CONTROL_IDLE;
    control_respond(client, &response);
}

// --- clients ---

static void free_client(struct control_client *client)
{
    control_forget(client);
    free(client);
}

static void on_client_closed(uv_handle_t *handle)
{
    struct control_client *client = handle->data;
    client->server = NULL;
    if (client->jobs == 0)
        free_client(client);
}

void control_drop(struct control_client *client)
{
    if (client->closing)
        return;
    client->closing = true;
    *client->link = client->next;
    if (client->next != NULL)
        client->next->link = client->link;
    client->server->client_count -= !client->refused;
    // A message that was given and not acknowledged is the next client's.
    if (client->lease != 0)
        kvpbus_bus_nack(client->bus, client->lease, 0, "the client went away", NULL, NULL);
    uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

bool control_returned(struct control_client *client)
{
    assert(client->jobs > 0);
    client->jobs--;
    if (!client->closing)
        return true;
    if (client->jobs == 0 && client->server == NULL)
        free_client(client);
    return false;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    // Read in place of the loop's thread only, so one buffer serves all.
    static char bytes[KVPBUS_FRAME_CHUNK];
    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(bytes, sizeof bytes);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct control_client *client = stream->data;
    if (length < 0) {
        control_drop(client);
        return;
    }
    const uint8_t *bytes = (const uint8_t *)buffer->base;
    for (size_t left = (size_t)length, taken; left > 0 && !client->closing;
         bytes += taken, left -= taken) {
        const uint8_t *frame;
        size_t frame_length;
        if (kvpbus_frame_take(&client->reader, bytes, left, &taken, &frame, &frame_length) !=
            KVPBUS_OK) {
            control_fail(client, KVPBUS_PROTOCOL, "");
            control_drop(client);
            return;
        }
        if (frame == NULL)
            continue;
        control_request(client, frame, frame_length);
        kvpbus_frame_next(&client->reader);
    }
}

// It is not read from, so that this is the one thing it is told.
static void refuse(struct control_client *client)
{
    struct kvpbus_failure failure = {0};
    kvpbus_fail(
        &failure, KVPBUS_BUSY,
        "%d clients are served already, which is the most; end some that wait, like 'kvpbus "
        "recv' and 'kvpbus serve', or try again",
        CLIENTS_MAX);
    control_fail(client, failure.code, failure.detail);
}

static void on_waiting(void *context)
{
    struct kvpbus_control_server *server = context;
    struct control_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return;
    uv_pipe_init(server->service->loop, &client->pipe, 0);
    client->pipe.data = client;
    client->server = server;
    client->bus = server->service->bus;
    client->next = server->clients;
    client->link = &server->clients;
    if (client->next != NULL)
        client->next->link = &client->next;
    server->clients = client;
    client->refused = server->client_count == CLIENTS_MAX;
    server->client_count += !client->refused;
    bool taken = control_listener_take(server->listener, &client->pipe) == 0;
    if (taken && client->refused)
        refuse(client);
    else if (!taken || uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read) != 0)
        control_drop(client);
}

// --- the bus tells ---

void kvpbus_control_server_inbox(struct kvpbus_control_server *server)
{
    for (struct control_client *client = server->clients; client != NULL; client = client->next)
        if (client->request == CONTROL_RECEIVING)
            control_look_for_message(client);
}

void kvpbus_control_server_outcome(struct kvpbus_control_server *server, int64_t peer)
{
    for (struct control_client *client = server->clients; client != NULL; client = client->next)
        if (client->request == CONTROL_WAITING)
            control_look_for_outcome(client, peer);
        else if (client->request == CONTROL_RECEIVING && client->replies)
            control_look_for_message(client); // no reply may come any more
}

static void on_progress(uv_timer_t *timer)
{
    struct kvpbus_control_server *server = timer->data;
    for (struct control_client *client = server->clients, *next; client != NULL; client = next) {
        next = client->next;
        if (client->request == CONTROL_WAITING)
            control_say_progress(client);
        else if (client->request == CONTROL_RECEIVING)
            control_look_for_reply(client);
    }
}

// --- life ---

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

enum kvpbus_error kvpbus_control_server_open(struct kvpbus_service *service, const char *path,
                                             struct kvpbus_control_server **out,
                                             struct kvpbus_failure *failure)
{
    struct kvpbus_control_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    server->service = service;
    enum kvpbus_error error =
        control_listener_open(service->loop, path, on_waiting, server, &server->listener, failure);
    if (error != KVPBUS_OK) {
        free(server);
        return error;
    }
    uv_timer_init(service->loop, &server->progress);
    server->progress.data = server;
    uv_timer_start(&server->progress, on_progress, PROGRESS_EVERY, PROGRESS_EVERY);
    *out = server;
    return KVPBUS_OK;
}

void kvpbus_control_server_close(struct kvpbus_control_server *server)
{
    while (server->clients != NULL)
        control_drop(server->clients);
    control_listener_close(server->listener);
    uv_close((uv_handle_t *)&server->progress, on_timer_closed);
}
