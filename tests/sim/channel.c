// SPDX-License-Identifier: Apache-2.0
//
// Reads and writes of the stores, with all that can go wrong with them.
#include <stdlib.h>
#include <string.h>

#include "world.h"

// --- reads --------------------------------------------------------------------------------------

struct view {
    const struct sim_table *table;
    const struct sim_table *other; // torn: from `split` on, items are of this one
    size_t split;
    unsigned missing; // permille
    unsigned doubled;
};

static const struct sim_table *former(struct sim_world *world, const struct sim_channel *channel,
                                      const struct sim_table *present)
{
    if (channel->history_count == 0)
        return present;
    return &channel->history[sim_rng_below(&world->rng, channel->history_count)];
}

static struct view look(struct sim_side *side, bool own, struct sim_channel *channel)
{
    struct sim_world *world = side->world;
    struct view view = {.table = own ? &channel->own : sim_channel_seen(channel)};
    if (sim_strikes(world, SIM_PARTIAL))
        view.missing =
            sim_rng_chance(&world->rng, 100) ? 1000 : (unsigned)sim_rng_range(&world->rng, 50, 500);
    if (sim_strikes(world, SIM_DUPLICATE))
        view.doubled = 200;
    if (own)
        return view;
    if (sim_strikes(world, SIM_STALE))
        view.table = former(world, channel, view.table);
    if (sim_strikes(world, SIM_TORN)) {
        view.other = former(world, channel, view.table);
        view.split = sim_rng_below(&world->rng, view.table->count + 1);
        if (sim_rng_chance(&world->rng, 500)) {
            const struct sim_table *first = view.other;
            view.other = view.table;
            view.table = first;
        }
    }
    return view;
}

static void give(struct sim_world *world, const struct view *view, struct kvpbus_scan *scan,
                 const struct sim_entry *entry)
{
    if (sim_rng_chance(&world->rng, view->missing))
        return;
    const char *value = sim_entry_text(entry);
    int times = sim_rng_chance(&world->rng, view->doubled) ? 2 : 1;
    for (int i = 0; i < times; i++)
        if (kvpbus_scan_add(scan, SIM_PREFIX, entry->key, strlen(entry->key), value,
                            strlen(value)) != KVPBUS_OK)
            abort();
}

enum kvpbus_error sim_read(struct sim_side *side, bool own, struct kvpbus_scan *scan)
{
    struct sim_world *world = side->world;
    struct sim_channel *channel = &world->channels[own ? side->index : 1 - side->index];
    bool through_vm = side->index == SIM_HOST && !own;
    bool nothing = false;
    enum kvpbus_error error = through_vm ? sim_exchange_read(world, &nothing) : KVPBUS_OK;
    if (error != KVPBUS_OK || nothing)
        return error;
    if (sim_strikes(world, SIM_READ_FAILS))
        return sim_rng_chance(&world->rng, 500) ? KVPBUS_STORE_GONE : KVPBUS_STORE_BUSY;
    struct view view = look(side, own, channel);
    size_t split = view.other != NULL ? view.split : view.table->count;
    for (size_t i = 0; i < view.table->count && i < split; i++)
        give(world, &view, scan, &view.table->entries[i]);
    for (size_t i = split; view.other != NULL && i < view.other->count; i++)
        give(world, &view, scan, &view.other->entries[i]);
    scan->foreign += world->sides[own ? side->index : 1 - side->index].neighbours;
    return KVPBUS_OK;
}

// --- writes -------------------------------------------------------------------------------------

static void put(struct sim_side *side, const struct kvpbus_change *change)
{
    struct sim_world *world = side->world;
    struct sim_channel *channel = &world->channels[side->index];
    char value[KVPBUS_VALUE_MAX + 1];
    uint64_t due = world->now + sim_draw(world, world->timing.push);
    if (!sim_exchange_works(world) && !world->sides[SIM_GUEST].paused)
        due = SIM_NEVER; // pushed when it starts, if at all
    if (change->value == NULL) {
        sim_channel_put(channel, change->key, NULL, due);
        return;
    }
    size_t length = strlen(change->value);
    memcpy(value, change->value, length + 1);
    if (sim_strikes(world, SIM_CUT))
        length = sim_rng_range(&world->rng, 1, length);
    if (sim_level(world, SIM_LONG_CUT) > 0 && length > world->value_limit)
        length = world->value_limit;
    value[length] = '\0';
    sim_channel_put(channel, change->key, value, due);
}

