// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#include "link_internal.h"
#include "link_rig.h"

static struct rig rig;

static void paired(void)
{
    rig_start(&rig, true);
}

static void alone(void)
{
    rig_start(&rig, false);
}

static void stop(void)
{
    rig_stop(&rig);
}

TestSuite(link, .init = paired, .fini = stop);
TestSuite(pairing, .init = alone, .fini = stop);

Test(link, two_paired_sides_come_to_a_session)
{
    cr_assert(rig_until_live(&rig, 5000));
    cr_assert_eq(rig_items(&rig, RIG_HOST, KVPBUS_KEY_HELLO), 1);
    cr_assert_eq(rig_items(&rig, RIG_HOST, KVPBUS_KEY_STATE), 1);
}

// The guest's present core speaks these versions.
static void speak(uint8_t lowest, uint8_t highest)
{
    struct kvpbus_own_core *own = &rig.sides[RIG_GUEST].link->handshake.own;
    own->core.version_min = lowest;
    own->core.version_max = highest;
    kvpbus_core_sign(own, rig.sides[RIG_GUEST].secret);
}

Test(link, a_side_that_speaks_the_next_version_as_well_is_understood)
{
    speak(1, 2);
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 3000);
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 3000);
    cr_assert(rig_until_delivered(&rig, 20000));
    cr_assert_eq(rig.sides[RIG_HOST].link->handshake.peer.version_max, 2);
    cr_assert_eq(rig.sides[RIG_HOST].alarms, 0);
}

Test(link, a_side_that_speaks_other_versions_alone_is_told_so)
{
    struct kvpbus_link_status status;
    speak(2, 3);
    rig_run(&rig, 20000);
    cr_assert_geq(rig.sides[RIG_HOST].alarms, 1);
    kvpbus_link_status(rig.sides[RIG_HOST].link, &status);
    cr_assert_neq(status.state, KVPBUS_LINK_LIVE);
    cr_assert_not_null(strstr(status.why, "protocol versions 2 to 3, I speak 1"), "%s", status.why);
}

Test(link, bundles_go_both_ways_in_every_class)
{
    for (int class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++) {
        rig_send(&rig, RIG_HOST, (enum kvpbus_class)class_, 200);
        rig_send(&rig, RIG_HOST, (enum kvpbus_class)class_, 100 * 1024);
        rig_send(&rig, RIG_GUEST, (enum kvpbus_class)class_, 70 * 1024 + 1);
        rig_send(&rig, RIG_GUEST, (enum kvpbus_class)class_, 1);
    }
    cr_assert(rig_until_delivered(&rig, 60000));
}

Test(link, at_rest_only_the_registers_are_left_and_nothing_is_written)
{
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 5000);
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 5000);
    cr_assert(rig_until_delivered(&rig, 20000));
    rig_run(&rig, 10000);
    cr_assert_eq(rig_items(&rig, RIG_HOST, KVPBUS_KEY_SLOT), 0);
    cr_assert_eq(rig_items(&rig, RIG_GUEST, KVPBUS_KEY_SLOT), 0);
    unsigned host = rig.sides[RIG_HOST].writes, guest = rig.sides[RIG_GUEST].writes;
    rig_run(&rig, 60 * 60 * 1000);
    cr_assert_eq(rig.sides[RIG_HOST].writes, host);
    cr_assert_eq(rig.sides[RIG_GUEST].writes, guest);
}

Test(link, a_small_message_costs_one_write_and_one_acknowledgement)
{
    cr_assert(rig_until_live(&rig, 5000));
    rig_run(&rig, 20000);
    for (int side = 0; side < 2; side++) {
        unsigned mine = rig.sides[side].writes, theirs = rig.sides[1 - side].writes;
        rig_send(&rig, side, KVPBUS_CLASS_NORMAL, 300);
        cr_assert(rig_until_delivered(&rig, 5000));
        cr_assert_eq(rig.sides[side].writes, mine + 1);
        cr_assert_eq(rig.sides[1 - side].writes, theirs + 1);
        rig_run(&rig, 20000);
    }
}

Test(link, either_side_may_be_restarted_in_the_middle)
{
    for (int side = 0; side < 2; side++) {
        rig_send(&rig, RIG_HOST, KVPBUS_CLASS_BULK, 200 * 1024);
        rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_BULK, 200 * 1024);
        rig_run(&rig, 1500);
        rig_restart(&rig, side);
        cr_assert(rig_until_delivered(&rig, 60000), "side %d", side);
    }
}

Test(link, both_sides_may_be_restarted_at_once)
{
    cr_assert(rig_until_live(&rig, 5000));
    rig_restart(&rig, RIG_HOST);
    rig_restart(&rig, RIG_GUEST);
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 2000);
    cr_assert(rig_until_delivered(&rig, 20000));
}

