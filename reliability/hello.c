// SPDX-License-Identifier: Apache-2.0
#include "hello.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "big_endian.h"

static_assert(KVPBUS_IDENTITY_BYTES == crypto_sign_PUBLICKEYBYTES, "Ed25519");
static_assert(KVPBUS_EPHEMERAL_BYTES == crypto_kx_PUBLICKEYBYTES, "X25519");
static_assert(KVPBUS_KEY_BYTES == crypto_kx_SESSIONKEYBYTES, "crypto_kx");

// The labels of docs/protocol.md; sizeof counts the NUL that is part of each.
static const char core_label[] = "kvpbus 1 hello core";
static const char confirmation_label[] = "kvpbus 1 hello confirmation";
static const char hash_label[] = "kvpbus 1 core";
static const char transcript_label[] = "kvpbus 1 transcript";
static const char session_label[] = "kvpbus 1 session";
static const char aead_label[] = "kvpbus 1 aead";
static const char siv_label[] = "kvpbus 1 siv";

enum {
    HEAD = 8,
    SIGNATURE = crypto_sign_BYTES,
    CONFIRMATION = KVPBUS_CORE_HASH + SIGNATURE,
    TRANSCRIPT = 32,
};

// --- extensions ---

enum { EXTENSION_HEAD = 3 };

static size_t extension_size(const uint8_t *at)
{
    return EXTENSION_HEAD + (size_t)kvpbus_get_be(at + 1, 2);
}

static bool extensions_valid(const uint8_t *bytes, size_t length)
{
    size_t at = 0;
    while (at < length) {
        if (length - at < EXTENSION_HEAD || extension_size(bytes + at) > length - at)
            return false;
        at += extension_size(bytes + at);
    }
    return true;
}

bool kvpbus_extension_find(const uint8_t *list, size_t list_length, enum kvpbus_extension type,
                           const uint8_t **bytes, size_t *length)
{
    for (size_t at = 0; at < list_length; at += extension_size(list + at)) {
        if (list[at] != (uint8_t)type)
            continue;
        *bytes = list + at + EXTENSION_HEAD;
        *length = extension_size(list + at) - EXTENSION_HEAD;
        return true;
    }
    return false;
}

bool kvpbus_core_extension(const struct kvpbus_core *core, enum kvpbus_extension type,
                           const uint8_t **bytes, size_t *length)
{
    return kvpbus_extension_find(core->extensions, core->extensions_length, type, bytes, length);
}

bool kvpbus_extension_put(uint8_t list[KVPBUS_EXTENSIONS_MAX], size_t *list_length,
                          enum kvpbus_extension type, const uint8_t *bytes, size_t length)
{
    uint8_t made[KVPBUS_EXTENSIONS_MAX];
    size_t count = 0;
    for (size_t at = 0; at < *list_length; at += extension_size(list + at)) {
        if (list[at] == (uint8_t)type)
            continue;
        memcpy(made + count, list + at, extension_size(list + at));
        count += extension_size(list + at);
    }
    if (bytes != NULL) {
        if (length > sizeof made - count || sizeof made - count - length < EXTENSION_HEAD)
            return false;
        made[count] = (uint8_t)type;
        kvpbus_put_be(made + count + 1, length, 2);
        memcpy(made + count + EXTENSION_HEAD, bytes, length);
        count += EXTENSION_HEAD + length;
    }
    memcpy(list, made, count);
    *list_length = count;
    return true;
}

// --- core ---

static size_t core_write(const struct kvpbus_core *core, uint8_t bytes[KVPBUS_CORE_MAX])
{
    bytes[0] = core->version_min;
    bytes[1] = core->version_max;
    bytes[2] = (uint8_t)core->role;
    bytes[3] = 1; // base64url
    memcpy(bytes + 4, core->identity, 32);
    memcpy(bytes + 36, core->ephemeral, 32);
    memcpy(bytes + 68, core->epoch, 16);
    memcpy(bytes + 84, core->nonce, 16);
    memcpy(bytes + 100, core->vm, 16);
    bytes[116] = core->ring_slots;
    bytes[117] = core->window;
    kvpbus_put_be(bytes + 118, core->value_max, 2);
    kvpbus_put_be(bytes + 120, core->bundle_max, 4);
    memcpy(bytes + KVPBUS_CORE_MIN, core->extensions, core->extensions_length);
    return KVPBUS_CORE_MIN + (size_t)core->extensions_length;
}

