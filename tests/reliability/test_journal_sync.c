// SPDX-License-Identifier: Apache-2.0
//
// Going back in time: every row of the table of detections, by reverting real files.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal_rig.h"

static struct journal_rig rig;

static void setup(void)
{
    rig_open(&rig, NULL);
}

static void teardown(void)
{
    rig_close(&rig);
}

TestSuite(journal_sync, .init = setup, .fini = teardown);

static void send_all(void)
{
    rig_flow(&rig, &rig.host, &rig.guest);
}

Test(journal_sync, fresh_sides_agree)
{
    struct rig_verdicts verdicts = rig_sync(&rig);
    cr_assert_eq(verdicts.rounds, 1);
    rig_queue(&rig, &rig.host, "a");
    send_all();
    rig_queue(&rig, &rig.host, "b");
    rig_seal(&rig, &rig.host, 1000);
    cr_assert_eq(rig_sync(&rig).rounds, 1);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a");
    send_all();
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "b");
}

Test(journal_sync, what_was_committed_but_not_acknowledged_is_delivered)
{
    rig_sync(&rig);
    struct kvpbus_message_id a = rig_queue(&rig, &rig.host, "a");
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.host, 1000);
    uint8_t *bytes = rig_bytes(&rig.host, &sealed);
    rig_carry(&rig, &rig.guest, &sealed, bytes, 0, sealed.length, 100);
    free(bytes);
    cr_assert_eq(rig_outcome(&rig.host, &a), KVPBUS_OUTCOME_PENDING);
    cr_assert_eq(rig_sync(&rig).rounds, 1);
    cr_assert_eq(rig_outcome(&rig.host, &a), KVPBUS_OUTCOME_DELIVERED);
}

Test(journal_sync, complete_above_the_floor_is_delivered)
{
    rig_sync(&rig);
    struct kvpbus_message_id a = rig_queue(&rig, &rig.host, "a");
    rig_seal(&rig, &rig.host, 1000);
    struct kvpbus_message_id b = rig_queue(&rig, &rig.host, "b");
    struct kvpbus_sealed second = rig_seal(&rig, &rig.host, 1000);
    uint8_t *bytes = rig_bytes(&rig.host, &second);
    rig_carry(&rig, &rig.guest, &second, bytes, 0, second.length, 1000);
    free(bytes);
    cr_assert_eq(rig_sync(&rig).rounds, 1);
    cr_assert_eq(rig_outcome(&rig.host, &a), KVPBUS_OUTCOME_PENDING);
    cr_assert_eq(rig_outcome(&rig.host, &b), KVPBUS_OUTCOME_DELIVERED);
    struct kvpbus_sealed open[KVPBUS_BUNDLE_WINDOW];
    size_t count;
    IN(&rig.host, kvpbus_journal_open_bundles(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL,
                                              open, &count));
    cr_assert_eq(count, 2);
    cr_assert(!open[0].delivered && open[1].delivered);
}

Test(journal_sync, a_transfer_goes_on_from_its_prefix)
{
    rig_sync(&rig);
    char body[5000];
    rig_noise(body, sizeof body);
    rig_queue(&rig, &rig.host, body);
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.host, 1000);
    uint8_t *bytes = rig_bytes(&rig.host, &sealed);
    rig_carry(&rig, &rig.guest, &sealed, bytes, 0, 700, 350);
    rig_carry(&rig, &rig.guest, &sealed, bytes, 1000, 1400, 400);
    side_reopen(&rig.guest);
    struct kvpbus_sync sync;
    IN(&rig.guest, kvpbus_journal_sync_make(rig.guest.journal, rig.guest.peer, &sync));
    const struct kvpbus_sync_class *view = &sync.classes[KVPBUS_CLASS_NORMAL];
    cr_assert_eq(view->partial_count, 1);
    cr_assert_eq(view->partial[0], 1);
    cr_assert_eq(view->partial_prefix[0], 700);
    cr_assert_eq(rig_sync(&rig).rounds, 1);
    struct kvpbus_fragment_result result =
        rig_carry(&rig, &rig.guest, &sealed, bytes, 700, sealed.length, 333);
    cr_assert(result.complete && result.messages == 1);
    free(bytes);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), body);
}

