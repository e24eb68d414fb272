// SPDX-License-Identifier: Apache-2.0
//
// Stream order at the receiver when bundles arrive in any order, with holes, and across timelines.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "journal_rig.h"

static struct journal_rig rig;

static void setup(void)
{
    rig_open(&rig, NULL);
    rig_sync(&rig);
}

static void teardown(void)
{
    rig_close(&rig);
}

TestSuite(journal_order, .init = setup, .fini = teardown);

// One message of a stream in a bundle of its own.
static struct kvpbus_sealed bundle(const char *stream, const char *body)
{
    struct kvpbus_message message = rig_message("t", body);
    message.stream = stream;
    rig_queue_message(&rig, &rig.host, &message, false);
    return rig_seal(&rig, &rig.host, 1000);
}

static void arrive(const struct kvpbus_sealed *sealed)
{
    uint8_t *bytes = rig_bytes(&rig.host, sealed);
    rig_carry(&rig, &rig.guest, sealed, bytes, 0, sealed->length, 64);
    free(bytes);
}

static void make_void(uint64_t number)
{
    struct kvpbus_gap gap = {.class_ = KVPBUS_CLASS_NORMAL, .number = number};
    struct kvpbus_gap_answer answer;
    IN(&rig.guest, kvpbus_journal_gap(rig.guest.journal, rig.guest.peer, &gap, rig.now, &answer));
    cr_assert_eq(answer.answers[0], KVPBUS_ANSWER_VOID);
}

Test(journal_order, a_stream_waits_for_what_comes_before)
{
    struct kvpbus_sealed a = bundle("s", "a"), b = bundle("s", "b"), c = bundle("s", "c");
    arrive(&c);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "");
    arrive(&a);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a");
    arrive(&b);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "b c");
}

Test(journal_order, another_stream_does_not_wait)
{
    struct kvpbus_sealed a = bundle("s", "a"), b = bundle("other", "b"), c = bundle("other", "c");
    arrive(&c);
    arrive(&b);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "b c");
    arrive(&a);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a");
}

Test(journal_order, a_void_bundle_does_not_hold_up_its_streams)
{
    struct kvpbus_sealed a = bundle("s", "a"), b = bundle("s", "b"), c = bundle("s", "c"),
                         d = bundle("s", "d");
    arrive(&c);
    arrive(&d);
    make_void(b.number); // nobody here knows that it was of this stream
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "");
    arrive(&a);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a c d");
}

Test(journal_order, a_stream_goes_on_after_a_hole)
{
    struct kvpbus_sealed a = bundle("s", "a");
    make_void(a.number);
    IN(&rig.host, kvpbus_journal_delivered(rig.host.journal, rig.host.peer, a.class_, a.number));
    struct kvpbus_sealed b = bundle("s", "b"), c = bundle("t", "c"), d = bundle("s", "d");
    arrive(&b);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "b");
    arrive(&d); // by its sequence: what came before it is known again
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "d");
    arrive(&c);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "c");
}

Test(journal_order, a_void_message_fills_its_place)
{
    struct kvpbus_sealed first = bundle("x", "x");
    struct kvpbus_message a = rig_message("t", "a"), b = rig_message("t", "b");
    rig_queue_message(&rig, &rig.host, &a, false);
    rig_queue_message(&rig, &rig.host, &b, false);
    struct kvpbus_sealed second = rig_seal(&rig, &rig.host, 1000), third = bundle("s", "c");
    struct kvpbus_gap gap = {
        .class_ = KVPBUS_CLASS_NORMAL, .number = second.number, .count = 1, .indices = {0}};
    struct kvpbus_gap_answer answer;
    IN(&rig.guest, kvpbus_journal_gap(rig.guest.journal, rig.guest.peer, &gap, rig.now, &answer));
    arrive(&third);
    arrive(&second);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "b c");
    arrive(&first);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "x");
}

Test(journal_order, messages_of_a_former_timeline_come_first)
{
    bundle("s", "a");
    struct kvpbus_sealed b = bundle("s", "b");
    arrive(&b); // whole, but it waits
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "");
    struct kvpbus_sync sync;
    enum kvpbus_sync_verdict verdict;
    IN(&rig.guest, kvpbus_journal_sync_make(rig.guest.journal, rig.guest.peer, &sync));
    IN(&rig.host, kvpbus_journal_sync_apply(rig.host.journal, rig.host.peer, &sync, true, rig.now,
                                            "", &verdict));
    rig_sync(&rig);
    rig_queue(&rig, &rig.host, "c");
    rig_flow(&rig, &rig.host, &rig.guest);
    // Its lower number will never come under that timeline: b is free, and before what is newer.
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "b a c");
}

Test(journal_order, classes_are_independent)
{
    struct kvpbus_sealed a = bundle("s", "a");
    struct kvpbus_message message = rig_message("t", "control");
    message.class_ = KVPBUS_CLASS_CONTROL;
    rig_queue_message(&rig, &rig.host, &message, false);
    struct kvpbus_sealed sealed;
    IN(&rig.host, kvpbus_journal_seal(rig.host.journal, rig.host.peer, KVPBUS_CLASS_CONTROL, 1000,
                                      rig.host.identity, rig.host.secret, rig.now, &sealed));
    arrive(&sealed);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "control");
    arrive(&a);
}
