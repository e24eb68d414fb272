// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "bundle_internal.h"
#include "kvpbus.pb-c.h"
#include "packing.h"

// The messages in the form that protobuf-c packs; texts and bodies are those of the caller.
struct wire {
    Kvpbus__Wire__Bundle bundle;
    Kvpbus__Wire__Message *messages;
    Kvpbus__Wire__Message **message_list;
    Kvpbus__Wire__Header *headers; // of all messages, one after the other
    Kvpbus__Wire__Header **header_list;
};

static void wire_free(struct wire *wire)
{
    free(wire->messages);
    free(wire->message_list);
    free(wire->headers);
    free(wire->header_list);
}

static bool wire_allocate(struct wire *wire, const struct kvpbus_message *messages, size_t count)
{
    assert(count > 0);
    size_t headers = 1; // so that there is a block even when there are none
    for (size_t i = 0; i < count; i++)
        headers += messages[i].header_count;
    wire->messages = calloc(count, sizeof *wire->messages);
    wire->message_list = calloc(count, sizeof(Kvpbus__Wire__Message *));
    wire->headers = calloc(headers, sizeof *wire->headers);
    wire->header_list = calloc(headers, sizeof(Kvpbus__Wire__Header *));
    return wire->messages != NULL && wire->message_list != NULL && wire->headers != NULL &&
           wire->header_list != NULL;
}

static ProtobufCBinaryData binary(const uint8_t *bytes, size_t length)
{
    return (ProtobufCBinaryData){.len = bytes == NULL ? 0 : length, .data = (uint8_t *)bytes};
}

static void wire_message(const struct kvpbus_message *from, int64_t created_ms,
                         Kvpbus__Wire__Message *to)
{
    kvpbus__wire__message__init(to);
    to->index = from->id.index;
    to->topic = (char *)from->topic;
    if (from->stream != NULL)
        to->stream = (char *)from->stream;
    to->sequence = from->sequence;
    to->created_offset = from->created_ms - created_ms;
    to->ttl_ms = from->ttl_ms;
    to->kind = (Kvpbus__Wire__Kind)from->kind;
    to->receipt = from->receipt;
    to->status = from->status;
    to->correlation = binary(from->correlation, from->correlation_length);
    to->body = binary(from->body, from->body_length);
    to->operator_signature = binary(from->operator_signature, KVPBUS_OPERATOR_SIGNATURE);
}

static void wire_fill(struct wire *wire, const struct kvpbus_message *messages, size_t count,
                      int64_t created_ms)
{
    size_t header = 0;
    for (size_t i = 0; i < count; i++) {
        Kvpbus__Wire__Message *message = &wire->messages[i];
        wire_message(&messages[i], created_ms, message);
        message->n_headers = messages[i].header_count;
        message->headers = &wire->header_list[header];
        for (size_t j = 0; j < messages[i].header_count; j++, header++) {
            kvpbus__wire__header__init(&wire->headers[header]);
            wire->headers[header].name = (char *)messages[i].headers[j].name;
            wire->headers[header].value = (char *)messages[i].headers[j].value;
            wire->header_list[header] = &wire->headers[header];
        }
        wire->message_list[i] = message;
    }
    kvpbus__wire__bundle__init(&wire->bundle);
    wire->bundle.n_messages = count;
    wire->bundle.messages = wire->message_list;
}

// What kvpbus_bundle_open would refuse is not sealed.
static enum kvpbus_error check_message(const struct kvpbus_message *messages, size_t i,
                                       const struct kvpbus_bundle_position *position,
                                       struct kvpbus_failure *failure)
{
    const struct kvpbus_message *message = &messages[i];
    if (message->class_ != position->class_)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "message %zu is not of the bundle's class", i);
    if (i > 0 && message->id.index <= messages[i - 1].id.index)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "the index of message %zu does not ascend", i);
    if (message->sequence == 0 || message->created_ms < 0)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "message %zu has no sequence or an impossible time", i);
    return kvpbus_message_check(message, UINT32_MAX, failure);
}

static enum kvpbus_error check_arguments(const struct kvpbus_route *route, const uint8_t *secret,
                                         const struct kvpbus_bundle_position *position,
                                         const struct kvpbus_message *messages, size_t count,
                                         struct kvpbus_failure *failure)
{
    // The second half of an Ed25519 secret key is its public key.
    if (memcmp(secret + 32, route->sender, KVPBUS_IDENTITY_BYTES) != 0)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "the signing key is not that of the sender");
    if (count == 0 || count > KVPBUS_BUNDLE_MESSAGES_MAX)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "%zu messages; a bundle has 1 to %d",
                           count, KVPBUS_BUNDLE_MESSAGES_MAX);
    if ((unsigned)position->class_ >= KVPBUS_CLASS_COUNT || position->number == 0 ||
        position->created_ms < 0)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "the bundle's class, number or time is not valid");
    for (size_t i = 0; i < count; i++) {
        enum kvpbus_error error = check_message(messages, i, position, failure);
        if (error != KVPBUS_OK)
            return error;
    }
    return KVPBUS_OK;
}

