// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "../golden.h"
#include "bundle_fixture.h"

enum { PLAIN_MAX = 1 << 20 };

static enum kvpbus_error open_as(const struct kvpbus_route *route, const uint8_t *sealed,
                                 size_t length)
{
    struct kvpbus_failure failure = {0};
    struct kvpbus_bundle_content *content = NULL;
    enum kvpbus_error error =
        kvpbus_bundle_open(route, sealed, length, PLAIN_MAX, &content, &failure);
    cr_assert_eq(content == NULL, error != KVPBUS_OK);
    cr_assert_eq(failure.code, error);
    kvpbus_bundle_content_free(content);
    return error;
}

static void opens_as(const struct bundle_fixture *fixture, const uint8_t *sealed, size_t length,
                     const struct kvpbus_message *messages, size_t count)
{
    struct kvpbus_failure failure = {0};
    struct kvpbus_bundle_content *content;
    cr_assert_eq(kvpbus_bundle_open(&fixture->route, sealed, length, PLAIN_MAX, &content, &failure),
                 KVPBUS_OK, "%s", failure.detail);
    size_t opened_count;
    const struct kvpbus_message *opened = kvpbus_bundle_messages(content, &opened_count);
    cr_assert_eq(opened_count, count);
    for (size_t i = 0; i < count; i++)
        bundle_fixture_same(&opened[i], &messages[i]);
    kvpbus_bundle_content_free(content);
}

Test(bundle, every_field_comes_back)
{
    struct bundle_fixture fixture;
    bundle_fixture_init(&fixture);
    struct kvpbus_message messages[3] = {bundle_fixture_event(&fixture, 0, "a", NULL, 0),
                                         bundle_fixture_full(),
                                         bundle_fixture_event(&fixture, 65535, "b", "x", 1)};
    messages[0].stream = NULL;
    messages[2].created_ms = fixture.position.created_ms + 5000;
    size_t length;
    uint8_t *sealed = bundle_fixture_seal(&fixture, messages, 3, &length);
    opens_as(&fixture, sealed, length, messages, 3);

    struct kvpbus_bundle_header header;
    cr_assert_eq(kvpbus_bundle_header_read(sealed, length, &header, NULL), KVPBUS_OK);
    cr_assert_eq(memcmp(header.position.id, fixture.position.id, 16), 0);
    cr_assert_eq(memcmp(header.position.timeline, fixture.position.timeline, 16), 0);
    cr_assert_eq(header.position.class_, KVPBUS_CLASS_NORMAL);
    cr_assert_eq(header.position.number, 42);
    cr_assert_eq(header.position.created_ms, fixture.position.created_ms);
    cr_assert_eq(header.packed_length, length - KVPBUS_BUNDLE_HEADER);
    free(sealed);
}

Test(bundle, extremes_come_back)
{
    struct bundle_fixture fixture;
    bundle_fixture_init(&fixture);
    fixture.position.number = UINT64_MAX;
    fixture.position.created_ms = INT64_MAX;
    struct kvpbus_message message = bundle_fixture_event(&fixture, 0, "a", NULL, 0);
    message.created_ms = 0;
    message.sequence = message.ttl_ms = UINT64_MAX;
    message.status = INT32_MIN;
    size_t length;
    uint8_t *sealed = bundle_fixture_seal(&fixture, &message, 1, &length);
    opens_as(&fixture, sealed, length, &message, 1);
    free(sealed);
}

Test(bundle, the_most_messages_with_the_most_headers_fit_the_budget_of_opening)
{
    struct bundle_fixture fixture;
    bundle_fixture_init(&fixture);
    struct kvpbus_header headers[KVPBUS_HEADERS_MAX];
    for (size_t i = 0; i < KVPBUS_HEADERS_MAX; i++)
        headers[i] = (struct kvpbus_header){"n", ""};
    struct kvpbus_message *messages = calloc(KVPBUS_BUNDLE_MESSAGES_MAX, sizeof *messages);
    for (unsigned i = 0; i < KVPBUS_BUNDLE_MESSAGES_MAX; i++) {
        messages[i] = bundle_fixture_event(&fixture, i, "t", NULL, 0);
        messages[i].headers = headers;
        messages[i].header_count = KVPBUS_HEADERS_MAX;
    }
    size_t length;
    uint8_t *sealed = bundle_fixture_seal(&fixture, messages, KVPBUS_BUNDLE_MESSAGES_MAX, &length);
    opens_as(&fixture, sealed, length, messages, KVPBUS_BUNDLE_MESSAGES_MAX);
    free(sealed);
    free(messages);
}

