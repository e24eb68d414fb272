// SPDX-License-Identifier: Apache-2.0
#include "link_rig.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static void draw(void *context, uint8_t *bytes, size_t length)
{
    (void)context;
    randombytes_buf(bytes, length);
}

// --- the stores ---

void rig_put(struct rig *rig, int side, const char *key, const char *value)
{
    struct kvpbus_scan *store = &rig->sides[side].store;
    for (size_t i = 0; i < store->count; i++) {
        if (strcmp(store->items[i].key, key) != 0)
            continue;
        store->items[i] = store->items[--store->count];
        break;
    }
    if (value != NULL)
        cr_assert_eq(kvpbus_scan_add(store, "kvpbus", key, strlen(key), value, strlen(value)),
                     KVPBUS_OK);
}

const char *rig_get(const struct rig *rig, int side, const char *key)
{
    const struct kvpbus_scan *store = &rig->sides[side].store;
    for (size_t i = 0; i < store->count; i++)
        if (strcmp(store->items[i].key, key) == 0)
            return store->items[i].value;
    return NULL;
}

void rig_wipe(struct rig *rig, int side)
{
    kvpbus_scan_clear(&rig->sides[side].store);
}

size_t rig_items(const struct rig *rig, int side, enum kvpbus_key_kind kind)
{
    const struct kvpbus_scan *store = &rig->sides[side].store;
    size_t count = 0;
    unsigned slot;
    for (size_t i = 0; i < store->count; i++)
        count += kvpbus_key_parse("kvpbus", store->items[i].key, &slot) == kind;
    return count;
}

// --- the journal of arrays ---

static void make_sync(const struct rig_side *side, const struct rig_side *peer,
                      struct kvpbus_sync *sync)
{
    memset(sync, 0, sizeof *sync);
    memcpy(sync->timeline, side->identity, sizeof sync->timeline);
    memcpy(sync->peer_timeline, peer->identity, sizeof sync->peer_timeline);
    for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++) {
        sync->classes[class_].next = side->next[class_];
        while (side->received[class_][sync->classes[class_].floor + 1].complete)
            sync->classes[class_].floor++;
    }
}

static void take_fragment(struct rig_side *side, const struct kvpbus_fragment *fragment)
{
    cr_assert_lt(fragment->number, RIG_BUNDLES);
    struct rig_bundle *bundle = &side->received[fragment->class_][fragment->number];
    if (bundle->bytes == NULL) {
        bundle->bytes = calloc(1, 1 << 20);
        bundle->held = calloc(1, 1 << 20);
    }
    if (fragment->first)
        bundle->total = fragment->total;
    memcpy(bundle->bytes + fragment->offset, fragment->data, fragment->length);
    memset(bundle->held + fragment->offset, 1, fragment->length);
    bundle->complete = bundle->total > 0 && memchr(bundle->held, 0, bundle->total) == NULL;
}

static void take_packet(struct rig *rig, struct rig_side *side, struct kvpbus_link_packet *packet)
{
    if (side->commit_error != KVPBUS_OK) {
        kvpbus_link_refused(side->link, packet->session, packet->number,
                            side->commit_error == KVPBUS_BAD_PACKET, rig->now);
        free(packet);
        return;
    }
    for (size_t i = 0; i < packet->fragment_count; i++)
        take_fragment(side, &packet->fragments[i]);
    for (size_t i = 0; i < packet->gap_count; i++) {
        struct kvpbus_gap_answer answer = {
            packet->gaps[i].class_, packet->gaps[i].number, 0, {0}, {KVPBUS_ANSWER_VOID}};
        side->received[answer.class_][answer.number].complete = true;
        side->to_answer = answer;
        side->has_gap = true;
    }
    for (size_t i = 0; i < packet->answer_count; i++) {
        side->last_answer = packet->answers[i];
        side->has_answer = true;
    }
    kvpbus_link_committed(side->link, packet->session, packet->number, rig->now);
    free(packet);
}

