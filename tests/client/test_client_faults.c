// SPDX-License-Identifier: Apache-2.0
//
// The client library against a service that is slow, gone, or no service: one error, and a client
// that can be made anew.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_service.h"
#include "frame.h"

#define ID "0123456789abcdef0123456789abcdef.7"

TestSuite(client_faults, .init = fake_begin, .fini = fake_end);

static void begin_receive(void)
{
    cr_assert_eq(kvpbus_client_receive(client, &(struct kvpbus_receiving){0}, &failure), KVPBUS_OK);
    fake_hears();
}

// Nothing more is to be had, until it is made anew.
static void is_of_no_use(void)
{
    cr_assert_eq(kvpbus_client_ack(client, 1, &failure), KVPBUS_CLOSED);
    fake_error(KVPBUS_CLOSED);
    cr_assert_eq(kvpbus_client_reconnect(client, &failure), KVPBUS_OK);
    fake_accept();
    begin_receive();
    fake_delivers(1, ID, 0, "again");
    fake_event(KVPBUS_CLIENT_MESSAGE);
    cr_assert_str_eq((const char *)event.message->body, "again");
    fake_event(KVPBUS_CLIENT_DONE);
}

Test(client_faults, frames_that_come_byte_by_byte)
{
    static const uint8_t queued[] = {0, 0, 0, 5, 0x22, 3, 0x0a, 1, 'x'};
    struct kvpbus_outgoing message;
    kvpbus_outgoing_init(&message, "web", "app.x", "", 0);
    cr_assert_eq(kvpbus_client_send(client, &message, &failure), KVPBUS_OK);
    for (size_t i = 0; i < sizeof queued; i++) {
        fake_error(KVPBUS_TIMEOUT);
        fake_writes(queued + i, 1);
    }
    fake_event(KVPBUS_CLIENT_QUEUED);
    cr_assert_str_eq(event.id, "x");
}

Test(client_faults, bytes_that_are_no_frames)
{
    static const struct {
        const char *bytes;
        size_t length;
    } wrong[] = {{"\xff\xff\xff\xff", 4},
                 {"\0\0\0\0", 4},
                 {"\0\0\0\3\xff\xff\xff", 7},
                 {"HTTP/1.1 400", 12}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        begin_receive();
        fake_writes(wrong[i].bytes, wrong[i].length);
        fake_error(KVPBUS_PROTOCOL);
        cr_assert_not_null(strstr(failure.detail, fake_path));
        is_of_no_use();
    }
}

Test(client_faults, answers_to_another_question)
{
    begin_receive();
    fake_done();
    fake_error(KVPBUS_PROTOCOL);
    is_of_no_use();
    begin_receive();
    fake_queued(ID, "web");
    fake_error(KVPBUS_PROTOCOL);
    is_of_no_use();
    // Nothing was asked.
    fake_done();
    fake_error(KVPBUS_PROTOCOL);
    is_of_no_use();
    // A reply is consumed before there is one.
    struct kvpbus_outgoing message;
    kvpbus_outgoing_init(&message, "web", "app.x", "", 0);
    message.ttl_ms = 1000;
    cr_assert_eq(kvpbus_client_request(client, &message, &failure), KVPBUS_OK);
    fake_done();
    fake_error(KVPBUS_PROTOCOL);
    is_of_no_use();
}

static void announce(uint64_t length, size_t headers)
{
    Kvpbus__Control__Header header = KVPBUS__CONTROL__HEADER__INIT, *list[64];
    Kvpbus__Control__Delivery delivery = KVPBUS__CONTROL__DELIVERY__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    for (size_t i = 0; i < headers; i++)
        list[i] = &header;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_DELIVERY;
    response.delivery = &delivery;
    delivery.headers = list;
    delivery.n_headers = headers;
    delivery.body_length = length;
    fake_says(&response);
}

static void chunk(size_t length)
{
    static uint8_t bytes[KVPBUS_FRAME_CHUNK];
    Kvpbus__Control__Chunk piece = KVPBUS__CONTROL__CHUNK__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_CHUNK;
    response.chunk = &piece;
    piece.data.data = bytes;
    piece.data.len = length;
    fake_says(&response);
}

Test(client_faults, messages_that_cannot_be)
{
    begin_receive();
    announce(UINT64_MAX, 0);
    fake_error(KVPBUS_PROTOCOL);
    is_of_no_use();
    begin_receive();
    announce(10, KVPBUS_HEADERS_MAX + 1);
    fake_error(KVPBUS_PROTOCOL);
    is_of_no_use();
    begin_receive();
    announce(10, 0);
    chunk(11);
    fake_error(KVPBUS_PROTOCOL);
    is_of_no_use();
    begin_receive();
    chunk(1);
    fake_error(KVPBUS_PROTOCOL);
    is_of_no_use();
}

