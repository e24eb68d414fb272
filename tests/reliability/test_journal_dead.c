// SPDX-License-Identifier: Apache-2.0
//
// Dead letters of the guest: found, shown, given back to their place, dropped.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "journal_rig.h"

static struct journal_rig rig;

static void setup(void)
{
    struct kvpbus_journal_options options = {.tries_max = 3};
    rig_open(&rig, &options);
    rig_sync(&rig);
}

static void teardown(void)
{
    rig_close(&rig);
}

TestSuite(journal_dead, .init = setup, .fini = teardown);

static void send(const char *topic, const char *stream, const char *body)
{
    struct kvpbus_message message = rig_message(topic, body);
    message.stream = stream;
    rig_queue_message(&rig, &rig.host, &message, false);
    rig_flow(&rig, &rig.host, &rig.guest);
}

static int64_t lease(const char *body)
{
    struct kvpbus_delivery *delivery;
    IN(&rig.guest, kvpbus_journal_lease(rig.guest.journal, &(struct kvpbus_filter){0}, 1000,
                                        rig.now, &delivery));
    cr_assert_arr_eq(delivery->message.body, body, strlen(body));
    int64_t token = delivery->lease;
    kvpbus_delivery_free(delivery);
    return token;
}

static void reject(const char *body, const char *reason)
{
    int64_t token = lease(body);
    IN(&rig.guest, kvpbus_journal_reject(rig.guest.journal, token, reason, rig.now));
}

static void nack(const char *body)
{
    int64_t token = lease(body);
    IN(&rig.guest, kvpbus_journal_nack(rig.guest.journal, token, 0, "busy", rig.now));
}

static struct kvpbus_dead_letter letters[8];

static size_t list(const struct kvpbus_dead_filter *filter, int64_t after, size_t max, bool *more)
{
    size_t count;
    IN(&rig.guest,
       kvpbus_journal_dead_list(rig.guest.journal, filter, after, letters, max, &count, more));
    return count;
}

static size_t list_all(void)
{
    bool more;
    size_t count = list(&(struct kvpbus_dead_filter){0}, 0, 8, &more);
    cr_assert_not(more);
    return count;
}

static size_t retry(const struct kvpbus_dead_filter *filter)
{
    struct kvpbus_dead_walk walk = {0};
    do
        IN(&rig.guest, kvpbus_journal_dead_retry(rig.guest.journal, filter, rig.now, 2, &walk));
    while (walk.more);
    return walk.count;
}

static size_t drop(const struct kvpbus_dead_filter *filter)
{
    struct kvpbus_dead_walk walk = {0};
    do
        IN(&rig.guest, kvpbus_journal_dead_drop(rig.guest.journal, filter, 2, &walk));
    while (walk.more);
    return walk.count;
}

// --- looking ---

Test(journal_dead, one_is_kept_whole_with_its_reason)
{
    struct kvpbus_header header = {"name", "value"};
    struct kvpbus_message message = rig_message("a.b", "payload");
    message.headers = &header;
    message.header_count = 1;
    rig_queue_message(&rig, &rig.host, &message, false);
    rig_flow(&rig, &rig.host, &rig.guest);
    nack("payload");
    reject("payload", "no such table");
    cr_assert_eq(list_all(), 1);
    cr_assert_eq(letters[0].peer, rig.guest.peer);
    cr_assert_str_eq(letters[0].topic, "a.b");
    cr_assert_str_eq(letters[0].stream, "s");
    cr_assert_eq(letters[0].class_, KVPBUS_CLASS_NORMAL);
    cr_assert_eq(letters[0].tries, 2);
    cr_assert_eq(letters[0].died_ms, rig.now);
    cr_assert_str_eq(letters[0].reason, "no such table");
    cr_assert_arr_eq(letters[0].id.bundle, message.id.bundle, sizeof message.id.bundle);
    struct kvpbus_delivery *delivery;
    IN(&rig.guest,
       kvpbus_journal_dead_get(rig.guest.journal,
                               &(struct kvpbus_dead_filter){.id = &letters[0].id}, &delivery));
    cr_assert_eq(delivery->lease, 0);
    cr_assert_eq(delivery->try_, 2);
    cr_assert_eq(delivery->peer, rig.guest.peer);
    cr_assert_str_eq(delivery->message.headers[0].value, "value");
    cr_assert_arr_eq(delivery->message.body, "payload", 7);
    cr_assert_eq(delivery->message.id.index, letters[0].id.index);
    kvpbus_delivery_free(delivery);
}