// --- the sender goes back ---

Test(journal_sync, a_reverted_sender_begins_a_new_timeline)
{
    rig_sync(&rig);
    rig_queue(&rig, &rig.host, "a");
    send_all();
    side_save(&rig.host);
    rig_queue(&rig, &rig.host, "lost");
    send_all();
    side_restore(&rig.host);
    struct kvpbus_message_id b = rig_queue(&rig, &rig.host, "b");
    struct rig_verdicts verdicts = rig_sync(&rig);
    cr_assert_eq(verdicts.host, KVPBUS_SYNC_I_WENT_BACK);
    cr_assert_eq(verdicts.guest, KVPBUS_SYNC_CONSISTENT);
    cr_assert_eq(verdicts.rounds, 2);
    send_all();
    cr_assert_eq(rig_outcome(&rig.host, &b), KVPBUS_OUTCOME_DELIVERED);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a lost b");
    cr_assert_eq(rig_sync(&rig).rounds, 1);
}

Test(journal_sync, a_reverted_sender_with_as_many_new_bundles_is_found_by_content)
{
    rig_sync(&rig);
    side_save(&rig.host);
    rig_queue(&rig, &rig.host, "x1");
    send_all();
    rig_queue(&rig, &rig.host, "x2");
    send_all();
    side_restore(&rig.host);
    struct kvpbus_message_id y[3];
    const char *const bodies[] = {"y1", "y2", "y3"};
    for (int i = 0; i < 3; i++) {
        y[i] = rig_queue(&rig, &rig.host, bodies[i]);
        rig_seal(&rig, &rig.host, 1000);
    }
    cr_assert_eq(rig_sync(&rig).host, KVPBUS_SYNC_I_WENT_BACK);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(rig_outcome(&rig.host, &y[i]), KVPBUS_OUTCOME_PENDING);
    send_all();
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "x1 x2 y1 y2 y3");
}

Test(journal_sync, what_was_delivered_before_the_checkpoint_stays_so)
{
    rig_sync(&rig);
    struct kvpbus_message_id a = rig_queue(&rig, &rig.host, "a");
    send_all();
    side_save(&rig.host);
    rig_queue(&rig, &rig.host, "lost");
    send_all();
    side_restore(&rig.host);
    rig_queue(&rig, &rig.host, "b");
    rig_seal(&rig, &rig.host, 1000); // under the number of what is lost
    cr_assert_eq(rig_sync(&rig).host, KVPBUS_SYNC_I_WENT_BACK);
    cr_assert_eq(rig_outcome(&rig.host, &a), KVPBUS_OUTCOME_DELIVERED);
}

Test(journal_sync, what_arrived_before_the_revert_is_a_duplicate_by_id)
{
    rig_sync(&rig);
    struct kvpbus_message_id a = rig_queue(&rig, &rig.host, "a");
    struct kvpbus_message_id b = rig_queue(&rig, &rig.host, "b");
    side_save(&rig.host);
    send_all();
    side_restore(&rig.host);
    cr_assert_eq(rig_outcome(&rig.host, &a), KVPBUS_OUTCOME_PENDING);
    cr_assert_eq(rig_sync(&rig).host, KVPBUS_SYNC_I_WENT_BACK);
    rig_queue(&rig, &rig.host, "c");
    send_all();
    cr_assert_eq(rig_outcome(&rig.host, &a), KVPBUS_OUTCOME_DELIVERED);
    cr_assert_eq(rig_outcome(&rig.host, &b), KVPBUS_OUTCOME_DELIVERED);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a b c");
    cr_assert_eq(rig_counts(&rig.guest).received, 3);
}

