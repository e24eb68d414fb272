// SPDX-License-Identifier: Apache-2.0
//
// A host sends to a guest through a link that is played by dice: fragments in any order and twice,
// acknowledgements and answers that get lost, sessions, restarts, withdrawals, a slow consumer and,
// by seed, a host, a guest or both that go back in time. Every message is checked against what the
// guest's consumer saw, in the time that was not undone. A failing seed is in the text of the
// assertion; KVPBUS_SEED runs it alone, KVPBUS_SEEDS that many.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal_rig.h"

enum { STEPS = 500, MESSAGES_MAX = STEPS, STREAMS = 3, PIECE = 120 };

struct sent {
    struct kvpbus_message_id id;
    int stream;
    enum kvpbus_class class_;
    bool limited; // it was withdrawn or has a lifetime
    bool undone;  // the host went back to before it was queued
    unsigned seen, seen_saved;
};

static struct journal_rig rig;
static struct sent sent[MESSAGES_MAX];
static int sent_count;
static uint64_t dice;
static bool host_saved, guest_saved, reverted;
static int saved_count;
static int last_seen[KVPBUS_CLASS_COUNT][STREAMS];
static unsigned long seed;

static unsigned roll(unsigned sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)(dice >> 11) % sides;
}

// --- the host ----------------------------------------------------------------------------------

static void queue(void)
{
    static const char *const streams[STREAMS] = {"", "s", "t"};
    char body[600];
    struct sent *message = &sent[sent_count];
    memset(message, 0, sizeof *message);
    size_t extra = roll(4) == 0 ? roll(500) : 0;
    snprintf(body, sizeof body, "%d;", sent_count);
    size_t length = strlen(body);
    if (extra > 0) {
        body[length] = ' ';
        rig_noise(body + length + 1, extra + 1);
    }
    struct kvpbus_message copy = rig_message("t", body);
    message->stream = (int)roll(STREAMS);
    message->class_ = copy.class_ = (enum kvpbus_class)roll(KVPBUS_CLASS_COUNT);
    copy.stream = streams[message->stream];
    if (roll(6) == 0) {
        copy.ttl_ms = 1 + roll(200);
        message->limited = true;
    }
    message->id = rig_queue_message(&rig, &rig.host, &copy, roll(3) == 0);
    sent_count++;
}

static enum kvpbus_class any_class(void)
{
    return (enum kvpbus_class)roll(KVPBUS_CLASS_COUNT);
}

static void seal(void)
{
    struct kvpbus_sealed sealed;
    cr_assert_eq(kvpbus_journal_begin(rig.host.journal), KVPBUS_OK);
    enum kvpbus_error error =
        kvpbus_journal_seal(rig.host.journal, rig.host.peer, any_class(), 1 + roll(1500),
                            rig.host.identity, rig.host.secret, rig.now, &sealed);
    cr_assert(error == KVPBUS_OK || error == KVPBUS_BUSY || error == KVPBUS_NOT_FOUND, "%s",
              kvpbus_journal_failure(rig.host.journal)->detail);
    cr_assert_eq(kvpbus_journal_commit(rig.host.journal, NULL), KVPBUS_OK);
}

static void withdraw(void)
{
    if (sent_count == 0)
        return;
    struct sent *message = &sent[roll((unsigned)sent_count)];
    if (message->undone)
        return;
    cr_assert_eq(kvpbus_journal_begin(rig.host.journal), KVPBUS_OK);
    enum kvpbus_error error =
        kvpbus_journal_withdraw(rig.host.journal, rig.host.peer, &message->id);
    cr_assert(error == KVPBUS_OK || error == KVPBUS_NOT_FOUND);
    cr_assert_eq(kvpbus_journal_commit(rig.host.journal, NULL), KVPBUS_OK);
    message->limited |= error == KVPBUS_OK;
}

static void expire(void)
{
    int64_t next;
    rig.now += roll(100);
    IN(&rig.host, kvpbus_journal_expire(rig.host.journal, rig.host.peer, rig.now, &next));
}

// --- the link ----------------------------------------------------------------------------------

// What this session has acknowledged of each bundle, as the link would know it.
struct progress {
    uint64_t number;
    bool pieces[64];
    uint32_t held;
};
static struct progress progress[KVPBUS_CLASS_COUNT][KVPBUS_BUNDLE_WINDOW];