Test(journal_dead, they_are_listed_by_pages)
{
    for (int i = 0; i < 5; i++) {
        char body[8];
        snprintf(body, sizeof body, "n%d", i);
        send(i % 2 == 0 ? "even.x" : "odd.x", "s", body);
        reject(body, body);
    }
    bool more;
    cr_assert_eq(list(&(struct kvpbus_dead_filter){0}, 0, 2, &more), 2);
    cr_assert(more);
    cr_assert_str_eq(letters[1].reason, "n1");
    cr_assert_eq(list(&(struct kvpbus_dead_filter){0}, letters[1].number, 2, &more), 2);
    cr_assert(more);
    cr_assert_eq(list(&(struct kvpbus_dead_filter){0}, letters[1].number, 2, &more), 1);
    cr_assert_not(more);
    cr_assert_eq(list(&(struct kvpbus_dead_filter){.pattern = "odd.*"}, 0, 2, &more), 2);
    cr_assert_not(more);
    cr_assert_str_eq(letters[0].reason, "n1");
    cr_assert_eq(list(&(struct kvpbus_dead_filter){.peer = 77}, 0, 2, &more), 0);
    cr_assert_eq(
        list(&(struct kvpbus_dead_filter){.pattern = ">", .peer = rig.guest.peer}, 0, 8, &more), 5);
}

Test(journal_dead, what_is_not_there_is_said)
{
    struct kvpbus_message_id none = {.index = 3};
    struct kvpbus_delivery *delivery;
    size_t count;
    bool more;
    struct kvpbus_dead_walk walk = {0};
    FAILS(&rig.guest, KVPBUS_NOT_FOUND,
          kvpbus_journal_dead_get(rig.guest.journal, &(struct kvpbus_dead_filter){.id = &none},
                                  &delivery));
    cr_assert_eq(retry(&(struct kvpbus_dead_filter){.id = &none}), 0);
    cr_assert_eq(drop(&(struct kvpbus_dead_filter){0}), 0);
    FAILS(&rig.guest, KVPBUS_BAD_TOPIC,
          kvpbus_journal_dead_list(rig.guest.journal,
                                   &(struct kvpbus_dead_filter){.pattern = ">.a"}, 0, letters, 8,
                                   &count, &more));
    FAILS(&rig.guest, KVPBUS_BAD_TOPIC,
          kvpbus_journal_dead_drop(rig.guest.journal, &(struct kvpbus_dead_filter){.pattern = ""},
                                   1, &walk));
}

// --- back, or away ---

Test(journal_dead, one_that_is_given_back_stands_before_what_came_after_it)
{
    send("t", "s", "a");
    send("t", "s", "b");
    send("t", "s", "c");
    send("t", "other", "d");
    reject("a", "no");
    int64_t b = lease("b");
    cr_assert_eq(retry(&(struct kvpbus_dead_filter){0}), 1);
    IN(&rig.guest, kvpbus_journal_ack(rig.guest.journal, b));
    cr_assert_eq(list_all(), 0);
    cr_assert_eq(rig_counts(&rig.guest).inbox, 3);
    // Its stream is the younger one now; within it, it comes before c.
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "d a c");
    cr_assert_eq(rig_counts(&rig.guest).inbox_bytes, 0);
}

Test(journal_dead, one_that_is_given_back_has_all_its_tries_again)
{
    send("t", "s", "a");
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++)
            nack("a");
        cr_assert_eq(rig_counts(&rig.guest).dead_letters, 1);
        cr_assert_eq(retry(&(struct kvpbus_dead_filter){0}), 1);
    }
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a");
}

Test(journal_dead, its_stream_may_have_been_forgotten)
{
    send("t", "s", "a");
    reject("a", "no");
    rig.guest.options.history_ms = 1;
    side_reopen(&rig.guest);
    // Dead letters would be forgotten too: they died a second before the streams were used last.
    IN(&rig.guest, kvpbus_journal_prune(rig.guest.journal, rig.now + 1, 10000, &(bool){0}));
    cr_assert_eq(retry(&(struct kvpbus_dead_filter){0}), 1);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a");
}

Test(journal_dead, only_those_that_match_are_taken)
{
    static const char *const topics[] = {"a.x", "b.x", "a.y", "b.y", "a.z"};
    struct kvpbus_message_id last;
    for (size_t i = 0; i < 5; i++) {
        send(topics[i], "s", topics[i]);
        reject(topics[i], "no");
    }
    list_all();
    last = letters[4].id;
    cr_assert_eq(drop(&(struct kvpbus_dead_filter){.pattern = "b.>"}), 2);
    cr_assert_eq(retry(&(struct kvpbus_dead_filter){.id = &last}), 1);
    cr_assert_eq(rig_counts(&rig.guest).dead_letters, 2);
    cr_assert_eq(retry(&(struct kvpbus_dead_filter){.peer = rig.guest.peer}), 2);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a.x a.y a.z");
}

