// SPDX-License-Identifier: Apache-2.0
//
// An identity is an Ed25519 public key; people compare its fingerprint.
#ifndef KVPBUS_IDENTITY_H
#define KVPBUS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    // 32 hex digits in eight groups of four, joined by dashes, and a NUL: 128 bits of BLAKE2b.
    KVPBUS_FINGERPRINT_TEXT = 32 + 7 + 1,
};

// "0123-4567-89ab-cdef-0123-4567-89ab-cdef" of a 32-byte public key. Any thread.
void kvpbus_fingerprint(const uint8_t identity[32], char text[KVPBUS_FINGERPRINT_TEXT]);

// True when `text` is the fingerprint of the key, in either case, with or without the dashes.
bool kvpbus_fingerprint_matches(const uint8_t identity[32], const char *text);

#ifdef __cplusplus
}
#endif

#endif
