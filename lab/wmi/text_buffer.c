// SPDX-License-Identifier: Apache-2.0
#include "text_buffer.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_FIRST = 256 };

void kvpbus_cim_text_add_bytes(struct kvpbus_cim_text *text, const char *part, size_t length)
{
    size_t needed = text->length + length + 1;
    if (text->failed)
        return;
    if (needed > text->capacity) {
        size_t capacity = text->capacity == 0 ? CAPACITY_FIRST : text->capacity;
        while (capacity < needed)
            capacity *= 2;
        char *bytes = realloc(text->bytes, capacity);
        if (bytes == NULL) {
            text->failed = true;
            return;
        }
        text->bytes = bytes;
        text->capacity = capacity;
    }
    memcpy(text->bytes + text->length, part, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

void kvpbus_cim_text_add(struct kvpbus_cim_text *text, const char *part)
{
    kvpbus_cim_text_add_bytes(text, part, strlen(part));
}

char *kvpbus_cim_text_take(struct kvpbus_cim_text *text)
{
    kvpbus_cim_text_add(text, "");
    char *bytes = text->bytes;
    if (text->failed) {
        free(bytes);
        bytes = NULL;
    }
    *text = (struct kvpbus_cim_text){0};
    return bytes;
}