Test(link, a_wiped_store_is_filled_again)
{
    for (int side = 0; side < 2; side++) {
        rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 100 * 1024);
        rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 100 * 1024);
        rig_run(&rig, 1000);
        rig_wipe(&rig, side);
        cr_assert(rig_until_delivered(&rig, 120000), "side %d", side);
    }
    rig_run(&rig, 60000);
    rig_wipe(&rig, RIG_HOST);
    rig_wipe(&rig, RIG_GUEST);
    rig_run(&rig, 120000);
    cr_assert_eq(rig_items(&rig, RIG_HOST, KVPBUS_KEY_HELLO), 1);
    cr_assert_eq(rig_items(&rig, RIG_GUEST, KVPBUS_KEY_STATE), 1);
}

Test(link, a_control_bundle_overtakes_a_bulk_transfer)
{
    cr_assert(rig_until_live(&rig, 5000));
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_BULK, 900 * 1024);
    rig_run(&rig, 1000);
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_CONTROL, 500);
    rig_run(&rig, 1000);
    cr_assert(rig.sides[RIG_GUEST].received[KVPBUS_CLASS_CONTROL][1].complete);
    cr_assert_not(rig.sides[RIG_GUEST].received[KVPBUS_CLASS_BULK][1].complete);
}

Test(link, a_whole_gap_is_asked_and_answered)
{
    cr_assert(rig_until_live(&rig, 5000));
    struct kvpbus_gap gap = {.class_ = KVPBUS_CLASS_NORMAL, .number = 1};
    cr_assert_eq(kvpbus_link_gap(rig.sides[RIG_HOST].link, &gap), KVPBUS_OK);
    rig_run(&rig, 5000);
    cr_assert(rig.sides[RIG_HOST].has_answer);
    cr_assert_eq(rig.sides[RIG_HOST].last_answer.number, 1);
}

Test(link, old_items_that_come_back_start_nothing)
{
    char hello[KVPBUS_VALUE_MAX + 1], state[KVPBUS_VALUE_MAX + 1];
    cr_assert(rig_until_live(&rig, 5000));
    strcpy(hello, rig_get(&rig, RIG_GUEST, "kvpbus.h"));
    strcpy(state, rig_get(&rig, RIG_GUEST, "kvpbus.s"));
    rig_restart(&rig, RIG_GUEST);
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 100);
    cr_assert(rig_until_delivered(&rig, 20000));
    // The guest is gone; its items of the first session stand there again.
    rig.sides[RIG_HOST].went_back = 0;
    uint32_t session = rig.sides[RIG_HOST].session;
    rig_put(&rig, RIG_GUEST, "kvpbus.h", hello);
    rig_put(&rig, RIG_GUEST, "kvpbus.s", state);
    kvpbus_link_suspend(rig.sides[RIG_GUEST].link, true, rig.now);
    rig_run(&rig, 30000);
    cr_assert_eq(rig.sides[RIG_HOST].session, session, "a retired hello begins no session");
    kvpbus_link_suspend(rig.sides[RIG_GUEST].link, false, rig.now);
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 100);
    cr_assert(rig_until_delivered(&rig, 120000));
}

Test(link, items_of_strangers_are_ignored)
{
    cr_assert(rig_until_live(&rig, 5000));
    rig_put(&rig, RIG_GUEST, "kvpbus.07", "bm90IGFuIGl0ZW0");
    rig_put(&rig, RIG_GUEST, "kvpbus.08", "!!!");
    rig_put(&rig, RIG_GUEST, "kvpbus.09", rig_get(&rig, RIG_GUEST, "kvpbus.s"));
    rig_put(&rig, RIG_GUEST, "kvpbus.zz", "bm90IGFuIGl0ZW0");
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 10000);
    cr_assert(rig_until_delivered(&rig, 20000));
    rig_run(&rig, 60000);
    cr_assert_null(rig_get(&rig, RIG_GUEST, "kvpbus.zz"), "a stray key of ours is removed");
    cr_assert_eq(rig_items(&rig, RIG_GUEST, KVPBUS_KEY_SLOT), 0);
}

Test(link, a_suspended_link_neither_writes_nor_times_out)
{
    cr_assert(rig_until_live(&rig, 5000));
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 3000);
    rig.sides[RIG_GUEST].deaf = true;
    rig_run(&rig, 1000);
    kvpbus_link_suspend(rig.sides[RIG_HOST].link, true, rig.now);
    unsigned writes = rig.sides[RIG_HOST].writes;
    rig_run(&rig, 600000);
    cr_assert_eq(rig.sides[RIG_HOST].writes, writes);
    cr_assert_eq(rig_state(&rig, RIG_HOST), KVPBUS_LINK_SUSPENDED);
    rig.sides[RIG_GUEST].deaf = false;
    kvpbus_link_suspend(rig.sides[RIG_HOST].link, false, rig.now);
    cr_assert(rig_until_delivered(&rig, 60000));
}

