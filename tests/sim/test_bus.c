// SPDX-License-Identifier: Apache-2.0
//
// What programs ask of the bus, on a simulated link: refusals, leases, pairing, and what it does
// when the journal or the inbox cannot take more.
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>

#include "ask.h"
#include "kvpbus/identity.h"

static void on_counts(void *context, const struct kvpbus_journal_counts *counts,
                      const struct kvpbus_failure *failure)
{
    struct answer *answer = context;
    ask_answered(answer, failure);
    answer->given = counts != NULL;
    if (counts != NULL)
        answer->counts = *counts;
}

static struct answer lease_of(struct sim_world *world, int side, const struct kvpbus_filter *filter,
                              uint64_t ms)
{
    struct answer answer = {0};
    ASK(world, side, &answer, kvpbus_bus_lease(process->bus, filter, ms, ask_leased, &answer));
    return answer;
}

static struct answer lease(struct sim_world *world, const char *pattern, uint64_t ms)
{
    return lease_of(world, SIM_GUEST, &(struct kvpbus_filter){.pattern = pattern}, ms);
}

static enum kvpbus_error ack(struct sim_world *world, int64_t token)
{
    struct answer answer = {0};
    ASK(world, SIM_GUEST, &answer, kvpbus_bus_ack(process->bus, token, ask_done, &answer));
    return answer.code;
}

static enum kvpbus_error nack(struct sim_world *world, int64_t token, uint64_t delay)
{
    struct answer answer = {0};
    ASK(world, SIM_GUEST, &answer,
        kvpbus_bus_nack(process->bus, token, delay, "not now", ask_done, &answer));
    return answer.code;
}

static struct kvpbus_journal_counts counts(struct sim_world *world, int side)
{
    struct answer answer = {0};
    ASK(world, side, &answer, kvpbus_bus_counts(process->endpoint, on_counts, &answer));
    cr_assert(answer.given);
    return answer.counts;
}

static struct answer send(struct sim_world *world, const struct kvpbus_message *message)
{
    struct answer answer = {0};
    ASK(world, SIM_HOST, &answer,
        kvpbus_bus_send(process->endpoint, message, false, ask_queued, &answer));
    return answer;
}

static struct kvpbus_message_id send_text(struct sim_world *world, const char *topic,
                                          const char *stream, const char *text)
{
    const struct kvpbus_message message = {
        .topic = topic,
        .stream = stream,
        .class_ = KVPBUS_CLASS_NORMAL,
        .body = (const uint8_t *)text,
        .body_length = strlen(text),
    };
    struct answer answer = send(world, &message);
    cr_assert(answer.given, "%s", answer.words);
    return answer.id;
}

static struct answer status(struct sim_world *world, const struct kvpbus_message_id *id)
{
    struct answer answer = {0};
    ASK(world, SIM_HOST, &answer,
        kvpbus_bus_message_status(process->endpoint, id, ask_status, &answer));
    return answer;
}

static enum kvpbus_error pair(struct sim_world *world, int side, const char *fingerprint)
{
    struct answer answer = {0};
    ASK(world, side, &answer, kvpbus_bus_pair(process->endpoint, fingerprint, ask_done, &answer));
    return answer.code;
}

static void unpair(struct sim_world *world, int side)
{
    struct answer answer = {0};
    ASK(world, side, &answer, kvpbus_bus_unpair(process->endpoint, ask_done, &answer));
    cr_assert_eq(answer.code, KVPBUS_OK);
}

static void pin(struct sim_world *world, int side, const uint8_t *identity)
{
    struct answer answer = {0};
    ASK(world, side, &answer, kvpbus_bus_pin(process->endpoint, identity, ask_done, &answer));
    cr_assert_eq(answer.code, KVPBUS_OK);
}

// --- sending ------------------------------------------------------------------------------------

