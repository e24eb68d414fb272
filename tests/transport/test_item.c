// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#include "../golden.h"
#include "item.h"

static struct kvpbus_item_keys keys;

static void setup(void)
{
    cr_assert_geq(sodium_init(), 0);
    for (uint8_t i = 0; i < KVPBUS_KEY_BYTES; i++) {
        keys.session[i] = i;
        keys.aead[i] = (uint8_t)(0x40 + i);
        keys.siv[i] = (uint8_t)(0x80 + i);
    }
}

TestSuite(item, .init = setup);

struct opened {
    struct kvpbus_item_head head;
    uint8_t plain[KVPBUS_PLAIN_MAX];
    size_t length;
};

static enum kvpbus_error open_value(const struct kvpbus_item_keys *with, const char *value,
                                    struct opened *opened)
{
    uint8_t bytes[KVPBUS_ITEM_MAX];
    size_t length;
    enum kvpbus_error error = kvpbus_item_decode(value, bytes, &length);
    if (error != KVPBUS_OK)
        return error;
    return kvpbus_item_open(with, bytes, length, &opened->head, opened->plain, &opened->length);
}

Test(item, every_length_comes_back_and_fits_a_value)
{
    uint8_t plain[KVPBUS_PLAIN_MAX];
    char value[KVPBUS_VALUE_MAX + 1];
    randombytes_buf(plain, sizeof plain);
    for (size_t length = 1; length <= sizeof plain; length++) {
        struct opened opened;
        kvpbus_item_seal(&keys, KVPBUS_ITEM_DATA, length, 3, plain, length, value);
        cr_assert_leq(strlen(value), KVPBUS_VALUE_MAX);
        cr_assert_eq(open_value(&keys, value, &opened), KVPBUS_OK);
        cr_assert_eq(opened.length, length);
        cr_assert_eq(opened.head.plain_length, length);
        cr_assert_eq(memcmp(opened.plain, plain, length), 0);
        cr_assert_eq(opened.head.number, length);
        cr_assert_eq(opened.head.attempt, 3);
        cr_assert_eq(opened.head.type, KVPBUS_ITEM_DATA);
        cr_assert_eq(memcmp(opened.head.session_tag, keys.session, 4), 0);
    }
    cr_assert_eq(strlen(value), KVPBUS_VALUE_MAX);
}

Test(item, a_full_value_carries_at_least_seven_tenths)
{
    cr_assert_eq(KVPBUS_PLAIN_MAX, 724);
    cr_assert_geq(100 * KVPBUS_PLAIN_MAX, 70 * KVPBUS_VALUE_MAX);
}

Test(item, the_largest_numbers)
{
    char value[KVPBUS_VALUE_MAX + 1];
    struct opened opened;
    kvpbus_item_seal(&keys, KVPBUS_ITEM_STATE, KVPBUS_NUMBER_MAX, KVPBUS_ATTEMPT_MAX,
                     (const uint8_t *)"x", 1, value);
    cr_assert_eq(open_value(&keys, value, &opened), KVPBUS_OK);
    cr_assert_eq(opened.head.number, KVPBUS_NUMBER_MAX);
    cr_assert_eq(opened.head.attempt, KVPBUS_ATTEMPT_MAX);
    cr_assert_eq(opened.head.type, KVPBUS_ITEM_STATE);
}