static enum kvpbus_error apply(struct sim_side *side, const struct kvpbus_change *change)
{
    struct sim_world *world = side->world;
    struct sim_channel *channel = &world->channels[side->index];
    bool new_key = change->value != NULL && sim_table_get(&channel->own, change->key) == NULL;
    if (sim_level(world, SIM_CEILING) > 0) {
        channel->failed |= new_key && channel->own.count >= world->ceiling;
        channel->failed &= channel->own.count >= world->ceiling / 2;
        if (new_key && channel->failed)
            return KVPBUS_STORE_TOO_MANY;
    }
    put(side, change);
    return KVPBUS_OK;
}

// The change may happen, now or much later, or not; nobody can say.
static void perhaps(struct sim_side *side, const struct kvpbus_change *change, bool late)
{
    struct sim_world *world = side->world;
    if (late)
        sim_channel_late(&world->channels[side->index], change->key, change->value,
                         world->now + sim_rng_range(&world->rng, 1000, 60000));
    else if (sim_rng_chance(&world->rng, 500))
        apply(side, change);
}

static void fill(enum kvpbus_error *results, size_t from, size_t to, enum kvpbus_error error)
{
    for (size_t i = from; i < to; i++)
        results[i] = error;
}

void sim_write(struct sim_side *side, const struct kvpbus_change *changes, size_t count,
               enum kvpbus_error *results)
{
    struct sim_world *world = side->world;
    size_t done = count;
    enum kvpbus_error error =
        side->index == SIM_HOST ? sim_exchange_write(world, count, &done) : KVPBUS_OK;
    fill(results, 0, count, error);
    if (error != KVPBUS_OK) {
        for (size_t i = 0; i < done; i++)
            apply(side, &changes[i]);
        return;
    }
    if (sim_strikes(world, SIM_BUSY)) {
        fill(results, 0, count, KVPBUS_STORE_BUSY);
        return;
    }
    if (sim_strikes(world, SIM_NO_EFFECT))
        return;
    bool unknown = sim_strikes(world, SIM_UNKNOWN), late = sim_strikes(world, SIM_LATE);
    if (unknown || late) {
        fill(results, 0, count, KVPBUS_STORE_UNKNOWN);
        for (size_t i = 0; i < count; i++)
            perhaps(side, &changes[i], late);
    } else {
        if (sim_strikes(world, SIM_HALF_BATCH)) {
            done = sim_rng_below(&world->rng, count);
            fill(results, done, count, KVPBUS_STORE_REJECTED);
        }
        for (size_t i = 0; i < done; i++)
            results[i] = apply(side, &changes[i]);
    }
    if (!world->channels[side->index].pushed)
        sim_channel_remember(&world->channels[side->index]);
}

void sim_write_abandoned(struct sim_side *side, const struct kvpbus_change *changes, size_t count)
{
    struct sim_world *world = side->world;
    size_t done = sim_rng_below(&world->rng, count + 1);
    for (size_t i = 0; i < done; i++)
        apply(side, &changes[i]);
    sim_watch_store(side);
}

// --- the way to the peer ------------------------------------------------------------------------

static void notice(struct sim_world *world)
{
    struct sim_side *guest = &world->sides[SIM_GUEST];
    if (guest->process == NULL || guest->paused || sim_strikes(world, SIM_LOST_NOTICE))
        return;
    uint64_t at = sim_side_now(guest) + sim_draw(world, world->timing.notice);
    if (at < guest->process->notice_at)
        guest->process->notice_at = at;
}

void sim_channels_turn(struct sim_world *world)
{
    if (sim_exchange_works(world) && sim_channel_turn(&world->channels[SIM_HOST], world->now))
        notice(world);
    sim_channel_turn(&world->channels[SIM_GUEST], world->now);
}

void sim_intrude(struct sim_world *world, int writer, bool own, const char *key, const char *value)
{
    struct sim_channel *channel = &world->channels[writer];
    if (own) {
        sim_channel_put(channel, key, value, world->now + sim_draw(world, world->timing.push));
        return;
    }
    sim_table_put(sim_channel_seen(channel), key, value);
    sim_channel_remember(channel);
    if (writer == SIM_HOST)
        notice(world);
}
