// SPDX-License-Identifier: Apache-2.0
//
// The client library against a service that a test plays: what each operation says and hears.
#include <criterion/criterion.h>
#include <poll.h>
#include <string.h>

#include "fake_service.h"

#define ID "0123456789abcdef0123456789abcdef.7"

TestSuite(client, .init = fake_begin, .fini = fake_end);

static void begin_send(enum kvpbus_wait wait)
{
    struct kvpbus_outgoing message;
    kvpbus_outgoing_init(&message, "web", "app.x", "hello", 5);
    message.wait = wait;
    cr_assert_eq(kvpbus_client_send(client, &message, &failure), KVPBUS_OK);
}

Test(client, sends_everything_that_a_message_has)
{
    static const struct kvpbus_header headers[] = {{"a", "1"}, {"b", "2"}};
    struct kvpbus_outgoing message;
    kvpbus_outgoing_init(&message, "web", "app.x", "hello", 5);
    message.stream = "s";
    message.class_ = KVPBUS_CLASS_BULK;
    message.ttl_ms = 7000;
    message.headers = headers;
    message.header_count = 2;
    message.resend = true;
    message.kind = KVPBUS_KIND_LAST_REPLY;
    message.reply_to = ID;
    message.status = -3;
    cr_assert_eq(kvpbus_client_send(client, &message, &failure), KVPBUS_OK);
    const Kvpbus__Control__SendRequest *send = fake_hears()->send;
    cr_assert_str_eq(send->peer, "web");
    cr_assert_str_eq(send->topic, "app.x");
    cr_assert_str_eq(send->stream, "s");
    cr_assert(send->class_ == 2 && send->ttl_ms == 7000 && send->body_length == 5);
    cr_assert(send->n_headers == 2 && send->kind == 3 && send->status == -3 && send->resend);
    cr_assert_str_eq(send->headers[1]->name, "b");
    cr_assert_str_eq(send->headers[1]->value, "2");
    cr_assert_str_eq(send->reply_to, ID);
    const Kvpbus__Control__Chunk *chunk = fake_hears()->chunk;
    cr_assert(chunk->data.len == 5 && memcmp(chunk->data.data, "hello", 5) == 0);
    fake_error(KVPBUS_TIMEOUT);
    fake_queued(ID, "web");
    fake_event(KVPBUS_CLIENT_QUEUED);
    cr_assert_str_eq(event.id, ID);
    cr_assert_str_eq(event.peer, "web");
    fake_event(KVPBUS_CLIENT_DONE);
    fake_error(KVPBUS_NOT_FOUND);
}

Test(client, waits_for_what_becomes_of_a_message)
{
    begin_send(KVPBUS_WAIT_CONSUMED);
    cr_assert_eq(fake_hears()->send->wait, 2);
    fake_queued(ID, "web");
    fake_event(KVPBUS_CLIENT_QUEUED);
    fake_progress(3, 5);
    fake_event(KVPBUS_CLIENT_PROGRESS);
    cr_assert(event.acknowledged == 3 && event.total == 5);
    fake_outcome(ID, "delivered", "", true);
    fake_event(KVPBUS_CLIENT_OUTCOME);
    cr_assert(event.outcome == KVPBUS_OUTCOME_DELIVERED && event.consumed);
    fake_event(KVPBUS_CLIENT_DONE);
}

Test(client, keeps_the_last_event_for_who_waits_for_the_end)
{
    begin_send(KVPBUS_WAIT_DELIVERED);
    fake_queued(ID, "web");
    fake_outcome(ID, "expired", "its lifetime ended", false);
    cr_assert_eq(kvpbus_client_finish(client, 1000, &event, &failure), KVPBUS_OK);
    cr_assert_eq(event.kind, KVPBUS_CLIENT_OUTCOME);
    cr_assert_eq(event.outcome, KVPBUS_OUTCOME_EXPIRED);
    cr_assert_str_eq(event.reason, "its lifetime ended");
    cr_assert_eq(kvpbus_client_receive(client, &(struct kvpbus_receiving){0}, &failure), KVPBUS_OK);
    cr_assert_eq(kvpbus_client_finish(client, 10, &event, &failure), KVPBUS_TIMEOUT);
    fake_delivers(4, ID, 0, "late");
    cr_assert_eq(kvpbus_client_finish(client, 1000, &event, &failure), KVPBUS_OK);
    cr_assert_str_eq((const char *)event.message->body, "late");
}

