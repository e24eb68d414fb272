// SPDX-License-Identifier: Apache-2.0
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "link.h"
#include "world.h"

enum { FIRST_CAPACITY = 4096, HEAD = 26 };

void sim_watch_free(struct sim_watch *watch)
{
    free(watch->nonces);
    memset(watch, 0, sizeof *watch);
}

static uint64_t hash(const uint8_t *bytes, size_t length, uint64_t start)
{
    uint64_t h = start ^ UINT64_C(0xcbf29ce484222325); // FNV-1a
    for (size_t i = 0; i < length; i++)
        h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
    return h != 0 ? h : 1;
}

static struct sim_nonce *place(const struct sim_watch *watch, uint64_t nonce)
{
    size_t i = (size_t)(nonce ^ nonce >> 32) & (watch->capacity - 1);
    while (watch->nonces[i].nonce != 0 && watch->nonces[i].nonce != nonce)
        i = (i + 1) & (watch->capacity - 1);
    return &watch->nonces[i];
}

static void grow(struct sim_watch *watch)
{
    struct sim_watch larger = {
        .capacity = watch->capacity == 0 ? FIRST_CAPACITY : 2 * watch->capacity,
        .count = watch->count,
    };
    struct sim_arena *before = sim_arena_enter(NULL);
    larger.nonces = calloc(larger.capacity, sizeof *larger.nonces);
    if (larger.nonces == NULL)
        abort();
    for (size_t i = 0; i < watch->capacity; i++)
        if (watch->nonces[i].nonce != 0)
            *place(&larger, watch->nonces[i].nonce) = watch->nonces[i];
    free(watch->nonces);
    sim_arena_enter(before);
    *watch = larger;
}

// False: this name was used for another content.
static bool note(struct sim_watch *watch, uint64_t name, uint64_t content)
{
    if (2 * watch->count >= watch->capacity)
        grow(watch);
    struct sim_nonce *found = place(watch, name);
    if (found->nonce == name)
        return found->content == content;
    *found = (struct sim_nonce){name, content};
    watch->count++;
    return true;
}

// Key and nonce are settled by side, session tag, type, number, attempt and the SIV: bytes 0 to 25.
static void watch_nonce(struct sim_side *side, const uint8_t *bytes, size_t length)
{
    struct sim_world *world = side->world;
    uint64_t content = hash(bytes, length, 0);
    if (!note(&world->watch, hash(bytes, HEAD, (uint64_t)side->index + 1), content))
        sim_fail(world, "side %d used a nonce for two contents", side->index);
    bool went_back = world->sides[SIM_HOST].reverts + world->sides[SIM_GUEST].reverts > 0;
    if (!went_back && !note(&world->watch, hash(bytes, 14, (uint64_t)side->index + 3), content))
        sim_fail(world, "side %d used an item's number and attempt for two contents", side->index);
}

static void watch_value(struct sim_side *side, const struct kvpbus_change *change)
{
    struct sim_world *world = side->world;
    uint8_t bytes[KVPBUS_ITEM_MAX];
    size_t length;
    enum kvpbus_item_type type;
    unsigned slot;
    enum kvpbus_key_kind kind = kvpbus_key_parse(SIM_PREFIX, change->key, &slot);
    if (kvpbus_item_decode(change->value, bytes, &length) != KVPBUS_OK ||
        kvpbus_item_type(bytes, length, &type) != KVPBUS_OK) {
        sim_fail(world, "side %d writes a value that is not an item", side->index);
        return;
    }
    static const enum kvpbus_item_type types[] = {
        [KVPBUS_KEY_HELLO] = KVPBUS_ITEM_HELLO,
        [KVPBUS_KEY_STATE] = KVPBUS_ITEM_STATE,
        [KVPBUS_KEY_SLOT] = KVPBUS_ITEM_DATA,
    };
    if (kind == KVPBUS_KEY_OTHER || types[kind] != type)
        sim_fail(world, "side %d writes an item of type %d under the key %s", side->index,
                 (int)type, change->key);
    if (strstr(change->value, SIM_MARKER) != NULL ||
        memmem(bytes, length, SIM_MARKER, strlen(SIM_MARKER)) != NULL)
        sim_fail(world, "side %d writes plaintext", side->index);
    if (type != KVPBUS_ITEM_HELLO && length > HEAD)
        watch_nonce(side, bytes, length);
    if (type == KVPBUS_ITEM_DATA) {
        side->counters.data_items++;
        side->counters.data_chars += strlen(change->value);
    }
}

