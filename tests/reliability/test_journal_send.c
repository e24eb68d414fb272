// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal_rig.h"

enum { BODY_MAX = 64 * 1024, BOX = 256 * 1024, RESERVE = 64 * 1024 };

static struct journal_rig rig;

static void setup(void)
{
    struct kvpbus_journal_options options = {
        .outbox_max = BOX,
        .inbox_max = BOX,
        .control_reserve = RESERVE,
        .body_max = BODY_MAX,
    };
    rig_open(&rig, &options);
    rig_sync(&rig);
}

static void teardown(void)
{
    rig_close(&rig);
}

TestSuite(journal_send, .init = setup, .fini = teardown);

static enum kvpbus_error seal(size_t target, struct kvpbus_sealed *sealed)
{
    return kvpbus_journal_seal(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL, target,
                               rig.host.identity, rig.host.secret, rig.now, sealed);
}

static int64_t expire(int64_t now)
{
    int64_t next;
    IN(&rig.host, kvpbus_journal_expire(rig.host.journal, rig.host.peer, now, &next));
    return next;
}

Test(journal_send, messages_of_one_class_share_a_bundle)
{
    struct kvpbus_message_id a = rig_queue(&rig, &rig.host, "a");
    struct kvpbus_message_id b = rig_queue(&rig, &rig.host, "b");
    struct kvpbus_message control = rig_message("t", "c");
    control.class_ = KVPBUS_CLASS_CONTROL;
    struct kvpbus_message_id c = rig_queue_message(&rig, &rig.host, &control, false);
    cr_assert_arr_eq(a.bundle, b.bundle, sizeof a.bundle);
    cr_assert_neq(memcmp(a.bundle, c.bundle, sizeof a.bundle), 0);
    cr_assert(a.index == 0 && b.index == 1 && c.index == 0);
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.host, 1000);
    cr_assert_arr_eq(sealed.id, a.bundle, sizeof a.bundle);
    cr_assert_eq(sealed.number, 1);
    // What comes after the sealing has another id.
    struct kvpbus_message_id d = rig_queue(&rig, &rig.host, "d");
    cr_assert_neq(memcmp(a.bundle, d.bundle, sizeof a.bundle), 0);
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "c a b d");
}

Test(journal_send, a_bundle_ends_at_its_target)
{
    char body[1000];
    struct kvpbus_message_id ids[10];
    for (int i = 0; i < 10; i++) {
        rig_noise(body, sizeof body);
        ids[i] = rig_queue(&rig, &rig.host, body);
    }
    struct kvpbus_sealed first = rig_seal(&rig, &rig.host, 3500);
    struct kvpbus_sealed second = rig_seal(&rig, &rig.host, 1); // one at least
    struct kvpbus_sealed third = rig_seal(&rig, &rig.host, BODY_MAX);
    cr_assert(first.length > 2500 && first.length < 3600);
    cr_assert(second.length > 800 && second.length < 1200);
    cr_assert_gt(third.length, 4500);
    bool waiting;
    IN(&rig.host,
       kvpbus_journal_waiting(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL, &waiting));
    cr_assert_not(waiting);
    rig_flow(&rig, &rig.host, &rig.guest);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(rig_outcome(&rig.host, &ids[i]), KVPBUS_OUTCOME_DELIVERED);
    cr_assert_eq(rig_counts(&rig.guest).inbox, 10);
}

Test(journal_send, a_bundle_has_no_more_messages_than_the_format_allows)
{
    cr_assert_eq(kvpbus_journal_begin(rig.host.journal), KVPBUS_OK);
    for (int i = 0; i < KVPBUS_BUNDLE_MESSAGES_MAX + 3; i++) {
        struct kvpbus_message message = rig_message("t", "");
        cr_assert_eq(
            kvpbus_journal_queue(rig.host.journal, rig.host.peer, &message, false, rig.now),
            KVPBUS_OK);
    }
    cr_assert_eq(kvpbus_journal_commit(rig.host.journal, NULL), KVPBUS_OK);
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_eq(rig_counts(&rig.guest).inbox, KVPBUS_BUNDLE_MESSAGES_MAX + 3);
    cr_assert_eq(rig_counts(&rig.host).delivered, KVPBUS_BUNDLE_MESSAGES_MAX + 3);
}

