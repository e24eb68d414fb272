// SPDX-License-Identifier: Apache-2.0
//
// The application that takes messages: leases one, keeps it a while, acknowledges it; some refuse
// it or forget it.
#include "world.h"

enum { LEASE_MS = 30000 };

static void leased(void *context, struct kvpbus_delivery *delivery,
                   const struct kvpbus_awaited *awaited, const struct kvpbus_failure *failure);

static void lease(struct sim_consumer *consumer)
{
    struct sim_process *process = consumer->process;
    consumer->state = SIM_CONSUMER_IDLE;
    if (process->side->consumer_stops) {
        consumer->again = true;
        return;
    }
    consumer->state = SIM_LEASING;
    consumer->again = false;
    struct kvpbus_filter filter = {.peer = process->peer};
    kvpbus_bus_lease(process->bus, &filter, LEASE_MS, leased, consumer);
}

static void leased(void *context, struct kvpbus_delivery *delivery,
                   const struct kvpbus_awaited *awaited, const struct kvpbus_failure *failure)
{
    struct sim_consumer *consumer = context;
    struct sim_side *side = consumer->process->side;
    (void)awaited;
    struct sim_world *world = side->world;
    consumer->state = SIM_CONSUMER_IDLE;
    if (delivery == NULL) {
        // A failed disk says nothing about the inbox.
        if (failure->code != KVPBUS_NOT_FOUND)
            consumer->again = true;
        if (consumer->again) {
            consumer->state = SIM_HOLDING;
            consumer->message = NULL;
            consumer->until = sim_side_now(side) + 200;
        }
        return;
    }
    consumer->state = SIM_HOLDING;
    consumer->lease = delivery->lease;
    consumer->message = sim_check_delivery(world, side->index, delivery);
    uint64_t takes = sim_draw(world, world->timing.consume);
    if (sim_strikes(world, SIM_SLOW_CONSUMER))
        takes += sim_rng_range(&world->rng, 1000, 15000);
    consumer->until = sim_side_now(side) + takes;
    kvpbus_delivery_free(delivery);
}

static void acknowledged(void *context, const struct kvpbus_failure *failure)
{
    struct sim_consumer *consumer = context;
    struct sim_message *message = consumer->message;
    if (message != NULL && failure->code == KVPBUS_OK)
        message->got.ack = SIM_ACKED;
    else if (message != NULL && message->got.ack == SIM_ACK_ASKED)
        message->got.ack = SIM_ACK_MAYBE; // the commit failed, or the lease had ended
    lease(consumer);
}

static void refused(void *context, const struct kvpbus_failure *failure)
{
    (void)failure;
    lease(context);
}

static void end_lease(struct sim_consumer *consumer)
{
    struct sim_process *process = consumer->process;
    struct sim_world *world = process->side->world;
    struct sim_message *message = consumer->message;
    if (message == NULL) {
        lease(consumer);
        return;
    }
    if (sim_strikes(world, SIM_LAZY_CONSUMER)) {
        if (sim_rng_chance(&world->rng, 300)) { // the lease runs out
            lease(consumer);
            return;
        }
        consumer->state = SIM_ACKING;
        kvpbus_bus_nack(process->bus, consumer->lease, sim_rng_below(&world->rng, 3000), "not now",
                        refused, consumer);
        return;
    }
    consumer->state = SIM_ACKING;
    if (message->got.ack != SIM_ACKED)
        message->got.ack = SIM_ACK_ASKED;
    kvpbus_bus_ack(process->bus, consumer->lease, acknowledged, consumer);
}

void sim_consumer_wake(struct sim_process *process)
{
    for (size_t i = 0; i < SIM_CONSUMERS; i++) {
        struct sim_consumer *consumer = &process->consumers[i];
        consumer->again = true;
        if (consumer->state == SIM_CONSUMER_IDLE)
            lease(consumer);
    }
}

void sim_consumers_turn(struct sim_process *process)
{
    uint64_t now = sim_side_now(process->side);
    for (size_t i = 0; i < SIM_CONSUMERS; i++) {
        struct sim_consumer *consumer = &process->consumers[i];
        if (consumer->state == SIM_HOLDING && consumer->until <= now)
            end_lease(consumer);
        else if (consumer->state == SIM_CONSUMER_IDLE && consumer->again &&
                 !process->side->consumer_stops)
            lease(consumer);
    }
}

uint64_t sim_consumers_deadline(const struct sim_process *process)
{
    uint64_t deadline = SIM_NEVER;
    for (size_t i = 0; i < SIM_CONSUMERS; i++) {
        const struct sim_consumer *consumer = &process->consumers[i];
        if (consumer->state == SIM_HOLDING && consumer->until < deadline)
            deadline = consumer->until;
    }
    return deadline;
}
