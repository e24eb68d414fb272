// SPDX-License-Identifier: Apache-2.0
#include "checker.h"

#include <stdio.h>
#include <string.h>

#include "audit_check.h"
#include "world.h"

// --- what a message is --------------------------------------------------------------------------

const char *sim_stream_name(unsigned stream)
{
    static const char *const names[SIM_STREAMS] = {"", "a", "second", "a/third:stream"};
    return names[stream];
}

void sim_message_topic(const struct sim_message *message, char *topic)
{
    snprintf(topic, KVPBUS_TOPIC_MAX + 1, "sim." SIM_MARKER ".%d.%u", message->side,
             message->serial);
}

void sim_message_body(const struct sim_message *message, uint8_t *bytes)
{
    static const char text[] = "{\"" SIM_MARKER "\": \"the same text again and again\"}";
    struct sim_rng rng;
    if (message->body != NULL) {
        memcpy(bytes, message->body, message->length);
        return;
    }
    sim_rng_seed(&rng, message->serial, (uint64_t)message->side + 1);
    if (message->compressible)
        for (size_t i = 0; i < message->length; i++)
            bytes[i] = (uint8_t)text[i % (sizeof text - 1)];
    else
        sim_rng_bytes(&rng, bytes, message->length);
    size_t marked = message->length < sizeof text ? message->length : sizeof text;
    memcpy(bytes, text, marked);
}

static struct sim_lane *lane_of(struct sim_world *world, int receiver,
                                const struct sim_message *message)
{
    return &world->checker.lanes[receiver][message->stream * KVPBUS_CLASS_COUNT + message->class_];
}

static unsigned reverts(const struct sim_world *world)
{
    return world->sides[SIM_HOST].reverts + world->sides[SIM_GUEST].reverts;
}

// --- sending ------------------------------------------------------------------------------------

void sim_check_queued(struct sim_message *message, const struct kvpbus_message_id *id,
                      const struct kvpbus_failure *failure)
{
    struct sim_world *world = message->world;
    struct sim_sent *sent = &message->sent;
    if (sent->state == SIM_FORGOTTEN)
        return;
    if (id != NULL) {
        sent->state = SIM_ACCEPTED;
        sent->id = *id;
        sim_trace(world, message->side, "message %u of %zu bytes is queued", message->serial,
                  message->length);
        return;
    }
    sim_trace(world, message->side, "message %u is refused: %s", message->serial,
              kvpbus_error_name(failure->code));
    bool room = failure->code == KVPBUS_QUOTA || failure->code == KVPBUS_JOURNAL_FULL;
    bool disk = failure->code == KVPBUS_NO_SPACE || failure->code == KVPBUS_IO;
    if (room)
        sent->state = SIM_REFUSED;
    else if (disk && world->sides[message->side].disk.failures > 0)
        sent->state = SIM_MAYBE; // the disk may have kept a commit that it said had failed
    else
        sim_fail(world, "message %u of side %d is refused: %s %s", message->serial, message->side,
                 kvpbus_error_name(failure->code), failure->detail);
}

// --- receiving ----------------------------------------------------------------------------------

static struct sim_message *find(struct sim_world *world, int sender, const char *topic)
{
    int side;
    unsigned serial;
    char end;
    if (sscanf(topic, "sim." SIM_MARKER ".%d.%u%c", &side, &serial, &end) != 2 || side != sender ||
        serial >= world->checker.count[sender])
        return NULL;
    return &world->checker.messages[sender][serial];
}

static bool same(const struct sim_message *message, const struct kvpbus_message *got)
{
    static uint8_t body[512 * 1024];
    if (got->body_length != message->length || got->class_ != message->class_ ||
        got->receipt != message->receipt ||
        strcmp(got->stream, sim_stream_name(message->stream)) != 0)
        return false;
    sim_message_body(message, body);
    return message->length == 0 || memcmp(body, got->body, message->length) == 0;
}