Test(journal_dead, what_dies_again_meanwhile_is_not_met_twice)
{
    struct kvpbus_dead_walk walk = {0};
    send("t", "s", "a");
    send("t", "s", "b");
    reject("a", "no");
    reject("b", "no");
    IN(&rig.guest, kvpbus_journal_dead_retry(rig.guest.journal, &(struct kvpbus_dead_filter){0},
                                             rig.now, 1, &walk));
    cr_assert(walk.more);
    reject("a", "no");
    IN(&rig.guest, kvpbus_journal_dead_retry(rig.guest.journal, &(struct kvpbus_dead_filter){0},
                                             rig.now, 5, &walk));
    cr_assert(!walk.more && walk.count == 2);
    cr_assert_eq(list_all(), 1);
}

Test(journal_dead, a_request_is_given_back_whatever_its_lifetime)
{
    struct kvpbus_message message = rig_message("t", "question");
    message.kind = KVPBUS_KIND_REQUEST;
    message.ttl_ms = 500;
    rig_queue_message(&rig, &rig.host, &message, false);
    rig_flow(&rig, &rig.host, &rig.guest);
    reject("question", "no");
    rig.now += 1000;
    cr_assert_eq(retry(&(struct kvpbus_dead_filter){0}), 1);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "question");
}

Test(journal_dead, a_reply_is_given_back_to_who_asks_for_it)
{
    int64_t next;
    struct kvpbus_delivery *delivery;
    struct kvpbus_message request = rig_message("t", "question");
    request.kind = KVPBUS_KIND_REQUEST;
    request.ttl_ms = 500;
    rig_queue_message(&rig, &rig.guest, &request, false);
    rig_flow(&rig, &rig.guest, &rig.host);
    uint8_t correlation[KVPBUS_BUNDLE_ID_BYTES + 2] = {0};
    memcpy(correlation, request.id.bundle, sizeof request.id.bundle);
    correlation[sizeof correlation - 1] = (uint8_t)request.id.index;
    struct kvpbus_message reply = rig_message("t", "answer");
    reply.kind = KVPBUS_KIND_LAST_REPLY;
    reply.correlation = correlation;
    reply.correlation_length = sizeof correlation;
    rig_queue_message(&rig, &rig.host, &reply, false);
    rig_flow(&rig, &rig.host, &rig.guest);
    struct kvpbus_filter filter = {.reply_to = &request.id};
    IN(&rig.guest, kvpbus_journal_lease(rig.guest.journal, &filter, 1000, rig.now, &delivery));
    IN(&rig.guest, kvpbus_journal_reject(rig.guest.journal, delivery->lease, "no", rig.now));
    kvpbus_delivery_free(delivery);
    rig.now += 24 * 60 * 60 * 1000;
    cr_assert_eq(retry(&(struct kvpbus_dead_filter){0}), 1);
    IN(&rig.guest, kvpbus_journal_leases_end(rig.guest.journal, rig.now, &next));
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "");
    IN(&rig.guest, kvpbus_journal_lease(rig.guest.journal, &filter, 1000, rig.now, &delivery));
    IN(&rig.guest, kvpbus_journal_ack(rig.guest.journal, delivery->lease));
    kvpbus_delivery_free(delivery);
}

Test(journal_dead, dropping_makes_room_in_the_inbox)
{
    uint64_t before[KVPBUS_CLASS_COUNT], after[KVPBUS_CLASS_COUNT];
    IN(&rig.guest, kvpbus_journal_room(rig.guest.journal, rig.guest.peer, before));
    struct kvpbus_message message = rig_message("t", "a");
    message.class_ = KVPBUS_CLASS_BULK;
    rig_queue_message(&rig, &rig.host, &message, false);
    rig_flow(&rig, &rig.host, &rig.guest);
    reject("a", "no");
    IN(&rig.guest, kvpbus_journal_room(rig.guest.journal, rig.guest.peer, after));
    cr_assert_lt(after[KVPBUS_CLASS_BULK], before[KVPBUS_CLASS_BULK]);
    cr_assert_lt(after[KVPBUS_CLASS_CONTROL], before[KVPBUS_CLASS_CONTROL]);
    cr_assert_eq(drop(&(struct kvpbus_dead_filter){0}), 1);
    IN(&rig.guest, kvpbus_journal_room(rig.guest.journal, rig.guest.peer, after));
    cr_assert_arr_eq((char *)after, (char *)before, sizeof before);
}
