// SPDX-License-Identifier: Apache-2.0
//
// Gaps: the receiver decides whether it had a message, and both sides end with the same answer
// whatever comes first.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "journal_rig.h"

static struct journal_rig rig;
static struct kvpbus_sealed sealed;
static struct kvpbus_message_id ids[3];
static uint8_t *bytes;

// One bundle of three messages, sealed.
static void setup(void)
{
    rig_open(&rig, NULL);
    rig_sync(&rig);
    const char *const bodies[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        ids[i] = rig_queue(&rig, &rig.host, bodies[i]);
    sealed = rig_seal(&rig, &rig.host, 1000);
    bytes = rig_bytes(&rig.host, &sealed);
}

static void teardown(void)
{
    free(bytes);
    rig_close(&rig);
}

TestSuite(journal_gap, .init = setup, .fini = teardown);

static void withdraw(int i)
{
    IN(&rig.host, kvpbus_journal_withdraw(rig.host.journal, rig.host.peer, &ids[i]));
}

static size_t gaps(struct kvpbus_gap *list)
{
    size_t count;
    IN(&rig.host, kvpbus_journal_gaps(rig.host.journal, rig.host.peer, list, 4, &count));
    return count;
}

static struct kvpbus_gap_answer ask(const struct kvpbus_gap *gap)
{
    struct kvpbus_gap_answer answer;
    IN(&rig.guest, kvpbus_journal_gap(rig.guest.journal, rig.guest.peer, gap, rig.now, &answer));
    return answer;
}

static void answered(const struct kvpbus_gap_answer *answer)
{
    IN(&rig.host, kvpbus_journal_gap_answered(rig.host.journal, rig.host.peer, answer));
}

static void carry(void)
{
    rig_carry(&rig, &rig.guest, &sealed, bytes, 0, sealed.length, 50);
}

static void check(enum kvpbus_outcome a, enum kvpbus_outcome b, enum kvpbus_outcome c)
{
    cr_assert_eq(rig_outcome(&rig.host, &ids[0]), a);
    cr_assert_eq(rig_outcome(&rig.host, &ids[1]), b);
    cr_assert_eq(rig_outcome(&rig.host, &ids[2]), c);
    struct kvpbus_journal_counts counts = rig_counts(&rig.host);
    cr_assert_eq(counts.queued + counts.delivered + counts.expired + counts.dead + counts.unknown,
                 3);
}

#define PENDING KVPBUS_OUTCOME_PENDING
#define DELIVERED KVPBUS_OUTCOME_DELIVERED
#define EXPIRED KVPBUS_OUTCOME_EXPIRED
#define DEAD KVPBUS_OUTCOME_DEAD

Test(journal_gap, one_message_before_the_bundle_arrives)
{
    struct kvpbus_gap list[4];
    withdraw(1);
    cr_assert_eq(gaps(list), 1);
    cr_assert(list[0].count == 1 && list[0].indices[0] == 1 && list[0].number == 1);
    struct kvpbus_gap_answer answer = ask(&list[0]);
    cr_assert(answer.count == 1 && answer.answers[0] == KVPBUS_ANSWER_VOID);
    carry();
    answered(&answer);
    IN(&rig.host, kvpbus_journal_delivered(rig.host.journal, rig.host.peer, sealed.class_, 1));
    check(DELIVERED, EXPIRED, DELIVERED);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a c");
    cr_assert_eq(gaps(list), 0);
}

Test(journal_gap, one_message_in_the_middle_of_the_bundle)
{
    struct kvpbus_gap list[4];
    rig_carry(&rig, &rig.guest, &sealed, bytes, 0, sealed.length - 10, 50);
    withdraw(2);
    gaps(list);
    struct kvpbus_gap_answer answer = ask(&list[0]);
    side_reopen(&rig.guest);
    rig_carry(&rig, &rig.guest, &sealed, bytes, sealed.length - 10, sealed.length, 50);
    // The acknowledgement of the last fragment comes before the answer.
    IN(&rig.host, kvpbus_journal_delivered(rig.host.journal, rig.host.peer, sealed.class_, 1));
    check(DELIVERED, DELIVERED, PENDING);
    answered(&answer);
    check(DELIVERED, DELIVERED, EXPIRED);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a b");
}

Test(journal_gap, one_message_after_the_bundle_arrived)
{
    struct kvpbus_gap list[4];
    carry();
    withdraw(0);
    gaps(list);
    struct kvpbus_gap_answer answer = ask(&list[0]);
    cr_assert_eq(answer.answers[0], KVPBUS_ANSWER_HAD);
    answered(&answer);
    IN(&rig.host, kvpbus_journal_delivered(rig.host.journal, rig.host.peer, sealed.class_, 1));
    check(DELIVERED, DELIVERED, DELIVERED);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a b c");
}

Test(journal_gap, an_answer_that_was_lost_is_given_again)
{
    struct kvpbus_gap list[4];
    withdraw(1);
    gaps(list);
    ask(&list[0]);
    carry();
    // A new session: the positions say that the bundle is there, the gap is asked again.
    cr_assert_eq(rig_sync(&rig).rounds, 1);
    check(DELIVERED, PENDING, DELIVERED);
    cr_assert_eq(gaps(list), 1);
    cr_assert_eq(list[0].count, 1);
    struct kvpbus_gap_answer answer = ask(&list[0]);
    cr_assert_eq(answer.answers[0], KVPBUS_ANSWER_VOID);
    answered(&answer);
    check(DELIVERED, EXPIRED, DELIVERED);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a c");
}

static void withdraw_all(void)
{
    for (int i = 0; i < 3; i++)
        withdraw(i);
}

Test(journal_gap, a_whole_bundle_before_it_arrives)
{
    struct kvpbus_gap list[4];
    struct kvpbus_sealed open[KVPBUS_BUNDLE_WINDOW];
    size_t count;
    withdraw_all();
    IN(&rig.host,
       kvpbus_journal_open_bundles(rig.host.journal, rig.host.peer, sealed.class_, open, &count));
    cr_assert(count == 1 && open[0].void_);
    cr_assert_eq(gaps(list), 1);
    cr_assert_eq(list[0].count, 0);
    struct kvpbus_gap_answer answer = ask(&list[0]);
    cr_assert(answer.count == 0 && answer.answers[0] == KVPBUS_ANSWER_VOID);
    carry(); // fragments that were still on their way
    answered(&answer);
    check(EXPIRED, EXPIRED, EXPIRED);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "");
    // The number is done on both sides.
    cr_assert_eq(rig_sync(&rig).rounds, 1);
    IN(&rig.host,
       kvpbus_journal_open_bundles(rig.host.journal, rig.host.peer, sealed.class_, open, &count));
    cr_assert_eq(count, 0);
    rig_queue(&rig, &rig.host, "d");
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "d");
}

