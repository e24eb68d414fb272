// SPDX-License-Identifier: Apache-2.0
//
// Bundles under way: which bytes go next, and which the peer has.
#include <stdlib.h>

#include "link_internal.h"

static struct outgoing *find(const struct kvpbus_link *link, enum kvpbus_class class_,
                             uint64_t number)
{
    struct outgoing *bundle = link->sender.bundles[class_][number % KVPBUS_BUNDLE_WINDOW];
    return bundle != NULL && bundle->number == number ? bundle : NULL;
}

static void forget(struct kvpbus_link *link, struct outgoing *bundle)
{
    link->sender.bundles[bundle->class_][bundle->number % KVPBUS_BUNDLE_WINDOW] = NULL;
    free(bundle);
}

void bundle_forget_all(struct kvpbus_link *link)
{
    for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
        for (size_t i = 0; i < KVPBUS_BUNDLE_WINDOW; i++) {
            free(link->sender.bundles[class_][i]);
            link->sender.bundles[class_][i] = NULL;
        }
}

bool kvpbus_link_accepts(const struct kvpbus_link *link, enum kvpbus_class class_)
{
    if (!link->synced || link->suspended)
        return false;
    // Large bundles one after the other: what waits behind is sealed as late as possible, so that
    // more messages share one bundle.
    uint64_t unsent = 0;
    size_t under_way = 0;
    for (size_t i = 0; i < KVPBUS_BUNDLE_WINDOW; i++) {
        const struct outgoing *bundle = link->sender.bundles[class_][i];
        if (bundle == NULL)
            continue;
        under_way++;
        unsent += bundle->total - bundle->sent;
    }
    return under_way < KVPBUS_BUNDLE_WINDOW && unsent < KVPBUS_LINK_CHUNK;
}

enum kvpbus_error kvpbus_link_offer(struct kvpbus_link *link, const struct kvpbus_sealed *sealed,
                                    uint32_t held, const uint8_t *data, size_t length)
{
    assert(held < sealed->length && length <= KVPBUS_LINK_CHUNK && length <= sealed->length - held);
    struct outgoing **place =
        &link->sender.bundles[sealed->class_][sealed->number % KVPBUS_BUNDLE_WINDOW];
    if (*place != NULL)
        return KVPBUS_BUSY;
    struct outgoing *bundle = calloc(1, sizeof *bundle);
    if (bundle == NULL)
        return KVPBUS_NOMEM;
    bundle->class_ = sealed->class_;
    bundle->number = sealed->number;
    bundle->total = sealed->length;
    bundle->sent = bundle->acknowledged = bundle->buffer_start = held;
    bundle->begun = held > 0;
    bundle->buffer_length = (uint32_t)length;
    bundle->wanted_to = held + (uint32_t)length;
    memcpy(bundle->buffer, data, length);
    *place = bundle;
    link->sender.idle_since = NEVER;
    return KVPBUS_OK;
}

static void read_ahead(struct kvpbus_link *link, struct outgoing *bundle)
{
    static const uint32_t least = KVPBUS_LINK_CHUNK / 4; // a job of the journal is worth that
    static_assert(KVPBUS_LINK_CHUNK - KVPBUS_LINK_CHUNK / 4 >=
                      KVPBUS_LINK_WINDOW * KVPBUS_PLAIN_MAX,
                  "what is left without asking fills a window");
    uint32_t buffered_to = bundle->buffer_start + bundle->buffer_length;
    uint32_t length = bundle->total - buffered_to;
    uint32_t room = KVPBUS_LINK_CHUNK - (buffered_to - bundle->sent);
    if (bundle->wanted_to != buffered_to || length == 0 || room < least)
        return;
    if (length > room)
        length = room;
    bundle->wanted_to = buffered_to + length;
    struct kvpbus_link_event *event = link_event(link, KVPBUS_LINK_WANT);
    event->want = (struct kvpbus_link_want){
        .session = link->session,
        .class_ = bundle->class_,
        .number = bundle->number,
        .offset = buffered_to,
        .length = length,
    };
}

void bundle_read_ahead(struct kvpbus_link *link)
{
    for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
        for (size_t i = 0; i < KVPBUS_BUNDLE_WINDOW; i++)
            if (link->sender.bundles[class_][i] != NULL)
                read_ahead(link, link->sender.bundles[class_][i]);
}

enum kvpbus_error kvpbus_link_supply(struct kvpbus_link *link, const struct kvpbus_link_want *want,
                                     const uint8_t *data)
{
    struct outgoing *bundle = find(link, want->class_, want->number);
    if (bundle == NULL || want->session != link->session)
        return KVPBUS_NOT_FOUND;
    if (want->offset != bundle->buffer_start + bundle->buffer_length)
        return KVPBUS_INVALID_ARGUMENT;
    uint32_t used = bundle->sent - bundle->buffer_start;
    assert(used <= bundle->buffer_length);
    memmove(bundle->buffer, bundle->buffer + used, bundle->buffer_length - used);
    bundle->buffer_start += used;
    bundle->buffer_length -= used;
    assert(want->length <= sizeof bundle->buffer - bundle->buffer_length);
    memcpy(bundle->buffer + bundle->buffer_length, data, want->length);
    bundle->buffer_length += want->length;
    return KVPBUS_OK;
}