Test(bus, a_message_that_breaks_a_rule_is_refused_in_words, .init = sim_setup)
{
    static uint8_t body[384 * 1024 + 1];
    const struct kvpbus_message long_one = {
        .topic = "t", .stream = "", .body = body, .body_length = sizeof body};
    const struct kvpbus_message nameless = {.topic = "a..b", .stream = ""};
    struct sim_world *world = ask_begin();
    cr_assert_eq(send(world, &long_one).code, KVPBUS_TOO_LARGE);
    cr_assert_eq(send(world, &nameless).code, KVPBUS_BAD_TOPIC);
    cr_assert_eq(counts(world, SIM_HOST).queued, 0);
    sim_world_free(world);
}

Test(bus, a_message_is_pending_until_it_is_delivered, .init = sim_setup)
{
    struct sim_world *world = ask_begin();
    sim_side_suspend(&world->sides[SIM_HOST], true);
    struct kvpbus_message_id sent = send_text(world, "app.a", "", "hello");
    live_wait(world, LIVE_MINUTE);
    cr_assert_eq(live_state(world, SIM_HOST), KVPBUS_LINK_SUSPENDED);
    cr_assert_eq(status(world, &sent).status.outcome, KVPBUS_OUTCOME_PENDING);
    cr_assert_eq(counts(world, SIM_HOST).queued, 1);

    sim_side_suspend(&world->sides[SIM_HOST], false);
    live_wait(world, LIVE_MINUTE);
    cr_assert_eq(status(world, &sent).status.outcome, KVPBUS_OUTCOME_DELIVERED);
    cr_assert_eq(counts(world, SIM_HOST).queued, 0);
    sent.index++;
    struct answer other = status(world, &sent);
    cr_assert_eq(other.code, KVPBUS_NOT_FOUND);
    cr_assert_not(other.given);
    sim_world_free(world);
}

static void on_whole(void *context, struct kvpbus_delivery *delivery,
                     const struct kvpbus_awaited *awaited, const struct kvpbus_failure *failure)
{
    (void)awaited;
    ask_answered(context, failure);
    cr_assert_not_null(delivery);
    const struct kvpbus_message *got = &delivery->message;
    cr_assert_str_eq(got->topic, "app.call");
    cr_assert_str_eq(got->stream, "orders");
    cr_assert_eq(got->kind, KVPBUS_KIND_REQUEST);
    cr_assert_eq(got->status, -7);
    cr_assert_eq(got->header_count, 2);
    cr_assert_str_eq(got->headers[1].name, "trace");
    cr_assert_str_eq(got->headers[1].value, "");
    cr_assert_eq(got->correlation_length, 3);
    cr_assert_arr_eq(got->correlation, "abc", 3);
    cr_assert_eq(got->operator_signature[63], 9);
    cr_assert_eq(got->body_length, 0);
    kvpbus_delivery_free(delivery);
}

Test(bus, every_part_of_a_message_comes, .init = sim_setup)
{
    static const struct kvpbus_header headers[] = {{"who", "me"}, {"trace", ""}};
    static const uint8_t signature[64] = {[63] = 9};
    const struct kvpbus_message message = {
        .topic = "app.call",
        .stream = "orders",
        .class_ = KVPBUS_CLASS_CONTROL,
        .kind = KVPBUS_KIND_REQUEST,
        .status = -7,
        .headers = headers,
        .header_count = 2,
        .correlation = (const uint8_t *)"abc",
        .correlation_length = 3,
        .operator_signature = signature,
    };
    struct sim_world *world = ask_begin();
    cr_assert(send(world, &message).given);
    live_wait(world, LIVE_MINUTE);
    struct answer answer = {0};
    ASK(world, SIM_GUEST, &answer,
        kvpbus_bus_lease(process->bus, &(struct kvpbus_filter){0}, 1000, on_whole, &answer));
    sim_world_free(world);
}

// --- leases -------------------------------------------------------------------------------------