Test(client, tells_of_each_of_several_peers)
{
    static const char *const peers[] = {"web", "db"};
    Kvpbus__Control__Refused refused = KVPBUS__CONTROL__REFUSED__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    struct kvpbus_outgoing message;
    kvpbus_outgoing_init(&message, NULL, "app.x", "hello", 5);
    cr_assert_eq(kvpbus_client_send(client, &message, &failure), KVPBUS_INVALID_ARGUMENT);
    message.peers = peers;
    message.peer_count = 2;
    message.wait = KVPBUS_WAIT_DELIVERED;
    cr_assert_eq(kvpbus_client_send(client, &message, &failure), KVPBUS_OK);
    const Kvpbus__Control__SendRequest *send = fake_hears()->send;
    cr_assert(send->n_peers == 2 && strcmp(send->peers[1], "db") == 0 && send->peer[0] == '\0');
    fake_queued(ID, "web");
    fake_event(KVPBUS_CLIENT_QUEUED);
    refused.peer = (char *)"db";
    refused.code = KVPBUS_UNPAIRED;
    refused.detail = (char *)"db is not paired";
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_REFUSED;
    response.refused = &refused;
    fake_says(&response);
    fake_event(KVPBUS_CLIENT_REFUSED);
    cr_assert_eq(event.code, KVPBUS_UNPAIRED);
    cr_assert_str_eq(event.peer, "db");
    fake_outcome(ID, "delivered", "", false);
    fake_event(KVPBUS_CLIENT_OUTCOME);
    fake_error(KVPBUS_TIMEOUT);
    fake_done();
    fake_event(KVPBUS_CLIENT_DONE);
}

Test(client, receives_and_acknowledges)
{
    struct kvpbus_receiving which = {.pattern = "app.>", .peer = "web", .kinds = 2, .now = true};
    cr_assert_eq(kvpbus_client_receive(client, &which, &failure), KVPBUS_OK);
    const Kvpbus__Control__ReceiveRequest *receive = fake_hears()->receive;
    cr_assert_str_eq(receive->pattern, "app.>");
    cr_assert_str_eq(receive->peer, "web");
    cr_assert(receive->kinds == 2 && receive->now && receive->lease_ms == 0);
    fake_delivers(42, ID, 1, "body");
    fake_event(KVPBUS_CLIENT_MESSAGE);
    const struct kvpbus_incoming *message = event.message;
    cr_assert(message->lease == 42 && message->kind == KVPBUS_KIND_REQUEST);
    cr_assert(message->class_ == KVPBUS_CLASS_BULK && message->body_length == 4);
    cr_assert_str_eq((const char *)message->body, "body");
    cr_assert_str_eq(message->headers[0].name, "colour");
    // What it points to is good for the answer, and stays until the next one comes.
    struct kvpbus_outgoing reply;
    kvpbus_outgoing_init(&reply, message->peer, message->topic, message->body, 4);
    reply.reply_to = message->id;
    cr_assert_eq(kvpbus_client_send(client, &reply, &failure), KVPBUS_OK);
    cr_assert_str_eq(fake_hears()->send->reply_to, ID);
    fake_hears();
    fake_queued(ID, "web");
    cr_assert_eq(kvpbus_client_finish(client, 0, NULL, &failure), KVPBUS_OK);
    cr_assert_eq(kvpbus_client_ack(client, message->lease, &failure), KVPBUS_OK);
    cr_assert_eq(fake_hears()->ack->lease, 42);
    fake_done();
    fake_event(KVPBUS_CLIENT_DONE);
    cr_assert_str_eq(message->topic, "app.x");
}

Test(client, says_no_and_not_yet)
{
    cr_assert_eq(kvpbus_client_nack(client, 5, 300, "broken", true, &failure), KVPBUS_OK);
    const Kvpbus__Control__NackRequest *nack = fake_hears()->nack;
    cr_assert(nack->lease == 5 && nack->delay_ms == 300 && nack->dead);
    cr_assert_str_eq(nack->reason, "broken");
    fake_done();
    cr_assert_eq(kvpbus_client_finish(client, 0, NULL, &failure), KVPBUS_OK);
    cr_assert_eq(kvpbus_client_extend(client, 6, 9000, &failure), KVPBUS_OK);
    const Kvpbus__Control__ExtendRequest *extend = fake_hears()->extend;
    cr_assert(extend->lease == 6 && extend->lease_ms == 9000);
    fake_fails(KVPBUS_NOT_FOUND, "the lease has ended");
    fake_error(KVPBUS_NOT_FOUND);
    cr_assert_str_eq(failure.detail, "the lease has ended");
    begin_send(KVPBUS_WAIT_QUEUED);
}

