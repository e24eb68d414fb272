// SPDX-License-Identifier: Apache-2.0
//
// Fragments: each bundle enters the inbox exactly once, whatever comes twice, early, cut elsewhere,
// forged, or too much.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "journal_rig.h"

enum { BODY_MAX = 64 * 1024, BOX = 128 * 1024, RESERVE = 32 * 1024 };

static struct journal_rig rig;

static void setup(void)
{
    struct kvpbus_journal_options options = {
        .inbox_max = BOX, .control_reserve = RESERVE, .body_max = BODY_MAX};
    rig_open(&rig, &options);
    rig_sync(&rig);
}

static void teardown(void)
{
    rig_close(&rig);
}

TestSuite(journal_receive, .init = setup, .fini = teardown);

static struct kvpbus_fragment fragment(const struct kvpbus_sealed *sealed, const uint8_t *bytes,
                                       uint32_t offset, size_t length)
{
    return (struct kvpbus_fragment){
        .class_ = sealed->class_,
        .number = sealed->number,
        .first = offset == 0,
        .total = offset == 0 ? sealed->length : 0,
        .offset = offset,
        .data = bytes + offset,
        .length = length,
    };
}

static enum kvpbus_error give(const struct kvpbus_fragment *piece,
                              struct kvpbus_fragment_result *result)
{
    return kvpbus_journal_fragment(rig.guest.journal, rig.guest.peer, piece, rig.now, result);
}

static struct kvpbus_sealed one_bundle(size_t length, uint8_t **bytes)
{
    char *body = calloc(1, length + 1);
    rig_noise(body, length + 1);
    rig_queue(&rig, &rig.host, body);
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.host, 1000);
    *bytes = rig_bytes(&rig.host, &sealed);
    free(body);
    return sealed;
}

// A bundle as the host could have sealed it, under this number and bundle id.
static struct kvpbus_sealed craft(uint64_t number, const uint8_t *id, const char *body,
                                  uint8_t **bytes)
{
    struct kvpbus_peer peer;
    IN(&rig.host, kvpbus_journal_peer_get(rig.host.journal, rig.host.peer, &peer));
    struct kvpbus_route route = {.recipient = KVPBUS_ROLE_GUEST};
    memcpy(route.sender, rig.host.identity, sizeof route.sender);
    memcpy(route.vm, peer.vm, sizeof route.vm);
    struct kvpbus_bundle_position position = {
        .class_ = KVPBUS_CLASS_NORMAL, .number = number, .created_ms = rig.now};
    memcpy(position.id, id, sizeof position.id);
    memcpy(position.timeline, peer.timeline, sizeof position.timeline);
    struct kvpbus_message message = rig_message("t", body);
    message.sequence = number;
    message.created_ms = rig.now;
    size_t length;
    struct kvpbus_failure failure;
    cr_assert_eq(kvpbus_bundle_seal(&route, rig.host.secret, &position, &message, 1, BOX, bytes,
                                    &length, &failure),
                 KVPBUS_OK, "%s", failure.detail);
    struct kvpbus_sealed sealed = {
        .class_ = KVPBUS_CLASS_NORMAL, .number = number, .length = (uint32_t)length};
    return sealed;
}

static struct kvpbus_fragment_result give_all(const struct kvpbus_sealed *sealed,
                                              const uint8_t *bytes, size_t piece)
{
    return rig_carry(&rig, &rig.guest, sealed, bytes, 0, sealed->length, piece);
}

// --- exactly once ---

Test(journal_receive, a_bundle_in_one_fragment_or_many)
{
    uint8_t *bytes;
    struct kvpbus_sealed whole = one_bundle(500, &bytes);
    struct kvpbus_fragment_result result = give_all(&whole, bytes, whole.length);
    cr_assert(result.complete && result.messages == 1 && !result.duplicate && !result.refused);
    free(bytes);
    struct kvpbus_sealed pieces = one_bundle(5000, &bytes);
    result = give_all(&pieces, bytes, 100);
    cr_assert(result.complete && result.messages == 1 && !result.duplicate && !result.refused);
    free(bytes);
    cr_assert_eq(rig_counts(&rig.guest).inbox, 2);
    cr_assert_eq(rig_counts(&rig.guest).received, 2);
}

