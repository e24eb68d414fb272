// SPDX-License-Identifier: Apache-2.0
#include "audit.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "big_endian.h"

// sizeof counts the NUL that is part of each.
static const char entry_label[] = "kvpbus 1 audit entry";
static const char mark_label[] = "kvpbus 1 audit mark";

enum { MARK_TEXT = sizeof mark_label + 8 + 8 + KVPBUS_AUDIT_HASH };

static const struct {
    uint16_t kind;
    const char *word, *text;
} words[] = {
#define X(name, number, word, text) {number, word, text},
    KVPBUS_AUDIT_MAP(X)
#undef X
};

enum { WORDS = sizeof words / sizeof *words };

const char *kvpbus_audit_word(uint16_t kind, char spare[16])
{
    for (size_t i = 0; i < WORDS; i++)
        if (words[i].kind == kind)
            return words[i].word;
    snprintf(spare, 16, "kind %u", kind);
    return spare;
}

bool kvpbus_audit_word_parse(const char *word, uint16_t *kind)
{
    for (size_t i = 0; i < WORDS; i++)
        if (strcmp(words[i].word, word) == 0) {
            *kind = words[i].kind;
            return true;
        }
    return false;
}

void kvpbus_audit_each(void (*visit)(const char *word, const char *text))
{
    for (size_t i = 0; i < WORDS; i++)
        visit(words[i].word, words[i].text);
}

void kvpbus_audit_hash(const uint8_t before[KVPBUS_AUDIT_HASH],
                       const struct kvpbus_audit_entry *entry, uint8_t hash[KVPBUS_AUDIT_HASH])
{
    crypto_generichash_state state;
    size_t length = strlen(entry->detail);
    uint8_t head[8 + 8 + 2];
    uint8_t size[2];
    kvpbus_put_be(head, entry->number, 8);
    kvpbus_put_be(head + 8, (uint64_t)entry->time_ms, 8);
    kvpbus_put_be(head + 16, entry->kind, 2);
    kvpbus_put_be(size, length, 2);
    crypto_generichash_init(&state, NULL, 0, KVPBUS_AUDIT_HASH);
    crypto_generichash_update(&state, (const uint8_t *)entry_label, sizeof entry_label);
    crypto_generichash_update(&state, before, KVPBUS_AUDIT_HASH);
    crypto_generichash_update(&state, head, sizeof head);
    crypto_generichash_update(&state, entry->vm, sizeof entry->vm);
    crypto_generichash_update(&state, size, sizeof size);
    crypto_generichash_update(&state, (const uint8_t *)entry->detail, length);
    crypto_generichash_final(&state, hash, KVPBUS_AUDIT_HASH);
}

// --- marks ---

static void mark_text(const struct kvpbus_audit_mark *mark, uint8_t text[MARK_TEXT])
{
    memcpy(text, mark_label, sizeof mark_label);
    kvpbus_put_be(text + sizeof mark_label, mark->number, 8);
    kvpbus_put_be(text + sizeof mark_label + 8, (uint64_t)mark->time_ms, 8);
    memcpy(text + sizeof mark_label + 16, mark->hash, KVPBUS_AUDIT_HASH);
}

void kvpbus_audit_sign(struct kvpbus_audit_mark *mark, const uint8_t identity[KVPBUS_AUDIT_KEY],
                       const uint8_t secret[64])
{
    uint8_t text[MARK_TEXT];
    mark_text(mark, text);
    memcpy(mark->identity, identity, sizeof mark->identity);
    crypto_sign_detached(mark->signature, NULL, text, sizeof text, secret);
}

bool kvpbus_audit_signed(const struct kvpbus_audit_mark *mark)
{
    uint8_t text[MARK_TEXT];
    mark_text(mark, text);
    return crypto_sign_verify_detached(mark->signature, text, sizeof text, mark->identity) == 0;
}

// --- going through a chain ---

void kvpbus_audit_walk_begin(struct kvpbus_audit_walk *walk,
                             const uint8_t identity[KVPBUS_AUDIT_KEY])
{
    memset(walk, 0, sizeof *walk);
    memcpy(walk->identity, identity, sizeof walk->identity);
}

void kvpbus_audit_walk_base(struct kvpbus_audit_walk *walk, uint64_t number,
                            const uint8_t hash[KVPBUS_AUDIT_HASH])
{
    assert(!walk->begun);
    walk->begun = true;
    walk->number = walk->begins = number;
    memcpy(walk->hash, hash, sizeof walk->hash);
}

static bool names(const char *text, const uint8_t key[KVPBUS_AUDIT_KEY])
{
    char hex[2 * KVPBUS_AUDIT_KEY + 1];
    sodium_bin2hex(hex, sizeof hex, key, KVPBUS_AUDIT_KEY);
    return strcmp(text, hex) == 0;
}

enum kvpbus_audit_fault kvpbus_audit_walk_entry(struct kvpbus_audit_walk *walk,
                                                const struct kvpbus_audit_entry *entry)
{
    uint8_t hash[KVPBUS_AUDIT_HASH];
    assert(walk->begun);
    if (entry->number != walk->number + 1)
        return KVPBUS_AUDIT_MISSING;
    kvpbus_audit_hash(walk->hash, entry, hash);
    if (memcmp(hash, entry->hash, sizeof hash) != 0)
        return KVPBUS_AUDIT_CHANGED;
    walk->number = entry->number;
    memcpy(walk->hash, hash, sizeof hash);
    if (entry->kind == KVPBUS_AUDIT_CUT)
        walk->cut = strtoull(entry->detail, NULL, 10);
    else if (entry->kind == KVPBUS_AUDIT_OWN_KEY && walk->signed_to > 0)
        walk->handed_over |= names(entry->detail, walk->signer);
    return KVPBUS_AUDIT_FITS;
}

// Whether the key of the last mark may be followed by this one.
static bool leads_to(const struct kvpbus_audit_walk *walk, const uint8_t key[KVPBUS_AUDIT_KEY])
{
    return walk->signed_to == 0 || walk->handed_over ||
           memcmp(walk->signer, key, sizeof walk->signer) == 0;
}

enum kvpbus_audit_fault kvpbus_audit_walk_mark(struct kvpbus_audit_walk *walk,
                                               const struct kvpbus_audit_mark *mark)
{
    if (!kvpbus_audit_signed(mark))
        return KVPBUS_AUDIT_BAD_SIGNATURE;
    if (mark->number > walk->number)
        return KVPBUS_AUDIT_SHORT;
    assert(mark->number == walk->number);
    if (memcmp(mark->hash, walk->hash, sizeof walk->hash) != 0)
        return KVPBUS_AUDIT_OTHER_HASH;
    if (!leads_to(walk, mark->identity))
        return KVPBUS_AUDIT_FOREIGN_KEY;
    walk->signed_to = mark->number;
    memcpy(walk->signer, mark->identity, sizeof walk->signer);
    walk->handed_over = false;
    return KVPBUS_AUDIT_FITS;
}

enum kvpbus_audit_fault kvpbus_audit_walk_end(const struct kvpbus_audit_walk *walk)
{
    if (walk->cut != walk->begins)
        return KVPBUS_AUDIT_SHORT;
    return leads_to(walk, walk->identity) ? KVPBUS_AUDIT_FITS : KVPBUS_AUDIT_FOREIGN_KEY;
}
