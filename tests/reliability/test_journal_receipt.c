// SPDX-License-Identifier: Apache-2.0
//
// Receipts, and what is known of a message afterwards. The host sends, the guest consumes.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal_rig.h"

static struct journal_rig rig;

static void setup(void)
{
    struct kvpbus_journal_options options = {.tries_max = 2};
    rig_open(&rig, &options);
    rig_sync(&rig);
}

static void teardown(void)
{
    rig_close(&rig);
}

TestSuite(journal_receipt, .init = setup, .fini = teardown);

static struct kvpbus_message_id ask(const char *body, bool resend)
{
    struct kvpbus_message message = rig_message("a.b", body);
    message.receipt = true;
    return rig_queue_message(&rig, &rig.host, &message, resend);
}

static void there(void)
{
    rig_flow(&rig, &rig.host, &rig.guest);
}

static void back(void)
{
    rig_flow(&rig, &rig.guest, &rig.host);
}

static int64_t lease(void)
{
    struct kvpbus_delivery *delivery = NULL;
    IN(&rig.guest, kvpbus_journal_lease(rig.guest.journal, &(struct kvpbus_filter){0}, 1000,
                                        rig.now, &delivery));
    int64_t token = delivery->lease;
    kvpbus_delivery_free(delivery);
    return token;
}

static void ack(void)
{
    int64_t token = lease();
    IN(&rig.guest, kvpbus_journal_ack(rig.guest.journal, token));
}

static void nack(const char *reason)
{
    int64_t token = lease();
    IN(&rig.guest, kvpbus_journal_nack(rig.guest.journal, token, 0, reason, rig.now));
}

static struct kvpbus_message_status status_of(const struct kvpbus_message_id *id)
{
    struct kvpbus_message_status status;
    IN(&rig.host, kvpbus_journal_status(rig.host.journal, rig.host.peer, id, &status));
    return status;
}

static struct kvpbus_message_record show(struct journal_side *side,
                                         const struct kvpbus_message_id *id)
{
    struct kvpbus_message_record records[2];
    size_t count;
    IN(side, kvpbus_journal_show(side->journal, id, records, 2, &count));
    cr_assert_eq(count, 1);
    return records[0];
}

// One message of the guest's class control with this body, as a hostile guest would send it.
static struct kvpbus_fragment_result forge(const void *body, size_t length,
                                           enum kvpbus_class class_)
{
    struct kvpbus_message message = {
        .id.bundle = {9, 9, 9},
        .topic = "receipt",
        .stream = "receipt",
        .class_ = class_,
        .sequence = 1,
        .kind = KVPBUS_KIND_RECEIPT,
        .body = body,
        .body_length = length,
    };
    struct kvpbus_peer peer;
    struct kvpbus_route route = {.recipient = KVPBUS_ROLE_HOST};
    struct kvpbus_bundle_position place = {.class_ = class_, .number = 1, .id = {9, 9, 9}};
    IN(&rig.guest, kvpbus_journal_peer_get(rig.guest.journal, rig.guest.peer, &peer));
    memcpy(route.sender, rig.guest.identity, sizeof route.sender);
    memcpy(route.vm, peer.vm, sizeof route.vm);
    memcpy(place.timeline, peer.timeline, sizeof place.timeline);
    uint8_t *bytes;
    size_t sealed_length;
    cr_assert_eq(kvpbus_bundle_seal(&route, rig.guest.secret, &place, &message, 1, 1 << 20, &bytes,
                                    &sealed_length, NULL),
                 KVPBUS_OK);
    struct kvpbus_sealed sealed = {
        .class_ = class_, .number = 1, .length = (uint32_t)sealed_length};
    struct kvpbus_fragment_result result =
        rig_carry(&rig, &rig.host, &sealed, bytes, 0, sealed.length, 700);
    free(bytes);
    return result;
}

