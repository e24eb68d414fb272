// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <sodium.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DRAIN_MAX = 40 * 60 * 1000, // ms from the end of all faults until everything is through
    QUIET = 130 * 1000,         // longer than any timer of the link: then it is idle
    IDLE = 10 * 60 * 1000,
    LOOK_EVERY = 5000,
    SAME_TIME_MAX = 20000, // turns without the clock going on
    STEPS_MAX = 3000000,
};

// --- randomness ---------------------------------------------------------------------------------

// One world at a time: the one whose code draws outside of any side.
static struct sim_rng outside;

static struct sim_rng *generator(void)
{
    struct sim_side *side = sim_side_running();
    return side != NULL ? &side->random : &outside;
}

static const char *random_name(void)
{
    return "kvpbus-sim";
}

static uint32_t random_word(void)
{
    return (uint32_t)sim_rng_next(generator());
}

static void random_bytes(void *const bytes, const size_t length)
{
    sim_rng_bytes(generator(), bytes, length);
}

void sim_setup(void)
{
    static randombytes_implementation implementation = {
        .implementation_name = random_name,
        .random = random_word,
        .buf = random_bytes,
    };
    static bool done;
    if (done)
        return;
    done = true;
    if (randombytes_set_implementation(&implementation) != 0 || sodium_init() < 0)
        abort();
    sim_arena_setup();
    sim_vfs_setup();
}

// --- trace --------------------------------------------------------------------------------------

void sim_trace(struct sim_world *world, int side, const char *format, ...)
{
    char line[400];
    int used = snprintf(line, sizeof line, "%9llu %s ", (unsigned long long)world->now,
                        side == SIM_HOST ? "host " : "guest");
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + used, sizeof line - (size_t)used, format, arguments);
    va_end(arguments);
    for (const char *c = line; *c != '\0'; c++)
        world->hash = (world->hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    if (world->options.trace)
        puts(line);
}

void sim_fail(struct sim_world *world, const char *format, ...)
{
    if (world->failed)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world->failure, sizeof world->failure, format, arguments);
    va_end(arguments);
    world->failed = true;
    sim_trace(world, SIM_HOST, "FAILED: %s", world->failure);
}

uint64_t sim_draw(struct sim_world *world, struct sim_range range)
{
    return range.high == 0 ? 0 : sim_rng_range(&world->rng, range.low, range.high);
}

// --- life ---------------------------------------------------------------------------------------

struct sim_world *sim_world_new(const struct sim_options *options)
{
    struct sim_world *world = calloc(1, sizeof *world);
    if (world == NULL)
        abort();
    world->options = *options;
    world->hash = UINT64_C(0xcbf29ce484222325);
    sim_rng_seed(&world->rng, options->seed, 1);
    sim_rng_seed(&outside, options->seed, 4);
    sim_rng_seed(&world->consumer_rng, options->seed, 21);
    sim_vfs_use(NULL, &outside);
    sqlite3_randomness(0, NULL); // drawn anew, from the seed
    sim_rng_bytes(&world->rng, world->vm, sizeof world->vm);
    world->channels[SIM_HOST].pushed = true;
    if (!options->quiet) {
        sim_plan_draw(world);
        sim_workload_draw(world);
        sim_calls_draw(world);
    }
    for (int side = 0; side < SIM_SIDES; side++)
        sim_side_init(world, side);
    world->phase_end = world->plan.length;
    return world;
}

void sim_world_free(struct sim_world *world)
{
    for (int side = 0; side < SIM_SIDES; side++) {
        sim_arena_free(world->sides[side].arena);
        sim_disk_clear(&world->sides[side].disk);
        sim_channel_clear(&world->channels[side]);
        for (size_t slot = 0; slot < SIM_CHECKPOINTS; slot++)
            sim_checkpoint_free(world->checkpoints[side][slot]);
    }
    sim_watch_free(&world->watch);
    free(world);
}

// --- time ---------------------------------------------------------------------------------------

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_time(const struct sim_world *world)
{
    uint64_t next = sim_side_deadline(&world->sides[SIM_HOST]);
    next = earlier(next, sim_side_deadline(&world->sides[SIM_GUEST]));
    if (sim_exchange_works(world))
        next = earlier(next, sim_channel_deadline(&world->channels[SIM_HOST]));
    next = earlier(next, sim_channel_deadline(&world->channels[SIM_GUEST]));
    next = earlier(next, sim_events_deadline(world));
    next = earlier(next, sim_workload_deadline(world));
    return next;
}

