// SPDX-License-Identifier: Apache-2.0
//
// Bundles that the paired peer truly signed and that break the protocol all the same.
#include <criterion/criterion.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "big_endian.h"
#include "bundle_fixture.h"
#include "packing.h"

enum { PLAIN_MAX = 1 << 20, ROOM = 1 << 18 };

// Field numbers of proto/kvpbus.proto with their wire types.
enum {
    VARINT = 0,
    BYTES = 2,
    TAG_INDEX = 1 << 3 | VARINT,
    TAG_TOPIC = 2 << 3 | BYTES,
    TAG_SEQUENCE = 4 << 3 | VARINT,
    TAG_CREATED = 5 << 3 | VARINT,
    TAG_KIND = 7 << 3 | VARINT,
    TAG_CORRELATION = 9 << 3 | BYTES,
    TAG_HEADER = 10 << 3 | BYTES,
    TAG_BODY = 11 << 3 | BYTES,
    TAG_OPERATOR = 12 << 3 | BYTES,
    TAG_UNKNOWN = 15 << 3 | VARINT,
    TAG_MESSAGE = 1 << 3 | BYTES, // of a bundle
};

struct bytes {
    uint8_t at[ROOM];
    size_t length;
};

static void put_varint(struct bytes *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        to->at[to->length++] = (uint8_t)(value | 0x80);
    to->at[to->length++] = (uint8_t)value;
}

static void put_number(struct bytes *to, unsigned tag, uint64_t value)
{
    put_varint(to, tag);
    put_varint(to, value);
}

static void put_bytes(struct bytes *to, unsigned tag, const void *bytes, size_t length)
{
    put_varint(to, tag);
    put_varint(to, length);
    memcpy(to->at + to->length, bytes, length);
    to->length += length;
}

static struct bytes message; // the message being written

// Index 0, topic "a", sequence 1, in this order.
static void start_message(void)
{
    message.length = 0;
    put_bytes(&message, TAG_TOPIC, "a", 1);
    put_number(&message, TAG_SEQUENCE, 1);
}

static enum kvpbus_error open_plain(const void *plain, size_t length)
{
    struct bundle_fixture fixture;
    bundle_fixture_init(&fixture);
    size_t sealed_length;
    uint8_t *sealed =
        bundle_fixture_forge(&fixture, false, (uint32_t)length, plain, length, &sealed_length);
    struct kvpbus_failure failure = {0};
    struct kvpbus_bundle_content *content = NULL;
    enum kvpbus_error error =
        kvpbus_bundle_open(&fixture.route, sealed, sealed_length, PLAIN_MAX, &content, &failure);
    cr_assert_eq(failure.code, error);
    cr_assert_eq(content == NULL, error != KVPBUS_OK);
    kvpbus_bundle_content_free(content);
    free(sealed);
    return error;
}

// Opens a bundle of `count` times the message being written.
static enum kvpbus_error open_messages(size_t count)
{
    static struct bytes bundle;
    bundle.length = 0;
    for (size_t i = 0; i < count; i++)
        put_bytes(&bundle, TAG_MESSAGE, message.at, message.length);
    return open_plain(bundle.at, bundle.length);
}

Test(bundle_forged, the_message_that_the_others_are_made_of_is_good)
{
    start_message();
    cr_assert_eq(open_messages(1), KVPBUS_OK);
    put_bytes(&message, TAG_BODY, "body", 4);
    cr_assert_eq(open_messages(1), KVPBUS_OK);
}

Test(bundle_forged, an_unknown_field_is_ignored)
{
    start_message();
    put_number(&message, TAG_UNKNOWN, 5);
    cr_assert_eq(open_messages(1), KVPBUS_OK);
}

Test(bundle_forged, fields_of_a_message_that_are_not_valid)
{
    static const uint8_t zeros[KVPBUS_CORRELATION_MAX + 1];
    start_message();
    message.length -= 2; // no sequence
    cr_assert_eq(open_messages(1), KVPBUS_BAD_BUNDLE);
    message.length = 0;
    put_number(&message, TAG_SEQUENCE, 1); // no topic
    cr_assert_eq(open_messages(1), KVPBUS_BAD_BUNDLE);
    message.length = 0;
    put_bytes(&message, TAG_TOPIC, "a b", 3);
    put_number(&message, TAG_SEQUENCE, 1);
    cr_assert_eq(open_messages(1), KVPBUS_BAD_BUNDLE);
    start_message();
    put_number(&message, TAG_KIND, KVPBUS_KIND_RECEIPT + 1);
    cr_assert_eq(open_messages(1), KVPBUS_BAD_BUNDLE);
    start_message();
    put_bytes(&message, TAG_CORRELATION, zeros, sizeof zeros);
    cr_assert_eq(open_messages(1), KVPBUS_BAD_BUNDLE);
    start_message();
    put_bytes(&message, TAG_OPERATOR, zeros, 63);
    cr_assert_eq(open_messages(1), KVPBUS_BAD_BUNDLE);
    start_message();
    put_bytes(&message, TAG_HEADER, "", 0); // a header without a name
    cr_assert_eq(open_messages(1), KVPBUS_BAD_BUNDLE);
}

