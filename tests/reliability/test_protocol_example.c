// SPDX-License-Identifier: Apache-2.0
//
// The worked example at the end of docs/protocol.md is what the code makes of fixed keys. With
// KVPBUS_REWRITE_GOLDEN=1 it is written into the page anew; that is a change of the protocol.
#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "big_endian.h"
#include "bundle.h"
#include "hello.h"
#include "wire.h"

enum { HOST, GUEST, SIDES, PAGE_MAX = 256 * 1024 };

static const char heading[] = "## 6. A worked example";
static const char fence[] = "\n```\n";
static const uint8_t vm[KVPBUS_VM_ID_BYTES] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0,
                                               0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0};

struct side {
    uint8_t secret[KVPBUS_SECRET_BYTES];
    struct kvpbus_own_core own;
    struct kvpbus_session_keys keys;
    uint8_t timeline[KVPBUS_TIMELINE_BYTES];
};
static struct side sides[SIDES];

// --- the text ---

static void put_hex(FILE *text, const char *name, const void *bytes, size_t length)
{
    enum { PER_LINE = 32 };
    char hex[2 * PER_LINE + 1];
    for (size_t at = 0; at < length; at += PER_LINE) {
        size_t part = length - at < PER_LINE ? length - at : PER_LINE;
        sodium_bin2hex(hex, sizeof hex, (const uint8_t *)bytes + at, part);
        fprintf(text, "%-17s %s\n", at == 0 ? name : "", hex);
    }
}

static void put_item(FILE *text, const char *key, const char *value)
{
    enum { PER_LINE = 80 };
    size_t length = strlen(value);
    fprintf(text, "%-17s %s\n", "key", key);
    for (size_t at = 0; at < length; at += PER_LINE)
        fprintf(text, "%-17s %.*s\n", at == 0 ? "value" : "", PER_LINE, value + at);
}

static void put_title(FILE *text, const char *title)
{
    fprintf(text, "\n%s\n", title);
}

// --- the sides ---

static void repeat(void *context, uint8_t *bytes, size_t length)
{
    uint8_t *next = context; // each draw is of one byte, repeated; the next draw of the next one
    memset(bytes, (*next)++, length);
}

static void make_side(int which)
{
    struct side *side = &sides[which];
    struct kvpbus_core *core = &side->own.core;
    uint8_t seed[crypto_sign_SEEDBYTES], draws = which == HOST ? 0x10 : 0x20;
    memset(seed, which == HOST ? 0x01 : 0x02, sizeof seed);
    crypto_sign_seed_keypair(core->identity, side->secret, seed);
    core->role = which == HOST ? KVPBUS_ROLE_HOST : KVPBUS_ROLE_GUEST;
    memcpy(core->vm, vm, sizeof core->vm);
    core->ring_slots = KVPBUS_RING_MAX;
    core->window = KVPBUS_LINK_WINDOW;
    core->value_max = KVPBUS_VALUE_MAX;
    core->bundle_max = 1 << 24;
    kvpbus_core_make(&side->own, side->secret, repeat, &draws);
    memset(side->timeline, which == HOST ? 0x71 : 0x72, sizeof side->timeline);
}

static void put_identities(FILE *text)
{
    uint8_t seed[crypto_sign_SEEDBYTES];
    for (int which = 0; which < SIDES; which++) {
        const struct side *side = &sides[which];
        fprintf(text, "%sIDENTITY OF THE %s\n", which == HOST ? "" : "\n",
                which == HOST ? "HOST" : "GUEST");
        crypto_sign_ed25519_sk_to_seed(seed, side->secret);
        put_hex(text, "seed", seed, sizeof seed);
        put_hex(text, "public key", side->own.core.identity, KVPBUS_IDENTITY_BYTES);
        put_hex(text, "ephemeral secret", side->own.ephemeral_secret, 32);
        put_hex(text, "ephemeral public", side->own.core.ephemeral, KVPBUS_EPHEMERAL_BYTES);
    }
    put_title(text, "VM ID, 12345678-9ABC-DEF0-1234-56789ABCDEF0");
    put_hex(text, "VM id", vm, sizeof vm);
}

// --- hellos ---

static void put_hello(FILE *text, int which, bool confirms, uint32_t attempt)
{
    const struct side *side = &sides[which];
    uint8_t bytes[KVPBUS_ITEM_MAX];
    char value[KVPBUS_VALUE_MAX + 1];
    size_t length =
        kvpbus_hello_write(&side->own, side->secret, confirms ? &sides[1 - which].own.core : NULL,
                           false, attempt, bytes);
    fprintf(text, "\nHELLO OF THE %s, %s\n", which == HOST ? "HOST" : "GUEST",
            confirms ? "confirming the other's core" : "nothing of the other side was seen");
    put_hex(text, "head", bytes, 8);
    put_hex(text, "core", bytes + 8, KVPBUS_CORE_MIN);
    put_hex(text, "core hash", side->own.core.hash, KVPBUS_CORE_HASH);
    put_hex(text, "signature", bytes + 8 + KVPBUS_CORE_MIN, 64);
    if (confirms)
        put_hex(text, "confirmation", bytes + 8 + KVPBUS_CORE_MIN + 64, 32 + 64);
    kvpbus_item_encode(bytes, length, value);
    put_item(text, "kvpbus.h", value);
}