Test(journal_send, only_a_window_of_bundles_is_under_way)
{
    struct kvpbus_sealed sealed, open[KVPBUS_BUNDLE_WINDOW];
    size_t count;
    FAILS(&rig.host, KVPBUS_NOT_FOUND, seal(1000, &sealed));
    for (int i = 0; i < KVPBUS_BUNDLE_WINDOW; i++) {
        rig_queue(&rig, &rig.host, "a");
        rig_seal(&rig, &rig.host, 1000);
    }
    rig_queue(&rig, &rig.host, "a");
    FAILS(&rig.host, KVPBUS_BUSY, seal(1000, &sealed));
    // The second is done, the first is not: the window does not move.
    IN(&rig.host,
       kvpbus_journal_delivered(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL, 2));
    FAILS(&rig.host, KVPBUS_BUSY, seal(1000, &sealed));
    IN(&rig.host, kvpbus_journal_open_bundles(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL,
                                              open, &count));
    cr_assert_eq(count, KVPBUS_BUNDLE_WINDOW);
    cr_assert(open[1].delivered && !open[0].delivered && !open[0].void_);
    IN(&rig.host,
       kvpbus_journal_delivered(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL, 1));
    IN(&rig.host, seal(1000, &sealed));
    cr_assert_eq(sealed.number, 5);
    FAILS(&rig.host, KVPBUS_NOT_FOUND,
          kvpbus_journal_delivered(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL, 6));
}

Test(journal_send, sealed_bytes_are_read_anywhere)
{
    static char body[BODY_MAX * 3 / 4];
    struct kvpbus_message message = rig_message("t", body);
    rig_noise(body, sizeof body);
    message.body_length = sizeof body;
    rig_queue_message(&rig, &rig.host, &message, false);
    rig_queue(&rig, &rig.host, body);
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.host, BOX);
    uint8_t *all = rig_bytes(&rig.host, &sealed), piece[100];
    cr_assert_gt(sealed.length, 64 * 1024 + 50, "the bundle should have two parts");
    IN(&rig.host, kvpbus_journal_read_sealed(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL,
                                             1, 64 * 1024 - 50, piece, 100));
    cr_assert_arr_eq(piece, all + 64 * 1024 - 50, 100);
    IN(&rig.host, kvpbus_journal_read_sealed(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL,
                                             1, sealed.length - 1, piece, 1));
    cr_assert_eq(piece[0], all[sealed.length - 1]);
    FAILS(&rig.host, KVPBUS_INVALID_ARGUMENT,
          kvpbus_journal_read_sealed(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL, 1,
                                     sealed.length - 1, piece, 2));
    FAILS(&rig.host, KVPBUS_NOT_FOUND,
          kvpbus_journal_read_sealed(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL, 2, 0,
                                     piece, 1));
    free(all);
}

Test(journal_send, every_field_arrives)
{
    struct kvpbus_header headers[] = {{"a", "1"}, {"b", ""}};
    uint8_t signature[64] = {5, 6, 7}, body[] = {0, 255, 0, 1};
    struct kvpbus_message message = {
        .topic = "a.b-c.D_1",
        .stream = "str/eam",
        .class_ = KVPBUS_CLASS_BULK,
        .ttl_ms = 5000,
        .kind = KVPBUS_KIND_REQUEST,
        .status = -3,
        .correlation = (const uint8_t *)"corr",
        .correlation_length = 4,
        .headers = headers,
        .header_count = 2,
        .body = body,
        .body_length = sizeof body,
        .operator_signature = signature,
    };
    rig_queue_message(&rig, &rig.host, &message, false);
    rig_flow(&rig, &rig.host, &rig.guest);
    struct kvpbus_delivery *delivery;
    IN(&rig.guest,
       kvpbus_journal_lease(rig.guest.journal, &(struct kvpbus_filter){.pattern = "a.*.>"}, 1000,
                            rig.now, &delivery));
    const struct kvpbus_message *got = &delivery->message;
    cr_assert_eq(delivery->peer, rig.guest.peer);
    cr_assert_arr_eq(got->id.bundle, message.id.bundle, sizeof got->id.bundle);
    cr_assert_eq(got->id.index, message.id.index);
    cr_assert_str_eq(got->topic, message.topic);
    cr_assert_str_eq(got->stream, message.stream);
    cr_assert_eq(got->class_, message.class_);
    cr_assert_eq(got->sequence, 1);
    cr_assert_eq(got->created_ms, rig.now);
    cr_assert_eq(got->ttl_ms, 5000);
    cr_assert_eq(got->kind, message.kind);
    cr_assert_eq(got->status, -3);
    cr_assert_eq(got->correlation_length, 4);
    cr_assert_arr_eq(got->correlation, "corr", 4);
    cr_assert_eq(got->header_count, 2);
    cr_assert_str_eq(got->headers[1].name, "b");
    cr_assert_str_eq(got->headers[1].value, "");
    cr_assert_eq(got->body_length, sizeof body);
    cr_assert_arr_eq(got->body, body, sizeof body);
    cr_assert_arr_eq(got->operator_signature, signature, sizeof signature);
    kvpbus_delivery_free(delivery);
}

