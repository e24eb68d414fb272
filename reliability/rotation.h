// SPDX-License-Identifier: Apache-2.0
//
// A change of identity that the old identity has signed: docs/protocol.md section 2.1, extension 2.
// Pure; any thread.
#ifndef KVPBUS_ROTATION_H
#define KVPBUS_ROTATION_H

#include "hello.h"

enum {
    KVPBUS_STATEMENT_BYTES = 1 + KVPBUS_IDENTITY_BYTES + 64,
    KVPBUS_STATEMENTS_MAX = 3,
    KVPBUS_ROTATION_MAX = KVPBUS_STATEMENTS_MAX * KVPBUS_STATEMENT_BYTES,
};

// Statements, newest first: each leads from its old identity to that of the one before it, the
// first one to the present identity.
struct kvpbus_rotation {
    size_t length; // a multiple of KVPBUS_STATEMENT_BYTES
    uint8_t bytes[KVPBUS_ROTATION_MAX];
};

// Puts the statement that leads from `identity`, whose secret signs it, to `next` before the
// others; of more than KVPBUS_STATEMENTS_MAX the oldest goes. `vm` NULL: for every VM.
void kvpbus_rotation_add(struct kvpbus_rotation *rotation, enum kvpbus_role role, const uint8_t *vm,
                         const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                         const uint8_t secret[KVPBUS_SECRET_BYTES],
                         const uint8_t next[KVPBUS_IDENTITY_BYTES]);

// True when the list names `from`, without looking at signatures.
bool kvpbus_rotation_names(const uint8_t *list, size_t length,
                           const uint8_t from[KVPBUS_IDENTITY_BYTES]);

// True when with one more statement the list would no longer lead from `from` to `identity`, which
// is the present one.
bool kvpbus_rotation_forgets(const struct kvpbus_rotation *rotation,
                             const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                             const uint8_t from[KVPBUS_IDENTITY_BYTES]);

// True when the core's statements lead from the identity `from` to that of the core. `vm`: of the
// pair. At most KVPBUS_STATEMENTS_MAX signature checks, and none when `from` is not named.
bool kvpbus_rotation_leads(const struct kvpbus_core *core, const uint8_t vm[KVPBUS_VM_ID_BYTES],
                           const uint8_t from[KVPBUS_IDENTITY_BYTES]);

// Statements for one VM that came from another host: they lead to `to`, this host's identity then.
struct kvpbus_chain {
    uint8_t to[KVPBUS_IDENTITY_BYTES];
    struct kvpbus_rotation rotation; // length 0: it did not
};

// What a core for the VM says: `own` leads to `identity`, which is this host's now.
void kvpbus_rotation_join(const struct kvpbus_rotation *own,
                          const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                          const struct kvpbus_chain *chain, struct kvpbus_rotation *joined);

#endif
