// SPDX-License-Identifier: Apache-2.0
//
// Trust that was given beforehand: keys and tokens.
#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit_journal.h"
#include "journal_rig.h"

static struct journal_rig rig;
static struct kvpbus_token token;
static struct kvpbus_proof proof;

static void unpaired(void)
{
    struct kvpbus_peer peer;
    rig_open(&rig, NULL);
    IN(&rig.host, kvpbus_journal_peer_get(rig.host.journal, rig.host.peer, &peer));
    IN(&rig.host, kvpbus_journal_unpin(rig.host.journal, rig.host.peer));
    IN(&rig.guest, kvpbus_journal_unpin(rig.guest.journal, rig.guest.peer));
    token = (struct kvpbus_token){.ends_ms = (uint64_t)rig.now + 1000, .id = {1}, .secret = {2}};
    memcpy(token.host, rig.host.identity, sizeof token.host);
    memcpy(token.vm, peer.vm, sizeof token.vm);
    memcpy(proof.identity, rig.guest.identity, sizeof proof.identity);
    proof.epoch[0] = 3;
    kvpbus_token_prove(&token, proof.identity, proof.epoch, proof.bytes);
}

static void done(void)
{
    rig_close(&rig);
}

TestSuite(journal_enroll, .init = unpaired, .fini = done);

static struct kvpbus_peer peer_of(struct journal_side *side)
{
    struct kvpbus_peer peer;
    IN(side, kvpbus_journal_peer_get(side->journal, side->peer, &peer));
    return peer;
}

static void make_token(bool replaces)
{
    IN(&rig.host, kvpbus_journal_token_make(rig.host.journal, rig.host.peer, &token, replaces));
}

static void refused(const char *why)
{
    FAILS(&rig.host, KVPBUS_BAD_TOKEN,
          kvpbus_journal_enroll(rig.host.journal, rig.host.peer, &proof, rig.now));
    cr_assert_not_null(strstr(kvpbus_journal_failure(rig.host.journal)->detail, why), "%s",
                       kvpbus_journal_failure(rig.host.journal)->detail);
}

static void enrolled(void)
{
    IN(&rig.host, kvpbus_journal_enroll(rig.host.journal, rig.host.peer, &proof, rig.now));
    struct kvpbus_peer peer = peer_of(&rig.host);
    cr_assert(peer.paired);
    cr_assert_arr_eq(peer.identity, proof.identity, sizeof peer.identity);
    cr_assert_arr_eq(peer.vm, token.vm, sizeof peer.vm);
}

Test(journal_enroll, a_token_pins_whoever_proves_it_once)
{
    make_token(false);
    enrolled();
    refused("used already");
    side_reopen(&rig.host);
    refused("used already");
}

Test(journal_enroll, no_row_keeps_the_secret_of_a_token_that_is_over)
{
    uint8_t secret[sizeof token.secret];
    struct kvpbus_token read;
    bool open;
    memcpy(secret, token.secret, sizeof secret);
    make_token(false);
    IN(&rig.host, kvpbus_journal_token_open(rig.host.journal, rig.host.peer, &open, &read));
    cr_assert(open);
    cr_assert_arr_eq(read.secret, secret, sizeof secret);
    enrolled();
    IN(&rig.host, kvpbus_journal_token_open(rig.host.journal, rig.host.peer, &open, &read));
    cr_assert_not(open);
}

static bool in_the_audit(struct journal_side *side, enum kvpbus_audit_kind kind, const char *detail)
{
    static struct kvpbus_audit_page page;
    struct kvpbus_audit_query query = {.kind = (uint16_t)kind};
    IN(side, kvpbus_journal_audit_read(side->journal, &query, &page));
    return page.count == 1 && strcmp(page.entries[0].detail, detail) == 0;
}

Test(journal_enroll, the_audit_tells_of_a_token_by_its_id)
{
    static const char id[] = "01000000000000000000000000000000";
    make_token(false);
    enrolled();
    IN(&rig.guest, kvpbus_journal_token_take(rig.guest.journal, rig.guest.peer, &token));
    cr_assert(in_the_audit(&rig.host, KVPBUS_AUDIT_TOKEN_MADE, id));
    cr_assert(in_the_audit(&rig.host, KVPBUS_AUDIT_TOKEN_USED, id));
    cr_assert(in_the_audit(&rig.guest, KVPBUS_AUDIT_TOKEN_TAKEN, id));
}

