// SPDX-License-Identifier: Apache-2.0
//
// The application that takes messages: leases one, keeps it a while, replies when it is a request,
// acknowledges it; some refuse it or forget it, want more time, or make a dead letter of it, which
// somebody gives back some time later.
#include "world.h"

enum { LEASE_MS = 30000, RETRY_EVERY = 5000 };

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
            consumer->call = NULL;
            consumer->until = sim_side_now(side) + 200;
        }
        return;
    }
    consumer->state = SIM_HOLDING;
    consumer->lease = delivery->lease;
    bool call = delivery->message.kind == KVPBUS_KIND_REQUEST;
    consumer->message = call ? NULL : sim_check_delivery(world, side->index, delivery);
    consumer->call = call ? sim_call_check(world, side->index, delivery) : NULL;
    consumer->request = delivery->message.id;
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

static void extended(void *context, const struct kvpbus_failure *failure)
{
    struct sim_consumer *consumer = context;
    if (failure->code != KVPBUS_OK) {
        lease(consumer);
        return;
    }
    consumer->state = SIM_HOLDING;
    consumer->until = sim_side_now(consumer->process->side) +
                      sim_rng_below(&consumer->process->side->world->consumer_rng, LEASE_MS + 5000);
}

// Not what a consumer should do; what is drawn for it does not change the rest of a seed.
static void be_lazy(struct sim_consumer *consumer)
{
    struct sim_process *process = consumer->process;
    struct sim_world *world = process->side->world;
    if (sim_rng_chance(&world->rng, 300)) { // the lease runs out
        lease(consumer);
        return;
    }
    uint64_t delay = sim_rng_below(&world->rng, 3000);
    consumer->state = SIM_ACKING;
    if (sim_rng_chance(&world->consumer_rng, 250)) {
        kvpbus_bus_extend(process->bus, consumer->lease, LEASE_MS, extended, consumer);
    } else if (sim_rng_chance(&world->consumer_rng, 250)) {
        if (consumer->message != NULL)
            consumer->message->got.set_aside = true;
        kvpbus_bus_reject(process->bus, consumer->lease, "never", refused, consumer);
    } else {
        kvpbus_bus_nack(process->bus, consumer->lease, delay, "not now", refused, consumer);
    }
}

static void end_lease(struct sim_consumer *consumer)
{
    struct sim_process *process = consumer->process;
    struct sim_message *message = consumer->message;
    if (message == NULL && consumer->call == NULL) {
        lease(consumer);
        return;
    }
    if (sim_strikes(process->side->world, SIM_LAZY_CONSUMER)) {
        be_lazy(consumer);
        return;
    }
    consumer->state = SIM_ACKING;
    if (message != NULL && message->got.ack != SIM_ACKED)
        message->got.ack = SIM_ACK_ASKED;
    if (consumer->call != NULL)
        sim_call_serve(process, consumer->call, &consumer->request);
    kvpbus_bus_ack(process->bus, consumer->lease, acknowledged, consumer);
}

// --- dead letters ---

static void retried(void *context, size_t count, const struct kvpbus_failure *failure)
{
    struct sim_process *process = context;
    if (count > 0)
        sim_trace(process->side->world, process->side->index, "%zu dead letters are given back",
                  count);
    if (failure->code != KVPBUS_OK && process->side->disk.failures == 0)
        sim_fail(process->side->world, "dead letters are not given back: %s", failure->detail);
    process->dead_letters.busy = false;
    process->dead_letters.at = sim_side_now(process->side) + RETRY_EVERY;
}

static bool operated(const struct sim_process *process)
{
    return process->side->world->plan.on[SIM_LAZY_CONSUMER] && !process->dead_letters.busy;
}

static void look_after_dead_letters(struct sim_process *process)
{
    static const struct kvpbus_dead_filter all;
    if (!operated(process) || process->dead_letters.at > sim_side_now(process->side))
        return;
    process->dead_letters.busy = true;
    kvpbus_bus_dead_retry(process->bus, &all, retried, process);
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
    look_after_dead_letters(process);
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
    uint64_t deadline = operated(process) ? process->dead_letters.at : SIM_NEVER;
    for (size_t i = 0; i < SIM_CONSUMERS; i++) {
        const struct sim_consumer *consumer = &process->consumers[i];
        if (consumer->state == SIM_HOLDING && consumer->until < deadline)
            deadline = consumer->until;
    }
    return deadline;
}
