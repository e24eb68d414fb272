// SPDX-License-Identifier: Apache-2.0
#include "item.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "big_endian.h"

// Where the fields of an encrypted item stand.
enum {
    VERSION = 1,
    AT_TAG = 1,
    AT_NUMBER = AT_TAG + KVPBUS_SESSION_TAG_BYTES,
    NUMBER_BYTES = 6,
    AT_ATTEMPT = AT_NUMBER + NUMBER_BYTES,
    ATTEMPT_BYTES = 3,
    HEAD_BYTES = AT_ATTEMPT + ATTEMPT_BYTES,
    AT_SIV = HEAD_BYTES,
    SIV_BYTES = 12,
    AT_CIPHERTEXT = AT_SIV + SIV_BYTES,
    MAC_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    ASSOCIATED_BYTES = KVPBUS_SESSION_BYTES + HEAD_BYTES,
};

static_assert(AT_CIPHERTEXT + MAC_BYTES == KVPBUS_ITEM_OVERHEAD, "as the protocol says");
static_assert(2 + NUMBER_BYTES + 4 + SIV_BYTES == NONCE_BYTES, "the nonce is filled");

void kvpbus_item_encode(const uint8_t *bytes, size_t length, char *value)
{
    assert(length >= 1 && length <= KVPBUS_ITEM_MAX);
    sodium_bin2base64(value, KVPBUS_VALUE_MAX + 1, bytes, length,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

enum kvpbus_error kvpbus_item_decode(const char *value, uint8_t *bytes, size_t *length)
{
    size_t characters = strnlen(value, KVPBUS_VALUE_MAX + 1);
    if (characters == 0 || characters > KVPBUS_VALUE_MAX)
        return KVPBUS_BAD_ITEM;
    if (sodium_base642bin(bytes, KVPBUS_ITEM_MAX, value, characters, NULL, length, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        *length == 0)
        return KVPBUS_BAD_ITEM;
    // libsodium 1.0.18 takes some bytes beyond ASCII for characters of the alphabet.
    char canonical[KVPBUS_VALUE_MAX + 1];
    kvpbus_item_encode(bytes, *length, canonical);
    return strcmp(canonical, value) == 0 ? KVPBUS_OK : KVPBUS_BAD_ITEM;
}

enum kvpbus_error kvpbus_item_type(const uint8_t *bytes, size_t length, enum kvpbus_item_type *type)
{
    if (length == 0 || bytes[0] >> 4 != VERSION)
        return KVPBUS_BAD_ITEM;
    unsigned low = bytes[0] & 0xf;
    if (low < KVPBUS_ITEM_HELLO || low > KVPBUS_ITEM_DATA)
        return KVPBUS_BAD_ITEM;
    *type = (enum kvpbus_item_type)low;
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_item_head_read(const uint8_t *bytes, size_t length,
                                        struct kvpbus_item_head *head)
{
    enum kvpbus_item_type type;
    if (kvpbus_item_type(bytes, length, &type) != KVPBUS_OK || type == KVPBUS_ITEM_HELLO ||
        length <= KVPBUS_ITEM_OVERHEAD || length > KVPBUS_ITEM_MAX)
        return KVPBUS_BAD_ITEM;
    uint64_t number = kvpbus_get_be(bytes + AT_NUMBER, NUMBER_BYTES);
    if (number == 0)
        return KVPBUS_BAD_ITEM;
    head->type = type;
    memcpy(head->session_tag, bytes + AT_TAG, sizeof head->session_tag);
    head->number = number;
    head->attempt = (uint32_t)kvpbus_get_be(bytes + AT_ATTEMPT, ATTEMPT_BYTES);
    head->plain_length = length - KVPBUS_ITEM_OVERHEAD;
    return KVPBUS_OK;
}

static void associated_data(const struct kvpbus_item_keys *keys, const uint8_t *item,
                            uint8_t data[ASSOCIATED_BYTES])
{
    memcpy(data, keys->session, KVPBUS_SESSION_BYTES);
    memcpy(data + KVPBUS_SESSION_BYTES, item, HEAD_BYTES);
}

// Makes the nonce depend on the contents, so that a side which went back with its memory never
// encrypts two of them under one nonce.
static void content_siv(const struct kvpbus_item_keys *keys, const uint8_t data[ASSOCIATED_BYTES],
                        const uint8_t *plain, size_t plain_length, uint8_t siv[SIV_BYTES])
{
    crypto_generichash_state state;
    int failed = crypto_generichash_init(&state, keys->siv, sizeof keys->siv, SIV_BYTES);
    failed |= crypto_generichash_update(&state, data, ASSOCIATED_BYTES);
    failed |= crypto_generichash_update(&state, plain, plain_length);
    failed |= crypto_generichash_final(&state, siv, SIV_BYTES);
    assert(failed == 0);
    (void)failed;
    sodium_memzero(&state, sizeof state);
}

static void nonce_of(const uint8_t *item, uint8_t nonce[NONCE_BYTES])
{
    memset(nonce, 0, NONCE_BYTES);
    nonce[0] = item[0] & 0xf;
    memcpy(nonce + 2, item + AT_NUMBER, NUMBER_BYTES);
    memcpy(nonce + 2 + NUMBER_BYTES + 1, item + AT_ATTEMPT, ATTEMPT_BYTES);
    memcpy(nonce + NONCE_BYTES - SIV_BYTES, item + AT_SIV, SIV_BYTES);
}

void kvpbus_item_seal(const struct kvpbus_item_keys *keys, enum kvpbus_item_type type,
                      uint64_t number, uint32_t attempt, const uint8_t *plain, size_t plain_length,
                      char *value)
{
    assert(type == KVPBUS_ITEM_STATE || type == KVPBUS_ITEM_DATA);
    assert(number >= 1 && number <= KVPBUS_NUMBER_MAX && attempt <= KVPBUS_ATTEMPT_MAX);
    assert(plain_length >= 1 && plain_length <= KVPBUS_PLAIN_MAX);
    uint8_t item[KVPBUS_ITEM_MAX], data[ASSOCIATED_BYTES], nonce[NONCE_BYTES];
    item[0] = (uint8_t)(VERSION << 4 | type);
    memcpy(item + AT_TAG, keys->session, KVPBUS_SESSION_TAG_BYTES);
    kvpbus_put_be(item + AT_NUMBER, number, NUMBER_BYTES);
    kvpbus_put_be(item + AT_ATTEMPT, attempt, ATTEMPT_BYTES);
    associated_data(keys, item, data);
    content_siv(keys, data, plain, plain_length, item + AT_SIV);
    nonce_of(item, nonce);
    crypto_aead_xchacha20poly1305_ietf_encrypt(item + AT_CIPHERTEXT, NULL, plain, plain_length,
                                               data, sizeof data, NULL, nonce, keys->aead);
    kvpbus_item_encode(item, plain_length + KVPBUS_ITEM_OVERHEAD, value);
}

enum kvpbus_error kvpbus_item_open(const struct kvpbus_item_keys *keys, const uint8_t *bytes,
                                   size_t length, struct kvpbus_item_head *head, uint8_t *plain,
                                   size_t *plain_length)
{
    struct kvpbus_item_head read;
    // The session is authenticated below; the tag spares the work for what an earlier one left.
    if (kvpbus_item_head_read(bytes, length, &read) != KVPBUS_OK ||
        memcmp(read.session_tag, keys->session, sizeof read.session_tag) != 0)
        return KVPBUS_BAD_ITEM;
    uint8_t data[ASSOCIATED_BYTES], nonce[NONCE_BYTES], siv[SIV_BYTES];
    associated_data(keys, bytes, data);
    nonce_of(bytes, nonce);
    // Authenticates before it decrypts.
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, bytes + AT_CIPHERTEXT,
                                                   length - AT_CIPHERTEXT, data, sizeof data, nonce,
                                                   keys->aead) != 0)
        return KVPBUS_BAD_ITEM;
    // The peer's own mistake, not a forger's, but one that could repeat a nonce.
    content_siv(keys, data, plain, read.plain_length, siv);
    if (sodium_memcmp(siv, bytes + AT_SIV, sizeof siv) != 0) {
        sodium_memzero(plain, read.plain_length);
        return KVPBUS_BAD_ITEM;
    }
    *head = read;
    *plain_length = read.plain_length;
    return KVPBUS_OK;
}