Test(journal_receive, fragments_in_any_order_and_twice)
{
    uint8_t *bytes;
    struct kvpbus_sealed sealed = one_bundle(3000, &bytes);
    struct kvpbus_fragment_result result = {.complete = false};
    // Backwards, each twice; the first fragment comes last.
    for (uint32_t at = sealed.length / 100 * 100;; at -= 100) {
        size_t length = sealed.length - at < 100 ? sealed.length - at : 100;
        if (length > 0) {
            struct kvpbus_fragment piece = fragment(&sealed, bytes, at, length);
            IN(&rig.guest, give(&piece, &result));
            cr_assert_eq(result.complete, at == 0);
            cr_assert_not(result.duplicate);
            IN(&rig.guest, give(&piece, &result));
            cr_assert(result.duplicate && !result.complete && result.messages == 0);
        }
        if (at == 0)
            break;
    }
    free(bytes);
    cr_assert_eq(rig_counts(&rig.guest).inbox, 1);
}

Test(journal_receive, fragments_cut_elsewhere_overlap)
{
    uint8_t *bytes;
    struct kvpbus_sealed sealed = one_bundle(3000, &bytes);
    rig_carry(&rig, &rig.guest, &sealed, bytes, 0, 500, 100);
    rig_carry(&rig, &rig.guest, &sealed, bytes, 700, 900, 100);
    rig_carry(&rig, &rig.guest, &sealed, bytes, 1200, 1300, 100);
    // One piece over all of these and the holes between.
    struct kvpbus_fragment piece = fragment(&sealed, bytes, 450, 1000);
    struct kvpbus_fragment_result result;
    IN(&rig.guest, give(&piece, &result));
    cr_assert_not(result.duplicate);
    piece = fragment(&sealed, bytes, 460, 900);
    IN(&rig.guest, give(&piece, &result));
    cr_assert(result.duplicate);
    result = rig_carry(&rig, &rig.guest, &sealed, bytes, 1400, sealed.length, 333);
    cr_assert(result.complete && result.messages == 1);
    free(bytes);
}

Test(journal_receive, a_whole_bundle_again_is_a_duplicate)
{
    uint8_t *bytes;
    struct kvpbus_sealed sealed = one_bundle(3000, &bytes);
    give_all(&sealed, bytes, 700);
    for (size_t piece = 100; piece < 5000; piece += 1700) {
        struct kvpbus_fragment_result result = give_all(&sealed, bytes, piece);
        cr_assert(result.duplicate && !result.complete && !result.refused && !result.fork);
    }
    side_reopen(&rig.guest);
    cr_assert(give_all(&sealed, bytes, 700).duplicate);
    free(bytes);
    cr_assert_eq(rig_counts(&rig.guest).inbox, 1);
}

Test(journal_receive, the_same_message_under_another_number_is_a_duplicate)
{
    static const uint8_t id[KVPBUS_BUNDLE_ID_BYTES] = {1};
    uint8_t *bytes;
    struct kvpbus_sealed first = craft(1, id, "a", &bytes);
    give_all(&first, bytes, 1000);
    free(bytes);
    struct kvpbus_sealed second = craft(2, id, "a", &bytes);
    struct kvpbus_fragment_result result = give_all(&second, bytes, 1000);
    cr_assert(result.complete && result.duplicate && result.messages == 0);
    free(bytes);
    // The same id with other content is another message, of a sender whose memory went back.
    struct kvpbus_sealed third = craft(3, id, "b", &bytes);
    result = give_all(&third, bytes, 1000);
    cr_assert(result.complete && !result.duplicate && result.messages == 1);
    free(bytes);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a b");
}

Test(journal_receive, bundles_out_of_order_up_to_the_window)
{
    uint8_t *bytes[KVPBUS_BUNDLE_WINDOW];
    struct kvpbus_sealed sealed[KVPBUS_BUNDLE_WINDOW];
    for (int i = 0; i < KVPBUS_BUNDLE_WINDOW; i++)
        sealed[i] = one_bundle(100, &bytes[i]);
    for (int i = KVPBUS_BUNDLE_WINDOW - 1; i >= 0; i--) {
        cr_assert(give_all(&sealed[i], bytes[i], 77).complete);
        free(bytes[i]);
    }
    struct kvpbus_sync sync;
    IN(&rig.guest, kvpbus_journal_sync_make(rig.guest.journal, rig.guest.peer, &sync));
    cr_assert_eq(sync.classes[KVPBUS_CLASS_NORMAL].floor, KVPBUS_BUNDLE_WINDOW);
    cr_assert_eq(sync.classes[KVPBUS_CLASS_NORMAL].complete_count, 0);
    cr_assert_eq(rig_counts(&rig.guest).inbox, KVPBUS_BUNDLE_WINDOW);
}

// --- what breaks the protocol ---

