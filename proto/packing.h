// SPDX-License-Identifier: Apache-2.0
//
// zlib streams in one piece between two buffers of known size. Pure; any thread.
#ifndef KVPBUS_PACKING_H
#define KVPBUS_PACKING_H

#include <stddef.h>
#include <stdint.h>

#include "kvpbus/error.h"

// Compresses `length` bytes into `packed`. *packed_length is 0 when `room` bytes do not suffice,
// which is no error. Both sizes are at most UINT32_MAX. KVPBUS_NOMEM: no memory for zlib's state.
enum kvpbus_error kvpbus_deflate(const uint8_t *plain, size_t length, uint8_t *packed, size_t room,
                                 size_t *packed_length);

// Decompresses a stream that takes exactly `packed_length` bytes and gives exactly `length`; both
// at most UINT32_MAX. Never writes more. KVPBUS_BAD_BUNDLE: it is no such stream. KVPBUS_NOMEM.
enum kvpbus_error kvpbus_inflate(const uint8_t *packed, size_t packed_length, uint8_t *plain,
                                 size_t length);

#endif
