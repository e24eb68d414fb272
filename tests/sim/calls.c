// SPDX-License-Identifier: Apache-2.0
#include "calls.h"

#include <stdio.h>
#include <string.h>

#include "big_endian.h"
#include "world.h"

enum {
    CORRELATION = KVPBUS_BUNDLE_ID_BYTES + 2,
    LOOK_EVERY = 2000, // ms
    LEASE_MS = 30000,
};

static unsigned reverts(const struct sim_world *world)
{
    return world->sides[SIM_HOST].reverts + world->sides[SIM_GUEST].reverts;
}

static void correlate(const struct kvpbus_message_id *id, uint8_t bytes[CORRELATION])
{
    memcpy(bytes, id->bundle, sizeof id->bundle);
    kvpbus_put_be(bytes + sizeof id->bundle, id->index, 2);
}

// --- drawing ------------------------------------------------------------------------------------

// From generators of its own, so that the rest of a seed is what it is without calls. A clock that
// was set would let a lifetime end a day later.
void sim_calls_draw(struct sim_world *world)
{
    struct sim_rng rng;
    struct sim_calls *calls = &world->calls;
    sim_rng_seed(&rng, world->options.seed, 20);
    calls->on = sim_rng_chance(&rng, 500) && !world->plan.on[SIM_CLOCK];
    for (int side = 0; side < SIM_SIDES; side++) {
        uint64_t at = 0;
        for (unsigned serial = 0; serial < SIM_CALLS; serial++) {
            at += sim_rng_below(&rng, 2 * world->plan.length / SIM_CALLS);
            calls->calls[side][serial] = (struct sim_call){
                .side = side,
                .serial = serial,
                .send_at = at,
                .ttl_ms = sim_rng_range(&rng, 100, 120000),
                .replies = (unsigned)sim_rng_range(&rng, 1, 3),
            };
        }
    }
}

// --- asking -------------------------------------------------------------------------------------

static struct sim_call *next_call(struct sim_caller *caller, size_t index)
{
    struct sim_side *side = caller->process->side;
    for (size_t i = index; i < SIM_CALLS; i += SIM_CALLERS) {
        struct sim_call *call = &side->world->calls.calls[side->index][i];
        if (call->state == SIM_CALL_OPEN || call->state == SIM_CALL_UNSENT)
            return call;
    }
    return NULL;
}

static void end_call(struct sim_caller *caller, enum sim_call_state state)
{
    struct sim_side *side = caller->process->side;
    sim_trace(side->world, side->index, "call %u is %s", caller->call->serial,
              state == SIM_CALL_ANSWERED ? "answered"
              : state == SIM_CALL_OVER   ? "over"
                                         : "lost");
    caller->call->state = state;
    side->world->calls.answered += state == SIM_CALL_ANSWERED;
    side->world->calls.over += state == SIM_CALL_OVER;
    caller->call = NULL;
}

static void queued(void *context, const struct kvpbus_message_id *id,
                   const struct kvpbus_failure *failure)
{
    struct sim_caller *caller = context;
    (void)failure;
    caller->process->calls_asked--;
    caller->busy = false;
    if (caller->call->state != SIM_CALL_SUBMITTED)
        return; // sent once more by a side that went back with its memory
    if (id == NULL) {
        end_call(caller, SIM_CALL_LOST);
        return;
    }
    caller->call->state = SIM_CALL_OPEN;
    caller->call->id = *id;
    caller->look = true;
}

static void count_asked(struct sim_process *process)
{
    process->calls_asked++;
    process->side->world->calls.messages[process->side->index]++;
}

static void send_request(struct sim_caller *caller)
{
    struct sim_process *process = caller->process;
    struct sim_call *call = caller->call;
    char topic[KVPBUS_TOPIC_MAX + 1];
    snprintf(topic, sizeof topic, "sim." SIM_MARKER ".call.%u", call->serial);
    const struct kvpbus_message message = {
        .topic = topic,
        .stream = sim_stream_name(call->serial % SIM_STREAMS),
        .class_ = (enum kvpbus_class)(call->serial % KVPBUS_CLASS_COUNT),
        .kind = KVPBUS_KIND_REQUEST,
        .ttl_ms = call->ttl_ms,
    };
    call->state = SIM_CALL_SUBMITTED;
    caller->busy = true;
    count_asked(process);
    kvpbus_bus_send(process->endpoint, &message, false, queued, caller);
}

