// SPDX-License-Identifier: Apache-2.0
//
// Requests of the guest and replies of the host: who is given what, and for how long.
#include <criterion/criterion.h>
#include <stdlib.h>
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

TestSuite(journal_request, .init = setup, .fini = teardown);

static struct kvpbus_message_id request(uint64_t ttl_ms)
{
    struct kvpbus_message message = rig_message("app.ask", "question");
    message.kind = KVPBUS_KIND_REQUEST;
    message.ttl_ms = ttl_ms;
    rig_queue_message(&rig, &rig.guest, &message, false);
    rig_flow(&rig, &rig.guest, &rig.host);
    return message.id;
}

static void reply_in(const char *stream, const struct kvpbus_message_id *to, enum kvpbus_kind kind,
                     const char *body)
{
    uint8_t correlation[KVPBUS_BUNDLE_ID_BYTES + 2];
    struct kvpbus_message message = rig_message("app.answer", body);
    memcpy(correlation, to->bundle, sizeof to->bundle);
    correlation[sizeof to->bundle] = (uint8_t)(to->index >> 8);
    correlation[sizeof to->bundle + 1] = (uint8_t)to->index;
    message.stream = stream;
    message.kind = kind;
    message.correlation = correlation;
    message.correlation_length = sizeof correlation;
    rig_queue_message(&rig, &rig.host, &message, false);
    rig_flow(&rig, &rig.host, &rig.guest);
}

static void reply(const struct kvpbus_message_id *to, enum kvpbus_kind kind, const char *body)
{
    reply_in("s", to, kind, body);
}

static int64_t lease(struct journal_side *side, const struct kvpbus_filter *filter,
                     const char *body)
{
    struct kvpbus_delivery *delivery;
    cr_assert_eq(kvpbus_journal_begin(side->journal), KVPBUS_OK);
    enum kvpbus_error error = kvpbus_journal_lease(side->journal, filter, 1000, rig.now, &delivery);
    cr_assert_eq(kvpbus_journal_commit(side->journal, NULL), KVPBUS_OK);
    if (body == NULL) {
        cr_assert_eq(error, KVPBUS_NOT_FOUND);
        return 0;
    }
    cr_assert_eq(error, KVPBUS_OK, "%s should come", body);
    cr_assert_eq(delivery->message.body_length, strlen(body));
    cr_assert_arr_eq(delivery->message.body, body, strlen(body));
    int64_t token = delivery->lease;
    kvpbus_delivery_free(delivery);
    return token;
}

static int64_t fetch(const struct kvpbus_message_id *of, const char *body)
{
    return lease(&rig.guest, &(struct kvpbus_filter){.reply_to = of}, body);
}

static void ack(struct journal_side *side, int64_t token)
{
    IN(side, kvpbus_journal_ack(side->journal, token));
}

static void end_leases(struct journal_side *side)
{
    int64_t next;
    IN(side, kvpbus_journal_leases_end(side->journal, rig.now, &next));
}

static struct kvpbus_awaited awaited(const struct kvpbus_message_id *of)
{
    struct kvpbus_awaited result;
    IN(&rig.guest, kvpbus_journal_awaited(rig.guest.journal, rig.guest.peer, of, rig.now, &result));
    cr_assert_eq(result.over, result.reason[0] != '\0');
    return result;
}

// --- who is given what ---

Test(journal_request, a_server_is_given_requests_alone)
{
    rig_queue(&rig, &rig.guest, "event");
    request(0);
    ack(&rig.host,
        lease(&rig.host, &(struct kvpbus_filter){.kinds = 1 << KVPBUS_KIND_REQUEST}, "question"));
    lease(&rig.host, &(struct kvpbus_filter){.kinds = 1 << KVPBUS_KIND_REQUEST}, NULL);
    ack(&rig.host,
        lease(&rig.host, &(struct kvpbus_filter){.kinds = 1 << KVPBUS_KIND_EVENT}, "event"));
}

Test(journal_request, who_names_no_kind_is_given_events_and_requests)
{
    rig_queue(&rig, &rig.guest, "event");
    request(0);
    cr_assert_str_eq(rig_consume(&rig, &rig.host), "event question");
}