Test(journal_sync, a_restored_journal_does_not_give_an_id_again)
{
    rig_sync(&rig);
    struct kvpbus_message_id a = rig_queue(&rig, &rig.host, "a");
    side_save(&rig.host);
    rig_queue(&rig, &rig.host, "x");
    send_all();
    side_restore(&rig.host);
    struct kvpbus_message_id b = rig_queue(&rig, &rig.host, "b");
    cr_assert_neq(memcmp(a.bundle, b.bundle, sizeof a.bundle), 0);
    rig_sync(&rig);
    send_all();
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a x b");
}

Test(journal_sync, half_a_bundle_of_another_content_is_found)
{
    rig_sync(&rig);
    side_save(&rig.host);
    rig_queue(&rig, &rig.host, "this one was on its way when the host went back in time");
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.host, 1000);
    uint8_t *bytes = rig_bytes(&rig.host, &sealed);
    rig_carry(&rig, &rig.guest, &sealed, bytes, 0, 130, 130);
    free(bytes);
    side_restore(&rig.host);
    rig_queue(&rig, &rig.host, "another");
    rig_seal(&rig, &rig.host, 1000);
    cr_assert_eq(rig_sync(&rig).host, KVPBUS_SYNC_I_WENT_BACK);
    send_all();
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "another");
}

Test(journal_sync, half_a_bundle_that_was_never_numbered_is_found)
{
    rig_sync(&rig);
    side_save(&rig.host);
    rig_queue(&rig, &rig.host, "this one was on its way when the host went back in time");
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.host, 1000);
    uint8_t *bytes = rig_bytes(&rig.host, &sealed);
    rig_carry(&rig, &rig.guest, &sealed, bytes, 0, 130, 130);
    free(bytes);
    side_restore(&rig.host);
    cr_assert_eq(rig_sync(&rig).host, KVPBUS_SYNC_I_WENT_BACK);
}

Test(journal_sync, a_sender_reverted_to_before_its_timeline_knows_it)
{
    rig_sync(&rig);
    side_save(&rig.host);
    rig_queue(&rig, &rig.host, "a");
    send_all();
    side_restore(&rig.host);
    cr_assert_eq(rig_sync(&rig).rounds, 2); // a second timeline
    rig_queue(&rig, &rig.host, "b");
    send_all();
    side_restore(&rig.host); // to the first, of which nothing is left there
    struct kvpbus_message_id c = rig_queue(&rig, &rig.host, "c");
    struct rig_verdicts verdicts = rig_sync(&rig);
    cr_assert_eq(verdicts.host, KVPBUS_SYNC_I_WENT_BACK);
    cr_assert_eq(verdicts.rounds, 2);
    send_all();
    cr_assert_eq(rig_outcome(&rig.host, &c), KVPBUS_OUTCOME_DELIVERED);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a b c");
}

Test(journal_sync, a_message_that_ends_after_a_revert_is_unknown)
{
    rig_sync(&rig);
    struct kvpbus_message message = rig_message("t", "a");
    message.ttl_ms = 1000;
    struct kvpbus_message_id id = rig_queue_message(&rig, &rig.host, &message, false);
    side_save(&rig.host);
    send_all();
    side_restore(&rig.host);
    cr_assert_eq(rig_sync(&rig).host, KVPBUS_SYNC_I_WENT_BACK);
    int64_t next;
    IN(&rig.host, kvpbus_journal_expire(rig.host.journal, rig.host.peer, rig.now + 1000, &next));
    // It had arrived: "expired" would be a lie.
    cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_UNKNOWN);
}

Test(journal_sync, a_message_that_ends_before_the_revert_is_noticed_is_unknown)
{
    rig_sync(&rig);
    struct kvpbus_message message = rig_message("t", "a");
    message.ttl_ms = 1000;
    struct kvpbus_message_id id = rig_queue_message(&rig, &rig.host, &message, false);
    side_save(&rig.host);
    send_all();
    side_restore(&rig.host);
    int64_t next;
    IN(&rig.host, kvpbus_journal_expire(rig.host.journal, rig.host.peer, rig.now + 1000, &next));
    cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_EXPIRED);
    cr_assert_eq(rig_sync(&rig).host, KVPBUS_SYNC_I_WENT_BACK);
    cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_UNKNOWN);
    struct kvpbus_journal_counts counts = rig_counts(&rig.host);
    cr_assert(counts.expired == 0 && counts.unknown == 1);
}

