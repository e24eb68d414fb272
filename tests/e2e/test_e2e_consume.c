// SPDX-License-Identifier: Apache-2.0
//
// A program in the VM alpha that takes what the host sends, refuses some of it, wants more time,
// and looks after dead letters; and quotas. With the real services, through libkvpbus.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "kvpbus/client.h"
#include "world.h"

static struct world world;
static struct kvpbus_client *alpha;
static struct kvpbus_client_event last;
static struct kvpbus_failure failure;

static struct kvpbus_client *connect_to(const char *side)
{
    char path[128];
    struct kvpbus_client *client;
    snprintf(path, sizeof path, "%s/%s.ctl", world.lab.directory, side);
    cr_assert_eq(kvpbus_client_open(path, &client, &failure), KVPBUS_OK, "%s", failure.detail);
    return client;
}

static void begin(void)
{
    world_begin(&world, "");
    cr_assert_eq(
        world_shell(
            &world,
            "printf \"[kvpbus]\\nbody_max = 256k\\noutbox_max = 2M\\ncontrol_reserve = 256k\\n"
            "inbox_max = 2M\\nbulk_max = 1M\\n[vm beta]\\noutbox_max = 4M\\n\" >host.conf"),
        0);
    world_start(&world, WORLD_HOST);
    world_start(&world, WORLD_ALPHA);
    world_pair(&world, WORLD_ALPHA);
    alpha = connect_to("alpha");
}

static void finish(void)
{
    kvpbus_client_close(alpha);
    world_end(&world);
}

TestSuite(e2e_consume, .init = begin, .fini = finish);

static void send_text(const char *topic, const char *text)
{
    world_ok(&world, WORLD_HOST, "send alpha %s --text %s --wait delivered", topic, text);
}

// The end of what was begun, which must be this.
static void ends(enum kvpbus_error begun, enum kvpbus_error code)
{
    enum kvpbus_error error = begun;
    if (error == KVPBUS_OK)
        error = kvpbus_client_finish(alpha, 20000, &last, &failure);
    cr_assert_eq(error, code, "%s: %s", kvpbus_error_name(error), failure.detail);
    cr_assert(error == KVPBUS_OK || failure.detail[0] != '\0');
}

static int64_t take(const struct kvpbus_receiving *which, const char *text)
{
    ends(kvpbus_client_receive(alpha, which, &failure), KVPBUS_OK);
    cr_assert_eq(last.kind, KVPBUS_CLIENT_MESSAGE);
    cr_assert_str_eq((const char *)last.message->body, text);
    return last.message->lease;
}

static int64_t take_any(const char *text)
{
    return take(&(struct kvpbus_receiving){.pattern = NULL}, text);
}

static void nothing_waits(const struct kvpbus_receiving *which)
{
    struct kvpbus_receiving now = *which;
    now.now = true;
    ends(kvpbus_client_receive(alpha, &now, &failure), KVPBUS_NOT_FOUND);
}

static void ack(int64_t lease)
{
    ends(kvpbus_client_ack(alpha, lease, &failure), KVPBUS_OK);
}

// --- leases ---

// What must not end between two calls, on a machine that does much else too; and surely later.
enum { FOR_NOW_MS = 5000, IS_OVER_MS = 6500 };

Test(e2e_consume, a_message_is_refused_for_a_while)
{
    send_text("app.x", "later");
    int64_t lease = take_any("later");
    ends(kvpbus_client_nack(alpha, lease, FOR_NOW_MS, "the database is away", false, &failure),
         KVPBUS_OK);
    nothing_waits(&(struct kvpbus_receiving){.pattern = NULL});
    lease = take_any("later");
    cr_assert_eq(last.message->try_, 2);
    ack(lease);
    ends(kvpbus_client_nack(alpha, lease, 0, NULL, false, &failure), KVPBUS_NOT_FOUND);
}