static void check_order(struct sim_world *world, int side, struct sim_message *message)
{
    struct sim_lane *lane = lane_of(world, side, message);
    const struct sim_message *last = lane->last;
    // What was a dead letter meanwhile may come after any of those that it was before.
    if (last == message || message->got.set_aside)
        return;
    if (last != NULL && last->got.ack == SIM_NOT_ACKED && !last->got.set_aside)
        sim_fail(world, "message %u overtakes %u, which side %d has not acknowledged",
                 message->serial, last->serial, side);
    if (last != NULL && message->serial < last->serial && ++lane->runs > reverts(world))
        sim_fail(world, "message %u comes after %u to side %d", message->serial, last->serial,
                 side);
    lane->last = message;
}

struct sim_message *sim_check_delivery(struct sim_world *world, int side,
                                       const struct kvpbus_delivery *delivery)
{
    struct sim_message *message = find(world, 1 - side, delivery->message.topic);
    if (message == NULL || !same(message, &delivery->message)) {
        sim_fail(world, "side %d was given what was not sent: %s, %zu bytes", side,
                 delivery->message.topic, delivery->message.body_length);
        return NULL;
    }
    sim_trace(world, side, "message %u comes, try %u", message->serial, delivery->try_);
    if (message->sent.state == SIM_UNSENT || message->sent.state == SIM_REFUSED)
        sim_fail(world, "message %u comes to side %d and was not taken", message->serial, side);
    if (message->got.ack == SIM_ACKED)
        sim_fail(world, "message %u comes again to side %d, which had acknowledged it",
                 message->serial, side);
    // When one side has gone back the sender may learn it later, see end_of_message.
    if (message->sent.state == SIM_ACCEPTED && message->sent.outcome == KVPBUS_OUTCOME_EXPIRED &&
        reverts(world) == 0)
        sim_fail(world, "message %u comes to side %d and had expired", message->serial, side);
    check_order(world, side, message);
    (*(message->got.seen ? &world->checker.redelivered : &world->checker.delivered))++;
    message->got.seen = true;
    return message;
}

// --- crashes and reverts ------------------------------------------------------------------------

bool sim_check_submitted(const struct sim_world *world, int side)
{
    const struct sim_checker *checker = &world->checker;
    for (size_t i = 0; i < checker->count[side]; i++)
        if (checker->messages[side][i].sent.state == SIM_SUBMITTED)
            return true;
    return false;
}

void sim_check_crash(struct sim_world *world, int side)
{
    struct sim_checker *checker = &world->checker;
    for (size_t i = 0; i < checker->count[side]; i++)
        if (checker->messages[side][i].sent.state == SIM_SUBMITTED)
            checker->messages[side][i].sent.state = SIM_MAYBE;
    for (size_t i = 0; i < checker->count[1 - side]; i++)
        if (checker->messages[1 - side][i].got.ack == SIM_ACK_ASKED)
            checker->messages[1 - side][i].got.ack = SIM_ACK_MAYBE;
}

void sim_check_save(const struct sim_world *world, int side, struct sim_knowledge *knowledge)
{
    const struct sim_checker *checker = &world->checker;
    for (size_t i = 0; i < checker->count[side]; i++)
        knowledge->sent[i] = checker->messages[side][i].sent;
    for (size_t i = 0; i < checker->count[1 - side]; i++)
        knowledge->got[i] = checker->messages[1 - side][i].got;
    memcpy(knowledge->lanes, checker->lanes[side], sizeof knowledge->lanes);
    knowledge->reverts = reverts(world);
}

