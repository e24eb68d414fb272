// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#include "wire.h"

static struct kvpbus_frame_writer writer(size_t limit)
{
    return (struct kvpbus_frame_writer){.limit = limit};
}

Test(wire, a_state_comes_back_as_it_went)
{
    uint8_t plain[KVPBUS_STATE_PLAIN + 3] = {0};
    struct kvpbus_state back, state = {
                                  .echo = KVPBUS_NUMBER_MAX,
                                  .cumulative = 70000,
                                  .bitmap = UINT64_C(0x8000000000000005),
                                  .window = 64,
                                  .flags = KVPBUS_STATE_STATE_MISSING,
                                  .credit = {1, UINT64_MAX, 3},
                                  .digest = UINT64_C(0x0123456789abcdef),
                              };
    kvpbus_state_write(&state, plain);
    cr_assert_eq(plain[12], 0xa0, "packets c+1 and c+3 are the first bits on the wire");
    cr_assert_eq(plain[19], 0x01, "packet c+64 is the last");
    cr_assert_eq(kvpbus_state_read(plain, sizeof plain, &back), KVPBUS_OK, "longer is allowed");
    cr_assert_eq(back.echo, state.echo);
    cr_assert_eq(back.cumulative, state.cumulative);
    cr_assert_eq(back.bitmap, state.bitmap);
    cr_assert_eq(back.window, state.window);
    cr_assert_eq(back.flags, state.flags);
    cr_assert_arr_eq(back.credit, state.credit, sizeof state.credit);
    cr_assert_eq(back.digest, state.digest);
}

Test(wire, a_state_that_is_short_or_has_no_window_is_refused)
{
    uint8_t plain[KVPBUS_STATE_PLAIN];
    struct kvpbus_state state = {.window = 0};
    kvpbus_state_write(&state, plain);
    cr_assert_eq(kvpbus_state_read(plain, sizeof plain, &state), KVPBUS_BAD_PACKET);
    state.window = 65;
    kvpbus_state_write(&state, plain);
    cr_assert_eq(kvpbus_state_read(plain, sizeof plain, &state), KVPBUS_BAD_PACKET);
    state.window = 1;
    kvpbus_state_write(&state, plain);
    cr_assert_eq(kvpbus_state_read(plain, sizeof plain - 1, &state), KVPBUS_BAD_PACKET);
}

Test(wire, a_full_sync_fits_a_packet_and_comes_back)
{
    struct kvpbus_sync back, sync;
    memset(&sync, 0, sizeof sync);
    memset(sync.timeline, 1, sizeof sync.timeline);
    memset(sync.peer_timeline, 2, sizeof sync.peer_timeline);
    for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++) {
        struct kvpbus_sync_class *view = &sync.classes[class_];
        view->next = UINT64_C(1) << 40;
        view->floor = UINT64_C(1) << 41;
        memset(view->floor_id, (int)class_ + 3, sizeof view->floor_id);
        view->complete_count = view->partial_count = KVPBUS_BUNDLE_WINDOW;
        for (size_t i = 0; i < KVPBUS_BUNDLE_WINDOW; i++) {
            view->complete[i] = view->partial[i] = view->floor + 1 + i;
            memset(view->complete_id[i], 9, 8);
            memset(view->partial_id[i], 8, 8);
            view->partial_prefix[i] = UINT32_MAX;
        }
    }
    struct kvpbus_frame_writer out = writer(KVPBUS_PLAIN_MAX);
    sync.former_count = KVPBUS_FORMER_MAX;
    for (size_t i = 0; i < sync.former_count; i++) {
        memset(sync.former[i].timeline, 3 + (int)i, sizeof sync.former[i].timeline);
        for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
            sync.former[i].floors[class_] = 1000 * i + class_;
    }
    cr_assert(kvpbus_frame_sync(&out, &sync));
    struct kvpbus_link_packet packet;
    bool is_sync;
    cr_assert_eq(kvpbus_packet_read(out.bytes, out.length, &is_sync, &back, &packet), KVPBUS_OK);
    cr_assert(is_sync);
    cr_assert_arr_eq(&back, &sync, sizeof sync);

    // Cut anywhere it is refused.
    for (size_t length = 0; length < out.length; length++)
        cr_assert_eq(kvpbus_packet_read(out.bytes, length, &is_sync, &back, &packet),
                     KVPBUS_BAD_PACKET, "%zu", length);
    // With less room it names fewer former timelines.
    struct kvpbus_frame_writer less = writer(out.length - 1);
    cr_assert(kvpbus_frame_sync(&less, &sync));
    cr_assert_eq(kvpbus_packet_read(less.bytes, less.length, &is_sync, &back, &packet), KVPBUS_OK);
    cr_assert_eq(back.former_count, KVPBUS_FORMER_MAX - 1);
    // One that does not fit leaves the packet as it was.
    sync.former_count = 0;
    struct kvpbus_frame_writer least = writer(KVPBUS_PLAIN_MAX);
    cr_assert(kvpbus_frame_sync(&least, &sync));
    struct kvpbus_frame_writer small = writer(least.length - 1);
    cr_assert_not(kvpbus_frame_sync(&small, &sync));
    cr_assert_eq(small.length, 0);
}

