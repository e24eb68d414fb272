// SPDX-License-Identifier: Apache-2.0
//
// What happens at a stroke, and the end of it.
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

uint64_t sim_soon(struct sim_world *world, uint64_t low, uint64_t high)
{
    return world->now + sim_rng_range(&world->rng, low, high);
}

// --- stores -------------------------------------------------------------------------------------

static void wipe(struct sim_world *world, struct sim_table *table)
{
    if (sim_rng_chance(&world->rng, 700)) {
        sim_table_clear(table);
        return;
    }
    for (size_t i = table->count; i-- > 0;) // or some of it
        if (sim_rng_chance(&world->rng, 500))
            sim_table_put(table, table->entries[i].key, NULL);
}

static void come_back(struct sim_world *world, int writer)
{
    for (uint64_t n = sim_rng_range(&world->rng, 1, 30); n > 0; n--) {
        const struct sim_entry *entry = sim_channel_archived(&world->channels[writer], &world->rng);
        if (entry == NULL)
            return;
        struct sim_entry copy = *entry; // its text lives as long as the archive's place
        if (sim_table_get(&world->channels[writer].own, copy.key) == NULL) {
            char value[KVPBUS_VALUE_MAX + 1];
            snprintf(value, sizeof value, "%s", sim_entry_text(&copy));
            sim_channel_put(&world->channels[writer], copy.key, value, world->now);
        }
    }
}

// --- machines -----------------------------------------------------------------------------------

static void vm_off(struct sim_world *world, bool power_lost)
{
    struct sim_side *guest = &world->sides[SIM_GUEST];
    if (!guest->machine_on || guest->paused)
        return;
    sim_trace(world, SIM_GUEST, "the VM goes off");
    sim_side_kill(guest, power_lost, SIM_NEVER, "the VM is off");
    guest->machine_on = false;
}

static void vm_on(struct sim_world *world)
{
    struct sim_side *guest = &world->sides[SIM_GUEST];
    struct sim_channel *to_guest = &world->channels[SIM_HOST];
    if (guest->machine_on)
        return;
    sim_trace(world, SIM_GUEST, "the VM starts");
    guest->machine_on = true;
    guest->start_at = sim_soon(world, 500, 10000);
    if (world->plan.on[SIM_WIPE_SEEN] && sim_rng_chance(&world->rng, 500))
        wipe(world, &to_guest->seen);
    if (world->plan.on[SIM_WIPE_OWN] && sim_rng_chance(&world->rng, 500))
        wipe(world, &world->channels[SIM_GUEST].own);
    if (world->plan.on[SIM_COME_BACK])
        come_back(world, SIM_HOST);
    sim_channel_push_all(to_guest, world->now + 100, world->now + 5000, &world->rng);
}

static void vm_resume(struct sim_world *world)
{
    struct sim_side *guest = &world->sides[SIM_GUEST];
    if (!guest->paused)
        return;
    sim_trace(world, SIM_GUEST, "the VM goes on");
    guest->paused = false;
    guest->behind += world->now - guest->paused_since;
    if (guest->saved)
        sim_channel_push_all(&world->channels[SIM_HOST], world->now + 100, world->now + 5000,
                             &world->rng);
    guest->saved = false;
}

static void vm_pause(struct sim_world *world, bool saved)
{
    struct sim_side *guest = &world->sides[SIM_GUEST];
    if (!guest->machine_on || guest->paused)
        return;
    sim_trace(world, SIM_GUEST, saved ? "the VM is saved" : "the VM is paused");
    guest->paused = true;
    guest->saved = saved;
    guest->paused_since = world->now;
    sim_plan_add(world, sim_soon(world, 1000, 90000), SIM_VM_RESUME, SIM_GUEST, 0);
}

static void vm_noticed(struct sim_world *world)
{
    const struct sim_side *guest = &world->sides[SIM_GUEST];
    sim_side_suspend(&world->sides[SIM_HOST], !guest->machine_on || guest->paused ||
                                                  world->exchange.off || world->exchange.imported);
}