Test(journal_request, replies_are_given_only_to_who_asks_for_them)
{
    struct kvpbus_message_id one = request(0), two = request(0);
    struct kvpbus_delivery *delivery;
    reply(&one, KVPBUS_KIND_LAST_REPLY, "to one");
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "");
    fetch(&two, NULL);
    FAILS(&rig.guest, KVPBUS_INVALID_ARGUMENT,
          kvpbus_journal_lease(rig.guest.journal,
                               &(struct kvpbus_filter){.kinds = 1 << KVPBUS_KIND_LAST_REPLY}, 1000,
                               rig.now, &delivery));
    ack(&rig.guest, fetch(&one, "to one"));
    fetch(&one, NULL);
    cr_assert_eq(rig_counts(&rig.guest).inbox, 0);
}

Test(journal_request, a_filter_of_replies_may_have_a_pattern_and_a_peer)
{
    struct kvpbus_message_id one = request(0);
    reply(&one, KVPBUS_KIND_REPLY, "here");
    lease(&rig.guest, &(struct kvpbus_filter){.reply_to = &one, .pattern = "other"}, NULL);
    lease(&rig.guest, &(struct kvpbus_filter){.reply_to = &one, .peer = 77}, NULL);
    ack(&rig.guest,
        lease(&rig.guest,
              &(struct kvpbus_filter){.reply_to = &one, .pattern = "app.>", .peer = rig.guest.peer},
              "here"));
}

Test(journal_request, several_replies_come_in_order_one_at_a_time)
{
    struct kvpbus_message_id one = request(0);
    reply(&one, KVPBUS_KIND_REPLY, "a");
    reply(&one, KVPBUS_KIND_REPLY, "b");
    reply(&one, KVPBUS_KIND_LAST_REPLY, "c");
    int64_t a = fetch(&one, "a");
    fetch(&one, NULL);
    IN(&rig.guest, kvpbus_journal_nack(rig.guest.journal, a, 0, "again", rig.now));
    ack(&rig.guest, fetch(&one, "a"));
    ack(&rig.guest, fetch(&one, "b"));
    ack(&rig.guest, fetch(&one, "c"));
    cr_assert(awaited(&one).over);
}

Test(journal_request, a_consumer_of_the_stream_does_not_hold_up_replies_in_it)
{
    struct kvpbus_message_id one = request(0), two = request(0);
    rig_queue(&rig, &rig.host, "slow work");
    rig_flow(&rig, &rig.host, &rig.guest);
    reply(&one, KVPBUS_KIND_LAST_REPLY, "1");
    reply(&two, KVPBUS_KIND_LAST_REPLY, "2");
    int64_t slow = lease(&rig.guest, &(struct kvpbus_filter){0}, "slow work");
    int64_t first = fetch(&one, "1");
    ack(&rig.guest, fetch(&two, "2"));
    ack(&rig.guest, first);
    // And the end of theirs is not the end of its lease.
    rig_queue(&rig, &rig.host, "more");
    rig_flow(&rig, &rig.host, &rig.guest);
    lease(&rig.guest, &(struct kvpbus_filter){0}, NULL);
    ack(&rig.guest, slow);
    ack(&rig.guest, lease(&rig.guest, &(struct kvpbus_filter){0}, "more"));
}

Test(journal_request, replies_in_several_streams_do_not_wait_for_each_other)
{
    struct kvpbus_message_id one = request(0);
    reply_in("x", &one, KVPBUS_KIND_REPLY, "x1");
    reply_in("x", &one, KVPBUS_KIND_REPLY, "x2");
    reply_in("y", &one, KVPBUS_KIND_REPLY, "y1");
    int64_t x = fetch(&one, "x1");
    ack(&rig.guest, fetch(&one, "y1"));
    fetch(&one, NULL);
    ack(&rig.guest, x);
    ack(&rig.guest, fetch(&one, "x2"));
}

Test(journal_request, a_reply_waits_for_what_is_missing_before_it)
{
    struct kvpbus_message_id one = request(0);
    rig_queue(&rig, &rig.host, "first");
    struct kvpbus_sealed missing = rig_seal(&rig, &rig.host, 1000);
    uint8_t *bytes = rig_bytes(&rig.host, &missing);
    uint8_t correlation[KVPBUS_BUNDLE_ID_BYTES + 2] = {0};
    struct kvpbus_message message = rig_message("app.answer", "late");
    memcpy(correlation, one.bundle, sizeof one.bundle);
    correlation[sizeof correlation - 1] = (uint8_t)one.index;
    message.kind = KVPBUS_KIND_LAST_REPLY;
    message.correlation = correlation;
    message.correlation_length = sizeof correlation;
    rig_queue_message(&rig, &rig.host, &message, false);
    struct kvpbus_sealed second = rig_seal(&rig, &rig.host, 1000);
    rig_transfer(&rig, &rig.host, &rig.guest, &second);
    fetch(&one, NULL);
    rig_carry(&rig, &rig.guest, &missing, bytes, 0, missing.length, 700);
    ack(&rig.guest, fetch(&one, "late"));
    free(bytes);
}