Test(journal_sync, a_message_that_ended_before_the_checkpoint_stays_expired)
{
    rig_sync(&rig);
    struct kvpbus_message message = rig_message("t", "a");
    message.ttl_ms = 1000;
    struct kvpbus_message_id id = rig_queue_message(&rig, &rig.host, &message, false);
    int64_t next;
    IN(&rig.host, kvpbus_journal_expire(rig.host.journal, rig.host.peer, rig.now + 1000, &next));
    rig_sync(&rig); // the host has forgotten nothing
    side_save(&rig.host);
    rig_queue(&rig, &rig.host, "b");
    send_all();
    side_restore(&rig.host);
    cr_assert_eq(rig_sync(&rig).host, KVPBUS_SYNC_I_WENT_BACK);
    cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_EXPIRED);
}

Test(journal_sync, what_the_peer_lost_in_a_life_that_was_undone_is_unknown)
{
    rig_sync(&rig);
    side_save(&rig.guest);
    struct kvpbus_message_id a = rig_queue(&rig, &rig.host, "a");
    send_all();
    side_save(&rig.host);
    side_restore(&rig.guest);
    rig_sync(&rig); // the host learns it, and begins a new timeline
    cr_assert_eq(rig_outcome(&rig.host, &a), KVPBUS_OUTCOME_UNKNOWN);
    rig_queue(&rig, &rig.host, "b");
    send_all();
    side_restore(&rig.host); // to where "a" was delivered
    cr_assert_eq(rig_outcome(&rig.host, &a), KVPBUS_OUTCOME_DELIVERED);
    cr_assert_eq(rig_sync(&rig).host, KVPBUS_SYNC_I_WENT_BACK);
    cr_assert_eq(rig_outcome(&rig.host, &a), KVPBUS_OUTCOME_UNKNOWN);
}

// --- the receiver goes back ---

Test(journal_sync, what_a_reverted_receiver_forgot_is_unknown)
{
    rig_sync(&rig);
    struct kvpbus_message_id a = rig_queue(&rig, &rig.host, "a");
    send_all();
    side_save(&rig.guest);
    struct kvpbus_message_id b = rig_queue(&rig, &rig.host, "b");
    send_all();
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a b");
    side_restore(&rig.guest);
    struct kvpbus_message_id c = rig_queue(&rig, &rig.host, "c");
    struct rig_verdicts verdicts = rig_sync(&rig);
    cr_assert_eq(verdicts.host, KVPBUS_SYNC_PEER_WENT_BACK);
    cr_assert_eq(verdicts.rounds, 2);
    cr_assert_eq(rig_outcome(&rig.host, &a), KVPBUS_OUTCOME_DELIVERED);
    cr_assert_eq(rig_outcome(&rig.host, &b), KVPBUS_OUTCOME_UNKNOWN);
    send_all();
    cr_assert_eq(rig_outcome(&rig.host, &c), KVPBUS_OUTCOME_DELIVERED);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a c");
    cr_assert_eq(rig_sync(&rig).rounds, 1);
    struct kvpbus_journal_counts counts = rig_counts(&rig.host);
    cr_assert(counts.delivered == 2 && counts.unknown == 1 && counts.queued == 0 &&
              counts.queued_bytes == 0);
}

Test(journal_sync, what_a_reverted_receiver_forgot_is_sent_again_where_asked)
{
    rig_sync(&rig);
    side_save(&rig.guest);
    struct kvpbus_message again = rig_message("t", "again");
    struct kvpbus_message once = rig_message("t", "once");
    struct kvpbus_message_id once_id = rig_queue_message(&rig, &rig.host, &once, false);
    struct kvpbus_message_id id = rig_queue_message(&rig, &rig.host, &again, true);
    send_all();
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "once again");
    cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_DELIVERED);
    rig_queue(&rig, &rig.host, "later");
    side_restore(&rig.guest);
    cr_assert_eq(rig_sync(&rig).host, KVPBUS_SYNC_PEER_WENT_BACK);
    cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_PENDING);
    cr_assert_eq(rig_outcome(&rig.host, &once_id), KVPBUS_OUTCOME_UNKNOWN);
    send_all();
    cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_DELIVERED);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "again later");
}