Test(e2e_consume, a_lease_is_made_longer)
{
    send_text("app.x", "long");
    int64_t lease = take(&(struct kvpbus_receiving){.lease_ms = FOR_NOW_MS}, "long");
    ends(kvpbus_client_extend(alpha, lease, 60000, &failure), KVPBUS_OK);
    lab_sleep_ms(IS_OVER_MS);
    nothing_waits(&(struct kvpbus_receiving){.pattern = NULL});
    ack(lease);
    ends(kvpbus_client_extend(alpha, lease, 60000, &failure), KVPBUS_NOT_FOUND);
}

static void configure_alpha(const char *lease)
{
    cr_assert_eq(world_shell(&world, "printf \"[kvpbus]\\nlease = %s\\n\" >alpha.conf", lease), 0);
}

// Of whoever does not say how long.
Test(e2e_consume, a_lease_is_as_long_as_it_was_configured)
{
    kvpbus_client_close(alpha);
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    configure_alpha("5s");
    world_start(&world, WORLD_ALPHA);
    alpha = connect_to("alpha");
    send_text("app.x", "again");
    take_any("again");
    nothing_waits(&(struct kvpbus_receiving){.pattern = NULL});
    take_any("again");
    cr_assert_eq(last.message->try_, 2);
    // Also of one that is extended, and after a look at the file again.
    configure_alpha("1h");
    cr_assert_eq(kill(world.pids[WORLD_ALPHA], SIGHUP), 0);
    for (int i = 0; world_shell(&world, "grep -F \"lease takes effect now\" alpha.log") != 0; i++) {
        cr_assert_lt(i, 200);
        lab_sleep_ms(50);
    }
    int64_t lease = take_any("again");
    cr_assert_eq(last.message->try_, 3);
    ends(kvpbus_client_extend(alpha, lease, FOR_NOW_MS, &failure), KVPBUS_OK);
    ends(kvpbus_client_extend(alpha, lease, 0, &failure), KVPBUS_OK);
    lab_sleep_ms(IS_OVER_MS);
    nothing_waits(&(struct kvpbus_receiving){.pattern = NULL});
    ack(lease);
}

