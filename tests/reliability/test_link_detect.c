// SPDX-License-Identifier: Apache-2.0
//
// The rows of "Detections" in docs/protocol.md that one side sees in the peer's items: each item is
// sealed with the keys of the session, as a guest would that went back or breaks the protocol.
// Afterwards the link has to come to a new session and to carry messages.
#include <criterion/criterion.h>
#include <string.h>

#include "link_internal.h"
#include "link_rig.h"

static struct rig rig;
static uint32_t session; // at the beginning
static struct rig_side *const host = &rig.sides[RIG_HOST], *const guest = &rig.sides[RIG_GUEST];

// A live link at rest that has carried something both ways.
static void begin(void)
{
    rig_start(&rig, true);
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 3000);
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 3000);
    cr_assert(rig_until_delivered(&rig, 20000));
    rig_run(&rig, 5000);
    session = host->link->session;
}

static void stop(void)
{
    rig_stop(&rig);
}

TestSuite(link_detect, .init = begin, .fini = stop);

// --- the guest's items --------------------------------------------------------------------------

// The state register as it stands, and its version.
static struct kvpbus_state shown(uint64_t *version)
{
    uint8_t bytes[KVPBUS_ITEM_MAX], plain[KVPBUS_PLAIN_MAX];
    size_t length, plain_length;
    struct kvpbus_item_head head;
    struct kvpbus_state state;
    const char *value = rig_get(&rig, RIG_GUEST, "kvpbus.s");
    cr_assert_eq(kvpbus_item_decode(value, bytes, &length), KVPBUS_OK);
    cr_assert_eq(
        kvpbus_item_open(&guest->link->keys.send, bytes, length, &head, plain, &plain_length),
        KVPBUS_OK);
    cr_assert_eq(kvpbus_state_read(plain, plain_length, &state), KVPBUS_OK);
    *version = head.number;
    return state;
}

static void show(uint64_t version, const struct kvpbus_state *state)
{
    uint8_t plain[KVPBUS_STATE_PLAIN];
    char value[KVPBUS_VALUE_MAX + 1];
    kvpbus_state_write(state, plain);
    kvpbus_item_seal(&guest->link->keys.send, KVPBUS_ITEM_STATE, version, 0, plain, sizeof plain,
                     value);
    rig_put(&rig, RIG_GUEST, "kvpbus.s", value);
}

static void send_plain(uint64_t number, const void *plain, size_t length)
{
    char value[KVPBUS_VALUE_MAX + 1];
    kvpbus_item_seal(&guest->link->keys.send, KVPBUS_ITEM_DATA, number, 0, plain, length, value);
    rig_put(&rig, RIG_GUEST, "kvpbus.07", value);
}

// --- what comes of it ---------------------------------------------------------------------------

// The host sees it in its next polls, and says what it should.
static void expect(unsigned went_back, unsigned alarms)
{
    rig_run(&rig, 1000);
    cr_assert_eq(host->went_back, went_back, "%u, not %u", host->went_back, went_back);
    cr_assert_eq(host->alarms, alarms, "%u, not %u", host->alarms, alarms);
    cr_assert_neq(host->link->session, session, "a new session");
    cr_assert(rig_until_live(&rig, 20000));
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 3000);
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 3000);
    cr_assert(rig_until_delivered(&rig, 60000));
}

static void expect_same_session(void)
{
    rig_run(&rig, 20000);
    cr_assert_eq(host->went_back, 0);
    cr_assert_eq(host->link->session, session);
    cr_assert_eq(rig_state(&rig, RIG_HOST), KVPBUS_LINK_LIVE);
}

// --- states -------------------------------------------------------------------------------------

Test(link_detect, one_version_of_the_state_with_two_contents)
{
    uint64_t version;
    struct kvpbus_state state = shown(&version);
    state.credit[KVPBUS_CLASS_BULK]++;
    show(version, &state);
    expect(1, 0);
}

Test(link_detect, an_echo_of_what_was_never_written)
{
    uint64_t version;
    struct kvpbus_state state = shown(&version);
    state.echo = host->link->receiver.version + 1;
    show(version + 1, &state);
    expect(1, 0);
}

