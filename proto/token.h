// SPDX-License-Identifier: Apache-2.0
//
// The enrolment token, docs/protocol.md section 2.6: made on the host for one VM, it lets host and
// guest pin each other once. Pure: no I/O, no clock, no global. Any thread.
#ifndef KVPBUS_TOKEN_H
#define KVPBUS_TOKEN_H

#include "bundle.h"

enum {
    KVPBUS_TOKEN_ID = 16,
    KVPBUS_TOKEN_SECRET = 32,
    KVPBUS_TOKEN_MAC = 32,
    KVPBUS_TOKEN_EPOCH = 16, // bytes of a core's epoch
    KVPBUS_PROOF_BYTES = KVPBUS_TOKEN_ID + KVPBUS_TOKEN_MAC,
    KVPBUS_TOKEN_CHARACTERS = 14 + 146, // "kvpbus-enroll-" and base64url of 109 bytes
    KVPBUS_TOKEN_TEXT = KVPBUS_TOKEN_CHARACTERS + 1,
};

struct kvpbus_token {
    uint8_t host[KVPBUS_IDENTITY_BYTES];
    uint8_t vm[KVPBUS_VM_ID_BYTES];
    uint64_t ends_ms; // ms since 1970 by the host's clock, which alone judges it
    uint8_t id[KVPBUS_TOKEN_ID];
    uint8_t secret[KVPBUS_TOKEN_SECRET];
};

// One line of letters, digits, dashes and underscores.
void kvpbus_token_write(const struct kvpbus_token *token, char text[KVPBUS_TOKEN_TEXT]);
// White space around it is passed over. KVPBUS_BAD_TOKEN: not a token, or not copied whole; the
// failure never quotes it.
enum kvpbus_error kvpbus_token_read(const char *text, size_t length, struct kvpbus_token *token,
                                    struct kvpbus_failure *failure);

// The bytes of extension 3: the token's id and a MAC that is worth nothing for another identity, VM
// or epoch.
void kvpbus_token_prove(const struct kvpbus_token *token,
                        const uint8_t guest[KVPBUS_IDENTITY_BYTES],
                        const uint8_t epoch[KVPBUS_TOKEN_EPOCH], uint8_t proof[KVPBUS_PROOF_BYTES]);
// In constant time; looks at the MAC alone.
bool kvpbus_token_proves(const struct kvpbus_token *token,
                         const uint8_t guest[KVPBUS_IDENTITY_BYTES],
                         const uint8_t epoch[KVPBUS_TOKEN_EPOCH],
                         const uint8_t proof[KVPBUS_PROOF_BYTES]);

#endif
