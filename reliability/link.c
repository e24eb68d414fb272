// SPDX-License-Identifier: Apache-2.0
#include "link.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "link_internal.h"

const char *kvpbus_link_state_name(enum kvpbus_link_state state)
{
    static const char *const names[] = {
        [KVPBUS_LINK_ALONE] = "alone",         [KVPBUS_LINK_UNPAIRED] = "unpaired",
        [KVPBUS_LINK_GREETING] = "greeting",   [KVPBUS_LINK_PROVING] = "proving",
        [KVPBUS_LINK_SYNCING] = "syncing",     [KVPBUS_LINK_LIVE] = "live",
        [KVPBUS_LINK_SUSPENDED] = "suspended", [KVPBUS_LINK_STOPPED] = "stopped",
    };
    assert((size_t)state < sizeof names / sizeof *names);
    return names[state];
}

void link_digest(const void *bytes, size_t length, uint8_t digest[DIGEST])
{
    crypto_generichash(digest, DIGEST, bytes, length, NULL, 0);
}

// --- events ---

struct kvpbus_link_event *link_event(struct kvpbus_link *link, enum kvpbus_link_event_kind kind)
{
    // Bounded by construction: packets by the window, wants and deliveries by the bundles.
    assert(link->event_count < EVENTS_MAX);
    size_t at = (link->event_head + link->event_count++) % EVENTS_MAX;
    struct kvpbus_link_event *event = &link->events[at];
    memset(event, 0, sizeof *event);
    event->kind = kind;
    return event;
}

void link_say(struct kvpbus_link *link, enum kvpbus_link_event_kind kind, const char *format, ...)
{
    char text[sizeof link->trouble];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (kind != KVPBUS_LINK_CHANGED)
        memcpy(link->trouble, text, sizeof text);
    if (link->event_count >= EVENTS_MAX / 2)
        return; // words for people may be lost, nothing else
    memcpy(link_event(link, kind)->text, text, sizeof text);
}

bool kvpbus_link_next_event(struct kvpbus_link *link, struct kvpbus_link_event *event)
{
    while (link->event_count > 0) {
        *event = link->events[link->event_head];
        link->event_head = (link->event_head + 1) % EVENTS_MAX;
        link->event_count--;
        if (event->kind == KVPBUS_LINK_PACKET &&
            (event->session != link->session || !link->handshake.keyed)) {
            free(event->packet); // of a session that has ended: it will come again
            continue;
        }
        return true;
    }
    return false;
}

// --- life ---

static_assert(sizeof(struct kvpbus_link) +
                      KVPBUS_CLASS_COUNT * KVPBUS_BUNDLE_WINDOW * sizeof(struct outgoing) +
                      KVPBUS_LINK_WINDOW * sizeof(struct kvpbus_link_packet) +
                      (KVPBUS_RING_MAX + 2) * (KVPBUS_KEY_MAX + KVPBUS_VALUE_MAX + 2) <=
                  2 * 1024 * 1024,
              "what link.h and docs/architecture.md say");

struct kvpbus_link *kvpbus_link_new(const struct kvpbus_link_options *options, uint64_t now)
{
    assert(kvpbus_prefix_valid(options->prefix));
    assert(options->ring_slots >= 1 && options->ring_slots <= KVPBUS_RING_MAX);
    assert(options->value_max >= KVPBUS_VALUE_MIN && options->value_max <= KVPBUS_VALUE_MAX);
    struct kvpbus_link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return NULL;
    link->options = *options;
    snprintf(link->prefix, sizeof link->prefix, "%s", options->prefix);
    link->options.prefix = link->prefix;
    link->now = now;
    link->value_max = options->value_max;
    store_start(link);
    if (link->store.keys == NULL || link->store.values == NULL) {
        kvpbus_link_free(link);
        return NULL;
    }
    sender_reset(link);
    receiver_reset(link);
    handshake_start(link);
    link->options.own_epochs = link->options.retired_epochs = NULL; // copied
    return link;
}