Test(link_detect, an_acknowledgement_of_what_was_never_sent)
{
    uint64_t version;
    struct kvpbus_state state = shown(&version);
    state.bitmap |= 1;
    show(version + 1, &state);
    expect(1, 0);
}

Test(link_detect, an_acknowledgement_that_is_taken_back)
{
    uint64_t version;
    struct kvpbus_state state = shown(&version);
    state.cumulative--;
    show(version + 1, &state);
    expect(1, 0);
}

Test(link_detect, an_acknowledgement_of_other_contents)
{
    uint64_t version;
    struct kvpbus_state state = shown(&version);
    guest->deaf = true;
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 100);
    rig_run(&rig, 1000);
    state.cumulative++; // without its part of the digest
    show(version + 1, &state);
    rig_run(&rig, 1000);
    cr_assert_eq(host->went_back, 1, "before the guest has written another state");
    guest->deaf = false;
    expect(1, 0);
}

Test(link_detect, an_older_state_is_ignored_and_written_again)
{
    uint64_t version, again;
    struct kvpbus_state state = shown(&version);
    show(version - 1, &state);
    expect_same_session();
    shown(&again);
    cr_assert_gt(again, version);
}

Test(link_detect, a_state_that_does_not_open_or_breaks_the_protocol_is_not_believed)
{
    uint64_t version;
    struct kvpbus_link_status status;
    struct kvpbus_state state = shown(&version);
    state.window = 0;
    show(version + 1, &state);
    expect_same_session();
    kvpbus_link_status(host->link, &status);
    cr_assert_gt(status.bad_items, 0);
}

// --- packets ------------------------------------------------------------------------------------

Test(link_detect, one_packet_number_with_two_contents)
{
    static const uint8_t gap[] = {2, KVPBUS_CLASS_NORMAL, 9, 0};
    send_plain(host->link->receiver.cumulative, gap, sizeof gap);
    expect(1, 0);
}

Test(link_detect, a_packet_beyond_the_window)
{
    static const uint8_t gap[] = {2, KVPBUS_CLASS_NORMAL, 9, 0};
    send_plain(host->link->receiver.cumulative + KVPBUS_LINK_WINDOW + 1, gap, sizeof gap);
    expect(0, 1);
}

Test(link_detect, a_packet_that_does_not_parse)
{
    send_plain(host->link->receiver.cumulative + 1, "\x7f", 1);
    expect(0, 1);
}

Test(link_detect, a_second_sync)
{
    uint8_t first[KVPBUS_PLAIN_MAX];
    struct kvpbus_frame_writer writer = {.limit = KVPBUS_PLAIN_MAX};
    cr_assert(kvpbus_frame_sync(&writer, &guest->link->sender.sync));
    memcpy(first, writer.bytes, writer.length);
    send_plain(host->link->receiver.cumulative + 1, first, writer.length);
    expect(0, 1);
}

Test(link_detect, an_item_under_the_key_of_another_kind_is_not_believed)
{
    uint64_t version;
    struct kvpbus_link_status status;
    struct kvpbus_state state = shown(&version);
    uint8_t plain[KVPBUS_STATE_PLAIN];
    char value[KVPBUS_VALUE_MAX + 1];
    state.cumulative--; // it would be a detection
    kvpbus_state_write(&state, plain);
    kvpbus_item_seal(&guest->link->keys.send, KVPBUS_ITEM_STATE, version, 0, plain, sizeof plain,
                     value);
    rig_put(&rig, RIG_GUEST, "kvpbus.07", value);
    expect_same_session();
    kvpbus_link_status(host->link, &status);
    cr_assert_eq(status.bad_items, 1);
}

// --- my own store -------------------------------------------------------------------------------

Test(link_detect, an_item_of_mine_that_i_have_not_written_yet)
{
    char value[KVPBUS_VALUE_MAX + 1];
    kvpbus_item_seal(&host->link->keys.send, KVPBUS_ITEM_DATA, host->link->sender.next, 0,
                     (const uint8_t *)"\x02\0\x01\0", 4, value);
    rig_put(&rig, RIG_HOST, "kvpbus.00", value);
    host->link->store.scan_wanted = true;
    expect(1, 0);
}
