// SPDX-License-Identifier: Apache-2.0
//
// Requests about peers: pairing, their state, what stands in their stores.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_client_state.h"
#include "kvpbus/identity.h"
#include "kvpbus/management.h"

typedef Kvpbus__Control__Response Response;

enum { PEERS_PAGE = 64, ITEMS_PAGE = 64 }; // of less than 2 KiB each, so that a frame takes them

// --- pairing ---

void control_pair(struct control_client *client, const Kvpbus__Control__PairRequest *request)
{
    struct kvpbus_endpoint *endpoint = control_named(client, request->peer);
    if (endpoint == NULL)
        return;
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_bus_pair(endpoint, request->fingerprint, control_on_done, client);
}

void control_unpair(struct control_client *client, const Kvpbus__Control__UnpairRequest *request)
{
    struct kvpbus_endpoint *endpoint = control_named(client, request->peer);
    if (endpoint == NULL)
        return;
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_bus_unpair(endpoint, control_on_done, client);
}

// --- peers and their state ---

static char *copy(const char *text)
{
    char *copied = strdup(text);
    if (copied == NULL)
        abort(); // a few bytes
    return copied;
}

static void fill_peer(Kvpbus__Control__Peer *out, const struct kvpbus_endpoint *endpoint,
                      const struct kvpbus_journal_counts *counts)
{
    const struct kvpbus_peer *peer = kvpbus_endpoint_peer(endpoint);
    struct kvpbus_link_status status;
    char guid[KVPBUS_GUID_TEXT + 1], fingerprint[KVPBUS_FINGERPRINT_TEXT];
    kvpbus_endpoint_status(endpoint, &status);
    kvpbus_guid_format(peer->vm, guid);
    out->name = copy(peer->name);
    out->guid = copy(guid);
    char moved[160];
    kvpbus_fingerprint(peer->moved_to, fingerprint);
    snprintf(moved, sizeof moved, "it was exported to the host %s", fingerprint);
    out->state = copy(peer->moved ? "moved" : kvpbus_link_state_name(status.state));
    out->why = copy(peer->moved ? moved : status.why);
    out->paired = peer->paired;
    kvpbus_fingerprint(peer->identity, fingerprint);
    out->fingerprint = copy(peer->paired ? fingerprint : "");
    kvpbus_fingerprint(peer->pending_identity, fingerprint);
    out->pending_fingerprint = copy(peer->pending ? fingerprint : "");
    out->queued = counts->queued;
    out->queued_bytes = counts->queued_bytes;
    out->inbox = counts->inbox;
    out->inbox_bytes = counts->inbox_bytes;
    out->expired = counts->expired;
    out->dead = counts->dead;
    out->unknown = counts->unknown;
    out->dead_letters = counts->dead_letters;
    out->delivered = counts->delivered;
    out->received = counts->received;
    out->in_flight = status.in_flight;
    out->ring_limit = status.ring_limit;
    out->ring_slots = status.ring_slots;
    out->rewrites = status.rewrites;
    out->writes = status.writes;
    out->items_written = status.items_written;
    out->data_items_written = status.data_items_written;
    out->data_chars_written = status.data_chars_written;
    out->bad_items = status.bad_items;
    out->round_trip_ms = status.round_trip_ms;
    out->enrolments_refused = kvpbus_endpoint_refused_enrolments(endpoint);
}

static void say_peers(struct control_client *client)
{
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_PEERS;
    response.peers = client->peers;
    client->request = CONTROL_IDLE;
    control_respond(client, &response);
    control_forget(client);
}

static void ask_next_counts(struct control_client *client);

static void on_counts(void *context, const struct kvpbus_journal_counts *counts,
                      const struct kvpbus_failure *failure)
{
    static const struct kvpbus_journal_counts none;
    struct control_client *client = context;
    (void)failure;
    if (!control_returned(client))
        return;
    fill_peer(client->peers->peers[client->asked_done], client->asked[client->asked_done],
              counts != NULL ? counts : &none);
    client->asked_done++;
    client->peers->n_peers = client->asked_done;
    ask_next_counts(client);
}

