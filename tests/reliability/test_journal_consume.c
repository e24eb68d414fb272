// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>
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

TestSuite(journal_consume, .init = setup, .fini = teardown);

static void send(const char *topic, const char *stream, const char *body)
{
    struct kvpbus_message message = rig_message(topic, body);
    message.stream = stream;
    rig_queue_message(&rig, &rig.host, &message, false);
    rig_flow(&rig, &rig.host, &rig.guest);
}

// The lease of the next message, whose body it must be; 0: none.
static int64_t lease(const char *pattern, const char *body)
{
    struct kvpbus_delivery *delivery;
    cr_assert_eq(kvpbus_journal_begin(rig.guest.journal), KVPBUS_OK);
    enum kvpbus_error error = kvpbus_journal_lease(
        rig.guest.journal, &(struct kvpbus_filter){.pattern = pattern}, 1000, rig.now, &delivery);
    cr_assert_eq(kvpbus_journal_commit(rig.guest.journal, NULL), KVPBUS_OK);
    if (error == KVPBUS_NOT_FOUND) {
        cr_assert_null(body, "there is no message, but %s should be", body);
        cr_assert_null(delivery);
        return 0;
    }
    cr_assert_eq(error, KVPBUS_OK);
    cr_assert_not_null(body, "a message that should not go out");
    cr_assert_eq(delivery->message.body_length, strlen(body));
    cr_assert_arr_eq(delivery->message.body, body, strlen(body));
    int64_t token = delivery->lease;
    kvpbus_delivery_free(delivery);
    return token;
}

static void ack(int64_t token)
{
    IN(&rig.guest, kvpbus_journal_ack(rig.guest.journal, token));
}

static void nack(int64_t token, uint64_t delay)
{
    IN(&rig.guest, kvpbus_journal_nack(rig.guest.journal, token, delay, "no", rig.now));
}

static int64_t end_leases(void)
{
    int64_t next;
    IN(&rig.guest, kvpbus_journal_leases_end(rig.guest.journal, rig.now, &next));
    return next;
}

Test(journal_consume, one_lease_at_a_time_per_stream)
{
    send("t", "s", "a");
    send("t", "s", "b");
    send("t", "other", "c");
    int64_t a = lease(NULL, "a"), c = lease(NULL, "c");
    lease(NULL, NULL);
    ack(a);
    int64_t b = lease(NULL, "b");
    ack(c);
    ack(b);
    lease(NULL, NULL);
    FAILS(&rig.guest, KVPBUS_NOT_FOUND, kvpbus_journal_ack(rig.guest.journal, a));
    struct kvpbus_journal_counts counts = rig_counts(&rig.guest);
    cr_assert(counts.inbox == 0 && counts.inbox_bytes == 0 && counts.received == 3);
}

Test(journal_consume, a_refused_message_comes_back_first)
{
    send("t", "s", "a");
    send("t", "s", "b");
    nack(lease(NULL, "a"), 0);
    int64_t again = lease(NULL, "a");
    ack(again);
    ack(lease(NULL, "b"));
}

Test(journal_consume, a_delay_holds_its_stream_and_no_other)
{
    send("t", "s", "a");
    send("t", "s", "b");
    send("t", "other", "c");
    nack(lease(NULL, "a"), 500);
    cr_assert_eq(end_leases(), rig.now + 500);
    ack(lease(NULL, "c"));
    lease(NULL, NULL);
    rig.now += 500;
    cr_assert_eq(end_leases(), 0);
    ack(lease(NULL, "a"));
    ack(lease(NULL, "b"));
}

Test(journal_consume, a_lease_that_runs_out_comes_back)
{
    send("t", "s", "a");
    int64_t first = lease(NULL, "a");
    cr_assert_eq(end_leases(), rig.now + 1000);
    rig.now += 1000;
    lease(NULL, NULL);
    cr_assert_eq(end_leases(), 0);
    int64_t second = lease(NULL, "a");
    cr_assert_neq(first, second);
    FAILS(&rig.guest, KVPBUS_NOT_FOUND, kvpbus_journal_ack(rig.guest.journal, first));
    FAILS(&rig.guest, KVPBUS_NOT_FOUND,
          kvpbus_journal_nack(rig.guest.journal, first, 0, NULL, rig.now));
    ack(second);
}

Test(journal_consume, a_lease_can_be_made_longer)
{
    send("t", "s", "a");
    int64_t token = lease(NULL, "a");
    rig.now += 900;
    IN(&rig.guest, kvpbus_journal_extend(rig.guest.journal, token, 5000, rig.now));
    cr_assert_eq(end_leases(), rig.now + 5000);
    rig.now += 4999;
    end_leases();
    lease(NULL, NULL);
    ack(token);
    FAILS(&rig.guest, KVPBUS_NOT_FOUND,
          kvpbus_journal_extend(rig.guest.journal, token, 5000, rig.now));
}

