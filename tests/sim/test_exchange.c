// SPDX-License-Identifier: Apache-2.0
//
// What comes between a host and a guest that runs: nothing passes meanwhile, and what both sides
// sent arrives once when it is over.
#include <criterion/criterion.h>

#include "live.h"

static void held_up(int kind, uint64_t argument)
{
    static const char down[] = "down", up[] = "up";
    struct sim_world *world = live_world();
    live_begin(world);
    sim_plan_add(world, world->now + 10, kind, SIM_GUEST, argument);
    live_wait(world, 20);
    cr_assert_not(sim_exchange_works(world));
    live_queue(world, SIM_HOST, 100, down, sizeof down);
    live_queue(world, SIM_GUEST, 100, up, sizeof up);
    for (; !sim_exchange_works(world); live_wait(world, 100))
        cr_assert_eq(world->checker.delivered, 0);
    live_deliver(world, SIM_HOST);
    live_deliver(world, SIM_GUEST);
    cr_assert_eq(world->checker.delivered, 2);
    cr_assert_not(world->failed, "%s", world->failure);
    sim_world_free(world);
}

Test(exchange, a_saved_vm, .init = sim_setup)
{
    held_up(SIM_VM_SAVE, 0);
}

Test(exchange, a_daemon_that_is_absent, .init = sim_setup)
{
    held_up(SIM_DAEMON_STOPS, 0);
}

Test(exchange, a_daemon_that_is_absent_and_whose_guest_seems_to_have_no_items, .init = sim_setup)
{
    held_up(SIM_DAEMON_STOPS, 1);
}

Test(exchange, a_daemon_that_is_late, .init = sim_setup)
{
    held_up(SIM_DAEMON_LATE, 0);
}

Test(exchange, data_exchange_that_is_switched_off, .init = sim_setup)
{
    held_up(SIM_EXCHANGE_OFF, 0);
}

Test(exchange, data_exchange_that_is_switched_off_and_whose_host_takes_items, .init = sim_setup)
{
    held_up(SIM_EXCHANGE_OFF, 1);
}

Test(exchange, a_vm_that_is_imported_before_its_host_is_told, .init = sim_setup)
{
    held_up(SIM_IMPORT, 0);
}

Test(exchange, a_saved_vm_that_is_imported_before_its_host_is_told, .init = sim_setup)
{
    held_up(SIM_IMPORT, 1);
}

// Nothing is in flight then whose time could run out.
Test(exchange, news_of_room_that_do_not_come_to_the_guest, .init = sim_setup)
{
    enum { COUNT = 8 };
    static uint8_t body[100 * 1024];
    struct sim_world *world = live_world();
    world->plan.on[SIM_SMALL_INBOX] = true;
    world->sides[SIM_HOST].consumer_stops = true;
    live_begin(world);
    sim_rng_bytes(&world->rng, body, sizeof body);
    for (size_t i = 0; i < COUNT; i++)
        live_queue(world, SIM_GUEST, 0, body, sizeof body);
    live_wait(world, 10 * LIVE_MINUTE);
    uint64_t delivered = world->checker.delivered;

    world->sides[SIM_HOST].consumer_stops = false;
    world->timing.push = (struct sim_range){500, 500};
    for (uint64_t end = world->now + LIVE_MINUTE; world->now < end; live_wait(world, 10))
        sim_channel_push_none(&world->channels[SIM_HOST]);
    cr_assert_gt(world->checker.delivered, delivered);
    cr_assert_lt(world->checker.delivered, COUNT);
    live_deliver(world, SIM_GUEST);
    cr_assert_not(world->failed, "%s", world->failure);
    sim_world_free(world);
}