Test(client_faults, a_body_takes_memory_as_it_comes)
{
    begin_receive();
    announce(KVPBUS_CLIENT_BODY_MAX, 0);
    for (int i = 0; i < 20; i++) {
        chunk(KVPBUS_FRAME_CHUNK);
        fake_error(KVPBUS_TIMEOUT);
    }
    fake_hang_up();
    fake_error(KVPBUS_CLOSED);
    is_of_no_use();
}

Test(client_faults, a_service_that_ends)
{
    begin_receive();
    fake_hang_up();
    fake_error(KVPBUS_CLOSED);
    is_of_no_use();
    // What it said before counts.
    begin_receive();
    fake_fails(KVPBUS_BUSY, "too many clients");
    fake_hang_up();
    fake_error(KVPBUS_BUSY);
    cr_assert_str_eq(failure.detail, "too many clients");
    // In the middle of a message.
    cr_assert_eq(kvpbus_client_reconnect(client, &failure), KVPBUS_OK);
    fake_accept();
    begin_receive();
    announce(10, 0);
    chunk(5);
    fake_hang_up();
    fake_error(KVPBUS_CLOSED);
    is_of_no_use();
}

Test(client_faults, a_service_that_hears_nothing)
{
    size_t length = 4 * 1024 * 1024, heard = 0;
    uint8_t *body = malloc(length);
    struct kvpbus_outgoing message;
    cr_assert_not_null(body);
    memset(body, 'x', length);
    kvpbus_outgoing_init(&message, "web", "app.x", body, length);
    cr_assert_eq(kvpbus_client_send(client, &message, &failure), KVPBUS_OK);
    free(body);
    cr_assert(kvpbus_client_wants_write(client));
    cr_assert_eq(kvpbus_client_finish(client, 50, NULL, &failure), KVPBUS_TIMEOUT);
    cr_assert_eq(fake_hears()->send->body_length, length);
    while (heard < length) {
        heard += fake_hears()->chunk->data.len;
        fake_error(KVPBUS_TIMEOUT);
    }
    cr_assert_not(kvpbus_client_wants_write(client));
    fake_queued(ID, "web");
    fake_event(KVPBUS_CLIENT_QUEUED);
}

Test(client_faults, a_client_that_gives_up)
{
    begin_receive();
    fake_error(KVPBUS_TIMEOUT);
    cr_assert_eq(kvpbus_client_reconnect(client, &failure), KVPBUS_OK);
    fake_accept();
    fake_error(KVPBUS_NOT_FOUND);
    begin_receive();
    fake_delivers(1, ID, 0, "");
    fake_event(KVPBUS_CLIENT_MESSAGE);
    cr_assert_eq(event.message->body_length, 0);
}

Test(client_faults, what_is_too_much_is_not_sent)
{
    struct kvpbus_outgoing message;
    struct kvpbus_header headers[KVPBUS_HEADERS_MAX + 1];
    static char topic[200 * 1024];
    memset(topic, 'a', sizeof topic - 1);
    kvpbus_outgoing_init(&message, "web", "app.x", "x", (size_t)KVPBUS_CLIENT_BODY_MAX + 1);
    cr_assert_eq(kvpbus_client_send(client, &message, &failure), KVPBUS_TOO_LARGE);
    kvpbus_outgoing_init(&message, "web", topic, "x", 1);
    cr_assert_eq(kvpbus_client_send(client, &message, &failure), KVPBUS_TOO_LARGE);
    kvpbus_outgoing_init(&message, "web", "app.x", "x", 1);
    message.headers = headers;
    message.header_count = KVPBUS_HEADERS_MAX + 1;
    cr_assert_eq(kvpbus_client_send(client, &message, &failure), KVPBUS_TOO_LARGE);
    cr_assert_not(kvpbus_client_wants_write(client));
    begin_receive(); // the first that it hears
}

Test(client_faults, nobody_there)
{
    struct kvpbus_client *other = NULL;
    cr_assert_eq(kvpbus_client_open("/tmp/kvpbus-nobody", &other, &failure), KVPBUS_NO_DAEMON);
    cr_assert_null(other);
    char longer[300];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    cr_assert_eq(kvpbus_client_open(longer, &other, &failure), KVPBUS_INVALID_ARGUMENT);
    unlink(fake_path);
    cr_assert_eq(kvpbus_client_reconnect(client, &failure), KVPBUS_NO_DAEMON);
    cr_assert_eq(kvpbus_client_fd(client), -1);
    cr_assert_eq(kvpbus_client_ack(client, 1, &failure), KVPBUS_CLOSED);
}
