// SPDX-License-Identifier: Apache-2.0
#include "fake_service.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "frame.h"

struct kvpbus_client *client;
struct kvpbus_failure failure;
struct kvpbus_client_event event;
char fake_path[64];

static char folder[32];
static int listener = -1, connection = -1;
static struct kvpbus_frame_reader reader;
static uint8_t bytes[KVPBUS_FRAME_CHUNK];
static size_t start, end;
static Request *heard;

void fake_begin(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(folder, "/tmp/kvpbus-client-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(fake_path, sizeof fake_path, "%s/socket", folder);
    strcpy(address.sun_path, fake_path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(listener, 4), 0);
    cr_assert_eq(kvpbus_client_open(fake_path, &client, &failure), KVPBUS_OK, "%s", failure.detail);
    fake_accept();
}

void fake_end(void)
{
    kvpbus_client_close(client);
    fake_hang_up();
    close(listener);
    unlink(fake_path);
    rmdir(folder);
    if (heard != NULL)
        kvpbus__control__request__free_unpacked(heard, NULL);
    heard = NULL;
}

void fake_accept(void)
{
    fake_hang_up();
    connection = accept(listener, NULL, NULL);
    cr_assert_geq(connection, 0);
    memset(&reader, 0, sizeof reader);
    start = end = 0;
}

void fake_hang_up(void)
{
    if (connection >= 0)
        close(connection);
    connection = -1;
}

const Request *fake_hears(void)
{
    const uint8_t *frame = NULL;
    size_t length = 0, taken;
    while (frame == NULL) {
        if (start == end) {
            ssize_t got = recv(connection, bytes, sizeof bytes, MSG_DONTWAIT);
            cr_assert_gt(got, 0, "the client has said nothing more");
            start = 0;
            end = (size_t)got;
        }
        cr_assert_eq(
            kvpbus_frame_take(&reader, bytes + start, end - start, &taken, &frame, &length),
            KVPBUS_OK);
        start += taken;
    }
    if (heard != NULL)
        kvpbus__control__request__free_unpacked(heard, NULL);
    heard = kvpbus__control__request__unpack(NULL, length, frame);
    cr_assert_not_null(heard);
    kvpbus_frame_next(&reader);
    return heard;
}

void fake_writes(const void *what, size_t length)
{
    cr_assert_eq(send(connection, what, length, MSG_NOSIGNAL), (ssize_t)length);
}

void fake_says(const Response *response)
{
    static uint8_t frame[KVPBUS_FRAME_HEAD + KVPBUS_FRAME_MAX];
    size_t length = kvpbus__control__response__pack(response, frame + KVPBUS_FRAME_HEAD);
    kvpbus_frame_head(frame, length);
    fake_writes(frame, KVPBUS_FRAME_HEAD + length);
}

void fake_done(void)
{
    fake_done_with(0);
}

void fake_done_with(uint64_t count)
{
    Kvpbus__Control__Done done = KVPBUS__CONTROL__DONE__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_DONE;
    response.done = &done;
    done.count = count;
    fake_says(&response);
}

void fake_fails(enum kvpbus_error code, const char *detail)
{
    Kvpbus__Control__Failure told = KVPBUS__CONTROL__FAILURE__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_FAILURE;
    response.failure = &told;
    told.code = (uint32_t)code;
    told.detail = (char *)detail;
    fake_says(&response);
}

void fake_queued(const char *id, const char *peer)
{
    Kvpbus__Control__Queued queued = KVPBUS__CONTROL__QUEUED__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_QUEUED;
    response.queued = &queued;
    queued.id = (char *)id;
    queued.peer = (char *)peer;
    fake_says(&response);
}

void fake_progress(uint64_t acknowledged, uint64_t total)
{
    Kvpbus__Control__Progress progress = KVPBUS__CONTROL__PROGRESS__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_PROGRESS;
    response.progress = &progress;
    progress.acknowledged = acknowledged;
    progress.total = total;
    fake_says(&response);
}

void fake_outcome(const char *id, const char *name, const char *reason, bool consumed)
{
    Kvpbus__Control__Outcome outcome = KVPBUS__CONTROL__OUTCOME__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_OUTCOME;
    response.outcome = &outcome;
    outcome.id = (char *)id;
    outcome.outcome = (char *)name;
    outcome.reason = (char *)reason;
    outcome.consumed = consumed;
    fake_says(&response);
}

void fake_delivers(int64_t lease, const char *id, uint32_t kind, const char *body)
{
    Kvpbus__Control__Header header = KVPBUS__CONTROL__HEADER__INIT, *headers[] = {&header};
    Kvpbus__Control__Delivery delivery = KVPBUS__CONTROL__DELIVERY__INIT;
    Kvpbus__Control__Chunk chunk = KVPBUS__CONTROL__CHUNK__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_DELIVERY;
    response.delivery = &delivery;
    header.name = (char *)"colour";
    header.value = (char *)"red";
    delivery.headers = headers;
    delivery.n_headers = 1;
    delivery.lease = lease;
    delivery.id = (char *)id;
    delivery.kind = kind;
    delivery.peer = (char *)"web";
    delivery.topic = (char *)"app.x";
    delivery.class_ = (char *)"bulk";
    delivery.body_length = strlen(body);
    fake_says(&response);
    // A byte a frame: the client puts them together.
    for (size_t i = 0; body[i] != '\0'; i++) {
        response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_CHUNK;
        response.chunk = &chunk;
        chunk.data.data = (uint8_t *)body + i;
        chunk.data.len = 1;
        fake_says(&response);
    }
}

void fake_event(enum kvpbus_client_event_kind kind)
{
    enum kvpbus_error error = kvpbus_client_next(client, 0, &event, &failure);
    cr_assert_eq(error, KVPBUS_OK, "%s: %s", kvpbus_error_name(error), failure.detail);
    cr_assert_eq(event.kind, kind, "%d instead of %d", (int)event.kind, (int)kind);
}

void fake_error(enum kvpbus_error expected)
{
    enum kvpbus_error error = kvpbus_client_next(client, 0, &event, &failure);
    cr_assert_eq(error, expected, "%s: %s", kvpbus_error_name(error), failure.detail);
}