Test(bus, a_lease_takes_what_its_pattern_names, .init = sim_setup)
{
    struct sim_world *world = ask_begin();
    send_text(world, "app.a", "1", "first");
    send_text(world, "app.b", "2", "second");
    live_wait(world, LIVE_MINUTE);
    cr_assert_eq(lease(world, "other.>", 1000).code, KVPBUS_NOT_FOUND);
    struct answer b = lease(world, "*.b", 1000);
    cr_assert_str_eq(b.body, "second");
    cr_assert_eq(lease(world, "app.b", 1000).code, KVPBUS_NOT_FOUND, "it is leased");
    cr_assert_eq(ack(world, b.lease), KVPBUS_OK);
    cr_assert_eq(ack(world, b.lease), KVPBUS_NOT_FOUND, "it has ended");
    cr_assert_str_eq(lease(world, NULL, 1000).body, "first");
    sim_world_free(world);
}

Test(bus, a_refused_message_comes_back_after_its_delay_and_a_forgotten_one_too, .init = sim_setup)
{
    struct sim_world *world = ask_begin();
    send_text(world, "app.a", "", "hello");
    live_wait(world, LIVE_MINUTE);
    struct answer first = lease(world, NULL, 60000);
    cr_assert_eq(nack(world, first.lease, 5000), KVPBUS_OK);
    cr_assert_eq(lease(world, NULL, 1000).code, KVPBUS_NOT_FOUND);
    bool *told = &world->sides[SIM_GUEST].process->consumers[0].again;
    *told = false;
    live_wait(world, 5100);
    cr_assert(*told, "whoever waits learns that it is back");
    struct answer second = lease(world, NULL, 2000);
    cr_assert_eq(second.try_, 2);
    *told = false;
    live_wait(world, 2100);
    cr_assert(*told);
    struct answer third = lease(world, NULL, 2000);
    cr_assert_eq(third.try_, 3);
    cr_assert_eq(ack(world, second.lease), KVPBUS_NOT_FOUND, "that lease ran out");
    cr_assert_eq(ack(world, third.lease), KVPBUS_OK);
    cr_assert_eq(counts(world, SIM_GUEST).inbox, 0);
    sim_world_free(world);
}

// --- a journal that cannot ----------------------------------------------------------------------

Test(bus, a_lease_that_was_not_committed_is_none, .init = sim_setup)
{
    struct sim_world *world = ask_begin();
    struct sim_disk *disk = &world->sides[SIM_GUEST].disk;
    send_text(world, "app.a", "", "hello");
    live_wait(world, LIVE_MINUTE);
    disk->error_permille = 1000;
    struct answer failed = lease(world, NULL, 60000);
    disk->error_permille = 0;
    cr_assert_not(failed.given);
    cr_assert_neq(failed.code, KVPBUS_OK);
    cr_assert_neq(failed.code, KVPBUS_NOT_FOUND);
    struct answer again = lease(world, NULL, 60000);
    cr_assert_eq(again.try_, 1);
    sim_world_free(world);
}

static bool all_here(void *context)
{
    const struct answer *answers = context;
    for (; !answers->last; answers++)
        if (!answers->here)
            return false;
    return answers->here;
}

// More in one transaction than SQLite keeps in memory: it undoes the whole transaction in its
// middle, and nothing that is asked in the rest of it may be taken for done.
Test(bus, a_disk_that_is_full_in_the_middle_of_a_transaction_refuses_all_of_it, .init = sim_setup)
{
    enum { COUNT = 16 };
    static uint8_t body[300 * 1024];
    static struct answer answers[COUNT];
    struct sim_world *world = ask_begin();
    struct sim_side *host = &world->sides[SIM_HOST];
    const struct kvpbus_message message = {.topic = "app.a",
                                           .stream = "",
                                           .class_ = KVPBUS_CLASS_BULK,
                                           .body = body,
                                           .body_length = sizeof body};
    sim_rng_bytes(&world->rng, body, sizeof body);
    answers[COUNT - 1].last = true;
    host->disk.full_permille = 5; // what comes after the failure could be written again
    struct sim_arena *before = sim_side_enter(host);
    for (size_t i = 0; i < COUNT; i++)
        kvpbus_bus_send(host->process->endpoint, &message, false, ask_queued, &answers[i]);
    sim_side_leave(before);
    live_until(world, all_here, answers);
    host->disk.full_permille = 0;
    for (size_t i = 0; i < COUNT; i++) {
        cr_assert_not(answers[i].given);
        cr_assert_eq(answers[i].code, KVPBUS_NO_SPACE, "%zu: %s", i, answers[i].words);
        cr_assert_not_null(strstr(answers[i].words, "full"));
    }
    cr_assert_eq(counts(world, SIM_HOST).queued, 0);
    cr_assert(send(world, &message).given);
    sim_world_free(world);
}

