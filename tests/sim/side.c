// SPDX-License-Identifier: Apache-2.0
//
// One side: its process from start to death, and the turns of its loop.
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum {
    ARENA = 96 * 1024 * 1024,
    START_AGAIN = 1000, // ms, as a service manager does
    SMALL_BODY = 384 * 1024,
    SMALL_RESERVE = 32 * 1024,
    BUNDLE_TARGET = 64 * 1024,
    DRAWS_A_TURN = 10000, // actions in one turn: more is no progress
};

static struct sim_side *running;

struct sim_side *sim_side_running(void)
{
    return running;
}

struct sim_arena *sim_side_enter(struct sim_side *side)
{
    running = side;
    sim_vfs_use(&side->disk, &side->random);
    return sim_arena_enter(side->arena);
}

void sim_side_leave(struct sim_arena *before)
{
    sim_arena_enter(before);
    if (before == NULL)
        running = NULL;
}

// --- clocks -------------------------------------------------------------------------------------

uint64_t sim_side_now(const struct sim_side *side)
{
    return side->world->now - side->behind;
}

int64_t sim_side_wall(const struct sim_side *side)
{
    static const int64_t epoch = INT64_C(1750000000000);
    return epoch + (int64_t)side->world->now + side->wall_offset;
}

static uint64_t world_time(const struct sim_side *side, uint64_t own)
{
    return own == SIM_NEVER ? SIM_NEVER : own + side->behind;
}

// --- start --------------------------------------------------------------------------------------

void sim_side_init(struct sim_world *world, int index)
{
    struct sim_side *side = &world->sides[index];
    side->world = world;
    side->index = index;
    side->role = index == SIM_HOST ? KVPBUS_ROLE_HOST : KVPBUS_ROLE_GUEST;
    sim_rng_seed(&side->random, world->options.seed, 10 + (uint64_t)index);
    uint8_t seed[crypto_sign_SEEDBYTES];
    sim_rng_bytes(&side->random, seed, sizeof seed);
    crypto_sign_seed_keypair(side->identity, side->secret, seed);
    side->arena = sim_arena_new(ARENA);
    side->disk.rng = &world->rng;
    side->machine_on = true;
    side->start_at = sim_rng_below(&world->rng, 2000);
}

static void draw(void *context, uint8_t *bytes, size_t length)
{
    sim_rng_bytes(context, bytes, length);
}

static void on_inbox(void *context, int64_t peer)
{
    (void)peer;
    sim_consumer_wake(context);
    sim_callers_wake(context);
}

static void on_outcome(void *context, int64_t peer)
{
    (void)peer;
    ((struct sim_process *)context)->outcomes_changed = true;
}

static void on_event(void *context, int64_t peer, enum kvpbus_event event, const char *text)
{
    const struct sim_side *side = ((struct sim_process *)context)->side;
    (void)peer;
    sim_trace(side->world, side->index, "%s: %s",
              event == KVPBUS_EVENT_ALARM           ? "alarm"
              : event == KVPBUS_EVENT_WENT_BACK     ? "went back"
              : event == KVPBUS_EVENT_SECOND_WRITER ? "second writer"
                                                    : "link",
              text);
    if (event == KVPBUS_EVENT_SECOND_WRITER && !side->world->second_writer)
        sim_fail(side->world, "a second writer is seen where there is none");
}

static bool small(const struct sim_world *world)
{
    return world->plan.on[SIM_SMALL_INBOX];
}

enum kvpbus_error sim_journal_open(struct sim_side *side, struct kvpbus_journal **journal,
                                   struct kvpbus_failure *failure)
{
    struct kvpbus_journal_options options = {
        .vfs = "sim",
        .role = side->role,
        .body_max = SMALL_BODY,
        .tries_max = 10000,
        .audit_max = 100, // so that its old end is cut as well
    };
    if (small(side->world)) {
        options.control_reserve = SMALL_RESERVE;
        options.inbox_max = SMALL_BODY + SMALL_RESERVE + 64 * 1024;
        options.outbox_max = 2 * options.inbox_max;
    }
    return kvpbus_journal_open("journal", &options, journal, failure);
}