Test(journal_gap, a_whole_bundle_that_is_half_there)
{
    rig_carry(&rig, &rig.guest, &sealed, bytes, 0, sealed.length - 10, 50);
    withdraw_all();
    rig_gaps(&rig, &rig.host, &rig.guest);
    check(EXPIRED, EXPIRED, EXPIRED);
    uint64_t room[KVPBUS_CLASS_COUNT];
    IN(&rig.guest, kvpbus_journal_room(rig.guest.journal, rig.guest.peer, room));
    cr_assert_eq(room[KVPBUS_CLASS_CONTROL], 256 * 1024 * 1024);
}

Test(journal_gap, a_whole_bundle_that_had_arrived)
{
    carry();
    withdraw_all();
    rig_gaps(&rig, &rig.host, &rig.guest);
    check(DELIVERED, DELIVERED, DELIVERED);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a b c");
}

Test(journal_gap, a_void_bundle_whose_answer_is_lost)
{
    struct kvpbus_gap list[4];
    withdraw_all();
    gaps(list);
    ask(&list[0]);
    cr_assert_eq(rig_sync(&rig).rounds, 1);
    check(PENDING, PENDING, PENDING);
    rig_gaps(&rig, &rig.host, &rig.guest);
    check(EXPIRED, EXPIRED, EXPIRED);
    cr_assert_eq(rig_sync(&rig).rounds, 1);
}