void sim_check_restore(struct sim_world *world, int side, const struct sim_knowledge *knowledge)
{
    struct sim_checker *checker = &world->checker;
    for (size_t i = 0; i < checker->count[side]; i++) {
        struct sim_sent *sent = &checker->messages[side][i].sent;
        bool lost = knowledge->sent[i].state == SIM_UNSENT && sent->state != SIM_UNSENT;
        *sent = knowledge->sent[i];
        if (lost)
            sent->state = SIM_FORGOTTEN;
    }
    for (size_t i = 0; i < checker->count[1 - side]; i++)
        checker->messages[1 - side][i].got = knowledge->got[i];
    memcpy(checker->lanes[side], knowledge->lanes, sizeof knowledge->lanes);
}

// --- outcomes -----------------------------------------------------------------------------------

static void check_change(struct sim_world *world, struct sim_message *message,
                         enum kvpbus_outcome outcome, const char *reason)
{
    enum kvpbus_outcome before = message->sent.outcome;
    bool went_back = reverts(world) > 0;
    sim_trace(world, message->side, "message %u is %s", message->serial,
              kvpbus_outcome_name(outcome));
    bool undone = before == KVPBUS_OUTCOME_DELIVERED ||
                  (before == KVPBUS_OUTCOME_EXPIRED && outcome == KVPBUS_OUTCOME_UNKNOWN);
    // What its receipt said: a consumer set it aside, if only in a life that is over.
    bool died =
        outcome == KVPBUS_OUTCOME_DEAD && message->receipt && (message->got.set_aside || went_back);
    if (before != KVPBUS_OUTCOME_PENDING && !(went_back && undone) &&
        !(died && before == KVPBUS_OUTCOME_DELIVERED))
        sim_fail(world, "message %u of side %d was %s and is now %s", message->serial,
                 message->side, kvpbus_outcome_name(before), kvpbus_outcome_name(outcome));
    if ((outcome == KVPBUS_OUTCOME_DEAD && !died) ||
        (outcome == KVPBUS_OUTCOME_UNKNOWN && !went_back))
        sim_fail(world, "message %u of side %d is %s: %s", message->serial, message->side,
                 kvpbus_outcome_name(outcome), reason);
    if (outcome == KVPBUS_OUTCOME_EXPIRED && message->ttl_ms == 0)
        sim_fail(world, "message %u of side %d expires and has no lifetime", message->serial,
                 message->side);
    message->sent.outcome = outcome;
}

static void check_consumed(struct sim_world *world, struct sim_message *message, bool consumed)
{
    sim_trace(world, message->side, "message %u is %sconsumed", message->serial,
              consumed ? "" : "no longer ");
    if (!message->receipt)
        sim_fail(world, "message %u of side %d is consumed and did not ask for a receipt",
                 message->serial, message->side);
    // A revert takes back what the consumer did, and the sender's word for it with the delivery.
    if (reverts(world) == 0 && (!consumed || message->got.ack == SIM_NOT_ACKED))
        sim_fail(world, "message %u of side %d is %s", message->serial, message->side,
                 consumed ? "called consumed and is not" : "no longer called consumed");
    message->sent.consumed = consumed;
}

static void check_outcome(struct sim_side *side, struct sim_message *message)
{
    struct sim_world *world = side->world;
    struct kvpbus_message_status status;
    enum kvpbus_error error = kvpbus_journal_status(side->process->journal, side->process->peer,
                                                    &message->sent.id, &status);
    if (error != KVPBUS_OK)
        sim_fail(world, "side %d knows nothing of message %u: %s", side->index, message->serial,
                 kvpbus_error_name(error));
    if (error == KVPBUS_OK && status.outcome != message->sent.outcome)
        check_change(world, message, status.outcome, status.reason);
    if (error == KVPBUS_OK && status.consumed != message->sent.consumed)
        check_consumed(world, message, status.consumed);
}

