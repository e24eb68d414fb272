// SPDX-License-Identifier: Apache-2.0
//
// What messages cost on a good channel, in simulated time: write calls, polls and items. A poll of
// the host counts when it finds the guest's store changed; the others are looks in between, that
// get rarer while nothing comes.
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>

#include "live.h"

struct cost {
    struct sim_world *world;
    struct sim_counters before[SIM_SIDES];
};

static void count_from_now(struct cost *cost)
{
    for (int i = 0; i < SIM_SIDES; i++)
        cost->before[i] = cost->world->sides[i].counters;
}

static struct cost begin(void)
{
    struct cost cost = {.world = live_world()};
    live_begin(cost.world);
    count_from_now(&cost);
    return cost;
}

static struct sim_counters since(const struct cost *cost, int side)
{
    const struct sim_counters *now = &cost->world->sides[side].counters;
    const struct sim_counters *then = &cost->before[side];
    return (struct sim_counters){
        .writes = now->writes - then->writes,
        .items = now->items - then->items,
        .calls = now->calls - then->calls,
        .news = now->news - then->news,
        .reads_peer = now->reads_peer - then->reads_peer,
        .data_items = now->data_items - then->data_items,
        .data_chars = now->data_chars - then->data_chars,
    };
}

static void fill_random(uint8_t *bytes, size_t length)
{
    struct sim_rng rng;
    sim_rng_seed(&rng, length, 7);
    sim_rng_bytes(&rng, bytes, length);
}

// --- one small message --------------------------------------------------------------------------

// The looks come 10, 20, 40 ms after one another: the fourth is later than any answer here.
enum { LOOKS = 4 };

Test(cost, a_small_message_of_the_host_takes_a_call_a_write_and_a_poll, .init = sim_setup)
{
    struct cost cost = begin();
    live_queue(cost.world, SIM_HOST, 0, "hello", 5);
    live_deliver(cost.world, SIM_HOST);
    struct sim_counters host = since(&cost, SIM_HOST), guest = since(&cost, SIM_GUEST);
    cr_assert_eq(host.calls, 1, "%" PRIu64, host.calls);
    cr_assert_eq(host.items, 1);
    cr_assert_eq(guest.writes, 1, "%" PRIu64, guest.writes);
    cr_assert_eq(guest.items, 1);
    cr_assert_eq(host.news, 1);
    cr_assert_leq(host.reads_peer, LOOKS, "%" PRIu64, host.reads_peer);
    sim_world_free(cost.world);
}

Test(cost, a_small_message_of_the_guest_takes_a_write_a_poll_and_a_call, .init = sim_setup)
{
    struct cost cost = begin();
    live_queue(cost.world, SIM_GUEST, 0, "hello", 5);
    live_deliver(cost.world, SIM_GUEST);
    struct sim_counters host = since(&cost, SIM_HOST), guest = since(&cost, SIM_GUEST);
    cr_assert_eq(guest.writes, 1, "%" PRIu64, guest.writes);
    cr_assert_eq(guest.items, 1);
    cr_assert_eq(host.calls, 1, "%" PRIu64, host.calls);
    cr_assert_eq(host.items, 1);
    cr_assert_eq(host.news, 1);
    cr_assert_leq(host.reads_peer, LOOKS, "%" PRIu64, host.reads_peer);
    sim_world_free(cost.world);
}

// --- each write carries all that may be written -------------------------------------------------

// The window, less what is kept for the class control.
enum { WINDOW = 60 };

Test(cost, a_large_message_goes_a_window_at_a_time, .init = sim_setup)
{
    static uint8_t body[300 * 1024];
    for (int side = 0; side < SIM_SIDES; side++) {
        struct cost cost = begin();
        fill_random(body, sizeof body);
        live_queue(cost.world, side, 0, body, sizeof body);
        live_deliver(cost.world, side);
        struct sim_counters sender = since(&cost, side), receiver = since(&cost, 1 - side);
        uint64_t windows = (sender.data_items + WINDOW - 1) / WINDOW;
        cr_assert_geq(windows, 8);
        cr_assert_eq(sender.writes, windows, "%" PRIu64, sender.writes);
        cr_assert_eq(sender.items, sender.data_items);
        cr_assert_eq(receiver.writes, windows, "%" PRIu64, receiver.writes);
        cr_assert_eq(receiver.items, windows);
        // New keys and old ones.
        cr_assert_leq(sender.calls, windows + 1, "%" PRIu64, sender.calls);
        sim_world_free(cost.world);
    }
}

// That two writes are never under way at once is checked by the simulator in every world.
Test(cost, what_comes_during_a_write_goes_with_the_next, .init = sim_setup)
{
    enum { COUNT = 40, EVERY = 50, TAKES = 500 };
    for (int side = 0; side < SIM_SIDES; side++) {
        struct cost cost = begin();
        cost.world->timing.write = (struct sim_range){TAKES, TAKES};
        for (size_t i = 0; i < COUNT; i++)
            live_queue(cost.world, side, i * EVERY, "hello", 5);
        live_deliver(cost.world, side);
        struct sim_counters sender = since(&cost, side);
        cr_assert_leq(sender.writes, COUNT * EVERY / TAKES + 2, "%" PRIu64, sender.writes);
        cr_assert_leq(sender.calls, 2 * sender.writes);
        sim_world_free(cost.world);
    }
}