Test(journal_sync, a_reverted_receiver_that_takes_what_it_had_called_void_is_found)
{
    rig_sync(&rig);
    struct kvpbus_message_id before = rig_queue(&rig, &rig.host, "before");
    send_all();
    struct kvpbus_message_id id = rig_queue(&rig, &rig.host, "a");
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.host, 1000);
    uint8_t *bytes = rig_bytes(&rig.host, &sealed);
    side_save(&rig.guest);
    IN(&rig.host, kvpbus_journal_withdraw(rig.host.journal, rig.host.peer, &id));
    rig_gaps(&rig, &rig.host, &rig.guest);
    cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_EXPIRED);
    side_restore(&rig.guest);
    // Its items lie in the ring still, and the gap comes no more.
    rig_carry(&rig, &rig.guest, &sealed, bytes, 0, sealed.length, 1000);
    free(bytes);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "before a");
    cr_assert_neq(rig_sync(&rig).host, KVPBUS_SYNC_CONSISTENT);
    cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_UNKNOWN);
    cr_assert_eq(rig_outcome(&rig.host, &before), KVPBUS_OUTCOME_UNKNOWN);
}

Test(journal_sync, a_receiver_reverted_across_timelines_is_found)
{
    rig_sync(&rig);
    side_save(&rig.guest);
    struct kvpbus_message_id a = rig_queue(&rig, &rig.host, "a");
    send_all();
    // The host takes a second timeline in which nothing was sent yet.
    struct kvpbus_sync sync;
    enum kvpbus_sync_verdict verdict;
    IN(&rig.guest, kvpbus_journal_sync_make(rig.guest.journal, rig.guest.peer, &sync));
    IN(&rig.host, kvpbus_journal_sync_apply(rig.host.journal, rig.host.peer, &sync, true, rig.now,
                                            "", &verdict));
    cr_assert_neq(verdict, KVPBUS_SYNC_CONSISTENT);
    cr_assert_eq(rig_sync(&rig).rounds, 1);
    side_restore(&rig.guest);
    cr_assert_eq(rig_sync(&rig).host, KVPBUS_SYNC_PEER_WENT_BACK);
    cr_assert_eq(rig_outcome(&rig.host, &a), KVPBUS_OUTCOME_UNKNOWN);
}

Test(journal_sync, a_forced_timeline_keeps_ids_and_order)
{
    rig_sync(&rig);
    struct kvpbus_message_id ids[6];
    const char *const bodies[] = {"a", "b", "c", "d", "e", "f"};
    for (int i = 0; i < 6; i++) {
        ids[i] = rig_queue(&rig, &rig.host, bodies[i]);
        if (i < 3)
            rig_seal(&rig, &rig.host, 1000);
    }
    struct kvpbus_sync sync;
    enum kvpbus_sync_verdict verdict;
    IN(&rig.guest, kvpbus_journal_sync_make(rig.guest.journal, rig.guest.peer, &sync));
    IN(&rig.host, kvpbus_journal_sync_apply(rig.host.journal, rig.host.peer, &sync, true, rig.now,
                                            "", &verdict));
    cr_assert_eq(rig_sync(&rig).rounds, 1);
    send_all();
    for (int i = 0; i < 6; i++)
        cr_assert_eq(rig_outcome(&rig.host, &ids[i]), KVPBUS_OUTCOME_DELIVERED);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a b c d e f");
}