Test(bundle_forged, times_that_cannot_be)
{
    start_message();
    put_number(&message, TAG_CREATED, UINT64_MAX - 1); // zigzag: INT64_MAX, beyond when added
    cr_assert_eq(open_messages(1), KVPBUS_BAD_BUNDLE);
    start_message();
    put_number(&message, TAG_CREATED, UINT64_MAX); // INT64_MIN: before 1970
    cr_assert_eq(open_messages(1), KVPBUS_BAD_BUNDLE);
}

Test(bundle_forged, indices_ascend_and_have_16_bits)
{
    start_message();
    cr_assert_eq(open_messages(2), KVPBUS_BAD_BUNDLE); // twice 0
    message.length = 0;
    put_number(&message, TAG_INDEX, UINT16_MAX);
    put_bytes(&message, TAG_TOPIC, "a", 1);
    put_number(&message, TAG_SEQUENCE, 1);
    cr_assert_eq(open_messages(1), KVPBUS_OK);
    message.length = 0;
    put_number(&message, TAG_INDEX, UINT16_MAX + 1);
    put_bytes(&message, TAG_TOPIC, "a", 1);
    put_number(&message, TAG_SEQUENCE, 1);
    cr_assert_eq(open_messages(1), KVPBUS_BAD_BUNDLE);
}

Test(bundle_forged, only_the_shortest_encoding_is_accepted)
{
    message.length = 0;
    put_bytes(&message, TAG_TOPIC, "a\0b", 3);
    put_number(&message, TAG_SEQUENCE, 1);
    cr_assert_eq(open_messages(1), KVPBUS_BAD_BUNDLE, "NUL in a string");
    start_message();
    put_bytes(&message, TAG_TOPIC, "b", 1);
    cr_assert_eq(open_messages(1), KVPBUS_BAD_BUNDLE, "a field twice");
    start_message();
    put_number(&message, TAG_KIND, 0);
    cr_assert_eq(open_messages(1), KVPBUS_BAD_BUNDLE, "a default written out");
    start_message();
    message.at[message.length - 1] = 0x81;
    message.at[message.length++] = 0x00;
    cr_assert_eq(open_messages(1), KVPBUS_BAD_BUNDLE, "a varint that is too long");
}

