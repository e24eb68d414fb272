// SPDX-License-Identifier: Apache-2.0
//
// Integers as they stand in items and bundle headers: big-endian, `bytes` (1 to 8) long.
#ifndef KVPBUS_BIG_ENDIAN_H
#define KVPBUS_BIG_ENDIAN_H

#include <stddef.h>
#include <stdint.h>

static inline void kvpbus_put_be(uint8_t *to, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

static inline uint64_t kvpbus_get_be(const uint8_t *from, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | from[i];
    return value;
}

#endif