static size_t entry(uint8_t *at, const struct kvpbus_message_id *id, uint8_t fate,
                    const char *reason)
{
    memcpy(at, id->bundle, sizeof id->bundle);
    at[16] = (uint8_t)(id->index >> 8);
    at[17] = (uint8_t)id->index;
    at[18] = fate;
    at[19] = (uint8_t)strlen(reason);
    memcpy(at + 20, reason, strlen(reason));
    return 20 + strlen(reason);
}

// --- receipts ---

Test(journal_receipt, an_acknowledgement_is_told_once)
{
    struct kvpbus_message_id asked = ask("one", false);
    struct kvpbus_message_id other = rig_queue(&rig, &rig.host, "two");
    there();
    cr_assert_eq(status_of(&asked).outcome, KVPBUS_OUTCOME_DELIVERED);
    back();
    cr_assert(!status_of(&asked).consumed, "nobody has taken it");
    cr_assert(!rig_counts(&rig.guest).receipts);

    rig.now += 1000;
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "one two");
    cr_assert_eq(kvpbus_journal_receipts_due(rig.guest.journal), rig.guest.peer);
    cr_assert_eq(kvpbus_journal_receipts_due(rig.guest.journal), 0);
    cr_assert(rig_counts(&rig.guest).receipts);
    rig.now += 1000;
    back();
    cr_assert(!rig_counts(&rig.guest).receipts);
    struct kvpbus_message_status status = status_of(&asked);
    cr_assert(status.consumed && status.outcome == KVPBUS_OUTCOME_DELIVERED);
    cr_assert(!status_of(&other).consumed);

    // It is for the journal alone: no consumer sees it, nobody counts it, and it has no receipt.
    cr_assert_str_eq(rig_consume(&rig, &rig.host), "");
    struct kvpbus_journal_counts counts = rig_counts(&rig.host);
    cr_assert(counts.received == 0 && counts.inbox == 0 && !counts.receipts);
    counts = rig_counts(&rig.guest);
    cr_assert(counts.delivered == 0 && counts.queued == 0);
    bool waiting;
    IN(&rig.guest,
       kvpbus_journal_waiting(rig.guest.journal, rig.guest.peer, KVPBUS_CLASS_CONTROL, &waiting));
    cr_assert(!waiting);
}

Test(journal_receipt, a_dead_letter_makes_the_outcome_dead)
{
    struct kvpbus_message_id id = ask("one", false);
    there();
    for (int i = 0; i < 2; i++)
        nack("no \x1b[31mway\xc3\xa9");
    cr_assert_eq(rig_counts(&rig.guest).dead_letters, 1);
    back();
    struct kvpbus_message_status status = status_of(&id);
    cr_assert_eq(status.outcome, KVPBUS_OUTCOME_DEAD);
    cr_assert(!status.consumed);
    cr_assert_str_eq(status.reason, "no ?[31mway??", "nothing that a terminal would obey");
    struct kvpbus_journal_counts counts = rig_counts(&rig.host);
    cr_assert(counts.dead == 1 && counts.delivered == 0);
}

Test(journal_receipt, one_that_overtakes_the_acknowledgement_waits_for_it)
{
    struct kvpbus_message_id one = ask("one", false);
    struct kvpbus_sealed first = rig_seal(&rig, &rig.host, 100000);
    struct kvpbus_message_id two = ask("two", false);
    struct kvpbus_sealed second = rig_seal(&rig, &rig.host, 100000);
    uint8_t *bytes = rig_bytes(&rig.host, &first);
    rig_carry(&rig, &rig.guest, &first, bytes, 0, first.length, 700);
    free(bytes);
    bytes = rig_bytes(&rig.host, &second);
    rig_carry(&rig, &rig.guest, &second, bytes, 0, second.length, 700);
    free(bytes);
    ack();
    for (int i = 0; i < 2; i++)
        nack("no");
    back();
    cr_assert_eq(status_of(&one).outcome, KVPBUS_OUTCOME_PENDING);
    cr_assert_eq(status_of(&two).outcome, KVPBUS_OUTCOME_PENDING);
    IN(&rig.host, kvpbus_journal_delivered(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL,
                                           first.number));
    IN(&rig.host, kvpbus_journal_delivered(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL,
                                           second.number));
    cr_assert(status_of(&one).outcome == KVPBUS_OUTCOME_DELIVERED && status_of(&one).consumed);
    cr_assert_eq(status_of(&two).outcome, KVPBUS_OUTCOME_DEAD);
    cr_assert_str_eq(status_of(&two).reason, "no");
    struct kvpbus_journal_counts counts = rig_counts(&rig.host);
    cr_assert(counts.queued == 0 && counts.delivered == 1 && counts.dead == 1);
}

