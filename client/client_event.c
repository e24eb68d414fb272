// SPDX-License-Identifier: Apache-2.0
//
// What becomes of an operation: responses of the service in, events out.
#include <stdio.h>
#include <string.h>

#include "client_internal.h"

typedef Kvpbus__Control__Response Response;

// Found out while a response is looked at.
struct turn {
    struct kvpbus_client *client;
    struct kvpbus_client_event *event;
    bool shown; // the event is to be given
    bool kept;  // the response belongs to the client now
    struct kvpbus_failure *failure;
};

// --- single responses ---

// The event points into the response.
static void show(struct turn *turn, Response *response, enum kvpbus_client_event_kind kind)
{
    struct kvpbus_client *client = turn->client;
    if (client->response != NULL)
        kvpbus__control__response__free_unpacked(client->response, NULL);
    client->response = response;
    client->next = 0;
    turn->kept = true;
    turn->shown = true;
    turn->event->kind = kind;
}

static void show_queued(struct turn *turn, Response *response)
{
    show(turn, response, KVPBUS_CLIENT_QUEUED);
    turn->event->id = response->queued->id;
    turn->event->peer = response->queued->peer;
}

static void show_outcome(struct turn *turn, Response *response)
{
    const Kvpbus__Control__Outcome *outcome = response->outcome;
    show(turn, response, KVPBUS_CLIENT_OUTCOME);
    turn->event->id = outcome->id;
    turn->event->peer = outcome->peer;
    turn->event->outcome = client_outcome(outcome->outcome);
    turn->event->reason = outcome->reason;
    turn->event->consumed = outcome->consumed;
}

static void show_message(struct turn *turn)
{
    turn->shown = true;
    turn->event->kind = KVPBUS_CLIENT_MESSAGE;
    turn->event->id = turn->client->message.id;
    turn->event->peer = turn->client->message.peer;
    turn->event->message = &turn->client->message;
}

static void end(struct turn *turn)
{
    turn->client->owed = false;
    turn->client->ended = true;
}

// --- operations, one response further ---

static enum kvpbus_error on_send(struct turn *turn, Response *response)
{
    struct kvpbus_client *client = turn->client;
    switch (response->kind_case) {
    case KVPBUS__CONTROL__RESPONSE__KIND_QUEUED:
        show_queued(turn, response);
        if (!client->several && !client->wait)
            end(turn);
        return KVPBUS_OK;
    case KVPBUS__CONTROL__RESPONSE__KIND_REFUSED:
        show(turn, response, KVPBUS_CLIENT_REFUSED);
        turn->event->peer = response->refused->peer;
        turn->event->code = (enum kvpbus_error)response->refused->code;
        turn->event->reason = response->refused->detail;
        return KVPBUS_OK;
    case KVPBUS__CONTROL__RESPONSE__KIND_PROGRESS:
        turn->shown = true;
        turn->event->kind = KVPBUS_CLIENT_PROGRESS;
        turn->event->acknowledged = response->progress->acknowledged;
        turn->event->total = response->progress->total;
        return KVPBUS_OK;
    case KVPBUS__CONTROL__RESPONSE__KIND_OUTCOME:
        show_outcome(turn, response);
        if (!client->several)
            end(turn);
        return KVPBUS_OK;
    case KVPBUS__CONTROL__RESPONSE__KIND_DONE:
        end(turn);
        return KVPBUS_OK;
    default:
        return client_strange(client, turn->failure);
    }
}

// The parts of a message that comes. *whole: it is all there.
static enum kvpbus_error on_delivery(struct turn *turn, Response *response, bool *whole)
{
    *whole = false;
    if (response->kind_case == KVPBUS__CONTROL__RESPONSE__KIND_CHUNK)
        return client_message_add(turn->client, response->chunk, whole, turn->failure);
    if (response->kind_case != KVPBUS__CONTROL__RESPONSE__KIND_DELIVERY)
        return client_strange(turn->client, turn->failure);
    turn->kept = true;
    return client_message_begin(turn->client, response, whole, turn->failure);
}

static enum kvpbus_error on_receive(struct turn *turn, Response *response)
{
    bool whole;
    if (response->kind_case == KVPBUS__CONTROL__RESPONSE__KIND_OUTCOME) {
        show_outcome(turn, response);
        end(turn);
        return KVPBUS_OK;
    }
    enum kvpbus_error error = on_delivery(turn, response, &whole);
    if (error == KVPBUS_OK && whole) {
        show_message(turn);
        end(turn);
    }
    return error;
}

