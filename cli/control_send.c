// SPDX-License-Identifier: Apache-2.0
//
// Sending: the message as it comes in chunks, then to each of its targets. The body is here once;
// the bus copies it for a target, so of a large one the next target waits for the one before.
#include <stdlib.h>
#include <string.h>

#include "control_client_state.h"
#include "kvpbus/identity.h"

typedef Kvpbus__Control__Request Request;
typedef Kvpbus__Control__SendRequest SendRequest;
typedef Kvpbus__Control__Response Response;

enum {
    NAMES_MAX = 1024,
    COPIES_BYTES = 1024 * 1024, // of the body under way to the journal, one copy in any case
    COPY_HEAD = 1024,           // what a copy takes beside the body, about
    CORRELATION = KVPBUS_BUNDLE_ID_BYTES + 2,
};

// --- the answers ---

static void say_queued(struct control_target *target)
{
    char id[KVPBUS_MESSAGE_ID_TEXT], guid[KVPBUS_GUID_TEXT + 1];
    Kvpbus__Control__Queued queued = KVPBUS__CONTROL__QUEUED__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    kvpbus_message_id_format(&target->id, id);
    queued.id = id;
    queued.peer =
        (char *)kvpbus_service_name(control_service(target->client), target->endpoint, guid);
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_QUEUED;
    response.queued = &queued;
    control_respond(target->client, &response);
}

static void say_refused(struct control_client *client, const char *peer,
                        const struct kvpbus_failure *failure)
{
    Kvpbus__Control__Refused refused = KVPBUS__CONTROL__REFUSED__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    refused.peer = (char *)peer;
    refused.code = (uint32_t)failure->code;
    refused.detail =
        (char *)(failure->detail[0] != '\0' ? failure->detail : kvpbus_error_text(failure->code));
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_REFUSED;
    response.refused = &refused;
    control_respond(client, &response);
}

// --- to the targets ---

static void fill(const SendRequest *send, struct kvpbus_header headers[KVPBUS_HEADERS_MAX],
                 uint8_t correlation[CORRELATION], struct kvpbus_message *message)
{
    struct kvpbus_message_id request;
    *message = (struct kvpbus_message){
        .topic = send->topic,
        .stream = send->stream,
        .class_ = (enum kvpbus_class)send->class_,
        .ttl_ms = send->ttl_ms,
        .kind = (enum kvpbus_kind)send->kind,
        .receipt = send->wait > CONTROL_WAIT_DELIVERED,
        .status = send->status,
        .headers = headers,
        .header_count = send->n_headers,
    };
    for (size_t i = 0; i < send->n_headers; i++)
        headers[i] = (struct kvpbus_header){send->headers[i]->name, send->headers[i]->value};
    if (!kvpbus_message_id_parse(send->reply_to, &request))
        return;
    memcpy(correlation, request.bundle, sizeof request.bundle);
    correlation[CORRELATION - 2] = (uint8_t)(request.index >> 8);
    correlation[CORRELATION - 1] = (uint8_t)request.index;
    message->correlation = correlation;
    message->correlation_length = CORRELATION;
}

static void on_queued(void *context, const struct kvpbus_message_id *id,
                      const struct kvpbus_failure *failure);

static bool room_for_a_copy(const struct control_client *client)
{
    uint64_t copy = client->body_length + COPY_HEAD;
    return client->copies == 0 || (client->copies + 1) * copy <= COPIES_BYTES;
}

static void queue(struct control_client *client)
{
    struct kvpbus_header headers[KVPBUS_HEADERS_MAX];
    uint8_t correlation[CORRELATION];
    struct kvpbus_message message;
    fill(client->send, headers, correlation, &message);
    message.body = client->body;
    message.body_length = client->body_length;
    client->request = CONTROL_BUSY;
    while (client->target_next < client->target_count && room_for_a_copy(client)) {
        struct control_target *target = &client->targets[client->target_next++];
        client->copies++;
        client->jobs++;
        kvpbus_bus_send(target->endpoint, &message, client->send->resend, on_queued, target);
    }
}