Test(journal_sync, a_new_timeline_begins_at_the_receiver_with_its_first_fragment)
{
    rig_sync(&rig);
    rig_queue(&rig, &rig.host, "a");
    send_all();
    struct kvpbus_sync before, after;
    IN(&rig.guest, kvpbus_journal_sync_make(rig.guest.journal, rig.guest.peer, &before));
    enum kvpbus_sync_verdict verdict;
    IN(&rig.host, kvpbus_journal_sync_apply(rig.host.journal, rig.host.peer, &before, true, rig.now,
                                            "", &verdict));
    rig_sync(&rig);
    IN(&rig.guest, kvpbus_journal_sync_make(rig.guest.journal, rig.guest.peer, &after));
    cr_assert_arr_eq(after.peer_timeline, before.peer_timeline, KVPBUS_TIMELINE_BYTES);
    rig_queue(&rig, &rig.host, "b");
    send_all();
    IN(&rig.guest, kvpbus_journal_sync_make(rig.guest.journal, rig.guest.peer, &after));
    cr_assert_neq(memcmp(after.peer_timeline, before.peer_timeline, sizeof after.peer_timeline), 0);
}

Test(journal_sync, what_is_whole_behind_a_hole_goes_out_when_both_agree_on_a_new_timeline)
{
    rig_sync(&rig);
    rig_queue(&rig, &rig.host, "hole");
    rig_seal(&rig, &rig.host, 1000);
    rig_queue(&rig, &rig.host, "b");
    struct kvpbus_sealed second = rig_seal(&rig, &rig.host, 1000);
    uint8_t *bytes = rig_bytes(&rig.host, &second);
    rig_carry(&rig, &rig.guest, &second, bytes, 0, second.length, 1000);
    free(bytes);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "");
    struct kvpbus_sync sync;
    enum kvpbus_sync_verdict verdict;
    IN(&rig.guest, kvpbus_journal_sync_make(rig.guest.journal, rig.guest.peer, &sync));
    IN(&rig.host, kvpbus_journal_sync_apply(rig.host.journal, rig.host.peer, &sync, true, rig.now,
                                            "", &verdict));
    rig_sync(&rig);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "", "the host may not have judged it yet");
    // Another timeline than the one offered last: of a session that has ended.
    IN(&rig.guest, kvpbus_journal_agreed(rig.guest.journal, rig.guest.peer, sync.peer_timeline));
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "");
    IN(&rig.host, kvpbus_journal_sync_make(rig.host.journal, rig.host.peer, &sync));
    IN(&rig.guest, kvpbus_journal_agreed(rig.guest.journal, rig.guest.peer, sync.timeline));
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "b");
}

Test(journal_sync, both_sides_may_go_back)
{
    rig_sync(&rig);
    rig_queue(&rig, &rig.host, "a");
    rig_queue(&rig, &rig.guest, "A");
    send_all();
    rig_flow(&rig, &rig.guest, &rig.host);
    side_save(&rig.host);
    side_save(&rig.guest);
    rig_queue(&rig, &rig.host, "b");
    rig_queue(&rig, &rig.guest, "B");
    send_all();
    rig_flow(&rig, &rig.guest, &rig.host);
    side_restore(&rig.host);
    side_restore(&rig.guest);
    rig_queue(&rig, &rig.host, "c");
    rig_queue(&rig, &rig.guest, "C");
    rig_sync(&rig);
    send_all();
    rig_flow(&rig, &rig.guest, &rig.host);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a c");
    cr_assert_str_eq(rig_consume(&rig, &rig.host), "A C");
}

// The host has a second past to go back to.
static void other_past(struct journal_side *side)
{
    side->saved[strlen(side->saved) - 1] ^= 1;
}

// Both sides go back to what they had in common. What the host sends from there on gets the numbers
// of two messages that were delivered in a life that it goes back to later.
struct two_pasts {
    struct kvpbus_message_id common, lost[2];
};

