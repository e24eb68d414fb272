// SPDX-License-Identifier: Apache-2.0
//
// The sealed bundle of docs/protocol.md section 3: one or more messages of one class for one
// recipient, packed as protobuf, compressed when that makes it smaller, signed once.
// Pure: no I/O, no clock, no global. Any thread, once sodium_init has been called by whoever owns
// the process.
#ifndef KVPBUS_BUNDLE_H
#define KVPBUS_BUNDLE_H

#include "kvpbus/identity.h"
#include "kvpbus/message.h"

enum {
    KVPBUS_BUNDLE_HEADER = 124,
    // What a bundle needs beyond the bodies of its messages, at most, per message.
    KVPBUS_MESSAGE_OVERHEAD =
        512 + KVPBUS_TOPIC_MAX + KVPBUS_STREAM_MAX +
        KVPBUS_HEADERS_MAX * (KVPBUS_HEADER_NAME_MAX + KVPBUS_HEADER_VALUE_MAX + 16),
};

// Whom a bundle is from and for; the signature covers all of it.
struct kvpbus_route {
    uint8_t sender[KVPBUS_IDENTITY_BYTES];
    enum kvpbus_role recipient;
    uint8_t vm[KVPBUS_VM_ID_BYTES];
};

struct kvpbus_bundle_position {
    uint8_t id[KVPBUS_BUNDLE_ID_BYTES];
    uint8_t timeline[KVPBUS_TIMELINE_BYTES];
    enum kvpbus_class class_;
    uint64_t number;
    int64_t created_ms;
};

// The header after its layout was checked; nothing in it is authenticated before
// kvpbus_bundle_open.
struct kvpbus_bundle_header {
    struct kvpbus_bundle_position position;
    bool compressed;
    uint32_t plain_length;
    uint32_t packed_length;
};

// Seals `count` (1 to KVPBUS_BUNDLE_MESSAGES_MAX) messages, whose index, sequence and created_ms
// are set. *sealed is allocated and freed by the caller with free(). Errors: KVPBUS_TOO_LARGE
// (the sealed length would exceed `sealed_max`), KVPBUS_NOMEM, and for what kvpbus_bundle_open
// would refuse KVPBUS_INVALID_ARGUMENT or the error of kvpbus_message_check.
enum kvpbus_error kvpbus_bundle_seal(const struct kvpbus_route *route,
                                     const uint8_t secret[KVPBUS_SECRET_BYTES],
                                     const struct kvpbus_bundle_position *position,
                                     const struct kvpbus_message *messages, size_t count,
                                     size_t sealed_max, uint8_t **sealed, size_t *sealed_length,
                                     struct kvpbus_failure *failure);

// Signs a sealed bundle anew, in its place, for another sender or VM.
void kvpbus_bundle_sign_again(const struct kvpbus_route *route,
                              const uint8_t secret[KVPBUS_SECRET_BYTES], uint8_t *sealed,
                              size_t sealed_length);

// Checks the layout of the first KVPBUS_BUNDLE_HEADER bytes.
enum kvpbus_error kvpbus_bundle_header_read(const uint8_t *bytes, size_t length,
                                            struct kvpbus_bundle_header *header,
                                            struct kvpbus_failure *failure);

struct kvpbus_bundle_content; // owns the messages of an opened bundle

// Verifies, then inflates under the declared plain length (itself at most `plain_max`), then
// unpacks. Errors: KVPBUS_BAD_BUNDLE (layout, lengths, inflate, protobuf, a message that
// kvpbus_message_check refuses, indices that do not ascend), KVPBUS_BAD_SIGNATURE,
// KVPBUS_TOO_LARGE, KVPBUS_NOMEM.
enum kvpbus_error kvpbus_bundle_open(const struct kvpbus_route *route, const uint8_t *sealed,
                                     size_t sealed_length, size_t plain_max,
                                     struct kvpbus_bundle_content **content,
                                     struct kvpbus_failure *failure);

// The messages, valid until kvpbus_bundle_content_free.
const struct kvpbus_message *kvpbus_bundle_messages(const struct kvpbus_bundle_content *content,
                                                    size_t *count);
void kvpbus_bundle_content_free(struct kvpbus_bundle_content *content);

#endif
