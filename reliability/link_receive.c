// SPDX-License-Identifier: Apache-2.0
//
// The peer's store comes in: its hello, its state, its packets. A scan may be stale, partial or
// torn, and anyone may have written it: each item is judged alone and believed only when it opens.
#include <stdio.h>
#include <stdlib.h>

#include "link_internal.h"

void receiver_reset(struct kvpbus_link *link)
{
    struct receiver *receiver = &link->receiver;
    uint64_t room[KVPBUS_CLASS_COUNT];
    memcpy(room, receiver->room, sizeof room);
    memset(receiver, 0, sizeof *receiver);
    memcpy(receiver->room, room, sizeof room);
    receiver->missing_again = receiver->credit_ask = NEVER;
}

static bool committed(const struct receiver *receiver, uint64_t number)
{
    if (number <= receiver->cumulative)
        return true;
    uint64_t above = number - receiver->cumulative - 1;
    return above < KVPBUS_LINK_WINDOW && (receiver->bitmap >> above & 1) != 0;
}

// --- my state register ---

static bool wants_state(const struct kvpbus_link *link)
{
    return link->receiver.say_state_missing || link->receiver.say_credit_missing ||
           sender_asks(link);
}

void receiver_state_plain(struct kvpbus_link *link, uint8_t plain[KVPBUS_STATE_PLAIN])
{
    struct receiver *receiver = &link->receiver;
    struct kvpbus_state state = {
        .echo = receiver->peer_version,
        .cumulative = receiver->cumulative,
        .bitmap = receiver->bitmap,
        .digest = receiver->digest,
        .window = KVPBUS_LINK_WINDOW,
        .flags = (uint8_t)((receiver->say_hello_missing ? KVPBUS_STATE_HELLO_MISSING : 0) |
                           (wants_state(link) ? KVPBUS_STATE_STATE_MISSING : 0) |
                           (receiver->cannot_commit ? KVPBUS_STATE_CANNOT_COMMIT : 0)),
    };
    for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++) {
        uint64_t credit = receiver->begun[class_] + receiver->room[class_];
        if (credit > receiver->told[class_])
            receiver->told[class_] = credit;
        state.credit[class_] = receiver->told[class_];
    }
    kvpbus_state_write(&state, plain);
}

void kvpbus_link_room(struct kvpbus_link *link, const uint64_t room[KVPBUS_CLASS_COUNT])
{
    struct receiver *receiver = &link->receiver;
    for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++) {
        receiver->room[class_] = room[class_];
        // Worth a write of its own only when the peer may be waiting for it.
        uint64_t known = receiver->told[class_] - receiver->begun[class_];
        if (receiver->told[class_] < receiver->begun[class_])
            known = 0;
        if (link_live(link) && room[class_] / 2 >= known && room[class_] - known >= 4096)
            store_dirty(link, CELL_STATE);
    }
}

// --- the peer's state ---

static void opened(struct kvpbus_link *link)
{
    if (link_live(link))
        return;
    handshake_proven(link);
    link->last_news = link->now;
    link_report_state(link);
}

static void went_back(struct kvpbus_link *link, const char *how)
{
    char why[120];
    snprintf(why, sizeof why, "%s; the session is renewed and positions are compared", how);
    handshake_renew(link, KVPBUS_LINK_WENT_BACK, why);
}

// False when this is not the newest state that is known: missing, in effect.
static bool take_state(struct kvpbus_link *link, const char *value)
{
    struct receiver *receiver = &link->receiver;
    uint8_t digest[DIGEST], bytes[KVPBUS_ITEM_MAX], plain[KVPBUS_PLAIN_MAX];
    size_t length, plain_length;
    struct kvpbus_item_head head;
    struct kvpbus_state state;
    link_digest(value, strlen(value), digest);
    if (memcmp(digest, receiver->peer_state_digest, DIGEST) == 0)
        return true;
    if (kvpbus_item_decode(value, bytes, &length) != KVPBUS_OK ||
        kvpbus_item_open(&link->keys.receive, bytes, length, &head, plain, &plain_length) !=
            KVPBUS_OK ||
        head.type != KVPBUS_ITEM_STATE ||
        kvpbus_state_read(plain, plain_length, &state) != KVPBUS_OK) {
        link->counters.bad_items++;
        return false;
    }
    if (head.number < receiver->peer_version)
        return false; // a stale scan
    if (head.number == receiver->peer_version) {
        went_back(link, "the peer wrote one version of its state twice");
        return false;
    }
    if (state.echo > receiver->version) {
        went_back(link, "the peer answers a state that I never wrote");
        return false;
    }
    if (!sender_fits(link, &state)) {
        went_back(link, "the peer does not acknowledge what I sent");
        return false;
    }
    memcpy(receiver->peer_state_digest, digest, DIGEST);
    receiver->peer_version = head.number;
    receiver->peer_echo = state.echo;
    receiver->peer_cannot_commit = (state.flags & KVPBUS_STATE_CANNOT_COMMIT) != 0;
    receiver->say_credit_missing = false;
    receiver->credit_ask = NEVER;
    opened(link);
    sender_state(link, &state);
    if ((state.flags & KVPBUS_STATE_HELLO_MISSING) != 0)
        store_dirty(link, CELL_HELLO);
    if ((state.flags & KVPBUS_STATE_STATE_MISSING) != 0)
        store_dirty(link, CELL_STATE);
    return true;
}

