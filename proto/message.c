// SPDX-License-Identifier: Apache-2.0
#include "kvpbus/message.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "utf8.h"

enum { HEX = 2 * KVPBUS_BUNDLE_ID_BYTES };

static bool name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

bool kvpbus_topic_valid(const char *topic)
{
    size_t length = strnlen(topic, KVPBUS_TOPIC_MAX + 1);
    if (length == 0 || length > KVPBUS_TOPIC_MAX)
        return false;
    bool in_name = false;
    for (size_t i = 0; i < length; i++) {
        if (name_byte(topic[i]))
            in_name = true;
        else if (topic[i] == '.' && in_name)
            in_name = false;
        else
            return false;
    }
    return in_name;
}

// Printable ASCII without a space.
static bool graphic(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '!' || text[i] > '~')
            return false;
    }
    return true;
}

bool kvpbus_stream_valid(const char *stream)
{
    size_t length = strnlen(stream, KVPBUS_STREAM_MAX + 1);
    return length <= KVPBUS_STREAM_MAX && graphic(stream, length);
}

// Control characters could play tricks on a terminal or a log.
bool kvpbus_text_valid(const char *text, size_t max)
{
    size_t length = strnlen(text, max + 1);
    if (length > max)
        return false;
    for (size_t i = 0; i < length;) {
        size_t step = kvpbus_utf8_character(text + i, length - i);
        if (step == 0 || (text[i] >= 0 && text[i] < ' ') || text[i] == 0x7f)
            return false;
        i += step;
    }
    return true;
}

static enum kvpbus_error check_headers(const struct kvpbus_message *message,
                                       struct kvpbus_failure *failure)
{
    if (message->header_count > KVPBUS_HEADERS_MAX)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "%zu headers; a message has at most %d", message->header_count,
                           KVPBUS_HEADERS_MAX);
    for (size_t i = 0; i < message->header_count; i++) {
        const struct kvpbus_header *header = &message->headers[i];
        size_t length = strnlen(header->name, KVPBUS_HEADER_NAME_MAX + 1);
        if (length == 0 || length > KVPBUS_HEADER_NAME_MAX || !graphic(header->name, length))
            return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                               "the name of header %zu is not 1 to %d printable characters "
                               "without a space",
                               i + 1, KVPBUS_HEADER_NAME_MAX);
        if (!kvpbus_text_valid(header->value, KVPBUS_HEADER_VALUE_MAX))
            return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                               "the value of header '%s' is not up to %d bytes of UTF-8 "
                               "without control characters",
                               header->name, KVPBUS_HEADER_VALUE_MAX);
    }
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_message_check(const struct kvpbus_message *message, size_t body_max,
                                       struct kvpbus_failure *failure)
{
    // The rejected text itself is left out of the detail: it may hold anything.
    if (message->topic == NULL || !kvpbus_topic_valid(message->topic))
        return kvpbus_fail(failure, KVPBUS_BAD_TOPIC,
                           "a topic is 1 to %d bytes: names of letters, digits, _ and - joined by "
                           "single dots",
                           KVPBUS_TOPIC_MAX);
    if (message->stream != NULL && !kvpbus_stream_valid(message->stream))
        return kvpbus_fail(failure, KVPBUS_BAD_STREAM,
                           "a stream is up to %d printable characters without a space",
                           KVPBUS_STREAM_MAX);
    if ((unsigned)message->class_ >= KVPBUS_CLASS_COUNT)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "there is no class %u",
                           (unsigned)message->class_);
    if ((unsigned)message->kind > KVPBUS_KIND_RECEIPT)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "there is no kind %u",
                           (unsigned)message->kind);
    if (message->correlation_length > KVPBUS_CORRELATION_MAX)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "a correlation of %zu bytes; it has at most %d",
                           message->correlation_length, KVPBUS_CORRELATION_MAX);
    if (message->body_length > body_max)
        return kvpbus_fail(failure, KVPBUS_TOO_LARGE,
                           "a body of %zu bytes; the limit is %zu: send it in parts or raise the "
                           "limit on both sides",
                           message->body_length, body_max);
    return check_headers(message, failure);
}

void kvpbus_message_id_format(const struct kvpbus_message_id *id, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < HEX; i++)
        text[i] = digits[id->bundle[i / 2] >> (i % 2 == 0 ? 4 : 0) & 0xf];
    snprintf(text + HEX, KVPBUS_MESSAGE_ID_TEXT - HEX, ".%u", (unsigned)id->index);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool kvpbus_message_id_parse(const char *text, struct kvpbus_message_id *id)
{
    struct kvpbus_message_id parsed = {.index = 0};
    for (size_t i = 0; i < HEX; i++) {
        int digit = hex_digit(text[i]); // the terminating NUL is no digit either
        if (digit < 0)
            return false;
        parsed.bundle[i / 2] = (uint8_t)(parsed.bundle[i / 2] << 4 | digit);
    }
    const char *at = text + HEX;
    if (*at++ != '.' || *at < '0' || *at > '9' || (*at == '0' && at[1] != '\0'))
        return false;
    unsigned index = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        index = 10 * index + (unsigned)(*at - '0');
        if (index > UINT16_MAX)
            return false;
    }
    parsed.index = (uint16_t)index;
    if (*at == '\0')
        *id = parsed;
    return *at == '\0';
}

static const char *const class_names[KVPBUS_CLASS_COUNT] = {
    [KVPBUS_CLASS_CONTROL] = "control",
    [KVPBUS_CLASS_NORMAL] = "normal",
    [KVPBUS_CLASS_BULK] = "bulk",
};

const char *kvpbus_class_name(enum kvpbus_class class_)
{
    assert((unsigned)class_ < KVPBUS_CLASS_COUNT);
    return class_names[class_];
}

bool kvpbus_class_parse(const char *name, enum kvpbus_class *class_)
{
    for (size_t i = 0; i < KVPBUS_CLASS_COUNT; i++) {
        if (strcmp(name, class_names[i]) == 0) {
            *class_ = (enum kvpbus_class)i;
            return true;
        }
    }
    return false;
}

const char *kvpbus_outcome_name(enum kvpbus_outcome outcome)
{
    switch (outcome) {
    case KVPBUS_OUTCOME_PENDING:
        return "pending";
    case KVPBUS_OUTCOME_DELIVERED:
        return "delivered";
    case KVPBUS_OUTCOME_EXPIRED:
        return "expired";
    case KVPBUS_OUTCOME_DEAD:
        return "dead";
    case KVPBUS_OUTCOME_UNKNOWN:
        return "unknown";
    }
    return "unlisted";
}