Test(journal_send, a_message_that_is_none_is_refused)
{
    struct kvpbus_message message = rig_message("no topic", "a");
    FAILS(&rig.host, KVPBUS_BAD_TOPIC,
          kvpbus_journal_queue(rig.host.journal, rig.host.peer, &message, false, rig.now));
    message = rig_message("t", "a");
    message.body_length = BODY_MAX + 1;
    FAILS(&rig.host, KVPBUS_TOO_LARGE,
          kvpbus_journal_queue(rig.host.journal, rig.host.peer, &message, false, rig.now));
    message = rig_message("t", "a");
    FAILS(&rig.host, KVPBUS_NOT_FOUND,
          kvpbus_journal_queue(rig.host.journal, 77, &message, false, rig.now));
}

// --- quotas ---

static enum kvpbus_error queue_big(enum kvpbus_class class_, size_t length)
{
    static char body[BODY_MAX];
    rig_noise(body, sizeof body);
    struct kvpbus_message message = rig_message("t", body);
    message.class_ = class_;
    message.body_length = length;
    cr_assert_eq(kvpbus_journal_begin(rig.host.journal), KVPBUS_OK);
    enum kvpbus_error error =
        kvpbus_journal_queue(rig.host.journal, rig.host.peer, &message, false, rig.now);
    if (error == KVPBUS_OK)
        cr_assert_eq(kvpbus_journal_commit(rig.host.journal, NULL), KVPBUS_OK);
    else
        kvpbus_journal_rollback(rig.host.journal);
    return error;
}

Test(journal_send, the_outbox_has_a_quota_with_a_reserve_for_control)
{
    size_t count = 0;
    while (queue_big(KVPBUS_CLASS_NORMAL, 30000) == KVPBUS_OK)
        count++;
    cr_assert_eq(count, (BOX - RESERVE) / 30100);
    cr_assert_eq(queue_big(KVPBUS_CLASS_BULK, 30000), KVPBUS_QUOTA);
    cr_assert_eq(queue_big(KVPBUS_CLASS_CONTROL, 30000), KVPBUS_OK);
    while (queue_big(KVPBUS_CLASS_CONTROL, 30000) == KVPBUS_OK)
        count++;
    // Whose it is, how much, and what helps.
    const char *said = kvpbus_journal_failure(rig.host.journal)->detail;
    cr_assert(strstr(said, "outbox of other") != NULL && strstr(said, "outbox_max is ") != NULL &&
                  strstr(said, "raise it") != NULL,
              "%s", said);
    cr_assert_leq(rig_counts(&rig.host).queued_bytes, BOX);
    // Nothing was dropped, and once they are delivered there is room again.
    cr_assert_eq(rig_counts(&rig.host).queued, count + 1);
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_eq(rig_counts(&rig.host).queued_bytes, 0);
    cr_assert_eq(queue_big(KVPBUS_CLASS_NORMAL, 30000), KVPBUS_OK);
}