static void begin_request(void)
{
    struct kvpbus_outgoing message;
    kvpbus_outgoing_init(&message, "web", "app.x", NULL, 0);
    cr_assert_eq(kvpbus_client_request(client, &message, &failure), KVPBUS_INVALID_ARGUMENT);
    message.ttl_ms = 5000;
    cr_assert_eq(kvpbus_client_request(client, &message, &failure), KVPBUS_OK);
    const Kvpbus__Control__SendRequest *send = fake_hears()->send;
    cr_assert(send->kind == 1 && send->ttl_ms == 5000);
    fake_queued(ID, "web");
    fake_event(KVPBUS_CLIENT_QUEUED);
}

Test(client, gathers_replies_and_consumes_each)
{
    begin_request();
    for (int i = 0; i < 3; i++) {
        fake_error(KVPBUS_TIMEOUT);
        const Kvpbus__Control__ReceiveRequest *receive = fake_hears()->receive;
        cr_assert_str_eq(receive->reply_to, ID);
        cr_assert_eq(receive->lease_ms, 60000, "the client's own, for a reply of any length");
        fake_delivers(10 + i, "fedcba9876543210fedcba9876543210.0", i < 2 ? 2 : 3, "answer");
        fake_error(KVPBUS_TIMEOUT);
        cr_assert_eq(fake_hears()->ack->lease, 10 + i);
        fake_done();
        fake_event(KVPBUS_CLIENT_MESSAGE);
        cr_assert_str_eq((const char *)event.message->body, "answer");
    }
    fake_event(KVPBUS_CLIENT_DONE);
}

Test(client, ends_a_request_that_gets_no_reply)
{
    begin_request();
    fake_error(KVPBUS_TIMEOUT);
    fake_hears();
    fake_outcome(ID, "expired", "its lifetime ended", false);
    fake_event(KVPBUS_CLIENT_OUTCOME);
    fake_event(KVPBUS_CLIENT_DONE);
}

Test(client, lets_go_of_a_request_between_replies)
{
    begin_request();
    fake_error(KVPBUS_TIMEOUT);
    cr_assert_eq(kvpbus_client_ack(client, 1, &failure), KVPBUS_BUSY);
    fake_hears();
    fake_delivers(1, ID, 2, "enough");
    fake_error(KVPBUS_TIMEOUT);
    fake_hears();
    fake_done();
    fake_event(KVPBUS_CLIENT_MESSAGE);
    begin_send(KVPBUS_WAIT_QUEUED);
    cr_assert_eq(fake_hears()->kind_case, KVPBUS__CONTROL__REQUEST__KIND_SEND);
}

Test(client, withdraws_and_looks)
{
    Kvpbus__Control__Record record = KVPBUS__CONTROL__RECORD__INIT, *list[] = {&record, &record};
    Kvpbus__Control__Records records = KVPBUS__CONTROL__RECORDS__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    cr_assert_eq(kvpbus_client_withdraw(client, ID, true, &failure), KVPBUS_OK);
    cr_assert(fake_hears()->withdraw->wait);
    fake_progress(3, 5);
    fake_outcome(ID, "expired", "withdrawn", false);
    fake_event(KVPBUS_CLIENT_OUTCOME);
    fake_event(KVPBUS_CLIENT_DONE);
    cr_assert_eq(kvpbus_client_show(client, ID, &failure), KVPBUS_OK);
    cr_assert_str_eq(fake_hears()->show->id, ID);
    record.sent = true;
    record.outcome = (char *)"unknown";
    record.class_ = (char *)"control";
    record.consumed_ms = 12;
    records.records = list;
    records.n_records = 2;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_RECORDS;
    response.records = &records;
    fake_says(&response);
    for (int i = 0; i < 2; i++) {
        fake_event(KVPBUS_CLIENT_RECORD);
        cr_assert_eq(event.record->outcome, KVPBUS_OUTCOME_UNKNOWN);
        cr_assert(event.record->class_ == KVPBUS_CLASS_CONTROL && event.record->consumed_ms == 12);
    }
    fake_event(KVPBUS_CLIENT_DONE);
}

