// SPDX-License-Identifier: Apache-2.0
//
// The item codec of docs/protocol.md section 2: what a value of the store holds. Pure: no I/O, no
// clock, no global. Any thread, once sodium_init has been called by whoever owns the process.
#ifndef KVPBUS_ITEM_H
#define KVPBUS_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvpbus/error.h"
#include "kvpbus/store.h"

enum {
    KVPBUS_ITEM_MAX = KVPBUS_VALUE_MAX * 3 / 4, // 766 bytes in a full value
    KVPBUS_VALUE_MIN = 512, // characters that each side can read: every register and SYNC fits
    KVPBUS_ITEM_OVERHEAD = 42,
    KVPBUS_PLAIN_MAX = KVPBUS_ITEM_MAX - KVPBUS_ITEM_OVERHEAD, // 724
    KVPBUS_SESSION_BYTES = 32,
    KVPBUS_SESSION_TAG_BYTES = 4,
    KVPBUS_KEY_BYTES = 32,
    KVPBUS_ATTEMPT_MAX = (1 << 24) - 1,
    KVPBUS_RING_MAX = 64,
};

#define KVPBUS_NUMBER_MAX ((UINT64_C(1) << 48) - 1)

enum kvpbus_item_type { KVPBUS_ITEM_HELLO = 1, KVPBUS_ITEM_STATE = 2, KVPBUS_ITEM_DATA = 3 };

// The keys of one direction of a session.
struct kvpbus_item_keys {
    uint8_t session[KVPBUS_SESSION_BYTES];
    uint8_t aead[KVPBUS_KEY_BYTES];
    uint8_t siv[KVPBUS_KEY_BYTES];
};

// What can be read of an encrypted item without its keys.
struct kvpbus_item_head {
    enum kvpbus_item_type type;
    uint8_t session_tag[KVPBUS_SESSION_TAG_BYTES];
    uint64_t number;
    uint32_t attempt;
    size_t plain_length;
};

// Text of `length` bytes (1 to KVPBUS_ITEM_MAX) into value[KVPBUS_VALUE_MAX + 1].
void kvpbus_item_encode(const uint8_t *bytes, size_t length, char *value);

// Back into bytes[KVPBUS_ITEM_MAX]; only the canonical text is accepted. KVPBUS_BAD_ITEM otherwise.
enum kvpbus_error kvpbus_item_decode(const char *value, uint8_t *bytes, size_t *length);

// The type of an item of this version, or KVPBUS_BAD_ITEM.
enum kvpbus_error kvpbus_item_type(const uint8_t *bytes, size_t length,
                                   enum kvpbus_item_type *type);

// The head of a state or data item; KVPBUS_BAD_ITEM for anything else.
enum kvpbus_error kvpbus_item_head_read(const uint8_t *bytes, size_t length,
                                        struct kvpbus_item_head *head);

// Seals plain_length (1 to KVPBUS_PLAIN_MAX) bytes as item `type` and writes its text to
// value[KVPBUS_VALUE_MAX + 1]. number is 1 to KVPBUS_NUMBER_MAX.
void kvpbus_item_seal(const struct kvpbus_item_keys *keys, enum kvpbus_item_type type,
                      uint64_t number, uint32_t attempt, const uint8_t *plain, size_t plain_length,
                      char *value);

// Opens an encrypted item into plain[KVPBUS_PLAIN_MAX]. KVPBUS_BAD_ITEM: of another session, cut,
// forged, or not an encrypted item; nothing of it is to be believed, and no plaintext is left
// behind.
enum kvpbus_error kvpbus_item_open(const struct kvpbus_item_keys *keys, const uint8_t *bytes,
                                   size_t length, struct kvpbus_item_head *head, uint8_t *plain,
                                   size_t *plain_length);

// "<prefix>.h", "<prefix>.s", "<prefix>.07"; `key` holds KVPBUS_KEY_MAX + 1 bytes.
enum kvpbus_key_kind { KVPBUS_KEY_HELLO, KVPBUS_KEY_STATE, KVPBUS_KEY_SLOT, KVPBUS_KEY_OTHER };
void kvpbus_key_format(const char *prefix, enum kvpbus_key_kind kind, unsigned slot, char *key);

// What a key with the prefix means; KVPBUS_KEY_OTHER for one that the protocol does not have. *slot
// is set for KVPBUS_KEY_SLOT alone.
enum kvpbus_key_kind kvpbus_key_parse(const char *prefix, const char *key, unsigned *slot);

#endif
