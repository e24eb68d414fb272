// SPDX-License-Identifier: Apache-2.0
#include "sim_store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"

struct sim_value {
    unsigned references;
    char text[];
};

// --- values -------------------------------------------------------------------------------------

static struct sim_value *value_new(const char *text)
{
    size_t length = strlen(text);
    struct sim_arena *arena = sim_arena_enter(NULL);
    struct sim_value *value = malloc(sizeof *value + length + 1);
    sim_arena_enter(arena);
    if (value == NULL)
        abort();
    value->references = 1;
    memcpy(value->text, text, length + 1);
    return value;
}

static struct sim_value *value_share(struct sim_value *value)
{
    if (value != NULL)
        value->references++;
    return value;
}

static void value_drop(struct sim_value *value)
{
    if (value != NULL && --value->references == 0)
        free(value);
}

// --- tables -------------------------------------------------------------------------------------

static struct sim_entry *find(const struct sim_table *table, const char *key)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->entries[i].key, key) == 0)
            return (struct sim_entry *)&table->entries[i];
    return NULL;
}

const char *sim_entry_text(const struct sim_entry *entry)
{
    return entry->value != NULL ? entry->value->text : NULL;
}

const char *sim_table_get(const struct sim_table *table, const char *key)
{
    const struct sim_entry *entry = find(table, key);
    return entry != NULL ? entry->value->text : NULL;
}

static void table_remove(struct sim_table *table, struct sim_entry *entry)
{
    value_drop(entry->value);
    size_t index = (size_t)(entry - table->entries);
    table->count--;
    memmove(entry, entry + 1, (table->count - index) * sizeof *entry);
}

// Takes over one reference to `value`, NULL: removes the key.
static bool table_set(struct sim_table *table, const char *key, struct sim_value *value)
{
    struct sim_entry *entry = find(table, key);
    if (value == NULL) {
        if (entry != NULL)
            table_remove(table, entry);
        return true;
    }
    if (entry != NULL) {
        value_drop(entry->value);
        entry->value = value;
        return true;
    }
    if (table->count == SIM_ITEMS_MAX) {
        value_drop(value);
        return false;
    }
    entry = &table->entries[table->count++];
    snprintf(entry->key, sizeof entry->key, "%s", key);
    entry->value = value;
    return true;
}

bool sim_table_put(struct sim_table *table, const char *key, const char *value)
{
    return table_set(table, key, value != NULL ? value_new(value) : NULL);
}

void sim_table_clear(struct sim_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        value_drop(table->entries[i].value);
    table->count = 0;
}

void sim_table_copy(struct sim_table *to, const struct sim_table *from)
{
    for (size_t i = 0; i < from->count; i++)
        value_share(from->entries[i].value);
    sim_table_clear(to);
    memcpy(to->entries, from->entries, from->count * sizeof *from->entries);
    to->count = from->count;
}

// --- channels -----------------------------------------------------------------------------------

void sim_channel_clear(struct sim_channel *channel)
{
    sim_table_clear(&channel->own);
    sim_table_clear(&channel->seen);
    for (size_t i = 0; i < SIM_HISTORY; i++)
        sim_table_clear(&channel->history[i]);
    for (size_t i = 0; i < channel->late_count; i++)
        value_drop(channel->late[i].entry.value);
    size_t kept = channel->archive_count < SIM_ARCHIVE ? channel->archive_count : SIM_ARCHIVE;
    for (size_t i = 0; i < kept; i++)
        value_drop(channel->archive[i].value);
    channel->history_count = channel->history_next = 0;
    channel->push_count = channel->late_count = channel->archive_count = 0;
    channel->failed = false;
}

struct sim_table *sim_channel_seen(struct sim_channel *channel)
{
    return channel->pushed ? &channel->seen : &channel->own;
}

void sim_channel_remember(struct sim_channel *channel)
{
    sim_table_copy(&channel->history[channel->history_next], sim_channel_seen(channel));
    channel->history_next = (channel->history_next + 1) % SIM_HISTORY;
    if (channel->history_count < SIM_HISTORY)
        channel->history_count++;
}