Test(journal_receipt, many_share_a_message)
{
    enum { MANY = 2000 };
    static struct kvpbus_message_id ids[MANY];
    for (int i = 0; i < MANY; i++)
        ids[i] = ask("x", false);
    there();
    rig_consume(&rig, &rig.guest);
    struct kvpbus_sealed sealed;
    int bundles = 0;
    for (; rig_counts(&rig.guest).receipts; bundles++) {
        IN(&rig.guest,
           kvpbus_journal_seal(rig.guest.journal, rig.guest.peer, KVPBUS_CLASS_CONTROL, 100000,
                               rig.guest.identity, rig.guest.secret, rig.now, &sealed));
        rig_transfer(&rig, &rig.guest, &rig.host, &sealed);
    }
    cr_assert_leq(bundles, 3);
    for (int i = 0; i < MANY; i++)
        cr_assert(status_of(&ids[i]).consumed, "message %d", i);
}

Test(journal_receipt, a_full_outbox_does_not_hold_an_acknowledgement_up)
{
    rig_close(&rig);
    struct kvpbus_journal_options options = {.outbox_max = 64 * 1024,
                                             .control_reserve = 1024,
                                             .body_max = 20000,
                                             .inbox_max = 128 * 1024};
    rig_open(&rig, &options);
    rig_sync(&rig);
    struct kvpbus_message_id id = ask("one", false);
    there();
    char body[1000];
    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    struct kvpbus_message message = rig_message("t", body);
    message.class_ = KVPBUS_CLASS_CONTROL;
    while (rig_counts(&rig.guest).queued_bytes + 1100 < options.outbox_max)
        rig_queue_message(&rig, &rig.guest, &message, false);
    message.body_length = 0;
    while (rig_counts(&rig.guest).queued_bytes + 50 < options.outbox_max)
        rig_queue_message(&rig, &rig.guest, &message, false);
    FAILS(&rig.guest, KVPBUS_QUOTA,
          kvpbus_journal_queue(rig.guest.journal, rig.guest.peer, &message, false, rig.now));
    ack();
    back();
    cr_assert(status_of(&id).consumed);
}

Test(journal_receipt, a_peer_that_takes_no_receipts_gets_less_room)
{
    uint64_t before[KVPBUS_CLASS_COUNT], after[KVPBUS_CLASS_COUNT];
    IN(&rig.guest, kvpbus_journal_room(rig.guest.journal, rig.guest.peer, before));
    for (int i = 0; i < 100; i++)
        ask("x", false);
    there();
    rig_consume(&rig, &rig.guest);
    IN(&rig.guest, kvpbus_journal_room(rig.guest.journal, rig.guest.peer, after));
    cr_assert_eq(before[KVPBUS_CLASS_NORMAL] - after[KVPBUS_CLASS_NORMAL], 100 * 256);
    back();
    IN(&rig.guest, kvpbus_journal_room(rig.guest.journal, rig.guest.peer, after));
    cr_assert_eq(before[KVPBUS_CLASS_NORMAL], after[KVPBUS_CLASS_NORMAL]);
}