void sim_check_outcomes(struct sim_world *world, int index)
{
    struct sim_side *side = &world->sides[index];
    bool all = world->phase != SIM_RUN || reverts(world) > 0;
    if (!sim_side_ready(side))
        return;
    struct sim_arena *before = sim_side_enter(side);
    side->process->outcomes_changed = false;
    for (size_t i = 0; i < world->checker.count[index] && !world->failed; i++) {
        struct sim_message *message = &world->checker.messages[index][i];
        bool final = message->sent.outcome != KVPBUS_OUTCOME_PENDING;
        final &= message->sent.consumed || !message->receipt;
        if (message->sent.state == SIM_ACCEPTED && (all || !final))
            check_outcome(side, message);
    }
    sim_side_leave(before);
}

// --- the end ------------------------------------------------------------------------------------

static void end_of_message(struct sim_world *world, const struct sim_message *message)
{
    const struct sim_side *receiver = &world->sides[1 - message->side];
    if (message->got.seen && message->got.ack == SIM_NOT_ACKED)
        sim_fail(world, "message %u came and was never acknowledged by side %d", message->serial,
                 receiver->index);
    if (message->sent.state != SIM_ACCEPTED)
        return;
    switch (message->sent.outcome) {
    case KVPBUS_OUTCOME_PENDING:
        sim_fail(world, "message %u of side %d has no outcome", message->serial, message->side);
        break;
    case KVPBUS_OUTCOME_DELIVERED:
        if (!message->got.seen)
            sim_fail(world, "message %u of side %d is delivered and never came", message->serial,
                     message->side);
        world->checker.consumed += message->sent.consumed;
        if (message->receipt && message->got.ack == SIM_ACKED && !message->sent.consumed)
            sim_fail(world, "side %d was never told that message %u is consumed", message->side,
                     message->serial);
        break;
    case KVPBUS_OUTCOME_DEAD:
        world->checker.dead++;
        break;
    case KVPBUS_OUTCOME_EXPIRED:
        world->checker.expired++;
        if (message->got.seen)
            sim_fail(world, "message %u of side %d is expired and came", message->serial,
                     message->side);
        break;
    default:
        world->checker.unknown++;
        // Only the receiver's going back, or a lifetime's end, loses a message for good.
        if (receiver->reverts == 0 && message->ttl_ms == 0 && !message->got.seen)
            sim_fail(world, "message %u of side %d never came", message->serial, message->side);
        break;
    }
}

static void end_of_journal(struct sim_world *world, int receiver)
{
    struct sim_side *side = &world->sides[receiver];
    struct kvpbus_journal_counts counts;
    uint64_t came = 0;
    for (size_t i = 0; i < world->checker.count[1 - receiver]; i++)
        came += world->checker.messages[1 - receiver][i].got.seen;
    struct sim_arena *before = sim_side_enter(side);
    enum kvpbus_error error =
        kvpbus_journal_counts(side->process->journal, side->process->peer, &counts);
    sim_side_leave(before);
    // Of requests and replies some are dropped when their time is over.
    uint64_t calls = world->calls.messages[1 - receiver];
    if (error != KVPBUS_OK || counts.received < came || counts.received > came + calls)
        sim_fail(world, "side %d took in %llu messages and its consumer saw %llu", receiver,
                 (unsigned long long)counts.received, (unsigned long long)came);
}

static void end_of_audit(struct sim_world *world, struct sim_side *side)
{
    uint64_t at;
    struct sim_arena *before = sim_side_enter(side);
    enum kvpbus_audit_fault fault = audit_check(side->process->journal, side->identity, &at);
    sim_side_leave(before);
    if (fault != KVPBUS_AUDIT_FITS)
        sim_fail(world, "the audit of side %d does not fit at %llu: %d", side->index,
                 (unsigned long long)at, (int)fault);
}

void sim_check_end(struct sim_world *world)
{
    for (int side = 0; side < SIM_SIDES; side++) {
        sim_check_outcomes(world, side);
        for (size_t i = 0; i < world->checker.count[side]; i++)
            end_of_message(world, &world->checker.messages[side][i]);
        end_of_journal(world, 1 - side);
        end_of_audit(world, &world->sides[side]);
    }
}
