// SPDX-License-Identifier: Apache-2.0
#include "message_copy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SIGNATURE = 64 };

static size_t text_size(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

static void *put(uint8_t **at, const void *bytes, size_t length)
{
    if (bytes == NULL)
        return NULL;
    void *start = *at;
    memcpy(start, bytes, length);
    *at += length;
    return start;
}

struct kvpbus_message *kvpbus_message_copy(const struct kvpbus_message *message)
{
    size_t headers = message->header_count * sizeof *message->headers;
    size_t size = sizeof *message + headers + text_size(message->topic) +
                  text_size(message->stream) + message->correlation_length + message->body_length +
                  (message->operator_signature != NULL ? SIGNATURE : 0);
    for (size_t i = 0; i < message->header_count; i++)
        size += text_size(message->headers[i].name) + text_size(message->headers[i].value);

    struct kvpbus_message *copy = malloc(size);
    if (copy == NULL)
        return NULL;
    *copy = *message;
    // The headers come first, where the memory is aligned for them.
    struct kvpbus_header *list = (struct kvpbus_header *)(copy + 1);
    uint8_t *at = (uint8_t *)list + headers;
    copy->headers = message->header_count > 0 ? list : NULL;
    for (size_t i = 0; i < message->header_count; i++) {
        const struct kvpbus_header *header = &message->headers[i];
        list[i].name = put(&at, header->name, text_size(header->name));
        list[i].value = put(&at, header->value, text_size(header->value));
    }
    copy->topic = put(&at, message->topic, text_size(message->topic));
    copy->stream = put(&at, message->stream, text_size(message->stream));
    copy->correlation = put(&at, message->correlation, message->correlation_length);
    copy->body = put(&at, message->body, message->body_length);
    copy->operator_signature = put(&at, message->operator_signature, SIGNATURE);
    assert((size_t)(at - (uint8_t *)copy) <= size);
    return copy;
}
