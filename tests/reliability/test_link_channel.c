// SPDX-License-Identifier: Apache-2.0
//
// What the link makes of a bad channel: a store that fails or does nothing, values that are cut, a
// peer that is away, has no room, or whose journal is full.
#include <criterion/criterion.h>
#include <string.h>

#include "link_rig.h"

static struct rig rig;

static void begin(void)
{
    rig_start(&rig, true);
}

static void stop(void)
{
    rig_stop(&rig);
}

TestSuite(link_channel, .init = begin, .fini = stop);

Test(link_channel, writes_that_do_nothing_are_made_up_for)
{
    cr_assert(rig_until_live(&rig, 5000));
    for (int side = 0; side < 2; side++) {
        rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 3000);
        rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 3000);
        rig.sides[side].lose_writes = true;
        rig_run(&rig, 1000);
        rig.sides[side].lose_writes = false;
        cr_assert(rig_until_delivered(&rig, 120000), "side %d", side);
    }
}

Test(link_channel, a_store_that_fails_is_tried_again_and_said)
{
    cr_assert(rig_until_live(&rig, 5000));
    rig.sides[RIG_GUEST].write_error = KVPBUS_STORE_READ_ONLY;
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 3000);
    rig_run(&rig, 60000);
    cr_assert_geq(rig.sides[RIG_GUEST].alarms, 1);
    cr_assert_lt(rig.sides[RIG_GUEST].alarms, 5, "once, not at every try");
    struct kvpbus_link_status status;
    kvpbus_link_status(rig.sides[RIG_GUEST].link, &status);
    cr_assert_neq(strstr(status.why, "writing fail"), NULL, "%s", status.why);
    rig.sides[RIG_GUEST].write_error = KVPBUS_OK;
    cr_assert(rig_until_delivered(&rig, 120000));
}

Test(link_channel, a_store_with_too_many_items_makes_the_ring_small_and_it_grows_again)
{
    struct kvpbus_link_status status;
    cr_assert(rig_until_live(&rig, 5000));
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 60 * 1024);
    rig.sides[RIG_HOST].write_error = KVPBUS_STORE_TOO_MANY;
    rig_run(&rig, 1000);
    rig.sides[RIG_HOST].write_error = KVPBUS_OK;
    kvpbus_link_status(rig.sides[RIG_HOST].link, &status);
    cr_assert_eq(status.ring_limit, 1);
    rig_run(&rig, 1000);
    cr_assert_leq(rig_items(&rig, RIG_HOST, KVPBUS_KEY_SLOT), 1);
    cr_assert(rig_until_delivered(&rig, 600000));
    kvpbus_link_status(rig.sides[RIG_HOST].link, &status);
    cr_assert_gt(status.ring_limit, 1);
}

Test(link_channel, a_channel_that_cuts_values_gets_shorter_ones)
{
    cr_assert(rig_until_live(&rig, 5000));
    rig.sides[RIG_GUEST].cut = 900;
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 5000);
    cr_assert(rig_until_delivered(&rig, 1200000));
    struct kvpbus_link_status status;
    kvpbus_link_status(rig.sides[RIG_GUEST].link, &status);
    cr_assert_leq(status.value_max, 900);
}

// What is acknowledged meanwhile shows that the peer is there.
Test(link_channel, a_channel_that_cuts_values_gets_shorter_ones_while_small_messages_come)
{
    cr_assert(rig_until_live(&rig, 5000));
    rig.sides[RIG_GUEST].cut = 900;
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_BULK, 5000);
    for (int burst = 0; burst < 13; burst++) {
        rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_CONTROL, 100);
        rig_run(&rig, 500);
        rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 100);
        rig_run(&rig, 6500);
    }
    struct kvpbus_link_status status;
    kvpbus_link_status(rig.sides[RIG_GUEST].link, &status);
    cr_assert_lt(status.value_max, KVPBUS_VALUE_MAX);
    cr_assert(rig_until_delivered(&rig, 1200000));
}

