// SPDX-License-Identifier: Apache-2.0
#include "rotation.h"

#include <sodium.h>
#include <string.h>

static const char label[] = "kvpbus 1 rotation"; // with its NUL

enum {
    SCOPE_ALL = 0,
    SCOPE_VM = 1,
    TEXT = sizeof label + 1 + KVPBUS_VM_ID_BYTES + 2 * KVPBUS_IDENTITY_BYTES,
    OLD = 1,
    SIGNATURE = OLD + KVPBUS_IDENTITY_BYTES,
};

static void signed_text(enum kvpbus_role role, const uint8_t *vm, const uint8_t *old,
                        const uint8_t *next, uint8_t text[TEXT])
{
    uint8_t *at = text;
    memcpy(at, label, sizeof label);
    at += sizeof label;
    *at++ = (uint8_t)role;
    memset(at, 0, KVPBUS_VM_ID_BYTES);
    if (vm != NULL)
        memcpy(at, vm, KVPBUS_VM_ID_BYTES);
    at += KVPBUS_VM_ID_BYTES;
    memcpy(at, old, KVPBUS_IDENTITY_BYTES);
    memcpy(at + KVPBUS_IDENTITY_BYTES, next, KVPBUS_IDENTITY_BYTES);
}

void kvpbus_rotation_add(struct kvpbus_rotation *rotation, enum kvpbus_role role, const uint8_t *vm,
                         const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                         const uint8_t secret[KVPBUS_SECRET_BYTES],
                         const uint8_t next[KVPBUS_IDENTITY_BYTES])
{
    uint8_t text[TEXT];
    if (rotation->length == sizeof rotation->bytes)
        rotation->length -= KVPBUS_STATEMENT_BYTES;
    memmove(rotation->bytes + KVPBUS_STATEMENT_BYTES, rotation->bytes, rotation->length);
    rotation->length += KVPBUS_STATEMENT_BYTES;
    rotation->bytes[0] = vm != NULL ? SCOPE_VM : SCOPE_ALL;
    memcpy(rotation->bytes + OLD, identity, KVPBUS_IDENTITY_BYTES);
    signed_text(role, vm, identity, next, text);
    crypto_sign_detached(rotation->bytes + SIGNATURE, NULL, text, sizeof text, secret);
}

bool kvpbus_rotation_names(const uint8_t *list, size_t length,
                           const uint8_t from[KVPBUS_IDENTITY_BYTES])
{
    for (size_t at = 0; at + KVPBUS_STATEMENT_BYTES <= length; at += KVPBUS_STATEMENT_BYTES)
        if (memcmp(list + at + OLD, from, KVPBUS_IDENTITY_BYTES) == 0)
            return true;
    return false;
}

bool kvpbus_rotation_forgets(const struct kvpbus_rotation *rotation,
                             const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                             const uint8_t from[KVPBUS_IDENTITY_BYTES])
{
    return rotation->length == KVPBUS_ROTATION_MAX &&
           memcmp(from, identity, KVPBUS_IDENTITY_BYTES) != 0 &&
           !kvpbus_rotation_names(rotation->bytes, rotation->length - KVPBUS_STATEMENT_BYTES, from);
}

bool kvpbus_rotation_leads(const struct kvpbus_core *core, const uint8_t vm[KVPBUS_VM_ID_BYTES],
                           const uint8_t from[KVPBUS_IDENTITY_BYTES])
{
    const uint8_t *list, *next = core->identity;
    size_t length;
    uint8_t text[TEXT];
    if (!kvpbus_core_extension(core, KVPBUS_EXTENSION_ROTATION, &list, &length) ||
        length > KVPBUS_ROTATION_MAX || length % KVPBUS_STATEMENT_BYTES != 0 ||
        !kvpbus_rotation_names(list, length, from))
        return false;
    for (const uint8_t *at = list; at < list + length; at += KVPBUS_STATEMENT_BYTES) {
        if (at[0] != SCOPE_ALL && at[0] != SCOPE_VM)
            return false;
        signed_text(core->role, at[0] == SCOPE_VM ? vm : NULL, at + OLD, next, text);
        if (crypto_sign_verify_detached(at + SIGNATURE, text, sizeof text, at + OLD) != 0)
            return false;
        next = at + OLD;
        if (memcmp(next, from, KVPBUS_IDENTITY_BYTES) == 0)
            return true;
    }
    return false;
}

void kvpbus_rotation_join(const struct kvpbus_rotation *own,
                          const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                          const struct kvpbus_chain *chain, struct kvpbus_rotation *joined)
{
    size_t length = 0; // of own, down to the identity that the chain leads to
    bool meets = memcmp(identity, chain->to, sizeof chain->to) == 0;
    while (!meets && length < own->length) {
        meets = memcmp(own->bytes + length + OLD, chain->to, sizeof chain->to) == 0;
        length += KVPBUS_STATEMENT_BYTES;
    }
    *joined = *own;
    if (chain->rotation.length == 0 || !meets)
        return;
    size_t more = sizeof joined->bytes - length;
    if (more > chain->rotation.length)
        more = chain->rotation.length;
    memcpy(joined->bytes + length, chain->rotation.bytes, more);
    joined->length = length + more;
}