// A reply is acknowledged before it is given: whoever got it has nothing more to do.
static enum kvpbus_error on_request(struct turn *turn, Response *response)
{
    struct kvpbus_client *client = turn->client;
    bool whole;
    switch (response->kind_case) {
    case KVPBUS__CONTROL__RESPONSE__KIND_QUEUED:
        show_queued(turn, response);
        snprintf(client->request, sizeof client->request, "%s", response->queued->id);
        client->owed = false;
        return KVPBUS_OK;
    case KVPBUS__CONTROL__RESPONSE__KIND_OUTCOME:
        show_outcome(turn, response);
        end(turn);
        return KVPBUS_OK;
    case KVPBUS__CONTROL__RESPONSE__KIND_DONE:
        if (!client->acking)
            return client_strange(client, turn->failure);
        show_message(turn);
        client->owed = client->acking = false;
        client->ended = client->message.kind == KVPBUS_KIND_LAST_REPLY;
        return KVPBUS_OK;
    default:;
        enum kvpbus_error error = on_delivery(turn, response, &whole);
        client->acking = error == KVPBUS_OK && whole;
        return client->acking ? client_ack_reply(client, turn->failure) : error;
    }
}

static enum kvpbus_error on_withdraw(struct turn *turn, Response *response)
{
    // Of what is under way to the peer, as for all who wait.
    if (response->kind_case == KVPBUS__CONTROL__RESPONSE__KIND_PROGRESS)
        return KVPBUS_OK;
    if (response->kind_case == KVPBUS__CONTROL__RESPONSE__KIND_OUTCOME)
        show_outcome(turn, response);
    else if (response->kind_case != KVPBUS__CONTROL__RESPONSE__KIND_DONE)
        return client_strange(turn->client, turn->failure);
    end(turn);
    return KVPBUS_OK;
}

// A list is kept, and given entry by entry.
static enum kvpbus_error on_list(struct turn *turn, Response *response)
{
    bool records = turn->client->operation == CLIENT_SHOW;
    if (response->kind_case != (records ? KVPBUS__CONTROL__RESPONSE__KIND_RECORDS
                                        : KVPBUS__CONTROL__RESPONSE__KIND_DEAD_LETTERS))
        return client_strange(turn->client, turn->failure);
    show(turn, response, KVPBUS_CLIENT_DONE);
    turn->shown = false;
    turn->client->owed = false;
    return KVPBUS_OK;
}

static enum kvpbus_error on_simple(struct turn *turn, Response *response)
{
    if (response->kind_case != KVPBUS__CONTROL__RESPONSE__KIND_DONE)
        return client_strange(turn->client, turn->failure);
    turn->client->count = response->done->count;
    end(turn);
    return KVPBUS_OK;
}

static enum kvpbus_error on_response(struct turn *turn, Response *response)
{
    switch (turn->client->operation) {
    case CLIENT_SEND:
        return on_send(turn, response);
    case CLIENT_REQUEST:
        return on_request(turn, response);
    case CLIENT_RECEIVE:
    case CLIENT_DEAD_SHOW:
        return on_receive(turn, response);
    case CLIENT_WITHDRAW:
        return on_withdraw(turn, response);
    case CLIENT_SHOW:
    case CLIENT_DEAD_LIST:
        return on_list(turn, response);
    case CLIENT_SIMPLE:
        return on_simple(turn, response);
    case CLIENT_NOTHING:
        break;
    }
    return client_strange(turn->client, turn->failure);
}

// --- without a response ---