Test(bus, what_comes_while_the_disk_fails_is_taken_afterwards, .init = sim_setup)
{
    struct sim_world *world = ask_begin();
    struct sim_disk *disk = &world->sides[SIM_GUEST].disk;
    disk->error_permille = 1000;
    struct kvpbus_message_id sent = send_text(world, "app.a", "", "hello");
    live_wait(world, LIVE_MINUTE);
    cr_assert_eq(status(world, &sent).status.outcome, KVPBUS_OUTCOME_PENDING);
    disk->error_permille = 0;
    live_wait(world, 2 * LIVE_MINUTE);
    cr_assert_eq(status(world, &sent).status.outcome, KVPBUS_OUTCOME_DELIVERED);
    cr_assert_eq(counts(world, SIM_GUEST).received, 1);
    sim_world_free(world);
}

Test(bus, what_waits_while_the_disk_fails_goes_afterwards, .init = sim_setup)
{
    struct sim_world *world = ask_begin();
    struct sim_side *host = &world->sides[SIM_HOST];
    sim_side_suspend(host, true);
    struct kvpbus_message_id sent = send_text(world, "app.a", "", "hello");
    host->disk.error_permille = 1000;
    sim_side_suspend(host, false);
    live_wait(world, LIVE_MINUTE);
    cr_assert_eq(counts(world, SIM_GUEST).received, 0);
    host->disk.error_permille = 0;
    live_wait(world, LIVE_MINUTE);
    cr_assert_eq(status(world, &sent).status.outcome, KVPBUS_OUTCOME_DELIVERED);
    cr_assert_eq(counts(world, SIM_GUEST).received, 1);
    sim_world_free(world);
}

Test(bus, a_full_inbox_makes_the_sender_wait_until_something_is_consumed, .init = sim_setup)
{
    enum { COUNT = 8 };
    static uint8_t body[100 * 1024];
    struct sim_world *world = live_world();
    world->plan.on[SIM_SMALL_INBOX] = true;
    world->sides[SIM_GUEST].consumer_stops = true;
    live_begin(world);
    sim_rng_bytes(&world->rng, body, sizeof body);
    for (size_t i = 0; i < COUNT; i++)
        live_queue(world, SIM_HOST, 0, body, sizeof body);
    uint64_t reads = world->sides[SIM_GUEST].counters.reads_peer;
    live_wait(world, LIVE_HOUR);
    reads = world->sides[SIM_GUEST].counters.reads_peer - reads;
    cr_assert_leq(reads, 60 * 60, "a side that can only wait polls: %" PRIu64, reads);
    cr_assert_gt(counts(world, SIM_GUEST).inbox, 0);
    cr_assert_gt(counts(world, SIM_HOST).queued, 0);

    world->sides[SIM_GUEST].consumer_stops = false;
    live_deliver(world, SIM_HOST);
    live_wait(world, LIVE_MINUTE);
    cr_assert_eq(counts(world, SIM_GUEST).received, COUNT);
    cr_assert_eq(counts(world, SIM_GUEST).inbox, 0);
    sim_world_free(world);
}

// --- pairing ------------------------------------------------------------------------------------