void kvpbus_link_free(struct kvpbus_link *link)
{
    if (link == NULL)
        return;
    for (struct kvpbus_link_event event; kvpbus_link_next_event(link, &event);)
        if (event.kind == KVPBUS_LINK_PACKET)
            free(event.packet);
    sender_free(link);
    store_free(link);
    sodium_memzero(link, sizeof *link);
    free(link);
}

void kvpbus_link_pin(struct kvpbus_link *link, const uint8_t *identity,
                     const uint8_t vm[KVPBUS_VM_ID_BYTES], uint64_t now)
{
    struct handshake *shake = &link->handshake;
    link->now = now;
    bool same = link->paired == (identity != NULL) &&
                (identity == NULL || memcmp(identity, link->pinned, sizeof link->pinned) == 0) &&
                (link->options.role == KVPBUS_ROLE_HOST ||
                 memcmp(vm, link->pinned_vm, sizeof link->pinned_vm) == 0);
    if (same)
        return;
    link->paired = identity != NULL;
    if (identity != NULL)
        memcpy(link->pinned, identity, sizeof link->pinned);
    if (link->options.role == KVPBUS_ROLE_GUEST)
        memcpy(link->pinned_vm, vm, sizeof link->pinned_vm);
    shake->has_peer = shake->has_pending = shake->has_follower = shake->rebound = shake->peer_seen =
        false;
    memset(shake->last_digest, 0, DIGEST);
    shake->look_again = 0;
    link->trouble[0] = '\0';
    handshake_renew(link, KVPBUS_LINK_CHANGED, identity != NULL ? "paired" : "no longer paired");
}

void kvpbus_link_suspend(struct kvpbus_link *link, bool suspended, uint64_t now)
{
    link->now = now;
    if (link->suspended == suspended)
        return;
    link->suspended = suspended;
    if (!suspended) {
        // The time away says nothing about the channel.
        for (size_t i = 0; i < KVPBUS_LINK_WINDOW; i++)
            link->sender.packets[i].last_written = now;
        link->sender.backoff = 0;
        link->store.scan_wanted = true;
        link->store.write_after = 0;
        link->last_news = now;
    }
    link_report_state(link);
}

// --- time ---

