// SPDX-License-Identifier: Apache-2.0
//
// The plaintexts of data and state items: frames and the state register, docs/protocol.md
// sections 2.3 and 2.4. Pure; any thread.
#ifndef KVPBUS_WIRE_H
#define KVPBUS_WIRE_H

#include "item.h"
#include "link.h"

enum {
    KVPBUS_STATE_PLAIN = 54,
    KVPBUS_VARINT_MAX = 10,
};

enum kvpbus_state_flag {
    KVPBUS_STATE_HELLO_MISSING = 1,
    KVPBUS_STATE_STATE_MISSING = 2,
    KVPBUS_STATE_CANNOT_COMMIT = 4,
};

struct kvpbus_state {
    uint64_t echo;
    uint64_t cumulative;
    uint64_t bitmap; // bit i (value 1 << i): packet cumulative + 1 + i
    uint8_t window;
    uint8_t flags;
    uint64_t credit[KVPBUS_CLASS_COUNT];
    uint64_t digest; // XOR of kvpbus_packet_digest of every packet that is acknowledged
};

// Ties an acknowledgement to contents, not to numbers alone: a sender that went back with its
// memory may have used a number again. `key` is the SIV key of the packet's direction.
uint64_t kvpbus_packet_digest(const uint8_t key[KVPBUS_KEY_BYTES], uint64_t number,
                              const uint8_t *plain, size_t length);

void kvpbus_state_write(const struct kvpbus_state *state, uint8_t plain[KVPBUS_STATE_PLAIN]);
// KVPBUS_BAD_PACKET: too short, or a window outside 1 to 64.
enum kvpbus_error kvpbus_state_read(const uint8_t *plain, size_t length,
                                    struct kvpbus_state *state);

// A packet being filled.
struct kvpbus_frame_writer {
    uint8_t bytes[KVPBUS_PLAIN_MAX];
    size_t length;
    size_t limit; // at most KVPBUS_PLAIN_MAX
};

// Each returns false, and leaves the packet as it was, when the frame does not fit.
bool kvpbus_frame_sync(struct kvpbus_frame_writer *writer, const struct kvpbus_sync *sync);
bool kvpbus_frame_gap(struct kvpbus_frame_writer *writer, const struct kvpbus_gap *gap);
bool kvpbus_frame_answer(struct kvpbus_frame_writer *writer,
                         const struct kvpbus_gap_answer *answer);
// As much of fragment->data as fits; the number of bytes taken, 0 when not even one does.
size_t kvpbus_frame_fragment(struct kvpbus_frame_writer *writer,
                             const struct kvpbus_fragment *fragment);

// Reads all frames of a packet. Exactly one of a SYNC alone (*is_sync) or anything else.
// Data pointers are into `plain`. KVPBUS_BAD_PACKET when it does not parse.
enum kvpbus_error kvpbus_packet_read(const uint8_t *plain, size_t length, bool *is_sync,
                                     struct kvpbus_sync *sync, struct kvpbus_link_packet *packet);

#endif
