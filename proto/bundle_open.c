// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "bundle_internal.h"
#include "kvpbus.pb-c.h"
#include "packing.h"

struct kvpbus_bundle_content {
    Kvpbus__Wire__Bundle *unpacked; // what the messages point into
    struct kvpbus_header *headers;  // of all messages, one after the other
    size_t count;
    struct kvpbus_message messages[];
};

enum {
    // Memory that protobuf-c takes for a message of the most headers, all empty: the message, its
    // headers with two strings each, and what it remembers while it parses (at most 64 bytes for a
    // field, in blocks that double).
    UNPACKED_HEADER = sizeof(Kvpbus__Wire__Header) + sizeof(void *) + 2 + 2 * 64,
    UNPACKED_MESSAGE = sizeof(Kvpbus__Wire__Message) + sizeof(void *) + 16 + 4 * 64 +
                       KVPBUS_HEADERS_MAX * UNPACKED_HEADER,
    UNPACKED_BASE = sizeof(Kvpbus__Wire__Bundle) + KVPBUS_BUNDLE_MESSAGES_MAX * UNPACKED_MESSAGE,
};

// Few bytes of protobuf can stand for many empty structures: unpacking has a budget.
struct budget {
    size_t left;
    enum kvpbus_error error; // KVPBUS_BAD_BUNDLE: it was exceeded
};

static void *budget_allocate(void *data, size_t size)
{
    struct budget *budget = data;
    if (size > budget->left) {
        budget->error = KVPBUS_BAD_BUNDLE;
        return NULL;
    }
    budget->left -= size;
    void *block = malloc(size);
    if (block == NULL)
        budget->error = KVPBUS_NOMEM;
    return block;
}

static void budget_release(void *data, void *block)
{
    (void)data;
    free(block);
}

// What was unpacked goes back the way that it came.
static void unpacked_free(Kvpbus__Wire__Bundle *unpacked)
{
    ProtobufCAllocator allocator = {budget_allocate, budget_release, NULL};
    kvpbus__wire__bundle__free_unpacked(unpacked, &allocator);
}

static enum kvpbus_error refuse(struct kvpbus_failure *failure, const char *what)
{
    return kvpbus_fail(failure, KVPBUS_BAD_BUNDLE, "the peer signed a bundle %s", what);
}

static enum kvpbus_error no_memory(struct kvpbus_failure *failure)
{
    return kvpbus_fail(failure, KVPBUS_NOMEM, "no memory to open a bundle");
}

static enum kvpbus_error unpack(const uint8_t *plain, size_t length,
                                Kvpbus__Wire__Bundle **unpacked, struct kvpbus_failure *failure)
{
    // What the plain bytes hold is copied once; all else is in the base.
    struct budget budget = {.left = UNPACKED_BASE + length, .error = KVPBUS_OK};
    ProtobufCAllocator allocator = {budget_allocate, budget_release, &budget};
    *unpacked = kvpbus__wire__bundle__unpack(&allocator, length, plain);
    if (*unpacked != NULL)
        return KVPBUS_OK;
    if (budget.error == KVPBUS_NOMEM)
        return no_memory(failure);
    return refuse(failure, budget.error == KVPBUS_BAD_BUNDLE
                               ? "of more messages or fields than there may be"
                               : "that is not the protobuf of one");
}

// Counts, and that no other bytes would say the same: a string that ends before its length says, or
// a field that overrides an earlier one, might be read otherwise by somebody else.
static enum kvpbus_error check_unpacked(const Kvpbus__Wire__Bundle *bundle, size_t length,
                                        size_t *headers, struct kvpbus_failure *failure)
{
    if (bundle->n_messages == 0 || bundle->n_messages > KVPBUS_BUNDLE_MESSAGES_MAX)
        return refuse(failure, "of no messages or of too many");
    for (size_t i = 0; i < bundle->n_messages; i++) {
        const Kvpbus__Wire__Message *message = bundle->messages[i];
        if (message->operator_signature.len != 0 &&
            message->operator_signature.len != KVPBUS_OPERATOR_SIGNATURE)
            return refuse(failure, "with an operator's signature of a wrong length");
        if (message->index > UINT16_MAX ||
            (i > 0 && message->index <= bundle->messages[i - 1]->index))
            return refuse(failure, "in which the indices do not ascend");
        *headers += message->n_headers;
    }
    if (kvpbus__wire__bundle__get_packed_size(bundle) != length)
        return refuse(failure, "in an encoding that is not the shortest");
    return KVPBUS_OK;
}

static const uint8_t *bytes_or_null(const ProtobufCBinaryData *data)
{
    return data->len > 0 ? data->data : NULL;
}

static enum kvpbus_error convert(const Kvpbus__Wire__Message *from,
                                 const struct kvpbus_bundle_position *position, size_t plain_max,
                                 struct kvpbus_header *headers, struct kvpbus_message *to,
                                 struct kvpbus_failure *failure)
{
    *to = (struct kvpbus_message){
        .id.index = (uint16_t)from->index,
        .topic = from->topic,
        .stream = from->stream,
        .class_ = position->class_,
        .sequence = from->sequence,
        .ttl_ms = from->ttl_ms,
        .kind = (enum kvpbus_kind)from->kind,
        .receipt = from->receipt != 0,
        .status = from->status,
        .correlation = bytes_or_null(&from->correlation),
        .correlation_length = from->correlation.len,
        .headers = from->n_headers > 0 ? headers : NULL,
        .header_count = from->n_headers,
        .body = bytes_or_null(&from->body),
        .body_length = from->body.len,
        .operator_signature = bytes_or_null(&from->operator_signature),
    };
    memcpy(to->id.bundle, position->id, sizeof position->id);
    for (size_t i = 0; i < from->n_headers; i++)
        headers[i] = (struct kvpbus_header){from->headers[i]->name, from->headers[i]->value};
    if (from->sequence == 0 ||
        __builtin_add_overflow(position->created_ms, from->created_offset, &to->created_ms) ||
        to->created_ms < 0)
        return refuse(failure, "with a message of no sequence or of an impossible time");

