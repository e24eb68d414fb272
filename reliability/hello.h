// SPDX-License-Identifier: Apache-2.0
//
// The hello register and the keys of a session: docs/protocol.md sections 2.1 and 2.2. Pure but for
// randomness, which the caller gives; any thread.
#ifndef KVPBUS_HELLO_H
#define KVPBUS_HELLO_H

#include "item.h"
#include "link.h"

enum {
    KVPBUS_CORE_MIN = 124,
    KVPBUS_CORE_MAX = 512,
    KVPBUS_CORE_HASH = 32,
    KVPBUS_HELLO_MIN = 8 + KVPBUS_CORE_MIN + 64 + 96, // bytes of one that confirms
    KVPBUS_EPHEMERAL_BYTES = 32,                      // crypto_kx_PUBLICKEYBYTES
    KVPBUS_PROTOCOL_VERSION = 1,
};
_Static_assert(KVPBUS_EXTENSIONS_MAX == KVPBUS_CORE_MAX - KVPBUS_CORE_MIN, "the rest of a core");

enum kvpbus_hello_flag { KVPBUS_HELLO_CONFIRMS = 1, KVPBUS_HELLO_MISSING = 2 };

struct kvpbus_core {
    uint8_t version_min, version_max;
    enum kvpbus_role role;
    uint8_t identity[KVPBUS_IDENTITY_BYTES];
    uint8_t ephemeral[KVPBUS_EPHEMERAL_BYTES];
    uint8_t epoch[KVPBUS_EPOCH_BYTES];
    uint8_t nonce[16];
    uint8_t vm[KVPBUS_VM_ID_BYTES];
    uint8_t ring_slots, window;
    uint16_t value_max;
    uint32_t bundle_max;
    uint16_t extensions_length;
    uint8_t extensions[KVPBUS_EXTENSIONS_MAX]; // as they stand in the core, well formed
    uint8_t hash[KVPBUS_CORE_HASH];            // of its bytes; set by reading and writing
};

// A core of mine with what is needed to show it and to join a session with it.
struct kvpbus_own_core {
    struct kvpbus_core core;
    uint8_t bytes[KVPBUS_CORE_MAX];
    size_t length;
    uint8_t signature[64];
    uint8_t ephemeral_secret[32]; // wiped by the owner when the core is given up
};

struct kvpbus_hello {
    unsigned flags;
    uint32_t attempt;
    struct kvpbus_core core;
    uint8_t confirmed[KVPBUS_CORE_HASH]; // with KVPBUS_HELLO_CONFIRMS
    uint8_t confirmation[64];
};

// The first extension of a type, as a view into `core`. False: there is none.
bool kvpbus_core_extension(const struct kvpbus_core *core, enum kvpbus_extension type,
                           const uint8_t **bytes, size_t *length);
// The same in a list of extensions that is well formed.
bool kvpbus_extension_find(const uint8_t *list, size_t list_length, enum kvpbus_extension type,
                           const uint8_t **bytes, size_t *length);
// Puts one into a list in the place of any of its type; `bytes` NULL: only takes it out. False,
// and nothing changed: there is no room for it.
bool kvpbus_extension_put(uint8_t list[KVPBUS_EXTENSIONS_MAX], size_t *list_length,
                          enum kvpbus_extension type, const uint8_t *bytes, size_t length);

// Identity, role, vm, limits and extensions of `own->core` are the caller's; the rest is drawn,
// then signed. In two steps for an extension that depends on what is drawn.
void kvpbus_core_draw(struct kvpbus_own_core *own,
                      void (*random)(void *context, uint8_t *bytes, size_t length), void *context);
void kvpbus_core_sign(struct kvpbus_own_core *own, const uint8_t secret[KVPBUS_SECRET_BYTES]);
void kvpbus_core_make(struct kvpbus_own_core *own, const uint8_t secret[KVPBUS_SECRET_BYTES],
                      void (*random)(void *context, uint8_t *bytes, size_t length), void *context);

// Writes the item's bytes; the confirmation is there when `peer` is not NULL. Returns their number,
// at most KVPBUS_ITEM_MAX.
size_t kvpbus_hello_write(const struct kvpbus_own_core *own,
                          const uint8_t secret[KVPBUS_SECRET_BYTES], const struct kvpbus_core *peer,
                          bool peer_missing, uint32_t attempt, uint8_t bytes[KVPBUS_ITEM_MAX]);

// Parses without verifying. KVPBUS_BAD_HELLO.
enum kvpbus_error kvpbus_hello_read(const uint8_t *bytes, size_t length,
                                    struct kvpbus_hello *hello);
// One signature check: the core by its own identity. KVPBUS_BAD_SIGNATURE.
enum kvpbus_error kvpbus_hello_verify(const uint8_t *bytes, size_t length,
                                      const struct kvpbus_hello *hello);
// One more: the confirmation of `own`. False when it confirms another core or is not signed well.
bool kvpbus_hello_confirms(const struct kvpbus_hello *hello, const struct kvpbus_own_core *own);

struct kvpbus_session_keys {
    uint8_t session[KVPBUS_SESSION_BYTES];
    struct kvpbus_item_keys send, receive;
};

// The keys of the session between my core and the peer's. KVPBUS_BAD_KEY: the peer's ephemeral key
// is weak.
enum kvpbus_error kvpbus_session_derive(const struct kvpbus_own_core *own,
                                        const struct kvpbus_core *peer,
                                        struct kvpbus_session_keys *keys);

#endif
