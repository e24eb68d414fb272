// SPDX-License-Identifier: Apache-2.0
//
// Whom to trust, as text: the host's key for a guest, the guests' keys for a host. A "#" begins a
// comment, empty lines are passed over, a key is 64 hex digits. Pure; any thread.
#ifndef KVPBUS_TRUST_H
#define KVPBUS_TRUST_H

#include "bundle.h"

enum { KVPBUS_TRUSTED_MAX = 4096, KVPBUS_TRUST_BYTES_MAX = 1024 * 1024 };

struct kvpbus_trusted {
    uint8_t vm[KVPBUS_VM_ID_BYTES];
    uint8_t identity[KVPBUS_IDENTITY_BYTES];
};

// Exactly one key. KVPBUS_CONFIG: what is wrong, with `path` and the line.
enum kvpbus_error kvpbus_trust_host(const char *path, const char *text,
                                    uint8_t identity[KVPBUS_IDENTITY_BYTES],
                                    struct kvpbus_failure *failure);

// Lines of GUID and key. Two keys for one VM are an error. *list is freed with free().
enum kvpbus_error kvpbus_trust_guests(const char *path, const char *text,
                                      struct kvpbus_trusted **list, size_t *count,
                                      struct kvpbus_failure *failure);

#endif
