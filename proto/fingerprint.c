// SPDX-License-Identifier: Apache-2.0
#include <sodium.h>
#include <string.h>

#include "kvpbus/identity.h"

enum { BYTES = 16, GROUP = 4 };

void kvpbus_identity_of_seed(const uint8_t seed[KVPBUS_SEED_BYTES],
                             uint8_t identity[KVPBUS_IDENTITY_BYTES],
                             uint8_t secret[KVPBUS_SECRET_BYTES])
{
    crypto_sign_seed_keypair(identity, secret, seed);
}

void kvpbus_fingerprint(const uint8_t identity[32], char text[KVPBUS_FINGERPRINT_TEXT])
{
    static const char label[] = "kvpbus identity";
    uint8_t hash[BYTES];
    char hex[2 * BYTES + 1];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    crypto_generichash_update(&state, (const uint8_t *)label, sizeof label);
    crypto_generichash_update(&state, identity, 32);
    crypto_generichash_final(&state, hash, sizeof hash);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    for (size_t i = 0; i < 2 * BYTES; i++) {
        if (i > 0 && i % GROUP == 0)
            *text++ = '-';
        *text++ = hex[i];
    }
    *text = '\0';
}

bool kvpbus_fingerprint_matches(const uint8_t identity[32], const char *text)
{
    char wanted[KVPBUS_FINGERPRINT_TEXT];
    uint8_t given[BYTES], expected[BYTES];
    size_t length;
    const char *end;
    kvpbus_fingerprint(identity, wanted);
    if (sodium_hex2bin(given, sizeof given, text, strlen(text), "- :", &length, &end) != 0 ||
        *end != '\0' || length != sizeof given)
        return false;
    sodium_hex2bin(expected, sizeof expected, wanted, strlen(wanted), "-", &length, NULL);
    return sodium_memcmp(given, expected, sizeof given) == 0;
}
