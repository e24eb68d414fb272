// SPDX-License-Identifier: Apache-2.0
//
// Which store is read or written next. Polling is fast while something is in flight and slow at
// rest.
#include "bus_internal.h"

enum {
    // Records in a peer's store, ours included, that are more than anybody needs: 4 times ours, and
    // what cloud-init leaves there.
    STUFFED_RECORDS = 1024,
    STUFFED_SHARE = 10, // such a store is read for a tenth of the time at most
};

static bool read_peer_due(const struct kvpbus_endpoint *endpoint)
{
    return !endpoint->reading_peer && endpoint->bus->now >= endpoint->poll_at;
}

bool kvpbus_bus_action(struct kvpbus_endpoint *endpoint, struct kvpbus_action *action)
{
    struct kvpbus_bus *bus = endpoint->bus;
    if (endpoint->link == NULL || endpoint->suspended || endpoint->held > 0)
        return false;
    bus_drain(endpoint);
    action->endpoint = endpoint;
    // A write and a read of the own store exclude each other: what such a read finds would not be
    // what the store holds afterwards.
    if (!endpoint->writing && !endpoint->reading_own) {
        action->count = kvpbus_link_write(endpoint->link, &action->changes, bus->now);
        if (action->count > 0) {
            action->kind = KVPBUS_ACTION_WRITE;
            endpoint->writing = true;
            bus_drain(endpoint);
            return true;
        }
        if (kvpbus_link_wants_own_scan(endpoint->link)) {
            action->kind = KVPBUS_ACTION_READ_OWN;
            endpoint->reading_own = true;
            return true;
        }
    }
    if (read_peer_due(endpoint)) {
        action->kind = KVPBUS_ACTION_READ_PEER;
        endpoint->reading_peer = true;
        endpoint->poll_began = endpoint->bus->now;
        return true;
    }
    return false;
}

// A guest is told by notices when an acknowledgement comes; a host has to look.
static uint64_t until_poll(const struct kvpbus_endpoint *endpoint)
{
    const struct kvpbus_bus *bus = endpoint->bus;
    bool often =
        bus->options.role == KVPBUS_ROLE_HOST && kvpbus_link_transfers(endpoint->link, bus->now);
    return often ? endpoint->poll_interval / POLL_TRANSFER : endpoint->poll_interval;
}

// In which the items that are coming have come, or a good part of them.
static uint64_t gather_time(const struct kvpbus_endpoint *endpoint)
{
    uint64_t time = endpoint->notice_spacing * NOTICE_ITEMS / NOTICE_UNIT;
    if (time < NOTICE_LEAST)
        return NOTICE_LEAST;
    return time < NOTICE_MOST ? time : NOTICE_MOST;
}

static uint64_t least_interval(const struct kvpbus_endpoint *endpoint)
{
    uint64_t time = gather_time(endpoint);
    return time > POLL_LEAST ? time : POLL_LEAST;
}

// All that rest are looked at together, so that one query serves them.
static uint64_t at_rest(const struct kvpbus_bus *bus)
{
    return (bus->now / bus->options.poll_slow_ms + 1) * bus->options.poll_slow_ms;
}

// What was planned by longer times comes by these.
void kvpbus_bus_polling(struct kvpbus_bus *bus, uint32_t fast_ms, uint32_t slow_ms)
{
    uint32_t slow = bus->options.role == KVPBUS_ROLE_HOST ? POLL_SLOW_HOST : POLL_SLOW_GUEST;
    bus->options.poll_fast_ms = fast_ms != 0 ? fast_ms : POLL_FAST;
    bus->options.poll_slow_ms = slow_ms != 0 ? slow_ms : slow;
    for (size_t i = 0; i < bus->endpoint_count; i++) {
        struct kvpbus_endpoint *endpoint = bus->endpoints[i];
        if (!endpoint->stuffed && endpoint->poll_at > at_rest(bus))
            endpoint->poll_at = at_rest(bus);
    }
}

// At once after news, then more and more rarely; never so often that reading is all that is done.
static void plan_poll(struct kvpbus_endpoint *endpoint, enum kvpbus_error error)
{
    const struct kvpbus_bus *bus = endpoint->bus;
    uint64_t took = bus->now - endpoint->poll_began, least = least_interval(endpoint);
    if (endpoint->stuffed || error != KVPBUS_OK || !kvpbus_link_active(endpoint->link, bus->now)) {
        endpoint->poll_at = at_rest(bus);
        if (endpoint->stuffed && endpoint->poll_at < bus->now + STUFFED_SHARE * took)
            endpoint->poll_at = bus->now + STUFFED_SHARE * took;
        return;
    }
    bool news = kvpbus_link_news(endpoint->link) >= endpoint->poll_began;
    endpoint->poll_interval = news ? least : 2 * endpoint->poll_interval;
    if (endpoint->poll_interval < least)
        endpoint->poll_interval = least;
    if (endpoint->poll_interval > bus->options.poll_fast_ms)
        endpoint->poll_interval = bus->options.poll_fast_ms;
    uint64_t wait = until_poll(endpoint);
    endpoint->poll_at = bus->now + (wait > took ? wait : took);
}