static void session(void)
{
    struct rig_verdicts verdicts = rig_sync(&rig);
    cr_assert_eq(verdicts.guest, KVPBUS_SYNC_CONSISTENT, "seed %lu", seed);
    if (!reverted)
        cr_assert_eq(verdicts.host, KVPBUS_SYNC_CONSISTENT, "seed %lu", seed);
    memset(progress, 0, sizeof progress);
    struct kvpbus_sync sync;
    IN(&rig.guest, kvpbus_journal_sync_make(rig.guest.journal, rig.guest.peer, &sync));
    struct kvpbus_peer peer;
    IN(&rig.host, kvpbus_journal_peer_get(rig.host.journal, rig.host.peer, &peer));
    if (memcmp(peer.timeline, sync.peer_timeline, sizeof peer.timeline) != 0)
        return; // what it holds is of a former timeline
    for (int c = 0; c < KVPBUS_CLASS_COUNT; c++)
        for (size_t i = 0; i < sync.classes[c].partial_count; i++) {
            uint64_t number = sync.classes[c].partial[i];
            struct progress *of = &progress[c][number % KVPBUS_BUNDLE_WINDOW];
            of->number = number;
            of->held = sync.classes[c].partial_prefix[i];
        }
}

static void give(const struct kvpbus_sealed *bundle, const uint8_t *bytes, uint32_t from,
                 uint32_t to)
{
    struct kvpbus_fragment piece = {
        .class_ = bundle->class_,
        .number = bundle->number,
        .first = from == 0,
        .total = from == 0 ? bundle->length : 0,
        .offset = from,
        .data = bytes + from,
        .length = to - from,
    };
    struct kvpbus_fragment_result result;
    IN(&rig.guest,
       kvpbus_journal_fragment(rig.guest.journal, rig.guest.peer, &piece, rig.now, &result));
    cr_assert(!result.refused && !result.fork, "seed %lu: %s", seed,
              kvpbus_journal_failure(rig.guest.journal)->detail);
}

static void carry(void)
{
    struct kvpbus_sealed open[KVPBUS_BUNDLE_WINDOW];
    size_t count;
    enum kvpbus_class class_ = any_class();
    IN(&rig.host,
       kvpbus_journal_open_bundles(rig.host.journal, rig.host.peer, class_, open, &count));
    if (count == 0)
        return;
    const struct kvpbus_sealed *bundle = &open[roll((unsigned)count)];
    if (bundle->delivered || bundle->void_)
        return;
    struct progress *of = &progress[class_][bundle->number % KVPBUS_BUNDLE_WINDOW];
    if (of->number != bundle->number)
        *of = (struct progress){.number = bundle->number};
    uint32_t left = bundle->length - of->held;
    unsigned pieces = (left + PIECE - 1) / PIECE;
    cr_assert_leq(pieces, 64);
    uint8_t *bytes = rig_bytes(&rig.host, bundle);
    unsigned start = roll(pieces), many = 1 + roll(pieces);
    for (unsigned i = 0; i < many; i++) {
        unsigned k = (start + i) % pieces;
        uint32_t from = of->held + k * PIECE;
        give(bundle, bytes, from, from + PIECE < bundle->length ? from + PIECE : bundle->length);
        of->pieces[k] = roll(8) > 0; // else the acknowledgement is late
    }
    free(bytes);
    for (unsigned k = 0; k < pieces; k++)
        if (!of->pieces[k])
            return;
    IN(&rig.host, kvpbus_journal_delivered(rig.host.journal, rig.host.peer, class_, of->number));
}

static void ask(void)
{
    struct kvpbus_gap gaps[4];
    size_t count;
    IN(&rig.host, kvpbus_journal_gaps(rig.host.journal, rig.host.peer, gaps, 4, &count));
    for (size_t i = 0; i < count; i++) {
        struct kvpbus_gap_answer answer;
        if (roll(3) == 0)
            continue; // lost
        IN(&rig.guest,
           kvpbus_journal_gap(rig.guest.journal, rig.guest.peer, &gaps[i], rig.now, &answer));
        if (roll(3) > 0)
            IN(&rig.host, kvpbus_journal_gap_answered(rig.host.journal, rig.host.peer, &answer));
    }
}

// --- the guest ---------------------------------------------------------------------------------

static void look_at(const struct kvpbus_message *message)
{
    int number = atoi((const char *)message->body);
    cr_assert(number >= 0 && number < sent_count, "seed %lu", seed);
    struct sent *of = &sent[number];
    cr_assert_eq(of->seen, 0, "seed %lu: message %d comes twice", seed, number);
    of->seen++;
    int *last = &last_seen[of->class_][of->stream];
    if (!reverted)
        cr_assert_gt(number, *last, "seed %lu: message %d comes after %d", seed, number, *last);
    *last = number;
}

static bool consume(bool surely)
{
    struct kvpbus_delivery *delivery;
    cr_assert_eq(kvpbus_journal_begin(rig.guest.journal), KVPBUS_OK);
    enum kvpbus_error error =
        kvpbus_journal_lease(rig.guest.journal, &(struct kvpbus_filter){0}, 50, rig.now, &delivery);
    if (error == KVPBUS_OK && (surely || roll(4) > 0)) {
        look_at(&delivery->message);
        cr_assert_eq(kvpbus_journal_ack(rig.guest.journal, delivery->lease), KVPBUS_OK);
    } else if (error == KVPBUS_OK && roll(2) == 0) {
        cr_assert_eq(kvpbus_journal_nack(rig.guest.journal, delivery->lease, roll(20), "", rig.now),
                     KVPBUS_OK);
    }
    cr_assert_eq(kvpbus_journal_commit(rig.guest.journal, NULL), KVPBUS_OK);
    kvpbus_delivery_free(delivery);
    return error == KVPBUS_OK;
}