static void acknowledged(void *context, const struct kvpbus_failure *failure)
{
    struct sim_caller *caller = context;
    caller->busy = false;
    caller->look = true;
    if (failure->code != KVPBUS_OK)
        return; // it comes again
    caller->call->serving = caller->serving;
    caller->call->part = caller->part;
    if (caller->last)
        end_call(caller, SIM_CALL_ANSWERED);
}

// A reply of a later serving, or a later one of the same: each once and in order.
static void check_reply(struct sim_caller *caller, const struct kvpbus_message *reply)
{
    struct sim_side *side = caller->process->side;
    const struct sim_call *call = caller->call;
    char body[64];
    unsigned serial, serving, part, parts;
    uint8_t correlation[CORRELATION];
    correlate(&call->id, correlation);
    snprintf(body, sizeof body, "%.*s", (int)reply->body_length, (const char *)reply->body);
    // After a revert a request may have the id of an earlier one, drawn again, and gets its
    // replies.
    bool went_back = reverts(side->world) > 0;
    if (reply->correlation_length != CORRELATION ||
        memcmp(reply->correlation, correlation, CORRELATION) != 0 ||
        sscanf(body, SIM_MARKER " %u %u %u of %u", &serial, &serving, &part, &parts) != 4 ||
        (!went_back &&
         (serial != call->serial || serving > call->servings || parts != call->replies))) {
        sim_fail(side->world, "side %d was given what answers call %u not: %s", side->index,
                 call->serial, body);
        return;
    }
    sim_trace(side->world, side->index, "call %u: reply %u of serving %u", serial, part, serving);
    bool later = serving > call->serving || (serving == call->serving && part > call->part);
    if (!later && !went_back)
        sim_fail(side->world, "reply %u of serving %u comes after %u of %u to side %d", part,
                 serving, call->part, call->serving, side->index);
    caller->serving = serving;
    caller->part = part;
    caller->last = reply->kind == KVPBUS_KIND_LAST_REPLY;
    if (caller->last != (part == parts))
        sim_fail(side->world, "reply %u of %u is not of its kind", part, parts);
}

static void leased(void *context, struct kvpbus_delivery *delivery,
                   const struct kvpbus_awaited *awaited, const struct kvpbus_failure *failure)
{
    struct sim_caller *caller = context;
    struct sim_process *process = caller->process;
    caller->busy = false;
    caller->look_at = sim_side_now(process->side) + LOOK_EVERY;
    if (delivery != NULL) {
        caller->busy = true;
        check_reply(caller, &delivery->message);
        kvpbus_bus_ack(process->bus, delivery->lease, acknowledged, caller);
        kvpbus_delivery_free(delivery);
    } else if (awaited != NULL && awaited->over) {
        bool known =
            awaited->outcome == KVPBUS_OUTCOME_EXPIRED || reverts(process->side->world) > 0;
        // An acknowledgement whose word was lost may have been that of the last reply.
        if (!known && awaited->outcome != KVPBUS_OUTCOME_DELIVERED)
            sim_fail(process->side->world, "call %u of side %d is over: %s", caller->call->serial,
                     process->side->index, awaited->reason);
        end_call(caller, SIM_CALL_OVER);
    } else if (failure->code == KVPBUS_INVALID_ARGUMENT && reverts(process->side->world) > 0) {
        end_call(caller, SIM_CALL_OVER); // its id is another message's now, drawn again
    } else if (failure->code != KVPBUS_NOT_FOUND && process->side->disk.failures == 0) {
        sim_fail(process->side->world, "replies cannot be asked for: %s", failure->detail);
    }
}

static void look(struct sim_caller *caller)
{
    struct sim_process *process = caller->process;
    struct kvpbus_filter filter = {.peer = process->peer, .reply_to = &caller->call->id};
    caller->busy = true;
    caller->look = false;
    kvpbus_bus_lease(process->bus, &filter, LEASE_MS, leased, caller);
}

// --- the programs -------------------------------------------------------------------------------

void sim_callers_start(struct sim_process *process)
{
    for (size_t i = 0; i < SIM_CALLERS; i++)
        process->callers[i] = (struct sim_caller){.process = process, .look = true};
}