// --- reverts ---

Test(journal_receipt, a_sender_that_went_back_is_told_again)
{
    struct kvpbus_message_id id = ask("one", false);
    there();
    side_save(&rig.host);
    rig_consume(&rig, &rig.guest);
    back();
    cr_assert(status_of(&id).consumed);
    side_restore(&rig.host);
    cr_assert(!status_of(&id).consumed);
    struct rig_verdicts verdicts = rig_sync(&rig);
    cr_assert_eq(verdicts.guest, KVPBUS_SYNC_PEER_WENT_BACK);
    cr_assert(rig_counts(&rig.guest).receipts);
    back();
    cr_assert(status_of(&id).consumed);
    cr_assert_eq(status_of(&id).outcome, KVPBUS_OUTCOME_DELIVERED);
    // And one that never knew of the message makes nothing of it.
    cr_assert_eq(rig_counts(&rig.host).delivered, 1);
}

Test(journal_receipt, a_sender_that_had_not_sent_it_yet_learns_it_with_the_second_delivery)
{
    struct kvpbus_message_id id = ask("one", false);
    side_save(&rig.host);
    there();
    rig_consume(&rig, &rig.guest);
    back();
    side_restore(&rig.host);
    rig_sync(&rig);
    back();
    cr_assert_eq(status_of(&id).outcome, KVPBUS_OUTCOME_PENDING);
    there();
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "", "it was there before");
    back();
    cr_assert(status_of(&id).outcome == KVPBUS_OUTCOME_DELIVERED && status_of(&id).consumed);
}

Test(journal_receipt, one_for_a_message_that_nobody_remembers_is_ignored)
{
    side_save(&rig.host);
    struct kvpbus_message_id id = ask("one", false);
    there();
    rig_consume(&rig, &rig.guest);
    side_restore(&rig.host);
    rig_sync(&rig);
    back();
    cr_assert(!rig_counts(&rig.guest).receipts);
    struct kvpbus_message_status status;
    FAILS(&rig.host, KVPBUS_NOT_FOUND,
          kvpbus_journal_status(rig.host.journal, rig.host.peer, &id, &status));
}

Test(journal_receipt, a_receiver_that_went_back_tells_of_the_second_time)
{
    struct kvpbus_message_id lost = ask("lost", false), again = ask("again", true);
    side_save(&rig.guest);
    there();
    rig_consume(&rig, &rig.guest);
    back();
    cr_assert(status_of(&lost).consumed && status_of(&again).consumed);
    side_restore(&rig.guest);
    rig_sync(&rig);
    cr_assert(status_of(&lost).outcome == KVPBUS_OUTCOME_UNKNOWN && !status_of(&lost).consumed);
    cr_assert(status_of(&again).outcome == KVPBUS_OUTCOME_PENDING && !status_of(&again).consumed);
    there();
    back();
    cr_assert(status_of(&again).outcome == KVPBUS_OUTCOME_DELIVERED && !status_of(&again).consumed);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "again");
    back();
    cr_assert(status_of(&again).consumed);
}

Test(journal_receipt, what_is_sent_again_is_told_again)
{
    struct kvpbus_message_id id = ask("one", true);
    there();
    rig_consume(&rig, &rig.guest);
    back();
    enum kvpbus_sync_verdict verdict;
    struct kvpbus_sync sync;
    IN(&rig.guest, kvpbus_journal_sync_make(rig.guest.journal, rig.guest.peer, &sync));
    sync.classes[KVPBUS_CLASS_NORMAL].floor_id[0] ^= 1; // as if something else were void there
    IN(&rig.host, kvpbus_journal_sync_apply(rig.host.journal, rig.host.peer, &sync, false, rig.now,
                                            "", &verdict));
    cr_assert_eq(verdict, KVPBUS_SYNC_I_WENT_BACK);
    cr_assert(status_of(&id).outcome == KVPBUS_OUTCOME_PENDING && !status_of(&id).consumed);
    rig_sync(&rig);
    kvpbus_journal_receipts_due(rig.guest.journal);
    there();
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "");
    cr_assert_eq(kvpbus_journal_receipts_due(rig.guest.journal), rig.guest.peer);
    back();
    cr_assert(status_of(&id).outcome == KVPBUS_OUTCOME_DELIVERED && status_of(&id).consumed);
}