static bool has_bytes(const struct outgoing *bundle)
{
    return bundle != NULL && bundle->sent < bundle->total &&
           bundle->sent < bundle->buffer_start + bundle->buffer_length;
}

static bool has_credit(const struct sender *sender, const struct outgoing *bundle)
{
    uint64_t credit = sender->credit[bundle->class_], begun = sender->begun[bundle->class_];
    return bundle->begun || (credit > begun && bundle->total <= credit - begun);
}

bool bundle_waits_for_credit(const struct kvpbus_link *link)
{
    for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
        for (size_t i = 0; i < KVPBUS_BUNDLE_WINDOW; i++) {
            const struct outgoing *bundle = link->sender.bundles[class_][i];
            if (has_bytes(bundle) && !has_credit(&link->sender, bundle))
                return true;
        }
    return false;
}

bool bundle_next(struct kvpbus_link *link, enum kvpbus_class class_,
                 struct kvpbus_fragment *fragment, struct outgoing **from)
{
    struct sender *sender = &link->sender;
    for (unsigned i = 0; i < KVPBUS_BUNDLE_WINDOW; i++) {
        unsigned turn = (sender->turn[class_] + i) % KVPBUS_BUNDLE_WINDOW;
        struct outgoing *bundle = sender->bundles[class_][turn];
        if (!has_bytes(bundle) || !has_credit(sender, bundle))
            continue;
        sender->turn[class_] = turn;
        *from = bundle;
        uint32_t skip = bundle->sent - bundle->buffer_start;
        *fragment = (struct kvpbus_fragment){
            .class_ = class_,
            .number = bundle->number,
            .first = bundle->sent == 0,
            .total = bundle->total,
            .offset = bundle->sent,
            .data = bundle->buffer + skip,
            .length = bundle->buffer_length - skip,
        };
        return true;
    }
    return false;
}

void bundle_sent(struct kvpbus_link *link, struct outgoing *bundle, size_t bytes)
{
    struct sender *sender = &link->sender;
    if (!bundle->begun) {
        bundle->begun = true;
        sender->begun[bundle->class_] += bundle->total;
    }
    bundle->sent += (uint32_t)bytes;
    assert(bundle->sent <= bundle->buffer_start + bundle->buffer_length);
    // A packet each in turn, so that a small bundle does not wait for a large one.
    sender->turn[bundle->class_] = (sender->turn[bundle->class_] + 1) % KVPBUS_BUNDLE_WINDOW;
}

void bundle_acknowledged(struct kvpbus_link *link, const struct piece *piece)
{
    struct outgoing *bundle = find(link, piece->class_, piece->number);
    if (bundle == NULL)
        return; // answered by a gap meanwhile
    bundle->acknowledged += piece->bytes;
    assert(bundle->acknowledged <= bundle->sent);
    if (bundle->acknowledged < bundle->total)
        return;
    struct kvpbus_link_event *event = link_event(link, KVPBUS_LINK_DELIVERED);
    event->done.class_ = bundle->class_;
    event->done.number = bundle->number;
    forget(link, bundle);
}

bool kvpbus_link_takes_gap(const struct kvpbus_link *link)
{
    return link->synced && link->sender.gap_count < FRAMES_QUEUED_MAX;
}

enum kvpbus_error kvpbus_link_gap(struct kvpbus_link *link, const struct kvpbus_gap *gap)
{
    struct sender *sender = &link->sender;
    if (!kvpbus_link_takes_gap(link))
        return KVPBUS_BUSY;
    sender->gaps[sender->gap_count++] = *gap;
    sender->idle_since = NEVER;
    if (gap->count == 0)
        kvpbus_link_answered(link, gap->class_, gap->number);
    return KVPBUS_OK;
}

void kvpbus_link_answered(struct kvpbus_link *link, enum kvpbus_class class_, uint64_t number)
{
    struct outgoing *bundle = find(link, class_, number);
    if (bundle != NULL)
        forget(link, bundle);
}

enum kvpbus_error kvpbus_link_answer(struct kvpbus_link *link,
                                     const struct kvpbus_gap_answer *answer)
{
    struct sender *sender = &link->sender;
    if (!link->synced || sender->answer_count == FRAMES_QUEUED_MAX)
        return KVPBUS_BUSY;
    sender->answers[sender->answer_count++] = *answer;
    sender->idle_since = NEVER;
    return KVPBUS_OK;
}