// The VM that the host knows under another id goes on as the present one.
static enum kvpbus_error rebind(struct sim_process *process)
{
    const struct sim_world *world = process->side->world;
    struct kvpbus_peer *peers;
    size_t count;
    int64_t other;
    enum kvpbus_error error = kvpbus_journal_peers(process->journal, &peers, &count);
    if (error == KVPBUS_OK && count == 1 && memcmp(peers->vm, world->vm, sizeof world->vm) != 0 &&
        peers->paired)
        error = kvpbus_journal_rebind(process->journal, peers->id, world->vm, &other);
    free(peers);
    return error;
}

// The row of the peer; pinned at the first start, as provisioning does.
static enum kvpbus_error find_peer(struct sim_process *process, struct kvpbus_peer *peer)
{
    static const uint8_t none[KVPBUS_VM_ID_BYTES];
    struct sim_side *side = process->side;
    struct sim_world *world = side->world;
    bool host = side->index == SIM_HOST;
    const uint8_t *identity = world->sides[1 - side->index].identity;
    enum kvpbus_error error = kvpbus_journal_begin(process->journal);
    if (error != KVPBUS_OK)
        return error;
    if (host)
        error = rebind(process);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_peer(process->journal, host ? world->vm : none, "peer", peer);
    if (error == KVPBUS_OK && !peer->paired) {
        error = kvpbus_journal_pin(process->journal, peer->id, identity, world->vm);
        if (error == KVPBUS_OK)
            error = kvpbus_journal_introduced(process->journal, peer->id, side->identity);
        if (error == KVPBUS_OK)
            error = kvpbus_journal_peer_get(process->journal, peer->id, peer);
    }
    if (error != KVPBUS_OK) {
        kvpbus_journal_rollback(process->journal);
        return error;
    }
    return kvpbus_journal_commit(process->journal, NULL);
}

static enum kvpbus_error open_bus(struct sim_process *process, const struct kvpbus_peer *peer)
{
    struct sim_side *side = process->side;
    struct kvpbus_bus_options options = {
        .role = side->role,
        .prefix = SIM_PREFIX,
        .body_max = SMALL_BODY,
        .bundle_target = small(side->world) ? BUNDLE_TARGET : 0,
        .random = draw,
        .random_context = &side->random,
        .listener = {process, on_inbox, on_outcome, on_event},
    };
    memcpy(options.identity, side->identity, sizeof options.identity);
    memcpy(options.secret, side->secret, sizeof options.secret);
    enum kvpbus_error error = kvpbus_bus_open(&options, &process->executor, &process->bus);
    if (error != KVPBUS_OK)
        return error;
    process->peer = peer->id;
    kvpbus_bus_follows(process->bus, &side->rotation);
    kvpbus_bus_tick(process->bus, sim_side_now(side), sim_side_wall(side));
    error = kvpbus_bus_attach(process->bus, peer, peer->vm, &process->endpoint);
    if (error == KVPBUS_OK)
        kvpbus_endpoint_suspend(process->endpoint, side->suspended, "the VM is off");
    return error;
}

static enum kvpbus_error start(struct sim_side *side)
{
    struct kvpbus_failure failure = {0};
    struct kvpbus_peer peer;
    struct sim_process *process = calloc(1, sizeof *process);
    if (process == NULL)
        abort();
    process->side = side;
    process->notice_at = SIM_NEVER;
    sim_executor_init(process);
    enum kvpbus_error error = sim_journal_open(side, &process->journal, &failure);
    if (error == KVPBUS_OK)
        error = find_peer(process, &peer);
    if (error == KVPBUS_OK)
        error = open_bus(process, &peer);
    for (size_t i = 0; i < SIM_CONSUMERS; i++)
        process->consumers[i].process = process;
    sim_callers_start(process);
    if (error != KVPBUS_OK) {
        sim_trace(side->world, side->index, "does not start: %s %s", kvpbus_error_name(error),
                  failure.detail);
        return error;
    }
    side->process = process;
    sim_consumer_wake(process);
    return KVPBUS_OK;
}

