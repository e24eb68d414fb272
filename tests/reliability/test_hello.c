// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#include "hello.h"

struct side {
    uint8_t secret[KVPBUS_SECRET_BYTES];
    struct kvpbus_own_core own;
};

static void draw(void *context, uint8_t *bytes, size_t length)
{
    (void)context;
    randombytes_buf(bytes, length);
}

static struct side side(enum kvpbus_role role)
{
    struct side side = {0};
    cr_assert_geq(sodium_init(), 0);
    crypto_sign_keypair(side.own.core.identity, side.secret);
    side.own.core.role = role;
    side.own.core.ring_slots = side.own.core.window = 64;
    side.own.core.value_max = 1022;
    side.own.core.bundle_max = 1 << 20;
    memset(side.own.core.vm, role == KVPBUS_ROLE_HOST ? 0x5a : 0, KVPBUS_VM_ID_BYTES);
    kvpbus_core_make(&side.own, side.secret, draw, NULL);
    return side;
}

Test(hello, shows_the_core_and_verifies)
{
    struct side host = side(KVPBUS_ROLE_HOST);
    uint8_t bytes[KVPBUS_ITEM_MAX];
    size_t length = kvpbus_hello_write(&host.own, host.secret, NULL, true, 7, bytes);
    struct kvpbus_hello hello;
    cr_assert_eq(kvpbus_hello_read(bytes, length, &hello), KVPBUS_OK);
    cr_assert_eq(kvpbus_hello_verify(bytes, length, &hello), KVPBUS_OK);
    cr_assert_eq(hello.attempt, 7);
    cr_assert_eq(hello.flags, (unsigned)KVPBUS_HELLO_MISSING);
    cr_assert_arr_eq(hello.core.hash, host.own.core.hash, KVPBUS_CORE_HASH);
    cr_assert_arr_eq(hello.core.vm, host.own.core.vm, KVPBUS_VM_ID_BYTES);
}

Test(hello, any_changed_byte_of_core_or_signature_is_noticed)
{
    struct side guest = side(KVPBUS_ROLE_GUEST);
    uint8_t bytes[KVPBUS_ITEM_MAX];
    size_t length = kvpbus_hello_write(&guest.own, guest.secret, NULL, false, 1, bytes);
    for (size_t i = 8; i < length; i++) {
        struct kvpbus_hello hello;
        bytes[i] ^= 0x40;
        bool believed = kvpbus_hello_read(bytes, length, &hello) == KVPBUS_OK &&
                        kvpbus_hello_verify(bytes, length, &hello) == KVPBUS_OK;
        cr_assert_not(believed, "byte %zu", i);
        bytes[i] ^= 0x40;
    }
}

Test(hello, a_hello_of_another_length_is_refused)
{
    struct side guest = side(KVPBUS_ROLE_GUEST);
    uint8_t bytes[KVPBUS_ITEM_MAX] = {0};
    size_t length = kvpbus_hello_write(&guest.own, guest.secret, &guest.own.core, false, 1, bytes);
    struct kvpbus_hello hello;
    for (size_t cut = 0; cut < length; cut++)
        cr_assert_eq(kvpbus_hello_read(bytes, cut, &hello), KVPBUS_BAD_HELLO);
    cr_assert_eq(kvpbus_hello_read(bytes, length + 1, &hello), KVPBUS_BAD_HELLO);
}

// A hello of the side whose core goes on after its fields.
static size_t extended(const struct side *side, const uint8_t *more, size_t count, uint8_t *bytes)
{
    static const char label[] = "kvpbus 1 hello core";
    uint8_t text[sizeof label + KVPBUS_CORE_MAX + 1];
    size_t core = KVPBUS_CORE_MIN + count;
    kvpbus_hello_write(&side->own, side->secret, NULL, false, 1, bytes);
    bytes[6] = (uint8_t)(core >> 8);
    bytes[7] = (uint8_t)core;
    memcpy(bytes + 8 + KVPBUS_CORE_MIN, more, count);
    memcpy(text, label, sizeof label);
    memcpy(text + sizeof label, bytes + 8, core);
    crypto_sign_detached(bytes + 8 + core, NULL, text, sizeof label + core, side->secret);
    return 8 + core + crypto_sign_BYTES;
}

