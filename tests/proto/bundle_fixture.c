// SPDX-License-Identifier: Apache-2.0
#include "bundle_fixture.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "big_endian.h"

void bundle_fixture_init(struct bundle_fixture *fixture)
{
    uint8_t seed[crypto_sign_SEEDBYTES];
    cr_assert_geq(sodium_init(), 0);
    memset(fixture, 0, sizeof *fixture);
    memset(seed, 7, sizeof seed);
    crypto_sign_seed_keypair(fixture->route.sender, fixture->secret, seed);
    fixture->route.recipient = KVPBUS_ROLE_GUEST;
    memset(fixture->route.vm, 0x56, sizeof fixture->route.vm);
    memset(fixture->position.id, 0x1d, sizeof fixture->position.id);
    memset(fixture->position.timeline, 0x71, sizeof fixture->position.timeline);
    fixture->position.class_ = KVPBUS_CLASS_NORMAL;
    fixture->position.number = 42;
    fixture->position.created_ms = 1718092800123;
}

struct kvpbus_message bundle_fixture_full(void)
{
    static const struct kvpbus_header headers[] = {{"content-type", "application/json"},
                                                   {"reason", "gr\u00fcn \u2713"}};
    static const uint8_t correlation[] = {0, 1, 2, 0xff};
    static const uint8_t body[] = "{\"action\":\"restart\"}\0binary";
    static uint8_t signature[64]; // bytes that do not compress
    crypto_generichash(signature, sizeof signature, body, sizeof body, NULL, 0);
    struct kvpbus_message message = {
        .id = {.index = 513},
        .topic = "vm.service.restart",
        .stream = "ops/1",
        .class_ = KVPBUS_CLASS_NORMAL,
        .sequence = 1000000000001,
        .created_ms = 1718092800100, // before the bundle
        .ttl_ms = 60000,
        .kind = KVPBUS_KIND_LAST_REPLY,
        .status = -7,
        .correlation = correlation,
        .correlation_length = sizeof correlation,
        .headers = headers,
        .header_count = 2,
        .body = body,
        .body_length = sizeof body,
        .operator_signature = signature,
    };
    memset(message.id.bundle, 0x1d, sizeof message.id.bundle);
    return message;
}

struct kvpbus_message bundle_fixture_event(const struct bundle_fixture *fixture, unsigned index,
                                           const char *topic, const void *body, size_t length)
{
    struct kvpbus_message message = {
        .id = {.index = (uint16_t)index},
        .topic = topic,
        .stream = "",
        .class_ = fixture->position.class_,
        .sequence = index + 1,
        .created_ms = fixture->position.created_ms,
        .body = body,
        .body_length = length,
    };
    memcpy(message.id.bundle, fixture->position.id, sizeof message.id.bundle);
    return message;
}

uint8_t *bundle_fixture_seal(const struct bundle_fixture *fixture,
                             const struct kvpbus_message *messages, size_t count, size_t *length)
{
    struct kvpbus_failure failure = {0};
    uint8_t *sealed = NULL;
    cr_assert_eq(kvpbus_bundle_seal(&fixture->route, fixture->secret, &fixture->position, messages,
                                    count, SIZE_MAX, &sealed, length, &failure),
                 KVPBUS_OK, "%s", failure.detail);
    return sealed;
}

// Built from docs/protocol.md section 3 and not with the code under test.
void bundle_fixture_sign(const struct bundle_fixture *fixture, uint8_t *sealed, size_t length)
{
    uint8_t text[157] = "kvpbus 1 bundle";
    memcpy(text + 16, sealed, 60);
    memcpy(text + 76, fixture->route.sender, 32);
    text[108] = (uint8_t)fixture->route.recipient;
    memcpy(text + 109, fixture->route.vm, 16);
    crypto_generichash(text + 125, 32, sealed + 124, length - 124, NULL, 0);
    crypto_sign_detached(sealed + 60, NULL, text, sizeof text, fixture->secret);
}

uint8_t *bundle_fixture_forge(const struct bundle_fixture *fixture, bool compressed,
                              uint32_t plain_length, const void *packed, size_t packed_length,
                              size_t *length)
{
    *length = 124 + packed_length;
    uint8_t *sealed = calloc(1, *length);
    cr_assert_not_null(sealed);
    sealed[0] = 1;
    sealed[1] = (uint8_t)fixture->position.class_;
    sealed[2] = compressed ? 1 : 0;
    memcpy(sealed + 4, fixture->position.id, 16);
    memcpy(sealed + 20, fixture->position.timeline, 16);
    kvpbus_put_be(sealed + 36, fixture->position.number, 8);
    kvpbus_put_be(sealed + 44, (uint64_t)fixture->position.created_ms, 8);
    kvpbus_put_be(sealed + 52, plain_length, 4);
    kvpbus_put_be(sealed + 56, packed_length, 4);
    if (packed_length > 0)
        memcpy(sealed + 124, packed, packed_length);
    bundle_fixture_sign(fixture, sealed, *length);
    return sealed;
}

static void same_bytes(const uint8_t *is, size_t is_length, const uint8_t *should,
                       size_t should_length)
{
    cr_assert_eq(is_length, should_length);
    if (should_length == 0)
        cr_assert_null(is);
    else
        cr_assert_eq(memcmp(is, should, is_length), 0);
}

void bundle_fixture_same(const struct kvpbus_message *is, const struct kvpbus_message *should)
{
    cr_assert_eq(memcmp(is->id.bundle, should->id.bundle, sizeof is->id.bundle), 0);
    cr_assert_eq(is->id.index, should->id.index);
    cr_assert_str_eq(is->topic, should->topic);
    cr_assert_str_eq(is->stream, should->stream == NULL ? "" : should->stream);
    cr_assert_eq(is->class_, should->class_);
    cr_assert_eq(is->sequence, should->sequence);
    cr_assert_eq(is->created_ms, should->created_ms);
    cr_assert_eq(is->ttl_ms, should->ttl_ms);
    cr_assert_eq(is->kind, should->kind);
    cr_assert_eq(is->status, should->status);
    same_bytes(is->correlation, is->correlation_length, should->correlation,
               should->correlation_length);
    same_bytes(is->body, is->body_length, should->body, should->body_length);
    same_bytes(is->operator_signature, is->operator_signature != NULL ? 64 : 0,
               should->operator_signature, should->operator_signature != NULL ? 64 : 0);
    cr_assert_eq(is->header_count, should->header_count);
    for (size_t i = 0; i < should->header_count; i++) {
        cr_assert_str_eq(is->headers[i].name, should->headers[i].name);
        cr_assert_str_eq(is->headers[i].value, should->headers[i].value);
    }
}
