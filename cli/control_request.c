// SPDX-License-Identifier: Apache-2.0
//
// What a client of the control socket asks, and the answers.
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_client_state.h"
#include "kvpbus/identity.h"
#include "kvpbus/management.h"

typedef Kvpbus__Control__Request Request;
typedef Kvpbus__Control__Response Response;

static struct kvpbus_service *service_of(const struct control_client *client)
{
    return client->server->service;
}

// The endpoint that a request names, or a failure to the client.
static struct kvpbus_endpoint *named(struct control_client *client, const char *peer)
{
    struct kvpbus_failure failure = {0};
    struct kvpbus_endpoint *endpoint = kvpbus_service_find(service_of(client), peer, &failure);
    if (endpoint == NULL)
        control_fail(client, failure.code, failure.detail);
    return endpoint;
}

void control_forget(struct control_client *client)
{
    if (client->send != NULL)
        kvpbus__control__send_request__free_unpacked(client->send, NULL);
    client->send = NULL;
    free(client->body);
    client->body = NULL;
    client->body_length = 0;
    if (client->peers != NULL)
        kvpbus__control__peers__free_unpacked(client->peers, NULL);
    client->peers = NULL;
    free(client->asked);
    client->asked = NULL;
}

static void on_done(void *context, const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    if (!control_returned(client))
        return;
    if (failure->code == KVPBUS_OK)
        control_done(client);
    else
        control_fail(client, failure->code, failure->detail);
}

// --- pairing ---

static void pair(struct control_client *client, const Kvpbus__Control__PairRequest *request)
{
    struct kvpbus_endpoint *endpoint = named(client, request->peer);
    if (endpoint == NULL)
        return;
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_bus_pair(endpoint, request->fingerprint, on_done, client);
}

static void unpair(struct control_client *client, const Kvpbus__Control__UnpairRequest *request)
{
    struct kvpbus_endpoint *endpoint = named(client, request->peer);
    if (endpoint == NULL)
        return;
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_bus_unpair(endpoint, on_done, client);
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
    out->state = copy(kvpbus_link_state_name(status.state));
    out->why = copy(status.why);
    out->paired = peer->paired;
    kvpbus_fingerprint(peer->identity, fingerprint);
    out->fingerprint = copy(peer->paired ? fingerprint : "");
    kvpbus_fingerprint(peer->pending_identity, fingerprint);
    out->pending_fingerprint = copy(peer->pending ? fingerprint : "");
    out->queued = counts->queued;
    out->queued_bytes = counts->queued_bytes;
    out->inbox = counts->inbox;
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
}