Test(journal_receive, fragments_that_make_no_sense)
{
    uint8_t *bytes;
    struct kvpbus_sealed sealed = one_bundle(3000, &bytes);
    struct kvpbus_fragment_result result;
    struct kvpbus_fragment piece = fragment(&sealed, bytes, 0, 500);
    piece.number = KVPBUS_BUNDLE_WINDOW + 1;
    FAILS(&rig.guest, KVPBUS_BAD_PACKET, give(&piece, &result));
    piece.number = 0;
    FAILS(&rig.guest, KVPBUS_BAD_PACKET, give(&piece, &result));
    piece = fragment(&sealed, bytes, 0, 0);
    FAILS(&rig.guest, KVPBUS_BAD_PACKET, give(&piece, &result));
    piece = fragment(&sealed, bytes, 0, 500);
    piece.total = 400;
    FAILS(&rig.guest, KVPBUS_BAD_PACKET, give(&piece, &result));
    piece.class_ = KVPBUS_CLASS_COUNT;
    FAILS(&rig.guest, KVPBUS_BAD_PACKET, give(&piece, &result));
    rig_carry(&rig, &rig.guest, &sealed, bytes, 0, 500, 500);
    piece = fragment(&sealed, bytes, 0, 500);
    piece.total = sealed.length + 1;
    FAILS(&rig.guest, KVPBUS_BAD_PACKET, give(&piece, &result));
    piece = fragment(&sealed, bytes, 600, 300);
    piece.offset = sealed.length - 200;
    FAILS(&rig.guest, KVPBUS_BAD_PACKET, give(&piece, &result));
    piece.offset = UINT32_MAX - 100;
    FAILS(&rig.guest, KVPBUS_BAD_PACKET, give(&piece, &result));
    // It still arrives.
    cr_assert(rig_carry(&rig, &rig.guest, &sealed, bytes, 500, sealed.length, 700).complete);
    free(bytes);
}

Test(journal_receive, bytes_before_the_first_fragment_are_bounded)
{
    uint8_t *bytes;
    struct kvpbus_sealed sealed = one_bundle(60000, &bytes);
    struct kvpbus_fragment piece = fragment(&sealed, bytes, 700, 700);
    struct kvpbus_fragment_result result;
    for (piece.offset = 700; piece.offset < 64 * 1024; piece.offset += 700)
        IN(&rig.guest, give(&piece, &result));
    FAILS(&rig.guest, KVPBUS_BAD_PACKET, give(&piece, &result));
    // They lie beyond the end that the first one tells.
    piece = fragment(&sealed, bytes, 0, 700);
    FAILS(&rig.guest, KVPBUS_BAD_PACKET, give(&piece, &result));
    // A new session begins without them: nobody was told that they are here.
    cr_assert_eq(rig_sync(&rig).rounds, 1);
    cr_assert(give_all(&sealed, bytes, 700).complete);
    free(bytes);
}

Test(journal_receive, nothing_comes_before_the_positions)
{
    uint8_t *bytes;
    struct journal_rig fresh;
    struct kvpbus_sealed sealed = one_bundle(100, &bytes);
    rig_open(&fresh, NULL);
    struct kvpbus_fragment piece = fragment(&sealed, bytes, 0, sealed.length);
    struct kvpbus_fragment_result result;
    FAILS(&fresh.guest, KVPBUS_BAD_PACKET,
          kvpbus_journal_fragment(fresh.guest.journal, fresh.guest.peer, &piece, 1, &result));
    rig_close(&fresh);
    free(bytes);
}

Test(journal_receive, two_bundles_under_one_number_are_a_fork)
{
    static const uint8_t a[KVPBUS_BUNDLE_ID_BYTES] = {1}, b[KVPBUS_BUNDLE_ID_BYTES] = {2};
    uint8_t *bytes;
    struct kvpbus_fragment_result result;
    struct kvpbus_sealed first = craft(1, a, "a", &bytes);
    give_all(&first, bytes, 1000);
    free(bytes);
    struct kvpbus_sealed second = craft(1, b, "b", &bytes);
    struct kvpbus_fragment piece = fragment(&second, bytes, 0, second.length);
    FAILS(&rig.guest, KVPBUS_BAD_PACKET, give(&piece, &result));
    cr_assert(result.fork);
    free(bytes);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a");
}