static void all_queued(struct control_client *client)
{
    kvpbus__control__send_request__free_unpacked(client->send, NULL);
    client->send = NULL;
    free(client->body);
    client->body = NULL;
    control_await(client);
}

static void on_queued(void *context, const struct kvpbus_message_id *id,
                      const struct kvpbus_failure *failure)
{
    struct control_target *target = context;
    struct control_client *client = target->client;
    client->copies--;
    if (!control_returned(client))
        return;
    if (id == NULL && !client->several) {
        control_forget(client);
        control_fail(client, failure->code, failure->detail);
        return;
    }
    if (id != NULL) {
        target->id = *id;
        target->open = client->wait != CONTROL_WAIT_QUEUED;
        client->target_open += target->open;
        say_queued(target);
    } else {
        char guid[KVPBUS_GUID_TEXT + 1];
        say_refused(client, kvpbus_service_name(control_service(client), target->endpoint, guid),
                    failure);
    }
    if (client->closing)
        return;
    if (client->target_next < client->target_count)
        queue(client);
    else if (client->copies == 0)
        all_queued(client);
}

// --- which targets ---

static bool check_paired(const struct kvpbus_endpoint *endpoint, struct kvpbus_failure *failure)
{
    const struct kvpbus_peer *peer = kvpbus_endpoint_peer(endpoint);
    if (peer->paired)
        return true;
    char host[KVPBUS_FINGERPRINT_TEXT];
    kvpbus_fingerprint(peer->moved_to, host);
    if (peer->moved)
        kvpbus_fail(failure, KVPBUS_UNPAIRED,
                    "%s was exported to the host %s: send there, or take it back with 'kvpbus "
                    "export %s --undo'",
                    peer->name, host, peer->name);
    else
        kvpbus_fail(failure, KVPBUS_UNPAIRED, "%s is not paired; run 'kvpbus pair %s' first",
                    peer->name, peer->name);
    return false;
}

static void add_target(struct control_client *client, struct kvpbus_endpoint *endpoint)
{
    for (size_t i = 0; i < client->target_count; i++)
        if (client->targets[i].endpoint == endpoint)
            return; // by its name and its GUID, say
    client->targets[client->target_count++] =
        (struct control_target){.client = client, .endpoint = endpoint};
}

static void add_named(struct control_client *client, const char *name)
{
    struct kvpbus_failure failure = {0};
    struct kvpbus_endpoint *endpoint = kvpbus_service_find(control_service(client), name, &failure);
    if (endpoint != NULL && check_paired(endpoint, &failure))
        add_target(client, endpoint);
    else
        say_refused(client, name, &failure);
}