// --- session ---

static void make_session(FILE *text)
{
    struct kvpbus_session_keys *host = &sides[HOST].keys, *guest = &sides[GUEST].keys;
    cr_assert_eq(kvpbus_session_derive(&sides[HOST].own, &sides[GUEST].own.core, host), KVPBUS_OK);
    cr_assert_eq(kvpbus_session_derive(&sides[GUEST].own, &sides[HOST].own.core, guest), KVPBUS_OK);
    cr_assert_arr_eq(&host->send, &guest->receive, sizeof host->send);
    cr_assert_arr_eq(&host->receive, &guest->send, sizeof host->send);

    uint8_t transcript[32], shared[32];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof transcript);
    crypto_generichash_update(&state, (const uint8_t *)"kvpbus 1 transcript", 20);
    crypto_generichash_update(&state, sides[HOST].own.core.hash, KVPBUS_CORE_HASH);
    crypto_generichash_update(&state, sides[GUEST].own.core.hash, KVPBUS_CORE_HASH);
    crypto_generichash_update(&state, vm, sizeof vm);
    crypto_generichash_final(&state, transcript, sizeof transcript);
    cr_assert_eq(crypto_scalarmult(shared, sides[HOST].own.ephemeral_secret,
                                   sides[GUEST].own.core.ephemeral),
                 0);
    put_title(text, "SESSION");
    put_hex(text, "X25519", shared, sizeof shared);
    put_hex(text, "transcript", transcript, sizeof transcript);
    put_hex(text, "session id", host->session, sizeof host->session);
    put_hex(text, "AEAD host>guest", host->send.aead, KVPBUS_KEY_BYTES);
    put_hex(text, "SIV host>guest", host->send.siv, KVPBUS_KEY_BYTES);
    put_hex(text, "AEAD guest>host", guest->send.aead, KVPBUS_KEY_BYTES);
    put_hex(text, "SIV guest>host", guest->send.siv, KVPBUS_KEY_BYTES);
}

// --- items ---

static void put_sealed(FILE *text, int which, enum kvpbus_item_type type, uint64_t number,
                       uint32_t attempt, const uint8_t *plain, size_t length, const char *key)
{
    char value[KVPBUS_VALUE_MAX + 1];
    uint8_t bytes[KVPBUS_ITEM_MAX];
    size_t item_length;
    kvpbus_item_seal(&sides[which].keys.send, type, number, attempt, plain, length, value);
    cr_assert_eq(kvpbus_item_decode(value, bytes, &item_length), KVPBUS_OK);
    put_hex(text, "plaintext", plain, length);
    put_hex(text, "head", bytes, 14);
    put_hex(text, "siv", bytes + 14, 12);
    put_hex(text, "ciphertext", bytes + 26, length);
    put_hex(text, "tag", bytes + 26 + length, item_length - 26 - length);
    put_item(text, key, value);
}

static uint64_t packet(FILE *text, int which, uint64_t number,
                       const struct kvpbus_frame_writer *writer, const char *key)
{
    uint8_t bytes[8];
    uint64_t digest =
        kvpbus_packet_digest(sides[which].keys.send.siv, number, writer->bytes, writer->length);
    put_sealed(text, which, KVPBUS_ITEM_DATA, number, 0, writer->bytes, writer->length, key);
    kvpbus_put_be(bytes, digest, sizeof bytes);
    put_hex(text, "packet digest", bytes, sizeof bytes);
    return digest;
}

static uint64_t put_sync(FILE *text, int which)
{
    struct kvpbus_frame_writer writer = {.limit = KVPBUS_PLAIN_MAX};
    struct kvpbus_sync sync = {0};
    memcpy(sync.timeline, sides[which].timeline, sizeof sync.timeline);
    for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
        sync.classes[class_].next = 1;
    cr_assert(kvpbus_frame_sync(&writer, &sync));
    fprintf(text, "\nPACKET 1 OF THE %s: SYNC, nothing was sent or received yet\n",
            which == HOST ? "HOST" : "GUEST");
    return packet(text, which, 1, &writer, "kvpbus.00");
}

static void put_state(FILE *text, int which, uint64_t version, const struct kvpbus_state *state)
{
    uint8_t plain[KVPBUS_STATE_PLAIN];
    kvpbus_state_write(state, plain);
    put_sealed(text, which, KVPBUS_ITEM_STATE, version, 0, plain, sizeof plain, "kvpbus.s");
}

// --- a message ---