Test(hello, unknown_extensions_are_ignored_and_signed)
{
    static const uint8_t two[] = {3, 0, 2, 'a', 'b', 0xee, 0, 0};
    struct side host = side(KVPBUS_ROLE_HOST);
    uint8_t bytes[KVPBUS_ITEM_MAX];
    size_t length = extended(&host, two, sizeof two, bytes);
    struct kvpbus_hello hello;
    cr_assert_eq(kvpbus_hello_read(bytes, length, &hello), KVPBUS_OK);
    cr_assert_eq(kvpbus_hello_verify(bytes, length, &hello), KVPBUS_OK);
    cr_assert_arr_neq(hello.core.hash, host.own.core.hash, KVPBUS_CORE_HASH);
    bytes[8 + KVPBUS_CORE_MIN + 3] ^= 1;
    cr_assert_eq(kvpbus_hello_read(bytes, length, &hello), KVPBUS_OK);
    cr_assert_eq(kvpbus_hello_verify(bytes, length, &hello), KVPBUS_BAD_SIGNATURE);
}

Test(hello, extensions_end_with_the_core)
{
    static const struct {
        uint8_t bytes[8];
        size_t length;
    } cases[] = {{{3}, 1}, {{3, 0}, 2}, {{3, 0, 1}, 3}, {{3, 0, 3, 1, 2}, 5}, {{3, 0xff, 0xff}, 3}};
    struct side host = side(KVPBUS_ROLE_HOST);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[KVPBUS_ITEM_MAX];
        struct kvpbus_hello hello;
        size_t length = extended(&host, cases[i].bytes, cases[i].length, bytes);
        cr_assert_eq(kvpbus_hello_read(bytes, length, &hello), KVPBUS_BAD_HELLO, "%zu", i);
    }
    uint8_t most[KVPBUS_CORE_MAX + 1 - KVPBUS_CORE_MIN] = {9, 1, 0x81};
    uint8_t bytes[KVPBUS_ITEM_MAX];
    struct kvpbus_hello hello;
    size_t length = extended(&host, most, sizeof most - 1, bytes);
    cr_assert_eq(kvpbus_hello_read(bytes, length, &hello), KVPBUS_OK, "512 bytes of core");
    most[2]++;
    length = extended(&host, most, sizeof most, bytes);
    cr_assert_eq(kvpbus_hello_read(bytes, length, &hello), KVPBUS_BAD_HELLO, "513");
}

Test(hello, what_a_side_says_beyond_the_fields_is_found_by_type)
{
    struct side guest = side(KVPBUS_ROLE_GUEST);
    uint8_t list[KVPBUS_EXTENSIONS_MAX], bytes[KVPBUS_ITEM_MAX];
    size_t list_length = 0, length;
    cr_assert(kvpbus_extension_put(list, &list_length, KVPBUS_EXTENSION_ROTATION,
                                   (const uint8_t *)"abc", 3));
    cr_assert(kvpbus_extension_put(list, &list_length, KVPBUS_EXTENSION_ENROLMENT,
                                   (const uint8_t *)"", 0));
    memcpy(guest.own.core.extensions, list, list_length);
    guest.own.core.extensions_length = (uint16_t)list_length;
    kvpbus_core_make(&guest.own, guest.secret, draw, NULL);
    length = kvpbus_hello_write(&guest.own, guest.secret, &guest.own.core, false, 1, bytes);
    cr_assert_eq(length, KVPBUS_HELLO_MIN + 6 + 3);

    struct kvpbus_hello hello;
    const uint8_t *found;
    cr_assert_eq(kvpbus_hello_read(bytes, length, &hello), KVPBUS_OK);
    cr_assert_eq(kvpbus_hello_verify(bytes, length, &hello), KVPBUS_OK);
    cr_assert_arr_eq(hello.core.hash, guest.own.core.hash, KVPBUS_CORE_HASH);
    cr_assert(kvpbus_core_extension(&hello.core, KVPBUS_EXTENSION_ROTATION, &found, &length));
    cr_assert_eq(length, 3);
    cr_assert_arr_eq(found, "abc", 3);
    cr_assert(kvpbus_core_extension(&hello.core, KVPBUS_EXTENSION_ENROLMENT, &found, &length));
    cr_assert_eq(length, 0);
    cr_assert_not(
        kvpbus_core_extension(&hello.core, KVPBUS_EXTENSION_CERTIFICATE, &found, &length));
}

Test(hello, of_two_extensions_of_a_type_the_first_counts)
{
    static const uint8_t two[] = {9, 0, 1, 'x', 2, 0, 1, 'a', 2, 0, 1, 'b'};
    struct side host = side(KVPBUS_ROLE_HOST);
    uint8_t bytes[KVPBUS_ITEM_MAX];
    struct kvpbus_hello hello;
    const uint8_t *found;
    size_t length = extended(&host, two, sizeof two, bytes);
    cr_assert_eq(kvpbus_hello_read(bytes, length, &hello), KVPBUS_OK);
    cr_assert(kvpbus_core_extension(&hello.core, KVPBUS_EXTENSION_ROTATION, &found, &length));
    cr_assert_eq(length, 1);
    cr_assert_eq(*found, 'a');
}