static void fingerprint_of(const struct sim_world *world, int side,
                           char text[KVPBUS_FINGERPRINT_TEXT])
{
    kvpbus_fingerprint(world->sides[side].identity, text);
}

Test(bus, pairing_needs_the_fingerprint_that_waits, .init = sim_setup)
{
    char host[KVPBUS_FINGERPRINT_TEXT], guest[KVPBUS_FINGERPRINT_TEXT];
    struct sim_world *world = ask_begin();
    fingerprint_of(world, SIM_HOST, host);
    fingerprint_of(world, SIM_GUEST, guest);
    cr_assert_eq(pair(world, SIM_HOST, guest), KVPBUS_UNPAIRED, "nothing waits");
    unpair(world, SIM_HOST);
    unpair(world, SIM_GUEST);
    send_text(world, "app.a", "", "hello");
    live_wait(world, LIVE_MINUTE);
    cr_assert_eq(live_state(world, SIM_HOST), KVPBUS_LINK_UNPAIRED);
    cr_assert_eq(live_state(world, SIM_GUEST), KVPBUS_LINK_UNPAIRED);
    cr_assert_eq(counts(world, SIM_HOST).queued, 1);

    cr_assert_eq(pair(world, SIM_HOST, host), KVPBUS_BAD_KEY);
    cr_assert_eq(live_state(world, SIM_HOST), KVPBUS_LINK_UNPAIRED);
    cr_assert_eq(pair(world, SIM_HOST, guest), KVPBUS_OK);
    live_wait(world, LIVE_MINUTE);
    cr_assert_eq(counts(world, SIM_HOST).queued, 1, "the guest has not approved");
    cr_assert_eq(pair(world, SIM_GUEST, host), KVPBUS_OK);
    live_wait(world, LIVE_MINUTE);
    cr_assert_eq(live_state(world, SIM_HOST), KVPBUS_LINK_LIVE);
    cr_assert_eq(counts(world, SIM_HOST).queued, 0);
    cr_assert_str_eq(lease(world, NULL, 1000).body, "hello");
    sim_world_free(world);
}

Test(bus, a_pinned_identity_is_the_only_one, .init = sim_setup)
{
    uint8_t other[KVPBUS_IDENTITY_BYTES] = {1};
    struct sim_world *world = ask_begin();
    const uint8_t *guest = world->sides[SIM_GUEST].identity;
    pin(world, SIM_HOST, other);
    send_text(world, "app.a", "", "hello");
    live_wait(world, LIVE_MINUTE);
    cr_assert_eq(live_state(world, SIM_HOST), KVPBUS_LINK_UNPAIRED);
    cr_assert_eq(counts(world, SIM_GUEST).received, 0);
    pin(world, SIM_HOST, guest);
    live_wait(world, LIVE_MINUTE);
    cr_assert_eq(live_state(world, SIM_HOST), KVPBUS_LINK_LIVE);
    cr_assert_eq(counts(world, SIM_GUEST).received, 1);
    sim_world_free(world);
}

// --- dead letters, replies ----------------------------------------------------------------------

static void on_letters(void *context, const struct kvpbus_dead_letter *letters, size_t count,
                       bool more, const struct kvpbus_failure *failure)
{
    struct answer *answer = context;
    ask_answered(answer, failure);
    answer->count = count;
    answer->last = !more;
    cr_assert(count == 0 || letters[count - 1].number > 0);
}

static void on_walked(void *context, size_t count, const struct kvpbus_failure *failure)
{
    struct answer *answer = context;
    ask_answered(answer, failure);
    answer->count = count;
}

static struct answer letters(struct sim_world *world)
{
    static const struct kvpbus_dead_filter all;
    struct answer answer = {0};
    ASK(world, SIM_GUEST, &answer,
        kvpbus_bus_dead_list(process->bus, &all, 0, on_letters, &answer));
    return answer;
}

