// SPDX-License-Identifier: Apache-2.0
//
// Files of bytes that pin the wire format, in tests/data/golden. They are written anew only when
// the environment has KVPBUS_REWRITE_GOLDEN=1; that is a change of the protocol.
#ifndef KVPBUS_TESTS_GOLDEN_H
#define KVPBUS_TESTS_GOLDEN_H

#include <stddef.h>
#include <stdint.h>

// The bytes of a file of at most `room` bytes; fails the test when there is none.
size_t golden_read(const char *name, uint8_t *bytes, size_t room);

// Fails the test when the file holds other bytes.
void golden_compare(const char *name, const void *bytes, size_t length);

#endif
