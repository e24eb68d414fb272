// SPDX-License-Identifier: Apache-2.0
//
// A message as stored bytes: fixed fields, then strings with their NUL, correlation, signature and
// body. Only this program reads them back, from its own file; what does not fit is damage.
#include "big_endian.h"
#include "journal_internal.h"

enum {
    VERSION = 1,
    SIGNATURE_BYTES = 64,
    RECEIPT_WANTED = 0x80, // beside the kind
    FIXED = 1 + 1 + 1 + 4 + 8 + 8 + 2 + 2 + 1 + 1 + 1 + 4,
};

struct layout {
    uint8_t version, class_, kind;
    bool receipt;
    uint32_t status;
    uint64_t created, ttl;
    uint16_t topic, stream; // lengths without NUL
    uint8_t headers, correlation, signature;
    uint32_t body;
};

static void put(uint8_t **at, uint64_t value, size_t bytes)
{
    kvpbus_put_be(*at, value, bytes);
    *at += bytes;
}

static uint64_t take(const uint8_t **at, size_t bytes)
{
    uint64_t value = kvpbus_get_be(*at, bytes);
    *at += bytes;
    return value;
}

static void put_bytes(uint8_t **at, const void *bytes, size_t length)
{
    if (length > 0)
        memcpy(*at, bytes, length);
    *at += length;
}

static size_t encoded_size(const struct kvpbus_message *message, const char *stream)
{
    size_t size = FIXED + strlen(message->topic) + 1 + strlen(stream) + 1 +
                  message->correlation_length + message->body_length +
                  (message->operator_signature != NULL ? SIGNATURE_BYTES : 0);
    for (size_t i = 0; i < message->header_count; i++)
        size += strlen(message->headers[i].name) + 1 + strlen(message->headers[i].value) + 1;
    return size;
}

enum kvpbus_error journal_encode(struct kvpbus_journal *journal,
                                 const struct kvpbus_message *message, uint8_t **bytes,
                                 size_t *length)
{
    const char *stream = message->stream != NULL ? message->stream : "";
    *length = encoded_size(message, stream);
    *bytes = malloc(*length);
    if (*bytes == NULL)
        return kvpbus_fail(&journal->failure, KVPBUS_NOMEM, "out of memory for a message");
    uint8_t *at = *bytes;
    put(&at, VERSION, 1);
    put(&at, message->class_, 1);
    put(&at, (uint64_t)message->kind | (message->receipt ? RECEIPT_WANTED : 0), 1);
    put(&at, (uint32_t)message->status, 4);
    put(&at, (uint64_t)message->created_ms, 8);
    put(&at, message->ttl_ms, 8);
    put(&at, strlen(message->topic), 2);
    put(&at, strlen(stream), 2);
    put(&at, message->header_count, 1);
    put(&at, message->correlation_length, 1);
    put(&at, message->operator_signature != NULL ? SIGNATURE_BYTES : 0, 1);
    put(&at, message->body_length, 4);
    put_bytes(&at, message->topic, strlen(message->topic) + 1);
    put_bytes(&at, stream, strlen(stream) + 1);
    for (size_t i = 0; i < message->header_count; i++) {
        const struct kvpbus_header *header = &message->headers[i];
        put_bytes(&at, header->name, strlen(header->name) + 1);
        put_bytes(&at, header->value, strlen(header->value) + 1);
    }
    put_bytes(&at, message->correlation, message->correlation_length);
    if (message->operator_signature != NULL)
        put_bytes(&at, message->operator_signature, SIGNATURE_BYTES);
    put_bytes(&at, message->body, message->body_length);
    assert(at == *bytes + *length);
    return KVPBUS_OK;
}

// --- decoding ---

struct reader {
    const uint8_t *at, *end;
    bool bad;
};

static const uint8_t *bytes_of(struct reader *reader, size_t length)
{
    if (reader->bad || (size_t)(reader->end - reader->at) < length) {
        reader->bad = true;
        return NULL;
    }
    const uint8_t *start = reader->at;
    reader->at += length;
    return start;
}

