// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of the audit's chain, and that every way of changing one is found.
#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "../golden.h"
#include "audit.h"

enum { ENTRIES = 12 };

static uint8_t identity[KVPBUS_AUDIT_KEY], secret[64];
static struct kvpbus_audit_entry chain[ENTRIES];
static struct kvpbus_audit_mark mark; // of the entry MARKED

enum { MARKED = 8 };

static void make(struct kvpbus_audit_entry *entries, size_t count, const char *detail)
{
    uint8_t before[KVPBUS_AUDIT_HASH] = {0};
    memset(entries, 0, count * sizeof *entries);
    for (size_t i = 0; i < count; i++) {
        entries[i].number = i + 1;
        entries[i].time_ms = 1700000000000 + (int64_t)i;
        entries[i].kind = i == 0 ? KVPBUS_AUDIT_STARTED : KVPBUS_AUDIT_RECEIVED;
        entries[i].vm[0] = i == 0 ? 0 : 7;
        snprintf(entries[i].detail, sizeof entries[i].detail, "%s %zu", detail, i);
        kvpbus_audit_hash(before, &entries[i], entries[i].hash);
        memcpy(before, entries[i].hash, sizeof before);
    }
}

static struct kvpbus_audit_mark sign(const struct kvpbus_audit_entry *entry)
{
    struct kvpbus_audit_mark made = {.number = entry->number, .time_ms = 1700000001000};
    memcpy(made.hash, entry->hash, sizeof made.hash);
    kvpbus_audit_sign(&made, identity, secret);
    return made;
}

static void setup(void)
{
    static const uint8_t seed[32] = {1};
    cr_assert_geq(sodium_init(), 0);
    crypto_sign_seed_keypair(identity, secret, seed);
    make(chain, ENTRIES, "entry");
    mark = sign(&chain[MARKED - 1]);
}

TestSuite(audit, .init = setup);

// Goes through entries; the number behind which something does not fit, and what.
static enum kvpbus_audit_fault walk(const struct kvpbus_audit_entry *entries, size_t count,
                                    uint64_t *at)
{
    static const uint8_t zeros[KVPBUS_AUDIT_HASH];
    struct kvpbus_audit_walk of;
    enum kvpbus_audit_fault fault = KVPBUS_AUDIT_FITS;
    kvpbus_audit_walk_begin(&of, identity);
    kvpbus_audit_walk_base(&of, 0, zeros);
    for (size_t i = 0; fault == KVPBUS_AUDIT_FITS && i < count; i++) {
        *at = of.number + 1;
        fault = kvpbus_audit_walk_entry(&of, &entries[i]);
        if (fault == KVPBUS_AUDIT_FITS && of.number == mark.number)
            fault = kvpbus_audit_walk_mark(&of, &mark);
    }
    if (fault == KVPBUS_AUDIT_FITS && of.number < mark.number)
        fault = kvpbus_audit_walk_mark(&of, &mark);
    return fault == KVPBUS_AUDIT_FITS ? kvpbus_audit_walk_end(&of) : fault;
}

static void found(enum kvpbus_audit_fault fault, uint64_t at,
                  const struct kvpbus_audit_entry *entries, size_t count)
{
    uint64_t number = 0;
    cr_assert_eq(walk(entries, count, &number), fault);
    cr_assert_eq(number, at, "%llu", (unsigned long long)number);
}

Test(audit, the_bytes_are_those_of_the_document)
{
    char text[4096], hex[2 * KVPBUS_AUDIT_SIGNATURE + 1];
    size_t length = 0;
    for (size_t i = 0; i < 3; i++)
        length +=
            (size_t)snprintf(text + length, sizeof text - length, "%s\n",
                             sodium_bin2hex(hex, sizeof hex, chain[i].hash, sizeof chain[i].hash));
    length +=
        (size_t)snprintf(text + length, sizeof text - length, "%s\n",
                         sodium_bin2hex(hex, sizeof hex, mark.signature, sizeof mark.signature));
    golden_compare("audit.txt", text, length);
}

Test(audit, a_chain_that_nobody_touched_fits)
{
    uint64_t at;
    cr_assert_eq(walk(chain, ENTRIES, &at), KVPBUS_AUDIT_FITS);
}

Test(audit, a_changed_entry_is_found)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        struct kvpbus_audit_entry changed[ENTRIES];
        memcpy(changed, chain, sizeof chain);
        changed[i].time_ms++;
        found(KVPBUS_AUDIT_CHANGED, i + 1, changed, ENTRIES);
        memcpy(changed, chain, sizeof chain);
        changed[i].kind++;
        found(KVPBUS_AUDIT_CHANGED, i + 1, changed, ENTRIES);
        memcpy(changed, chain, sizeof chain);
        changed[i].vm[15] ^= 1;
        found(KVPBUS_AUDIT_CHANGED, i + 1, changed, ENTRIES);
        memcpy(changed, chain, sizeof chain);
        changed[i].detail[0] = 'E';
        found(KVPBUS_AUDIT_CHANGED, i + 1, changed, ENTRIES);
        memcpy(changed, chain, sizeof chain);
        changed[i].hash[31] ^= 1;
        found(KVPBUS_AUDIT_CHANGED, i + 1, changed, ENTRIES);
    }
}