Test(hello, an_extension_takes_the_place_of_its_kind_and_has_to_fit)
{
    uint8_t list[KVPBUS_EXTENSIONS_MAX], most[KVPBUS_EXTENSIONS_MAX] = {1};
    size_t length = 0;
    cr_assert(kvpbus_extension_put(list, &length, KVPBUS_EXTENSION_ROTATION, most, 100));
    cr_assert(kvpbus_extension_put(list, &length, KVPBUS_EXTENSION_ENROLMENT, most, 32));
    cr_assert(kvpbus_extension_put(list, &length, KVPBUS_EXTENSION_ROTATION, most, 10));
    cr_assert_eq(length, 3 + 32 + 3 + 10);
    cr_assert_not(kvpbus_extension_put(list, &length, KVPBUS_EXTENSION_ROTATION, most,
                                       sizeof most - 3 - 35 + 1));
    cr_assert_eq(length, 3 + 32 + 3 + 10, "nothing has changed");
    cr_assert_not(kvpbus_extension_put(list, &length, KVPBUS_EXTENSION_ROTATION, most, SIZE_MAX));
    cr_assert(
        kvpbus_extension_put(list, &length, KVPBUS_EXTENSION_ROTATION, most, sizeof most - 3 - 35));
    cr_assert_eq(length, sizeof list);
    cr_assert(kvpbus_extension_put(list, &length, KVPBUS_EXTENSION_ROTATION, NULL, 0));
    cr_assert(kvpbus_extension_put(list, &length, KVPBUS_EXTENSION_ROTATION, NULL, 0));
    cr_assert_eq(length, 35);
}

Test(hello, a_confirmation_is_of_one_core_and_one_direction)
{
    struct side host = side(KVPBUS_ROLE_HOST), guest = side(KVPBUS_ROLE_GUEST);
    struct side later = side(KVPBUS_ROLE_HOST);
    uint8_t bytes[KVPBUS_ITEM_MAX];
    size_t length = kvpbus_hello_write(&guest.own, guest.secret, &host.own.core, false, 1, bytes);
    struct kvpbus_hello hello;
    cr_assert_eq(kvpbus_hello_read(bytes, length, &hello), KVPBUS_OK);
    cr_assert(kvpbus_hello_confirms(&hello, &host.own));
    cr_assert_not(kvpbus_hello_confirms(&hello, &later.own));
    hello.confirmation[5] ^= 1;
    cr_assert_not(kvpbus_hello_confirms(&hello, &host.own));
}

Test(session, both_sides_derive_the_same_keys_and_other_cores_others)
{
    struct side host = side(KVPBUS_ROLE_HOST), guest = side(KVPBUS_ROLE_GUEST);
    struct side later = side(KVPBUS_ROLE_GUEST);
    struct kvpbus_session_keys at_host, at_guest, other;
    cr_assert_eq(kvpbus_session_derive(&host.own, &guest.own.core, &at_host), KVPBUS_OK);
    cr_assert_eq(kvpbus_session_derive(&guest.own, &host.own.core, &at_guest), KVPBUS_OK);
    cr_assert_eq(kvpbus_session_derive(&host.own, &later.own.core, &other), KVPBUS_OK);
    cr_assert_arr_eq(&at_host.send, &at_guest.receive, sizeof at_host.send);
    cr_assert_arr_eq(&at_host.receive, &at_guest.send, sizeof at_host.send);
    cr_assert_arr_neq(at_host.send.aead, at_host.receive.aead, KVPBUS_KEY_BYTES);
    cr_assert_arr_neq(at_host.send.aead, at_host.send.siv, KVPBUS_KEY_BYTES);
    cr_assert_arr_neq(at_host.send.aead, other.send.aead, KVPBUS_KEY_BYTES);
    cr_assert_arr_neq(at_host.session, other.session, KVPBUS_SESSION_BYTES);
}

Test(session, a_weak_ephemeral_key_is_refused)
{
    struct side host = side(KVPBUS_ROLE_HOST), guest = side(KVPBUS_ROLE_GUEST);
    struct kvpbus_session_keys keys;
    memset(guest.own.core.ephemeral, 0, sizeof guest.own.core.ephemeral);
    cr_assert_eq(kvpbus_session_derive(&host.own, &guest.own.core, &keys), KVPBUS_BAD_KEY);
}
