// SPDX-License-Identifier: Apache-2.0
//
// What a sender learns of its messages behind their delivery, and what it can still do before: the
// receipt, withdrawal, and the history of both sides, on a simulated link.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"

static void on_withdrawn(void *context, struct kvpbus_endpoint *endpoint,
                         const struct kvpbus_failure *failure)
{
    struct answer *answer = context;
    ask_answered(answer, failure);
    answer->given = endpoint != NULL;
}

static void on_shown(void *context, const struct kvpbus_message_record *records, size_t count,
                     const struct kvpbus_failure *failure)
{
    struct answer *answer = context;
    ask_answered(answer, failure);
    cr_assert_leq(count, 1);
    if (count > 0)
        answer->record = records[0];
}

static struct kvpbus_message_id send(struct sim_world *world)
{
    struct answer answer = {0};
    const struct kvpbus_message message = {
        .topic = "app.a",
        .class_ = KVPBUS_CLASS_NORMAL,
        .receipt = true,
        .body = (const uint8_t *)"hello",
        .body_length = 5,
    };
    ASK(world, SIM_HOST, &answer,
        kvpbus_bus_send(process->endpoint, &message, false, ask_queued, &answer));
    cr_assert_eq(answer.code, KVPBUS_OK, "%s", answer.words);
    return answer.id;
}

static struct kvpbus_message_status status(struct sim_world *world,
                                           const struct kvpbus_message_id *id)
{
    struct answer answer = {0};
    ASK(world, SIM_HOST, &answer,
        kvpbus_bus_message_status(process->endpoint, id, ask_status, &answer));
    cr_assert_eq(answer.code, KVPBUS_OK, "%s", answer.words);
    return answer.status;
}

static struct answer withdraw(struct sim_world *world, const struct kvpbus_message_id *id)
{
    struct answer answer = {0};
    ASK(world, SIM_HOST, &answer, kvpbus_bus_withdraw(process->bus, id, on_withdrawn, &answer));
    return answer;
}

static struct answer show(struct sim_world *world, int side, const struct kvpbus_message_id *id)
{
    struct answer answer = {0};
    ASK(world, side, &answer, kvpbus_bus_show(process->bus, id, on_shown, &answer));
    return answer;
}

static int64_t lease(struct sim_world *world)
{
    struct answer answer = {0};
    ASK(world, SIM_GUEST, &answer,
        kvpbus_bus_lease(process->bus, &(struct kvpbus_filter){0}, LIVE_MINUTE, ask_leased,
                         &answer));
    cr_assert_eq(answer.code, KVPBUS_OK, "%s", answer.words);
    return answer.lease;
}

static void ack(struct sim_world *world, int64_t token)
{
    struct answer answer = {0};
    ASK(world, SIM_GUEST, &answer, kvpbus_bus_ack(process->bus, token, ask_done, &answer));
    cr_assert_eq(answer.code, KVPBUS_OK, "%s", answer.words);
}

Test(bus_receipts, an_acknowledgement_is_told_without_being_asked_for, .init = sim_setup)
{
    struct sim_world *world = ask_begin();
    struct kvpbus_message_id id = send(world);
    live_wait(world, LIVE_MINUTE);
    cr_assert_eq(status(world, &id).outcome, KVPBUS_OUTCOME_DELIVERED);
    cr_assert_not(status(world, &id).consumed);
    int64_t token = lease(world);
    cr_assert_eq(show(world, SIM_GUEST, &id).record.place, KVPBUS_PLACE_LEASED);
    ack(world, token);
    world->sides[SIM_HOST].process->outcomes_changed = false;
    live_wait(world, LIVE_MINUTE);
    cr_assert(world->sides[SIM_HOST].process->outcomes_changed, "the listener hears of it");
    cr_assert(status(world, &id).consumed);
    struct kvpbus_message_record sent = show(world, SIM_HOST, &id).record;
    struct kvpbus_message_record received = show(world, SIM_GUEST, &id).record;
    cr_assert(sent.sent && sent.receipt && sent.consumed_ms > sent.settled_ms);
    cr_assert(!received.sent && received.place == KVPBUS_PLACE_CONSUMED);
    cr_assert_str_eq(sent.topic, "app.a");
    cr_assert_str_eq(received.topic, "app.a");
    cr_assert(sent.size == 5 && received.size == 5);
    sim_world_free(world);
}

Test(bus_receipts, one_that_is_due_when_the_program_ends_is_told_by_the_next, .init = sim_setup)
{
    struct sim_world *world = ask_begin();
    struct kvpbus_message_id id = send(world);
    live_wait(world, LIVE_MINUTE);
    sim_side_suspend(&world->sides[SIM_HOST], true); // it takes nothing
    ack(world, lease(world));
    live_wait(world, LIVE_MINUTE);
    sim_side_kill(&world->sides[SIM_GUEST], true, world->now + 1000, "power is lost");
    sim_side_suspend(&world->sides[SIM_HOST], false);
    live_wait(world, 5 * LIVE_MINUTE);
    cr_assert(status(world, &id).consumed);
    sim_world_free(world);
}

Test(bus_receipts, a_message_that_waits_is_withdrawn_at_once, .init = sim_setup)
{
    struct sim_world *world = ask_begin();
    sim_side_suspend(&world->sides[SIM_HOST], true);
    struct kvpbus_message_id id = send(world);
    struct answer answer = withdraw(world, &id);
    cr_assert(answer.code == KVPBUS_OK && answer.given, "%s", answer.words);
    cr_assert_eq(status(world, &id).outcome, KVPBUS_OUTCOME_EXPIRED);
    cr_assert_str_eq(status(world, &id).reason, "it was withdrawn");
    answer = withdraw(world, &id);
    cr_assert(answer.code == KVPBUS_EXISTS && answer.given);
    cr_assert_not_null(strstr(answer.words, "expired already"));
    id.index++;
    answer = withdraw(world, &id);
    cr_assert(answer.code == KVPBUS_NOT_FOUND && !answer.given);
    cr_assert_eq(show(world, SIM_HOST, &id).code, KVPBUS_NOT_FOUND);
    sim_world_free(world);
}

Test(bus_receipts, one_that_is_under_way_is_withdrawn_when_the_peer_has_said_so, .init = sim_setup)
{
    struct sim_world *world = ask_begin();
    sim_side_kill(&world->sides[SIM_GUEST], false, world->now + LIVE_MINUTE, "killed");
    struct kvpbus_message_id id = send(world);
    live_wait(world, LIVE_MINUTE / 2);
    cr_assert_neq(status(world, &id).length, 0, "it is sealed");
    cr_assert_eq(withdraw(world, &id).code, KVPBUS_OK);
    cr_assert_eq(status(world, &id).outcome, KVPBUS_OUTCOME_PENDING);
    live_wait(world, 5 * LIVE_MINUTE);
    enum kvpbus_outcome outcome = status(world, &id).outcome;
    bool came = show(world, SIM_GUEST, &id).code == KVPBUS_OK;
    cr_assert_eq(outcome, came ? KVPBUS_OUTCOME_DELIVERED : KVPBUS_OUTCOME_EXPIRED);
    sim_world_free(world);
}