Test(journal_receipt, another_identity_is_told_nothing)
{
    uint8_t identity[KVPBUS_IDENTITY_BYTES] = {1};
    ask("one", false);
    ask("two", false);
    there();
    ack();
    struct kvpbus_sealed sealed;
    IN(&rig.guest,
       kvpbus_journal_seal(rig.guest.journal, rig.guest.peer, KVPBUS_CLASS_CONTROL, 100000,
                           rig.guest.identity, rig.guest.secret, rig.now, &sealed));
    ack();
    struct kvpbus_peer peer;
    IN(&rig.guest, kvpbus_journal_peer_get(rig.guest.journal, rig.guest.peer, &peer));
    IN(&rig.guest, kvpbus_journal_pin(rig.guest.journal, rig.guest.peer, identity, peer.vm));
    cr_assert(!rig_counts(&rig.guest).receipts);
    bool waiting;
    IN(&rig.guest,
       kvpbus_journal_waiting(rig.guest.journal, rig.guest.peer, KVPBUS_CLASS_CONTROL, &waiting));
    cr_assert(!waiting);
}

// --- hostile peers ---

Test(journal_receipt, nobody_sends_one_by_hand)
{
    struct kvpbus_message message = rig_message("t", "x");
    message.kind = KVPBUS_KIND_RECEIPT;
    message.class_ = KVPBUS_CLASS_CONTROL;
    FAILS(&rig.host, KVPBUS_INVALID_ARGUMENT,
          kvpbus_journal_queue(rig.host.journal, rig.host.peer, &message, false, rig.now));
}

Test(journal_receipt, what_was_not_sent_to_the_peer_or_asked_for_has_no_receipt)
{
    uint8_t body[200];
    struct kvpbus_peer peer;
    IN(&rig.host, kvpbus_journal_peer(rig.host.journal, (const uint8_t[16]){7}, "x", &peer));
    struct kvpbus_message message = rig_message("t", "for another");
    message.receipt = true;
    IN(&rig.host, kvpbus_journal_queue(rig.host.journal, peer.id, &message, false, rig.now));
    struct kvpbus_message_id elsewhere = message.id, unasked = rig_queue(&rig, &rig.host, "x");
    there();
    size_t length = entry(body, &elsewhere, 2, "no");
    length += entry(body + length, &unasked, 1, "");
    length += entry(body + length, &(struct kvpbus_message_id){.bundle = {1}}, 1, "");
    struct kvpbus_fragment_result result = forge(body, length, KVPBUS_CLASS_CONTROL);
    cr_assert(result.complete && !result.refused);
    struct kvpbus_message_status status;
    IN(&rig.host, kvpbus_journal_status(rig.host.journal, peer.id, &elsewhere, &status));
    cr_assert_eq(status.outcome, KVPBUS_OUTCOME_PENDING);
    cr_assert(!status_of(&unasked).consumed);
}

Test(journal_receipt, the_first_one_holds)
{
    uint8_t body[200];
    struct kvpbus_message_id id = ask("one", false);
    there();
    size_t length = entry(body, &id, 1, "");
    length += entry(body + length, &id, 2, "no");
    forge(body, length, KVPBUS_CLASS_CONTROL);
    cr_assert(status_of(&id).consumed && status_of(&id).outcome == KVPBUS_OUTCOME_DELIVERED);
}