Test(bus, dead_letters_come_by_pages_and_are_given_back_all_at_once, .init = sim_setup)
{
    enum { MANY = KVPBUS_DEAD_PAGE * 2 + 3 };
    static const struct kvpbus_dead_filter all;
    struct sim_world *world = ask_begin();
    for (int i = 0; i < MANY; i++)
        send_text(world, "app.bad", "", "poison");
    live_wait(world, LIVE_MINUTE);
    for (int i = 0; i < MANY; i++) {
        struct answer got = lease(world, NULL, 60000), answer = {0};
        cr_assert(got.given);
        ASK(world, SIM_GUEST, &answer,
            kvpbus_bus_reject(process->bus, got.lease, "never", ask_done, &answer));
        cr_assert_eq(answer.code, KVPBUS_OK);
    }
    struct answer page = letters(world), answer = {0};
    cr_assert(page.count == KVPBUS_DEAD_PAGE && !page.last);
    ASK(world, SIM_GUEST, &answer, kvpbus_bus_dead_retry(process->bus, &all, on_walked, &answer));
    cr_assert_eq(answer.count, MANY);
    cr_assert_eq(letters(world).count, 0);
    cr_assert_eq(counts(world, SIM_GUEST).inbox, MANY);
    sim_world_free(world);
}

Test(bus, a_longer_lease_ends_later, .init = sim_setup)
{
    struct sim_world *world = ask_begin();
    send_text(world, "app.a", "", "hello");
    live_wait(world, LIVE_MINUTE);
    struct answer got = lease(world, NULL, 5000), answer = {0};
    ASK(world, SIM_GUEST, &answer,
        kvpbus_bus_extend(process->bus, got.lease, 2 * LIVE_MINUTE, ask_done, &answer));
    cr_assert_eq(answer.code, KVPBUS_OK);
    live_wait(world, LIVE_MINUTE);
    cr_assert_not(lease(world, NULL, 5000).given);
    cr_assert_eq(ack(world, got.lease), KVPBUS_OK);
    sim_world_free(world);
}

Test(bus, replies_go_to_who_asks_for_them_until_the_request_is_over, .init = sim_setup)
{
    struct sim_world *world = ask_begin();
    struct kvpbus_message request = {
        .topic = "app.ask", .stream = "", .kind = KVPBUS_KIND_REQUEST, .ttl_ms = 10 * LIVE_MINUTE};
    struct answer asked = send(world, &request);
    live_wait(world, LIVE_MINUTE);
    struct kvpbus_filter replies = {.reply_to = &asked.id};
    struct answer none = lease_of(world, SIM_HOST, &replies, 5000);
    cr_assert(!none.given && none.code == KVPBUS_NOT_FOUND && !none.awaited.over);

    uint8_t correlation[KVPBUS_BUNDLE_ID_BYTES + 2] = {0};
    memcpy(correlation, asked.id.bundle, sizeof asked.id.bundle);
    correlation[sizeof correlation - 1] = (uint8_t)asked.id.index;
    const struct kvpbus_message reply = {
        .topic = "app.answer",
        .stream = "",
        .kind = KVPBUS_KIND_LAST_REPLY,
        .correlation = correlation,
        .correlation_length = sizeof correlation,
        .body = (const uint8_t *)"yes",
        .body_length = 3,
    };
    struct answer sent = {0}, answer = {0};
    ASK(world, SIM_GUEST, &sent,
        kvpbus_bus_send(process->endpoint, &reply, false, ask_queued, &sent));
    live_wait(world, LIVE_MINUTE);
    struct answer got = lease_of(world, SIM_HOST, &replies, 5000);
    cr_assert_str_eq(got.body, "yes");
    ASK(world, SIM_HOST, &answer, kvpbus_bus_ack(process->bus, got.lease, ask_done, &answer));
    none = lease_of(world, SIM_HOST, &replies, 5000);
    cr_assert(none.awaited.over && none.awaited.outcome == KVPBUS_OUTCOME_DELIVERED);
    sim_world_free(world);
}