Test(wire, the_longest_sync_fits_the_shortest_values)
{
    struct kvpbus_sync sync;
    memset(&sync, 0, sizeof sync);
    for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++) {
        struct kvpbus_sync_class *view = &sync.classes[class_];
        view->next = view->floor = INT64_MAX - KVPBUS_BUNDLE_WINDOW;
        // Of the numbers above the floor each is either complete or not.
        view->partial_count = KVPBUS_BUNDLE_WINDOW;
        for (size_t i = 0; i < view->partial_count; i++) {
            view->partial[i] = view->floor + 1 + i;
            view->partial_prefix[i] = UINT32_MAX;
        }
    }
    struct kvpbus_frame_writer out = writer(KVPBUS_VALUE_MIN * 3 / 4 - KVPBUS_ITEM_OVERHEAD);
    cr_assert(kvpbus_frame_sync(&out, &sync));
}

Test(wire, gaps_answers_and_fragments_share_a_packet)
{
    static const uint8_t data[3] = {7, 8, 9};
    struct kvpbus_frame_writer out = writer(KVPBUS_PLAIN_MAX);
    struct kvpbus_gap gap = {KVPBUS_CLASS_BULK, 300, 2, {0, 1000}};
    struct kvpbus_gap_answer whole = {KVPBUS_CLASS_CONTROL, 1, 0, {0}, {KVPBUS_ANSWER_REFUSED}};
    struct kvpbus_gap_answer some = {
        KVPBUS_CLASS_NORMAL, 2, 2, {5, 6}, {KVPBUS_ANSWER_HAD, KVPBUS_ANSWER_VOID}};
    struct kvpbus_fragment first = {KVPBUS_CLASS_NORMAL, 4, true, 3, 0, data, 3};
    struct kvpbus_fragment later = {KVPBUS_CLASS_BULK, 5, false, 0, 70000, data, 2};
    cr_assert(kvpbus_frame_gap(&out, &gap));
    cr_assert(kvpbus_frame_answer(&out, &whole));
    cr_assert(kvpbus_frame_answer(&out, &some));
    cr_assert_eq(kvpbus_frame_fragment(&out, &first), 3);
    cr_assert_eq(kvpbus_frame_fragment(&out, &later), 2);

    struct kvpbus_link_packet packet;
    struct kvpbus_sync sync;
    bool is_sync;
    cr_assert_eq(kvpbus_packet_read(out.bytes, out.length, &is_sync, &sync, &packet), KVPBUS_OK);
    cr_assert_not(is_sync);
    cr_assert_eq(packet.gap_count, 1);
    cr_assert_eq(packet.gaps[0].number, 300);
    cr_assert_eq(packet.gaps[0].indices[1], 1000);
    cr_assert_eq(packet.answer_count, 2);
    cr_assert_eq(packet.answers[0].answers[0], KVPBUS_ANSWER_REFUSED);
    cr_assert_eq(packet.answers[1].indices[1], 6);
    cr_assert_eq(packet.answers[1].answers[1], KVPBUS_ANSWER_VOID);
    cr_assert_eq(packet.fragment_count, 2);
    cr_assert(packet.fragments[0].first);
    cr_assert_eq(packet.fragments[0].total, 3);
    cr_assert_arr_eq(packet.fragments[0].data, data, 3);
    cr_assert_eq(packet.fragments[1].offset, 70000);
    cr_assert_eq(packet.fragments[1].length, 2);
}

