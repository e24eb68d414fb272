// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "token.h"

static const struct kvpbus_token example = {
    .host = {1, 2, 3},
    .vm = {4, 5, 6},
    .ends_ms = 1795426600250,
    .id = {7, 8, 9},
    .secret = {10, 11, 12},
};

static enum kvpbus_error reads(const char *text, struct kvpbus_token *token)
{
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error = kvpbus_token_read(text, strlen(text), token, &failure);
    cr_assert_eq(failure.code, error);
    cr_assert_eq(failure.detail[0] == '\0', error == KVPBUS_OK);
    return error;
}

Test(token, one_line_says_all_of_it)
{
    char text[KVPBUS_TOKEN_TEXT], padded[KVPBUS_TOKEN_TEXT + 8];
    struct kvpbus_token token;
    kvpbus_token_write(&example, text);
    cr_assert_eq(strlen(text), KVPBUS_TOKEN_CHARACTERS);
    cr_assert_eq(strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"),
                 KVPBUS_TOKEN_CHARACTERS);
    cr_assert_eq(reads(text, &token), KVPBUS_OK);
    cr_assert_eq(memcmp(&token, &example, sizeof token), 0);
    snprintf(padded, sizeof padded, " \t%s\r\n\n", text);
    cr_assert_eq(reads(padded, &token), KVPBUS_OK);
}

// docs/protocol.md section 2.6 gives it.
Test(token, is_as_documented)
{
    struct kvpbus_token token;
    char text[KVPBUS_TOKEN_TEXT];
    uint8_t guest[KVPBUS_IDENTITY_BYTES], epoch[KVPBUS_TOKEN_EPOCH], proof[KVPBUS_PROOF_BYTES];
    char hex[2 * KVPBUS_PROOF_BYTES + 1];
    memset(token.host, 0x01, sizeof token.host);
    memset(token.vm, 0x02, sizeof token.vm);
    token.ends_ms = 1700000000000;
    memset(token.id, 0x03, sizeof token.id);
    memset(token.secret, 0x04, sizeof token.secret);
    memset(guest, 0x05, sizeof guest);
    memset(epoch, 0x06, sizeof epoch);
    kvpbus_token_write(&token, text);
    kvpbus_token_prove(&token, guest, epoch, proof);
    sodium_bin2hex(hex, sizeof hex, proof, sizeof proof);
    cr_expect_str_eq(
        text,
        "kvpbus-enroll-AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAgICAgICAgICAgICAgICAgAAAYvP5WgA"
        "AwMDAwMDAwMDAwMDAwMDAwQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEEW9T0w");
    cr_expect_str_eq(hex, "03030303030303030303030303030303"
                          "ed5748c04dea2fd06d301a8af4e757ea72d2fb8dcc5522cee29e351b6227fb20");
}

Test(token, any_changed_character_is_noticed)
{
    char text[KVPBUS_TOKEN_TEXT];
    struct kvpbus_token token;
    kvpbus_token_write(&example, text);
    for (size_t i = 0; i < KVPBUS_TOKEN_CHARACTERS; i++) {
        char kept = text[i];
        text[i] = kept == 'A' ? 'B' : 'A';
        cr_assert_eq(reads(text, &token), KVPBUS_BAD_TOKEN, "%zu", i);
        text[i] = '\n';
        cr_assert_eq(reads(text, &token), KVPBUS_BAD_TOKEN, "%zu", i);
        text[i] = kept;
    }
}

Test(token, what_is_cut_or_doubled_is_refused_and_not_quoted)
{
    char text[KVPBUS_TOKEN_TEXT], two[2 * KVPBUS_TOKEN_TEXT + 1];
    struct kvpbus_token token;
    struct kvpbus_failure failure = {0};
    kvpbus_token_write(&example, text);
    snprintf(two, sizeof two, "%s\n%s", text, text);
    cr_assert_eq(reads(two, &token), KVPBUS_BAD_TOKEN);
    for (size_t length = 0; length < KVPBUS_TOKEN_CHARACTERS; length++) {
        cr_assert_eq(kvpbus_token_read(text, length, &token, &failure), KVPBUS_BAD_TOKEN);
        cr_assert_null(strstr(failure.detail, text + 14));
    }
    cr_assert_eq(reads("", &token), KVPBUS_BAD_TOKEN);
    cr_assert_eq(reads("kvpbus-enroll-", &token), KVPBUS_BAD_TOKEN);
}

Test(token, a_token_of_another_version_says_so)
{
    // As above, with the version 2 and a right checksum.
    struct kvpbus_token token;
    struct kvpbus_failure failure = {0};
    uint8_t bytes[109] = {2}, hash[16];
    char text[KVPBUS_TOKEN_TEXT] = "kvpbus-enroll-";
    static const char label[] = "kvpbus 1 token";
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    crypto_generichash_update(&state, (const uint8_t *)label, sizeof label);
    crypto_generichash_update(&state, bytes, 105);
    crypto_generichash_final(&state, hash, sizeof hash);
    memcpy(bytes + 105, hash, 4);
    sodium_bin2base64(text + 14, sizeof text - 14, bytes, sizeof bytes,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    cr_assert_eq(kvpbus_token_read(text, strlen(text), &token, &failure), KVPBUS_BAD_TOKEN);
    cr_assert_not_null(strstr(failure.detail, "another version"));
}

Test(token, a_proof_is_for_one_identity_host_vm_and_epoch)
{
    uint8_t guest[KVPBUS_IDENTITY_BYTES] = {20}, epoch[KVPBUS_TOKEN_EPOCH] = {21};
    uint8_t proof[KVPBUS_PROOF_BYTES];
    kvpbus_token_prove(&example, guest, epoch, proof);
    cr_assert_eq(memcmp(proof, example.id, KVPBUS_TOKEN_ID), 0);
    cr_assert(kvpbus_token_proves(&example, guest, epoch, proof));
    guest[31]++;
    cr_assert_not(kvpbus_token_proves(&example, guest, epoch, proof));
    guest[31]--;
    epoch[15]++;
    cr_assert_not(kvpbus_token_proves(&example, guest, epoch, proof));
    epoch[15]--;
    struct kvpbus_token other = example;
    other.host[31]++;
    cr_assert_not(kvpbus_token_proves(&other, guest, epoch, proof));
    other = example;
    other.vm[15]++;
    cr_assert_not(kvpbus_token_proves(&other, guest, epoch, proof));
    other = example;
    other.secret[31]++;
    cr_assert_not(kvpbus_token_proves(&other, guest, epoch, proof));
    other = example;
    other.ends_ms++;
    cr_assert(kvpbus_token_proves(&other, guest, epoch, proof), "the time is not in it");
    for (size_t i = KVPBUS_TOKEN_ID; i < sizeof proof; i++) {
        proof[i] ^= 1;
        cr_assert_not(kvpbus_token_proves(&example, guest, epoch, proof));
        proof[i] ^= 1;
    }
}