// --- packets ---
// Returns false when this number came before with other content.
static bool remember(struct kvpbus_link *link, const struct kvpbus_item_head *head,
                     const uint8_t *plain, size_t length, bool *new_attempt)
{
    struct seen_packet *seen = &link->receiver.seen[head->number % SEEN_MAX];
    uint8_t digest[DIGEST];
    link_digest(plain, length, digest);
    *new_attempt = false;
    if (seen->number > head->number)
        return true; // too old to tell
    if (seen->number != head->number) {
        seen->number = head->number;
        seen->attempt = head->attempt;
        memcpy(seen->digest, digest, DIGEST);
        return true;
    }
    if (memcmp(seen->digest, digest, DIGEST) != 0)
        return false;
    *new_attempt = head->attempt > seen->attempt;
    if (*new_attempt)
        seen->attempt = head->attempt;
    return true;
}

// Gives the packet to the owner to commit. False: it cannot be taken yet.
static bool accept(struct kvpbus_link *link, const struct kvpbus_item_head *head,
                   const uint8_t *plain, size_t length)
{
    struct pending_packet *pending = &link->receiver.pending[head->number % KVPBUS_LINK_WINDOW];
    if (pending->number != 0)
        return pending->number == head->number;
    if (head->number > 1 && !link->peer_sync_done)
        return false;
    struct kvpbus_link_packet *packet = calloc(1, sizeof *packet);
    if (packet == NULL)
        return false; // the item stays in the store and is read again
    memcpy(packet->plain, plain, length);

    struct kvpbus_sync sync;
    bool is_sync;
    enum kvpbus_error error = kvpbus_packet_read(packet->plain, length, &is_sync, &sync, packet);
    if (error != KVPBUS_OK || is_sync != (head->number == 1)) {
        free(packet);
        handshake_renew(link, KVPBUS_LINK_ALARM, "the peer sent a packet that does not parse");
        return false;
    }
    *pending = (struct pending_packet){
        .number = head->number,
        .digest = kvpbus_packet_digest(link->keys.receive.siv, head->number, plain, length),
    };
    for (size_t i = 0; i < packet->fragment_count; i++)
        if (packet->fragments[i].first)
            pending->begun[packet->fragments[i].class_] += packet->fragments[i].total;
    packet->session = link->session;
    packet->number = head->number;
    struct kvpbus_link_event *event =
        link_event(link, is_sync ? KVPBUS_LINK_SYNC : KVPBUS_LINK_PACKET);
    event->session = link->session;
    if (is_sync) {
        event->sync = sync;
        free(packet);
    } else {
        event->packet = packet;
    }
    return true;
}

// What an earlier session left in a slot is no damage.
static void say_damaged(struct kvpbus_link *link, const char *value)
{
    uint8_t bytes[KVPBUS_ITEM_MAX];
    size_t length;
    struct kvpbus_item_head head;
    bool stale = kvpbus_item_decode(value, bytes, &length) == KVPBUS_OK &&
                 kvpbus_item_head_read(bytes, length, &head) == KVPBUS_OK &&
                 memcmp(head.session_tag, link->keys.session, sizeof head.session_tag) != 0;
    if (stale || link->receiver.said_damaged || !link_live(link))
        return;
    link->receiver.said_damaged = true;
    link_say(link, KVPBUS_LINK_ALARM,
             "a value of the peer is cut or changed: the channel carries shorter ones, or another "
             "program writes keys of %s.*; it is sent again",
             link->prefix);
}