static const char *text_of(struct reader *reader)
{
    const uint8_t *nul =
        reader->bad ? NULL : memchr(reader->at, 0, (size_t)(reader->end - reader->at));
    if (nul == NULL) {
        reader->bad = true;
        return NULL;
    }
    return (const char *)bytes_of(reader, (size_t)(nul - reader->at) + 1);
}

static bool read_layout(const uint8_t *bytes, size_t length, struct layout *layout)
{
    if (length < FIXED)
        return false;
    const uint8_t *at = bytes;
    layout->version = (uint8_t)take(&at, 1);
    layout->class_ = (uint8_t)take(&at, 1);
    layout->kind = (uint8_t)take(&at, 1);
    layout->receipt = (layout->kind & RECEIPT_WANTED) != 0;
    layout->kind &= (uint8_t)~RECEIPT_WANTED;
    layout->status = (uint32_t)take(&at, 4);
    layout->created = take(&at, 8);
    layout->ttl = take(&at, 8);
    layout->topic = (uint16_t)take(&at, 2);
    layout->stream = (uint16_t)take(&at, 2);
    layout->headers = (uint8_t)take(&at, 1);
    layout->correlation = (uint8_t)take(&at, 1);
    layout->signature = (uint8_t)take(&at, 1);
    layout->body = (uint32_t)take(&at, 4);
    assert(at == bytes + FIXED);
    return layout->version == VERSION && layout->class_ < KVPBUS_CLASS_COUNT &&
           layout->kind <= KVPBUS_KIND_RECEIPT && layout->headers <= KVPBUS_HEADERS_MAX &&
           (layout->signature == 0 || layout->signature == SIGNATURE_BYTES);
}

static bool fill(struct reader *reader, const struct layout *layout, struct kvpbus_header *headers,
                 struct kvpbus_message *message)
{
    *message = (struct kvpbus_message){
        .class_ = (enum kvpbus_class)layout->class_,
        .kind = (enum kvpbus_kind)layout->kind,
        .receipt = layout->receipt,
        .status = (int32_t)layout->status,
        .created_ms = (int64_t)layout->created,
        .ttl_ms = layout->ttl,
        .header_count = layout->headers,
        .headers = layout->headers > 0 ? headers : NULL,
        .correlation_length = layout->correlation,
        .body_length = layout->body,
    };
    message->topic = text_of(reader);
    message->stream = text_of(reader);
    for (size_t i = 0; i < layout->headers; i++) {
        headers[i].name = text_of(reader);
        headers[i].value = text_of(reader);
    }
    const uint8_t *correlation = bytes_of(reader, layout->correlation);
    const uint8_t *signature = bytes_of(reader, layout->signature);
    message->body = bytes_of(reader, layout->body);
    message->correlation = layout->correlation > 0 ? correlation : NULL;
    message->operator_signature = layout->signature > 0 ? signature : NULL;
    return !reader->bad && reader->at == reader->end && strlen(message->topic) == layout->topic &&
           strlen(message->stream) == layout->stream;
}

enum kvpbus_error journal_decode(struct kvpbus_journal *journal, const void *bytes, size_t length,
                                 size_t head, void **block, struct kvpbus_message *message)
{
    struct layout layout;
    if (bytes == NULL || !read_layout(bytes, length, &layout))
        return journal_damaged(journal, "a message cannot be read");
    // The caller's head, the list of headers, the bytes.
    size_t align = _Alignof(max_align_t);
    size_t list = (head + align - 1) / align * align;
    size_t copy = list + layout.headers * sizeof(struct kvpbus_header);
    uint8_t *memory = malloc(copy + length);
    if (memory == NULL)
        return kvpbus_fail(&journal->failure, KVPBUS_NOMEM, "out of memory for a message");
    memcpy(memory + copy, bytes, length);
    struct reader reader = {.at = memory + copy + FIXED, .end = memory + copy + length};
    if (!fill(&reader, &layout, (struct kvpbus_header *)(void *)(memory + list), message)) {
        free(memory);
        return journal_damaged(journal, "a message cannot be read");
    }
    *block = memory;
    return KVPBUS_OK;
}