static void say_letters(uint64_t from, size_t count, bool more)
{
    Kvpbus__Control__DeadLetter letters[4], *list[4];
    Kvpbus__Control__DeadLetters all = KVPBUS__CONTROL__DEAD_LETTERS__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    for (size_t i = 0; i < count; i++) {
        list[i] = &letters[i];
        kvpbus__control__dead_letter__init(list[i]);
        letters[i].number = from + i;
    }
    all.letters = list;
    all.n_letters = count;
    all.more = more;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_DEAD_LETTERS;
    response.dead_letters = &all;
    fake_says(&response);
}

Test(client, lists_dead_letters_page_by_page)
{
    struct kvpbus_dead_query query = {.peer = "web", .pattern = "app.>"};
    cr_assert_eq(kvpbus_client_dead(client, KVPBUS_DEAD_LIST, &query, &failure), KVPBUS_OK);
    cr_assert_eq(fake_hears()->dead->after, 0);
    say_letters(1, 3, true);
    for (uint64_t i = 1; i <= 3; i++) {
        fake_event(KVPBUS_CLIENT_LETTER);
        cr_assert_eq(event.letter->number, i);
    }
    fake_error(KVPBUS_TIMEOUT);
    const Kvpbus__Control__DeadRequest *dead = fake_hears()->dead;
    cr_assert_eq(dead->after, 3);
    cr_assert_str_eq(dead->peer, "web");
    cr_assert_str_eq(dead->pattern, "app.>");
    say_letters(9, 1, false);
    fake_event(KVPBUS_CLIENT_LETTER);
    fake_event(KVPBUS_CLIENT_DONE);
    query = (struct kvpbus_dead_query){.id = ID};
    cr_assert_eq(kvpbus_client_dead(client, KVPBUS_DEAD_SHOW, &query, &failure), KVPBUS_OK);
    cr_assert_eq(fake_hears()->dead->verb, KVPBUS__CONTROL__DEAD_REQUEST__VERB__SHOW);
    fake_delivers(0, ID, 0, "remains");
    fake_event(KVPBUS_CLIENT_MESSAGE);
    cr_assert_str_eq((const char *)event.message->body, "remains");
    fake_event(KVPBUS_CLIENT_DONE);
    query = (struct kvpbus_dead_query){.all = true};
    cr_assert_eq(kvpbus_client_dead(client, KVPBUS_DEAD_DROP, &query, &failure), KVPBUS_OK);
    cr_assert(fake_hears()->dead->all);
    fake_done_with(3);
    fake_event(KVPBUS_CLIENT_DONE);
    cr_assert_eq(event.count, 3);
}

Test(client, is_polled_in_a_loop)
{
    struct pollfd wait = {.fd = kvpbus_client_fd(client), .events = POLLIN};
    begin_send(KVPBUS_WAIT_QUEUED);
    cr_assert_eq(poll(&wait, 1, 0), 0);
    fake_queued(ID, "web");
    cr_assert_eq(poll(&wait, 1, 1000), 1);
    fake_event(KVPBUS_CLIENT_QUEUED);
    fake_event(KVPBUS_CLIENT_DONE);
    cr_assert_eq(poll(&wait, 1, 0), 0);
    fake_hang_up();
    cr_assert_eq(poll(&wait, 1, 1000), 1);
    fake_error(KVPBUS_CLOSED);
}

Test(client, has_one_operation_at_a_time)
{
    begin_send(KVPBUS_WAIT_DELIVERED);
    cr_assert_eq(kvpbus_client_ack(client, 1, &failure), KVPBUS_BUSY);
    fake_queued(ID, "web");
    fake_event(KVPBUS_CLIENT_QUEUED);
    cr_assert_eq(kvpbus_client_ack(client, 1, &failure), KVPBUS_BUSY);
    fake_outcome(ID, "dead", "", false);
    fake_event(KVPBUS_CLIENT_OUTCOME);
    // The end need not be looked at.
    cr_assert_eq(kvpbus_client_ack(client, 1, &failure), KVPBUS_OK);
    fake_done();
    fake_event(KVPBUS_CLIENT_DONE);
}