static void end_leases(void)
{
    int64_t next;
    IN(&rig.guest, kvpbus_journal_leases_end(rig.guest.journal, rig.now, &next));
}

// --- going back --------------------------------------------------------------------------------

static void host_goes_back(void)
{
    if (!host_saved) {
        side_save(&rig.host);
        saved_count = sent_count;
    } else {
        side_restore(&rig.host);
        reverted = true;
        for (int i = saved_count; i < sent_count; i++)
            sent[i].undone = true;
    }
    host_saved = !host_saved;
}

static void guest_goes_back(void)
{
    if (guest_saved) {
        side_restore(&rig.guest);
        reverted = true;
    } else {
        side_save(&rig.guest);
    }
    for (int i = 0; i < sent_count; i++)
        if (guest_saved)
            sent[i].seen = sent[i].seen_saved;
        else
            sent[i].seen_saved = sent[i].seen;
    guest_saved = !guest_saved;
}

static void step(bool host_reverts, bool guest_reverts)
{
    switch (roll(14)) {
    case 0:
    case 1:
    case 2:
        queue();
        break;
    case 3:
    case 4:
        seal();
        break;
    case 5:
    case 6:
    case 7:
        carry();
        break;
    case 8:
        ask();
        break;
    case 9:
        expire();
        break;
    case 10:
        if (roll(2) == 0)
            withdraw();
        break;
    case 11:
        end_leases();
        consume(false);
        break;
    case 12:
        consume(false);
        break;
    default:
        if (roll(6) == 0)
            side_reopen(roll(2) == 0 ? &rig.host : &rig.guest);
        if (host_reverts && roll(6) == 0)
            host_goes_back();
        if (guest_reverts && roll(6) == 0)
            guest_goes_back();
        session();
    }
}

// The world is healed: everything comes to its end.
static void drain(void)
{
    rig.now += 1000;
    session();
    for (int i = 0; i < 20; i++) {
        int64_t next;
        IN(&rig.host, kvpbus_journal_expire(rig.host.journal, rig.host.peer, rig.now, &next));
        rig_flow(&rig, &rig.host, &rig.guest);
    }
    end_leases();
    while (consume(true))
        ;
    session();
}

static void check(void)
{
    struct kvpbus_journal_counts host = rig_counts(&rig.host), guest = rig_counts(&rig.guest);
    cr_assert(host.queued == 0 && host.queued_bytes == 0, "seed %lu", seed);
    cr_assert(guest.inbox == 0 && guest.inbox_bytes == 0, "seed %lu", seed);
    for (int i = 0; i < sent_count; i++) {
        if (sent[i].undone)
            continue;
        struct kvpbus_message_status status;
        IN(&rig.host, kvpbus_journal_status(rig.host.journal, rig.host.peer, &sent[i].id, &status));
        enum kvpbus_outcome outcome = status.outcome;
        // A host that is restored to before the guest's own revert cannot know of that.
        if (outcome == KVPBUS_OUTCOME_DELIVERED && seed % 4 < 3)
            cr_assert_eq(sent[i].seen, 1, "seed %lu: message %d is lost", seed, i);
        else if (outcome == KVPBUS_OUTCOME_DELIVERED)
            cr_assert_leq(sent[i].seen, 1, "seed %lu: message %d", seed, i);
        else if (outcome == KVPBUS_OUTCOME_EXPIRED)
            cr_assert(sent[i].seen == 0 && sent[i].limited, "seed %lu: message %d", seed, i);
        else
            cr_assert(outcome == KVPBUS_OUTCOME_UNKNOWN && reverted,
                      "seed %lu: message %d is %s: %s", seed, i, kvpbus_outcome_name(outcome),
                      status.reason);
    }
}

static void run(unsigned long number)
{
    seed = number;
    dice = 0x9e3779b97f4a7c15u * (number + 1);
    sent_count = saved_count = 0;
    host_saved = guest_saved = reverted = false;
    memset(last_seen, 0xff, sizeof last_seen);
    struct kvpbus_journal_options options = {.tries_max = 60000};
    rig_open(&rig, &options);
    session();
    for (int i = 0; i < STEPS; i++)
        step(number % 4 == 1 || number % 4 == 3, number % 4 >= 2);
    drain();
    check();
    rig_close(&rig);
}

Test(journal_random, seeds)
{
    const char *one = getenv("KVPBUS_SEED"), *many = getenv("KVPBUS_SEEDS");
    if (one != NULL) {
        run(strtoul(one, NULL, 10));
        return;
    }
    unsigned long count = many != NULL ? strtoul(many, NULL, 10) : 40;
    for (unsigned long i = 0; i < count; i++)
        run(i);
}