static void step(struct sim_world *world, uint64_t limit)
{
    uint64_t next = earlier(next_time(world), limit);
    if (next > world->now) {
        world->now = next;
        world->same_time = 0;
    } else if (++world->same_time > SAME_TIME_MAX) {
        sim_fail(world, "no progress: the clock stands still");
    }
    if (++world->steps > STEPS_MAX)
        sim_fail(world, "no end: more than %d steps", STEPS_MAX);
    sim_events_turn(world);
    sim_channels_turn(world);
    sim_workload_turn(world);
    for (int side = 0; side < SIM_SIDES; side++)
        sim_side_turn(&world->sides[side]);
}

// --- phases -------------------------------------------------------------------------------------

static void look(struct sim_world *world)
{
    if (world->now < world->looked_at + LOOK_EVERY)
        return;
    world->looked_at = world->now;
    for (int i = 0; i < SIM_SIDES; i++) {
        const struct sim_process *process = world->sides[i].process;
        if (process != NULL && process->outcomes_changed)
            sim_check_outcomes(world, i);
    }
}

static bool only_registers(const struct sim_table *table)
{
    unsigned slot;
    for (size_t i = 0; i < table->count; i++) {
        enum kvpbus_key_kind kind = kvpbus_key_parse(SIM_PREFIX, table->entries[i].key, &slot);
        if (kind != KVPBUS_KEY_HELLO && kind != KVPBUS_KEY_STATE)
            return false;
    }
    return true;
}

static bool side_drained(struct sim_side *side)
{
    struct kvpbus_journal_counts counts;
    if (!sim_side_ready(side))
        return false;
    struct sim_arena *before = sim_side_enter(side);
    enum kvpbus_error error =
        kvpbus_journal_counts(side->process->journal, side->process->peer, &counts);
    sim_side_leave(before);
    return error == KVPBUS_OK && counts.queued == 0 && counts.inbox == 0 &&
           counts.dead_letters == 0 && !counts.receipts &&
           only_registers(&side->world->channels[side->index].own);
}

static bool drained(struct sim_world *world)
{
    return sim_workload_over(world) && sim_calls_over(world) &&
           side_drained(&world->sides[SIM_HOST]) && side_drained(&world->sides[SIM_GUEST]);
}

static uint64_t all_writes(const struct sim_world *world)
{
    return world->sides[SIM_HOST].counters.writes + world->sides[SIM_GUEST].counters.writes;
}

static void say_side(struct sim_side *side, char *text, size_t size)
{
    struct kvpbus_link_status status = {.why = "it is not running"};
    struct kvpbus_journal_counts counts = {0};
    if (side->process != NULL) {
        struct sim_arena *before = sim_side_enter(side);
        kvpbus_endpoint_status(side->process->endpoint, &status);
        kvpbus_journal_counts(side->process->journal, side->process->peer, &counts);
        sim_side_leave(before);
    }
    int used = snprintf(text, size, "side %d: %s (%s), %llu queued, %llu inbox, items", side->index,
                        kvpbus_link_state_name(status.state), status.why,
                        (unsigned long long)counts.queued, (unsigned long long)counts.inbox);
    const struct sim_table *own = &side->world->channels[side->index].own;
    for (size_t i = 0; i < own->count && used > 0 && (size_t)used < size; i++)
        used += snprintf(text + used, size - (size_t)used, " %s", own->entries[i].key);
}

static void say_stuck(struct sim_world *world)
{
    char host[240], guest[240];
    say_side(&world->sides[SIM_HOST], host, sizeof host);
    say_side(&world->sides[SIM_GUEST], guest, sizeof guest);
    sim_fail(world, "not drained in time; %s; %s", host, guest);
}

static void run_until(struct sim_world *world, uint64_t limit)
{
    while (world->now < limit && !world->failed) {
        step(world, limit);
        look(world);
    }
}

static void drain(struct sim_world *world)
{
    uint64_t limit = world->now + DRAIN_MAX, quiet_since = world->now, writes = all_writes(world);
    while (!world->failed) {
        run_until(world, world->now + 1000);
        for (int side = 0; side < SIM_SIDES; side++)
            sim_restart_stopped(&world->sides[side]);
        if (all_writes(world) != writes || !drained(world)) {
            writes = all_writes(world);
            quiet_since = world->now;
        }
        if (world->now >= quiet_since + QUIET)
            return;
        if (world->now >= limit)
            say_stuck(world);
    }
}

bool sim_world_run(struct sim_world *world)
{
    world->phase = SIM_RUN;
    run_until(world, world->phase_end);
    world->phase = SIM_DRAIN;
    if (!world->failed)
        sim_heal(world);
    drain(world);
    world->phase = SIM_IDLE;
    run_until(world, world->now + IDLE);
    world->phase = SIM_DONE;
    if (!world->failed)
        sim_check_end(world);
    return !world->failed;
}

bool sim_world_until(struct sim_world *world, uint64_t limit, bool (*done)(void *context),
                     void *context)
{
    while (!world->failed && !done(context)) {
        if (world->now >= limit)
            return false;
        step(world, limit);
    }
    return !world->failed;
}