static void core_hash(const uint8_t *bytes, size_t length, uint8_t hash[KVPBUS_CORE_HASH])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, KVPBUS_CORE_HASH);
    crypto_generichash_update(&state, (const uint8_t *)hash_label, sizeof hash_label);
    crypto_generichash_update(&state, bytes, length);
    crypto_generichash_final(&state, hash, KVPBUS_CORE_HASH);
}

static bool core_read(const uint8_t *bytes, size_t length, struct kvpbus_core *core)
{
    core->version_min = bytes[0];
    core->version_max = bytes[1];
    if (bytes[2] != KVPBUS_ROLE_HOST && bytes[2] != KVPBUS_ROLE_GUEST)
        return false;
    core->role = (enum kvpbus_role)bytes[2];
    memcpy(core->identity, bytes + 4, 32);
    memcpy(core->ephemeral, bytes + 36, 32);
    memcpy(core->epoch, bytes + 68, 16);
    memcpy(core->nonce, bytes + 84, 16);
    memcpy(core->vm, bytes + 100, 16);
    core->ring_slots = bytes[116];
    core->window = bytes[117];
    core->value_max = (uint16_t)kvpbus_get_be(bytes + 118, 2);
    core->bundle_max = (uint32_t)kvpbus_get_be(bytes + 120, 4);
    core->extensions_length = (uint16_t)(length - KVPBUS_CORE_MIN);
    memcpy(core->extensions, bytes + KVPBUS_CORE_MIN, core->extensions_length);
    core_hash(bytes, length, core->hash);
    return core->version_min >= 1 && core->version_min <= core->version_max &&
           (bytes[3] & 1) != 0 && core->ring_slots >= 1 && core->ring_slots <= KVPBUS_RING_MAX &&
           core->window >= 1 && core->window <= KVPBUS_LINK_WINDOW &&
           core->value_max >= KVPBUS_VALUE_MIN &&
           extensions_valid(core->extensions, core->extensions_length);
}

static size_t core_signed(const uint8_t *bytes, size_t length,
                          uint8_t to[sizeof core_label + KVPBUS_CORE_MAX])
{
    memcpy(to, core_label, sizeof core_label);
    memcpy(to + sizeof core_label, bytes, length);
    return sizeof core_label + length;
}

void kvpbus_core_draw(struct kvpbus_own_core *own,
                      void (*random)(void *context, uint8_t *bytes, size_t length), void *context)
{
    uint8_t seed[crypto_kx_SEEDBYTES];
    random(context, seed, sizeof seed);
    crypto_kx_seed_keypair(own->core.ephemeral, own->ephemeral_secret, seed);
    sodium_memzero(seed, sizeof seed);
    random(context, own->core.epoch, sizeof own->core.epoch);
    random(context, own->core.nonce, sizeof own->core.nonce);
    own->core.version_min = KVPBUS_PROTOCOL_VERSION;
    own->core.version_max = KVPBUS_PROTOCOL_VERSION;
}

void kvpbus_core_sign(struct kvpbus_own_core *own, const uint8_t secret[KVPBUS_SECRET_BYTES])
{
    own->length = core_write(&own->core, own->bytes);
    core_hash(own->bytes, own->length, own->core.hash);

    uint8_t text[sizeof core_label + KVPBUS_CORE_MAX];
    size_t length = core_signed(own->bytes, own->length, text);
    crypto_sign_detached(own->signature, NULL, text, length, secret);
}

void kvpbus_core_make(struct kvpbus_own_core *own, const uint8_t secret[KVPBUS_SECRET_BYTES],
                      void (*random)(void *context, uint8_t *bytes, size_t length), void *context)
{
    kvpbus_core_draw(own, random, context);
    kvpbus_core_sign(own, secret);
}