void kvpbus_link_tick(struct kvpbus_link *link, uint64_t now)
{
    link->now = now;
    if (link->suspended || link->stopped)
        return;
    handshake_tick(link);
    if (link->handshake.keyed) {
        sender_tick(link);
        receiver_tick(link);
    }
    link_report_state(link);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t kvpbus_link_deadline(const struct kvpbus_link *link)
{
    if (link->suspended || link->stopped)
        return NEVER;
    uint64_t deadline = earlier(handshake_deadline(link), store_deadline(link));
    if (link->handshake.keyed)
        deadline = earlier(deadline, earlier(sender_deadline(link), receiver_deadline(link)));
    return deadline;
}

bool kvpbus_link_active(const struct kvpbus_link *link, uint64_t now)
{
    if (link->suspended || link->stopped)
        return false;
    if (link->handshake.keyed && !sender_idle(link))
        return true;
    return (link->handshake.has_peer && !link->synced) || now < link->last_news + ACTIVE_AFTER;
}

uint64_t kvpbus_link_news(const struct kvpbus_link *link)
{
    return link->last_news;
}

// --- status ---

static enum kvpbus_link_state state_of(const struct kvpbus_link *link)
{
    const struct handshake *shake = &link->handshake;
    if (link->stopped)
        return KVPBUS_LINK_STOPPED;
    if (link->suspended)
        return KVPBUS_LINK_SUSPENDED;
    if (!shake->has_peer || shake->stranger)
        return shake->peer_seen ? KVPBUS_LINK_UNPAIRED : KVPBUS_LINK_ALONE;
    if (!shake->keyed)
        return KVPBUS_LINK_GREETING;
    if (!shake->proven)
        return KVPBUS_LINK_PROVING;
    return link->synced ? KVPBUS_LINK_LIVE : KVPBUS_LINK_SYNCING;
}

void link_report_state(struct kvpbus_link *link)
{
    enum kvpbus_link_state state = state_of(link);
    if (state == link->reported)
        return;
    link->reported = state;
    if (state == KVPBUS_LINK_LIVE)
        link->trouble[0] = '\0';
    link_say(link, KVPBUS_LINK_CHANGED, "the link is %s", kvpbus_link_state_name(state));
}

void link_agree(struct kvpbus_link *link)
{
    if (link->synced || !link->own_sync_done || !link->peer_sync_done)
        return;
    link->synced = true;
    link_event(link, KVPBUS_LINK_AGREED)->session = link->session;
}

static void explain(const struct kvpbus_link *link, struct kvpbus_link_status *status)
{
    static const char *const texts[] = {
        [KVPBUS_LINK_ALONE] = "waiting for the other side to start: nothing of it has been seen",
        [KVPBUS_LINK_UNPAIRED] = "the other side is there; pair it to go on",
        [KVPBUS_LINK_GREETING] = "showing each other who we are",
        [KVPBUS_LINK_PROVING] = "waiting for the first item under the session's keys",
        [KVPBUS_LINK_SYNCING] = "comparing what each side holds",
        [KVPBUS_LINK_LIVE] = "everything is delivered",
        [KVPBUS_LINK_SUSPENDED] = "nothing can be exchanged now",
        [KVPBUS_LINK_STOPPED] = "stopped",
    };
    if (link->trouble[0] != '\0')
        snprintf(status->why, sizeof status->why, "%s", link->trouble);
    else if (status->state == KVPBUS_LINK_ALONE && link->counters.bad_items > 0)
        snprintf(status->why, sizeof status->why,
                 "what stands in its store is not to be believed: an agent of another version, or "
                 "another program writes keys of %s.*",
                 link->prefix);
    else if (status->state == KVPBUS_LINK_LIVE && link->store.last_error != KVPBUS_OK)
        snprintf(status->why, sizeof status->why, "writing fails: %s",
                 kvpbus_error_text(link->store.last_error));
    else if (status->state == KVPBUS_LINK_LIVE && status->in_flight > 0)
        snprintf(status->why, sizeof status->why, "%u packet%s wait%s for acknowledgement",
                 status->in_flight, status->in_flight == 1 ? "" : "s",
                 status->in_flight == 1 ? "s" : "");
    else
        snprintf(status->why, sizeof status->why, "%s", texts[status->state]);
}

void kvpbus_link_status(const struct kvpbus_link *link, struct kvpbus_link_status *status)
{
    const struct sender *sender = &link->sender;
    *status = link->counters;
    status->state = state_of(link);
    status->sent = sender->next - 1;
    status->acknowledged = sender->cumulative;
    status->received = link->receiver.cumulative;
    status->in_flight = (uint32_t)sender_in_flight(link);
    status->ring_limit = sender->ring_limit;
    status->ring_slots = link->options.ring_slots;
    status->value_max = link->value_max;
    status->round_trip_ms = sender->srtt;
    static_assert(KVPBUS_LINK_PROGRESS_MAX == KVPBUS_CLASS_COUNT * KVPBUS_BUNDLE_WINDOW,
                  "all that is under way has its place");
    status->progress_count = 0;
    for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
        for (size_t i = 0; i < KVPBUS_BUNDLE_WINDOW; i++) {
            const struct outgoing *bundle = sender->bundles[class_][i];
            if (bundle == NULL)
                continue;
            status->progress[status->progress_count++] = (struct kvpbus_link_progress){
                .class_ = bundle->class_,
                .number = bundle->number,
                .total = bundle->total,
                .acknowledged = bundle->acknowledged,
            };
        }
    explain(link, status);
}