static void step_clock(struct sim_world *world, struct sim_side *side)
{
    static const int64_t day = 24 * 60 * 60 * 1000;
    side->wall_offset = (int64_t)sim_rng_below(&world->rng, (uint64_t)(2 * day)) - day;
    if (sim_rng_chance(&world->rng, 500))
        side->wall_offset /= 1000;
    sim_trace(world, side->index, "its clock is %lld ms off", (long long)side->wall_offset);
}

static void spoil_disk(struct sim_world *world, struct sim_side *side, int kind)
{
    unsigned level =
        sim_rng_chance(&world->rng, 500) ? 1000 : (unsigned)sim_rng_range(&world->rng, 20, 500);
    if (kind == SIM_DISK_FULL)
        side->disk.full_permille = level;
    else
        side->disk.error_permille = level;
    sim_trace(world, side->index, kind == SIM_DISK_FULL ? "its disk is full" : "its disk fails");
    sim_plan_add(world, sim_soon(world, 500, 30000), SIM_DISK_WELL, side->index, 0);
}

// A new identity, as 'kvpbus rotate' makes it: first it is durable, then the program goes on with
// it, unless it is killed in between.
static void rotate(struct sim_world *world, struct sim_side *side, bool dies)
{
    uint8_t seed[crypto_sign_SEEDBYTES];
    uint8_t identity[KVPBUS_IDENTITY_BYTES], secret[KVPBUS_SECRET_BYTES];
    if (!sim_side_ready(side) || side->paused || kvpbus_bus_left_behind(side->process->bus) != NULL)
        return;
    sim_trace(world, side->index, "it takes a new identity");
    sim_rng_bytes(&world->rng, seed, sizeof seed);
    crypto_sign_seed_keypair(identity, secret, seed);
    kvpbus_rotation_add(&side->rotation, side->role, NULL, side->identity, side->secret, identity);
    memcpy(side->identity, identity, sizeof side->identity);
    memcpy(side->secret, secret, sizeof side->secret);
    if (dies) {
        sim_side_kill(side, true, sim_soon(world, 100, 10000), "killed with a new identity");
        return;
    }
    struct sim_arena *before = sim_side_enter(side);
    kvpbus_bus_tick(side->process->bus, sim_side_now(side), sim_side_wall(side));
    kvpbus_bus_rotate(side->process->bus, side->identity, side->secret, &side->rotation);
    sim_side_leave(before);
}

static bool may_be_imported(const struct sim_world *world)
{
    const struct sim_side *guest = &world->sides[SIM_GUEST];
    return guest->machine_on && !guest->paused && guest->starts > 0 &&
           world->sides[SIM_HOST].starts > 0 && !world->exchange.imported;
}

// The VM comes back under another id, and the host's operator says so: its program does it at its
// next start.
static void import(struct sim_world *world)
{
    struct sim_side *host = &world->sides[SIM_HOST];
    if (!may_be_imported(world))
        return;
    vm_off(world, false);
    if (host->process != NULL)
        sim_side_kill(host, false, sim_soon(world, 100, 10000), "the VM gets another id");
    sim_trace(world, SIM_GUEST, "the VM is imported under another id");
    sim_rng_bytes(&world->rng, world->vm, sizeof world->vm);
    sim_plan_add(world, sim_soon(world, 1000, 20000), SIM_VM_ON, SIM_GUEST, 0);
    sim_plan_add(world, sim_soon(world, 100, 8000), SIM_VM_NOTICED, SIM_HOST, 0);
}

// The same, but the operator is late: until then the host says to the VM what it says to a clone.
// A VM that was saved before brings its memory, and with it a session.
static void import_untold(struct sim_world *world, bool saved)
{
    if (!may_be_imported(world))
        return;
    if (saved)
        vm_pause(world, true);
    else
        vm_off(world, false);
    sim_trace(world, SIM_GUEST, "the VM is imported under another id; its host is not told");
    world->exchange.imported = true;
    sim_rng_bytes(&world->rng, world->exchange.vm, sizeof world->exchange.vm);
    sim_host_calls_vm(world, world->exchange.vm);
    if (!saved)
        sim_plan_add(world, sim_soon(world, 1000, 20000), SIM_VM_ON, SIM_GUEST, 0);
    sim_plan_add(world, sim_soon(world, 5000, 90000), SIM_IMPORT_TOLD, SIM_HOST, saved);
}