static struct two_pasts part_ways(bool resend)
{
    struct two_pasts of;
    struct kvpbus_message lost = rig_message("t", "lost");
    rig_sync(&rig);
    of.common = rig_queue(&rig, &rig.host, "common");
    send_all();
    side_save(&rig.host);
    side_save(&rig.guest);
    for (int i = 0; i < 2; i++) {
        of.lost[i] = rig_queue_message(&rig, &rig.host, &lost, resend);
        send_all();
        cr_assert_eq(rig_outcome(&rig.host, &of.lost[i]), KVPBUS_OUTCOME_DELIVERED);
        rig_queue(&rig, &rig.guest, "theirs");
        rig_flow(&rig, &rig.guest, &rig.host);
    }
    other_past(&rig.host);
    side_save(&rig.host);
    other_past(&rig.host);
    side_restore(&rig.host);
    side_restore(&rig.guest);
    return of;
}

static void go_on_in_the_other_past(void)
{
    other_past(&rig.host);
    side_restore(&rig.host);
    cr_assert_eq(rig_sync(&rig).host, KVPBUS_SYNC_I_WENT_BACK);
    cr_assert_eq(remove(rig.host.saved), 0);
    other_past(&rig.host);
}

Test(journal_sync, what_the_peer_has_of_another_past_is_unknown)
{
    struct two_pasts of = part_ways(false);
    rig_queue(&rig, &rig.host, "other");
    send_all();
    go_on_in_the_other_past();
    // The peer's numbers do not tell how much is common.
    cr_assert_eq(rig_outcome(&rig.host, &of.common), KVPBUS_OUTCOME_UNKNOWN);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(rig_outcome(&rig.host, &of.lost[i]), KVPBUS_OUTCOME_UNKNOWN);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "common other");
    cr_assert_eq(rig_sync(&rig).rounds, 1);
}

// The host has more of the guest's messages than the guest ever sent, as after a revert of the
// guest alone, but none of those that it has as delivered.
Test(journal_sync, what_went_to_another_past_of_the_peer_is_unknown)
{
    part_ways(false);
    rig_queue(&rig, &rig.host, "other");
    send_all();
    struct kvpbus_message_id id = rig_queue(&rig, &rig.guest, "a");
    rig_flow(&rig, &rig.guest, &rig.host);
    cr_assert_eq(rig_outcome(&rig.guest, &id), KVPBUS_OUTCOME_DELIVERED);
    go_on_in_the_other_past();
    cr_assert_eq(rig_outcome(&rig.guest, &id), KVPBUS_OUTCOME_UNKNOWN);
    rig_queue(&rig, &rig.guest, "b");
    rig_flow(&rig, &rig.guest, &rig.host);
    cr_assert_str_eq(rig_consume(&rig, &rig.host), "theirs theirs b");
    cr_assert_eq(rig_sync(&rig).rounds, 1);
}

// Each side has more of the other's than that ever sent, so that no number shows two contents.
Test(journal_sync, what_crosses_in_two_pasts_is_unknown)
{
    struct two_pasts of = part_ways(false);
    for (int i = 0; i < 3; i++) {
        rig_queue(&rig, &rig.host, "other");
        send_all();
    }
    struct kvpbus_message_id id = rig_queue(&rig, &rig.guest, "a");
    rig_flow(&rig, &rig.guest, &rig.host);
    go_on_in_the_other_past();
    for (int i = 0; i < 2; i++)
        cr_assert_eq(rig_outcome(&rig.host, &of.lost[i]), KVPBUS_OUTCOME_UNKNOWN);
    cr_assert_eq(rig_outcome(&rig.guest, &id), KVPBUS_OUTCOME_UNKNOWN);
    rig_queue(&rig, &rig.host, "b");
    send_all();
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "common other other other b");
    cr_assert_eq(rig_sync(&rig).rounds, 1);
}

Test(journal_sync, what_the_peer_lost_to_another_past_is_sent_again_where_asked)
{
    struct two_pasts of = part_ways(true);
    rig_queue(&rig, &rig.host, "other");
    send_all();
    go_on_in_the_other_past();
    for (int i = 0; i < 2; i++)
        cr_assert_eq(rig_outcome(&rig.host, &of.lost[i]), KVPBUS_OUTCOME_PENDING);
    send_all();
    for (int i = 0; i < 2; i++)
        cr_assert_eq(rig_outcome(&rig.host, &of.lost[i]), KVPBUS_OUTCOME_DELIVERED);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "common other lost lost");
}