static void ask_next_counts(struct control_client *client)
{
    if (client->asked_done == client->asked_count) {
        say_peers(client);
        return;
    }
    Kvpbus__Control__Peer *peer = malloc(sizeof *peer);
    if (peer == NULL)
        abort();
    kvpbus__control__peer__init(peer);
    client->peers->peers[client->asked_done] = peer;
    client->peers->n_peers = client->asked_done + 1;
    client->jobs++;
    kvpbus_bus_counts(client->asked[client->asked_done], on_counts, client);
}

static void ask_counts(struct control_client *client, struct kvpbus_endpoint *const *endpoints,
                       size_t count, size_t total)
{
    client->request = CONTROL_BUSY;
    client->peers = malloc(sizeof *client->peers);
    client->asked = calloc(count + 1, sizeof *client->asked);
    if (client->peers == NULL || client->asked == NULL)
        abort();
    kvpbus__control__peers__init(client->peers);
    client->peers->total = total;
    client->peers->peers = calloc(count + 1, sizeof *client->peers->peers);
    if (client->peers->peers == NULL)
        abort();
    client->asked_done = 0;
    client->asked_count = count;
    for (size_t i = 0; i < count; i++)
        client->asked[i] = endpoints[i];
    ask_next_counts(client);
}

// Peers are never taken out of the service's list: a page goes on where the one before it ended.
void control_status(struct control_client *client, const Kvpbus__Control__StatusRequest *request)
{
    const struct kvpbus_service *service = control_service(client);
    size_t total = service->endpoint_count;
    if (request->peer[0] != '\0') {
        struct kvpbus_endpoint *endpoint = control_named(client, request->peer);
        if (endpoint != NULL)
            ask_counts(client, &endpoint, 1, 1);
        return;
    }
    size_t after = request->after < total ? (size_t)request->after : total;
    size_t count = total - after < PEERS_PAGE ? total - after : PEERS_PAGE;
    // There is no list before the first VM was found.
    ask_counts(client, count > 0 ? service->endpoints + after : NULL, count, total);
}

// --- items ---

// A page of the items of both, from the one with this number on. False: it was the last.
static bool say_items(struct control_client *client, const struct kvpbus_scan *own,
                      const struct kvpbus_scan *peer, size_t from)
{
    static char mine[] = "mine", theirs[] = "peer";
    Kvpbus__Control__Item list[ITEMS_PAGE], *pointers[ITEMS_PAGE];
    Kvpbus__Control__Items items = KVPBUS__CONTROL__ITEMS__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    size_t left = own->count + peer->count - from;
    items.n_items = left < ITEMS_PAGE ? left : ITEMS_PAGE;
    items.items = pointers;
    for (size_t i = 0; i < items.n_items; i++) {
        bool is_own = from + i < own->count;
        const struct kvpbus_item *item =
            is_own ? &own->items[from + i] : &peer->items[from + i - own->count];
        pointers[i] = &list[i];
        kvpbus__control__item__init(&list[i]);
        list[i].store = is_own ? mine : theirs;
        list[i].key = (char *)item->key;
        list[i].value = (char *)item->value;
    }
    items.more = items.n_items < left;
    if (!items.more)
        items.skipped = own->skipped + peer->skipped;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_ITEMS;
    response.items = &items;
    control_respond(client, &response);
    return items.more;
}

static void on_both(void *context, const struct kvpbus_scan *own, const struct kvpbus_scan *peer,
                    const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    if (!control_returned(client))
        return;
    if (failure->code != KVPBUS_OK) {
        control_fail(client, failure->code, failure->detail);
        return;
    }
    client->request = CONTROL_IDLE;
    // At most 2 * KVPBUS_SCAN_MAX, which is less than may wait for a client.
    for (size_t from = 0; say_items(client, own, peer, from);)
        from += ITEMS_PAGE;
}

void control_items(struct control_client *client, const Kvpbus__Control__ItemsRequest *request)
{
    struct kvpbus_endpoint *endpoint = control_named(client, request->peer);
    if (endpoint == NULL)
        return;
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_service_read_both(control_service(client), endpoint, on_both, client);
}