Test(journal_enroll, a_proof_of_something_else_is_refused_and_uses_nothing_up)
{
    struct kvpbus_proof good = proof;
    make_token(false);
    proof.bytes[KVPBUS_PROOF_BYTES - 1] ^= 1;
    refused("proof is wrong");
    proof = good;
    proof.epoch[0]++;
    refused("proof is wrong");
    proof = good;
    proof.identity[0]++;
    refused("proof is wrong");
    proof = good;
    proof.bytes[0]++;
    refused("not known here");
    cr_assert_not(peer_of(&rig.host).paired);
    proof = good;
    enrolled();
}

Test(journal_enroll, a_token_is_for_one_vm)
{
    static const uint8_t other_vm[KVPBUS_VM_ID_BYTES] = {77};
    struct kvpbus_peer other;
    make_token(false);
    IN(&rig.host, kvpbus_journal_peer(rig.host.journal, other_vm, "other", &other));
    FAILS(&rig.host, KVPBUS_BAD_TOKEN,
          kvpbus_journal_enroll(rig.host.journal, other.id, &proof, rig.now));
    cr_assert_not_null(
        strstr(kvpbus_journal_failure(rig.host.journal)->detail, "made for another VM"));
    enrolled();
}

Test(journal_enroll, a_token_ends)
{
    make_token(false);
    rig.now = (int64_t)token.ends_ms;
    refused("expired");
    rig.now--;
    enrolled();
}

Test(journal_enroll, a_later_token_withdraws_an_earlier_one)
{
    make_token(false);
    token.id[0] = 9;
    make_token(false);
    refused("withdrawn");
    kvpbus_token_prove(&token, proof.identity, proof.epoch, proof.bytes);
    enrolled();
}

Test(journal_enroll, pairing_by_hand_withdraws_the_token)
{
    uint8_t stranger[KVPBUS_IDENTITY_BYTES] = {5};
    make_token(false);
    IN(&rig.host, kvpbus_journal_pin(rig.host.journal, rig.host.peer, stranger, token.vm));
    refused("withdrawn");
}

Test(journal_enroll, a_paired_vm_is_replaced_only_where_that_was_said)
{
    uint8_t stranger[KVPBUS_IDENTITY_BYTES] = {5};
    IN(&rig.host, kvpbus_journal_pin(rig.host.journal, rig.host.peer, stranger, token.vm));
    FAILS(&rig.host, KVPBUS_EXISTS,
          kvpbus_journal_token_make(rig.host.journal, rig.host.peer, &token, false));
    make_token(true);
    enrolled();
}

Test(journal_enroll, an_identity_is_not_pinned_for_two_vms)
{
    static const uint8_t other_vm[KVPBUS_VM_ID_BYTES] = {77};
    struct kvpbus_peer other;
    IN(&rig.host, kvpbus_journal_peer(rig.host.journal, other_vm, "other", &other));
    IN(&rig.host, kvpbus_journal_pin(rig.host.journal, other.id, proof.identity, other_vm));
    make_token(false);
    refused("clone");
    IN(&rig.host, kvpbus_journal_unpin(rig.host.journal, other.id));
    enrolled();
}

Test(journal_enroll, tokens_are_forgotten_and_bounded)
{
    for (int i = 0; i < 40; i++) {
        token.id[0] = (uint8_t)i;
        make_token(false);
    }
    token.id[0] = 39;
    kvpbus_token_prove(&token, proof.identity, proof.epoch, proof.bytes);
    rig.now = (int64_t)token.ends_ms;
    IN(&rig.host, kvpbus_journal_prune(rig.host.journal, rig.now, 100, &(bool){0}));
    refused("withdrawn");
    proof.bytes[0] = 20;
    refused("not known here");
    proof.bytes[0] = 39;
    rig.now += INT64_C(8) * 24 * 3600 * 1000;
    IN(&rig.host, kvpbus_journal_prune(rig.host.journal, rig.now, 100, &(bool){0}));
    refused("not known here");
}

// --- on a guest ---