static uint8_t *make_bundle(FILE *text, size_t *length)
{
    static const uint8_t body[] = {'h', 'e', 'l', 'l', 'o'};
    struct kvpbus_route route = {.recipient = KVPBUS_ROLE_GUEST};
    struct kvpbus_bundle_position position = {
        .class_ = KVPBUS_CLASS_NORMAL, .number = 1, .created_ms = 1700000000000};
    struct kvpbus_message message = {
        .topic = "app.greet",
        .class_ = KVPBUS_CLASS_NORMAL,
        .sequence = 1,
        .created_ms = position.created_ms,
        .body = body,
        .body_length = sizeof body,
    };
    uint8_t *sealed, print[16];
    memcpy(route.sender, sides[HOST].own.core.identity, sizeof route.sender);
    memcpy(route.vm, vm, sizeof route.vm);
    memset(position.id, 0xb0, sizeof position.id);
    memcpy(position.timeline, sides[HOST].timeline, sizeof position.timeline);
    memcpy(message.id.bundle, position.id, sizeof position.id);
    cr_assert_eq(kvpbus_bundle_seal(&route, sides[HOST].secret, &position, &message, 1, SIZE_MAX,
                                    &sealed, length, NULL),
                 KVPBUS_OK);
    put_title(text, "BUNDLE 1 OF THE HOST, class normal: topic app.greet, body \"hello\"");
    put_hex(text, "header", sealed, 60);
    put_hex(text, "signature", sealed + 60, 64);
    put_hex(text, "packed = plain", sealed + KVPBUS_BUNDLE_HEADER, *length - KVPBUS_BUNDLE_HEADER);
    crypto_generichash(print, sizeof print, sealed, KVPBUS_BUNDLE_HEADER, NULL, 0);
    put_hex(text, "print", print, sizeof print);
    return sealed;
}

static uint64_t put_fragment(FILE *text)
{
    struct kvpbus_frame_writer writer = {.limit = KVPBUS_PLAIN_MAX};
    size_t length;
    uint8_t *sealed = make_bundle(text, &length);
    const struct kvpbus_fragment fragment = {
        .class_ = KVPBUS_CLASS_NORMAL,
        .number = 1,
        .first = true,
        .total = (uint32_t)length,
        .data = sealed,
        .length = length,
    };
    cr_assert_eq(kvpbus_frame_fragment(&writer, &fragment), length);
    free(sealed);
    put_title(text, "PACKET 2 OF THE HOST: all of the bundle in one FRAGMENT");
    return packet(text, HOST, 2, &writer, "kvpbus.01");
}

static char *make_example(void)
{
    char *example = NULL;
    size_t size;
    FILE *text = open_memstream(&example, &size);
    struct kvpbus_state state = {.window = KVPBUS_LINK_WINDOW,
                                 .credit = {1 << 20, 1 << 20, 1 << 20}};
    put_identities(text);
    put_hello(text, HOST, false, 1);
    put_hello(text, GUEST, true, 1);
    put_hello(text, HOST, true, 2);
    make_session(text);
    put_title(text, "STATE 1 OF THE HOST: nothing was opened yet; credit of 1 MiB in each class");
    put_state(text, HOST, 1, &state);
    uint64_t sync = put_sync(text, HOST);
    put_sync(text, GUEST);
    uint64_t message = put_fragment(text);
    put_title(text, "STATE 2 OF THE GUEST: packets 1 and 2 are committed, state 1 was opened");
    state.echo = 1;
    state.cumulative = 2;
    state.digest = sync ^ message;
    put_state(text, GUEST, 2, &state);
    put_title(text,
              "STATE 2 OF THE GUEST, had packet 1 and a packet 3 of the same bytes come first");
    state.cumulative = 1;
    state.bitmap = 1 << 1;
    uint8_t plain[KVPBUS_STATE_PLAIN];
    kvpbus_state_write(&state, plain);
    put_hex(text, "c and bitmap", plain + 6, 14);
    fclose(text);
    return example;
}

// --- the page ---

static char *read_page(const char *path)
{
    char *page = calloc(1, PAGE_MAX);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    cr_assert_lt(fread(page, 1, PAGE_MAX - 1, file), PAGE_MAX - 1);
    fclose(file);
    return page;
}

static void write_page(const char *path, const char *page, const char *from, const char *to,
                       const char *example)
{
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file, "%s", path);
    fprintf(file, "%.*s%s%s", (int)(from - page), page, example, to);
    cr_assert_eq(fclose(file), 0);
}

Test(protocol_example, is_what_the_code_makes)
{
    static const char path[] = KVPBUS_SOURCE_DIR "/docs/protocol.md";
    cr_assert_geq(sodium_init(), 0);
    make_side(HOST);
    make_side(GUEST);
    char *example = make_example(), *page = read_page(path);
    char *from = strstr(page, heading);
    cr_assert_not_null(from, "%s has no '%s'", path, heading);
    from = strstr(from, fence);
    cr_assert_not_null(from);
    from += strlen(fence);
    char *to = strstr(from, "```\n");
    cr_assert_not_null(to);
    const char *rewrite = getenv("KVPBUS_REWRITE_GOLDEN");
    if (rewrite != NULL && strcmp(rewrite, "1") == 0)
        write_page(path, page, from, to, example);
    else
        cr_assert(strlen(example) == (size_t)(to - from) &&
                      memcmp(example, from, strlen(example)) == 0,
                  "the example of %s is not what the code makes", path);
    free(example);
    free(page);
}
