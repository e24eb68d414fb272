// SPDX-License-Identifier: Apache-2.0
//
// Packets: filled as late as possible, kept until they are acknowledged, written again when they
// seem lost. A packet's number never gets other content; its slot may change.
#include <stdlib.h>

#include "link_internal.h"

void sender_reset(struct kvpbus_link *link)
{
    struct sender *sender = &link->sender;
    bundle_forget_all(link);
    unsigned ring_limit = sender->ring_limit;
    uint64_t srtt = sender->srtt, rttvar = sender->rttvar;
    memset(sender, 0, sizeof *sender);
    sender->ring_limit = ring_limit != 0 ? ring_limit : link->options.ring_slots;
    sender->srtt = srtt;
    sender->rttvar = rttvar;
    sender->next = 1;
    sender->window = 1; // until the peer's state says more
    sender->idle_since = link->now;
    for (unsigned slot = 0; slot < KVPBUS_RING_MAX; slot++)
        store_wish(link, CELL_SLOT + slot, link->store.scanned ? CELL_LEAVE : CELL_REMOVE);
}

void sender_free(struct kvpbus_link *link)
{
    bundle_forget_all(link);
}

static struct sent_packet *packet_at(struct kvpbus_link *link, uint64_t number)
{
    return &link->sender.packets[number % KVPBUS_LINK_WINDOW];
}

size_t sender_in_flight(const struct kvpbus_link *link)
{
    size_t count = 0;
    for (size_t i = 0; i < KVPBUS_LINK_WINDOW; i++)
        if (link->sender.packets[i].number != 0 && !link->sender.packets[i].acknowledged)
            count++;
    return count;
}

bool sender_idle(const struct kvpbus_link *link)
{
    const struct sender *sender = &link->sender;
    if (sender_in_flight(link) > 0 || sender->gap_count > 0 || sender->answer_count > 0 ||
        sender->sync_waiting)
        return false;
    for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
        for (size_t i = 0; i < KVPBUS_BUNDLE_WINDOW; i++)
            if (sender->bundles[class_][i] != NULL)
                return false;
    return true;
}

bool kvpbus_link_transfers(const struct kvpbus_link *link, uint64_t now)
{
    if (!link->synced || sender_in_flight(link) == 0)
        return false;
    if (now < link->last_news + TRANSFER_AFTER)
        return true;
    for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
        for (size_t i = 0; i < KVPBUS_BUNDLE_WINDOW; i++) {
            const struct outgoing *bundle = link->sender.bundles[class_][i];
            if (bundle != NULL && bundle->sent < bundle->total)
                return true;
        }
    return false;
}

struct sent_packet *sender_in_slot(struct kvpbus_link *link, unsigned slot)
{
    uint64_t number = link->sender.in_slot[slot];
    struct sent_packet *packet = packet_at(link, number);
    bool there = number != 0 && packet->number == number && !packet->acknowledged &&
                 packet->slot == (int)slot;
    return there ? packet : NULL;
}

// --- filling ---
// A slot whose key exists costs a Modify, a new one an Add and an item of the store's ceiling.
static int free_slot(struct kvpbus_link *link)
{
    int absent = -1;
    for (unsigned slot = 0; slot < link->sender.ring_limit; slot++) {
        if (sender_in_slot(link, slot) != NULL)
            continue;
        if (link->store.cells[CELL_SLOT + slot].found == FOUND_VALUE)
            return (int)slot;
        if (absent < 0)
            absent = (int)slot;
    }
    return absent;
}

static size_t packet_limit(const struct kvpbus_link *link)
{
    uint32_t characters = link->value_max;
    if (link->handshake.peer.value_max < characters)
        characters = link->handshake.peer.value_max;
    size_t bytes = (size_t)characters * 3 / 4;
    assert(bytes > KVPBUS_ITEM_OVERHEAD && bytes <= KVPBUS_ITEM_MAX);
    return bytes - KVPBUS_ITEM_OVERHEAD;
}

static void add_control(struct kvpbus_link *link, struct kvpbus_frame_writer *writer)
{
    struct sender *sender = &link->sender;
    size_t taken = 0;
    while (taken < sender->answer_count && kvpbus_frame_answer(writer, &sender->answers[taken]))
        taken++;
    sender->answer_count -= taken;
    memmove(sender->answers, sender->answers + taken,
            sender->answer_count * sizeof *sender->answers);
    taken = 0;
    while (taken < sender->gap_count && kvpbus_frame_gap(writer, &sender->gaps[taken]))
        taken++;
    sender->gap_count -= taken;
    memmove(sender->gaps, sender->gaps + taken, sender->gap_count * sizeof *sender->gaps);
}

