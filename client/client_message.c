// SPDX-License-Identifier: Apache-2.0
//
// What the service tells, in the terms of include/kvpbus/client.h.
#include <stdlib.h>
#include <string.h>

#include "client_internal.h"

// What a newer service may call otherwise is taken as normal.
static enum kvpbus_class class_of(const char *name)
{
    enum kvpbus_class class_ = KVPBUS_CLASS_NORMAL;
    kvpbus_class_parse(name, &class_);
    return class_;
}

enum kvpbus_outcome client_outcome(const char *name)
{
    enum kvpbus_outcome outcome = KVPBUS_OUTCOME_PENDING;
    while (outcome < KVPBUS_OUTCOME_UNKNOWN && strcmp(name, kvpbus_outcome_name(outcome)) != 0)
        outcome++;
    return outcome;
}

// --- a message ---

void client_message_forget(struct kvpbus_client *client)
{
    if (client->head != NULL)
        kvpbus__control__response__free_unpacked(client->head, NULL);
    free(client->body);
    client->head = NULL;
    client->body = NULL;
    client->body_size = 0;
    client->message = (struct kvpbus_incoming){0};
}

// Grows with what comes, not with what is announced.
static bool hold(struct kvpbus_client *client, size_t length)
{
    if (length < client->body_size)
        return true;
    size_t size = 2 * length + 1;
    if (size > client->head->delivery->body_length)
        size = (size_t)client->head->delivery->body_length + 1;
    uint8_t *grown = realloc(client->body, size);
    if (grown == NULL)
        return false;
    client->body = grown;
    client->body_size = size;
    return true;
}

static void finish(struct kvpbus_client *client, bool *whole)
{
    *whole = client->message.body_length == client->head->delivery->body_length;
    if (!*whole)
        return;
    client->body[client->message.body_length] = '\0';
    client->message.body = client->body;
}

enum kvpbus_error client_message_begin(struct kvpbus_client *client,
                                       Kvpbus__Control__Response *response, bool *whole,
                                       struct kvpbus_failure *failure)
{
    const Kvpbus__Control__Delivery *from = response->delivery;
    client_message_forget(client);
    client->head = response;
    if (from->body_length > KVPBUS_CLIENT_BODY_MAX || from->n_headers > KVPBUS_HEADERS_MAX ||
        from->kind > KVPBUS_KIND_LAST_REPLY)
        return client_strange(client, failure);
    for (size_t i = 0; i < from->n_headers; i++) {
        client->headers[i].name = from->headers[i]->name;
        client->headers[i].value = from->headers[i]->value;
    }
    client->message = (struct kvpbus_incoming){
        .lease = from->lease,
        .peer = from->peer,
        .id = from->id,
        .topic = from->topic,
        .stream = from->stream,
        .class_ = class_of(from->class_),
        .kind = (enum kvpbus_kind)from->kind,
        .status = from->status,
        .reply_to = from->reply_to,
        .created_ms = (int64_t)from->created_ms,
        .ttl_ms = from->ttl_ms,
        .try_ = from->try_,
        .headers = client->headers,
        .header_count = from->n_headers,
    };
    if (!hold(client, 0))
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    finish(client, whole);
    return KVPBUS_OK;
}

enum kvpbus_error client_message_add(struct kvpbus_client *client,
                                     const Kvpbus__Control__Chunk *chunk, bool *whole,
                                     struct kvpbus_failure *failure)
{
    size_t length = client->message.body_length;
    if (client->head == NULL || chunk->data.len == 0 ||
        chunk->data.len > client->head->delivery->body_length - length)
        return client_strange(client, failure);
    if (!hold(client, length + chunk->data.len)) {
        client->open = false; // the rest would be taken for something else
        client_clear(client);
        return kvpbus_fail(failure, KVPBUS_NOMEM, "no memory for a message of %llu bytes",
                           (unsigned long long)client->head->delivery->body_length);
    }
    memcpy(client->body + length, chunk->data.data, chunk->data.len);
    client->message.body_length += chunk->data.len;
    finish(client, whole);
    return KVPBUS_OK;
}

// --- what the journal knows ---

void client_read_record(struct kvpbus_client *client, const Kvpbus__Control__Record *record)
{
    client->record = (struct kvpbus_record){
        .sent = record->sent,
        .peer = record->peer,
        .id = record->id,
        .topic = record->topic,
        .stream = record->stream,
        .class_ = class_of(record->class_),
        .size = record->size,
        .queued_ms = (int64_t)record->queued_ms,
        .outcome = record->sent ? client_outcome(record->outcome) : KVPBUS_OUTCOME_PENDING,
        .reason = record->reason,
        .settled_ms = (int64_t)record->settled_ms,
        .receipt = record->receipt,
        .consumed_ms = (int64_t)record->consumed_ms,
        .place = record->place,
        .tries = record->tries,
    };
}

void client_read_letter(struct kvpbus_client *client, const Kvpbus__Control__DeadLetter *letter)
{
    client->letter = (struct kvpbus_letter){
        .number = letter->number,
        .peer = letter->peer,
        .id = letter->id,
        .topic = letter->topic,
        .stream = letter->stream,
        .class_ = class_of(letter->class_),
        .size = letter->size,
        .tries = letter->tries,
        .died_ms = (int64_t)letter->died_ms,
        .reason = letter->reason,
    };
}