Test(bundle, the_route_is_signed)
{
    struct bundle_fixture fixture;
    bundle_fixture_init(&fixture);
    struct kvpbus_message message = bundle_fixture_full();
    size_t length;
    uint8_t *sealed = bundle_fixture_seal(&fixture, &message, 1, &length);
    cr_assert_eq(open_as(&fixture.route, sealed, length), KVPBUS_OK);

    struct kvpbus_route other = fixture.route;
    other.recipient = KVPBUS_ROLE_HOST;
    cr_assert_eq(open_as(&other, sealed, length), KVPBUS_BAD_SIGNATURE);
    for (size_t i = 0; i < sizeof other.vm; i++) {
        other = fixture.route;
        other.vm[i] ^= 1;
        cr_assert_eq(open_as(&other, sealed, length), KVPBUS_BAD_SIGNATURE);
    }
    uint8_t secret[KVPBUS_SECRET_BYTES];
    other = fixture.route;
    crypto_sign_keypair(other.sender, secret);
    cr_assert_eq(open_as(&other, sealed, length), KVPBUS_BAD_SIGNATURE);
    free(sealed);
}

Test(bundle, every_bit_is_covered)
{
    struct bundle_fixture fixture;
    bundle_fixture_init(&fixture);
    char body[300];
    memset(body, 'z', sizeof body);
    struct kvpbus_message messages[2] = {
        bundle_fixture_event(&fixture, 0, "a.b", body, sizeof body), bundle_fixture_full()};
    for (size_t first = 0; first < 2; first++) { // compressed, then not
        size_t length;
        uint8_t *sealed = bundle_fixture_seal(&fixture, messages + first, 2 - first, &length);
        cr_assert_eq(sealed[2], first == 0 ? 1 : 0);
        for (size_t bit = 0; bit < 8 * length; bit++) {
            sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
            enum kvpbus_error error = open_as(&fixture.route, sealed, length);
            // In the version, flags and lengths the layout is refused before the signature.
            if (bit / 8 < 4 || (bit / 8 >= 44 && bit / 8 < 60))
                cr_assert(error == KVPBUS_BAD_BUNDLE || error == KVPBUS_BAD_SIGNATURE ||
                              error == KVPBUS_TOO_LARGE,
                          "bit %zu", bit);
            else
                cr_assert_eq(error, KVPBUS_BAD_SIGNATURE, "bit %zu", bit);
            sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        cr_assert_eq(open_as(&fixture.route, sealed, length), KVPBUS_OK);
        free(sealed);
    }
}

Test(bundle, the_fields_of_the_header_cannot_be_swapped_for_those_of_another)
{
    struct bundle_fixture fixture, later;
    bundle_fixture_init(&fixture);
    later = fixture;
    later.position.number++;
    struct kvpbus_message message = bundle_fixture_full();
    size_t length, later_length;
    uint8_t *sealed = bundle_fixture_seal(&fixture, &message, 1, &length);
    uint8_t *other = bundle_fixture_seal(&later, &message, 1, &later_length);
    cr_assert_eq(length, later_length);
    memcpy(other, sealed, 60);
    cr_assert_eq(open_as(&fixture.route, other, length), KVPBUS_BAD_SIGNATURE);
    free(sealed);
    free(other);
}

Test(bundle, cut_or_lengthened)
{
    struct bundle_fixture fixture;
    bundle_fixture_init(&fixture);
    struct kvpbus_message message = bundle_fixture_full();
    size_t length;
    uint8_t *sealed = bundle_fixture_seal(&fixture, &message, 1, &length);
    for (size_t cut = 0; cut < length; cut++) {
        uint8_t *part = malloc(cut + 1); // of its own, so that reading beyond is noticed
        memcpy(part, sealed, cut);
        cr_assert_eq(open_as(&fixture.route, part, cut), KVPBUS_BAD_BUNDLE, "%zu", cut);
        free(part);
    }
    sealed = realloc(sealed, length + 1);
    sealed[length] = 0;
    cr_assert_eq(open_as(&fixture.route, sealed, length + 1), KVPBUS_BAD_BUNDLE);
    free(sealed);
}

static enum kvpbus_error try_seal(const struct bundle_fixture *fixture,
                                  const struct kvpbus_message *messages, size_t count,
                                  size_t sealed_max)
{
    struct kvpbus_failure failure = {0};
    uint8_t *sealed = NULL;
    size_t length = 0;
    enum kvpbus_error error =
        kvpbus_bundle_seal(&fixture->route, fixture->secret, &fixture->position, messages, count,
                           sealed_max, &sealed, &length, &failure);
    cr_assert_eq(failure.code, error);
    cr_assert_eq(sealed == NULL, error != KVPBUS_OK);
    free(sealed);
    return error;
}

Test(bundle, what_cannot_be_opened_is_not_sealed)
{
    struct bundle_fixture good, fixture;
    bundle_fixture_init(&good);
    const struct kvpbus_message valid = bundle_fixture_full();
    struct kvpbus_message two[2] = {valid, valid};
    cr_assert_eq(try_seal(&good, two, 2, SIZE_MAX), KVPBUS_INVALID_ARGUMENT); // same index
    cr_assert_eq(try_seal(&good, two, 0, SIZE_MAX), KVPBUS_INVALID_ARGUMENT);
    cr_assert_eq(try_seal(&good, two, KVPBUS_BUNDLE_MESSAGES_MAX + 1, SIZE_MAX),
                 KVPBUS_INVALID_ARGUMENT);
    two[0].sequence = 0;
    cr_assert_eq(try_seal(&good, two, 1, SIZE_MAX), KVPBUS_INVALID_ARGUMENT);
    two[0] = valid;
    two[0].created_ms = -1;
    cr_assert_eq(try_seal(&good, two, 1, SIZE_MAX), KVPBUS_INVALID_ARGUMENT);
    two[0] = valid;
    two[0].class_ = KVPBUS_CLASS_BULK;
    cr_assert_eq(try_seal(&good, two, 1, SIZE_MAX), KVPBUS_INVALID_ARGUMENT);
    two[0] = valid;
    two[0].topic = "a b";
    cr_assert_eq(try_seal(&good, two, 1, SIZE_MAX), KVPBUS_BAD_TOPIC);

    fixture = good;
    fixture.position.number = 0;
    cr_assert_eq(try_seal(&fixture, &valid, 1, SIZE_MAX), KVPBUS_INVALID_ARGUMENT);
    fixture = good;
    fixture.position.created_ms = -1;
    cr_assert_eq(try_seal(&fixture, &valid, 1, SIZE_MAX), KVPBUS_INVALID_ARGUMENT);
    fixture = good;
    fixture.position.class_ = KVPBUS_CLASS_COUNT;
    two[0] = valid;
    two[0].class_ = KVPBUS_CLASS_COUNT;
    cr_assert_eq(try_seal(&fixture, two, 1, SIZE_MAX), KVPBUS_INVALID_ARGUMENT);
    fixture = good;
    fixture.route.sender[0] ^= 1;
    cr_assert_eq(try_seal(&fixture, &valid, 1, SIZE_MAX), KVPBUS_INVALID_ARGUMENT);
}

Test(bundle, the_limit_of_the_sealed_length_is_exact)
{
    struct bundle_fixture fixture;
    bundle_fixture_init(&fixture);
    struct kvpbus_message message = bundle_fixture_full();
    size_t length;
    free(bundle_fixture_seal(&fixture, &message, 1, &length));
    cr_assert_eq(try_seal(&fixture, &message, 1, length), KVPBUS_OK);
    cr_assert_eq(try_seal(&fixture, &message, 1, length - 1), KVPBUS_TOO_LARGE);
}

Test(bundle, the_limit_of_the_plain_length_is_exact_and_comes_before_the_signature)
{
    struct bundle_fixture fixture;
    bundle_fixture_init(&fixture);
    struct kvpbus_message message = bundle_fixture_full();
    size_t length;
    uint8_t *sealed = bundle_fixture_seal(&fixture, &message, 1, &length);
    struct kvpbus_bundle_header header;
    cr_assert_eq(kvpbus_bundle_header_read(sealed, length, &header, NULL), KVPBUS_OK);
    struct kvpbus_bundle_content *content = NULL;
    cr_assert_eq(
        kvpbus_bundle_open(&fixture.route, sealed, length, header.plain_length, &content, NULL),
        KVPBUS_OK);
    kvpbus_bundle_content_free(content);
    sealed[70] ^= 1; // in the signature
    cr_assert_eq(
        kvpbus_bundle_open(&fixture.route, sealed, length, header.plain_length - 1, &content, NULL),
        KVPBUS_TOO_LARGE);
    free(sealed);
}

// The file is pinned byte for byte: nothing in it depends on the version of zlib.
Test(bundle, golden_stored)
{
    struct bundle_fixture fixture;
    bundle_fixture_init(&fixture);
    struct kvpbus_message message = bundle_fixture_full();
    size_t length;
    uint8_t *sealed = bundle_fixture_seal(&fixture, &message, 1, &length);
    golden_compare("bundle-stored.bin", sealed, length);
    opens_as(&fixture, sealed, length, &message, 1);
    free(sealed);
}

// Another zlib may compress otherwise, so that this file is only opened.
Test(bundle, golden_compressed)
{
    struct bundle_fixture fixture;
    bundle_fixture_init(&fixture);
    char body[200];
    memset(body, 'z', sizeof body);
    struct kvpbus_message messages[2] = {
        bundle_fixture_event(&fixture, 0, "a.b", body, sizeof body), bundle_fixture_full()};
    if (getenv("KVPBUS_REWRITE_GOLDEN") != NULL) {
        size_t length;
        uint8_t *sealed = bundle_fixture_seal(&fixture, messages, 2, &length);
        golden_compare("bundle-compressed.bin", sealed, length);
        free(sealed);
    }
    uint8_t file[2048];
    size_t length = golden_read("bundle-compressed.bin", file, sizeof file);
    cr_assert_eq(file[2], 1);
    opens_as(&fixture, file, length, messages, 2);
}