static void add_fragments(struct kvpbus_link *link, struct kvpbus_frame_writer *writer,
                          enum kvpbus_class class_, struct sent_packet *packet)
{
    struct kvpbus_fragment fragment;
    struct outgoing *from;
    while (packet->piece_count < PIECES_MAX && bundle_next(link, class_, &fragment, &from)) {
        size_t bytes = kvpbus_frame_fragment(writer, &fragment);
        if (bytes == 0)
            return;
        packet->pieces[packet->piece_count++] = (struct piece){
            .class_ = class_,
            .number = fragment.number,
            .bytes = (uint32_t)bytes,
        };
        bundle_sent(link, from, bytes);
    }
}

// The control class may use every slot and the whole window, the others leave a few.
static bool room_for(const struct kvpbus_link *link, enum kvpbus_class class_, size_t in_flight)
{
    unsigned reserve = class_ == KVPBUS_CLASS_CONTROL ? 0 : CONTROL_RESERVE;
    unsigned window = link->sender.window, ring = link->sender.ring_limit;
    unsigned room = window < ring ? window : ring;
    if (room <= 2 * CONTROL_RESERVE)
        reserve = 0; // a shrunken ring: better slow than stuck
    return in_flight + reserve < room;
}

static bool fill_one(struct kvpbus_link *link)
{
    struct sender *sender = &link->sender;
    struct sent_packet *packet = packet_at(link, sender->next);
    if (sender->next > sender->cumulative + sender->window || sender->next > CORE_PACKETS_MAX ||
        (packet->number != 0 && !packet->acknowledged))
        return false;
    size_t in_flight = sender_in_flight(link);
    int slot = free_slot(link);
    if (slot < 0 || !room_for(link, KVPBUS_CLASS_CONTROL, in_flight))
        return false;

    struct kvpbus_frame_writer writer = {.length = 0, .limit = packet_limit(link)};
    struct sent_packet fresh = {.number = sender->next, .slot = slot};
    if (sender->sync_waiting) {
        bool fits = kvpbus_frame_sync(&writer, &sender->sync);
        assert(fits && sender->next == 1);
        sender->sync_waiting = false;
    } else if (link->synced) {
        add_control(link, &writer);
        for (int class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
            if (room_for(link, (enum kvpbus_class)class_, in_flight))
                add_fragments(link, &writer, (enum kvpbus_class)class_, &fresh);
    }
    if (writer.length == 0)
        return false;
    fresh.length = writer.length;
    memcpy(fresh.plain, writer.bytes, writer.length);
    fresh.digest =
        kvpbus_packet_digest(link->keys.send.siv, fresh.number, fresh.plain, fresh.length);
    *packet = fresh;
    sender->in_slot[slot] = fresh.number;
    sender->next++;
    sender->idle_since = NEVER;
    store_dirty(link, CELL_SLOT + (unsigned)slot);
    return true;
}

// Packets that lost their slot when the ring shrank get one before new ones are made.
static bool place_homeless(struct kvpbus_link *link)
{
    bool all = true;
    for (uint64_t n = link->sender.cumulative + 1; n < link->sender.next; n++) {
        struct sent_packet *packet = packet_at(link, n);
        if (packet->number != n || packet->acknowledged || packet->slot >= 0)
            continue;
        packet->slot = free_slot(link);
        if (packet->slot < 0) {
            all = false;
            break;
        }
        link->sender.in_slot[packet->slot] = n;
        packet->attempt++;
        packet->written = false;
        store_dirty(link, CELL_SLOT + (unsigned)packet->slot);
    }
    return all;
}

void sender_fill(struct kvpbus_link *link)
{
    if (!link->handshake.keyed || link->sender.next > CORE_PACKETS_MAX)
        return;
    if (!place_homeless(link))
        return;
    for (int i = 0; i < KVPBUS_LINK_WINDOW && fill_one(link); i++) {
    }
    bundle_read_ahead(link);
}

// --- acknowledgement ---

static void sample(struct sender *sender, uint64_t rtt)
{
    // RFC 6298 section 2, in milliseconds.
    if (sender->srtt == 0) {
        sender->srtt = rtt > 0 ? rtt : 1;
        sender->rttvar = rtt / 2;
        return;
    }
    uint64_t difference = sender->srtt > rtt ? sender->srtt - rtt : rtt - sender->srtt;
    sender->rttvar = (3 * sender->rttvar + difference) / 4;
    sender->srtt = (7 * sender->srtt + rtt) / 8;
    if (sender->srtt == 0)
        sender->srtt = 1;
}

static void acknowledge(struct kvpbus_link *link, struct sent_packet *packet)
{
    packet->acknowledged = true;
    link->sender.backoff = 0;
    if (packet->attempt == 0 && packet->written)
        sample(&link->sender, link->now - packet->first_written);
    for (size_t i = 0; i < packet->piece_count; i++)
        bundle_acknowledged(link, &packet->pieces[i]);
    if (packet->slot >= 0)
        store_wish(link, CELL_SLOT + (unsigned)packet->slot, CELL_LEAVE);
    packet->slot = -1;
    if (packet->number == 1) {
        link->own_sync_done = true;
        link_agree(link);
        link_report_state(link);
    }
}

// Packets whose write call lies before one that brought an acknowledged packet were overtaken:
// their item was lost, not late.
static void rewrite_overtaken(struct kvpbus_link *link, uint64_t newest_serial)
{
    for (uint64_t n = link->sender.cumulative + 1; n < link->sender.next; n++) {
        struct sent_packet *packet = packet_at(link, n);
        if (packet->number != n || packet->acknowledged || !packet->written ||
            packet->write_serial + 1 >= newest_serial)
            continue;
        packet->attempt++;
        packet->written = false;
        link->counters.rewrites++;
        store_dirty(link, CELL_SLOT + (unsigned)packet->slot);
    }
}

static bool covers(const struct kvpbus_state *state, uint64_t number)
{
    if (number <= state->cumulative)
        return true;
    uint64_t above = number - state->cumulative - 1;
    return above < KVPBUS_LINK_WINDOW && (state->bitmap >> above & 1) != 0;
}

bool sender_fits(struct kvpbus_link *link, const struct kvpbus_state *state)
{
    const struct sender *sender = &link->sender;
    if (state->cumulative < sender->cumulative || state->cumulative >= sender->next)
        return false;
    for (uint64_t above = 0; above < KVPBUS_LINK_WINDOW; above++)
        if ((state->bitmap >> above & 1) != 0 && state->cumulative + 1 + above >= sender->next)
            return false;
    uint64_t digest = sender->digest;
    for (uint64_t n = sender->cumulative + 1; n < sender->next; n++) {
        const struct sent_packet *packet = packet_at(link, n);
        assert(packet->number == n);
        if (covers(state, n))
            digest ^= packet->digest;
        else if (packet->acknowledged)
            return false;
    }
    return digest == state->digest;
}

void sender_state(struct kvpbus_link *link, const struct kvpbus_state *state)
{
    struct sender *sender = &link->sender;
    uint64_t newest_serial = 0;
    bool news = false;
    for (uint64_t n = sender->cumulative + 1; n < sender->next; n++) {
        struct sent_packet *packet = packet_at(link, n);
        if (n <= state->cumulative)
            sender->digest ^= packet->digest;
        if (packet->acknowledged || !covers(state, n))
            continue;
        if (packet->write_serial > newest_serial)
            newest_serial = packet->write_serial;
        acknowledge(link, packet);
        news = true;
    }
    sender->cumulative = state->cumulative;
    sender->window = state->window;
    for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
        sender->credit[class_] = state->credit[class_];
    if (!news)
        return;
    link->last_news = link->now;
    rewrite_overtaken(link, newest_serial);
    if (sender_idle(link))
        sender->idle_since = link->now;
}

// --- time ---

static uint64_t timeout(const struct sender *sender)
{
    uint64_t rto = sender->srtt == 0 ? RTO_FIRST : sender->srtt + 4 * sender->rttvar;
    if (rto < RTO_MIN)
        rto = RTO_MIN;
    rto <<= sender->backoff;
    return rto > RTO_MAX ? RTO_MAX : rto;
}

uint64_t sender_deadline(const struct kvpbus_link *link)
{
    const struct sender *sender = &link->sender;
    uint64_t deadline = NEVER;
    for (size_t i = 0; i < KVPBUS_LINK_WINDOW; i++) {
        const struct sent_packet *packet = &sender->packets[i];
        if (packet->number != 0 && !packet->acknowledged && packet->written &&
            packet->last_written + timeout(sender) < deadline)
            deadline = packet->last_written + timeout(sender);
    }
    if (sender->idle_since != NEVER && deadline == NEVER) {
        for (unsigned slot = 0; slot < KVPBUS_RING_MAX; slot++)
            if (link->store.cells[CELL_SLOT + slot].wish == CELL_LEAVE &&
                link->store.cells[CELL_SLOT + slot].found == FOUND_VALUE)
                return sender->idle_since + COLLECT_IDLE;
    }
    return deadline;
}

bool sender_asks(const struct kvpbus_link *link)
{
    for (size_t i = 0; i < KVPBUS_LINK_WINDOW; i++) {
        const struct sent_packet *packet = &link->sender.packets[i];
        if (packet->number != 0 && !packet->acknowledged &&
            packet->asked > link->receiver.peer_echo)
            return true;
    }
    return false;
}

// A peer that has seen my state of this attempt, and has not taken the packet: once it may have
// been about to, or have come back that moment. One that is not there says nothing of the channel.
// An attempt since then that was overtaken needs no answer: the peer has acknowledged a later one.
static void count_answer(const struct kvpbus_link *link, struct sent_packet *packet)
{
    bool answered = packet->asked != 0 && packet->asked <= link->receiver.peer_echo;
    packet->answered = answered && !link->receiver.peer_cannot_commit ? packet->answered + 1 : 0;
}

// A channel that cuts long values carries short ones: the state register still comes and goes.
static bool black_hole(const struct kvpbus_link *link, const struct sent_packet *packet)
{
    static const uint32_t least = 512;
    return packet->attempt >= BLACK_HOLE_ATTEMPTS && packet->answered >= BLACK_HOLE_ANSWERS &&
           link->value_max > least && packet->length + KVPBUS_ITEM_OVERHEAD > least * 3 / 4;
}

static void shorten(struct kvpbus_link *link)
{
    // The lengths that other programs found to work (fact sheet part 1), then half.
    static const uint32_t steps[] = {1000, 990, 700, 512};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (steps[i] < link->value_max) {
            link->value_max = steps[i];
            break;
        }
    link_say(link, KVPBUS_LINK_ALARM,
             "full items do not arrive; values are now at most %u characters", link->value_max);
    handshake_renew(link, KVPBUS_LINK_CHANGED, "the session is renewed with shorter values");
}

static void collect(struct kvpbus_link *link)
{
    struct sender *sender = &link->sender;
    if (sender->idle_since == NEVER || link->now < sender->idle_since + COLLECT_IDLE)
        return;
    for (unsigned slot = 0; slot < KVPBUS_RING_MAX; slot++)
        if (link->store.cells[CELL_SLOT + slot].wish == CELL_LEAVE)
            store_wish(link, CELL_SLOT + slot, CELL_REMOVE);
}

void sender_tick(struct kvpbus_link *link)
{
    struct sender *sender = &link->sender;
    uint64_t rto = timeout(sender);
    bool any = false;
    for (size_t i = 0; i < KVPBUS_LINK_WINDOW; i++) {
        struct sent_packet *packet = &sender->packets[i];
        if (packet->number == 0 || packet->acknowledged || !packet->written ||
            link->now < packet->last_written + rto)
            continue;
        count_answer(link, packet);
        if (black_hole(link, packet)) {
            shorten(link);
            return;
        }
        packet->attempt++;
        packet->written = false;
        if (packet->attempt + BLACK_HOLE_ANSWERS > BLACK_HOLE_ATTEMPTS) {
            packet->asked = link->receiver.version + 1;
            store_dirty(link, CELL_STATE);
        }
        link->counters.rewrites++;
        store_dirty(link, CELL_SLOT + (unsigned)packet->slot);
        any = true;
    }
    if (any) {
        link->store.scan_wanted = true;
        if (rto < RTO_MAX)
            sender->backoff++;
    }
    collect(link);
}

// --- the ring ---

void sender_written(struct kvpbus_link *link, unsigned slot)
{
    struct sent_packet *packet = sender_in_slot(link, slot);
    if (packet == NULL)
        return; // acknowledged while the write was under way
    if (packet->attempt == 0)
        packet->first_written = link->now;
    packet->written = true;
    packet->last_written = link->now;
    packet->write_serial = link->sender.write_serial;
}

void sender_shrink(struct kvpbus_link *link, bool to_one)
{
    struct sender *sender = &link->sender;
    unsigned limit = to_one || sender->ring_limit == 1 ? 1 : sender->ring_limit / 2;
    if (limit != sender->ring_limit)
        link_say(link, KVPBUS_LINK_ALARM,
                 "the store takes no more items: the ring shrinks to %u slot%s", limit,
                 limit == 1 ? "" : "s");
    sender->ring_limit = limit;
    for (unsigned slot = limit; slot < KVPBUS_RING_MAX; slot++) {
        struct sent_packet *packet = sender_in_slot(link, slot);
        if (packet != NULL)
            packet->slot = -1;
        store_wish(link, CELL_SLOT + slot, CELL_REMOVE);
    }
}
