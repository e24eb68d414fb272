// SPDX-License-Identifier: Apache-2.0
//
// Frames of the local sockets: however the bytes are cut, the same frames; a length that is none is
// refused before anything is kept for it.
#include <criterion/criterion.h>
#include <string.h>

#include "frame.h"

static struct kvpbus_frame_reader reader;

static void reset(void)
{
    memset(&reader, 0, sizeof reader);
}

TestSuite(frame, .init = reset);

// Three frames with 1, 700 and 3 bytes.
static size_t three_frames(uint8_t *bytes)
{
    static const size_t lengths[] = {1, 700, 3};
    size_t at = 0;
    for (size_t i = 0; i < 3; i++) {
        kvpbus_frame_head(bytes + at, lengths[i]);
        memset(bytes + at + KVPBUS_FRAME_HEAD, (int)('a' + i), lengths[i]);
        at += KVPBUS_FRAME_HEAD + lengths[i];
    }
    return at;
}

Test(frame, the_head_is_the_length_big_endian)
{
    uint8_t head[KVPBUS_FRAME_HEAD];
    kvpbus_frame_head(head, 0x010203);
    cr_assert_arr_eq(head, "\0\1\2\3", KVPBUS_FRAME_HEAD);
}

Test(frame, pieces_of_any_size_give_the_same_frames)
{
    static const size_t expected[] = {1, 700, 3};
    uint8_t bytes[1024];
    size_t length = three_frames(bytes);
    for (size_t piece = 1; piece <= length; piece++) {
        size_t frames = 0;
        reset();
        for (size_t at = 0; at < length;) {
            const uint8_t *frame;
            size_t frame_length, taken, left = length - at;
            cr_assert_eq(kvpbus_frame_take(&reader, bytes + at, left < piece ? left : piece, &taken,
                                           &frame, &frame_length),
                         KVPBUS_OK);
            cr_assert(taken > 0 && taken <= piece);
            at += taken;
            if (frame == NULL)
                continue;
            cr_assert_lt(frames, 3);
            cr_assert_eq(frame_length, expected[frames]);
            cr_assert_eq(frame[0], 'a' + frames);
            cr_assert_eq(frame[frame_length - 1], 'a' + frames);
            frames++;
            kvpbus_frame_next(&reader);
        }
        cr_assert_eq(frames, 3, "pieces of %zu bytes", piece);
    }
}

Test(frame, the_longest_frame_passes)
{
    static uint8_t bytes[KVPBUS_FRAME_HEAD + KVPBUS_FRAME_MAX];
    const uint8_t *frame;
    size_t length, taken;
    kvpbus_frame_head(bytes, KVPBUS_FRAME_MAX);
    cr_assert_eq(kvpbus_frame_take(&reader, bytes, sizeof bytes, &taken, &frame, &length),
                 KVPBUS_OK);
    cr_assert_eq(taken, sizeof bytes);
    cr_assert_not_null(frame);
    cr_assert_eq(length, KVPBUS_FRAME_MAX);
}

Test(frame, a_longer_one_is_refused_by_its_head_alone)
{
    static const size_t lengths[] = {KVPBUS_FRAME_MAX + 1, 0x80000000u, 0xffffffffu};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        uint8_t head[KVPBUS_FRAME_HEAD];
        const uint8_t *frame;
        size_t length, taken;
        reset();
        kvpbus_frame_head(head, lengths[i]);
        cr_assert_eq(kvpbus_frame_take(&reader, head, sizeof head, &taken, &frame, &length),
                     KVPBUS_PROTOCOL);
        cr_assert_null(frame);
    }
}

Test(frame, an_empty_one_is_refused)
{
    const uint8_t *frame;
    size_t length, taken;
    cr_assert_eq(
        kvpbus_frame_take(&reader, (const uint8_t *)"\0\0\0\0", 4, &taken, &frame, &length),
        KVPBUS_PROTOCOL);
}
