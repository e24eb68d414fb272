// SPDX-License-Identifier: Apache-2.0
//
// The store of the guest that this machine is; one source per system.
#ifndef KVPBUS_GUEST_STORE_H
#define KVPBUS_GUEST_STORE_H

#include "kvpbus/store.h"

// Whether --store can have it, whatever there is on the machine. KVPBUS_INVALID_ARGUMENT.
enum kvpbus_error kvpbus_guest_store_check(const char *name, struct kvpbus_failure *failure);

// As --store has it; "" for what the machine has itself. KVPBUS_NOT_HYPERV: it has none.
enum kvpbus_error kvpbus_guest_store_open(const char *name, const char *prefix,
                                          struct kvpbus_store **store,
                                          struct kvpbus_failure *failure);

enum { KVPBUS_GUEST_STORE_PLACE = 600 };

// The one that an agent may have left items in, on a machine that need not be a guest now, and what
// people call it; *store NULL: there is none.
enum kvpbus_error kvpbus_guest_store_left(const char *name, const char *prefix,
                                          struct kvpbus_store **store,
                                          char place[KVPBUS_GUEST_STORE_PLACE],
                                          struct kvpbus_failure *failure);

extern const char kvpbus_guest_store_help[];
extern const char kvpbus_guest_examples[];

#endif