Test(e2e_consume, only_what_is_wanted_is_given)
{
    send_text("app.x", "wanted");
    nothing_waits(&(struct kvpbus_receiving){.pattern = "other.>"});
    nothing_waits(&(struct kvpbus_receiving){.kinds = 1 << KVPBUS_KIND_REQUEST});
    ack(take(&(struct kvpbus_receiving){.pattern = "*.x", .peer = "host"}, "wanted"));
    static const struct kvpbus_receiving bad[] = {
        {.pattern = "app.x*"}, {.pattern = ">.x"},
        {.pattern = "a..b"},   {.kinds = 1 << KVPBUS_KIND_REPLY},
        {.reply_to = "no id"}, {.peer = "nobody"},
    };
    static const enum kvpbus_error codes[] = {
        KVPBUS_BAD_TOPIC,        KVPBUS_BAD_TOPIC,        KVPBUS_BAD_TOPIC,
        KVPBUS_INVALID_ARGUMENT, KVPBUS_INVALID_ARGUMENT, KVPBUS_VM_UNKNOWN,
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ends(kvpbus_client_receive(alpha, &bad[i], &failure), codes[i]);
}

// --- dead letters ---

static struct kvpbus_letter letter;
static char letter_id[KVPBUS_MESSAGE_ID_TEXT];

// How many there are; the last one is `letter`, but for its strings, and `letter_id`.
static unsigned count_letters(const struct kvpbus_dead_query *query)
{
    unsigned count = 0;
    struct kvpbus_client_event event;
    cr_assert_eq(kvpbus_client_dead(alpha, KVPBUS_DEAD_LIST, query, &failure), KVPBUS_OK);
    do {
        cr_assert_eq(kvpbus_client_next(alpha, 20000, &event, &failure), KVPBUS_OK, "%s",
                     failure.detail);
        if (event.kind == KVPBUS_CLIENT_LETTER) {
            count++;
            letter = *event.letter;
            snprintf(letter_id, sizeof letter_id, "%s", letter.id);
            cr_assert_str_eq(letter.peer, "host");
        }
    } while (event.kind != KVPBUS_CLIENT_DONE);
    return count;
}

static unsigned count_all(void)
{
    return count_letters(&(struct kvpbus_dead_query){.peer = NULL});
}

static void die(const char *text, const char *reason)
{
    int64_t lease = take_any(text);
    ends(kvpbus_client_nack(alpha, lease, 0, reason, true, &failure), KVPBUS_OK);
}

Test(e2e_consume, a_dead_letter_is_looked_at_and_given_back)
{
    send_text("app.bad", "poison");
    die("poison", "no such table");
    cr_assert_eq(count_all(), 1);
    cr_assert_eq(letter.tries, 1);
    world_ok(&world, WORLD_ALPHA, "status host");
    cr_assert_not_null(strstr(world_output(), "1 dead letter; 'kvpbus dead list'"), "%s",
                       world_output());
    cr_assert_not_null(strstr(world_output(), " for acknowledgement, of up to 64"), "%s",
                       world_output());
    struct kvpbus_dead_query query = {.id = letter_id};
    ends(kvpbus_client_dead(alpha, KVPBUS_DEAD_SHOW, &query, &failure), KVPBUS_OK);
    cr_assert_eq(last.kind, KVPBUS_CLIENT_MESSAGE);
    cr_assert_eq(last.message->lease, 0);
    cr_assert_str_eq((const char *)last.message->body, "poison");
    nothing_waits(&(struct kvpbus_receiving){.pattern = NULL});
    // It survives a restart of the service.
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    world_start(&world, WORLD_ALPHA);
    cr_assert_eq(kvpbus_client_reconnect(alpha, &failure), KVPBUS_OK);
    ends(kvpbus_client_dead(alpha, KVPBUS_DEAD_RETRY, &query, &failure), KVPBUS_OK);
    ack(take_any("poison"));
    cr_assert_eq(count_all(), 0);
    world_ok(&world, WORLD_ALPHA, "status host");
    cr_assert_null(strstr(world_output(), "dead letter"), "%s", world_output());
    ends(kvpbus_client_dead(alpha, KVPBUS_DEAD_RETRY, &query, &failure), KVPBUS_NOT_FOUND);
    ends(kvpbus_client_dead(alpha, KVPBUS_DEAD_SHOW, &query, &failure), KVPBUS_NOT_FOUND);
}

Test(e2e_consume, many_dead_letters_come_in_pages_and_go_at_once)
{
    enum { MANY = 150 };
    for (int i = 0; i < MANY; i++)
        world_ok(&world, WORLD_HOST, "send alpha app.%d --text n", i % 2);
    for (int i = 0; i < MANY; i++)
        die("n", "no");
    cr_assert_eq(count_all(), MANY);
    cr_assert_eq(count_letters(&(struct kvpbus_dead_query){.pattern = "*.1"}), MANY / 2);
    cr_assert_eq(count_letters(&(struct kvpbus_dead_query){.peer = "host"}), MANY);
    ends(kvpbus_client_dead(alpha, KVPBUS_DEAD_DROP,
                            &(struct kvpbus_dead_query){.pattern = "*.1", .all = true}, &failure),
         KVPBUS_OK);
    cr_assert_eq(count_all(), MANY / 2);
    ends(kvpbus_client_dead(alpha, KVPBUS_DEAD_RETRY, &(struct kvpbus_dead_query){.all = true},
                            &failure),
         KVPBUS_OK);
    cr_assert_eq(count_all(), 0);
    world_ok(&world, WORLD_ALPHA, "recv --count %d --timeout 20s >got; sort got | uniq -c",
             MANY / 2);
}

Test(e2e_consume, what_a_dead_letter_is_asked_wrongly_is_said)
{
    static const struct kvpbus_dead_query bad[] = {
        {.id = "no id"}, {.pattern = "a b", .all = true}, {.peer = "nobody", .all = true}};
    static const enum kvpbus_error codes[] = {KVPBUS_INVALID_ARGUMENT, KVPBUS_BAD_TOPIC,
                                              KVPBUS_VM_UNKNOWN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ends(kvpbus_client_dead(alpha, KVPBUS_DEAD_DROP, &bad[i], &failure), codes[i]);
    ends(kvpbus_client_dead(alpha, KVPBUS_DEAD_DROP, &(struct kvpbus_dead_query){.all = false},
                            &failure),
         KVPBUS_INVALID_ARGUMENT);
    send_text("app.x", "a");
    int64_t lease = take_any("a");
    ends(kvpbus_client_nack(alpha, lease, 0, "a\nb", true, &failure), KVPBUS_INVALID_ARGUMENT);
    ack(lease);
}

// --- requests and replies ---

static struct kvpbus_client *host;

static void ask(const char *text, uint64_t ttl_ms)
{
    struct kvpbus_outgoing message;
    kvpbus_outgoing_init(&message, "alpha", "app.ask", text, strlen(text));
    message.ttl_ms = ttl_ms;
    host = connect_to("host");
    cr_assert_eq(kvpbus_client_request(host, &message, &failure), KVPBUS_OK, "%s", failure.detail);
}

static void next_is(enum kvpbus_client_event_kind kind)
{
    do
        cr_assert_eq(kvpbus_client_next(host, 20000, &last, &failure), KVPBUS_OK, "%s",
                     failure.detail);
    while (last.kind == KVPBUS_CLIENT_PROGRESS);
    cr_assert_eq(last.kind, kind);
}

static void reply(const char *to, enum kvpbus_kind kind, const char *text)
{
    struct kvpbus_outgoing message;
    kvpbus_outgoing_init(&message, "host", "app.answer", text, strlen(text));
    message.kind = kind;
    message.reply_to = to;
    message.status = 7;
    ends(kvpbus_client_send(alpha, &message, &failure), KVPBUS_OK);
}

static const struct kvpbus_receiving requests = {.kinds = 1 << KVPBUS_KIND_REQUEST};

Test(e2e_consume, a_request_is_answered_several_times)
{
    char id[KVPBUS_MESSAGE_ID_TEXT];
    ask("why", 30000);
    int64_t lease = take(&requests, "why");
    cr_assert_eq(last.message->kind, KVPBUS_KIND_REQUEST);
    cr_assert_eq(last.message->ttl_ms, 30000);
    snprintf(id, sizeof id, "%s", last.message->id);
    reply(id, KVPBUS_KIND_REPLY, "first");
    reply(id, KVPBUS_KIND_LAST_REPLY, "last");
    ack(lease);
    next_is(KVPBUS_CLIENT_QUEUED);
    next_is(KVPBUS_CLIENT_MESSAGE);
    cr_assert_str_eq((const char *)last.message->body, "first");
    cr_assert_str_eq(last.message->reply_to, id);
    cr_assert_eq(last.message->status, 7);
    next_is(KVPBUS_CLIENT_MESSAGE);
    cr_assert_str_eq((const char *)last.message->body, "last");
    cr_assert_eq(last.message->kind, KVPBUS_KIND_LAST_REPLY);
    next_is(KVPBUS_CLIENT_DONE);
    kvpbus_client_close(host);
    // Nobody else is given any of it, and there is nothing left to come.
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "recv --timeout 300ms"), 6);
    host = connect_to("host");
    cr_assert_eq(kvpbus_client_receive(host, &(struct kvpbus_receiving){.reply_to = id}, &failure),
                 KVPBUS_OK);
    next_is(KVPBUS_CLIENT_OUTCOME);
    cr_assert_eq(last.outcome, KVPBUS_OUTCOME_DELIVERED);
    kvpbus_client_close(host);
}