static void take_data(struct kvpbus_link *link, unsigned slot, const char *value)
{
    struct receiver *receiver = &link->receiver;
    uint8_t digest[DIGEST], bytes[KVPBUS_ITEM_MAX], plain[KVPBUS_PLAIN_MAX];
    size_t length, plain_length;
    struct kvpbus_item_head head;
    link_digest(value, strlen(value), digest);
    if (memcmp(digest, receiver->slot_digest[slot], DIGEST) == 0)
        return;
    if (kvpbus_item_decode(value, bytes, &length) != KVPBUS_OK ||
        kvpbus_item_open(&link->keys.receive, bytes, length, &head, plain, &plain_length) !=
            KVPBUS_OK ||
        head.type != KVPBUS_ITEM_DATA) {
        link->counters.bad_items++;
        say_damaged(link, value);
        memcpy(receiver->slot_digest[slot], digest, DIGEST);
        return;
    }
    uint32_t session = link->session;
    opened(link);
    bool new_attempt;
    if (!remember(link, &head, plain, plain_length, &new_attempt)) {
        went_back(link, "the peer sent one packet number with two contents");
        return;
    }
    if (committed(receiver, head.number)) {
        memcpy(receiver->slot_digest[slot], digest, DIGEST);
        // The peer did not see my acknowledgement.
        if (new_attempt)
            store_dirty(link, CELL_STATE);
        return;
    }
    if (head.number > receiver->cumulative + KVPBUS_LINK_WINDOW) {
        handshake_renew(link, KVPBUS_LINK_ALARM, "the peer sent beyond the window");
        return;
    }
    if (accept(link, &head, plain, plain_length) && session == link->session) {
        memcpy(receiver->slot_digest[slot], digest, DIGEST);
        link->last_news = link->now;
    }
}

void kvpbus_link_committed(struct kvpbus_link *link, uint32_t session, uint64_t number,
                           uint64_t now)
{
    struct receiver *receiver = &link->receiver;
    link->now = now;
    if (session != link->session)
        return;
    struct pending_packet *pending = &receiver->pending[number % KVPBUS_LINK_WINDOW];
    assert(pending->number == number && !committed(receiver, number));
    for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
        receiver->begun[class_] += pending->begun[class_];
    receiver->digest ^= pending->digest;
    receiver->cannot_commit = false;
    pending->number = 0;

    receiver->bitmap |= UINT64_C(1) << (number - receiver->cumulative - 1);
    while ((receiver->bitmap & 1) != 0) {
        receiver->bitmap >>= 1;
        receiver->cumulative++;
    }
    store_dirty(link, CELL_STATE);
    // Whatever was wrong, it goes on.
    if (!link->stopped)
        link->trouble[0] = '\0';
}

void kvpbus_link_refused(struct kvpbus_link *link, uint32_t session, uint64_t number, bool fatal,
                         uint64_t now)
{
    struct receiver *receiver = &link->receiver;
    link->now = now;
    if (session != link->session)
        return;
    if (fatal) {
        handshake_renew(link, KVPBUS_LINK_ALARM, "a packet of the peer breaks the protocol");
        return;
    }
    receiver->pending[number % KVPBUS_LINK_WINDOW].number = 0;
    if (!receiver->cannot_commit)
        store_dirty(link, CELL_STATE);
    receiver->cannot_commit = true;
    memset(receiver->slot_digest, 0, sizeof receiver->slot_digest);
}

void kvpbus_link_sync_ready(struct kvpbus_link *link, uint32_t session,
                            const struct kvpbus_sync *sync, uint64_t now)
{
    link->now = now;
    if (session != link->session || !link->handshake.keyed)
        return;
    link->sender.sync = *sync;
    link->sender.sync_waiting = true;
    link->sender.idle_since = NEVER;
}

void kvpbus_link_sync_done(struct kvpbus_link *link, uint32_t session, bool consistent,
                           uint64_t now)
{
    link->now = now;
    if (session != link->session || !link->handshake.keyed)
        return;
    if (!consistent) {
        handshake_renew(link, KVPBUS_LINK_WENT_BACK,
                        "positions do not fit: one side was reverted; what is queued is numbered "
                        "again in a new timeline");
        return;
    }
    link->peer_sync_done = true;
    link_agree(link);
    memset(link->receiver.slot_digest, 0, sizeof link->receiver.slot_digest);
    kvpbus_link_committed(link, session, 1, now);
    link_report_state(link);
}

// --- scans ---

static bool say_missing(bool absent, unsigned *scans, bool *say)
{
    *scans = absent ? *scans + 1 : 0;
    bool now = *scans >= MISSING_SCANS;
    bool changed = now && !*say;
    *say = now;
    return changed;
}

