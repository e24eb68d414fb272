// SPDX-License-Identifier: Apache-2.0
//
// The registry of a Windows guest as its integration service treats it: each pool is a key, each
// item a value. Texts are UTF-8; results are those of the wire (proto/lab.proto, GuestAnswer).
#ifndef KVPBUS_LAB_WINDOWS_POOLS_H
#define KVPBUS_LAB_WINDOWS_POOLS_H

#include <stdint.h>

enum {
    POOL_EXTERNAL,
    POOL_GUEST,
    POOL_AUTO,
    POOL_PARAMETERS,
    POOLS,
    // Characters of the wire's fields with the NUL, and the bytes of UTF-8 that they can take.
    KEY_UNITS = 256,
    VALUE_UNITS = 1024,
    KEY_BYTES = 3 * KEY_UNITS,
    VALUE_BYTES = 3 * VALUE_UNITS,
};

#define POOL_END UINT32_C(0x80070103)           // no such item
#define POOL_NOT_SUPPORTED UINT32_C(0x80070032) // a value that cannot be said
#define POOL_BAD_REQUEST UINT32_C(0x80070057)

struct pool_item {
    char key[KEY_BYTES];
    char value[VALUE_BYTES];
};

uint32_t pool_set(uint32_t pool, const char *key, const char *value);
uint32_t pool_delete(uint32_t pool, const char *key);
// The value at the index in the order of the registry. Texts and numbers can be said, as text.
uint32_t pool_enumerate(uint32_t pool, uint32_t index, struct pool_item *item);
void pool_wipe(uint32_t pool);

// Makes the keys, and says in Auto what an integration service says of its system. Returns a Win32
// code.
uint32_t pools_begin(void);

#endif