static void say_peers(struct control_client *client)
{
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_PEERS;
    response.peers = client->peers;
    client->request = CONTROL_IDLE;
    if (kvpbus__control__response__get_packed_size(&response) > KVPBUS_FRAME_MAX)
        control_fail(client, KVPBUS_TOO_LARGE, "there are too many VMs for one answer; name one");
    else
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

// With `only` NULL all peers.
static void peers(struct control_client *client, struct kvpbus_endpoint *only)
{
    struct kvpbus_service *service = service_of(client);
    size_t count = only != NULL ? 1 : service->endpoint_count;
    char fingerprint[KVPBUS_FINGERPRINT_TEXT], key[2 * KVPBUS_IDENTITY_BYTES + 1];
    client->request = CONTROL_BUSY;
    client->peers = malloc(sizeof *client->peers);
    client->asked = calloc(count + 1, sizeof *client->asked);
    if (client->peers == NULL || client->asked == NULL)
        abort();
    kvpbus__control__peers__init(client->peers);
    client->peers->peers = calloc(count + 1, sizeof *client->peers->peers);
    if (client->peers->peers == NULL)
        abort();
    kvpbus_fingerprint(service->state.identity, fingerprint);
    sodium_bin2hex(key, sizeof key, service->state.identity, sizeof service->state.identity);
    client->peers->fingerprint = copy(fingerprint);
    client->peers->public_key = copy(key);
    client->peers->role = copy(service->options.role == KVPBUS_ROLE_HOST ? "host" : "guest");
    client->asked_done = 0;
    client->asked_count = count;
    for (size_t i = 0; i < count; i++)
        client->asked[i] = only != NULL ? only : service->endpoints[i];
    ask_next_counts(client);
}

static void status(struct control_client *client, const Kvpbus__Control__StatusRequest *request)
{
    struct kvpbus_endpoint *endpoint = NULL;
    if (request->peer[0] != '\0' && (endpoint = named(client, request->peer)) == NULL)
        return;
    peers(client, endpoint);
}

// --- items ---

static void add_items(Kvpbus__Control__Items *items, Kvpbus__Control__Item *list, char *store,
                      const struct kvpbus_scan *scan)
{
    for (size_t i = 0; i < scan->count; i++) {
        Kvpbus__Control__Item *item = &list[items->n_items];
        kvpbus__control__item__init(item);
        item->store = store;
        item->key = scan->items[i].key;
        item->value = scan->items[i].value;
        items->items[items->n_items++] = item;
    }
}

static void on_both(void *context, const struct kvpbus_scan *own, const struct kvpbus_scan *peer,
                    const struct kvpbus_failure *failure)
{
    static char mine[] = "mine", theirs[] = "peer";
    struct control_client *client = context;
    if (!control_returned(client))
        return;
    if (failure->code != KVPBUS_OK) {
        control_fail(client, failure->code, failure->detail);
        return;
    }
    size_t count = own->count + peer->count;
    Kvpbus__Control__Items items = KVPBUS__CONTROL__ITEMS__INIT;
    Kvpbus__Control__Item *list = calloc(count + 1, sizeof *list);
    items.items = calloc(count + 1, sizeof *items.items);
    if (list == NULL || items.items == NULL)
        abort();
    // 2 * 256 items of at most 1.3 KB would not fit one frame: what is beyond is said to be left
    // out.
    add_items(&items, list, mine, own);
    add_items(&items, list, theirs, peer);
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_ITEMS;
    response.items = &items;
    while (kvpbus__control__response__get_packed_size(&response) > KVPBUS_FRAME_MAX)
        items.n_items--;
    client->request = CONTROL_IDLE;
    control_respond(client, &response);
    free(items.items);
    free(list);
}

static void items(struct control_client *client, const Kvpbus__Control__ItemsRequest *request)
{
    struct kvpbus_endpoint *endpoint = named(client, request->peer);
    if (endpoint == NULL)
        return;
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_service_read_both(service_of(client), endpoint, on_both, client);
}

// --- send ---

static void say_queued(struct control_client *client)
{
    char id[KVPBUS_MESSAGE_ID_TEXT];
    Kvpbus__Control__Queued queued = KVPBUS__CONTROL__QUEUED__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    kvpbus_message_id_format(&client->id, id);
    queued.id = id;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_QUEUED;
    response.queued = &queued;
    control_respond(client, &response);
}

static void on_queued(void *context, const struct kvpbus_message_id *id,
                      const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    if (!control_returned(client))
        return;
    bool wait = client->send->wait_delivered;
    control_forget(client);
    if (id == NULL) {
        control_fail(client, failure->code, failure->detail);
        return;
    }
    client->id = *id;
    client->request = wait ? CONTROL_WAITING : CONTROL_IDLE;
    client->told = UINT64_MAX;
    say_queued(client);
    if (wait)
        control_look_for_outcome(client);
}

static void queue(struct control_client *client)
{
    const Kvpbus__Control__SendRequest *send = client->send;
    struct kvpbus_message message = {
        .topic = send->topic,
        .stream = send->stream,
        .class_ = (enum kvpbus_class)send->class_,
        .ttl_ms = send->ttl_ms,
        .body = client->body,
        .body_length = client->body_length,
    };
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_bus_send(client->endpoint, &message, false, on_queued, client);
}

static void send_message(struct control_client *client, Request *request)
{
    Kvpbus__Control__SendRequest *send = request->send;
    uint64_t body_max = service_of(client)->options.body_max;
    struct kvpbus_failure failure = {0};
    if (body_max == 0)
        body_max = KVPBUS_MESSAGE_DEFAULT_MAX;
    client->endpoint = named(client, send->peer);
    if (client->endpoint == NULL)
        return;
    if (!kvpbus_endpoint_peer(client->endpoint)->paired) {
        kvpbus_fail(&failure, KVPBUS_UNPAIRED, "%s is not paired; run 'kvpbus pair %s' first",
                    send->peer, send->peer);
        control_fail(client, failure.code, failure.detail);
        return;
    }
    if (send->class_ >= KVPBUS_CLASS_COUNT) {
        control_fail(client, KVPBUS_INVALID_ARGUMENT, "there is no such class");
        return;
    }
    if (send->body_length > body_max) {
        kvpbus_fail(&failure, KVPBUS_TOO_LARGE,
                    "the message has %llu bytes, the limit is %llu; split it, or raise body_max on "
                    "both sides",
                    (unsigned long long)send->body_length, (unsigned long long)body_max);
        control_fail(client, failure.code, failure.detail);
        return;
    }
    // Checked before the body comes, so that a wrong topic is said at once.
    struct kvpbus_message shape = {
        .topic = send->topic,
        .stream = send->stream,
        .class_ = (enum kvpbus_class)send->class_,
    };
    if (kvpbus_message_check(&shape, (size_t)body_max, &failure) != KVPBUS_OK) {
        control_fail(client, failure.code, failure.detail);
        return;
    }
    client->body = malloc(send->body_length + 1);
    if (client->body == NULL) {
        control_fail(client, KVPBUS_NOMEM, "");
        return;
    }
    client->body_length = 0;
    client->send = send;
    request->send = NULL; // ours now
    request->kind_case = KVPBUS__CONTROL__REQUEST__KIND__NOT_SET;
    client->request = CONTROL_BODY;
    if (client->send->body_length == 0)
        queue(client);
}

static void chunk(struct control_client *client, const Kvpbus__Control__Chunk *chunk)
{
    if (client->request != CONTROL_BODY)
        return; // of a message that was refused meanwhile
    uint64_t missing = client->send->body_length - client->body_length;
    if (chunk->data.len > missing) {
        control_forget(client);
        control_fail(client, KVPBUS_PROTOCOL, "");
        return;
    }
    memcpy(client->body + client->body_length, chunk->data.data, chunk->data.len);
    client->body_length += chunk->data.len;
    if (client->body_length == client->send->body_length)
        queue(client);
}

static void on_status(void *context, const struct kvpbus_message_status *status,
                      const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    if (!control_returned(client))
        return;
    client->asking = false;
    if (client->request != CONTROL_WAITING)
        return;
    if (status == NULL) {
        control_fail(client, failure->code, failure->detail);
        return;
    }
    if (status->outcome == KVPBUS_OUTCOME_PENDING)
        return;
    char id[KVPBUS_MESSAGE_ID_TEXT];
    Kvpbus__Control__Outcome outcome = KVPBUS__CONTROL__OUTCOME__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    kvpbus_message_id_format(&client->id, id);
    outcome.id = id;
    outcome.outcome = (char *)kvpbus_outcome_name(status->outcome);
    outcome.reason = (char *)status->reason;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_OUTCOME;
    response.outcome = &outcome;
    client->request = CONTROL_IDLE;
    control_respond(client, &response);
}

void control_look_for_outcome(struct control_client *client)
{
    if (client->asking)
        return;
    client->asking = true;
    client->jobs++;
    kvpbus_bus_message_status(client->endpoint, &client->id, on_status, client);
}

void control_say_progress(struct control_client *client)
{
    struct kvpbus_link_status status;
    Kvpbus__Control__Progress progress = KVPBUS__CONTROL__PROGRESS__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    kvpbus_endpoint_status(client->endpoint, &status);
    // The largest bundle under way: what one waits for with a progress bar.
    for (size_t i = 0; i < status.progress_count; i++)
        if (status.progress[i].total > progress.total) {
            progress.total = status.progress[i].total;
            progress.acknowledged = status.progress[i].acknowledged;
        }
    if (progress.total == 0 || progress.acknowledged == client->told)
        return;
    client->told = progress.acknowledged;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_PROGRESS;
    response.progress = &progress;
    control_respond(client, &response);
    control_look_for_outcome(client);
}

// --- receive ---

static void say_delivery(struct control_client *client, const struct kvpbus_delivery *delivery)
{
    const struct kvpbus_message *message = &delivery->message;
    struct kvpbus_endpoint *from = kvpbus_bus_find(service_of(client)->bus, delivery->peer);
    char id[KVPBUS_MESSAGE_ID_TEXT];
    Kvpbus__Control__Delivery said = KVPBUS__CONTROL__DELIVERY__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    kvpbus_message_id_format(&message->id, id);
    said.lease = delivery->lease;
    said.peer = (char *)(from != NULL ? kvpbus_endpoint_peer(from)->name : "");
    said.id = id;
    said.topic = (char *)message->topic;
    said.stream = (char *)(message->stream != NULL ? message->stream : "");
    said.class_ = (char *)kvpbus_class_name(message->class_);
    said.created_ms = (uint64_t)message->created_ms;
    said.body_length = message->body_length;
    said.try_ = delivery->try_;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_DELIVERY;
    response.delivery = &said;
    control_respond(client, &response);
    for (size_t at = 0; at < message->body_length; at += KVPBUS_FRAME_CHUNK) {
        size_t left = message->body_length - at;
        Kvpbus__Control__Chunk piece = KVPBUS__CONTROL__CHUNK__INIT;
        piece.data.data = (uint8_t *)message->body + at;
        piece.data.len = left < KVPBUS_FRAME_CHUNK ? left : KVPBUS_FRAME_CHUNK;
        response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_CHUNK;
        response.chunk = &piece;
        control_respond(client, &response);
    }
}

static void on_leased(void *context, struct kvpbus_delivery *delivery,
                      const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    client->leasing = false;
    if (client->closing && delivery != NULL)
        kvpbus_bus_nack(client->bus, delivery->lease, 0, "the client went away", NULL, NULL);
    if (!control_returned(client)) {
        kvpbus_delivery_free(delivery);
        return;
    }
    if (delivery == NULL && failure->code != KVPBUS_NOT_FOUND) {
        control_fail(client, failure->code, failure->detail);
    } else if (delivery != NULL) {
        client->request = CONTROL_IDLE;
        client->lease = delivery->lease;
        say_delivery(client, delivery);
    } else if (client->again) {
        control_look_for_message(client);
    }
    kvpbus_delivery_free(delivery);
}

void control_look_for_message(struct control_client *client)
{
    client->again = client->leasing;
    if (client->leasing)
        return;
    client->leasing = true;
    client->jobs++;
    kvpbus_bus_lease(client->bus, 0, client->any_topic ? NULL : client->pattern, client->lease_ms,
                     on_leased, client);
}

static void receive(struct control_client *client, const Kvpbus__Control__ReceiveRequest *request)
{
    if (strlen(request->pattern) > KVPBUS_TOPIC_MAX) {
        control_fail(client, KVPBUS_BAD_TOPIC, "");
        return;
    }
    client->any_topic = request->pattern[0] == '\0';
    snprintf(client->pattern, sizeof client->pattern, "%s", request->pattern);
    client->lease_ms = request->lease_ms != 0 ? request->lease_ms : 60000;
    client->request = CONTROL_RECEIVING;
    control_look_for_message(client);
}

static void acknowledge(struct control_client *client, const Kvpbus__Control__AckRequest *request)
{
    if (request->lease == client->lease)
        client->lease = 0;
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_bus_ack(client->bus, request->lease, on_done, client);
}

// --- all of it ---

void control_request(struct control_client *client, const uint8_t *frame, size_t length)
{
    Request *request = kvpbus__control__request__unpack(NULL, length, frame);
    if (request == NULL) {
        control_fail(client, KVPBUS_PROTOCOL, "");
        control_drop(client);
        return;
    }
    bool body = request->kind_case == KVPBUS__CONTROL__REQUEST__KIND_CHUNK;
    if (client->request != CONTROL_IDLE && !body) {
        control_fail(client, KVPBUS_BUSY, "one request at a time");
        control_drop(client);
        kvpbus__control__request__free_unpacked(request, NULL);
        return;
    }
    switch (request->kind_case) {
    case KVPBUS__CONTROL__REQUEST__KIND_PEERS:
        peers(client, NULL);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_PAIR:
        pair(client, request->pair);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_UNPAIR:
        unpair(client, request->unpair);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_SEND:
        send_message(client, request);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_CHUNK:
        chunk(client, request->chunk);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_RECEIVE:
        receive(client, request->receive);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_ACK:
        acknowledge(client, request->ack);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_STATUS:
        status(client, request->status);
        break;
    case KVPBUS__CONTROL__REQUEST__KIND_ITEMS:
        items(client, request->items);
        break;
    default:
        control_fail(client, KVPBUS_UNSUPPORTED,
                     "the service does not know this request; is it older than the command?");
    }
    kvpbus__control__request__free_unpacked(request, NULL);
}
