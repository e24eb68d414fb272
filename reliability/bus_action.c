// SPDX-License-Identifier: Apache-2.0
//
// Which store is read or written next. Polling is fast while something is in flight and slow at
// rest.
#include "bus_internal.h"

static bool read_peer_due(const struct kvpbus_endpoint *endpoint)
{
    return !endpoint->reading_peer && endpoint->bus->now >= endpoint->poll_at;
}

bool kvpbus_bus_action(struct kvpbus_endpoint *endpoint, struct kvpbus_action *action)
{
    struct kvpbus_bus *bus = endpoint->bus;
    if (endpoint->link == NULL || endpoint->suspended || endpoint->held)
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

// At once after news, then more and more rarely; never so often that reading is all that is done.
static void plan_poll(struct kvpbus_endpoint *endpoint, enum kvpbus_error error)
{
    const struct kvpbus_bus *bus = endpoint->bus;
    if (error != KVPBUS_OK || !kvpbus_link_active(endpoint->link, bus->now)) {
        endpoint->poll_at = bus->now + bus->options.poll_slow_ms;
        return;
    }
    uint64_t took = bus->now - endpoint->poll_began;
    bool news = kvpbus_link_news(endpoint->link) >= endpoint->poll_began;
    endpoint->poll_interval = news ? POLL_LEAST : 2 * endpoint->poll_interval;
    if (endpoint->poll_interval < POLL_LEAST)
        endpoint->poll_interval = POLL_LEAST;
    if (endpoint->poll_interval > bus->options.poll_fast_ms)
        endpoint->poll_interval = bus->options.poll_fast_ms;
    endpoint->poll_at =
        bus->now + (endpoint->poll_interval > took ? endpoint->poll_interval : took);
}

void kvpbus_bus_read_done(struct kvpbus_endpoint *endpoint, enum kvpbus_action_kind kind,
                          enum kvpbus_error error, const struct kvpbus_scan *scan,
                          const struct kvpbus_failure *failure)
{
    struct kvpbus_bus *bus = endpoint->bus;
    bool own = kind == KVPBUS_ACTION_READ_OWN;
    assert(own ? endpoint->reading_own : endpoint->reading_peer);
    if (error != KVPBUS_OK && error != endpoint->read_error && failure != NULL)
        bus_event(endpoint, KVPBUS_LINK_ALARM, failure->detail);
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
            kvpbus_link_scan_peer(endpoint->link, scan, bus->now);
        plan_poll(endpoint, error);
        if (endpoint->noticed)
            kvpbus_bus_notice(endpoint);
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
        bus_event(endpoint, KVPBUS_LINK_ALARM, failure->detail);
    kvpbus_link_write_done(endpoint->link, results, bus->now);
    // An answer may come soon now.
    if (kvpbus_link_active(endpoint->link, bus->now)) {
        endpoint->poll_interval = POLL_LEAST;
        if (bus->now + POLL_LEAST < endpoint->poll_at)
            endpoint->poll_at = bus->now + POLL_LEAST;
    }
    bus_drain(endpoint);
}

void kvpbus_endpoint_hold(struct kvpbus_endpoint *endpoint, bool held)
{
    endpoint->held = held;
}

bool kvpbus_endpoint_quiet(const struct kvpbus_endpoint *endpoint)
{
    return !endpoint->reading_peer && !endpoint->reading_own && !endpoint->writing;
}

void kvpbus_bus_notice(struct kvpbus_endpoint *endpoint)
{
    uint64_t soon = endpoint->bus->now + NOTICE_DELAY;
    endpoint->noticed = endpoint->reading_peer; // that read may have been too early
    if (soon < endpoint->poll_at)
        endpoint->poll_at = soon;
}
