// SPDX-License-Identifier: Apache-2.0
//
// Data Exchange, the guest's daemon and the VM's id: while one of them is amiss the guest turns,
// and has its own store and what the host's was; the host reads nothing, and what it writes stays
// there.
#include "world.h"

static bool guest_runs(const struct sim_world *world)
{
    return world->sides[SIM_GUEST].machine_on && !world->sides[SIM_GUEST].paused;
}

static bool apart(const struct sim_world *world)
{
    const struct sim_exchange *exchange = &world->exchange;
    return exchange->off || exchange->daemon_gone || exchange->imported;
}

bool sim_exchange_works(const struct sim_world *world)
{
    return guest_runs(world) && !apart(world);
}

enum kvpbus_error sim_exchange_read(const struct sim_world *world, bool *nothing)
{
    const struct sim_exchange *exchange = &world->exchange;
    *nothing = false;
    if (!guest_runs(world))
        return KVPBUS_VM_OFF;
    if (exchange->imported)
        return KVPBUS_VM_UNKNOWN;
    if (exchange->off)
        return KVPBUS_EXCHANGE_DISABLED;
    *nothing = exchange->daemon_gone && exchange->shows_nothing;
    return exchange->daemon_gone && !*nothing ? KVPBUS_STORE_GONE : KVPBUS_OK;
}

enum kvpbus_error sim_exchange_write(struct sim_world *world, size_t count, size_t *kept)
{
    const struct sim_exchange *exchange = &world->exchange;
    *kept = count;
    if (!guest_runs(world) || !apart(world))
        return KVPBUS_OK;
    if (!exchange->imported && exchange->off && exchange->keeps)
        return KVPBUS_OK;
    bool only_daemon = !exchange->imported && !exchange->off;
    if (only_daemon && sim_rng_chance(&world->rng, 300))
        return KVPBUS_OK;
    // The host keeps an item before it knows that the guest does not take it.
    *kept = only_daemon ? (size_t)sim_rng_below(&world->rng, count + 1) : 0;
    return exchange->imported ? KVPBUS_VM_UNKNOWN
           : exchange->off    ? KVPBUS_EXCHANGE_DISABLED
                              : KVPBUS_STORE_GONE;
}

// --- what happens -------------------------------------------------------------------------------

static void daemon_stops(struct sim_world *world, const struct sim_event *event)
{
    struct sim_exchange *exchange = &world->exchange;
    if (exchange->daemon_gone)
        return;
    sim_trace(world, SIM_GUEST, "the daemon is absent");
    exchange->daemon_gone = true;
    exchange->shows_nothing = event->argument != 0;
    sim_channel_push_none(&world->channels[SIM_HOST]);
    sim_plan_add(world, sim_soon(world, 1000, 90000), SIM_DAEMON_STARTS, SIM_HOST, 0);
}

// What waits since a start of the VM is pushed in any case; within one boot the host may believe
// that the guest has everything.
static void daemon_starts(struct sim_world *world)
{
    if (!world->exchange.daemon_gone)
        return;
    sim_trace(world, SIM_GUEST, "the daemon starts");
    world->exchange.daemon_gone = false;
    if (sim_rng_chance(&world->rng, 500))
        sim_channel_push_all(&world->channels[SIM_HOST], world->now + 100, world->now + 5000,
                             &world->rng);
}

static void switch_off(struct sim_world *world, const struct sim_event *event)
{
    if (world->exchange.off)
        return;
    sim_trace(world, SIM_HOST, "Data Exchange is switched off");
    world->exchange.off = true;
    world->exchange.keeps = event->argument != 0;
    sim_plan_add(world, sim_soon(world, 1000, 90000), SIM_EXCHANGE_ON, SIM_HOST, 0);
}

// The service is offered anew, which is a new connection for the guest.
static void switch_on(struct sim_world *world)
{
    if (!world->exchange.off)
        return;
    sim_trace(world, SIM_HOST, "Data Exchange is switched on");
    world->exchange.off = false;
    sim_channel_push_all(&world->channels[SIM_HOST], world->now + 100, world->now + 5000,
                         &world->rng);
}

void sim_exchange_event(struct sim_world *world, const struct sim_event *event)
{
    switch (event->kind) {
    case SIM_DAEMON_STOPS:
    case SIM_DAEMON_LATE:
        daemon_stops(world, event);
        break;
    case SIM_DAEMON_STARTS:
        daemon_starts(world);
        break;
    case SIM_EXCHANGE_OFF:
        switch_off(world, event);
        break;
    default:
        switch_on(world);
        break;
    }
}

void sim_exchange_heal(struct sim_world *world)
{
    daemon_starts(world);
    switch_on(world);
}