void sim_callers_wake(struct sim_process *process)
{
    for (size_t i = 0; i < SIM_CALLERS; i++)
        process->callers[i].look = true;
}

void sim_callers_turn(struct sim_process *process)
{
    struct sim_world *world = process->side->world;
    uint64_t now = sim_side_now(process->side);
    for (size_t i = 0; world->calls.on && i < SIM_CALLERS; i++) {
        struct sim_caller *caller = &process->callers[i];
        if (caller->busy)
            continue;
        if (caller->call == NULL || caller->call->state > SIM_CALL_OPEN)
            caller->call = next_call(caller, i);
        if (caller->call == NULL)
            continue;
        if (caller->call->state == SIM_CALL_OPEN && (caller->look || caller->look_at <= now))
            look(caller);
        else if (caller->call->state == SIM_CALL_UNSENT && caller->call->send_at <= world->now)
            send_request(caller);
    }
}

uint64_t sim_callers_deadline(const struct sim_process *process)
{
    const struct sim_world *world = process->side->world;
    uint64_t deadline = SIM_NEVER;
    for (size_t i = 0; world->calls.on && i < SIM_CALLERS; i++) {
        const struct sim_caller *caller = &process->callers[i];
        if (caller->busy || caller->call == NULL)
            continue;
        uint64_t at = caller->call->state == SIM_CALL_OPEN ? caller->look_at
                      : caller->call->send_at > process->side->behind
                          ? caller->call->send_at - process->side->behind
                          : 0;
        deadline = at < deadline ? at : deadline;
    }
    return deadline;
}

bool sim_calls_over(const struct sim_world *world)
{
    for (int side = 0; world->calls.on && side < SIM_SIDES; side++)
        for (size_t i = 0; i < SIM_CALLS; i++)
            if (world->calls.calls[side][i].state < SIM_CALL_ANSWERED)
                return false;
    return true;
}

void sim_calls_crash(struct sim_world *world, int side)
{
    for (size_t i = 0; i < SIM_CALLS; i++)
        if (world->calls.calls[side][i].state == SIM_CALL_SUBMITTED)
            world->calls.calls[side][i].state = SIM_CALL_LOST;
}

// --- serving ------------------------------------------------------------------------------------

struct sim_call *sim_call_check(struct sim_world *world, int side,
                                const struct kvpbus_delivery *delivery)
{
    unsigned serial;
    char end;
    const struct kvpbus_message *request = &delivery->message;
    if (sscanf(request->topic, "sim." SIM_MARKER ".call.%u%c", &serial, &end) != 1 ||
        serial >= SIM_CALLS || request->kind != KVPBUS_KIND_REQUEST ||
        world->calls.calls[1 - side][serial].state == SIM_CALL_UNSENT) {
        sim_fail(world, "side %d was asked what nobody asks: %s", side, request->topic);
        return NULL;
    }
    sim_trace(world, side, "call %u comes, try %u", serial, delivery->try_);
    return &world->calls.calls[1 - side][serial];
}

static void replied(void *context, const struct kvpbus_message_id *id,
                    const struct kvpbus_failure *failure)
{
    struct sim_process *process = context;
    (void)id;
    (void)failure;
    process->calls_asked--;
}

void sim_call_serve(struct sim_process *process, struct sim_call *call,
                    const struct kvpbus_message_id *id)
{
    uint8_t correlation[CORRELATION];
    char body[64];
    correlate(id, correlation);
    call->servings++;
    for (unsigned part = 1; part <= call->replies; part++) {
        snprintf(body, sizeof body, SIM_MARKER " %u %u %u of %u", call->serial, call->servings,
                 part, call->replies);
        const struct kvpbus_message message = {
            .topic = "sim." SIM_MARKER ".reply",
            .stream = sim_stream_name((call->serial + 1) % SIM_STREAMS),
            .class_ = KVPBUS_CLASS_NORMAL,
            .kind = part == call->replies ? KVPBUS_KIND_LAST_REPLY : KVPBUS_KIND_REPLY,
            .correlation = correlation,
            .correlation_length = sizeof correlation,
            .body = (const uint8_t *)body,
            .body_length = strlen(body),
        };
        count_asked(process);
        kvpbus_bus_send(process->endpoint, &message, false, replied, process);
    }
}