Test(journal_receipt, one_that_says_nothing_is_refused_with_its_bundle)
{
    static uint8_t large[20000];
    struct kvpbus_message_id id = {.index = 0};
    uint8_t body[64];
    cr_assert(forge("", 0, KVPBUS_CLASS_CONTROL).refused);
    teardown(), setup();
    size_t length = entry(body, &id, 1, "");
    cr_assert(forge(body, length - 1, KVPBUS_CLASS_CONTROL).refused);
    teardown(), setup();
    cr_assert(forge(body, length + 1, KVPBUS_CLASS_CONTROL).refused);
    teardown(), setup();
    entry(body, &id, 3, "");
    cr_assert(forge(body, length, KVPBUS_CLASS_CONTROL).refused);
    teardown(), setup();
    entry(body, &id, 1, "");
    body[19] = 241;
    cr_assert(forge(body, length, KVPBUS_CLASS_CONTROL).refused);
    teardown(), setup();
    for (size_t at = 0; at + 20 <= sizeof large;)
        at += entry(large + at, &id, 1, "");
    cr_assert(forge(large, sizeof large, KVPBUS_CLASS_CONTROL).refused);
    teardown(), setup();
    entry(body, &id, 1, "");
    cr_assert(forge(body, length, KVPBUS_CLASS_NORMAL).refused);
}

// --- history ---

Test(journal_receipt, both_sides_know_what_became_of_a_message)
{
    struct kvpbus_message_id id = ask("hello", false);
    struct kvpbus_message_record record = show(&rig.host, &id);
    cr_assert(record.sent && record.peer == rig.host.peer && record.receipt);
    cr_assert_str_eq(record.topic, "a.b");
    cr_assert_str_eq(record.stream, "s");
    cr_assert(record.size == 5 && record.class_ == KVPBUS_CLASS_NORMAL);
    cr_assert(record.begun_ms == rig.now && record.settled_ms == 0);
    cr_assert_eq(record.outcome, KVPBUS_OUTCOME_PENDING);
    int64_t sent = rig.now;
    there();
    record = show(&rig.guest, &id);
    cr_assert(!record.sent && record.peer == rig.guest.peer && record.receipt);
    cr_assert_str_eq(record.topic, "a.b");
    cr_assert_str_eq(record.stream, "s");
    cr_assert(record.size == 5 && record.tries == 0 && record.begun_ms == sent);
    cr_assert_eq(record.place, KVPBUS_PLACE_WAITING);
    rig.now += 1000;
    int64_t token = lease();
    record = show(&rig.guest, &id);
    cr_assert(record.place == KVPBUS_PLACE_LEASED && record.tries == 1);
    IN(&rig.guest, kvpbus_journal_ack(rig.guest.journal, token));
    record = show(&rig.guest, &id);
    cr_assert(record.place == KVPBUS_PLACE_CONSUMED && record.tries == 1);
    cr_assert(record.consumed_ms == rig.now && record.settled_ms == rig.now);
    rig.now += 1000;
    back();
    record = show(&rig.host, &id);
    cr_assert_eq(record.outcome, KVPBUS_OUTCOME_DELIVERED);
    cr_assert_str_eq(record.topic, "a.b", "also when its content is gone");
    cr_assert(record.settled_ms == sent && record.consumed_ms == rig.now);
    cr_assert_str_eq(kvpbus_place_name(record.place), "waiting");
}

Test(journal_receipt, a_dead_letter_is_in_the_history_with_its_reason)
{
    struct kvpbus_message_id id = ask("hello", false);
    there();
    for (int i = 0; i < 2; i++)
        nack("no");
    struct kvpbus_message_record record = show(&rig.guest, &id);
    cr_assert_eq(record.place, KVPBUS_PLACE_DEAD_LETTER);
    cr_assert(record.tries == 2 && record.consumed_ms == 0);
    cr_assert_str_eq(record.reason, "no");
}