Test(bundle_forged, what_is_not_protobuf)
{
    start_message();
    struct bytes *bundle = calloc(1, sizeof *bundle);
    put_bytes(bundle, TAG_MESSAGE, message.at, message.length);
    for (size_t cut = 1; cut < bundle->length; cut++)
        cr_assert_eq(open_plain(bundle->at, cut), KVPBUS_BAD_BUNDLE, "%zu", cut);
    free(bundle);
    cr_assert_eq(open_plain("\0\0\0\0", 4), KVPBUS_BAD_BUNDLE);
    cr_assert_eq(open_plain("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11), KVPBUS_BAD_BUNDLE);
    cr_assert_eq(open_plain("\x78\x01", 2), KVPBUS_BAD_BUNDLE, "no messages");
}

Test(bundle_forged, counts)
{
    message.length = 0;
    cr_assert_eq(open_messages(KVPBUS_BUNDLE_MESSAGES_MAX + 1), KVPBUS_BAD_BUNDLE);
    cr_assert_eq(open_messages(100000), KVPBUS_BAD_BUNDLE);
    struct bytes *bundle = calloc(1, sizeof *bundle);
    for (unsigned i = 1; i <= KVPBUS_BUNDLE_MESSAGES_MAX + 1; i++) {
        message.length = 0;
        put_number(&message, TAG_INDEX, i);
        put_bytes(&message, TAG_TOPIC, "a", 1);
        put_number(&message, TAG_SEQUENCE, 1);
        if (i > KVPBUS_BUNDLE_MESSAGES_MAX)
            cr_assert_eq(open_plain(bundle->at, bundle->length), KVPBUS_OK);
        put_bytes(bundle, TAG_MESSAGE, message.at, message.length);
    }
    cr_assert_eq(open_plain(bundle->at, bundle->length), KVPBUS_BAD_BUNDLE);
    free(bundle);
    start_message();
    for (size_t i = 0; i < KVPBUS_HEADERS_MAX + 1; i++)
        put_bytes(&message, TAG_HEADER, "\x0a\x01n", 3);
    cr_assert_eq(open_messages(1), KVPBUS_BAD_BUNDLE);
}

static enum kvpbus_error open_compressed(uint32_t plain_length, const void *packed, size_t length)
{
    struct bundle_fixture fixture;
    bundle_fixture_init(&fixture);
    size_t sealed_length;
    uint8_t *sealed =
        bundle_fixture_forge(&fixture, true, plain_length, packed, length, &sealed_length);
    struct kvpbus_failure failure = {0};
    struct kvpbus_bundle_content *content = NULL;
    enum kvpbus_error error =
        kvpbus_bundle_open(&fixture.route, sealed, sealed_length, PLAIN_MAX, &content, &failure);
    cr_assert_eq(failure.code, error);
    kvpbus_bundle_content_free(content);
    free(sealed);
    return error;
}

Test(bundle_forged, streams_that_do_not_give_the_declared_length)
{
    start_message();
    static uint8_t body[2000];
    put_bytes(&message, TAG_BODY, body, sizeof body);
    static struct bytes bundle;
    put_bytes(&bundle, TAG_MESSAGE, message.at, message.length);
    uint8_t packed[4096];
    uLongf length = sizeof packed - 1;
    cr_assert_eq(compress(packed, &length, bundle.at, bundle.length), Z_OK);
    uint32_t plain = (uint32_t)bundle.length;
    cr_assert_eq(open_compressed(plain, packed, length), KVPBUS_OK);
    cr_assert_eq(open_compressed(plain - 1, packed, length), KVPBUS_BAD_BUNDLE);
    cr_assert_eq(open_compressed(plain + 1, packed, length), KVPBUS_BAD_BUNDLE);
    cr_assert_eq(open_compressed(plain, packed, length - 1), KVPBUS_BAD_BUNDLE);
    packed[length] = 0;
    cr_assert_eq(open_compressed(plain, packed, length + 1), KVPBUS_BAD_BUNDLE);
    packed[length - 1] ^= 1; // the checksum
    cr_assert_eq(open_compressed(plain, packed, length), KVPBUS_BAD_BUNDLE);
    packed[length - 1] ^= 1;
    cr_assert_eq(open_compressed(plain, packed + 2, length - 2), KVPBUS_BAD_BUNDLE, "no header");
    cr_assert_eq(open_compressed(PLAIN_MAX + 1, packed, length), KVPBUS_TOO_LARGE);
}

// Of a stream that gives less, the rest of the block would hold what was there before.
Test(bundle_forged, a_stream_fills_its_block)
{
    uint8_t packed[100], plain[51];
    uLongf length = sizeof packed;
    memset(plain, 'p', sizeof plain);
    cr_assert_eq(compress(packed, &length, plain, 50), Z_OK);
    cr_assert_eq(kvpbus_inflate(packed, length, plain, 49), KVPBUS_BAD_BUNDLE);
    cr_assert_eq(kvpbus_inflate(packed, length, plain, 50), KVPBUS_OK);
    cr_assert_eq(kvpbus_inflate(packed, length, plain, 51), KVPBUS_BAD_BUNDLE);
}

Test(bundle_forged, a_stream_with_a_dictionary)
{
    uint8_t plain[500] = {0}, packed[500];
    z_stream stream = {0};
    cr_assert_eq(deflateInit(&stream, 6), Z_OK);
    cr_assert_eq(deflateSetDictionary(&stream, plain, sizeof plain), Z_OK);
    stream.next_in = plain;
    stream.avail_in = sizeof plain;
    stream.next_out = packed;
    stream.avail_out = sizeof packed;
    cr_assert_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    cr_assert_eq(open_compressed(sizeof plain, packed, sizeof packed - stream.avail_out),
                 KVPBUS_BAD_BUNDLE);
    deflateEnd(&stream);
}

// Changes one field of a good header, signs again, and expects the layout to be refused.
static void refuse_header(size_t at, uint64_t value, size_t bytes)
{
    struct bundle_fixture fixture;
    bundle_fixture_init(&fixture);
    struct kvpbus_message good = bundle_fixture_full();
    struct kvpbus_bundle_header header;
    struct kvpbus_bundle_content *content = NULL;
    size_t length;
    uint8_t *sealed = bundle_fixture_seal(&fixture, &good, 1, &length);
    cr_assert_eq(sealed[2], 0);
    kvpbus_put_be(sealed + at, value, bytes);
    bundle_fixture_sign(&fixture, sealed, length);
    cr_assert_eq(kvpbus_bundle_header_read(sealed, length, &header, NULL), KVPBUS_BAD_BUNDLE, "%zu",
                 at);
    cr_assert_eq(kvpbus_bundle_open(&fixture.route, sealed, length, PLAIN_MAX, &content, NULL),
                 KVPBUS_BAD_BUNDLE);
    free(sealed);
}

Test(bundle_forged, headers)
{
    refuse_header(0, 0, 1);
    refuse_header(0, 2, 1);
    refuse_header(1, KVPBUS_CLASS_COUNT, 1);
    refuse_header(2, 2, 1);
    refuse_header(2, 1, 1); // compressed, and not smaller
    refuse_header(3, 1, 1);
    refuse_header(36, 0, 8);
    refuse_header(44, UINT64_C(1) << 63, 8);
    refuse_header(52, 0, 4);
    refuse_header(52, UINT32_MAX, 4);
    refuse_header(56, 0, 4);
    refuse_header(56, 1, 4);
}
