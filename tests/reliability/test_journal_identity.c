// SPDX-License-Identifier: Apache-2.0
//
// One side goes on as another identity: what is under way arrives once, in order.
#include <criterion/criterion.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "journal_rig.h"

static struct journal_rig rig;

static void begin(void)
{
    rig_open(&rig, NULL);
    rig_sync(&rig);
}

static void finish(void)
{
    rig_close(&rig);
}

TestSuite(journal_identity, .init = begin, .fini = finish);

static void rotate_guest(void)
{
    uint8_t old[KVPBUS_IDENTITY_BYTES];
    memcpy(old, rig.guest.identity, sizeof old);
    crypto_sign_keypair(rig.guest.identity, rig.guest.secret);
    IN(&rig.host, kvpbus_journal_follow(rig.host.journal, rig.host.peer, old, rig.guest.identity));
    rig_sync(&rig);
}

// As the bus does in the first session of the new identity.
static void sign(struct journal_side *side)
{
    IN(side, kvpbus_journal_signer(side->journal, side->peer, side->identity, side->secret));
}

// The bundles under way, in their order, whole.
static void carry_all(void)
{
    struct kvpbus_sealed open[KVPBUS_BUNDLE_WINDOW];
    size_t count;
    IN(&rig.guest, kvpbus_journal_open_bundles(rig.guest.journal, rig.guest.peer,
                                               KVPBUS_CLASS_NORMAL, open, &count));
    for (size_t i = 0; i < count; i++)
        if (!open[i].delivered)
            rig_transfer(&rig, &rig.guest, &rig.host, &open[i]);
}

static struct kvpbus_peer peer_of(struct journal_side *side)
{
    struct kvpbus_peer peer;
    IN(side, kvpbus_journal_peer_get(side->journal, side->peer, &peer));
    return peer;
}

Test(journal_identity, what_is_under_way_is_sealed_again)
{
    struct kvpbus_message_id half = rig_queue(&rig, &rig.guest, "half");
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.guest, 1000);
    uint8_t *bytes = rig_bytes(&rig.guest, &sealed);
    rig_carry(&rig, &rig.host, &sealed, bytes, 0, sealed.length / 2, 100);
    free(bytes);
    struct kvpbus_message_id waits = rig_queue(&rig, &rig.guest, "waits");
    rotate_guest();
    sign(&rig.guest);
    carry_all();
    rig_flow(&rig, &rig.guest, &rig.host);
    cr_assert_str_eq(rig_consume(&rig, &rig.host), "half waits");
    cr_assert_eq(rig_outcome(&rig.guest, &half), KVPBUS_OUTCOME_DELIVERED);
    cr_assert_eq(rig_outcome(&rig.guest, &waits), KVPBUS_OUTCOME_DELIVERED);
}

Test(journal_identity, what_had_arrived_unknown_to_the_sender_comes_once)
{
    rig_queue(&rig, &rig.guest, "there");
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.guest, 1000);
    uint8_t *bytes = rig_bytes(&rig.guest, &sealed);
    rig_carry(&rig, &rig.host, &sealed, bytes, 0, sealed.length, 100);
    free(bytes);
    rotate_guest();
    sign(&rig.guest);
    carry_all();
    rig_sync(&rig);
    cr_assert_str_eq(rig_consume(&rig, &rig.host), "there");
}

// What the host has whole of a later bundle goes out behind the earlier one that is signed again.
Test(journal_identity, the_order_is_kept_over_what_had_overtaken)
{
    rig_queue(&rig, &rig.guest, "first");
    struct kvpbus_sealed one = rig_seal(&rig, &rig.guest, 1000);
    rig_queue(&rig, &rig.guest, "second");
    struct kvpbus_sealed two = rig_seal(&rig, &rig.guest, 1000);
    uint8_t *bytes = rig_bytes(&rig.guest, &two);
    rig_carry(&rig, &rig.host, &two, bytes, 0, two.length, 100);
    free(bytes);
    bytes = rig_bytes(&rig.guest, &one);
    rig_carry(&rig, &rig.host, &one, bytes, 0, one.length / 2, 100);
    free(bytes);
    rotate_guest();
    sign(&rig.guest);
    carry_all();
    rig_sync(&rig);
    cr_assert_str_eq(rig_consume(&rig, &rig.host), "first second");
}

// A message of an unfinished bundle that the receiver has as void stays so.
Test(journal_identity, what_was_withdrawn_stays_so)
{
    struct kvpbus_message_id id = rig_queue(&rig, &rig.guest, "withdrawn");
    rig_queue(&rig, &rig.guest, "stays");
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.guest, 1000);
    uint8_t *bytes = rig_bytes(&rig.guest, &sealed);
    rig_carry(&rig, &rig.host, &sealed, bytes, 0, sealed.length / 2, 100);
    free(bytes);
    IN(&rig.guest, kvpbus_journal_withdraw(rig.guest.journal, rig.guest.peer, &id));
    rig_gaps(&rig, &rig.guest, &rig.host);
    rotate_guest();
    sign(&rig.guest);
    carry_all();
    cr_assert_eq(rig_outcome(&rig.guest, &id), KVPBUS_OUTCOME_EXPIRED);
    cr_assert_str_eq(rig_consume(&rig, &rig.host), "stays");
}

Test(journal_identity, without_anything_under_way_the_timeline_goes_on)
{
    rig_queue(&rig, &rig.guest, "a");
    rig_flow(&rig, &rig.guest, &rig.host);
    struct kvpbus_peer before = peer_of(&rig.guest);
    rotate_guest();
    sign(&rig.guest);
    struct kvpbus_peer after = peer_of(&rig.guest);
    cr_assert_arr_eq(before.timeline, after.timeline, sizeof before.timeline);
    rig_queue(&rig, &rig.guest, "b");
    rig_flow(&rig, &rig.guest, &rig.host);
    cr_assert_str_eq(rig_consume(&rig, &rig.host), "a b");
}