static enum kvpbus_error add_all_named(struct control_client *client, const SendRequest *send,
                                       struct kvpbus_failure *failure)
{
    if (send->n_peers > NAMES_MAX)
        return kvpbus_fail(failure, KVPBUS_TOO_LARGE,
                           "%zu peers are named, at most %d can be at once: name fewer, or send to "
                           "all",
                           send->n_peers, NAMES_MAX);
    client->targets = calloc(send->n_peers, sizeof *client->targets);
    if (client->targets == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory for %zu peers", send->n_peers);
    for (size_t i = 0; i < send->n_peers; i++)
        add_named(client, send->peers[i]);
    return KVPBUS_OK;
}

// As many as there are.
static enum kvpbus_error add_paired(struct control_client *client, struct kvpbus_failure *failure)
{
    const struct kvpbus_service *service = control_service(client);
    client->targets = calloc(service->endpoint_count + 1, sizeof *client->targets);
    if (client->targets == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory for %zu peers",
                           service->endpoint_count);
    for (size_t i = 0; i < service->endpoint_count; i++)
        if (kvpbus_endpoint_peer(service->endpoints[i])->paired)
            client->targets[client->target_count++] =
                (struct control_target){.client = client, .endpoint = service->endpoints[i]};
    if (client->target_count == 0)
        return kvpbus_fail(failure, KVPBUS_UNPAIRED,
                           "no peer is paired yet; 'kvpbus vms' lists them, 'kvpbus pair' pairs");
    return KVPBUS_OK;
}

static enum kvpbus_error add_one(struct control_client *client, const char *name,
                                 struct kvpbus_failure *failure)
{
    struct kvpbus_endpoint *endpoint = kvpbus_service_find(control_service(client), name, failure);
    if (endpoint == NULL || !check_paired(endpoint, failure))
        return failure->code;
    return control_target_one(client, endpoint) != NULL
               ? KVPBUS_OK
               : kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
}

// --- the request ---

// Checked before the body comes, so that a wrong topic is said at once.
static enum kvpbus_error check(const SendRequest *send, uint64_t body_max,
                               struct kvpbus_failure *failure)
{
    struct kvpbus_header headers[KVPBUS_HEADERS_MAX];
    uint8_t correlation[CORRELATION];
    struct kvpbus_message shape;
    if ((send->peer[0] != '\0') + (send->n_peers > 0) + (send->all != 0) > 1)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "name one peer, or several, or say all");
    if (send->class_ >= KVPBUS_CLASS_COUNT)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "there is no such class");
    if (send->wait > CONTROL_WAIT_CONSUMED)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "one can wait until it is queued, delivered or consumed");
    if (send->kind > KVPBUS_KIND_LAST_REPLY)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "there is no such kind of message");
    if (send->n_headers > KVPBUS_HEADERS_MAX)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "%zu headers; a message has at most %d", send->n_headers,
                           KVPBUS_HEADERS_MAX);
    if (send->kind == KVPBUS_KIND_REQUEST && send->ttl_ms == 0)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "a request needs a lifetime: how long its replies are waited for");
    fill(send, headers, correlation, &shape);
    bool reply = send->kind >= KVPBUS_KIND_REPLY;
    if (reply && shape.correlation == NULL)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, CONTROL_NO_ID);
    if (!reply && send->reply_to[0] != '\0')
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "only a reply answers a request: its kind is 2 or 3");
    if (send->body_length > body_max)
        return kvpbus_fail(failure, KVPBUS_TOO_LARGE,
                           "the message has %llu bytes, the limit is %llu; split it, or raise "
                           "body_max on both sides",
                           (unsigned long long)send->body_length, (unsigned long long)body_max);
    return kvpbus_message_check(&shape, (size_t)body_max, failure);
}

static enum kvpbus_error prepare(struct control_client *client, const SendRequest *send,
                                 struct kvpbus_failure *failure)
{
    uint64_t body_max = control_service(client)->options.body_max;
    enum kvpbus_error error =
        check(send, body_max != 0 ? body_max : KVPBUS_MESSAGE_DEFAULT_MAX, failure);
    if (error != KVPBUS_OK)
        return error;
    client->several = send->n_peers > 0 || send->all;
    client->wait = (enum control_wait)send->wait;
    error = send->all           ? add_paired(client, failure)
            : send->n_peers > 0 ? add_all_named(client, send, failure)
                                : add_one(client, send->peer, failure);
    if (error != KVPBUS_OK)
        return error;
    client->body = malloc(send->body_length + 1);
    return client->body != NULL ? KVPBUS_OK
                                : kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory for the body");
}

void control_send(struct control_client *client, Request *request)
{
    struct kvpbus_failure failure = {0};
    control_forget(client);
    if (prepare(client, request->send, &failure) != KVPBUS_OK) {
        control_forget(client);
        control_fail(client, failure.code, failure.detail);
        return;
    }
    if (client->target_count == 0) { // each was refused
        control_forget(client);
        control_done(client);
        return;
    }
    client->send = request->send;
    request->send = NULL; // ours now
    request->kind_case = KVPBUS__CONTROL__REQUEST__KIND__NOT_SET;
    client->request = CONTROL_BODY;
    if (client->send->body_length == 0)
        queue(client);
}

void control_chunk(struct control_client *client, const Kvpbus__Control__Chunk *chunk)
{
    if (client->request != CONTROL_BODY || chunk->data.len == 0)
        return; // of a message that was refused meanwhile, or nothing
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