static void plan_gathered(struct kvpbus_endpoint *endpoint)
{
    uint64_t at = endpoint->bus->now + gather_time(endpoint);
    if (at < endpoint->poll_at)
        endpoint->poll_at = at;
}

static void take_scan(struct kvpbus_endpoint *endpoint, const struct kvpbus_scan *scan)
{
    // A guest is told by notices, and whoever fills its store is its own administrator.
    endpoint->stuffed = endpoint->bus->options.role == KVPBUS_ROLE_HOST &&
                        scan->count + scan->foreign + scan->skipped > STUFFED_RECORDS;
    uint64_t packets = endpoint->packets;
    kvpbus_link_scan_peer(endpoint->link, scan, endpoint->bus->now);
    bus_drain(endpoint);
    // Packets can be gathered; what waits for an acknowledgement waits for one item.
    if (endpoint->packets == packets)
        endpoint->notice_spacing = 0;
}

void kvpbus_bus_read_done(struct kvpbus_endpoint *endpoint, enum kvpbus_action_kind kind,
                          enum kvpbus_error error, const struct kvpbus_scan *scan,
                          const struct kvpbus_failure *failure)
{
    struct kvpbus_bus *bus = endpoint->bus;
    bool own = kind == KVPBUS_ACTION_READ_OWN;
    assert(own ? endpoint->reading_own : endpoint->reading_peer);
    if (error != KVPBUS_OK && error != endpoint->read_error && failure != NULL)
        bus_event(endpoint, KVPBUS_EVENT_ALARM, failure->detail);
    endpoint->read_error = error;
    if (own) {
        endpoint->reading_own = false;
        if (error == KVPBUS_OK)
            kvpbus_link_scan_own(endpoint->link, scan, bus->now);
        else
            kvpbus_link_own_scan_failed(endpoint->link, bus->now);
    } else {
        endpoint->reading_peer = false;
        if (error == KVPBUS_OK)
            take_scan(endpoint, scan);
        plan_poll(endpoint, error);
        if (endpoint->noticed)
            plan_gathered(endpoint);
        endpoint->noticed = false;
    }
    bus_drain(endpoint);
}

void kvpbus_bus_write_done(struct kvpbus_endpoint *endpoint, const enum kvpbus_error *results,
                           const struct kvpbus_failure *failure)
{
    struct kvpbus_bus *bus = endpoint->bus;
    assert(endpoint->writing);
    endpoint->writing = false;
    if (failure != NULL && failure->code != KVPBUS_OK)
        bus_event(endpoint, KVPBUS_EVENT_ALARM, failure->detail);
    kvpbus_link_write_done(endpoint->link, results, bus->now);
    // An answer may come soon now.
    if (!endpoint->stuffed && kvpbus_link_active(endpoint->link, bus->now)) {
        endpoint->poll_interval = least_interval(endpoint);
        if (bus->now + until_poll(endpoint) < endpoint->poll_at)
            endpoint->poll_at = bus->now + until_poll(endpoint);
    }
    bus_drain(endpoint);
}

bool kvpbus_endpoint_stuffed(const struct kvpbus_endpoint *endpoint)
{
    return endpoint->stuffed;
}

void kvpbus_endpoint_hold(struct kvpbus_endpoint *endpoint)
{
    endpoint->held++;
}

bool kvpbus_endpoint_quiet(const struct kvpbus_endpoint *endpoint)
{
    return !endpoint->reading_peer && !endpoint->reading_own && !endpoint->writing &&
           !endpoint->taken;
}

void kvpbus_endpoint_take(struct kvpbus_endpoint *endpoint)
{
    assert(endpoint->held > 0 && kvpbus_endpoint_quiet(endpoint));
    endpoint->taken = true;
}

void kvpbus_endpoint_release(struct kvpbus_endpoint *endpoint)
{
    assert(endpoint->held > 0 && endpoint->taken);
    endpoint->taken = false;
    endpoint->held--;
}

void kvpbus_bus_notice(struct kvpbus_endpoint *endpoint)
{
    uint64_t now = endpoint->bus->now, gap = now - endpoint->noticed_at;
    endpoint->noticed_at = now;
    endpoint->notice_spacing =
        gap <= NOTICE_ROW ? (3 * endpoint->notice_spacing + gap * NOTICE_UNIT) / 4 : 0;
    endpoint->noticed = endpoint->reading_peer; // that read may have been too early
    plan_gathered(endpoint);
}