Test(journal_identity, only_the_pinned_identity_is_followed)
{
    static const uint8_t stranger[KVPBUS_IDENTITY_BYTES] = {1}, next[KVPBUS_IDENTITY_BYTES] = {2};
    IN(&rig.host, kvpbus_journal_follow(rig.host.journal, rig.host.peer, stranger, next));
    cr_assert_arr_eq(peer_of(&rig.host).identity, rig.guest.identity, sizeof next);
    IN(&rig.host, kvpbus_journal_unpin(rig.host.journal, rig.host.peer));
    IN(&rig.host, kvpbus_journal_follow(rig.host.journal, rig.host.peer, rig.guest.identity, next));
    struct kvpbus_peer peer = peer_of(&rig.host);
    IN(&rig.host, kvpbus_journal_pin(rig.host.journal, rig.host.peer, rig.guest.identity, peer.vm));
    cr_assert(peer_of(&rig.host).paired);
}

Test(journal_identity, whom_the_peer_knows_is_kept)
{
    cr_assert_not(peer_of(&rig.host).known);
    IN(&rig.host, kvpbus_journal_met(rig.host.journal, rig.host.peer, rig.host.identity));
    side_reopen(&rig.host);
    cr_assert(peer_of(&rig.host).known);
    cr_assert_arr_eq(peer_of(&rig.host).met, rig.host.identity, KVPBUS_IDENTITY_BYTES);
}

// --- another VM id ---

static const uint8_t next_vm[KVPBUS_VM_ID_BYTES] = {0xaa};

static void rebind_both(void)
{
    int64_t other;
    struct kvpbus_peer host = peer_of(&rig.host);
    IN(&rig.host, kvpbus_journal_rebind(rig.host.journal, rig.host.peer, next_vm, &other));
    IN(&rig.guest, kvpbus_journal_rebound(rig.guest.journal, rig.guest.peer, host.vm, next_vm));
    rig_sync(&rig);
}

Test(journal_identity, a_vm_under_another_id_gets_and_sends_what_was_under_way)
{
    rig_queue(&rig, &rig.guest, "half");
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.guest, 1000);
    uint8_t *bytes = rig_bytes(&rig.guest, &sealed);
    rig_carry(&rig, &rig.host, &sealed, bytes, 0, sealed.length / 2, 100);
    free(bytes);
    rig_queue(&rig, &rig.host, "down");
    rebind_both();
    sign(&rig.guest);
    carry_all();
    cr_assert_str_eq(rig_consume(&rig, &rig.host), "half");
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "down");
    struct kvpbus_peer peer = peer_of(&rig.host);
    cr_assert_arr_eq(peer.vm, next_vm, sizeof next_vm);
    cr_assert_eq(peer.former_count, 1);
}

// What is kept for a revert was signed for the id of before.
Test(journal_identity, a_vm_under_another_id_may_be_reverted)
{
    struct kvpbus_message message = rig_message("t", "again");
    struct kvpbus_message_id id = rig_queue_message(&rig, &rig.host, &message, true);
    side_save(&rig.guest);
    rig_flow(&rig, &rig.host, &rig.guest);
    rebind_both();
    side_restore(&rig.guest);
    struct kvpbus_peer guest = peer_of(&rig.guest);
    IN(&rig.guest, kvpbus_journal_rebound(rig.guest.journal, rig.guest.peer, guest.vm, next_vm));
    rig_sync(&rig);
    cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_PENDING);
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "again");
}

Test(journal_identity, who_has_the_id_takes_the_other_one)
{
    struct kvpbus_peer newcomer, old = peer_of(&rig.host), found;
    int64_t other;
    IN(&rig.host, kvpbus_journal_peer(rig.host.journal, next_vm, "imported", &newcomer));
    IN(&rig.host, kvpbus_journal_rebind(rig.host.journal, rig.host.peer, next_vm, &other));
    cr_assert_eq(other, newcomer.id);
    IN(&rig.host, kvpbus_journal_peer(rig.host.journal, old.vm, old.name, &found));
    cr_assert_eq(found.id, newcomer.id);
    cr_assert_not(found.paired);
    cr_assert_str_eq(peer_of(&rig.host).name, "imported");
    IN(&rig.host, kvpbus_journal_pin(rig.host.journal, newcomer.id, old.identity, old.vm));
    FAILS(&rig.host, KVPBUS_EXISTS,
          kvpbus_journal_rebind(rig.host.journal, rig.host.peer, old.vm, &other));
    IN(&rig.host, kvpbus_journal_unpin(rig.host.journal, newcomer.id));
    FAILS(&rig.host, KVPBUS_UNPAIRED,
          kvpbus_journal_rebind(rig.host.journal, newcomer.id, next_vm, &other));
}

Test(journal_identity, former_ids_are_kept_newest_first_and_bounded)
{
    uint8_t vm[KVPBUS_VM_ID_BYTES] = {1};
    int64_t other;
    for (int i = 0; i < KVPBUS_FORMER_VMS + 2; i++) {
        vm[1] = (uint8_t)i;
        IN(&rig.host, kvpbus_journal_rebind(rig.host.journal, rig.host.peer, vm, &other));
    }
    struct kvpbus_peer peer = peer_of(&rig.host);
    cr_assert_eq(peer.former_count, KVPBUS_FORMER_VMS);
    cr_assert_eq(peer.former[0][1], KVPBUS_FORMER_VMS);
    cr_assert_eq(peer.former[KVPBUS_FORMER_VMS - 1][1], 1);
}