// The hash of the changed entry is made to fit: then the next one does not.
Test(audit, a_changed_entry_with_its_hash_is_found_at_the_next)
{
    struct kvpbus_audit_entry changed[ENTRIES];
    memcpy(changed, chain, sizeof chain);
    changed[3].detail[0] = 'E';
    kvpbus_audit_hash(changed[2].hash, &changed[3], changed[3].hash);
    found(KVPBUS_AUDIT_CHANGED, 5, changed, ENTRIES);
}

Test(audit, an_entry_that_is_taken_out_is_found)
{
    for (size_t i = 0; i + 1 < ENTRIES; i++) {
        struct kvpbus_audit_entry changed[ENTRIES];
        memcpy(changed, chain, i * sizeof *chain);
        memcpy(changed + i, chain + i + 1, (ENTRIES - i - 1) * sizeof *chain);
        found(KVPBUS_AUDIT_MISSING, i + 1, changed, ENTRIES - 1);
        for (size_t k = i; k + 1 < ENTRIES; k++)
            changed[k].number--;
        found(KVPBUS_AUDIT_CHANGED, i + 1, changed, ENTRIES - 1);
    }
}

Test(audit, an_entry_that_is_put_in_is_found)
{
    struct kvpbus_audit_entry changed[ENTRIES + 1];
    memcpy(changed, chain, 5 * sizeof *chain);
    memcpy(changed + 5, chain + 4, (ENTRIES - 4) * sizeof *chain);
    changed[5].number = 6;
    kvpbus_audit_hash(changed[4].hash, &changed[5], changed[5].hash);
    found(KVPBUS_AUDIT_MISSING, 7, changed, ENTRIES + 1);
    for (size_t i = 6; i <= ENTRIES; i++)
        changed[i].number++;
    found(KVPBUS_AUDIT_CHANGED, 7, changed, ENTRIES + 1);
}

Test(audit, another_order_is_found)
{
    struct kvpbus_audit_entry changed[ENTRIES];
    memcpy(changed, chain, sizeof chain);
    changed[4] = chain[5];
    changed[5] = chain[4];
    found(KVPBUS_AUDIT_MISSING, 5, changed, ENTRIES);
    changed[4].number = 5;
    changed[5].number = 6;
    found(KVPBUS_AUDIT_CHANGED, 5, changed, ENTRIES);
}

// Only what was signed, or a head that somebody kept, shows these two.
Test(audit, an_end_that_is_cut_off_before_a_mark_is_found)
{
    uint64_t at;
    cr_assert_eq(walk(chain, MARKED, &at), KVPBUS_AUDIT_FITS);
    cr_assert_eq(walk(chain, MARKED - 1, &at), KVPBUS_AUDIT_SHORT);
}

Test(audit, a_chain_that_is_written_anew_is_found_by_a_mark)
{
    struct kvpbus_audit_entry changed[ENTRIES];
    make(changed, ENTRIES, "other");
    found(KVPBUS_AUDIT_OTHER_HASH, MARKED, changed, ENTRIES);
    mark = sign(&changed[MARKED - 1]);
    found(KVPBUS_AUDIT_FITS, ENTRIES, changed, ENTRIES);
    mark.signature[5] ^= 1;
    found(KVPBUS_AUDIT_BAD_SIGNATURE, MARKED, changed, ENTRIES);
    mark = sign(&changed[MARKED - 1]);
    mark.time_ms++;
    found(KVPBUS_AUDIT_BAD_SIGNATURE, MARKED, changed, ENTRIES);
}

Test(audit, a_beginning_has_to_be_told_of)
{
    struct kvpbus_audit_walk of;
    kvpbus_audit_walk_begin(&of, identity);
    kvpbus_audit_walk_base(&of, 4, chain[3].hash);
    cr_assert_eq(kvpbus_audit_walk_entry(&of, &chain[4]), KVPBUS_AUDIT_FITS);
    cr_assert_eq(kvpbus_audit_walk_end(&of), KVPBUS_AUDIT_SHORT);
    struct kvpbus_audit_entry told = {.number = 6, .kind = KVPBUS_AUDIT_CUT, .detail = "4"};
    kvpbus_audit_hash(chain[4].hash, &told, told.hash);
    cr_assert_eq(kvpbus_audit_walk_entry(&of, &told), KVPBUS_AUDIT_FITS);
    cr_assert_eq(kvpbus_audit_walk_end(&of), KVPBUS_AUDIT_FITS);
}

// --- keys of before ---

// A walk over a chain that is made on the way.
struct making {
    struct kvpbus_audit_walk walk;
    uint8_t identity[KVPBUS_AUDIT_KEY], secret[64]; // that signs
};

static void next_key(struct making *making)
{
    static uint8_t seed[32];
    seed[0]++;
    crypto_sign_seed_keypair(making->identity, making->secret, seed);
}