static void import_told(struct sim_world *world, bool may_be_live)
{
    struct sim_side *host = &world->sides[SIM_HOST], *guest = &world->sides[SIM_GUEST];
    struct kvpbus_link_status status;
    if (!world->exchange.imported)
        return;
    if (!may_be_live && sim_side_ready(guest)) {
        kvpbus_endpoint_status(guest->process->endpoint, &status);
        if (status.state == KVPBUS_LINK_LIVE)
            sim_fail(world, "a VM is live with a host that knows it under another id");
    }
    if (host->process != NULL)
        sim_side_kill(host, false, sim_soon(world, 100, 10000), "it is told of the VM's other id");
    world->exchange.imported = false;
    memcpy(world->vm, world->exchange.vm, sizeof world->vm);
}

// --- all of it ----------------------------------------------------------------------------------

static void set_apart(struct sim_world *world, const struct sim_event *event)
{
    switch (event->kind) {
    case SIM_DAEMON_LATE:
        vm_off(world, sim_rng_chance(&world->rng, 300));
        sim_exchange_event(world, event);
        vm_on(world);
        break;
    case SIM_IMPORT:
        import_untold(world, event->argument != 0);
        break;
    case SIM_IMPORT_TOLD:
        import_told(world, event->argument != 0);
        break;
    default:
        sim_exchange_event(world, event);
        break;
    }
}

static void life(struct sim_world *world, const struct sim_event *event)
{
    struct sim_side *side = &world->sides[event->side];
    switch (event->kind) {
    case SIM_VM_OFF:
        vm_off(world, sim_rng_chance(&world->rng, 500));
        sim_plan_add(world, sim_soon(world, 1000, 90000), SIM_VM_ON, SIM_GUEST, 0);
        break;
    case SIM_VM_REBOOT:
        vm_off(world, sim_rng_chance(&world->rng, 300));
        vm_on(world);
        return;
    case SIM_VM_PAUSE:
    case SIM_VM_SAVE:
        vm_pause(world, event->kind == SIM_VM_SAVE);
        break;
    case SIM_VM_ON:
        vm_on(world);
        break;
    case SIM_VM_RESUME:
        vm_resume(world);
        break;
    case SIM_VM_NOTICED:
        vm_noticed(world);
        return;
    case SIM_CLOCK:
        step_clock(world, side);
        return;
    default:
        set_apart(world, event);
        break;
    }
    sim_plan_add(world, sim_soon(world, 100, 8000), SIM_VM_NOTICED, SIM_HOST, 0);
}

static void crash(struct sim_world *world, const struct sim_event *event)
{
    struct sim_side *side = &world->sides[event->side];
    if (side->process == NULL || side->paused)
        return;
    if (event->kind == SIM_KILL)
        sim_side_kill(side, false, sim_soon(world, 100, 10000), "killed");
    else if (event->kind == SIM_POWER)
        sim_side_kill(side, true, sim_soon(world, 1000, 20000), "power is lost");
    else
        side->disk.crash_in = sim_rng_range(&world->rng, 1, 60);
}

static void disturb_store(struct sim_world *world, const struct sim_event *event)
{
    switch (event->kind) {
    case SIM_WIPE_SEEN:
        sim_trace(world, SIM_GUEST, "pool 0 is wiped");
        wipe(world, &world->channels[SIM_HOST].seen);
        break;
    case SIM_WIPE_OWN:
        sim_trace(world, event->side, "its store is wiped");
        wipe(world, &world->channels[event->side].own);
        break;
    default:
        sim_trace(world, event->side, "items come back");
        come_back(world, event->side);
        break;
    }
}