static void push_later(struct sim_channel *channel, const char *key, uint64_t due)
{
    for (size_t i = 0; i < channel->push_count; i++)
        if (strcmp(channel->pushes[i].key, key) == 0)
            return; // what is then in the own store is pushed
    assert(channel->push_count < SIM_ITEMS_MAX);
    struct sim_push *push = &channel->pushes[channel->push_count++];
    snprintf(push->key, sizeof push->key, "%s", key);
    push->due = due;
}

void sim_channel_put(struct sim_channel *channel, const char *key, const char *value, uint64_t due)
{
    if (!sim_table_put(&channel->own, key, value))
        return;
    if (value != NULL) {
        struct sim_entry *place = &channel->archive[channel->archive_count++ % SIM_ARCHIVE];
        if (channel->archive_count > SIM_ARCHIVE)
            value_drop(place->value);
        *place = *find(&channel->own, key);
        value_share(place->value);
    }
    if (channel->pushed && due != UINT64_MAX && channel->push_count < SIM_ITEMS_MAX)
        push_later(channel, key, due);
}

void sim_channel_push_all(struct sim_channel *channel, uint64_t from, uint64_t to,
                          struct sim_rng *rng)
{
    if (!channel->pushed)
        return;
    channel->push_count = 0;
    for (size_t i = 0; i < channel->own.count; i++)
        push_later(channel, channel->own.entries[i].key, sim_rng_range(rng, from, to));
}

void sim_channel_push_none(struct sim_channel *channel)
{
    channel->push_count = 0;
}

void sim_channel_late(struct sim_channel *channel, const char *key, const char *value, uint64_t due)
{
    if (channel->late_count == SIM_LATE_MAX)
        return;
    struct sim_late *late = &channel->late[channel->late_count++];
    snprintf(late->entry.key, sizeof late->entry.key, "%s", key);
    late->entry.value = value != NULL ? value_new(value) : NULL;
    late->due = due;
}

static bool turn_pushes(struct sim_channel *channel, uint64_t now)
{
    bool changed = false;
    for (size_t i = 0; i < channel->push_count;) {
        struct sim_push *push = &channel->pushes[i];
        if (push->due > now) {
            i++;
            continue;
        }
        const struct sim_entry *entry = find(&channel->own, push->key);
        table_set(&channel->seen, push->key, entry != NULL ? value_share(entry->value) : NULL);
        *push = channel->pushes[--channel->push_count];
        changed = true;
    }
    return changed;
}

bool sim_channel_turn(struct sim_channel *channel, uint64_t now)
{
    bool changed = false;
    for (size_t i = 0; i < channel->late_count;) {
        struct sim_late late = channel->late[i];
        if (late.due > now) {
            i++;
            continue;
        }
        channel->late[i] = channel->late[--channel->late_count];
        sim_channel_put(channel, late.entry.key, sim_entry_text(&late.entry), now);
        value_drop(late.entry.value);
        changed = !channel->pushed;
    }
    changed |= turn_pushes(channel, now);
    if (changed)
        sim_channel_remember(channel);
    return changed;
}

uint64_t sim_channel_deadline(const struct sim_channel *channel)
{
    uint64_t deadline = UINT64_MAX;
    for (size_t i = 0; i < channel->push_count; i++)
        if (channel->pushes[i].due < deadline)
            deadline = channel->pushes[i].due;
    for (size_t i = 0; i < channel->late_count; i++)
        if (channel->late[i].due < deadline)
            deadline = channel->late[i].due;
    return deadline;
}

const struct sim_entry *sim_channel_archived(const struct sim_channel *channel, struct sim_rng *rng)
{
    size_t kept = channel->archive_count < SIM_ARCHIVE ? channel->archive_count : SIM_ARCHIVE;
    return kept > 0 ? &channel->archive[sim_rng_below(rng, kept)] : NULL;
}