// From the entry `number` on, whose hash is zeros.
static struct making making_begin(uint64_t number)
{
    static const uint8_t zeros[KVPBUS_AUDIT_HASH];
    struct making making;
    next_key(&making);
    kvpbus_audit_walk_begin(&making.walk, making.identity);
    kvpbus_audit_walk_base(&making.walk, number, zeros);
    return making;
}

static void says(struct making *making, enum kvpbus_audit_kind kind, const char *detail)
{
    struct kvpbus_audit_entry entry = {.number = making->walk.number + 1, .kind = (uint16_t)kind};
    snprintf(entry.detail, sizeof entry.detail, "%s", detail);
    kvpbus_audit_hash(making->walk.hash, &entry, entry.hash);
    cr_assert_eq(kvpbus_audit_walk_entry(&making->walk, &entry), KVPBUS_AUDIT_FITS);
}

static void names_former(struct making *making, const uint8_t former[KVPBUS_AUDIT_KEY])
{
    char hex[2 * KVPBUS_AUDIT_KEY + 1];
    sodium_bin2hex(hex, sizeof hex, former, KVPBUS_AUDIT_KEY);
    says(making, KVPBUS_AUDIT_OWN_KEY, hex);
}

static enum kvpbus_audit_fault marks(struct making *making)
{
    struct kvpbus_audit_mark made = {.number = making->walk.number};
    memcpy(made.hash, making->walk.hash, sizeof made.hash);
    kvpbus_audit_sign(&made, making->identity, making->secret);
    return kvpbus_audit_walk_mark(&making->walk, &made);
}

// It ends with the key that signs now.
static enum kvpbus_audit_fault ends(struct making *making)
{
    memcpy(making->walk.identity, making->identity, sizeof making->walk.identity);
    return kvpbus_audit_walk_end(&making->walk);
}

Test(audit, a_side_may_change_its_key_as_often_as_it_likes)
{
    struct making making = making_begin(0);
    for (int i = 0; i < 200; i++) {
        uint8_t former[KVPBUS_AUDIT_KEY];
        says(&making, KVPBUS_AUDIT_STARTED, "");
        cr_assert_eq(marks(&making), KVPBUS_AUDIT_FITS);
        memcpy(former, making.identity, sizeof former);
        next_key(&making);
        names_former(&making, former);
        cr_assert_eq(marks(&making), KVPBUS_AUDIT_FITS);
    }
    cr_assert_eq(ends(&making), KVPBUS_AUDIT_FITS);
}

// An export has the marks of its ends alone.
Test(audit, keys_of_before_may_have_no_mark_here)
{
    struct making making = making_begin(7);
    cr_assert_eq(marks(&making), KVPBUS_AUDIT_FITS);
    says(&making, KVPBUS_AUDIT_CUT, "7");
    for (int i = 0; i < 3; i++) {
        uint8_t former[KVPBUS_AUDIT_KEY];
        memcpy(former, making.identity, sizeof former);
        next_key(&making);
        names_former(&making, former);
    }
    cr_assert_eq(marks(&making), KVPBUS_AUDIT_FITS);
    cr_assert_eq(ends(&making), KVPBUS_AUDIT_FITS);
}

Test(audit, a_key_that_no_entry_behind_it_names_is_foreign)
{
    uint8_t first[KVPBUS_AUDIT_KEY];
    struct making making = making_begin(0);
    memcpy(first, making.identity, sizeof first);
    names_former(&making, first); // before its mark: whoever has that key could say so later
    cr_assert_eq(marks(&making), KVPBUS_AUDIT_FITS);
    says(&making, KVPBUS_AUDIT_STARTED, "");
    next_key(&making);
    cr_assert_eq(marks(&making), KVPBUS_AUDIT_FOREIGN_KEY);
    cr_assert_eq(making.walk.signed_to, 1);
    cr_assert_eq(ends(&making), KVPBUS_AUDIT_FOREIGN_KEY);
    names_former(&making, making.identity); // another one than the last mark's
    cr_assert_eq(marks(&making), KVPBUS_AUDIT_FOREIGN_KEY);
    names_former(&making, first);
    cr_assert_eq(ends(&making), KVPBUS_AUDIT_FITS, "it is named, and not signed yet");
    cr_assert_eq(marks(&making), KVPBUS_AUDIT_FITS);
    cr_assert_eq(ends(&making), KVPBUS_AUDIT_FITS);
}

Test(audit, words_and_kinds)
{
    char spare[16];
    uint16_t kind;
    cr_assert_str_eq(kvpbus_audit_word(KVPBUS_AUDIT_KEY_CHANGED, spare), "key-changed");
    cr_assert_str_eq(kvpbus_audit_word(65535, spare), "kind 65535");
    cr_assert(kvpbus_audit_word_parse("dead-letter", &kind));
    cr_assert_eq(kind, KVPBUS_AUDIT_DEAD_LETTER);
    cr_assert_not(kvpbus_audit_word_parse("paird", &kind));
}