static void go_back(struct sim_world *world, const struct sim_event *event)
{
    struct sim_side *side = &world->sides[event->side];
    switch (event->kind) {
    case SIM_CHECKPOINT:
        // A message that is being queued would be queued twice, once in each life.
        if (sim_check_submitted(world, event->side))
            sim_plan_add(world, world->now + 20, SIM_CHECKPOINT, event->side, event->argument);
        else
            sim_checkpoint_take(side, event->argument);
        break;
    case SIM_REVERT_GUEST_DISK:
    case SIM_RESTORE_HOST:
        sim_checkpoint_revert(side, event->argument, false);
        break;
    default:
        sim_checkpoint_revert(side, event->argument, true);
        break;
    }
}

static void happen(struct sim_world *world, const struct sim_event *event)
{
    struct sim_side *side = &world->sides[event->side];
    switch (event->kind) {
    case SIM_WIPE_SEEN:
    case SIM_WIPE_OWN:
    case SIM_COME_BACK:
        disturb_store(world, event);
        break;
    case SIM_DISK_FULL:
    case SIM_DISK_FAILS:
        spoil_disk(world, side, event->kind);
        break;
    case SIM_DISK_WELL:
        side->disk.full_permille = side->disk.error_permille = 0;
        break;
    case SIM_CHECKPOINT:
    case SIM_REVERT_GUEST_DISK:
    case SIM_RESTORE_HOST:
    case SIM_REVERT_GUEST_MEMORY:
    case SIM_REVERT_HOST_MEMORY:
        go_back(world, event);
        break;
    case SIM_KILL:
    case SIM_POWER:
    case SIM_CRASH_AT_WRITE:
        crash(world, event);
        break;
    case SIM_REPLAY:
    case SIM_STRANGER:
    case SIM_GARBAGE:
    case SIM_SECOND_WRITER:
    case SIM_WRITE_AS_SECOND:
        sim_trace(world, event->side, "somebody writes into its store");
        sim_intrusion(world, event);
        break;
    case SIM_CONSUMER_STOPS:
        side->consumer_stops = true;
        sim_plan_add(world, sim_soon(world, 5000, 60000), SIM_CONSUMER_GOES, event->side, 0);
        break;
    case SIM_CONSUMER_GOES:
        side->consumer_stops = false;
        break;
    case SIM_ROTATE:
        rotate(world, side, event->argument == 0);
        break;
    case SIM_REBIND:
        import(world);
        break;
    case SIM_MOVE:
        sim_move(world);
        break;
    default:
        life(world, event);
        break;
    }
}

uint64_t sim_events_deadline(const struct sim_world *world)
{
    uint64_t deadline = SIM_NEVER;
    for (size_t i = 0; i < world->plan.event_count; i++)
        if (world->plan.events[i].at < deadline)
            deadline = world->plan.events[i].at;
    return deadline;
}

void sim_events_turn(struct sim_world *world)
{
    struct sim_plan *plan = &world->plan;
    for (size_t i = 0; i < plan->event_count;) {
        if (plan->events[i].at > world->now) {
            i++;
            continue;
        }
        struct sim_event event = plan->events[i];
        plan->events[i] = plan->events[--plan->event_count];
        happen(world, &event);
        i = 0;
    }
}

void sim_restart_stopped(struct sim_side *side)
{
    struct kvpbus_link_status status;
    if (!sim_side_ready(side))
        return;
    kvpbus_endpoint_status(side->process->endpoint, &status);
    if (status.state == KVPBUS_LINK_STOPPED)
        sim_side_kill(side, false, side->world->now + 1000, "a second writer was found and ended");
}

void sim_heal(struct sim_world *world)
{
    sim_trace(world, SIM_HOST, "the world is healed");
    world->plan.event_count = 0;
    sim_exchange_heal(world);
    import_told(world, true);
    vm_resume(world);
    vm_on(world);
    for (int i = 0; i < SIM_SIDES; i++) {
        struct sim_side *side = &world->sides[i];
        side->disk.full_permille = side->disk.error_permille = 0;
        side->disk.crash_in = 0;
        side->wall_offset = 0;
        side->consumer_stops = false;
        if (side->process == NULL && side->start_at == SIM_NEVER)
            side->start_at = world->now;
        sim_restart_stopped(side);
        // A job that still runs ends now.
        for (size_t late = 0; late < world->channels[i].late_count; late++)
            world->channels[i].late[late].due = world->now;
    }
    vm_noticed(world);
}