// The packed bytes behind room for a header, in a new block that never holds more than the plain
// bytes would take.
static enum kvpbus_error pack(const Kvpbus__Wire__Bundle *bundle,
                              struct kvpbus_bundle_header *header, uint8_t **sealed)
{
    size_t plain_length = kvpbus__wire__bundle__get_packed_size(bundle);
    if (plain_length > UINT32_MAX - KVPBUS_BUNDLE_HEADER)
        return KVPBUS_TOO_LARGE;
    uint8_t *plain = malloc(plain_length);
    uint8_t *block = malloc(KVPBUS_BUNDLE_HEADER + plain_length);
    size_t packed_length = 0;
    enum kvpbus_error error = plain != NULL && block != NULL ? KVPBUS_OK : KVPBUS_NOMEM;
    if (error == KVPBUS_OK) {
        kvpbus__wire__bundle__pack(bundle, plain);
        error = kvpbus_deflate(plain, plain_length, block + KVPBUS_BUNDLE_HEADER, plain_length - 1,
                               &packed_length);
    }
    if (error != KVPBUS_OK) {
        free(plain);
        free(block);
        return error;
    }
    header->compressed = packed_length > 0;
    if (!header->compressed) {
        memcpy(block + KVPBUS_BUNDLE_HEADER, plain, plain_length);
        packed_length = plain_length;
    }
    free(plain);
    header->plain_length = (uint32_t)plain_length;
    header->packed_length = (uint32_t)packed_length;
    *sealed = block;
    return KVPBUS_OK;
}

static void sign(const struct kvpbus_route *route, const uint8_t *secret, uint8_t *sealed,
                 size_t packed_length)
{
    uint8_t text[KVPBUS_BUNDLE_SIGNED];
    kvpbus_bundle_signed(route, sealed, sealed + KVPBUS_BUNDLE_HEADER, packed_length, text);
    crypto_sign_detached(sealed + KVPBUS_BUNDLE_SIGNED_HEADER, NULL, text, sizeof text, secret);
}

enum kvpbus_error kvpbus_bundle_seal(const struct kvpbus_route *route,
                                     const uint8_t secret[KVPBUS_SECRET_BYTES],
                                     const struct kvpbus_bundle_position *position,
                                     const struct kvpbus_message *messages, size_t count,
                                     size_t sealed_max, uint8_t **sealed, size_t *sealed_length,
                                     struct kvpbus_failure *failure)
{
    enum kvpbus_error error = check_arguments(route, secret, position, messages, count, failure);
    if (error != KVPBUS_OK)
        return error;

    struct kvpbus_bundle_header header = {.position = *position};
    struct wire wire;
    uint8_t *block = NULL;
    error = KVPBUS_NOMEM;
    if (wire_allocate(&wire, messages, count)) {
        wire_fill(&wire, messages, count, position->created_ms);
        error = pack(&wire.bundle, &header, &block);
    }
    wire_free(&wire);
    size_t length = (size_t)KVPBUS_BUNDLE_HEADER + header.packed_length;
    if (error == KVPBUS_OK && length > sealed_max) {
        free(block);
        error = KVPBUS_TOO_LARGE;
    }
    if (error != KVPBUS_OK)
        return kvpbus_fail(failure, error,
                           error == KVPBUS_NOMEM ? "no memory to seal a bundle"
                                                 : "the messages do not fit one bundle");

    kvpbus_bundle_header_write(&header, block);
    sign(route, secret, block, header.packed_length);
    uint8_t *shrunk = realloc(block, length);
    if (shrunk != NULL)
        block = shrunk;
    *sealed = block;
    *sealed_length = length;
    return KVPBUS_OK;
}

void kvpbus_bundle_sign_again(const struct kvpbus_route *route,
                              const uint8_t secret[KVPBUS_SECRET_BYTES], uint8_t *sealed,
                              size_t sealed_length)
{
    assert(sealed_length > KVPBUS_BUNDLE_HEADER);
    sign(route, secret, sealed, sealed_length - KVPBUS_BUNDLE_HEADER);
}
