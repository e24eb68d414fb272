// SPDX-License-Identifier: Apache-2.0
//
// What a program asks of its client: each operation is one request of proto/control.proto, or for
// requests and lists of dead letters the first of several.
#include <stdlib.h>
#include <string.h>

#include "client_internal.h"

typedef Kvpbus__Control__Request Request;

enum {
    FRAME_OVER = 32, // more than a chunk's frame has beside its bytes
    // Of a reply to a request, in ms: the client itself acknowledges it, as soon as it is whole.
    REPLY_LEASE = 60000,
};

// NULL is "".
static char *text(const char *given)
{
    static char empty[] = "";
    return given != NULL ? (char *)given : empty;
}

void client_forget_operation(struct kvpbus_client *client)
{
    if (client->response != NULL)
        kvpbus__control__response__free_unpacked(client->response, NULL);
    client->response = NULL;
    free(client->dead_peer);
    free(client->dead_pattern);
    client->dead_peer = client->dead_pattern = NULL;
    client->operation = CLIENT_NOTHING;
    client->owed = client->ended = client->several = client->wait = client->acking = false;
    client->next = 0;
    client->count = 0;
}

static enum kvpbus_error may_begin(const struct kvpbus_client *client,
                                   struct kvpbus_failure *failure)
{
    if (!client->open)
        return client_lost(client, failure);
    if (client->owed)
        return kvpbus_fail(failure, KVPBUS_BUSY,
                           "the client has an operation under way; take its events, or reconnect");
    return KVPBUS_OK;
}

// What was asked stands among what is to be sent. Only now the last operation is forgotten: the
// caller may have used what its events point to.
static void begun(struct kvpbus_client *client, enum client_operation operation)
{
    client_forget_operation(client);
    client->operation = operation;
    client->owed = true;
    client_flush(client);
}

static enum kvpbus_error begin(struct kvpbus_client *client, enum client_operation operation,
                               const Request *request, struct kvpbus_failure *failure)
{
    enum kvpbus_error error = may_begin(client, failure);
    if (error == KVPBUS_OK)
        error = client_put(client, request, failure);
    if (error == KVPBUS_OK)
        begun(client, operation);
    return error;
}

// A further request of the same operation.
static enum kvpbus_error go_on(struct kvpbus_client *client, const Request *request,
                               struct kvpbus_failure *failure)
{
    enum kvpbus_error error = client_put(client, request, failure);
    client->owed = error == KVPBUS_OK;
    client_flush(client);
    return error;
}

// --- sending ---

void kvpbus_outgoing_init(struct kvpbus_outgoing *message, const char *peer, const char *topic,
                          const void *body, size_t length)
{
    *message = (struct kvpbus_outgoing){
        .peer = peer,
        .topic = topic,
        .body = body,
        .body_length = length,
        .class_ = KVPBUS_CLASS_NORMAL,
        .kind = KVPBUS_KIND_EVENT,
    };
}

static enum kvpbus_error put_body(struct kvpbus_client *client, const uint8_t *body, size_t length,
                                  struct kvpbus_failure *failure)
{
    enum kvpbus_error error = KVPBUS_OK;
    for (size_t at = 0; error == KVPBUS_OK && at < length; at += KVPBUS_FRAME_CHUNK) {
        size_t left = length - at;
        Kvpbus__Control__Chunk chunk = KVPBUS__CONTROL__CHUNK__INIT;
        Request request = KVPBUS__CONTROL__REQUEST__INIT;
        chunk.data.data = (uint8_t *)body + at;
        chunk.data.len = left < KVPBUS_FRAME_CHUNK ? left : KVPBUS_FRAME_CHUNK;
        request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_CHUNK;
        request.chunk = &chunk;
        error = client_put(client, &request, failure);
    }
    return error;
}

static enum kvpbus_error put_message(struct kvpbus_client *client,
                                     const struct kvpbus_outgoing *message, enum kvpbus_kind kind,
                                     struct kvpbus_failure *failure)
{
    Kvpbus__Control__Header headers[KVPBUS_HEADERS_MAX], *list[KVPBUS_HEADERS_MAX];
    Kvpbus__Control__SendRequest send = KVPBUS__CONTROL__SEND_REQUEST__INIT;
    Request request = KVPBUS__CONTROL__REQUEST__INIT;
    size_t length = message->body_length, chunks = length / KVPBUS_FRAME_CHUNK + 1;
    for (size_t i = 0; i < message->header_count; i++) {
        list[i] = &headers[i];
        kvpbus__control__header__init(list[i]);
        list[i]->name = text(message->headers[i].name);
        list[i]->value = text(message->headers[i].value);
    }
    send.peer = text(message->peer);
    send.peers = (char **)message->peers;
    send.n_peers = message->peer_count;
    send.all = message->all;
    send.topic = text(message->topic);
    send.stream = text(message->stream);
    send.class_ = (uint32_t)message->class_;
    send.ttl_ms = message->ttl_ms;
    send.body_length = length;
    send.wait = (uint32_t)message->wait;
    send.headers = list;
    send.n_headers = message->header_count;
    send.kind = (uint32_t)kind;
    send.reply_to = text(message->reply_to);
    send.status = message->status;
    send.resend = message->resend;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_SEND;
    request.send = &send;
    size_t before = client->out_length - client->out_sent;
    if (!client_make_room(client, KVPBUS_FRAME_MAX + length + chunks * FRAME_OVER))
        return kvpbus_fail(failure, KVPBUS_NOMEM, "no memory for a message of %zu bytes", length);
    enum kvpbus_error error = client_put(client, &request, failure);
    if (error == KVPBUS_OK)
        error = put_body(client, message->body, length, failure);
    if (error != KVPBUS_OK) // nothing of half a message is sent
        client->out_length = client->out_sent + before;
    return error;
}