// --- hello ---

enum { CONFIRMATION_TEXT = sizeof confirmation_label + 1 + 2 * KVPBUS_CORE_HASH + 16 };

// What the side with `signer` signs to confirm the other's core.
static void confirmation_text(const struct kvpbus_core *signer, const struct kvpbus_core *other,
                              uint8_t text[CONFIRMATION_TEXT])
{
    bool signer_is_host = signer->role == KVPBUS_ROLE_HOST;
    const struct kvpbus_core *host = signer_is_host ? signer : other;
    const struct kvpbus_core *guest = signer_is_host ? other : signer;
    uint8_t *at = text;
    memcpy(at, confirmation_label, sizeof confirmation_label);
    at += sizeof confirmation_label;
    *at++ = (uint8_t)signer->role;
    memcpy(at, host->hash, KVPBUS_CORE_HASH);
    at += KVPBUS_CORE_HASH;
    memcpy(at, guest->hash, KVPBUS_CORE_HASH);
    at += KVPBUS_CORE_HASH;
    memcpy(at, host->vm, KVPBUS_VM_ID_BYTES);
}

size_t kvpbus_hello_write(const struct kvpbus_own_core *own,
                          const uint8_t secret[KVPBUS_SECRET_BYTES], const struct kvpbus_core *peer,
                          bool peer_missing, uint32_t attempt, uint8_t bytes[KVPBUS_ITEM_MAX])
{
    bytes[0] = KVPBUS_PROTOCOL_VERSION << 4 | KVPBUS_ITEM_HELLO;
    bytes[1] = (uint8_t)((peer != NULL ? KVPBUS_HELLO_CONFIRMS : 0) |
                         (peer_missing ? KVPBUS_HELLO_MISSING : 0));
    kvpbus_put_be(bytes + 2, attempt, 4);
    kvpbus_put_be(bytes + 6, own->length, 2);
    memcpy(bytes + HEAD, own->bytes, own->length);
    memcpy(bytes + HEAD + own->length, own->signature, SIGNATURE);
    size_t length = HEAD + own->length + SIGNATURE;
    if (peer == NULL)
        return length;

    uint8_t text[CONFIRMATION_TEXT];
    confirmation_text(&own->core, peer, text);
    memcpy(bytes + length, peer->hash, KVPBUS_CORE_HASH);
    crypto_sign_detached(bytes + length + KVPBUS_CORE_HASH, NULL, text, sizeof text, secret);
    return length + CONFIRMATION;
}

enum kvpbus_error kvpbus_hello_read(const uint8_t *bytes, size_t length, struct kvpbus_hello *hello)
{
    if (length < HEAD + KVPBUS_CORE_MIN + SIGNATURE ||
        bytes[0] != (KVPBUS_PROTOCOL_VERSION << 4 | KVPBUS_ITEM_HELLO))
        return KVPBUS_BAD_HELLO;
    hello->flags = bytes[1];
    hello->attempt = (uint32_t)kvpbus_get_be(bytes + 2, 4);
    size_t core_length = (size_t)kvpbus_get_be(bytes + 6, 2);
    bool confirms = (hello->flags & KVPBUS_HELLO_CONFIRMS) != 0;
    size_t expected = HEAD + core_length + SIGNATURE + (confirms ? CONFIRMATION : 0);
    if (core_length < KVPBUS_CORE_MIN || core_length > KVPBUS_CORE_MAX || length != expected ||
        !core_read(bytes + HEAD, core_length, &hello->core))
        return KVPBUS_BAD_HELLO;
    if (confirms) {
        const uint8_t *confirmation = bytes + length - CONFIRMATION;
        memcpy(hello->confirmed, confirmation, KVPBUS_CORE_HASH);
        memcpy(hello->confirmation, confirmation + KVPBUS_CORE_HASH, SIGNATURE);
    }
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_hello_verify(const uint8_t *bytes, size_t length,
                                      const struct kvpbus_hello *hello)
{
    size_t core_length = (size_t)kvpbus_get_be(bytes + 6, 2);
    assert(HEAD + core_length + SIGNATURE <= length);
    uint8_t text[sizeof core_label + KVPBUS_CORE_MAX];
    size_t text_length = core_signed(bytes + HEAD, core_length, text);
    if (crypto_sign_verify_detached(bytes + HEAD + core_length, text, text_length,
                                    hello->core.identity) != 0)
        return KVPBUS_BAD_SIGNATURE;
    return KVPBUS_OK;
}

bool kvpbus_hello_confirms(const struct kvpbus_hello *hello, const struct kvpbus_own_core *own)
{
    if ((hello->flags & KVPBUS_HELLO_CONFIRMS) == 0 ||
        sodium_memcmp(hello->confirmed, own->core.hash, KVPBUS_CORE_HASH) != 0)
        return false;
    uint8_t text[CONFIRMATION_TEXT];
    confirmation_text(&hello->core, &own->core, text);
    return crypto_sign_verify_detached(hello->confirmation, text, sizeof text,
                                       hello->core.identity) == 0;
}

// --- session ---

static void derive_key(const uint8_t *key, const char *label, size_t label_size, uint8_t direction,
                       const uint8_t transcript[TRANSCRIPT], uint8_t out[KVPBUS_KEY_BYTES])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, key, KVPBUS_KEY_BYTES, KVPBUS_KEY_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)label, label_size);
    crypto_generichash_update(&state, &direction, 1);
    crypto_generichash_update(&state, transcript, TRANSCRIPT);
    crypto_generichash_final(&state, out, KVPBUS_KEY_BYTES);
}