// --- for how long ---

Test(journal_request, a_request_is_given_out_while_its_lifetime_lasts)
{
    request(5000);
    request(0);
    rig.now += 4999;
    int64_t first = lease(&rig.host, &(struct kvpbus_filter){0}, "question");
    rig.now += 1;
    IN(&rig.host, kvpbus_journal_nack(rig.host.journal, first, 0, "no", rig.now));
    // It holds nothing up although it has not been dropped yet.
    ack(&rig.host, lease(&rig.host, &(struct kvpbus_filter){0}, "question"));
    cr_assert_eq(rig_counts(&rig.host).inbox, 1);
    lease(&rig.host, &(struct kvpbus_filter){0}, NULL);
    end_leases(&rig.host);
    cr_assert_eq(rig_counts(&rig.host).inbox, 0);
    cr_assert_eq(rig_counts(&rig.host).dead_letters, 0);
}

Test(journal_request, dropping_one_leaves_the_lease_of_its_stream)
{
    request(5000);
    rig_queue(&rig, &rig.guest, "long work");
    rig_queue(&rig, &rig.guest, "next");
    rig_flow(&rig, &rig.guest, &rig.host);
    rig.now += 4900;
    int64_t work =
        lease(&rig.host, &(struct kvpbus_filter){.kinds = 1 << KVPBUS_KIND_EVENT}, "long work");
    rig.now += 500;
    end_leases(&rig.host);
    cr_assert_eq(rig_counts(&rig.host).inbox, 2);
    lease(&rig.host, &(struct kvpbus_filter){0}, NULL);
    ack(&rig.host, work);
    ack(&rig.host, lease(&rig.host, &(struct kvpbus_filter){0}, "next"));
}

Test(journal_request, the_lifetime_is_reckoned_from_the_arrival)
{
    const int64_t day = 24 * 60 * 60 * 1000;
    // The host's clock is a day ahead of the guest's, and is set right.
    struct kvpbus_message message = rig_message("app.ask", "question");
    message.kind = KVPBUS_KIND_REQUEST;
    message.ttl_ms = 5000;
    rig_queue_message(&rig, &rig.guest, &message, false);
    rig_seal(&rig, &rig.guest, 1000);
    rig.now += day;
    rig_flow(&rig, &rig.guest, &rig.host);
    ack(&rig.host, lease(&rig.host, &(struct kvpbus_filter){0}, "question"));
    request(5000);
    end_leases(&rig.host);
    rig.now -= day;
    end_leases(&rig.host);
    rig.now += 4999;
    lease(&rig.host, &(struct kvpbus_filter){0}, "question");
    rig.now += 1001;
    end_leases(&rig.host);
    cr_assert_eq(rig_counts(&rig.host).inbox, 0);
}

Test(journal_request, a_request_that_is_being_served_is_not_dropped)
{
    request(500);
    int64_t token = lease(&rig.host, &(struct kvpbus_filter){0}, "question");
    rig.now += 900;
    end_leases(&rig.host);
    ack(&rig.host, token);
}

Test(journal_request, replies_are_kept_a_minute_beyond_the_lifetime)
{
    struct kvpbus_message_id one = request(5000), two = request(5000);
    reply(&one, KVPBUS_KIND_LAST_REPLY, "1");
    reply(&two, KVPBUS_KIND_LAST_REPLY, "2");
    rig.now += 5000 + 59999;
    end_leases(&rig.guest);
    ack(&rig.guest, fetch(&one, "1"));
    rig.now += 1;
    fetch(&two, NULL);
    cr_assert_eq(rig_counts(&rig.guest).inbox, 1);
    end_leases(&rig.guest);
    cr_assert_eq(rig_counts(&rig.guest).inbox, 0);
    cr_assert_eq(rig_counts(&rig.guest).inbox_bytes, 0);
}