// A scan costs the guest a transaction and a write: here about 5 ms lie between two items.
Test(cost, items_that_trickle_in_are_gathered, .init = sim_setup)
{
    static uint8_t body[40 * 1024];
    struct cost cost = begin();
    fill_random(body, sizeof body);
    cost.world->timing = (struct sim_timing){.push = {0, 300}};
    live_queue(cost.world, SIM_HOST, 0, body, sizeof body);
    live_deliver(cost.world, SIM_HOST);
    struct sim_counters guest = since(&cost, SIM_GUEST);
    uint64_t items = since(&cost, SIM_HOST).data_items;
    cr_assert_geq(items, 50);
    cr_assert_leq(guest.writes, items / 3, "%" PRIu64, guest.writes);
    sim_world_free(cost.world);
}

// --- what the items carry -----------------------------------------------------------------------

Test(cost, payload_is_seven_tenths_of_the_characters, .init = sim_setup)
{
    enum { COUNT = 8 };
    static uint8_t bodies[COUNT][64 * 1024];
    fill_random(bodies[0], sizeof bodies);
    for (int side = 0; side < SIM_SIDES; side++)
        for (size_t count = 1; count <= COUNT; count += COUNT - 1) {
            struct cost cost = begin();
            for (size_t i = 0; i < count; i++)
                live_queue(cost.world, side, 0, bodies[i], sizeof bodies[i]);
            live_deliver(cost.world, side);
            double share =
                (double)(count * sizeof bodies[0]) / (double)since(&cost, side).data_chars;
            cr_assert_geq(share, 0.70, "%zu messages: %.4f", count, share);
            sim_world_free(cost.world);
        }
}

enum { MESSAGES = 100 };

Test(cost, a_hundred_random_messages_share_32_items, .init = sim_setup)
{
    static uint8_t bodies[MESSAGES][200];
    fill_random(bodies[0], sizeof bodies);
    for (int side = 0; side < SIM_SIDES; side++) {
        struct cost cost = begin();
        for (size_t i = 0; i < MESSAGES; i++)
            live_queue(cost.world, side, 0, bodies[i], sizeof bodies[i]);
        live_deliver(cost.world, side);
        struct sim_counters sender = since(&cost, side);
        cr_assert_leq(sender.data_items, 32, "%" PRIu64, sender.data_items);
        cr_assert_eq(sender.writes, 1, "%" PRIu64, sender.writes);
        sim_world_free(cost.world);
    }
}

Test(cost, a_hundred_json_lines_share_10_items, .init = sim_setup)
{
    static char lines[MESSAGES][512];
    struct cost cost = begin();
    FILE *file = fopen(KVPBUS_TEST_DATA "/corpus.jsonl", "r");
    cr_assert_not_null(file);
    size_t total = 0;
    for (size_t i = 0; i < MESSAGES; i++) {
        cr_assert_not_null(fgets(lines[i], sizeof lines[i], file));
        size_t length = strcspn(lines[i], "\n");
        total += length;
        live_queue(cost.world, SIM_GUEST, 0, lines[i], length);
    }
    fclose(file);
    cr_assert_geq(total, MESSAGES * 200);
    live_deliver(cost.world, SIM_GUEST);
    struct sim_counters guest = since(&cost, SIM_GUEST);
    cr_assert_leq(guest.data_items, 10, "%" PRIu64, guest.data_items);
    sim_world_free(cost.world);
}

// A store that is full of other things costs the host a look now and then, and the link still
// works.
Test(cost, a_stuffed_store_is_looked_at_rarely, .init = sim_setup)
{
    enum { MINUTES = 10 };
    static uint8_t body[100 * 1024];
    struct cost cost = begin();
    fill_random(body, sizeof body);
    cost.world->sides[SIM_GUEST].neighbours = 5000;
    live_wait(cost.world, LIVE_MINUTE);
    cr_assert(kvpbus_endpoint_stuffed(cost.world->sides[SIM_HOST].process->endpoint));
    count_from_now(&cost);
    live_queue(cost.world, SIM_GUEST, 0, body, sizeof body);
    live_queue(cost.world, SIM_HOST, 0, body, sizeof body);
    live_deliver(cost.world, SIM_GUEST);
    live_deliver(cost.world, SIM_HOST);
    live_wait(cost.world, (uint64_t)MINUTES * LIVE_MINUTE);
    struct sim_counters host = since(&cost, SIM_HOST);
    cr_assert_leq(host.reads_peer, (MINUTES + 10) * 30, "%" PRIu64, host.reads_peer);
    cost.world->sides[SIM_GUEST].neighbours = 100;
    live_wait(cost.world, LIVE_MINUTE);
    cr_assert_not(kvpbus_endpoint_stuffed(cost.world->sides[SIM_HOST].process->endpoint));
    sim_world_free(cost.world);
}

// --- rest ---------------------------------------------------------------------------------------

Test(cost, an_idle_link_polls_and_writes_nothing, .init = sim_setup)
{
    enum { HOURS = 12 };
    static uint8_t body[100000];
    struct cost cost = begin();
    fill_random(body, sizeof body);
    cost.world->timing.read = (struct sim_range){60, 60}; // notices come while a read is under way
    for (int side = 0; side < SIM_SIDES; side++) {
        live_queue(cost.world, side, 0, body, sizeof body);
        live_deliver(cost.world, side);
    }
    live_wait(cost.world, LIVE_MINUTE);
    count_from_now(&cost);
    live_wait(cost.world, (uint64_t)HOURS * LIVE_HOUR);
    for (int side = 0; side < SIM_SIDES; side++) {
        struct sim_counters idle = since(&cost, side);
        cr_assert_eq(idle.writes, 0, "%" PRIu64, idle.writes);
        cr_assert_geq(idle.reads_peer, HOURS * 60, "%" PRIu64, idle.reads_peer);
        // A host polls each 2 s at rest, a guest more seldom.
        cr_assert_leq(idle.reads_peer, HOURS * 1800 + 60, "%" PRIu64, idle.reads_peer);
    }
    sim_world_free(cost.world);
}