static void derive_direction(const uint8_t *key, uint8_t direction,
                             const uint8_t transcript[TRANSCRIPT],
                             const uint8_t session[KVPBUS_SESSION_BYTES],
                             struct kvpbus_item_keys *keys)
{
    memcpy(keys->session, session, KVPBUS_SESSION_BYTES);
    derive_key(key, aead_label, sizeof aead_label, direction, transcript, keys->aead);
    derive_key(key, siv_label, sizeof siv_label, direction, transcript, keys->siv);
}

enum kvpbus_error kvpbus_session_derive(const struct kvpbus_own_core *own,
                                        const struct kvpbus_core *peer,
                                        struct kvpbus_session_keys *keys)
{
    bool am_host = own->core.role == KVPBUS_ROLE_HOST;
    assert(own->core.role != peer->role);
    const struct kvpbus_core *host = am_host ? &own->core : peer;
    const struct kvpbus_core *guest = am_host ? peer : &own->core;

    uint8_t transcript[TRANSCRIPT], rx[KVPBUS_KEY_BYTES], tx[KVPBUS_KEY_BYTES];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, TRANSCRIPT);
    crypto_generichash_update(&state, (const uint8_t *)transcript_label, sizeof transcript_label);
    crypto_generichash_update(&state, host->hash, KVPBUS_CORE_HASH);
    crypto_generichash_update(&state, guest->hash, KVPBUS_CORE_HASH);
    crypto_generichash_update(&state, host->vm, KVPBUS_VM_ID_BYTES);
    crypto_generichash_final(&state, transcript, TRANSCRIPT);

    crypto_generichash_init(&state, NULL, 0, KVPBUS_SESSION_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)session_label, sizeof session_label);
    crypto_generichash_update(&state, transcript, TRANSCRIPT);
    crypto_generichash_final(&state, keys->session, KVPBUS_SESSION_BYTES);

    int status = am_host ? crypto_kx_server_session_keys(rx, tx, own->core.ephemeral,
                                                         own->ephemeral_secret, peer->ephemeral)
                         : crypto_kx_client_session_keys(rx, tx, own->core.ephemeral,
                                                         own->ephemeral_secret, peer->ephemeral);
    if (status != 0)
        return KVPBUS_BAD_KEY;
    derive_direction(tx, am_host ? 1 : 2, transcript, keys->session, &keys->send);
    derive_direction(rx, am_host ? 2 : 1, transcript, keys->session, &keys->receive);
    sodium_memzero(rx, sizeof rx);
    sodium_memzero(tx, sizeof tx);
    return KVPBUS_OK;
}