void sim_watch_read(struct sim_side *side, bool own, const struct kvpbus_scan *scan)
{
    struct sim_counters *counters = &side->counters;
    (*(own ? &counters->reads_own : &counters->reads_peer))++;
    if (own || !side->world->options.quiet)
        return;
    uint64_t shown = 0;
    for (size_t i = 0; i < scan->count; i++) {
        const struct kvpbus_item *item = &scan->items[i];
        shown = hash((const uint8_t *)item->key, strlen(item->key), shown);
        shown = hash((const uint8_t *)item->value, strlen(item->value), shown);
    }
    counters->news += shown != side->last_read;
    side->last_read = shown;
}

// A management service adds, changes and removes in calls of their own; a write needs at most two.
static void count_calls(struct sim_side *side, const struct kvpbus_change *changes, size_t count)
{
    const struct sim_table *own = &side->world->channels[side->index].own;
    bool add = false, change = false, remove = false;
    for (size_t i = 0; i < count; i++) {
        bool held = sim_table_get(own, changes[i].key) != NULL;
        remove |= changes[i].value == NULL;
        add |= changes[i].value != NULL && !held;
        change |= changes[i].value != NULL && held;
    }
    if (remove && (add || change))
        sim_fail(side->world, "side %d removes and writes in one go", side->index);
    side->counters.calls += (unsigned)add + change + remove;
}

void sim_watch_write(struct sim_side *side, const struct kvpbus_change *changes, size_t count)
{
    struct sim_world *world = side->world;
    side->counters.writes++;
    count_calls(side, changes, count);
    if (count == 0 || count > KVPBUS_CHANGES_MAX)
        sim_fail(world, "side %d writes %zu changes at once", side->index, count);
    if (world->phase == SIM_IDLE)
        sim_fail(world, "side %d writes %s on an idle link", side->index, changes[0].key);
    char keys[160] = "";
    size_t shown = 0;
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(keys);
        if (used + 16 < sizeof keys && ++shown > 0)
            snprintf(keys + used, sizeof keys - used, " %s%s", changes[i].value == NULL ? "-" : "",
                     changes[i].key + strlen(SIM_PREFIX) + 1);
        for (size_t other = 0; other < i; other++)
            if (strcmp(changes[i].key, changes[other].key) == 0)
                sim_fail(world, "side %d writes %s twice at once", side->index, changes[i].key);
        if (changes[i].value == NULL) {
            side->counters.removed++;
            continue;
        }
        side->counters.items++;
        watch_value(side, &changes[i]);
    }
    sim_trace(world, side->index, "writes%s%s", keys, shown < count ? " …" : "");
}

void sim_watch_store(struct sim_side *side)
{
    // Keys that others put there are of the protocol's names too: the bound holds for all of them,
    // but not for strays.
    const struct sim_table *own = &side->world->channels[side->index].own;
    size_t ours = 0;
    unsigned slot;
    for (size_t i = 0; i < own->count; i++)
        ours += kvpbus_key_parse(SIM_PREFIX, own->entries[i].key, &slot) != KVPBUS_KEY_OTHER;
    if (ours > KVPBUS_LINK_KEYS)
        sim_fail(side->world, "the store of side %d holds %zu items", side->index, ours);
}
