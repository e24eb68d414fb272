// SPDX-License-Identifier: Apache-2.0
//
// The application that sends: a few hundred messages of each side, on several streams and of all
// classes, most of them small.
#include <stdio.h>
#include <string.h>

#include "world.h"

enum {
    MESSAGES = 200, // of each side, at least
    TOTAL = 160 * 1024,
    LONGEST = 300 * 1024,
    TRY_AGAIN = 3000, // ms after a refusal or while the program is down
};

// --- drawing ------------------------------------------------------------------------------------

static size_t draw_length(struct sim_rng *rng, size_t left)
{
    static const struct {
        unsigned permille;
        uint64_t low, high;
    } sizes[] = {
        {100, 0, 0},        {450, 1, 200},       {300, 200, 1500},
        {120, 1500, 10000}, {25, 10000, 100000}, {5, 100000, LONGEST},
    };
    uint64_t pick = sim_rng_below(rng, 1000);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (pick >= sizes[i].permille) {
            pick -= sizes[i].permille;
            continue;
        }
        uint64_t length = sim_rng_range(rng, sizes[i].low, sizes[i].high);
        return length <= left ? length : left / 4;
    }
    return 0;
}

static uint64_t draw_ttl(struct sim_rng *rng)
{
    if (!sim_rng_chance(rng, 150))
        return 0;
    return sim_rng_chance(rng, 500) ? sim_rng_range(rng, 1, 5000)
                                    : sim_rng_range(rng, 5000, 120000);
}

// Drawn apart, so that the rest of a seed's workload is what it was before there were receipts.
static bool draw_receipt(const struct sim_world *world, int side, unsigned serial)
{
    struct sim_rng rng;
    sim_rng_seed(&rng, world->options.seed, 1000 + 2 * (uint64_t)serial + (uint64_t)side);
    return sim_rng_chance(&rng, 400);
}

static void draw_message(struct sim_world *world, int side, unsigned serial, size_t *left,
                         uint64_t *at)
{
    struct sim_rng *rng = &world->work_rng;
    struct sim_message *message = &world->checker.messages[side][serial];
    message->world = world;
    message->side = side;
    message->serial = serial;
    message->class_ = (enum kvpbus_class)sim_rng_below(rng, KVPBUS_CLASS_COUNT);
    message->stream = (unsigned)sim_rng_below(rng, SIM_STREAMS);
    message->length = draw_length(rng, *left);
    message->ttl_ms = draw_ttl(rng);
    message->resend = sim_rng_chance(rng, 300);
    message->compressible = sim_rng_chance(rng, 500);
    message->receipt = draw_receipt(world, side, serial);
    *left -= message->length;
    // Now one by one, now many at once.
    uint64_t mean = 2 * world->plan.length * 8 / 10 / MESSAGES;
    if (sim_rng_chance(rng, 300))
        *at += sim_rng_range(rng, 0, 3 * mean);
    message->send_at = *at;
}

void sim_workload_draw(struct sim_world *world)
{
    sim_rng_seed(&world->work_rng, world->options.seed, 3);
    for (int side = 0; side < SIM_SIDES; side++) {
        struct sim_rng *rng = &world->work_rng;
        size_t left = sim_rng_chance(rng, 200) ? 3 * TOTAL : TOTAL;
        size_t count = sim_rng_range(rng, MESSAGES, MESSAGES + 50);
        uint64_t at = sim_rng_below(rng, 5000);
        for (unsigned serial = 0; serial < count; serial++)
            draw_message(world, side, serial, &left, &at);
        world->checker.count[side] = count;
    }
}

// --- sending ------------------------------------------------------------------------------------

static void queued(void *context, const struct kvpbus_message_id *id,
                   const struct kvpbus_failure *failure)
{
    sim_check_queued(context, id, failure);
}

void sim_send(struct sim_side *side, struct sim_message *message)
{
    static uint8_t body[LONGEST];
    char topic[KVPBUS_TOPIC_MAX + 1];
    sim_message_body(message, body);
    sim_message_topic(message, topic);
    struct kvpbus_message sent = {
        .topic = topic,
        .stream = sim_stream_name(message->stream),
        .class_ = message->class_,
        .ttl_ms = message->ttl_ms,
        .receipt = message->receipt,
        .body = body,
        .body_length = message->length,
    };
    message->sent.state = SIM_SUBMITTED;
    struct sim_arena *before = sim_side_enter(side);
    kvpbus_bus_send(side->process->endpoint, &sent, message->resend, queued, message);
    sim_side_leave(before);
}

// The order of a lane is the order of sending: a message that was refused goes before later ones.
static struct sim_message *next_message(const struct sim_world *world, int side)
{
    const struct sim_checker *checker = &world->checker;
    size_t next = checker->next[side];
    return next < checker->count[side] ? (struct sim_message *)&checker->messages[side][next]
                                       : NULL;
}

void sim_workload_turn(struct sim_world *world)
{
    for (int i = 0; i < SIM_SIDES; i++) {
        struct sim_message *message;
        while ((message = next_message(world, i)) != NULL && message->send_at <= world->now) {
            if (message->sent.state != SIM_UNSENT) {
                world->checker.next[i]++; // sent in a life that is over
                continue;
            }
            if (!sim_side_ready(&world->sides[i])) {
                message->send_at = world->now + TRY_AGAIN;
                break;
            }
            world->checker.next[i]++;
            sim_send(&world->sides[i], message);
        }
    }
}

uint64_t sim_workload_deadline(const struct sim_world *world)
{
    uint64_t deadline = SIM_NEVER;
    for (int i = 0; i < SIM_SIDES; i++) {
        const struct sim_message *message = next_message(world, i);
        if (message != NULL && message->send_at < deadline)
            deadline = message->send_at;
    }
    return deadline;
}

bool sim_workload_over(const struct sim_world *world)
{
    return next_message(world, SIM_HOST) == NULL && next_message(world, SIM_GUEST) == NULL;
}