Test(e2e_consume, a_request_that_nobody_takes_is_over_and_is_not_served_later)
{
    ask("why", 1500);
    next_is(KVPBUS_CLIENT_QUEUED);
    next_is(KVPBUS_CLIENT_OUTCOME);
    cr_assert_eq(last.outcome, KVPBUS_OUTCOME_EXPIRED);
    cr_assert_neq(last.reason[0], '\0');
    kvpbus_client_close(host);
    lab_sleep_ms(1500);
    nothing_waits(&requests);
}

Test(e2e_consume, a_reply_waits_for_who_asks_with_the_id)
{
    char id[KVPBUS_MESSAGE_ID_TEXT];
    ask("why", 60000);
    next_is(KVPBUS_CLIENT_QUEUED);
    snprintf(id, sizeof id, "%s", last.id);
    kvpbus_client_close(host); // whoever asked has gone
    int64_t lease = take(&requests, "why");
    reply(id, KVPBUS_KIND_LAST_REPLY, "because");
    ack(lease);
    // A restart of the service does not lose it either.
    world_await(&world, WORLD_ALPHA, "host", "\"queued\": 0", 20);
    world_stop(&world, WORLD_HOST, SIGTERM);
    world_start(&world, WORLD_HOST);
    host = connect_to("host");
    cr_assert_eq(kvpbus_client_receive(host, &(struct kvpbus_receiving){.reply_to = id}, &failure),
                 KVPBUS_OK);
    next_is(KVPBUS_CLIENT_MESSAGE);
    cr_assert_str_eq((const char *)last.message->body, "because");
    kvpbus_client_close(host);
    // Of a request that nobody made nothing comes.
    id[0] = id[0] == '0' ? '1' : '0';
    ends(kvpbus_client_receive(alpha, &(struct kvpbus_receiving){.reply_to = id}, &failure),
         KVPBUS_OK);
    cr_assert_eq(last.kind, KVPBUS_CLIENT_OUTCOME);
    cr_assert_eq(last.outcome, KVPBUS_OUTCOME_UNKNOWN);
}