static void supply(struct rig_side *side, const struct kvpbus_link_want *want)
{
    const struct rig_bundle *bundle = &side->sent[want->class_][want->number];
    cr_assert_leq(want->offset + want->length, bundle->total);
    cr_assert_eq(kvpbus_link_supply(side->link, want, bundle->bytes + want->offset), KVPBUS_OK);
}

static void feed(struct rig_side *side)
{
    if (!side->feeding)
        return;
    if (side->has_gap && kvpbus_link_answer(side->link, &side->to_answer) == KVPBUS_OK)
        side->has_gap = false;
    for (int class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
        for (uint64_t number = 1; number < side->next[class_]; number++) {
            struct rig_bundle *bundle = &side->sent[class_][number];
            if (bundle->delivered || bundle->offered ||
                !kvpbus_link_accepts(side->link, (enum kvpbus_class)class_))
                continue;
            struct kvpbus_sealed sealed = {
                .class_ = (enum kvpbus_class)class_, .number = number, .length = bundle->total};
            size_t length = bundle->total < KVPBUS_LINK_CHUNK ? bundle->total : KVPBUS_LINK_CHUNK;
            bundle->offered =
                kvpbus_link_offer(side->link, &sealed, 0, bundle->bytes, length) == KVPBUS_OK;
        }
}

static void take_sync(struct rig *rig, struct rig_side *side, const struct kvpbus_link_event *event)
{
    for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
        for (uint64_t number = 1; number < side->next[class_]; number++) {
            struct rig_bundle *bundle = &side->sent[class_][number];
            bundle->offered = false;
            bundle->delivered |= number <= event->sync.classes[class_].floor;
        }
    kvpbus_link_sync_done(side->link, event->session, true, rig->now);
    side->feeding = true;
}

static void remember(uint8_t (*epochs)[KVPBUS_EPOCH_BYTES], size_t *count, const uint8_t *epoch)
{
    cr_assert_lt(*count, KVPBUS_EPOCHS_KEPT);
    memcpy(epochs[(*count)++], epoch, KVPBUS_EPOCH_BYTES);
}

static void give_sync(struct rig *rig, struct rig_side *side, const struct rig_side *peer,
                      uint32_t session)
{
    const uint64_t room[KVPBUS_CLASS_COUNT] = {side->room, side->room, side->room};
    struct kvpbus_sync sync;
    side->feeding = false;
    side->session = session;
    make_sync(side, peer, &sync);
    kvpbus_link_room(side->link, room);
    kvpbus_link_sync_ready(side->link, session, &sync, rig->now);
}

static void take_pending(struct rig_side *side, const struct kvpbus_link_event *event)
{
    memcpy(side->pending, event->identity, sizeof side->pending);
    memcpy(side->pending_epoch, event->epoch, sizeof side->pending_epoch);
    memcpy(side->extensions, event->extensions.bytes, event->extensions.length);
    side->extensions_length = event->extensions.length;
    side->pendings++;
    side->has_pending = true;
}

static void take_event(struct rig *rig, int which, struct kvpbus_link_event *event)
{
    struct rig_side *side = &rig->sides[which], *peer = &rig->sides[1 - which];
    switch (event->kind) {
    case KVPBUS_LINK_NEW_EPOCH:
        remember(side->epochs, &side->epoch_count, event->epoch);
        kvpbus_link_epoch_recorded(side->link, event->epoch, rig->now);
        break;
    case KVPBUS_LINK_AGREED:
    case KVPBUS_LINK_RETIRED:
        remember(side->retired, &side->retired_count, event->epoch);
        break;
    case KVPBUS_LINK_NEEDS_SYNC:
        give_sync(rig, side, peer, event->session);
        break;
    case KVPBUS_LINK_SYNC:
        take_sync(rig, side, event);
        break;
    case KVPBUS_LINK_PACKET:
        take_packet(rig, side, event->packet);
        break;
    case KVPBUS_LINK_WANT:
        supply(side, &event->want);
        break;
    case KVPBUS_LINK_DELIVERED:
        side->sent[event->done.class_][event->done.number].delivered = true;
        break;
    case KVPBUS_LINK_PENDING:
        take_pending(side, event);
        break;
    case KVPBUS_LINK_REBOUND:
        side->rebound++;
        kvpbus_link_pin(side->link, peer->identity, event->vm, rig->now);
        break;
    case KVPBUS_LINK_ROTATED:
        side->rotated++;
        kvpbus_link_pin(side->link, event->identity, rig->vm, rig->now);
        break;
    case KVPBUS_LINK_WENT_BACK:
        side->went_back++;
        break;
    case KVPBUS_LINK_ALARM:
        side->alarms++;
        break;
    case KVPBUS_LINK_SECOND_WRITER:
        side->second_writers++;
        break;
    case KVPBUS_LINK_CHANGED:
        break;
    }
}

static void drain(struct rig *rig, int which)
{
    struct kvpbus_link_event event;
    while (kvpbus_link_next_event(rig->sides[which].link, &event))
        take_event(rig, which, &event);
    feed(&rig->sides[which]);
}

// --- carrying out ---

static void write_store(struct rig *rig, int which)
{
    struct rig_side *side = &rig->sides[which];
    const struct kvpbus_change *changes;
    enum kvpbus_error results[KVPBUS_LINK_KEYS];
    size_t count = kvpbus_link_write(side->link, &changes, rig->now);
    if (count == 0)
        return;
    drain(rig, which);
    side->writes++;
    for (size_t i = 0; i < count; i++) {
        results[i] = side->write_error;
        side->items++;
        if (side->write_error != KVPBUS_OK || side->lose_writes)
            continue;
        char value[KVPBUS_VALUE_MAX + 1];
        if (changes[i].value != NULL) {
            strcpy(value, changes[i].value);
            if (side->cut > 0 && strlen(value) > side->cut)
                value[side->cut] = '\0';
        }
        rig_put(rig, which, changes[i].key, changes[i].value == NULL ? NULL : value);
    }
    kvpbus_link_write_done(side->link, results, rig->now);
    drain(rig, which);
}

static void turn(struct rig *rig, int which)
{
    struct rig_side *side = &rig->sides[which];
    kvpbus_link_tick(side->link, rig->now);
    drain(rig, which);
    if (kvpbus_link_wants_own_scan(side->link)) {
        kvpbus_link_scan_own(side->link, &side->store, rig->now);
        drain(rig, which);
    }
    if (!side->deaf && rig->now >= rig->next_poll[which]) {
        rig->next_poll[which] = rig->now + rig->poll_ms;
        side->polls++;
        kvpbus_link_scan_peer(side->link, &rig->sides[1 - which].store, rig->now);
        drain(rig, which);
    }
    write_store(rig, which);
}

static void step(struct rig *rig)
{
    rig->now += 50;
    turn(rig, RIG_HOST);
    turn(rig, RIG_GUEST);
}

void rig_run(struct rig *rig, uint64_t ms)
{
    for (uint64_t end = rig->now + ms; rig->now < end;)
        step(rig);
}

enum kvpbus_link_state rig_state(const struct rig *rig, int side)
{
    struct kvpbus_link_status status;
    kvpbus_link_status(rig->sides[side].link, &status);
    return status.state;
}

bool rig_until_live(struct rig *rig, uint64_t limit)
{
    for (uint64_t end = rig->now + limit; rig->now < end; step(rig))
        if (rig_state(rig, RIG_HOST) == KVPBUS_LINK_LIVE &&
            rig_state(rig, RIG_GUEST) == KVPBUS_LINK_LIVE)
            return true;
    return false;
}

static bool all_delivered(const struct rig *rig)
{
    for (int which = 0; which < 2; which++)
        for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
            for (uint64_t n = 1; n < rig->sides[which].next[class_]; n++) {
                const struct rig_bundle *sent = &rig->sides[which].sent[class_][n];
                const struct rig_bundle *got = &rig->sides[1 - which].received[class_][n];
                if (!sent->delivered)
                    return false;
                cr_assert(got->complete, "delivered, but not there");
                cr_assert(got->total == 0 || memcmp(got->bytes, sent->bytes, sent->total) == 0);
            }
    return true;
}

bool rig_until_delivered(struct rig *rig, uint64_t limit)
{
    for (uint64_t end = rig->now + limit; rig->now < end; step(rig))
        if (all_delivered(rig))
            return true;
    return false;
}

uint64_t rig_send(struct rig *rig, int side, enum kvpbus_class class_, uint32_t length)
{
    struct rig_side *from = &rig->sides[side];
    uint64_t number = from->next[class_]++;
    cr_assert_lt(number, RIG_BUNDLES - 1);
    struct rig_bundle *bundle = &from->sent[class_][number];
    bundle->bytes = malloc(length);
    bundle->total = length;
    randombytes_buf(bundle->bytes, length);
    return number;
}

// --- life ---

static void open_link(struct rig *rig, int which)
{
    struct rig_side *side = &rig->sides[which];
    struct kvpbus_link_options options = {
        .role = which == RIG_HOST ? KVPBUS_ROLE_HOST : KVPBUS_ROLE_GUEST,
        .prefix = "kvpbus",
        .ring_slots = KVPBUS_RING_MAX,
        .value_max = KVPBUS_VALUE_MAX,
        .bundle_max = 1 << 20,
        .own_epochs = (const uint8_t(*)[KVPBUS_EPOCH_BYTES])side->epochs,
        .own_epoch_count = side->epoch_count,
        .retired_epochs = (const uint8_t(*)[KVPBUS_EPOCH_BYTES])side->retired,
        .retired_epoch_count = side->retired_count,
        .random = draw,
    };
    memcpy(options.identity, side->identity, sizeof options.identity);
    memcpy(options.secret, side->secret, sizeof options.secret);
    if (which == RIG_HOST)
        memcpy(options.vm, rig->vm, sizeof options.vm);
    side->link = kvpbus_link_new(&options, rig->now);
    side->feeding = false;
    cr_assert_not_null(side->link);
    drain(rig, which);
}

void rig_pin(struct rig *rig, int side)
{
    kvpbus_link_pin(rig->sides[side].link, rig->sides[1 - side].identity, rig->vm, rig->now);
    drain(rig, side);
}

void rig_start(struct rig *rig, bool paired)
{
    cr_assert_geq(sodium_init(), 0);
    memset(rig, 0, sizeof *rig);
    rig->now = 1000;
    rig->poll_ms = 200;
    memset(rig->vm, 0x5a, sizeof rig->vm);
    for (int which = 0; which < 2; which++) {
        struct rig_side *side = &rig->sides[which];
        crypto_sign_keypair(side->identity, side->secret);
        side->room = 1 << 20;
        for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
            side->next[class_] = 1;
        open_link(rig, which);
    }
    if (paired) {
        rig_pin(rig, RIG_HOST);
        rig_pin(rig, RIG_GUEST);
    }
}

void rig_restart(struct rig *rig, int side)
{
    kvpbus_link_free(rig->sides[side].link);
    open_link(rig, side);
    rig_pin(rig, side);
}

void rig_stop(struct rig *rig)
{
    for (int which = 0; which < 2; which++) {
        struct rig_side *side = &rig->sides[which];
        kvpbus_link_free(side->link);
        kvpbus_scan_free(&side->store);
        for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
            for (size_t n = 0; n < RIG_BUNDLES; n++) {
                free(side->sent[class_][n].bytes);
                free(side->received[class_][n].bytes);
                free(side->received[class_][n].held);
            }
    }
}
