// SPDX-License-Identifier: Apache-2.0
//
// Who somebody is on the bus: an identity is an Ed25519 public key, and people compare its
// fingerprint; a link joins the two roles.
#ifndef KVPBUS_IDENTITY_H
#define KVPBUS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    KVPBUS_IDENTITY_BYTES = 32, // crypto_sign_PUBLICKEYBYTES
    KVPBUS_SECRET_BYTES = 64,   // crypto_sign_SECRETKEYBYTES
    KVPBUS_SEED_BYTES = 32,     // crypto_sign_SEEDBYTES
    KVPBUS_VM_ID_BYTES = 16,    // the VM's GUID, in the order of the text form
    // 32 hex digits in eight groups of four, joined by dashes, and a NUL: 128 bits of BLAKE2b.
    KVPBUS_FINGERPRINT_TEXT = 32 + 7 + 1,
};

enum kvpbus_role { KVPBUS_ROLE_HOST = 1, KVPBUS_ROLE_GUEST = 2 };

// The key pair that a secret seed stands for: what a program that embeds the bus keeps of its
// identity is KVPBUS_SEED_BYTES random bytes, readable by nobody else. Any thread.
void kvpbus_identity_of_seed(const uint8_t seed[KVPBUS_SEED_BYTES],
                             uint8_t identity[KVPBUS_IDENTITY_BYTES],
                             uint8_t secret[KVPBUS_SECRET_BYTES]);

// "0123-4567-89ab-cdef-0123-4567-89ab-cdef" of a public key. Any thread.
void kvpbus_fingerprint(const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                        char text[KVPBUS_FINGERPRINT_TEXT]);

// True when `text` is the fingerprint of the key, in either case, with or without the dashes. Any
// thread.
bool kvpbus_fingerprint_matches(const uint8_t identity[KVPBUS_IDENTITY_BYTES], const char *text);

#ifdef __cplusplus
}
#endif

#endif