Test(journal_send, what_is_kept_to_be_sent_again_is_bounded)
{
    char body[20000] = "";
    struct kvpbus_message message = rig_message("t", body);
    for (int i = 0; i < 30; i++) {
        rig_noise(body, sizeof body);
        message.body_length = sizeof body;
        rig_queue_message(&rig, &rig.host, &message, true);
        rig_flow(&rig, &rig.host, &rig.guest);
        rig_consume(&rig, &rig.guest);
    }
    cr_assert_eq(rig_counts(&rig.host).delivered, 30);
    uint8_t byte;
    FAILS(&rig.host, KVPBUS_NOT_FOUND,
          kvpbus_journal_read_sealed(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL, 1, 0,
                                     &byte, 1));
    IN(&rig.host, kvpbus_journal_read_sealed(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL,
                                             30, 0, &byte, 1));
}

// --- lifetimes ---

static struct kvpbus_message_id queue_ttl(const char *body, uint64_t ttl)
{
    struct kvpbus_message message = rig_message("t", body);
    message.ttl_ms = ttl;
    return rig_queue_message(&rig, &rig.host, &message, false);
}

Test(journal_send, a_lifetime_that_ends_before_sealing)
{
    struct kvpbus_message_id a = queue_ttl("a", 1000), b = rig_queue(&rig, &rig.host, "b");
    struct kvpbus_message_id c = queue_ttl("c", UINT64_MAX);
    cr_assert_eq(expire(rig.now + 999), rig.now + 1000);
    cr_assert_eq(rig_outcome(&rig.host, &a), KVPBUS_OUTCOME_PENDING);
    cr_assert_eq(expire(rig.now + 1000), INT64_MAX);
    cr_assert_eq(rig_outcome(&rig.host, &a), KVPBUS_OUTCOME_EXPIRED);
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "b c");
    cr_assert_eq(rig_outcome(&rig.host, &b), KVPBUS_OUTCOME_DELIVERED);
    cr_assert_eq(rig_outcome(&rig.host, &c), KVPBUS_OUTCOME_DELIVERED);
    cr_assert_eq(rig_counts(&rig.host).expired, 1);
}

Test(journal_send, sealing_leaves_out_what_has_ended)
{
    struct kvpbus_message_id a = queue_ttl("a", 1000);
    struct kvpbus_sealed sealed;
    rig.now += 1000;
    cr_assert_eq(kvpbus_journal_begin(rig.host.journal), KVPBUS_OK);
    cr_assert_eq(seal(1000, &sealed), KVPBUS_NOT_FOUND);
    cr_assert_eq(kvpbus_journal_commit(rig.host.journal, NULL), KVPBUS_OK);
    cr_assert_eq(rig_outcome(&rig.host, &a), KVPBUS_OUTCOME_EXPIRED);
    struct kvpbus_journal_counts counts = rig_counts(&rig.host);
    cr_assert(counts.queued == 0 && counts.queued_bytes == 0);
}

Test(journal_send, withdrawing)
{
    struct kvpbus_message_id a = rig_queue(&rig, &rig.host, "a"), none = {.index = 3};
    IN(&rig.host, kvpbus_journal_withdraw(rig.host.journal, rig.host.peer, &a));
    struct kvpbus_message_status status;
    IN(&rig.host, kvpbus_journal_status(rig.host.journal, rig.host.peer, &a, &status));
    cr_assert_eq(status.outcome, KVPBUS_OUTCOME_EXPIRED);
    cr_assert_not_null(strstr(status.reason, "withdrawn"));
    FAILS(&rig.host, KVPBUS_NOT_FOUND,
          kvpbus_journal_withdraw(rig.host.journal, rig.host.peer, &a));
    FAILS(&rig.host, KVPBUS_NOT_FOUND,
          kvpbus_journal_withdraw(rig.host.journal, rig.host.peer, &none));
    // A sealed one is in question until the peer has answered.
    struct kvpbus_message_id b = rig_queue(&rig, &rig.host, "b");
    rig_seal(&rig, &rig.host, 1000);
    IN(&rig.host, kvpbus_journal_status(rig.host.journal, rig.host.peer, &b, &status));
    cr_assert_gt(status.length, 124);
    IN(&rig.host, kvpbus_journal_withdraw(rig.host.journal, rig.host.peer, &b));
    cr_assert_eq(rig_outcome(&rig.host, &b), KVPBUS_OUTCOME_PENDING);
    rig_gaps(&rig, &rig.host, &rig.guest);
    cr_assert_eq(rig_outcome(&rig.host, &b), KVPBUS_OUTCOME_EXPIRED);
}
