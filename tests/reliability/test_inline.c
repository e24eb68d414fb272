// SPDX-License-Identifier: Apache-2.0
//
// Two buses in one thread, by what kvpbus/*.h offers alone: the executor without a thread, peers
// that are added, actions that are carried out at once. Time is what the test says.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvpbus/bus.h"

enum { MESSAGES = 40, TURNS = 4000, STEP = 50 };

struct side {
    struct kvpbus_bus *bus;
    struct kvpbus_journal *journal;
    struct kvpbus_inline jobs;
    struct kvpbus_store *store;
    struct kvpbus_endpoint *peer;
    uint8_t identity[KVPBUS_IDENTITY_BYTES];
    char path[64];
    int taken, refused, events;
    bool leasing;
};

static struct side host, guest;
static uint64_t now;

static void on_refused(void *context, const struct kvpbus_message_id *id,
                       const struct kvpbus_failure *failure)
{
    struct side *side = context;
    cr_assert_eq(id == NULL, failure->code != KVPBUS_OK);
    side->refused += id == NULL;
}

static void on_message(void *context, struct kvpbus_delivery *delivery,
                       const struct kvpbus_awaited *awaited, const struct kvpbus_failure *failure)
{
    struct side *side = context;
    (void)awaited;
    char expected[16];
    side->leasing = false;
    if (delivery == NULL) {
        cr_assert_eq(failure->code, KVPBUS_NOT_FOUND, "%s", failure->detail);
        return;
    }
    snprintf(expected, sizeof expected, "number %d", side->taken++);
    cr_assert_eq(delivery->message.body_length, strlen(expected));
    cr_assert_arr_eq(delivery->message.body, expected, strlen(expected));
    kvpbus_bus_ack(side->bus, delivery->lease, NULL, NULL);
    kvpbus_delivery_free(delivery);
}

static void on_inbox(void *context, int64_t peer)
{
    static const struct kvpbus_filter all;
    struct side *side = context;
    (void)peer;
    if (side->leasing)
        return;
    side->leasing = true;
    kvpbus_bus_lease(side->bus, &all, 60000, on_message, side);
}

static void on_event(void *context, int64_t peer, enum kvpbus_event event, const char *text)
{
    struct side *side = context;
    char fingerprint[KVPBUS_FINGERPRINT_TEXT];
    (void)peer;
    (void)text;
    side->events++;
    if (event != KVPBUS_EVENT_PENDING)
        return;
    kvpbus_fingerprint(kvpbus_endpoint_peer(side->peer)->pending_identity, fingerprint);
    kvpbus_bus_pair(side->peer, fingerprint, NULL, NULL);
}

static void on_added(void *context, struct kvpbus_endpoint *endpoint,
                     const struct kvpbus_failure *failure)
{
    cr_assert_eq(failure->code, KVPBUS_OK, "%s", failure->detail);
    ((struct side *)context)->peer = endpoint;
}

static void open_side(struct side *side, enum kvpbus_role role)
{
    static const uint8_t vm[KVPBUS_VM_ID_BYTES] = {7};
    uint8_t seed[KVPBUS_SEED_BYTES] = {(uint8_t)role};
    struct kvpbus_failure failure = {0};
    struct kvpbus_journal_options journal_options = {.role = role};
    struct kvpbus_bus_options options = {
        .role = role,
        .prefix = "kb",
        .listener = {side, on_inbox, NULL, on_event},
    };
    snprintf(side->path, sizeof side->path, "/tmp/kvpbus-inline-%d-%d", (int)role, (int)getpid());
    kvpbus_identity_of_seed(seed, options.identity, options.secret);
    memcpy(side->identity, options.identity, sizeof side->identity);
    cr_assert_eq(kvpbus_journal_open(side->path, &journal_options, &side->journal, &failure),
                 KVPBUS_OK, "%s", failure.detail);
    kvpbus_inline_init(&side->jobs, side->journal);
    cr_assert_eq(kvpbus_bus_open(&options, &side->jobs.executor, &side->bus), KVPBUS_OK);
    kvpbus_bus_tick(side->bus, now, (int64_t)now);
    kvpbus_bus_add(side->bus, role == KVPBUS_ROLE_HOST ? vm : NULL, "the other", on_added, side);
    cr_assert_not(kvpbus_inline_run(&side->jobs) && side->peer == NULL);
    cr_assert_not_null(side->peer);
}

static void close_side(struct side *side)
{
    while (kvpbus_inline_run(&side->jobs))
        ;
    cr_assert_not(kvpbus_bus_busy(side->bus));
    kvpbus_bus_close(side->bus);
    kvpbus_journal_close(side->journal);
    kvpbus_store_close(side->store);
    unlink(side->path);
}

static void turn(struct side *side)
{
    struct kvpbus_action action;
    kvpbus_bus_tick(side->bus, now, (int64_t)now);
    do {
        while (kvpbus_inline_run(&side->jobs))
            ;
        if (!kvpbus_bus_action(side->peer, &action))
            return;
        kvpbus_action_carry_out(&action, side->store);
    } while (true);
}

static void open_both(void)
{
    now = 1000;
    memset(&host, 0, sizeof host);
    memset(&guest, 0, sizeof guest);
    cr_assert_eq(kvpbus_memory_store_pair("kb", &host.store, &guest.store), KVPBUS_OK);
    open_side(&host, KVPBUS_ROLE_HOST);
    open_side(&guest, KVPBUS_ROLE_GUEST);
}

static void close_both(void)
{
    close_side(&host);
    close_side(&guest);
}

TestSuite(inline_jobs, .init = open_both, .fini = close_both);

static void send(struct side *side, const char *topic, const char *body)
{
    struct kvpbus_message message = {
        .topic = topic,
        .class_ = KVPBUS_CLASS_NORMAL,
        .body = (const uint8_t *)body,
        .body_length = strlen(body),
    };
    kvpbus_bus_send(side->peer, &message, false, on_refused, side);
}

Test(inline_jobs, two_sides_in_one_thread)
{
    char body[16];
    for (int i = 0; i < MESSAGES; i++) {
        snprintf(body, sizeof body, "number %d", i);
        send(&host, "to.guest", body);
        send(&guest, "to.host", body);
    }
    for (int i = 0; i < TURNS && (host.taken < MESSAGES || guest.taken < MESSAGES); i++) {
        turn(&host);
        turn(&guest);
        now += STEP;
    }
    cr_assert_eq(host.taken, MESSAGES);
    cr_assert_eq(guest.taken, MESSAGES);
    cr_assert_eq(host.refused + guest.refused, 0);
    cr_assert_gt(host.events, 0);
}

// An error of one job is that job's alone, and the callback is told.
Test(inline_jobs, a_refused_message_leaves_the_others)
{
    send(&host, "no topic", "x");
    send(&host, "to.guest", "number 0");
    while (kvpbus_inline_run(&host.jobs))
        ;
    cr_assert_eq(host.refused, 1);
    for (int i = 0; i < TURNS && guest.taken == 0; i++) {
        turn(&host);
        turn(&guest);
        now += STEP;
    }
    cr_assert_eq(guest.taken, 1);
}

// The same peer again is the same endpoint; a host's VM and a guest's host have their names.
Test(inline_jobs, a_peer_has_one_endpoint)
{
    struct kvpbus_endpoint *before = guest.peer;
    kvpbus_bus_add(guest.bus, NULL, "renamed", on_added, &guest);
    while (kvpbus_inline_run(&guest.jobs))
        ;
    cr_assert_eq(guest.peer, before);
    cr_assert_str_eq(kvpbus_endpoint_peer(guest.peer)->name, "renamed");
}