Test(journal_receipt, a_dead_letter_that_is_given_back_is_told_of_once)
{
    struct kvpbus_message_id id = ask("hello", false);
    struct kvpbus_dead_walk walk = {0};
    there();
    nack("no");
    nack("no");
    back();
    IN(&rig.guest,
       kvpbus_journal_dead_retry(rig.guest.journal, &(struct kvpbus_dead_filter){.id = &id},
                                 rig.now, 1, &walk));
    cr_assert_eq(show(&rig.guest, &id).place, KVPBUS_PLACE_WAITING);
    ack();
    struct kvpbus_message_record record = show(&rig.guest, &id);
    cr_assert(record.place == KVPBUS_PLACE_CONSUMED && record.tries == 1);
    cr_assert(!rig_counts(&rig.guest).receipts);
    back();
    cr_assert_eq(status_of(&id).outcome, KVPBUS_OUTCOME_DEAD);
}

Test(journal_receipt, a_request_that_nobody_took_in_time_is_dead)
{
    struct kvpbus_message message = rig_message("a.b", "hello");
    message.kind = KVPBUS_KIND_REQUEST;
    message.ttl_ms = 1000;
    message.receipt = true;
    struct kvpbus_message_id id = rig_queue_message(&rig, &rig.host, &message, false);
    there();
    rig.now += 1000;
    IN(&rig.guest, kvpbus_journal_leases_end(rig.guest.journal, rig.now, &(int64_t){0}));
    cr_assert_eq(kvpbus_journal_receipts_due(rig.guest.journal), rig.guest.peer);
    cr_assert_eq(show(&rig.guest, &id).place, KVPBUS_PLACE_DROPPED);
    back();
    cr_assert_eq(status_of(&id).outcome, KVPBUS_OUTCOME_DEAD);
    cr_assert_str_eq(status_of(&id).reason, "its lifetime ended before it was taken");
}

Test(journal_receipt, the_history_ends)
{
    struct kvpbus_message_id id = ask("hello", false), stays = ask("stays", false);
    struct kvpbus_message_record records[2];
    size_t count;
    there();
    ack();
    back();
    rig.now += INT64_C(8) * 24 * 3600 * 1000;
    IN(&rig.host, kvpbus_journal_prune(rig.host.journal, rig.now, 1000, &(bool){0}));
    IN(&rig.guest, kvpbus_journal_prune(rig.guest.journal, rig.now, 1000, &(bool){0}));
    FAILS(&rig.host, KVPBUS_NOT_FOUND,
          kvpbus_journal_show(rig.host.journal, &id, records, 2, &count));
    FAILS(&rig.guest, KVPBUS_NOT_FOUND,
          kvpbus_journal_show(rig.guest.journal, &id, records, 2, &count));
    cr_assert_eq(show(&rig.guest, &stays).place, KVPBUS_PLACE_WAITING, "it is still in the inbox");
    // A receipt that could not be told ends with it.
    ack();
    rig.now += INT64_C(8) * 24 * 3600 * 1000;
    IN(&rig.guest, kvpbus_journal_prune(rig.guest.journal, rig.now, 1000, &(bool){0}));
    cr_assert(!rig_counts(&rig.guest).receipts);
    uint64_t room[KVPBUS_CLASS_COUNT];
    IN(&rig.guest, kvpbus_journal_room(rig.guest.journal, rig.guest.peer, room));
    cr_assert_eq(room[KVPBUS_CLASS_CONTROL], 256 * 1024 * 1024);
}

Test(journal_receipt, the_id_tells_whom_it_was_sent_to)
{
    struct kvpbus_message_id id = ask("x", false), none = {.index = 1};
    int64_t peer = 0;
    IN(&rig.host, kvpbus_journal_sent_to(rig.host.journal, &id, &peer));
    cr_assert_eq(peer, rig.host.peer);
    FAILS(&rig.host, KVPBUS_NOT_FOUND, kvpbus_journal_sent_to(rig.host.journal, &none, &peer));
}