void sim_side_start(struct sim_side *side)
{
    struct sim_world *world = side->world;
    sim_arena_reset(side->arena);
    side->start_at = SIM_NEVER;
    struct sim_arena *before = sim_side_enter(side);
    enum kvpbus_error error = start(side);
    sim_side_leave(before);
    if (sim_side_died(side))
        return;
    if (error == KVPBUS_OK) {
        side->starts++;
        sim_trace(world, side->index, "starts");
        return;
    }
    bool excused = error == KVPBUS_IO || error == KVPBUS_NO_SPACE || error == KVPBUS_JOURNAL_FULL;
    if (!excused || side->disk.failures == 0)
        sim_fail(world, "the journal of side %d does not open: %s", side->index,
                 kvpbus_error_name(error));
    sim_arena_reset(side->arena);
    side->process = NULL;
    side->start_at = world->now + START_AGAIN;
}

bool sim_side_ready(const struct sim_side *side)
{
    return side->process != NULL && !side->paused;
}

// --- death --------------------------------------------------------------------------------------

void sim_side_kill(struct sim_side *side, bool power_lost, uint64_t again, const char *why)
{
    struct sim_world *world = side->world;
    side->start_at = again;
    if (side->process != NULL) {
        sim_trace(world, side->index, "dies: %s", why);
        const struct sim_action *write = &side->process->actions[KVPBUS_ACTION_WRITE];
        if (write->active && !write->carried_out)
            sim_write_abandoned(side, write->action.changes, write->action.count);
        sim_check_crash(world, side->index);
        sim_calls_crash(world, side->index);
    }
    side->process = NULL;
    sim_arena_reset(side->arena);
    sim_disk_restart(&side->disk, power_lost, &world->rng);
}

bool sim_side_died(struct sim_side *side)
{
    struct sim_world *world = side->world;
    if (!side->disk.dead)
        return false;
    uint64_t again = world->now + sim_rng_range(&world->rng, 200, 20000);
    sim_side_kill(side, sim_rng_chance(&world->rng, 500), again, "at a write of the journal");
    return true;
}

void sim_side_suspend(struct sim_side *side, bool suspended)
{
    side->suspended = suspended;
    if (side->process == NULL)
        return;
    sim_trace(side->world, side->index, suspended ? "is suspended" : "goes on");
    struct sim_arena *before = sim_side_enter(side);
    kvpbus_bus_tick(side->process->bus, sim_side_now(side), sim_side_wall(side));
    kvpbus_endpoint_suspend(side->process->endpoint, suspended, "the VM is off");
    sim_side_leave(before);
}

// --- actions ------------------------------------------------------------------------------------

static void begin_action(struct sim_process *process, const struct kvpbus_action *action)
{
    struct sim_side *side = process->side;
    struct sim_world *world = side->world;
    struct sim_action *under_way = &process->actions[action->kind];
    bool write = action->kind == KVPBUS_ACTION_WRITE;
    if (under_way->active)
        sim_fail(world, "two actions of kind %d are under way at side %d", (int)action->kind,
                 side->index);
    uint64_t takes = sim_draw(world, write ? world->timing.write : world->timing.read);
    if (sim_strikes(world, SIM_SLOW))
        takes += sim_rng_range(&world->rng, 1000, 30000);
    *under_way = (struct sim_action){.active = true, .action = *action};
    under_way->report_at = sim_side_now(side) + takes;
    under_way->at = sim_side_now(side) + (takes > 0 ? sim_rng_below(&world->rng, takes + 1) : 0);
    if (write)
        sim_watch_write(side, action->changes, action->count);
}

static void report_write(struct sim_process *process, struct sim_action *action)
{
    struct sim_side *side = process->side;
    struct kvpbus_failure failure = {0};
    for (size_t i = 0; i < action->action.count; i++)
        if (action->results[i] != KVPBUS_OK)
            failure.code = action->results[i];
    if (failure.code != KVPBUS_OK)
        kvpbus_fail(&failure, failure.code, "%s", kvpbus_error_text(failure.code));
    sim_trace(side->world, side->index, "write reported: %s", kvpbus_error_name(failure.code));
    action->active = false;
    kvpbus_bus_write_done(process->endpoint, action->results, &failure);
}