Test(link_channel, a_channel_with_short_values_gets_a_hello_without_extensions)
{
    static const uint8_t most[KVPBUS_EXTENSIONS_MAX - 3];
    cr_assert(rig_until_live(&rig, 5000));
    rig.sides[RIG_GUEST].cut = 700;
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 5000);
    cr_assert(rig_until_delivered(&rig, 1200000));
    cr_assert_eq(kvpbus_link_extend(rig.sides[RIG_GUEST].link, KVPBUS_EXTENSION_ROTATION, most,
                                    sizeof most, rig.now),
                 KVPBUS_OK);
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 100);
    cr_assert(rig_until_delivered(&rig, 60000));
}

static void host_writes_full_values(void)
{
    struct kvpbus_link_status status;
    kvpbus_link_status(rig.sides[RIG_HOST].link, &status);
    cr_assert_eq(status.value_max, KVPBUS_VALUE_MAX);
    cr_assert_eq(rig.sides[RIG_HOST].alarms, 0);
}

Test(link_channel, a_peer_that_is_away_is_no_channel_that_cuts_values)
{
    cr_assert(rig_until_live(&rig, 5000));
    for (int i = 0; i < 4; i++) {
        rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 5000);
        rig.sides[RIG_GUEST].deaf = true;
        rig_run(&rig, 10 * 60 * 1000);
        rig.sides[RIG_GUEST].deaf = false;
        cr_assert(rig_until_delivered(&rig, 120000));
        host_writes_full_values();
    }
}

Test(link_channel, a_journal_that_takes_nothing_is_no_channel_that_cuts_values)
{
    cr_assert(rig_until_live(&rig, 5000));
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 5000);
    rig.sides[RIG_GUEST].commit_error = KVPBUS_NO_SPACE;
    rig_run(&rig, 20 * 60 * 1000);
    rig.sides[RIG_GUEST].commit_error = KVPBUS_OK;
    cr_assert(rig_until_delivered(&rig, 120000));
    host_writes_full_values();
}

Test(link_channel, a_packet_that_the_journal_cannot_take_now_is_taken_later)
{
    cr_assert(rig_until_live(&rig, 5000));
    rig.sides[RIG_GUEST].commit_error = KVPBUS_NO_SPACE;
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 3000);
    rig_run(&rig, 5000);
    cr_assert_not(rig.sides[RIG_HOST].sent[KVPBUS_CLASS_NORMAL][1].delivered);
    rig.sides[RIG_GUEST].commit_error = KVPBUS_OK;
    cr_assert(rig_until_delivered(&rig, 60000));
}

Test(link_channel, a_receiver_without_room_stops_the_sender_until_there_is_room)
{
    rig.sides[RIG_GUEST].room = 1000;
    cr_assert(rig_until_live(&rig, 5000));
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 50 * 1024);
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_CONTROL, 500);
    rig_run(&rig, 20000);
    cr_assert_null(rig.sides[RIG_GUEST].received[KVPBUS_CLASS_NORMAL][1].bytes);
    cr_assert(rig.sides[RIG_GUEST].received[KVPBUS_CLASS_CONTROL][1].complete);
    const uint64_t room[KVPBUS_CLASS_COUNT] = {1 << 20, 1 << 20, 1 << 20};
    kvpbus_link_room(rig.sides[RIG_GUEST].link, room);
    cr_assert(rig_until_delivered(&rig, 20000));
}

// What told of room may have been lost, and a wait may be long.
Test(link_channel, a_sender_that_waits_for_room_asks_for_it_once_a_minute)
{
    rig.sides[RIG_GUEST].room = 1000;
    cr_assert(rig_until_live(&rig, 5000));
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 50 * 1024);
    rig_run(&rig, 20000);
    const unsigned asked = rig.sides[RIG_HOST].writes, told = rig.sides[RIG_GUEST].writes;
    rig_run(&rig, 600000);
    cr_assert_geq(rig.sides[RIG_HOST].writes - asked, 8);
    cr_assert_leq(rig.sides[RIG_HOST].writes - asked, 10);
    cr_assert_geq(rig.sides[RIG_GUEST].writes - told, 8);
    cr_assert_leq(rig.sides[RIG_GUEST].writes - told, 10);
}