Test(journal_gap, first_one_then_all_with_the_bundle_between)
{
    struct kvpbus_gap list[4];
    withdraw(1);
    gaps(list);
    ask(&list[0]); // void there; the answer is lost
    carry();
    withdraw(0);
    withdraw(2);
    cr_assert_eq(gaps(list), 1);
    cr_assert_eq(list[0].count, 0);
    struct kvpbus_gap_answer answer = ask(&list[0]);
    cr_assert_eq(answer.answers[0], KVPBUS_ANSWER_HAD);
    answered(&answer);
    check(DELIVERED, PENDING, DELIVERED); // the second is asked about by itself
    rig_gaps(&rig, &rig.host, &rig.guest);
    check(DELIVERED, EXPIRED, DELIVERED);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a c");
}

Test(journal_gap, a_lifetime_that_ends_after_sealing)
{
    struct kvpbus_message message = rig_message("t", "d");
    message.ttl_ms = 100;
    struct kvpbus_message_id id = rig_queue_message(&rig, &rig.host, &message, false);
    rig_seal(&rig, &rig.host, 1000);
    int64_t next;
    IN(&rig.host, kvpbus_journal_expire(rig.host.journal, rig.host.peer, rig.now + 100, &next));
    cr_assert_eq(next, 0);
    cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_PENDING);
    rig_gaps(&rig, &rig.host, &rig.guest);
    cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_EXPIRED);
}

Test(journal_gap, more_indices_than_one_frame_holds)
{
    enum { COUNT = 150 };
    struct kvpbus_message_id many[COUNT];
    struct kvpbus_gap list[4];
    for (int i = 0; i < COUNT; i++)
        many[i] = rig_queue(&rig, &rig.host, "m");
    rig_seal(&rig, &rig.host, 100000);
    for (int i = 1; i < COUNT; i++)
        IN(&rig.host, kvpbus_journal_withdraw(rig.host.journal, rig.host.peer, &many[i]));
    cr_assert_eq(gaps(list), 3);
    cr_assert(list[0].count == 64 && list[1].count == 64 && list[2].count == 21);
    cr_assert_eq(list[1].indices[0], 65);
    rig_gaps(&rig, &rig.host, &rig.guest);
    cr_assert_eq(rig_counts(&rig.host).expired, COUNT - 1);
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a b c m");
}

Test(journal_gap, a_refused_bundle_is_dead)
{
    struct kvpbus_gap_answer answer = {
        .class_ = sealed.class_, .number = 1, .answers = {KVPBUS_ANSWER_REFUSED}};
    // The acknowledgement of its packets may come first.
    IN(&rig.host, kvpbus_journal_delivered(rig.host.journal, rig.host.peer, sealed.class_, 1));
    check(DELIVERED, DELIVERED, DELIVERED);
    answered(&answer);
    check(DEAD, DEAD, DEAD);
    cr_assert_eq(rig_counts(&rig.host).dead, 3);
}

Test(journal_gap, a_bundle_that_is_not_in_question_is_not_void)
{
    struct kvpbus_gap_answer answer = {
        .class_ = sealed.class_, .number = 1, .answers = {KVPBUS_ANSWER_VOID}};
    FAILS(&rig.host, KVPBUS_BAD_PACKET,
          kvpbus_journal_gap_answered(rig.host.journal, rig.host.peer, &answer));
    answer.answers[0] = (enum kvpbus_answer)9;
    FAILS(&rig.host, KVPBUS_BAD_PACKET,
          kvpbus_journal_gap_answered(rig.host.journal, rig.host.peer, &answer));
    // One message that is not in question keeps its outcome.
    answer = (struct kvpbus_gap_answer){
        .class_ = sealed.class_, .number = 1, .count = 1, .answers = {KVPBUS_ANSWER_VOID}};
    answered(&answer);
    check(PENDING, PENDING, PENDING);
}

Test(journal_gap, gaps_far_ahead_break_the_protocol)
{
    struct kvpbus_gap gap = {.class_ = KVPBUS_CLASS_NORMAL, .number = KVPBUS_BUNDLE_WINDOW + 1};
    struct kvpbus_gap_answer answer;
    FAILS(&rig.guest, KVPBUS_BAD_PACKET,
          kvpbus_journal_gap(rig.guest.journal, rig.guest.peer, &gap, rig.now, &answer));
    gap.number = 0;
    FAILS(&rig.guest, KVPBUS_BAD_PACKET,
          kvpbus_journal_gap(rig.guest.journal, rig.guest.peer, &gap, rig.now, &answer));
}
