// SPDX-License-Identifier: Apache-2.0
//
// Every allocation of sealing and opening fails once, and hostile bundles take only the memory that
// they may. The program is linked with --wrap for malloc, calloc,
// realloc and free.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "bundle_fixture.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);

static struct {
    size_t made;
    size_t fails; // the allocation that fails, from 1; 0: none
    size_t total; // bytes
    size_t live;  // blocks that were not freed
} heap;

static bool take(size_t size)
{
    heap.total += size;
    return ++heap.made != heap.fails;
}

static void *count_block(void *block)
{
    heap.live += block != NULL;
    return block;
}

void *__wrap_malloc(size_t size)
{
    return take(size) ? count_block(__real_malloc(size)) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return take(count * size) ? count_block(__real_calloc(count, size)) : NULL;
}

void *__wrap_realloc(void *block, size_t size)
{
    if (!take(size))
        return NULL;
    return block == NULL ? count_block(__real_malloc(size)) : __real_realloc(block, size);
}

void __wrap_free(void *block)
{
    heap.live -= block != NULL;
    __real_free(block);
}

static void reset(size_t fails)
{
    heap.made = heap.total = 0;
    heap.fails = fails;
}

static void samples(const struct bundle_fixture *fixture, struct kvpbus_message messages[2])
{
    static uint8_t body[5000];
    messages[0] = bundle_fixture_event(fixture, 0, "a.b", body, sizeof body);
    messages[1] = bundle_fixture_full();
}

// With the first message the bundle is compressed, with the second alone it is not.
static void seal_without_one_allocation(const struct bundle_fixture *fixture,
                                        const struct kvpbus_message *messages, size_t count)
{
    size_t failures = 0;
    for (size_t i = 1;; i++) {
        uint8_t *sealed = NULL;
        size_t length;
        struct kvpbus_failure failure = {0};
        reset(i);
        enum kvpbus_error error =
            kvpbus_bundle_seal(&fixture->route, fixture->secret, &fixture->position, messages,
                               count, SIZE_MAX, &sealed, &length, &failure);
        bool all_done = heap.made < i;
        reset(0);
        if (error == KVPBUS_OK) { // the last one only gives memory back
            struct kvpbus_bundle_content *content = NULL;
            cr_assert_eq(
                kvpbus_bundle_open(&fixture->route, sealed, length, SIZE_MAX, &content, NULL),
                KVPBUS_OK);
            kvpbus_bundle_content_free(content);
            free(sealed);
        } else {
            cr_assert_eq(error, KVPBUS_NOMEM);
            cr_assert_eq(failure.code, KVPBUS_NOMEM);
            cr_assert_null(sealed);
            failures++;
        }
        cr_assert_eq(heap.live, 0, "allocation %zu", i);
        if (all_done)
            break;
    }
    cr_assert_geq(failures, 6 + 1, "%zu: zlib's state was not counted", failures);
}

// Opens it with each allocation failing, until all were made and the result is `expected`.
static size_t open_without_one_allocation(const struct bundle_fixture *fixture,
                                          const uint8_t *sealed, size_t length,
                                          enum kvpbus_error expected)
{
    size_t blocks = heap.live;
    for (size_t i = 1;; i++) {
        struct kvpbus_bundle_content *content = NULL;
        struct kvpbus_failure failure = {0};
        reset(i);
        enum kvpbus_error error =
            kvpbus_bundle_open(&fixture->route, sealed, length, SIZE_MAX, &content, &failure);
        bool all_done = heap.made < i;
        reset(0);
        cr_assert_eq(content == NULL, error != KVPBUS_OK);
        kvpbus_bundle_content_free(content);
        cr_assert_eq(heap.live, blocks, "allocation %zu", i);
        cr_assert_eq(failure.code, error);
        cr_assert_eq(error, all_done ? expected : KVPBUS_NOMEM, "allocation %zu", i);
        if (all_done)
            return i - 1;
    }
}

Test(bundle_memory, every_allocation_of_sealing_fails_once)
{
    struct bundle_fixture fixture;
    struct kvpbus_message messages[2];
    bundle_fixture_init(&fixture);
    samples(&fixture, messages);
    seal_without_one_allocation(&fixture, messages, 2);
    seal_without_one_allocation(&fixture, messages + 1, 1);
}

Test(bundle_memory, every_allocation_of_opening_fails_once)
{
    struct bundle_fixture fixture;
    struct kvpbus_message messages[2];
    bundle_fixture_init(&fixture);
    samples(&fixture, messages);
    for (size_t first = 0; first < 2; first++) {
        size_t length;
        uint8_t *sealed = bundle_fixture_seal(&fixture, messages + first, 2 - first, &length);
        // Those of protobuf-c are among them.
        cr_assert_gt(open_without_one_allocation(&fixture, sealed, length, KVPBUS_OK), 11);
        free(sealed);
    }
}

