// SPDX-License-Identifier: Apache-2.0
//
// One key of the registry as a set of items. Always the 64-bit view: what a 32-bit program sees
// without it is another key, of which the host knows nothing. Only built on Windows.
#ifndef KVPBUS_REGISTRY_KEY_H
#define KVPBUS_REGISTRY_KEY_H

#include <windows.h>

#include "kvpbus/store.h"

struct kvpbus_registry_key {
    HKEY root;
    const wchar_t *base; // the key in which it lies
    const wchar_t *name;
};

// Opens it. KVPBUS_OK with *handle NULL when it alone is missing; KVPBUS_STORE_GONE when the base
// is; KVPBUS_ACCESS.
enum kvpbus_error kvpbus_registry_key_open(const struct kvpbus_registry_key *key, REGSAM access,
                                           HKEY *handle, struct kvpbus_failure *failure);

// How the spelling of a name that Windows takes for one of ours is treated.
enum kvpbus_registry_names {
    KVPBUS_REGISTRY_NAMES_EXACT,  // another spelling of the prefix is foreign
    KVPBUS_REGISTRY_NAMES_FOLDED, // given in small letters
};

// Fills the scan, cleared first, with the items of a key; a missing one has none.
enum kvpbus_error kvpbus_registry_key_read(const struct kvpbus_registry_key *key,
                                           const char *prefix, enum kvpbus_registry_names names,
                                           struct kvpbus_scan *scan,
                                           struct kvpbus_failure *failure);

// Carries out changes that kvpbus_changes_check has passed: removals first, so that of two names
// that are one to Windows the one that is to be stays. Makes the key when there is something to
// put. Results and return value as of `write` in kvpbus/store.h.
enum kvpbus_error kvpbus_registry_key_write(const struct kvpbus_registry_key *key,
                                            const struct kvpbus_change *changes, size_t count,
                                            enum kvpbus_error *results,
                                            struct kvpbus_failure *failure);

#endif