Test(item, every_bit_is_authenticated)
{
    static const uint8_t plain[] = "the contents of a packet";
    char value[KVPBUS_VALUE_MAX + 1];
    uint8_t bytes[KVPBUS_ITEM_MAX], out[KVPBUS_PLAIN_MAX];
    size_t length, out_length;
    struct kvpbus_item_head head;
    kvpbus_item_seal(&keys, KVPBUS_ITEM_DATA, 17, 0, plain, sizeof plain, value);
    cr_assert_eq(kvpbus_item_decode(value, bytes, &length), KVPBUS_OK);
    for (size_t bit = 0; bit < 8 * length; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_eq(kvpbus_item_open(&keys, bytes, length, &head, out, &out_length),
                     KVPBUS_BAD_ITEM, "bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < length; cut++)
        cr_assert_eq(kvpbus_item_open(&keys, bytes, cut, &head, out, &out_length), KVPBUS_BAD_ITEM);
    cr_assert_eq(kvpbus_item_open(&keys, bytes, length, &head, out, &out_length), KVPBUS_OK);
}

Test(item, other_keys_open_nothing)
{
    char value[KVPBUS_VALUE_MAX + 1];
    struct opened opened;
    kvpbus_item_seal(&keys, KVPBUS_ITEM_DATA, 1, 0, (const uint8_t *)"x", 1, value);
    struct kvpbus_item_keys other = keys;
    other.session[0] ^= 1; // the tag differs
    cr_assert_eq(open_value(&other, value, &opened), KVPBUS_BAD_ITEM);
    other = keys;
    other.session[31] ^= 1; // the tag does not
    cr_assert_eq(open_value(&other, value, &opened), KVPBUS_BAD_ITEM);
    other = keys;
    other.aead[0] ^= 1;
    cr_assert_eq(open_value(&other, value, &opened), KVPBUS_BAD_ITEM);
    other = keys;
    other.siv[0] ^= 1; // authentic, but the nonce was not made as it must be
    memset(opened.plain, 0xaa, sizeof opened.plain);
    cr_assert_eq(open_value(&other, value, &opened), KVPBUS_BAD_ITEM);
    cr_assert_eq(opened.plain[0], 0, "no plaintext stays");
    cr_assert_eq(open_value(&keys, value, &opened), KVPBUS_OK);
}

static void siv_of(uint64_t number, uint32_t attempt, const char *plain, uint8_t siv[12])
{
    char value[KVPBUS_VALUE_MAX + 1];
    uint8_t bytes[KVPBUS_ITEM_MAX];
    size_t length;
    kvpbus_item_seal(&keys, KVPBUS_ITEM_DATA, number, attempt, (const uint8_t *)plain,
                     strlen(plain), value);
    cr_assert_eq(kvpbus_item_decode(value, bytes, &length), KVPBUS_OK);
    memcpy(siv, bytes + 14, 12);
}

// What a side with reverted memory does: the same number for other contents.
Test(item, one_number_with_two_contents_has_two_nonces)
{
    uint8_t first[12], again[12], second[12];
    siv_of(5, 0, "one", first);
    siv_of(5, 0, "one", again);
    siv_of(5, 0, "two", second);
    cr_assert_eq(memcmp(first, again, 12), 0);
    cr_assert_neq(memcmp(first, second, 12), 0);
    siv_of(5, 1, "one", second);
    cr_assert_neq(memcmp(first, second, 12), 0);
    siv_of(6, 0, "one", second);
    cr_assert_neq(memcmp(first, second, 12), 0);
}

Test(item, only_canonical_text_is_decoded)
{
    uint8_t bytes[KVPBUS_ITEM_MAX];
    size_t length;
    char text[KVPBUS_VALUE_MAX + 3];
    static const char *const bad[] = {"",     "A",    "AB=",   "AA==", "AB",   "A+A",
                                      "A/AA", "AA A", "AAA\n", " AAA", "AAA.", "AAAAB"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(kvpbus_item_decode(bad[i], bytes, &length), KVPBUS_BAD_ITEM, "'%s'", bad[i]);
    cr_assert_eq(kvpbus_item_decode("-_8", bytes, &length), KVPBUS_OK);
    cr_assert_eq(length, 2);
    cr_assert_eq(memcmp(bytes, "\xfb\xff", 2), 0);
    memset(text, 'A', sizeof text);
    text[KVPBUS_VALUE_MAX] = '\0';
    cr_assert_eq(kvpbus_item_decode(text, bytes, &length), KVPBUS_OK);
    cr_assert_eq(length, KVPBUS_ITEM_MAX);
    text[KVPBUS_VALUE_MAX] = 'A';
    text[KVPBUS_VALUE_MAX + 1] = '\0';
    cr_assert_eq(kvpbus_item_decode(text, bytes, &length), KVPBUS_BAD_ITEM);
}

Test(item, no_byte_outside_the_alphabet_is_decoded)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t bytes[KVPBUS_ITEM_MAX];
    size_t length;
    for (int byte = 1; byte < 256; byte++) {
        for (int at = 0; at < 4; at++) {
            char text[] = "AAAA";
            text[at] = (char)byte;
            cr_assert_eq(kvpbus_item_decode(text, bytes, &length),
                         strchr(alphabet, byte) != NULL ? KVPBUS_OK : KVPBUS_BAD_ITEM, "%02x at %d",
                         (unsigned)byte, at);
        }
    }
}

Test(item, encode_and_decode_are_inverse)
{
    uint8_t bytes[KVPBUS_ITEM_MAX], back[KVPBUS_ITEM_MAX];
    char value[KVPBUS_VALUE_MAX + 1];
    randombytes_buf(bytes, sizeof bytes);
    for (size_t length = 1; length <= sizeof bytes; length++) {
        size_t back_length;
        kvpbus_item_encode(bytes, length, value);
        cr_assert_eq(kvpbus_item_decode(value, back, &back_length), KVPBUS_OK);
        cr_assert_eq(back_length, length);
        cr_assert_eq(memcmp(bytes, back, length), 0);
    }
}

Test(item, types_and_heads)
{
    enum kvpbus_item_type type;
    struct kvpbus_item_head head;
    uint8_t bytes[KVPBUS_ITEM_MAX + 1] = {0x13, [10] = 1};
    cr_assert_eq(kvpbus_item_type(bytes, 0, &type), KVPBUS_BAD_ITEM);
    for (unsigned first = 0; first < 256; first++) {
        uint8_t byte = (uint8_t)first;
        bool known = first >= 0x11 && first <= 0x13;
        cr_assert_eq(kvpbus_item_type(&byte, 1, &type), known ? KVPBUS_OK : KVPBUS_BAD_ITEM);
        bytes[0] = byte;
        cr_assert_eq(kvpbus_item_head_read(bytes, 100, &head),
                     known && first != 0x11 ? KVPBUS_OK : KVPBUS_BAD_ITEM);
    }
    bytes[0] = 0x12;
    cr_assert_eq(kvpbus_item_head_read(bytes, KVPBUS_ITEM_OVERHEAD, &head), KVPBUS_BAD_ITEM);
    cr_assert_eq(kvpbus_item_head_read(bytes, KVPBUS_ITEM_OVERHEAD + 1, &head), KVPBUS_OK);
    cr_assert_eq(head.plain_length, 1);
    cr_assert_eq(head.type, KVPBUS_ITEM_STATE);
    cr_assert_eq(kvpbus_item_head_read(bytes, KVPBUS_ITEM_MAX + 1, &head), KVPBUS_BAD_ITEM);
    bytes[10] = 0; // number 0
    cr_assert_eq(kvpbus_item_head_read(bytes, 100, &head), KVPBUS_BAD_ITEM);
}

// Built from docs/protocol.md section 2.3 and not with the code under test.
static void build_by_hand(uint8_t first, uint64_t number, uint32_t attempt, const uint8_t *plain,
                          size_t plain_length, char *value)
{
    uint8_t item[KVPBUS_ITEM_MAX] = {first};
    uint8_t hashed[32 + 14 + KVPBUS_PLAIN_MAX], nonce[24] = {first & 0xf};
    memcpy(item + 1, keys.session, 4);
    for (int i = 0; i < 6; i++)
        item[5 + i] = (uint8_t)(number >> (40 - 8 * i));
    for (int i = 0; i < 3; i++)
        item[11 + i] = (uint8_t)(attempt >> (16 - 8 * i));
    memcpy(hashed, keys.session, 32);
    memcpy(hashed + 32, item, 14);
    memcpy(hashed + 46, plain, plain_length);
    cr_assert_eq(crypto_generichash(item + 14, 12, hashed, 46 + plain_length, keys.siv, 32), 0);
    memcpy(nonce + 2, item + 5, 6);
    memcpy(nonce + 9, item + 11, 3);
    memcpy(nonce + 12, item + 14, 12);
    crypto_aead_xchacha20poly1305_ietf_encrypt(item + 26, NULL, plain, plain_length, hashed, 46,
                                               NULL, nonce, keys.aead);
    sodium_bin2base64(value, KVPBUS_VALUE_MAX + 1, item, plain_length + 42,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static void golden_item(const char *name, enum kvpbus_item_type type, uint64_t number,
                        uint32_t attempt, const uint8_t *plain, size_t plain_length)
{
    char value[KVPBUS_VALUE_MAX + 1], by_hand[KVPBUS_VALUE_MAX + 1];
    kvpbus_item_seal(&keys, type, number, attempt, plain, plain_length, value);
    build_by_hand((uint8_t)(0x10 | type), number, attempt, plain, plain_length, by_hand);
    cr_assert_str_eq(value, by_hand);
    golden_compare(name, value, strlen(value));

    struct opened opened;
    char file[KVPBUS_VALUE_MAX + 1] = {0};
    golden_read(name, (uint8_t *)file, KVPBUS_VALUE_MAX);
    cr_assert_eq(open_value(&keys, file, &opened), KVPBUS_OK);
    cr_assert_eq(opened.head.type, type);
    cr_assert_eq(opened.head.number, number);
    cr_assert_eq(opened.head.attempt, attempt);
    cr_assert_eq(opened.length, plain_length);
    cr_assert_eq(memcmp(opened.plain, plain, plain_length), 0);
}

Test(item, golden_data)
{
    uint8_t plain[KVPBUS_PLAIN_MAX];
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * 7);
    golden_item("item-data.txt", KVPBUS_ITEM_DATA, 0x010203040506, 0x070809, plain, sizeof plain);
}

// Echo 3, packets up to 9 and 11 committed, window 64, no flags, some credit.
Test(item, golden_state)
{
    uint8_t plain[54] = {[5] = 3, [11] = 9, [12] = 0x40, [20] = 64};
    plain[28] = plain[36] = plain[44] = 1; // 256 bytes in each class
    plain[53] = 0x5a;
    golden_item("item-state.txt", KVPBUS_ITEM_STATE, 7, 0, plain, sizeof plain);
}

Test(item, keys_of_the_store)
{
    char key[KVPBUS_KEY_MAX + 1];
    unsigned slot = 99;
    kvpbus_key_format("kvpbus", KVPBUS_KEY_HELLO, 0, key);
    cr_assert_str_eq(key, "kvpbus.h");
    cr_assert_eq(kvpbus_key_parse("kvpbus", key, &slot), KVPBUS_KEY_HELLO);
    kvpbus_key_format("kvpbus", KVPBUS_KEY_STATE, 0, key);
    cr_assert_str_eq(key, "kvpbus.s");
    cr_assert_eq(kvpbus_key_parse("kvpbus", key, &slot), KVPBUS_KEY_STATE);
    cr_assert_eq(slot, 99);
    for (unsigned i = 0; i < KVPBUS_RING_MAX; i++) {
        kvpbus_key_format("kvpbus", KVPBUS_KEY_SLOT, i, key);
        cr_assert_eq(strlen(key), strlen("kvpbus.00"));
        cr_assert_eq(kvpbus_key_parse("kvpbus", key, &slot), KVPBUS_KEY_SLOT);
        cr_assert_eq(slot, i);
    }
    kvpbus_key_format("a", KVPBUS_KEY_SLOT, 7, key);
    cr_assert_str_eq(key, "a.07");
}

Test(item, keys_that_the_protocol_does_not_have)
{
    static const char *const other[] = {
        "kvpbus",    "kvpbus.",    "kvpbus.H",  "kvpbus.hh", "kvpbus.64",  "kvpbus.99",
        "kvpbus.7",  "kvpbus.007", "kvpbus. 7", "kvpbus.-1", "kvpbus.0x",  "Kvpbus.h",
        "kvpbus2.h", "kvpbu.h",    "",          "kvpbus/h",  "kvpbus.h.s", "h"};
    unsigned slot = 99;
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        cr_assert_eq(kvpbus_key_parse("kvpbus", other[i], &slot), KVPBUS_KEY_OTHER, "%s", other[i]);
    cr_assert_eq(slot, 99);
}