Test(bundle_memory, every_allocation_of_a_stream_that_is_cut_fails_once)
{
    static const uint8_t zeros[5000];
    struct bundle_fixture fixture;
    bundle_fixture_init(&fixture);
    uint8_t packed[500];
    uLongf packed_length = sizeof packed;
    cr_assert_eq(compress(packed, &packed_length, zeros, sizeof zeros), Z_OK);
    size_t length;
    uint8_t *sealed =
        bundle_fixture_forge(&fixture, true, sizeof zeros, packed, packed_length - 6, &length);
    cr_assert_geq(open_without_one_allocation(&fixture, sealed, length, KVPBUS_BAD_BUNDLE), 2);
    free(sealed);
}

// Opens a forged bundle and gives the bytes that were allocated for it.
static size_t memory_for(bool compressed, uint32_t plain_length, const void *packed, size_t length,
                         size_t plain_max, enum kvpbus_error expected)
{
    size_t blocks = heap.live;
    struct bundle_fixture fixture;
    bundle_fixture_init(&fixture);
    size_t sealed_length;
    uint8_t *sealed =
        bundle_fixture_forge(&fixture, compressed, plain_length, packed, length, &sealed_length);
    struct kvpbus_bundle_content *content = NULL;
    reset(0);
    enum kvpbus_error error =
        kvpbus_bundle_open(&fixture.route, sealed, sealed_length, plain_max, &content, NULL);
    size_t total = heap.total;
    cr_assert_eq(error, expected, "%d", (int)error);
    kvpbus_bundle_content_free(content);
    free(sealed);
    cr_assert_eq(heap.live, blocks);
    return total;
}

enum {
    MIB = 1024 * 1024,
    ZLIB_STATE = 64 * 1024,
    UNPACKING = 10 * MIB, // for the most messages of the most headers
};

Test(bundle_memory, a_zip_bomb_takes_what_it_declares_at_most)
{
    size_t inflated = 64 * (size_t)MIB;
    uint8_t *zeros = calloc(1, inflated), *packed = malloc(MIB);
    uLongf length = MIB;
    cr_assert_eq(compress2(packed, &length, zeros, inflated, 9), Z_OK);
    free(zeros);
    uint32_t small = (uint32_t)length + 1, large = (uint32_t)inflated;
    // It says that it is small, and is cut short there.
    cr_assert_leq(memory_for(true, small, packed, length, 16 * MIB, KVPBUS_BAD_BUNDLE),
                  small + ZLIB_STATE);
    // It says what it is: nothing is allocated at all.
    cr_assert_eq(memory_for(true, large, packed, length, 16 * MIB, KVPBUS_TOO_LARGE), 0);
    // It is allowed, and holds nothing.
    cr_assert_leq(memory_for(true, large, packed, length, inflated, KVPBUS_BAD_BUNDLE),
                  2 * inflated + ZLIB_STATE + UNPACKING);
    free(packed);
}

Test(bundle_memory, an_unauthenticated_bundle_takes_none)
{
    struct bundle_fixture fixture;
    struct kvpbus_message messages[2];
    bundle_fixture_init(&fixture);
    samples(&fixture, messages);
    size_t length;
    uint8_t *sealed = bundle_fixture_seal(&fixture, messages, 2, &length);
    struct kvpbus_bundle_content *content = NULL;
    sealed[length - 1] ^= 1;
    reset(0);
    cr_assert_eq(kvpbus_bundle_open(&fixture.route, sealed, length, MIB, &content, NULL),
                 KVPBUS_BAD_SIGNATURE);
    cr_assert_eq(heap.made, 0);
    free(sealed);
}

// `unit` again and again, up to a MiB.
static size_t repeated(uint8_t *plain, const char *unit, size_t length)
{
    size_t total = MIB / length * length;
    for (size_t i = 0; i < total; i++)
        plain[i] = (uint8_t)unit[i % length];
    return total;
}

Test(bundle_memory, protobuf_of_many_small_things_takes_little)
{
    static const struct {
        const char *bytes;
        size_t length;
    } units[] = {
        {"\x0a\x00", 2},         // messages
        {"\x0a\x02\x52\x00", 4}, // messages of a header
        {"\x78\x01", 2},         // unknown fields
        {"\x12\x00", 2},         // unknown fields, empty
    };
    uint8_t *plain = malloc(MIB + 16);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t length = repeated(plain, units[i].bytes, units[i].length);
        cr_assert_leq(memory_for(false, (uint32_t)length, plain, length, MIB, KVPBUS_BAD_BUNDLE),
                      length + UNPACKING, "unit %zu", i);
    }
    // One message of a field again and again: headers, indices, topics.
    static const struct {
        const char *bytes;
        size_t length;
    } fields[] = {{"\x52\x00", 2}, {"\x08\x01", 2}, {"\x12\x01x", 3}, {"\x78\x01", 2}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        size_t length = repeated(plain + 4, fields[i].bytes, fields[i].length);
        plain[0] = 0x0a; // the length takes three bytes
        plain[1] = (uint8_t)(length | 0x80);
        plain[2] = (uint8_t)(length >> 7 | 0x80);
        plain[3] = (uint8_t)(length >> 14);
        bool fits = length >> 14 < 0x80;
        cr_assert(fits);
        length += 4;
        cr_assert_leq(
            memory_for(false, (uint32_t)length, plain, length, 2 * MIB, KVPBUS_BAD_BUNDLE),
            length + UNPACKING, "field %zu", i);
    }
    free(plain);
}
