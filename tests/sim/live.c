// SPDX-License-Identifier: Apache-2.0
#include "live.h"

#include <criterion/criterion.h>

struct sim_world *live_world(void)
{
    struct sim_options options = {.seed = 1, .quiet = true};
    struct sim_world *world = sim_world_new(&options);
    world->timing = (struct sim_timing){
        .read = {5, 5},
        .write = {20, 20},
        .push = {2, 2},
        .job = {4, 4},
        .finish = {1, 1},
        .notice = {1, 1},
    };
    return world;
}

enum kvpbus_link_state live_state(struct sim_world *world, int side)
{
    struct sim_process *process = world->sides[side].process;
    struct kvpbus_link_status status = {.state = KVPBUS_LINK_STOPPED};
    if (process == NULL)
        return KVPBUS_LINK_STOPPED;
    struct sim_arena *before = sim_side_enter(&world->sides[side]);
    kvpbus_endpoint_status(process->endpoint, &status);
    sim_side_leave(before);
    return status.state;
}

static bool live(void *context)
{
    return live_state(context, SIM_HOST) == KVPBUS_LINK_LIVE &&
           live_state(context, SIM_GUEST) == KVPBUS_LINK_LIVE;
}

static bool never(void *context)
{
    (void)context;
    return false;
}

void live_until(struct sim_world *world, bool (*done)(void *context), void *context)
{
    bool came = sim_world_until(world, world->now + LIVE_HOUR, done, context);
    cr_assert(came, "%s", world->failed ? world->failure : "it did not come in an hour");
}

void live_wait(struct sim_world *world, uint64_t ms)
{
    sim_world_until(world, world->now + ms, never, NULL);
    cr_assert_not(world->failed, "%s", world->failure);
}

void live_begin(struct sim_world *world)
{
    live_until(world, live, world);
    live_wait(world, LIVE_MINUTE);
}

struct sim_message *live_queue(struct sim_world *world, int side, uint64_t delay, const void *body,
                               size_t length)
{
    struct sim_checker *checker = &world->checker;
    cr_assert_lt(checker->count[side], SIM_MESSAGES_MAX);
    size_t serial = checker->count[side]++;
    struct sim_message *message = &checker->messages[side][serial];
    *message = (struct sim_message){
        .world = world,
        .side = side,
        .serial = (unsigned)serial,
        .class_ = KVPBUS_CLASS_NORMAL,
        .body = body,
        .length = length,
        .send_at = world->now + delay,
    };
    return message;
}

struct sender {
    struct sim_world *world;
    int side;
};

static bool acknowledged(void *context)
{
    const struct sender *sender = context;
    struct sim_world *world = sender->world;
    const struct sim_process *process = world->sides[sender->side].process;
    if (process != NULL && process->outcomes_changed)
        sim_check_outcomes(world, sender->side);
    for (size_t i = 0; i < world->checker.count[sender->side]; i++)
        if (world->checker.messages[sender->side][i].sent.outcome != KVPBUS_OUTCOME_DELIVERED)
            return false;
    return true;
}

void live_deliver(struct sim_world *world, int side)
{
    struct sender sender = {world, side};
    live_until(world, acknowledged, &sender);
}
