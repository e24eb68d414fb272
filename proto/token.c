// SPDX-License-Identifier: Apache-2.0
#include "token.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "big_endian.h"

static const char mark[] = "kvpbus-enroll-";
static const char sum_label[] = "kvpbus 1 token";
static const char proof_label[] = "kvpbus 1 enrolment";

enum {
    MARK = sizeof mark - 1,
    VERSION = 1,
    AT_HOST = 1,
    AT_VM = AT_HOST + KVPBUS_IDENTITY_BYTES,
    AT_ENDS = AT_VM + KVPBUS_VM_ID_BYTES,
    AT_ID = AT_ENDS + 8,
    AT_SECRET = AT_ID + KVPBUS_TOKEN_ID,
    AT_SUM = AT_SECRET + KVPBUS_TOKEN_SECRET,
    SUM = 4,
    BYTES = AT_SUM + SUM,
};

static_assert(KVPBUS_TOKEN_SECRET == crypto_generichash_KEYBYTES, "a key of BLAKE2b");
static_assert(sodium_base64_ENCODED_LEN(BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING) + MARK ==
                  KVPBUS_TOKEN_TEXT,
              "the length of the text");

// Finds out what was typed wrong or cut off.
static void checksum(const uint8_t bytes[BYTES], uint8_t sum[SUM])
{
    uint8_t hash[crypto_generichash_BYTES_MIN];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    crypto_generichash_update(&state, (const uint8_t *)sum_label, sizeof sum_label);
    crypto_generichash_update(&state, bytes, AT_SUM);
    crypto_generichash_final(&state, hash, sizeof hash);
    memcpy(sum, hash, SUM);
}

void kvpbus_token_write(const struct kvpbus_token *token, char text[KVPBUS_TOKEN_TEXT])
{
    uint8_t bytes[BYTES];
    bytes[0] = VERSION;
    memcpy(bytes + AT_HOST, token->host, KVPBUS_IDENTITY_BYTES);
    memcpy(bytes + AT_VM, token->vm, KVPBUS_VM_ID_BYTES);
    kvpbus_put_be(bytes + AT_ENDS, token->ends_ms, 8);
    memcpy(bytes + AT_ID, token->id, KVPBUS_TOKEN_ID);
    memcpy(bytes + AT_SECRET, token->secret, KVPBUS_TOKEN_SECRET);
    checksum(bytes, bytes + AT_SUM);
    memcpy(text, mark, MARK);
    sodium_bin2base64(text + MARK, KVPBUS_TOKEN_TEXT - MARK, bytes, BYTES,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(bytes, sizeof bytes);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

enum kvpbus_error kvpbus_token_read(const char *text, size_t length, struct kvpbus_token *token,
                                    struct kvpbus_failure *failure)
{
    uint8_t bytes[BYTES], sum[SUM];
    size_t got;
    while (length > 0 && blank(text[0])) {
        text++;
        length--;
    }
    while (length > 0 && blank(text[length - 1]))
        length--;
    if (length < MARK || memcmp(text, mark, MARK) != 0)
        return kvpbus_fail(failure, KVPBUS_BAD_TOKEN,
                           "this is not a token: one begins with '%s'; 'kvpbus enroll' on the host "
                           "makes it",
                           mark);
    if (length != KVPBUS_TOKEN_CHARACTERS ||
        sodium_base642bin(bytes, sizeof bytes, text + MARK, length - MARK, NULL, &got, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        got != sizeof bytes)
        return kvpbus_fail(failure, KVPBUS_BAD_TOKEN,
                           "the token is not whole, or there is more than one; copy it again");
    checksum(bytes, sum);
    enum kvpbus_error error = KVPBUS_OK;
    if (memcmp(sum, bytes + AT_SUM, SUM) != 0)
        error =
            kvpbus_fail(failure, KVPBUS_BAD_TOKEN, "the token's checksum is wrong; copy it again");
    else if (bytes[0] != VERSION)
        error = kvpbus_fail(failure, KVPBUS_BAD_TOKEN,
                            "the token is of another version of kvpbus; update the older side");
    if (error == KVPBUS_OK) {
        memcpy(token->host, bytes + AT_HOST, KVPBUS_IDENTITY_BYTES);
        memcpy(token->vm, bytes + AT_VM, KVPBUS_VM_ID_BYTES);
        token->ends_ms = kvpbus_get_be(bytes + AT_ENDS, 8);
        memcpy(token->id, bytes + AT_ID, KVPBUS_TOKEN_ID);
        memcpy(token->secret, bytes + AT_SECRET, KVPBUS_TOKEN_SECRET);
    }
    sodium_memzero(bytes, sizeof bytes);
    return error;
}

void kvpbus_token_prove(const struct kvpbus_token *token,
                        const uint8_t guest[KVPBUS_IDENTITY_BYTES],
                        const uint8_t epoch[KVPBUS_TOKEN_EPOCH], uint8_t proof[KVPBUS_PROOF_BYTES])
{
    crypto_generichash_state state;
    memcpy(proof, token->id, KVPBUS_TOKEN_ID);
    crypto_generichash_init(&state, token->secret, KVPBUS_TOKEN_SECRET, KVPBUS_TOKEN_MAC);
    crypto_generichash_update(&state, (const uint8_t *)proof_label, sizeof proof_label);
    crypto_generichash_update(&state, token->id, KVPBUS_TOKEN_ID);
    crypto_generichash_update(&state, guest, KVPBUS_IDENTITY_BYTES);
    crypto_generichash_update(&state, token->host, KVPBUS_IDENTITY_BYTES);
    crypto_generichash_update(&state, token->vm, KVPBUS_VM_ID_BYTES);
    crypto_generichash_update(&state, epoch, KVPBUS_TOKEN_EPOCH);
    crypto_generichash_final(&state, proof + KVPBUS_TOKEN_ID, KVPBUS_TOKEN_MAC);
    sodium_memzero(&state, sizeof state);
}

bool kvpbus_token_proves(const struct kvpbus_token *token,
                         const uint8_t guest[KVPBUS_IDENTITY_BYTES],
                         const uint8_t epoch[KVPBUS_TOKEN_EPOCH],
                         const uint8_t proof[KVPBUS_PROOF_BYTES])
{
    uint8_t expected[KVPBUS_PROOF_BYTES];
    kvpbus_token_prove(token, guest, epoch, expected);
    return sodium_memcmp(expected + KVPBUS_TOKEN_ID, proof + KVPBUS_TOKEN_ID, KVPBUS_TOKEN_MAC) ==
           0;
}