Test(journal_consume, a_rejected_message_is_a_dead_letter_at_once)
{
    send("t", "s", "a");
    send("t", "s", "b");
    int64_t token = lease(NULL, "a");
    IN(&rig.guest, kvpbus_journal_reject(rig.guest.journal, token, "never", rig.now));
    FAILS(&rig.guest, KVPBUS_NOT_FOUND,
          kvpbus_journal_reject(rig.guest.journal, token, "never", rig.now));
    ack(lease(NULL, "b"));
    cr_assert_eq(rig_counts(&rig.guest).dead_letters, 1);
}

Test(journal_consume, a_clock_that_is_set_back_does_not_make_leases_longer)
{
    const int64_t day = 24 * 60 * 60 * 1000;
    send("t", "s", "a");
    rig.now += day;
    lease(NULL, "a");
    rig.now -= day;
    cr_assert_eq(end_leases(), rig.now + 1000);
    lease(NULL, NULL);
    rig.now += 1000;
    cr_assert_eq(end_leases(), 0);
    ack(lease(NULL, "a"));
}

Test(journal_consume, a_restart_ends_leases)
{
    send("t", "s", "a");
    lease(NULL, "a");
    side_reopen(&rig.guest);
    ack(lease(NULL, "a"));
}

Test(journal_consume, after_its_tries_a_message_is_a_dead_letter)
{
    send("t", "s", "a");
    send("t", "s", "b");
    for (int i = 0; i < 3; i++)
        nack(lease(NULL, "a"), 0);
    ack(lease(NULL, "b")); // the stream goes on
    struct kvpbus_journal_counts counts = rig_counts(&rig.guest);
    cr_assert(counts.dead_letters == 1 && counts.inbox == 0);
    // Leases that run out count too.
    send("t", "s", "c");
    for (int i = 0; i < 3; i++) {
        lease(NULL, "c");
        rig.now += 1000;
        end_leases();
    }
    cr_assert_eq(rig_counts(&rig.guest).dead_letters, 2);
    lease(NULL, NULL);
}

Test(journal_consume, a_pattern_sees_only_what_it_matches)
{
    send("a.x", "s", "1");
    send("b.x", "s", "2");
    send("a.y", "s", "3");
    lease("c.>", NULL);
    int64_t second = lease("b.*", "2");
    lease("a.>", NULL); // the stream has its lease
    ack(second);
    ack(lease("a.*", "1"));
    ack(lease("a.y", "3"));
    cr_assert_eq(rig_counts(&rig.guest).inbox, 0);
    struct kvpbus_delivery *delivery;
    FAILS(&rig.guest, KVPBUS_BAD_TOPIC,
          kvpbus_journal_lease(rig.guest.journal, &(struct kvpbus_filter){.pattern = "a..b"}, 1000,
                               rig.now, &delivery));
}

Test(journal_consume, a_delayed_message_does_not_hold_up_another_pattern)
{
    send("a", "s", "1");
    send("b", "s", "2");
    nack(lease("a", "1"), 500);
    lease("a", NULL);
    ack(lease("b", "2"));
}

Test(journal_consume, the_oldest_goes_first_but_control_before_all)
{
    send("t", "y", "1");
    send("t", "x", "2");
    struct kvpbus_message message = rig_message("t", "3");
    message.class_ = KVPBUS_CLASS_CONTROL;
    rig_queue_message(&rig, &rig.host, &message, false);
    rig_flow(&rig, &rig.host, &rig.guest);
    send("t", "y", "4");
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "3 1 2 4");
}

Test(journal_consume, only_of_one_peer)
{
    static const uint8_t vm[KVPBUS_VM_ID_BYTES] = {77};
    struct kvpbus_peer other;
    struct kvpbus_delivery *delivery;
    rig_queue(&rig, &rig.guest, "a");
    rig_flow(&rig, &rig.guest, &rig.host);
    IN(&rig.host, kvpbus_journal_peer(rig.host.journal, vm, "other", &other));
    FAILS(&rig.host, KVPBUS_NOT_FOUND,
          kvpbus_journal_lease(rig.host.journal, &(struct kvpbus_filter){.peer = other.id}, 1000,
                               rig.now, &delivery));
    IN(&rig.host,
       kvpbus_journal_lease(rig.host.journal, &(struct kvpbus_filter){.peer = rig.host.peer}, 1000,
                            rig.now, &delivery));
    kvpbus_delivery_free(delivery);
}

Test(journal_consume, a_lease_may_last_for_ever)
{
    struct kvpbus_delivery *delivery;
    send("t", "s", "a");
    IN(&rig.guest, kvpbus_journal_lease(rig.guest.journal, &(struct kvpbus_filter){0}, UINT64_MAX,
                                        rig.now, &delivery));
    rig.now += (int64_t)1 << 50;
    cr_assert_eq(end_leases(), INT64_MAX);
    ack(delivery->lease);
    kvpbus_delivery_free(delivery);
}