Test(link, a_session_is_renewed_after_a_day)
{
    cr_assert(rig_until_live(&rig, 5000));
    uint32_t session = rig.sides[RIG_HOST].session;
    rig.now += 25 * 60 * 60 * 1000;
    rig_run(&rig, 10000);
    cr_assert(rig_until_live(&rig, 60000));
    cr_assert_gt(rig.sides[RIG_HOST].session, session);
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 3000);
    cr_assert(rig_until_delivered(&rig, 60000));
}

static void draw(void *context, uint8_t *bytes, size_t length)
{
    (void)context;
    randombytes_buf(bytes, length);
}

// A new core in the guest's store that somebody else has made and signed; `answers`: it confirms
// the host's present one.
static void put_hello(const uint8_t *identity, const uint8_t *secret, bool answers)
{
    struct kvpbus_own_core own = {.core = {.role = KVPBUS_ROLE_GUEST,
                                           .ring_slots = KVPBUS_RING_MAX,
                                           .window = KVPBUS_LINK_WINDOW,
                                           .value_max = KVPBUS_VALUE_MAX}};
    uint8_t bytes[KVPBUS_ITEM_MAX];
    char value[KVPBUS_VALUE_MAX + 1];
    size_t length;
    struct kvpbus_hello host;
    if (answers) {
        cr_assert_eq(kvpbus_item_decode(rig_get(&rig, RIG_HOST, "kvpbus.h"), bytes, &length),
                     KVPBUS_OK);
        cr_assert_eq(kvpbus_hello_read(bytes, length, &host), KVPBUS_OK);
    }
    memcpy(own.core.identity, identity, sizeof own.core.identity);
    kvpbus_core_make(&own, secret, draw, NULL);
    length = kvpbus_hello_write(&own, secret, answers ? &host.core : NULL, false, 1, bytes);
    kvpbus_item_encode(bytes, length, value);
    rig_put(&rig, RIG_GUEST, "kvpbus.h", value);
}

// A true hello of an identity that nobody knows.
static void put_stranger(void)
{
    uint8_t identity[KVPBUS_IDENTITY_BYTES], secret[KVPBUS_SECRET_BYTES];
    crypto_sign_keypair(identity, secret);
    put_hello(identity, secret, false);
}

static void put_second(bool answers)
{
    put_hello(rig.sides[RIG_GUEST].identity, rig.sides[RIG_GUEST].secret, answers);
    rig_run(&rig, 40000);
}

Test(link, a_second_writer_with_my_identity_stops_the_link)
{
    cr_assert(rig_until_live(&rig, 5000));
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(rig.sides[RIG_GUEST].second_writers, 0);
        put_second(true);
    }
    cr_assert_eq(rig.sides[RIG_GUEST].second_writers, 1);
    cr_assert_eq(rig_state(&rig, RIG_GUEST), KVPBUS_LINK_STOPPED);
    // The other one has gone, and it is started again: what waited is carried.
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 3000);
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 3000);
    rig_run(&rig, 60000);
    cr_assert_eq(rig_state(&rig, RIG_GUEST), KVPBUS_LINK_STOPPED);
    rig_restart(&rig, RIG_GUEST);
    cr_assert(rig_until_delivered(&rig, 120000));
}

Test(link, old_hellos_that_come_back_are_no_second_writer)
{
    cr_assert(rig_until_live(&rig, 5000));
    for (int i = 0; i < 30; i++)
        put_second(false);
    cr_assert_eq(rig.sides[RIG_GUEST].second_writers, 0);
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 100);
    cr_assert(rig_until_delivered(&rig, 60000));
}

Test(link, a_second_writer_is_noticed_before_a_peer_has_come)
{
    kvpbus_link_suspend(rig.sides[RIG_HOST].link, true, rig.now);
    rig_run(&rig, 5000);
    for (int i = 0; i < 12; i++) {
        cr_assert_eq(rig.sides[RIG_GUEST].second_writers, 0);
        put_second(false);
    }
    cr_assert_eq(rig.sides[RIG_GUEST].second_writers, 1);
}

Test(link, strangers_without_number_get_one_look_a_second)
{
    cr_assert(rig_until_live(&rig, 5000));
    kvpbus_link_suspend(rig.sides[RIG_GUEST].link, true, rig.now);
    for (int i = 0; i < 50; i++) {
        put_stranger();
        rig_run(&rig, 200);
    }
    cr_assert_geq(rig.sides[RIG_HOST].alarms, 5);
    cr_assert_leq(rig.sides[RIG_HOST].alarms, 11);
    kvpbus_link_suspend(rig.sides[RIG_GUEST].link, false, rig.now);
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 100);
    cr_assert(rig_until_delivered(&rig, 60000));
}