// --- quotas ---

Test(e2e_consume, a_full_outbox_is_refused_in_words)
{
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    cr_assert_eq(world_shell(&world, "head -c 200000 /dev/urandom >block"), 0);
    int taken = 0;
    while (world_kvpbus(&world, WORLD_HOST, "send alpha app.x --file block --class bulk") == 0)
        cr_assert_lt(++taken, 10);
    cr_assert_eq(taken, 5);
    cr_assert_not_null(strstr(world_output(), "bulk_max is 1M"), "%s", world_output());
    while (world_kvpbus(&world, WORLD_HOST, "send alpha app.x --file block") == 0)
        cr_assert_lt(++taken, 20);
    cr_assert_not_null(strstr(world_output(), "outbox of alpha is full"), "%s", world_output());
    cr_assert_not_null(strstr(world_output(), "outbox_max is 2M"), "%s", world_output());
    world_ok(&world, WORLD_HOST, "send alpha app.x --file block --class control");
    // All that was taken arrives.
    world_start(&world, WORLD_ALPHA);
    world_ok(&world, WORLD_ALPHA, "recv --count %d --timeout 50s --out got", taken + 1);
}

Test(e2e_consume, a_full_inbox_makes_the_peer_wait_and_is_said)
{
    cr_assert_eq(world_shell(&world, "head -c 200000 /dev/urandom >block"), 0);
    for (int i = 0; i < 12; i++)
        world_ok(&world, WORLD_ALPHA, "send host app.x --file block");
    world_logged(&world, WORLD_HOST, "alpha", "its inbox here is nearly full");
    world_ok(&world, WORLD_HOST, "recv --count 12 --timeout 50s --out got");
    world_await(&world, WORLD_ALPHA, "host", "\"queued\": 0", 20);
}
