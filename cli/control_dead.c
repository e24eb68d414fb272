// SPDX-License-Identifier: Apache-2.0
//
// Dead letters: a page of them, one with its body, and what is to become of them.
#include <assert.h>

#include "control_client_state.h"

typedef Kvpbus__Control__Response Response;
typedef Kvpbus__Control__DeadRequest DeadRequest;

static void on_list(void *context, const struct kvpbus_dead_letter *letters, size_t count,
                    bool more, const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    Kvpbus__Control__DeadLetter list[KVPBUS_DEAD_PAGE], *pointers[KVPBUS_DEAD_PAGE];
    char ids[KVPBUS_DEAD_PAGE][KVPBUS_MESSAGE_ID_TEXT];
    char guids[KVPBUS_DEAD_PAGE][KVPBUS_GUID_TEXT + 1];
    Kvpbus__Control__DeadLetters said = KVPBUS__CONTROL__DEAD_LETTERS__INIT;
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    if (!control_returned(client))
        return;
    if (failure->code != KVPBUS_OK) {
        control_fail(client, failure->code, failure->detail);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct kvpbus_dead_letter *letter = &letters[i];
        const struct kvpbus_endpoint *from = kvpbus_bus_find(client->bus, letter->peer);
        kvpbus_message_id_format(&letter->id, ids[i]);
        pointers[i] = &list[i];
        kvpbus__control__dead_letter__init(&list[i]);
        list[i].number = (uint64_t)letter->number;
        list[i].peer = (char *)kvpbus_service_name(control_service(client), from, guids[i]);
        list[i].id = ids[i];
        list[i].topic = (char *)letter->topic;
        list[i].stream = (char *)letter->stream;
        list[i].class_ = (char *)kvpbus_class_name(letter->class_);
        list[i].size = letter->size;
        list[i].tries = letter->tries;
        list[i].died_ms = (uint64_t)letter->died_ms;
        list[i].reason = (char *)letter->reason;
    }
    said.n_letters = count;
    said.letters = pointers;
    said.more = more;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_DEAD_LETTERS;
    response.dead_letters = &said;
    client->request = CONTROL_IDLE;
    control_respond(client, &response);
}

static void on_letter(void *context, struct kvpbus_delivery *delivery,
                      const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    if (!control_returned(client)) {
        kvpbus_delivery_free(delivery);
        return;
    }
    if (delivery != NULL)
        control_say_delivery(client, delivery);
    else
        control_fail(client, failure->code, failure->detail);
}

static void on_walked(void *context, size_t count, const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    if (!control_returned(client))
        return;
    if (failure->code != KVPBUS_OK)
        control_fail(client, failure->code, failure->detail);
    else if (client->dead_by_id && count == 0)
        control_fail(client, KVPBUS_NOT_FOUND,
                     "there is no dead letter with this id, or no longer");
    else
        control_done_with(client, count);
}

// False: the client has been told what is wrong.
static bool read_filter(struct control_client *client, const DeadRequest *request,
                        struct kvpbus_dead_filter *filter, struct kvpbus_message_id *id)
{
    if (request->peer[0] != '\0') {
        struct kvpbus_endpoint *from = control_named(client, request->peer);
        if (from == NULL)
            return false;
        filter->peer = kvpbus_endpoint_peer(from)->id;
    }
    client->dead_by_id = request->id[0] != '\0';
    if (client->dead_by_id && !kvpbus_message_id_parse(request->id, id)) {
        control_fail(client, KVPBUS_INVALID_ARGUMENT, CONTROL_NO_ID);
        return false;
    }
    filter->id = client->dead_by_id ? id : NULL;
    filter->pattern = request->pattern[0] != '\0' ? request->pattern : NULL;
    bool which = request->verb == KVPBUS__CONTROL__DEAD_REQUEST__VERB__LIST || client->dead_by_id ||
                 (request->all && request->verb != KVPBUS__CONTROL__DEAD_REQUEST__VERB__SHOW);
    if (!which)
        control_fail(client, KVPBUS_INVALID_ARGUMENT, "name the dead letter by its id, or all");
    return which;
}

void control_dead(struct control_client *client, const DeadRequest *request)
{
    struct kvpbus_dead_filter filter = {0};
    struct kvpbus_message_id id;
    if (request->after > INT64_MAX) {
        control_fail(client, KVPBUS_INVALID_ARGUMENT, "");
        return;
    }
    if (!read_filter(client, request, &filter, &id))
        return;
    client->request = CONTROL_BUSY;
    client->jobs++;
    switch ((int)request->verb) {
    case KVPBUS__CONTROL__DEAD_REQUEST__VERB__LIST:
        kvpbus_bus_dead_list(client->bus, &filter, (int64_t)request->after, on_list, client);
        return;
    case KVPBUS__CONTROL__DEAD_REQUEST__VERB__SHOW:
        kvpbus_bus_dead_get(client->bus, &filter, on_letter, client);
        return;
    case KVPBUS__CONTROL__DEAD_REQUEST__VERB__RETRY:
        kvpbus_bus_dead_retry(client->bus, &filter, on_walked, client);
        return;
    case KVPBUS__CONTROL__DEAD_REQUEST__VERB__DROP:
        kvpbus_bus_dead_drop(client->bus, &filter, on_walked, client);
        return;
    default:
        client->jobs--;
        control_fail(client, KVPBUS_UNSUPPORTED,
                     "the service does not know this request; is it older than the command?");
    }
}
