// SPDX-License-Identifier: Apache-2.0
//
// A message as an application gives it and gets it. The functions here keep nothing: any thread.
#ifndef KVPBUS_MESSAGE_H
#define KVPBUS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvpbus/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    KVPBUS_TOPIC_MAX = 200,         // bytes of a topic
    KVPBUS_STREAM_MAX = 64,         // bytes of a stream's name
    KVPBUS_HEADERS_MAX = 32,        // headers of one message
    KVPBUS_HEADER_NAME_MAX = 64,    // bytes
    KVPBUS_HEADER_VALUE_MAX = 1024, // bytes
    KVPBUS_CORRELATION_MAX = 64,    // bytes
    KVPBUS_BUNDLE_ID_BYTES = 16,
    KVPBUS_TIMELINE_BYTES = 16,        // a random id of the order in which one side sends
    KVPBUS_BUNDLE_MESSAGES_MAX = 1024, // messages in one bundle
    KVPBUS_MESSAGE_DEFAULT_MAX = 16 * 1024 * 1024, // bytes of a body, when not configured
    // bundle id as hex, a dot, the index in decimal, NUL
    KVPBUS_MESSAGE_ID_TEXT = 2 * KVPBUS_BUNDLE_ID_BYTES + 1 + 5 + 1,
};

enum kvpbus_class {
    KVPBUS_CLASS_CONTROL = 0,
    KVPBUS_CLASS_NORMAL = 1,
    KVPBUS_CLASS_BULK = 2,
    KVPBUS_CLASS_COUNT = 3,
};

enum kvpbus_kind {
    KVPBUS_KIND_EVENT = 0,
    KVPBUS_KIND_REQUEST = 1,
    KVPBUS_KIND_REPLY = 2, // more replies follow
    KVPBUS_KIND_LAST_REPLY = 3,
    KVPBUS_KIND_RECEIPT = 4, // of the bus itself: programs neither send nor get it
};

// What became of a message. Nothing else can.
enum kvpbus_outcome {
    KVPBUS_OUTCOME_PENDING = 0,
    KVPBUS_OUTCOME_DELIVERED = 1, // committed in the peer's journal
    KVPBUS_OUTCOME_EXPIRED = 2, // its lifetime ended, or it was withdrawn, before it was delivered
    KVPBUS_OUTCOME_DEAD = 3,    // the peer refused it for good; the reason is kept
    KVPBUS_OUTCOME_UNKNOWN = 4, // a revert undid the delivery, or hid whether it happened
};

// The bundle that the message travels in and its place there. It stays for the message's life.
struct kvpbus_message_id {
    uint8_t bundle[KVPBUS_BUNDLE_ID_BYTES];
    uint16_t index;
};

struct kvpbus_header {
    const char *name;  // 1 to KVPBUS_HEADER_NAME_MAX printable ASCII characters without a space
    const char *value; // up to KVPBUS_HEADER_VALUE_MAX bytes of UTF-8 without control characters
};

// All pointers belong to whoever made the message; functions that take one copy what they keep.
struct kvpbus_message {
    struct kvpbus_message_id id; // set by the bus
    const char *topic;           // see kvpbus_topic_valid
    const char *stream;          // NULL: the default stream ""
    enum kvpbus_class class_;
    uint64_t sequence;  // position in (timeline, class, stream), from 1; set by the bus
    int64_t created_ms; // ms since 1970 by the sender's clock; set by the bus
    uint64_t ttl_ms;    // lifetime from created_ms; 0: none
    enum kvpbus_kind kind;
    bool receipt;               // the sender is told when a consumer has done with it
    int32_t status;             // of a reply
    const uint8_t *correlation; // of a request and its replies
    size_t correlation_length;  // 0 to KVPBUS_CORRELATION_MAX
    const struct kvpbus_header *headers;
    size_t header_count;
    const uint8_t *body; // may be NULL when body_length is 0
    size_t body_length;
    const uint8_t *operator_signature; // 64 bytes, or NULL
};

// A topic is 1 to KVPBUS_TOPIC_MAX bytes: names of [A-Za-z0-9_-], joined by single dots.
bool kvpbus_topic_valid(const char *topic);

// A stream's name is 0 to KVPBUS_STREAM_MAX printable ASCII characters without a space.
bool kvpbus_stream_valid(const char *stream);

// UTF-8 of at most `max` bytes without the control characters of ASCII.
bool kvpbus_text_valid(const char *text, size_t max);

// KVPBUS_OK, or what is wrong with topic, stream, headers, sizes, kind or class; `body_max` is the
// configured limit in bytes.
enum kvpbus_error kvpbus_message_check(const struct kvpbus_message *message, size_t body_max,
                                       struct kvpbus_failure *failure);

// "0123456789abcdef0123456789abcdef.7"; `text` holds KVPBUS_MESSAGE_ID_TEXT bytes.
void kvpbus_message_id_format(const struct kvpbus_message_id *id, char *text);
// True for exactly the texts that format writes; otherwise *id stays as it was.
bool kvpbus_message_id_parse(const char *text, struct kvpbus_message_id *id);

// "control", "normal", "bulk"; "delivered", …. Static, and never NULL for a listed value. False:
// no such name, and *class_ stays as it was.
const char *kvpbus_class_name(enum kvpbus_class class_);
bool kvpbus_class_parse(const char *name, enum kvpbus_class *class_);
const char *kvpbus_outcome_name(enum kvpbus_outcome outcome);

#ifdef __cplusplus
}
#endif

#endif