// The next entry of a list, or the next page, or the end.
static enum kvpbus_error go_through_list(struct turn *turn)
{
    struct kvpbus_client *client = turn->client;
    if (client->operation == CLIENT_SHOW) {
        const Kvpbus__Control__Records *records = client->response->records;
        if (client->next == records->n_records) {
            client->ended = true;
            return KVPBUS_OK;
        }
        client_read_record(client, records->records[client->next++]);
        turn->event->kind = KVPBUS_CLIENT_RECORD;
        turn->event->id = client->record.id;
        turn->event->peer = client->record.peer;
        turn->event->record = &client->record;
        turn->shown = true;
        return KVPBUS_OK;
    }
    const Kvpbus__Control__DeadLetters *letters = client->response->dead_letters;
    if (client->next < letters->n_letters) {
        client_read_letter(client, letters->letters[client->next++]);
        turn->event->kind = KVPBUS_CLIENT_LETTER;
        turn->event->id = client->letter.id;
        turn->event->peer = client->letter.peer;
        turn->event->letter = &client->letter;
        turn->shown = true;
        return KVPBUS_OK;
    }
    if (letters->more && letters->n_letters > 0)
        return client_ask_letters(client, letters->letters[letters->n_letters - 1]->number,
                                  turn->failure);
    client->ended = true;
    return KVPBUS_OK;
}

// The service owes nothing: what comes now is up to the client.
static enum kvpbus_error own_turn(struct turn *turn)
{
    struct kvpbus_client *client = turn->client;
    if (client->ended) {
        turn->shown = true;
        turn->event->kind = KVPBUS_CLIENT_DONE;
        turn->event->count = client->count;
        client->ended = false;
        client->operation = CLIENT_NOTHING;
        return KVPBUS_OK;
    }
    if (client->operation == CLIENT_REQUEST)
        return client_ask_reply(client, turn->failure);
    return go_through_list(turn);
}

// Nothing is under way; an event loop wants to know all the same when the service hung up.
static enum kvpbus_error idle(struct kvpbus_client *client, struct kvpbus_failure *failure)
{
    Response *response = NULL;
    enum kvpbus_error error = client_take(client, 0, &response, failure);
    if (response != NULL)
        kvpbus__control__response__free_unpacked(response, NULL);
    if (error == KVPBUS_TIMEOUT)
        return kvpbus_fail(failure, KVPBUS_NOT_FOUND, "the client has nothing under way");
    // What was not asked for, a failure included: the service drops its clients with one.
    return error != KVPBUS_OK ? error : client_strange(client, failure);
}

static enum kvpbus_error step(struct turn *turn, int64_t deadline)
{
    struct kvpbus_client *client = turn->client;
    Response *response;
    if (!client->owed)
        return own_turn(turn);
    enum kvpbus_error error = client_take(client, deadline, &response, turn->failure);
    if (error != KVPBUS_OK)
        return error;
    error = on_response(turn, response);
    if (!turn->kept)
        kvpbus__control__response__free_unpacked(response, NULL);
    turn->kept = false;
    return error;
}

enum kvpbus_error kvpbus_client_next(struct kvpbus_client *client, int64_t timeout_ms,
                                     struct kvpbus_client_event *event,
                                     struct kvpbus_failure *failure)
{
    int64_t deadline = timeout_ms < 0 ? -1 : kvpbus_socket_now() + timeout_ms;
    struct turn turn = {.client = client, .event = event, .failure = failure};
    enum kvpbus_error error = KVPBUS_OK;
    *event = (struct kvpbus_client_event){.peer = "", .id = "", .reason = ""};
    if (client->operation == CLIENT_NOTHING)
        return idle(client, failure);
    while (error == KVPBUS_OK && !turn.shown)
        error = step(&turn, deadline);
    if (error != KVPBUS_OK && error != KVPBUS_TIMEOUT)
        client_forget_operation(client);
    return error;
}

enum kvpbus_error kvpbus_client_finish(struct kvpbus_client *client, int64_t timeout_ms,
                                       struct kvpbus_client_event *last,
                                       struct kvpbus_failure *failure)
{
    int64_t deadline = timeout_ms < 0 ? -1 : kvpbus_socket_now() + timeout_ms;
    struct kvpbus_client_event event = {
        .kind = KVPBUS_CLIENT_DONE, .peer = "", .id = "", .reason = ""};
    enum kvpbus_error error;
    do {
        if (last != NULL)
            *last = event;
        int64_t left = deadline < 0 ? -1 : deadline - kvpbus_socket_now();
        error = kvpbus_client_next(client, deadline >= 0 && left < 0 ? 0 : left, &event, failure);
    } while (error == KVPBUS_OK && event.kind != KVPBUS_CLIENT_DONE);
    if (error == KVPBUS_OK && last != NULL)
        last->count = event.count;
    return error;
}
