// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "big_endian.h"
#include "bundle_internal.h"

// Where the fields of the header stand.
enum {
    AT_VERSION = 0,
    AT_CLASS = 1,
    AT_FLAGS = 2,
    AT_ZERO = 3,
    AT_ID = 4,
    AT_TIMELINE = 20,
    AT_NUMBER = 36,
    AT_CREATED = 44,
    AT_PLAIN_LENGTH = 52,
    AT_PACKED_LENGTH = 56,
};

void kvpbus_bundle_header_write(const struct kvpbus_bundle_header *header, uint8_t *bytes)
{
    const struct kvpbus_bundle_position *position = &header->position;
    bytes[AT_VERSION] = KVPBUS_BUNDLE_VERSION;
    bytes[AT_CLASS] = (uint8_t)position->class_;
    bytes[AT_FLAGS] = header->compressed ? KVPBUS_BUNDLE_COMPRESSED : 0;
    bytes[AT_ZERO] = 0;
    memcpy(bytes + AT_ID, position->id, sizeof position->id);
    memcpy(bytes + AT_TIMELINE, position->timeline, sizeof position->timeline);
    kvpbus_put_be(bytes + AT_NUMBER, position->number, 8);
    kvpbus_put_be(bytes + AT_CREATED, (uint64_t)position->created_ms, 8);
    kvpbus_put_be(bytes + AT_PLAIN_LENGTH, header->plain_length, 4);
    kvpbus_put_be(bytes + AT_PACKED_LENGTH, header->packed_length, 4);
}

static enum kvpbus_error check_fields(const uint8_t *bytes, struct kvpbus_failure *failure)
{
    if (bytes[AT_VERSION] != KVPBUS_BUNDLE_VERSION)
        return kvpbus_fail(failure, KVPBUS_BAD_BUNDLE, "a bundle of version %u; this is version %d",
                           bytes[AT_VERSION], KVPBUS_BUNDLE_VERSION);
    if (bytes[AT_CLASS] >= KVPBUS_CLASS_COUNT)
        return kvpbus_fail(failure, KVPBUS_BAD_BUNDLE, "a bundle of the unknown class %u",
                           bytes[AT_CLASS]);
    if ((bytes[AT_FLAGS] & ~KVPBUS_BUNDLE_COMPRESSED) != 0 || bytes[AT_ZERO] != 0)
        return kvpbus_fail(failure, KVPBUS_BAD_BUNDLE, "a bundle with unknown flags");
    if (kvpbus_get_be(bytes + AT_NUMBER, 8) == 0)
        return kvpbus_fail(failure, KVPBUS_BAD_BUNDLE, "a bundle without a number");
    if (kvpbus_get_be(bytes + AT_CREATED, 8) > INT64_MAX)
        return kvpbus_fail(failure, KVPBUS_BAD_BUNDLE, "a bundle of an impossible time");
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_bundle_header_read(const uint8_t *bytes, size_t length,
                                            struct kvpbus_bundle_header *header,
                                            struct kvpbus_failure *failure)
{
    if (length < KVPBUS_BUNDLE_HEADER)
        return kvpbus_fail(failure, KVPBUS_BAD_BUNDLE, "%zu bytes are too few for a bundle",
                           length);
    enum kvpbus_error error = check_fields(bytes, failure);
    if (error != KVPBUS_OK)
        return error;
    struct kvpbus_bundle_position *position = &header->position;
    position->class_ = (enum kvpbus_class)bytes[AT_CLASS];
    memcpy(position->id, bytes + AT_ID, sizeof position->id);
    memcpy(position->timeline, bytes + AT_TIMELINE, sizeof position->timeline);
    position->number = kvpbus_get_be(bytes + AT_NUMBER, 8);
    position->created_ms = (int64_t)kvpbus_get_be(bytes + AT_CREATED, 8);
    header->compressed = bytes[AT_FLAGS] == KVPBUS_BUNDLE_COMPRESSED;
    header->plain_length = (uint32_t)kvpbus_get_be(bytes + AT_PLAIN_LENGTH, 4);
    header->packed_length = (uint32_t)kvpbus_get_be(bytes + AT_PACKED_LENGTH, 4);

    // Compression is for what it makes smaller; anything else is stored as it is.
    bool fits = header->compressed ? header->packed_length < header->plain_length
                                   : header->packed_length == header->plain_length;
    if (header->packed_length == 0 || !fits)
        return kvpbus_fail(failure, KVPBUS_BAD_BUNDLE,
                           "a bundle whose lengths, %u plain and %u packed, do not fit together",
                           header->plain_length, header->packed_length);
    return KVPBUS_OK;
}

static uint8_t *append(uint8_t *at, const void *bytes, size_t length)
{
    memcpy(at, bytes, length);
    return at + length;
}

void kvpbus_bundle_signed(const struct kvpbus_route *route, const uint8_t *header,
                          const uint8_t *packed, size_t packed_length,
                          uint8_t text[KVPBUS_BUNDLE_SIGNED])
{
    static const char label[] = "kvpbus 1 bundle"; // its NUL is part of it
    const uint8_t recipient = (uint8_t)route->recipient;
    uint8_t hash[32];
    crypto_generichash(hash, sizeof hash, packed, packed_length, NULL, 0);

    uint8_t *at = append(text, label, sizeof label);
    at = append(at, header, KVPBUS_BUNDLE_SIGNED_HEADER);
    at = append(at, route->sender, sizeof route->sender);
    at = append(at, &recipient, 1);
    at = append(at, route->vm, sizeof route->vm);
    at = append(at, hash, sizeof hash);
    assert(at == text + KVPBUS_BUNDLE_SIGNED);
}