Test(journal_request, a_reply_to_nothing_is_dropped)
{
    struct kvpbus_message_id event = rig_queue(&rig, &rig.guest, "event"), none = event;
    rig_flow(&rig, &rig.guest, &rig.host);
    none.bundle[3] ^= 1;
    reply(&event, KVPBUS_KIND_LAST_REPLY, "a");
    reply(&none, KVPBUS_KIND_REPLY, "b");
    struct kvpbus_message message = rig_message("app.answer", "without an id");
    message.kind = KVPBUS_KIND_REPLY;
    rig_queue_message(&rig, &rig.host, &message, false);
    rig_flow(&rig, &rig.host, &rig.guest);
    fetch(&event, NULL);
    fetch(&none, NULL);
    end_leases(&rig.guest);
    cr_assert_eq(rig_counts(&rig.guest).inbox, 0);
    cr_assert_eq(rig_counts(&rig.guest).received, 3);
}

Test(journal_request, after_the_last_reply_more_are_dropped)
{
    struct kvpbus_message_id one = request(0);
    reply(&one, KVPBUS_KIND_LAST_REPLY, "last");
    reply(&one, KVPBUS_KIND_LAST_REPLY, "last again");
    ack(&rig.guest, fetch(&one, "last"));
    fetch(&one, NULL);
    reply(&one, KVPBUS_KIND_REPLY, "one more");
    fetch(&one, NULL);
    end_leases(&rig.guest);
    cr_assert_eq(rig_counts(&rig.guest).inbox, 0);
}

Test(journal_request, idle_streams_are_not_forgotten_while_replies_wait)
{
    struct kvpbus_message_id one = request((uint64_t)1 << 40);
    reply(&one, KVPBUS_KIND_LAST_REPLY, "kept");
    IN(&rig.guest,
       kvpbus_journal_prune(rig.guest.journal, rig.now + ((int64_t)1 << 35), 10000, &(bool){0}));
    ack(&rig.guest, fetch(&one, "kept"));
}

// --- what can still come ---

Test(journal_request, while_its_lifetime_lasts_a_reply_may_come)
{
    struct kvpbus_message_id one = request(5000), for_ever = request(0);
    struct kvpbus_awaited open = awaited(&one);
    cr_assert_not(open.over);
    cr_assert_eq(open.ends_ms, rig.now + 5000);
    cr_assert_not(awaited(&for_ever).over);
    cr_assert_eq(awaited(&for_ever).ends_ms, 0);
    rig.now += 5000;
    cr_assert(awaited(&one).over);
    cr_assert_eq(awaited(&one).outcome, KVPBUS_OUTCOME_EXPIRED);
    cr_assert_not(awaited(&for_ever).over);
}

Test(journal_request, one_that_was_not_delivered_gets_no_reply)
{
    int64_t next;
    struct kvpbus_message message = rig_message("app.ask", "question");
    message.kind = KVPBUS_KIND_REQUEST;
    message.ttl_ms = 500;
    rig_queue_message(&rig, &rig.guest, &message, false);
    cr_assert_not(awaited(&message.id).over);
    rig.now += 500;
    cr_assert(awaited(&message.id).over); // also before its outcome is known
    IN(&rig.guest, kvpbus_journal_expire(rig.guest.journal, rig.guest.peer, rig.now, &next));
    cr_assert_eq(awaited(&message.id).outcome, KVPBUS_OUTCOME_EXPIRED);
    message.ttl_ms = 0;
    rig_queue_message(&rig, &rig.guest, &message, false);
    IN(&rig.guest, kvpbus_journal_withdraw(rig.guest.journal, rig.guest.peer, &message.id));
    cr_assert(awaited(&message.id).over);
    cr_assert_str_eq(awaited(&message.id).reason, "it was withdrawn");
}

Test(journal_request, what_is_no_request_is_said)
{
    struct kvpbus_message_id event = rig_queue(&rig, &rig.guest, "event");
    struct kvpbus_awaited result;
    FAILS(&rig.guest, KVPBUS_INVALID_ARGUMENT,
          kvpbus_journal_awaited(rig.guest.journal, 0, &event, rig.now, &result));
    event.index++;
    cr_assert(awaited(&event).over);
    cr_assert_eq(awaited(&event).outcome, KVPBUS_OUTCOME_UNKNOWN);
}

Test(journal_request, the_last_reply_ends_it)
{
    struct kvpbus_message_id one = request(0);
    reply(&one, KVPBUS_KIND_REPLY, "a");
    reply(&one, KVPBUS_KIND_LAST_REPLY, "b");
    ack(&rig.guest, fetch(&one, "a"));
    cr_assert_not(awaited(&one).over);
    ack(&rig.guest, fetch(&one, "b"));
    cr_assert_eq(awaited(&one).outcome, KVPBUS_OUTCOME_DELIVERED);
}