static enum kvpbus_error begin_message(struct kvpbus_client *client,
                                       enum client_operation operation,
                                       const struct kvpbus_outgoing *message, enum kvpbus_kind kind,
                                       struct kvpbus_failure *failure)
{
    enum kvpbus_error error = may_begin(client, failure);
    if (error != KVPBUS_OK)
        return error;
    if (message->body_length > KVPBUS_CLIENT_BODY_MAX)
        return kvpbus_fail(failure, KVPBUS_TOO_LARGE, "a body has at most %d bytes",
                           KVPBUS_CLIENT_BODY_MAX);
    if (message->header_count > KVPBUS_HEADERS_MAX)
        return kvpbus_fail(failure, KVPBUS_TOO_LARGE, "a message has at most %d headers",
                           KVPBUS_HEADERS_MAX);
    if ((message->peer != NULL) + (message->peer_count > 0) + message->all != 1)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "a message is for one peer, for several, or for all");
    error = put_message(client, message, kind, failure);
    if (error != KVPBUS_OK)
        return error;
    bool several = message->peer == NULL, wait = message->wait != KVPBUS_WAIT_QUEUED;
    begun(client, operation);
    client->several = several;
    client->wait = wait;
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_client_send(struct kvpbus_client *client,
                                     const struct kvpbus_outgoing *message,
                                     struct kvpbus_failure *failure)
{
    return begin_message(client, CLIENT_SEND, message, message->kind, failure);
}

enum kvpbus_error kvpbus_client_request(struct kvpbus_client *client,
                                        const struct kvpbus_outgoing *message,
                                        struct kvpbus_failure *failure)
{
    if (message->peer == NULL || message->ttl_ms == 0 || message->wait != KVPBUS_WAIT_QUEUED)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "a request has one peer and a lifetime, and waits for its replies");
    return begin_message(client, CLIENT_REQUEST, message, KVPBUS_KIND_REQUEST, failure);
}

// --- receiving ---

static void fill_receive(Kvpbus__Control__ReceiveRequest *receive,
                         const struct kvpbus_receiving *which)
{
    receive->pattern = text(which->pattern);
    receive->peer = text(which->peer);
    receive->reply_to = text(which->reply_to);
    receive->kinds = which->kinds;
    receive->lease_ms = which->lease_ms;
    receive->now = which->now;
}

enum kvpbus_error kvpbus_client_receive(struct kvpbus_client *client,
                                        const struct kvpbus_receiving *which,
                                        struct kvpbus_failure *failure)
{
    Kvpbus__Control__ReceiveRequest receive = KVPBUS__CONTROL__RECEIVE_REQUEST__INIT;
    Request request = KVPBUS__CONTROL__REQUEST__INIT;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_RECEIVE;
    request.receive = &receive;
    fill_receive(&receive, which);
    return begin(client, CLIENT_RECEIVE, &request, failure);
}

enum kvpbus_error client_ask_reply(struct kvpbus_client *client, struct kvpbus_failure *failure)
{
    Kvpbus__Control__ReceiveRequest receive = KVPBUS__CONTROL__RECEIVE_REQUEST__INIT;
    Request request = KVPBUS__CONTROL__REQUEST__INIT;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_RECEIVE;
    request.receive = &receive;
    fill_receive(&receive,
                 &(struct kvpbus_receiving){.reply_to = client->request, .lease_ms = REPLY_LEASE});
    return go_on(client, &request, failure);
}

enum kvpbus_error kvpbus_client_ack(struct kvpbus_client *client, int64_t lease,
                                    struct kvpbus_failure *failure)
{
    Kvpbus__Control__AckRequest ack = KVPBUS__CONTROL__ACK_REQUEST__INIT;
    Request request = KVPBUS__CONTROL__REQUEST__INIT;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_ACK;
    request.ack = &ack;
    ack.lease = lease;
    return begin(client, CLIENT_SIMPLE, &request, failure);
}