static void report_read(struct sim_process *process, struct sim_action *action)
{
    struct sim_side *side = process->side;
    struct kvpbus_scan scan = {0};
    struct kvpbus_failure failure = {0};
    bool own = action->action.kind == KVPBUS_ACTION_READ_OWN;
    enum kvpbus_error error = sim_read(side, own, &scan);
    if (error != KVPBUS_OK)
        kvpbus_fail(&failure, error, "%s", kvpbus_error_text(error));
    sim_watch_read(side, own, &scan);
    action->active = false;
    kvpbus_bus_read_done(process->endpoint, action->action.kind, error, &scan, &failure);
    kvpbus_scan_free(&scan);
}

static void actions_turn(struct sim_process *process)
{
    struct sim_action *write = &process->actions[KVPBUS_ACTION_WRITE];
    uint64_t now = sim_side_now(process->side);
    if (write->active && !write->carried_out && write->at <= now) {
        sim_write(process->side, write->action.changes, write->action.count, write->results);
        sim_watch_store(process->side);
        write->carried_out = true;
    }
    if (write->active && write->report_at <= now)
        report_write(process, write);
    for (int kind = KVPBUS_ACTION_READ_PEER; kind <= KVPBUS_ACTION_READ_OWN; kind++) {
        struct sim_action *read = &process->actions[kind];
        if (read->active && read->report_at <= now)
            report_read(process, read);
    }
}

static void take_actions(struct sim_process *process)
{
    struct kvpbus_action action;
    for (int i = 0; kvpbus_bus_action(process->endpoint, &action); i++) {
        begin_action(process, &action);
        if (i == DRAWS_A_TURN)
            sim_fail(process->side->world, "side %d asks for actions without end",
                     process->side->index);
        if (process->side->world->failed)
            return;
    }
}

// --- turns --------------------------------------------------------------------------------------

static bool turn(struct sim_process *process)
{
    struct sim_side *side = process->side;
    uint64_t now = sim_side_now(side);
    if (process->finished != NULL && process->finish_at <= now)
        sim_executor_finish(process);
    if (process->queued != NULL && process->run_at <= now && !sim_executor_run(process))
        return false;
    actions_turn(process);
    if (process->notice_at <= now) {
        process->notice_at = SIM_NEVER;
        kvpbus_bus_notice(process->endpoint);
    }
    sim_consumers_turn(process);
    sim_callers_turn(process);
    kvpbus_bus_tick(process->bus, now, sim_side_wall(side));
    take_actions(process);
    return true;
}

void sim_side_turn(struct sim_side *side)
{
    if (side->process == NULL) {
        if (side->start_at <= side->world->now && side->machine_on && !side->paused)
            sim_side_start(side);
        return;
    }
    if (side->paused)
        return;
    struct sim_arena *before = sim_side_enter(side);
    bool lives = turn(side->process);
    sim_side_leave(before);
    if (!lives)
        sim_side_died(side);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t sim_side_deadline(const struct sim_side *side)
{
    const struct sim_process *process = side->process;
    if (side->paused || !side->machine_on)
        return SIM_NEVER;
    if (process == NULL)
        return side->start_at;
    // A loop sleeps for a millisecond at least.
    uint64_t deadline = kvpbus_bus_deadline(process->bus);
    if (deadline <= sim_side_now(side))
        deadline = sim_side_now(side) + 1;
    if (process->queued != NULL)
        deadline = earlier(deadline, process->run_at);
    if (process->finished != NULL)
        deadline = earlier(deadline, process->finish_at);
    for (size_t i = 0; i < SIM_ACTIONS; i++) {
        const struct sim_action *action = &process->actions[i];
        bool waits = i == KVPBUS_ACTION_WRITE && !action->carried_out;
        if (action->active)
            deadline = earlier(deadline, waits ? action->at : action->report_at);
    }
    deadline = earlier(deadline, process->notice_at);
    deadline = earlier(deadline, sim_consumers_deadline(process));
    deadline = earlier(deadline, sim_callers_deadline(process));
    return world_time(side, deadline);
}