Test(journal_receive, two_half_bundles_under_one_number_are_a_fork)
{
    static const uint8_t a[KVPBUS_BUNDLE_ID_BYTES] = {1}, b[KVPBUS_BUNDLE_ID_BYTES] = {2};
    uint8_t *bytes;
    struct kvpbus_fragment_result result;
    struct kvpbus_sealed first = craft(1, a, "aaaa", &bytes);
    rig_carry(&rig, &rig.guest, &first, bytes, 0, 100, 100);
    free(bytes);
    struct kvpbus_sealed second = craft(1, b, "bbbb", &bytes);
    cr_assert_eq(first.length, second.length);
    struct kvpbus_fragment piece = fragment(&second, bytes, 0, 120);
    FAILS(&rig.guest, KVPBUS_BAD_PACKET, give(&piece, &result));
    cr_assert(result.fork);
    // In the next session the number begins again: too little of it was held to name it.
    rig_sync(&rig);
    cr_assert(give_all(&second, bytes, 50).complete);
    free(bytes);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "bbbb");
}

// --- refused ---

Test(journal_receive, a_bundle_that_does_not_verify_is_refused_and_done)
{
    uint8_t *bytes;
    struct kvpbus_sealed sealed = one_bundle(1000, &bytes);
    bytes[500] ^= 1;
    struct kvpbus_fragment_result result = give_all(&sealed, bytes, 300);
    cr_assert(result.complete && result.refused && result.messages == 0);
    free(bytes);
    cr_assert_eq(rig_counts(&rig.guest).inbox, 0);
    struct kvpbus_gap gap = {.class_ = sealed.class_, .number = 1};
    struct kvpbus_gap_answer answer;
    IN(&rig.guest, kvpbus_journal_gap(rig.guest.journal, rig.guest.peer, &gap, rig.now, &answer));
    cr_assert_eq(answer.answers[0], KVPBUS_ANSWER_REFUSED);
    // The number is done.
    struct kvpbus_sealed next = one_bundle(100, &bytes);
    cr_assert(give_all(&next, bytes, 300).complete);
    free(bytes);
    cr_assert_eq(rig_counts(&rig.guest).inbox, 1);
}

Test(journal_receive, a_bundle_for_another_position_is_refused)
{
    static const uint8_t id[KVPBUS_BUNDLE_ID_BYTES] = {1};
    uint8_t *bytes;
    struct kvpbus_sealed sealed = craft(2, id, "a", &bytes);
    sealed.number = 1;
    cr_assert(give_all(&sealed, bytes, 1000).refused);
    free(bytes);
}

Test(journal_receive, pieces_of_two_sessions_that_do_not_fit_are_sent_again)
{
    uint8_t *bytes;
    struct kvpbus_fragment_result result;
    struct kvpbus_sealed sealed = one_bundle(3000, &bytes);
    rig_carry(&rig, &rig.guest, &sealed, bytes, 0, 1000, 500);
    rig_sync(&rig);
    bytes[1500] ^= 1; // stands for the rest of another bundle with this header
    rig_carry(&rig, &rig.guest, &sealed, bytes, 1000, 1900, 300);
    struct kvpbus_fragment piece = fragment(&sealed, bytes, 1900, sealed.length - 1900);
    FAILS(&rig.guest, KVPBUS_BAD_PACKET, give(&piece, &result));
    cr_assert_not(result.refused);
    bytes[1500] ^= 1;
    struct kvpbus_sync sync;
    IN(&rig.guest, kvpbus_journal_sync_make(rig.guest.journal, rig.guest.peer, &sync));
    cr_assert_eq(sync.classes[KVPBUS_CLASS_NORMAL].partial_count, 0);
    result = give_all(&sealed, bytes, 300);
    cr_assert(result.complete && result.messages == 1);
    free(bytes);
}

Test(journal_receive, a_bundle_longer_than_allowed_is_refused_once_its_header_is_here)
{
    uint8_t *bytes;
    struct kvpbus_fragment_result result;
    struct kvpbus_sealed sealed = one_bundle(1000, &bytes);
    sealed.length = 64 * 1024 * 1024;
    struct kvpbus_fragment piece = fragment(&sealed, bytes, 0, 100);
    IN(&rig.guest, give(&piece, &result));
    cr_assert_not(result.complete);
    piece = fragment(&sealed, bytes, 100, 100);
    IN(&rig.guest, give(&piece, &result));
    cr_assert(result.complete && result.refused);
    free(bytes);
}

Test(journal_receive, an_unpaired_peer_delivers_nothing)
{
    uint8_t *bytes;
    struct kvpbus_fragment_result result;
    struct kvpbus_sealed sealed = one_bundle(100, &bytes);
    IN(&rig.guest, kvpbus_journal_unpin(rig.guest.journal, rig.guest.peer));
    struct kvpbus_fragment piece = fragment(&sealed, bytes, 0, sealed.length);
    FAILS(&rig.guest, KVPBUS_UNPAIRED, give(&piece, &result));
    free(bytes);
}

