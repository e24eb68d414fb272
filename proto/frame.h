// SPDX-License-Identifier: Apache-2.0
//
// Frames of the local sockets: a 4-byte big-endian length, then one protobuf message.
#ifndef KVPBUS_FRAME_H
#define KVPBUS_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "kvpbus/error.h"

enum {
    KVPBUS_FRAME_HEAD = 4,
    KVPBUS_FRAME_MAX = 128 * 1024,
    KVPBUS_FRAME_CHUNK = 64 * 1024, // of a body in one frame
};

// Bytes that come in pieces of any size.
struct kvpbus_frame_reader {
    uint8_t bytes[KVPBUS_FRAME_HEAD + KVPBUS_FRAME_MAX];
    size_t length;
};

// Takes up to `length` bytes and returns how many it took; the frame, when one is whole, is
// *frame (into the reader, valid until kvpbus_frame_next). KVPBUS_PROTOCOL: a length of 0 or over
// the limit.
enum kvpbus_error kvpbus_frame_take(struct kvpbus_frame_reader *reader, const uint8_t *bytes,
                                    size_t length, size_t *taken, const uint8_t **frame,
                                    size_t *frame_length);
void kvpbus_frame_next(struct kvpbus_frame_reader *reader);

// The head of a frame with `length` bytes.
void kvpbus_frame_head(uint8_t head[KVPBUS_FRAME_HEAD], size_t length);

#endif