Test(journal_enroll, a_guest_pins_at_once_and_keeps_the_secret_until_the_host_has_pinned_it)
{
    struct journal_side *guest = &rig.guest;
    struct kvpbus_token read;
    bool open;
    IN(guest, kvpbus_journal_token_take(guest->journal, guest->peer, &token));
    struct kvpbus_peer peer = peer_of(guest);
    cr_assert(peer.paired);
    cr_assert_arr_eq(peer.identity, token.host, sizeof peer.identity);
    cr_assert_arr_eq(peer.vm, token.vm, sizeof peer.vm);
    side_reopen(guest);
    IN(guest, kvpbus_journal_token_open(guest->journal, guest->peer, &open, &read));
    cr_assert(open);
    cr_assert_arr_eq(&read, &token, sizeof read);
    // The pin again, as when a VM id is learnt, changes nothing.
    IN(guest, kvpbus_journal_pin(guest->journal, guest->peer, token.host, token.vm));
    IN(guest, kvpbus_journal_token_open(guest->journal, guest->peer, &open, &read));
    cr_assert(open);
    IN(guest, kvpbus_journal_token_done(guest->journal, guest->peer));
    IN(guest, kvpbus_journal_token_open(guest->journal, guest->peer, &open, &read));
    cr_assert_not(open);
    FAILS(guest, KVPBUS_EXISTS, kvpbus_journal_token_take(guest->journal, guest->peer, &token));
}

Test(journal_enroll, a_guest_stays_with_its_host)
{
    struct journal_side *guest = &rig.guest;
    struct kvpbus_token read;
    bool open;
    uint8_t other[KVPBUS_IDENTITY_BYTES] = {5};
    IN(guest, kvpbus_journal_pin(guest->journal, guest->peer, other, token.vm));
    FAILS(guest, KVPBUS_BAD_KEY, kvpbus_journal_token_take(guest->journal, guest->peer, &token));
    FAILS(guest, KVPBUS_BAD_KEY,
          kvpbus_journal_trust(guest->journal, guest->peer, rig.host.identity));
    cr_assert_arr_eq(peer_of(guest).identity, other, sizeof other);
    IN(guest, kvpbus_journal_unpin(guest->journal, guest->peer));
    IN(guest, kvpbus_journal_token_take(guest->journal, guest->peer, &token));
    // Another host by hand: what was to be proven to the former one goes.
    IN(guest, kvpbus_journal_pin(guest->journal, guest->peer, other, token.vm));
    IN(guest, kvpbus_journal_token_open(guest->journal, guest->peer, &open, &read));
    cr_assert_not(open);
}

Test(journal_enroll, a_guest_forgets_a_secret_a_day_after_its_end)
{
    struct journal_side *guest = &rig.guest;
    struct kvpbus_token read;
    bool open;
    IN(guest, kvpbus_journal_token_take(guest->journal, guest->peer, &token));
    IN(guest, kvpbus_journal_prune(guest->journal, (int64_t)token.ends_ms + 1000, 100, &(bool){0}));
    IN(guest, kvpbus_journal_token_open(guest->journal, guest->peer, &open, &read));
    cr_assert(open, "its clock may be wrong");
    IN(guest, kvpbus_journal_prune(guest->journal, (int64_t)token.ends_ms + 25 * 3600000, 100,
                                   &(bool){0}));
    IN(guest, kvpbus_journal_token_open(guest->journal, guest->peer, &open, &read));
    cr_assert_not(open);
}

Test(journal_enroll, a_key_from_a_file_is_pinned_where_none_is)
{
    struct journal_side *guest = &rig.guest;
    IN(guest, kvpbus_journal_trust(guest->journal, guest->peer, rig.host.identity));
    struct kvpbus_peer peer = peer_of(guest);
    cr_assert(peer.paired);
    cr_assert(sodium_is_zero(peer.vm, sizeof peer.vm), "the host's hello gives it");
    IN(guest, kvpbus_journal_trust(guest->journal, guest->peer, rig.host.identity));
    IN(&rig.host, kvpbus_journal_trust(rig.host.journal, rig.host.peer, rig.guest.identity));
    cr_assert_arr_eq(peer_of(&rig.host).vm, token.vm, sizeof token.vm);
}