    enum kvpbus_error error = kvpbus_message_check(to, plain_max, failure);
    if (error == KVPBUS_OK)
        return KVPBUS_OK;
    kvpbus_failure_wrap(failure, "the peer signed a bundle with a message that is not valid");
    if (failure != NULL)
        failure->code = KVPBUS_BAD_BUNDLE;
    return KVPBUS_BAD_BUNDLE;
}

// Takes `unpacked` over, also when it fails.
static enum kvpbus_error build(Kvpbus__Wire__Bundle *unpacked, size_t plain_length,
                               const struct kvpbus_bundle_position *position, size_t plain_max,
                               struct kvpbus_bundle_content **content,
                               struct kvpbus_failure *failure)
{
    size_t headers = 0;
    enum kvpbus_error error = check_unpacked(unpacked, plain_length, &headers, failure);
    if (error != KVPBUS_OK) {
        unpacked_free(unpacked);
        return error;
    }
    struct kvpbus_bundle_content *built =
        calloc(1, sizeof *built + unpacked->n_messages * sizeof built->messages[0]);
    if (built == NULL) {
        unpacked_free(unpacked);
        return no_memory(failure);
    }
    built->unpacked = unpacked;
    built->count = unpacked->n_messages;
    built->headers = calloc(headers + 1, sizeof *built->headers);
    error = built->headers == NULL ? no_memory(failure) : KVPBUS_OK;
    struct kvpbus_header *next = built->headers;
    for (size_t i = 0; error == KVPBUS_OK && i < built->count; i++) {
        error =
            convert(unpacked->messages[i], position, plain_max, next, &built->messages[i], failure);
        next += unpacked->messages[i]->n_headers;
    }
    if (error == KVPBUS_OK)
        *content = built;
    else
        kvpbus_bundle_content_free(built);
    return error;
}

static enum kvpbus_error open_verified(const struct kvpbus_bundle_header *header,
                                       const uint8_t *packed, size_t plain_max,
                                       struct kvpbus_bundle_content **content,
                                       struct kvpbus_failure *failure)
{
    uint8_t *inflated = NULL;
    if (header->compressed) {
        inflated = malloc(header->plain_length);
        if (inflated == NULL)
            return no_memory(failure);
        enum kvpbus_error error =
            kvpbus_inflate(packed, header->packed_length, inflated, header->plain_length);
        if (error != KVPBUS_OK) {
            free(inflated);
            return error == KVPBUS_NOMEM
                       ? no_memory(failure)
                       : refuse(failure, "that does not inflate to the length that it declares");
        }
    }
    Kvpbus__Wire__Bundle *unpacked = NULL;
    const uint8_t *plain = inflated != NULL ? inflated : packed;
    enum kvpbus_error error = unpack(plain, header->plain_length, &unpacked, failure);
    free(inflated);
    if (error != KVPBUS_OK)
        return error;
    return build(unpacked, header->plain_length, &header->position, plain_max, content, failure);
}

enum kvpbus_error kvpbus_bundle_open(const struct kvpbus_route *route, const uint8_t *sealed,
                                     size_t sealed_length, size_t plain_max,
                                     struct kvpbus_bundle_content **content,
                                     struct kvpbus_failure *failure)
{
    struct kvpbus_bundle_header header;
    enum kvpbus_error error = kvpbus_bundle_header_read(sealed, sealed_length, &header, failure);
    if (error != KVPBUS_OK)
        return error;
    if (header.packed_length != sealed_length - KVPBUS_BUNDLE_HEADER)
        return kvpbus_fail(failure, KVPBUS_BAD_BUNDLE,
                           "a bundle of %zu bytes that declares %u packed ones", sealed_length,
                           header.packed_length);
    if (header.plain_length > plain_max)
        return kvpbus_fail(failure, KVPBUS_TOO_LARGE,
                           "a bundle of %u plain bytes; the limit is %zu: raise it, or lower that "
                           "of the peer",
                           header.plain_length, plain_max);

    const uint8_t *packed = sealed + KVPBUS_BUNDLE_HEADER;
    uint8_t text[KVPBUS_BUNDLE_SIGNED];
    kvpbus_bundle_signed(route, sealed, packed, header.packed_length, text);
    if (crypto_sign_verify_detached(sealed + KVPBUS_BUNDLE_SIGNED_HEADER, text, sizeof text,
                                    route->sender) != 0)
        return kvpbus_fail(failure, KVPBUS_BAD_SIGNATURE,
                           "a bundle that the peer did not sign for this VM and this direction");
    return open_verified(&header, packed, plain_max, content, failure);
}

const struct kvpbus_message *kvpbus_bundle_messages(const struct kvpbus_bundle_content *content,
                                                    size_t *count)
{
    *count = content->count;
    return content->messages;
}

void kvpbus_bundle_content_free(struct kvpbus_bundle_content *content)
{
    if (content == NULL)
        return;
    unpacked_free(content->unpacked);
    free(content->headers);
    free(content);
}