// A register of the peer that stays away, or stays old, was lost on my side of the channel where
// its owner cannot see it, or its owner went back with its memory. One scan proves nothing.
static void look_for_registers(struct kvpbus_link *link, bool hello, bool state)
{
    struct receiver *receiver = &link->receiver;
    bool changed = say_missing(!hello, &receiver->hello_absent, &receiver->say_hello_missing);
    changed |= say_missing(!state, &receiver->state_absent, &receiver->say_state_missing);
    if (changed) {
        receiver->missing_delay = HELLO_FIRST * 4;
        receiver->missing_again = link->now + receiver->missing_delay;
        store_dirty(link, CELL_STATE);
    } else if (!receiver->say_hello_missing && !receiver->say_state_missing) {
        receiver->missing_again = NEVER;
    }
}

uint64_t receiver_deadline(const struct kvpbus_link *link)
{
    const struct receiver *receiver = &link->receiver;
    if (!link_live(link))
        return NEVER;
    return receiver->missing_again < receiver->credit_ask ? receiver->missing_again
                                                          : receiver->credit_ask;
}

// While I wait for credit nothing need be in flight whose time would run out.
static void look_for_credit(struct kvpbus_link *link)
{
    struct receiver *receiver = &link->receiver;
    if (!bundle_waits_for_credit(link)) {
        receiver->say_credit_missing = false;
        receiver->credit_ask = NEVER;
        return;
    }
    if (link->now >= receiver->credit_ask) {
        receiver->say_credit_missing = true;
        receiver->credit_ask = NEVER;
        store_dirty(link, CELL_STATE);
    }
    if (receiver->credit_ask == NEVER)
        receiver->credit_ask = link->now + CREDIT_ASK;
}

void receiver_tick(struct kvpbus_link *link)
{
    struct receiver *receiver = &link->receiver;
    if (!link_live(link))
        return;
    look_for_credit(link);
    if (link->now < receiver->missing_again)
        return;
    receiver->missing_delay *= 2;
    if (receiver->missing_delay > HELLO_MAX)
        receiver->missing_delay = HELLO_MAX;
    receiver->missing_again = link->now + receiver->missing_delay;
    store_dirty(link, CELL_STATE);
    // The peer may sit in a session that I have left: it learns that from my hello alone.
    if (receiver->say_hello_missing)
        store_dirty(link, CELL_HELLO);
}

static const char *find(const struct kvpbus_scan *scan, const char *key, size_t nth)
{
    for (size_t i = 0; i < scan->count; i++)
        if (strcmp(scan->items[i].key, key) == 0 && nth-- == 0)
            return scan->items[i].value;
    return NULL;
}

static void look_for_noise(struct kvpbus_link *link, const struct kvpbus_scan *scan)
{
    struct receiver *receiver = &link->receiver;
    if (scan->skipped > 0 && !receiver->said_noise)
        link_say(link, KVPBUS_LINK_ALARM,
                 "the peer's store holds more items than are read, or such as are no text: another "
                 "program writes keys of %s.*; remove them there",
                 link->prefix);
    receiver->said_noise = scan->skipped > 0;
}

void kvpbus_link_scan_peer(struct kvpbus_link *link, const struct kvpbus_scan *scan, uint64_t now)
{
    // A pool may hold a key twice; more copies than this are somebody's noise.
    enum { COPIES = 2 };
    char key[KVPBUS_KEY_MAX + 1];
    link->now = now;
    if (link->suspended || link->stopped)
        return;
    kvpbus_key_format(link->prefix, KVPBUS_KEY_HELLO, 0, key);
    bool hello = false;
    for (size_t i = 0; i < COPIES && find(scan, key, i) != NULL; i++)
        hello |= handshake_hello(link, find(scan, key, i));
    kvpbus_key_format(link->prefix, KVPBUS_KEY_STATE, 0, key);
    bool state = false;
    for (size_t i = 0; link->handshake.keyed && i < COPIES && find(scan, key, i) != NULL; i++)
        state |= take_state(link, find(scan, key, i));
    for (size_t i = 0; link->handshake.keyed && i < scan->count; i++) {
        unsigned slot;
        if (kvpbus_key_parse(link->prefix, scan->items[i].key, &slot) == KVPBUS_KEY_SLOT)
            take_data(link, slot, scan->items[i].value);
    }
    if (link_live(link))
        look_for_registers(link, hello, state);
    look_for_noise(link, scan);
    link_report_state(link);
}