Test(wire, a_fragment_fills_whatever_room_is_left_exactly)
{
    static uint8_t data[KVPBUS_PLAIN_MAX];
    for (size_t room = 1; room <= 300; room++)
        for (size_t length = 1; length <= 300; length += 1 + length / 7) {
            struct kvpbus_frame_writer out = writer(room);
            struct kvpbus_fragment fragment = {KVPBUS_CLASS_BULK, 9, false, 0, 5000, data, length};
            size_t taken = kvpbus_frame_fragment(&out, &fragment);
            cr_assert_leq(taken, length);
            cr_assert_leq(out.length, room);
            if (taken == 0) {
                cr_assert_eq(out.length, 0);
                cr_assert(room < 6 || length == 1, "room %zu, length %zu", room, length);
                continue;
            }
            struct kvpbus_link_packet packet;
            struct kvpbus_sync sync;
            bool is_sync;
            cr_assert_eq(kvpbus_packet_read(out.bytes, out.length, &is_sync, &sync, &packet),
                         KVPBUS_OK);
            cr_assert_eq(packet.fragments[0].length, taken);
        }
}

Test(wire, frames_that_break_the_protocol_are_refused)
{
    static const struct {
        const char *why;
        uint8_t bytes[16];
        size_t length;
    } cases[] = {
        {"unknown type", {0x7f}, 1},
        {"SYNC after another frame", {0x02, 0, 1, 0, 0x01}, 5},
        {"class 3", {0x02, 3, 1, 0}, 4},
        {"number 0", {0x02, 0, 0, 0}, 4},
        {"65 indices", {0x02, 0, 1, 65}, 4},
        {"answer 4", {0x03, 0, 1, 0, 4}, 5},
        {"fragment of class 3", {0x1e, 1, 1, 0}, 4},
        {"fragment without data", {0x12, 1, 1}, 3},
        {"fragment at offset 0 without FIRST", {0x12, 1, 0, 5}, 4},
        {"length beyond the packet", {0x10, 1, 1, 2, 5}, 5},
        {"a varint that is longer than it need be", {0x12, 0x81, 0x00, 1, 5}, 5},
        {"a varint that never ends",
         {0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
         12},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kvpbus_link_packet packet;
        struct kvpbus_sync sync;
        bool is_sync;
        cr_assert_eq(kvpbus_packet_read(cases[i].bytes, cases[i].length, &is_sync, &sync, &packet),
                     KVPBUS_BAD_PACKET, "%s", cases[i].why);
    }
}

Test(wire, more_frames_than_a_packet_may_hold_are_refused)
{
    uint8_t bytes[4 * (KVPBUS_LINK_FRAMES_MAX + 1)];
    for (size_t i = 0; i < sizeof bytes; i += 4)
        memcpy(bytes + i, (uint8_t[]){0x02, 0, 1, 0}, 4);
    struct kvpbus_link_packet packet;
    struct kvpbus_sync sync;
    bool is_sync;
    cr_assert_eq(kvpbus_packet_read(bytes, sizeof bytes - 4, &is_sync, &sync, &packet), KVPBUS_OK);
    cr_assert_eq(kvpbus_packet_read(bytes, sizeof bytes, &is_sync, &sync, &packet),
                 KVPBUS_BAD_PACKET);
}

Test(wire, the_digest_of_a_packet_depends_on_key_number_and_content)
{
    uint8_t key[KVPBUS_KEY_BYTES] = {1}, other[KVPBUS_KEY_BYTES] = {2};
    const uint8_t a[] = "a", b[] = "b";
    uint64_t digest = kvpbus_packet_digest(key, 1, a, 1);
    cr_assert_eq(digest, kvpbus_packet_digest(key, 1, a, 1));
    cr_assert_neq(digest, kvpbus_packet_digest(other, 1, a, 1));
    cr_assert_neq(digest, kvpbus_packet_digest(key, 2, a, 1));
    cr_assert_neq(digest, kvpbus_packet_digest(key, 1, b, 1));
}
