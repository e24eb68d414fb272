// SPDX-License-Identifier: Apache-2.0
//
// What sealing and opening share.
#ifndef KVPBUS_BUNDLE_INTERNAL_H
#define KVPBUS_BUNDLE_INTERNAL_H

#include "bundle.h"

enum {
    KVPBUS_BUNDLE_VERSION = 1,
    KVPBUS_BUNDLE_COMPRESSED = 1,     // bit 0 of the flags
    KVPBUS_BUNDLE_SIGNED_HEADER = 60, // what the signature covers of the header; then it follows
    // Label, header, sender, recipient, VM, hash of the packed bytes.
    KVPBUS_BUNDLE_SIGNED =
        16 + KVPBUS_BUNDLE_SIGNED_HEADER + KVPBUS_IDENTITY_BYTES + 1 + KVPBUS_VM_ID_BYTES + 32,
    KVPBUS_OPERATOR_SIGNATURE = 64,
};

// Writes the first KVPBUS_BUNDLE_SIGNED_HEADER bytes of a header.
void kvpbus_bundle_header_write(const struct kvpbus_bundle_header *header, uint8_t *bytes);

// The bytes that are signed: docs/protocol.md section 3.
void kvpbus_bundle_signed(const struct kvpbus_route *route, const uint8_t *header,
                          const uint8_t *packed, size_t packed_length,
                          uint8_t text[KVPBUS_BUNDLE_SIGNED]);

#endif