// --- room ---

static uint64_t room(enum kvpbus_class class_)
{
    uint64_t rooms[KVPBUS_CLASS_COUNT];
    IN(&rig.guest, kvpbus_journal_room(rig.guest.journal, rig.guest.peer, rooms));
    return rooms[class_];
}

Test(journal_receive, room_shrinks_with_what_is_promised_and_held)
{
    uint8_t *bytes;
    cr_assert_eq(room(KVPBUS_CLASS_CONTROL), BOX);
    cr_assert_eq(room(KVPBUS_CLASS_BULK), BOX - RESERVE);
    struct kvpbus_sealed sealed = one_bundle(30000, &bytes);
    rig_carry(&rig, &rig.guest, &sealed, bytes, 0, 700, 700);
    cr_assert_eq(room(KVPBUS_CLASS_NORMAL), BOX - RESERVE - sealed.length);
    rig_carry(&rig, &rig.guest, &sealed, bytes, 700, sealed.length, 700);
    free(bytes);
    cr_assert(room(KVPBUS_CLASS_NORMAL) < BOX - RESERVE - 30000);
    cr_assert_eq(room(KVPBUS_CLASS_CONTROL), room(KVPBUS_CLASS_NORMAL) + RESERVE);
    rig_consume(&rig, &rig.guest);
    cr_assert_eq(room(KVPBUS_CLASS_NORMAL), BOX - RESERVE);
}

Test(journal_receive, a_bundle_far_beyond_any_credit_ends_the_session)
{
    uint8_t *bytes;
    struct kvpbus_fragment_result result;
    enum kvpbus_error error = KVPBUS_OK;
    struct kvpbus_sealed sealed = one_bundle(1000, &bytes);
    sealed.length = 100000;
    for (sealed.number = 1; sealed.number <= 4 && error == KVPBUS_OK; sealed.number++) {
        struct kvpbus_fragment piece = fragment(&sealed, bytes, 0, 500);
        cr_assert_eq(kvpbus_journal_begin(rig.guest.journal), KVPBUS_OK);
        error = give(&piece, &result);
        cr_assert_eq(kvpbus_journal_commit(rig.guest.journal, NULL), KVPBUS_OK);
    }
    cr_assert_eq(error, KVPBUS_CREDIT);
    cr_assert_eq(sealed.number, 4);
    free(bytes);
}

Test(journal_receive, an_inbox_that_nobody_empties_makes_the_peer_wait)
{
    // Bodies that compress well: far more comes out than there was credit for.
    static char body[60000];
    memset(body, 'a', sizeof body - 1);
    enum kvpbus_error error = KVPBUS_OK;
    int accepted = 0;
    struct kvpbus_sealed sealed;
    struct kvpbus_fragment_result result;
    uint8_t *bytes = NULL;
    while (error == KVPBUS_OK) {
        rig_queue(&rig, &rig.host, body);
        sealed = rig_seal(&rig, &rig.host, 1000);
        free(bytes);
        bytes = rig_bytes(&rig.host, &sealed);
        struct kvpbus_fragment piece = fragment(&sealed, bytes, 0, sealed.length);
        cr_assert_eq(kvpbus_journal_begin(rig.guest.journal), KVPBUS_OK);
        error = give(&piece, &result);
        if (error != KVPBUS_OK) {
            kvpbus_journal_rollback(rig.guest.journal);
            break;
        }
        cr_assert_eq(kvpbus_journal_commit(rig.guest.journal, NULL), KVPBUS_OK);
        IN(&rig.host,
           kvpbus_journal_delivered(rig.host.journal, rig.host.peer, sealed.class_, sealed.number));
        cr_assert_lt(++accepted, 10);
    }
    cr_assert_eq(error, KVPBUS_QUOTA);
    cr_assert_eq(accepted, 2 * BOX / 60000);
    cr_assert_eq(room(KVPBUS_CLASS_CONTROL), 0);
    // Nothing was lost: once there is room it comes again.
    struct kvpbus_delivery *delivery;
    IN(&rig.guest, kvpbus_journal_lease(rig.guest.journal, &(struct kvpbus_filter){0}, 1000,
                                        rig.now, &delivery));
    IN(&rig.guest, kvpbus_journal_ack(rig.guest.journal, delivery->lease));
    kvpbus_delivery_free(delivery);
    cr_assert(give_all(&sealed, bytes, sealed.length).complete);
    free(bytes);
}