Test(pairing, without_a_pin_the_identity_is_shown_and_nothing_else_happens)
{
    rig_run(&rig, 10000);
    for (int side = 0; side < 2; side++) {
        cr_assert_eq(rig_state(&rig, side), KVPBUS_LINK_UNPAIRED);
        cr_assert(rig.sides[side].has_pending);
        cr_assert_arr_eq(rig.sides[side].pending, rig.sides[1 - side].identity,
                         KVPBUS_IDENTITY_BYTES);
        cr_assert_eq(rig_items(&rig, side, KVPBUS_KEY_STATE), 0);
    }
    rig_pin(&rig, RIG_HOST);
    rig_run(&rig, 10000);
    cr_assert_neq(rig_state(&rig, RIG_HOST), KVPBUS_LINK_LIVE);
    rig_pin(&rig, RIG_GUEST);
    cr_assert(rig_until_live(&rig, 120000));
}

Test(pairing, another_identity_than_the_pinned_one_gets_nowhere)
{
    uint8_t stranger[KVPBUS_IDENTITY_BYTES] = {1};
    kvpbus_link_pin(rig.sides[RIG_HOST].link, stranger, rig.vm, rig.now);
    rig_pin(&rig, RIG_GUEST);
    rig_run(&rig, 120000);
    cr_assert_neq(rig_state(&rig, RIG_HOST), KVPBUS_LINK_LIVE);
    cr_assert_neq(rig_state(&rig, RIG_GUEST), KVPBUS_LINK_LIVE);
    cr_assert_geq(rig.sides[RIG_HOST].alarms, 1);
}

Test(pairing, a_guest_that_was_paired_as_another_vm_starts_nothing)
{
    uint8_t other_vm[KVPBUS_VM_ID_BYTES] = {7};
    rig_pin(&rig, RIG_HOST);
    kvpbus_link_pin(rig.sides[RIG_GUEST].link, rig.sides[RIG_HOST].identity, other_vm, rig.now);
    rig_run(&rig, 60000);
    cr_assert_neq(rig_state(&rig, RIG_HOST), KVPBUS_LINK_LIVE);
    cr_assert_geq(rig.sides[RIG_GUEST].alarms, 1);
}

static void extend(int side, const char *text)
{
    size_t length = text != NULL ? strlen(text) : 0;
    cr_assert_eq(kvpbus_link_extend(rig.sides[side].link, KVPBUS_EXTENSION_ENROLMENT,
                                    (const uint8_t *)text, length, rig.now),
                 KVPBUS_OK);
}

Test(pairing, what_a_strangers_hello_says_is_told_whenever_it_changes)
{
    struct rig_side *host = &rig.sides[RIG_HOST];
    const uint8_t *found;
    size_t length;
    extend(RIG_GUEST, "token");
    rig_run(&rig, 10000);
    cr_assert_eq(host->pendings, 1, "once for the same");
    cr_assert(kvpbus_extension_find(host->extensions, host->extensions_length,
                                    KVPBUS_EXTENSION_ENROLMENT, &found, &length));
    cr_assert_eq(length, 5);
    cr_assert_arr_eq(found, "token", 5);
    extend(RIG_GUEST, "another");
    rig_run(&rig, 10000);
    cr_assert_eq(host->pendings, 2);
    extend(RIG_GUEST, NULL);
    rig_run(&rig, 10000);
    cr_assert_eq(host->pendings, 3);
    cr_assert_eq(host->extensions_length, 0);
}

Test(link, a_changed_extension_makes_a_new_core_and_the_same_one_none)
{
    cr_assert(rig_until_live(&rig, 5000));
    uint32_t session = rig.sides[RIG_GUEST].session;
    size_t epochs = rig.sides[RIG_HOST].epoch_count;
    extend(RIG_HOST, "token");
    extend(RIG_HOST, "token");
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 3000);
    cr_assert(rig_until_delivered(&rig, 20000));
    cr_assert_gt(rig.sides[RIG_GUEST].session, session);
    cr_assert_eq(rig.sides[RIG_HOST].epoch_count, epochs + 1);
}

Test(link, extensions_are_bounded)
{
    static const uint8_t most[KVPBUS_EXTENSIONS_MAX];
    struct kvpbus_link *link = rig.sides[RIG_HOST].link;
    cr_assert_eq(kvpbus_link_extend(link, KVPBUS_EXTENSION_ROTATION, most, sizeof most, rig.now),
                 KVPBUS_TOO_LARGE);
    cr_assert_eq(
        kvpbus_link_extend(link, KVPBUS_EXTENSION_ROTATION, most, sizeof most - 3, rig.now),
        KVPBUS_OK);
    cr_assert(rig_until_live(&rig, 20000), "the longest hello is carried");
}