enum kvpbus_error client_ack_reply(struct kvpbus_client *client, struct kvpbus_failure *failure)
{
    Kvpbus__Control__AckRequest ack = KVPBUS__CONTROL__ACK_REQUEST__INIT;
    Request request = KVPBUS__CONTROL__REQUEST__INIT;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_ACK;
    request.ack = &ack;
    ack.lease = client->message.lease;
    return go_on(client, &request, failure);
}

enum kvpbus_error kvpbus_client_nack(struct kvpbus_client *client, int64_t lease, uint64_t delay_ms,
                                     const char *reason, bool dead, struct kvpbus_failure *failure)
{
    Kvpbus__Control__NackRequest nack = KVPBUS__CONTROL__NACK_REQUEST__INIT;
    Request request = KVPBUS__CONTROL__REQUEST__INIT;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_NACK;
    request.nack = &nack;
    nack.lease = lease;
    nack.delay_ms = delay_ms;
    nack.reason = text(reason);
    nack.dead = dead;
    return begin(client, CLIENT_SIMPLE, &request, failure);
}

enum kvpbus_error kvpbus_client_extend(struct kvpbus_client *client, int64_t lease,
                                       uint64_t lease_ms, struct kvpbus_failure *failure)
{
    Kvpbus__Control__ExtendRequest extend = KVPBUS__CONTROL__EXTEND_REQUEST__INIT;
    Request request = KVPBUS__CONTROL__REQUEST__INIT;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_EXTEND;
    request.extend = &extend;
    extend.lease = lease;
    extend.lease_ms = lease_ms;
    return begin(client, CLIENT_SIMPLE, &request, failure);
}

// --- afterwards ---

enum kvpbus_error kvpbus_client_withdraw(struct kvpbus_client *client, const char *id, bool wait,
                                         struct kvpbus_failure *failure)
{
    Kvpbus__Control__WithdrawRequest withdraw = KVPBUS__CONTROL__WITHDRAW_REQUEST__INIT;
    Request request = KVPBUS__CONTROL__REQUEST__INIT;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_WITHDRAW;
    request.withdraw = &withdraw;
    withdraw.id = text(id);
    withdraw.wait = wait;
    return begin(client, CLIENT_WITHDRAW, &request, failure);
}

enum kvpbus_error kvpbus_client_show(struct kvpbus_client *client, const char *id,
                                     struct kvpbus_failure *failure)
{
    Kvpbus__Control__ShowRequest show = KVPBUS__CONTROL__SHOW_REQUEST__INIT;
    Request request = KVPBUS__CONTROL__REQUEST__INIT;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_SHOW;
    request.show = &show;
    show.id = text(id);
    return begin(client, CLIENT_SHOW, &request, failure);
}

enum kvpbus_error kvpbus_client_dead(struct kvpbus_client *client, enum kvpbus_dead_verb verb,
                                     const struct kvpbus_dead_query *query,
                                     struct kvpbus_failure *failure)
{
    Kvpbus__Control__DeadRequest dead = KVPBUS__CONTROL__DEAD_REQUEST__INIT;
    Request request = KVPBUS__CONTROL__REQUEST__INIT;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_DEAD;
    request.dead = &dead;
    dead.verb = (Kvpbus__Control__DeadRequest__Verb)verb;
    dead.peer = text(query->peer);
    dead.pattern = text(query->pattern);
    dead.id = text(query->id);
    dead.all = query->all;
    if (verb != KVPBUS_DEAD_LIST)
        return begin(client, verb == KVPBUS_DEAD_SHOW ? CLIENT_DEAD_SHOW : CLIENT_SIMPLE, &request,
                     failure);
    char *peer = strdup(dead.peer), *pattern = strdup(dead.pattern);
    enum kvpbus_error error = peer == NULL || pattern == NULL
                                  ? kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory")
                                  : begin(client, CLIENT_DEAD_LIST, &request, failure);
    if (error != KVPBUS_OK) {
        free(peer);
        free(pattern);
        return error;
    }
    client->dead_peer = peer;
    client->dead_pattern = pattern;
    return KVPBUS_OK;
}

// Of one id there is one page.
enum kvpbus_error client_ask_letters(struct kvpbus_client *client, uint64_t after,
                                     struct kvpbus_failure *failure)
{
    Kvpbus__Control__DeadRequest dead = KVPBUS__CONTROL__DEAD_REQUEST__INIT;
    Request request = KVPBUS__CONTROL__REQUEST__INIT;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_DEAD;
    request.dead = &dead;
    dead.peer = client->dead_peer;
    dead.pattern = client->dead_pattern;
    dead.after = after;
    return go_on(client, &request, failure);
}