Test(journal_sync, what_the_peer_has_of_another_past_behind_a_hole_is_unknown)
{
    struct two_pasts of = part_ways(false);
    rig_queue(&rig, &rig.host, "on its way");
    rig_seal(&rig, &rig.host, 1000);
    rig_queue(&rig, &rig.host, "other");
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.host, 1000);
    rig_transfer(&rig, &rig.host, &rig.guest, &sealed);
    go_on_in_the_other_past();
    cr_assert_eq(rig_outcome(&rig.host, &of.common), KVPBUS_OUTCOME_DELIVERED);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(rig_outcome(&rig.host, &of.lost[i]), KVPBUS_OUTCOME_UNKNOWN);
}

Test(journal_sync, nonsense_is_refused)
{
    struct kvpbus_sync sync = {.timeline = {1}};
    enum kvpbus_sync_verdict verdict;
    sync.classes[1].complete_count = KVPBUS_BUNDLE_WINDOW + 1;
    FAILS(&rig.host, KVPBUS_BAD_PACKET,
          kvpbus_journal_sync_apply(rig.host.journal, rig.host.peer, &sync, false, rig.now, "",
                                    &verdict));
}

Test(journal_sync, another_identity_begins_anew)
{
    rig_sync(&rig);
    rig_queue(&rig, &rig.host, "a");
    send_all();
    struct kvpbus_message_id b = rig_queue(&rig, &rig.host, "b");
    rig_seal(&rig, &rig.host, 1000);
    // The VM was installed again: a new journal and a new key under the same GUID.
    struct journal_rig fresh;
    rig_open(&fresh, NULL);
    struct kvpbus_peer peer;
    IN(&rig.host, kvpbus_journal_peer_get(rig.host.journal, rig.host.peer, &peer));
    IN(&rig.host,
       kvpbus_journal_pin(rig.host.journal, rig.host.peer, fresh.guest.identity, peer.vm));
    IN(&fresh.guest,
       kvpbus_journal_pin(fresh.guest.journal, fresh.guest.peer, rig.host.identity, peer.vm));
    struct journal_side old = rig.guest;
    rig.guest = fresh.guest;
    cr_assert_eq(rig_sync(&rig).rounds, 1);
    send_all();
    cr_assert_eq(rig_outcome(&rig.host, &b), KVPBUS_OUTCOME_DELIVERED);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "b");
    fresh.guest = rig.guest;
    rig.guest = old;
    rig_close(&fresh);
}

Test(journal_sync, what_was_void_in_one_life_of_the_peer_and_taken_in_the_next_is_unknown)
{
    rig_sync(&rig);
    struct kvpbus_message_id a = rig_queue(&rig, &rig.host, "a"),
                             b = rig_queue(&rig, &rig.host, "b");
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.host, 1000);
    uint8_t *bytes = rig_bytes(&rig.host, &sealed);
    side_save(&rig.guest);
    IN(&rig.host, kvpbus_journal_withdraw(rig.host.journal, rig.host.peer, &a));
    rig_gaps(&rig, &rig.host, &rig.guest);
    cr_assert_eq(rig_outcome(&rig.host, &a), KVPBUS_OUTCOME_EXPIRED);
    side_restore(&rig.guest);
    cr_assert(rig_carry(&rig, &rig.guest, &sealed, bytes, 0, sealed.length, 700).complete);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a b");
    // Its bundle is not done for all that the host knows.
    cr_assert_eq(rig_sync(&rig).host, KVPBUS_SYNC_I_WENT_BACK);
    cr_assert_eq(rig_outcome(&rig.host, &a), KVPBUS_OUTCOME_UNKNOWN);
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_eq(rig_outcome(&rig.host, &b), KVPBUS_OUTCOME_DELIVERED);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "");
    free(bytes);
}
