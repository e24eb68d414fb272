// SPDX-License-Identifier: Apache-2.0
//
// A store in any place of the registry; kvpbus_registry_store_open (kvpbus/store.h) is the one of a
// Windows guest. Only built on Windows.
#ifndef KVPBUS_REGISTRY_STORE_H
#define KVPBUS_REGISTRY_STORE_H

#include "kvpbus/store.h"
#include "registry_key.h"

#define KVPBUS_REGISTRY_BASE L"SOFTWARE\\Microsoft\\Virtual Machine"

// The key that Data Exchange has, and the names of the two below it. The strings must outlive the
// store.
struct kvpbus_registry_place {
    HKEY root;
    const wchar_t *base;
    const wchar_t *own;
    const wchar_t *peer;
};

enum kvpbus_error kvpbus_registry_store_open_at(const struct kvpbus_registry_place *place,
                                                const char *prefix, struct kvpbus_store **store,
                                                struct kvpbus_failure *failure);

#endif
