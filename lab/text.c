// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <stdint.h>
#include <string.h>

#include "utf8.h"

bool kvpbus_lab_text_fit(const char *text, size_t text_length, size_t units, size_t bytes,
                         size_t *length)
{
    size_t used = 0;
    size_t end = 0;
    bool full = false;
    for (size_t at = 0; at < text_length;) {
        size_t size = kvpbus_utf8_character(text + at, text_length - at);
        if (size == 0)
            return false;
        size_t width = size == 4 ? 2 : 1;
        full = full || used + width > units || at + size > bytes;
        at += size;
        if (!full) {
            used += width;
            end = at;
        }
    }
    *length = end;
    return true;
}

bool kvpbus_lab_text_within(const char *text, size_t text_length, size_t units)
{
    size_t length;
    return kvpbus_lab_text_fit(text, text_length, units, SIZE_MAX, &length) &&
           length == text_length;
}

void kvpbus_lab_text_trim(char *text)
{
    size_t first = strspn(text, " ");
    size_t end = strlen(text);
    if (text[first] == '\0')
        return;
    while (text[end - 1] == ' ')
        end--;
    memmove(text, text + first, end - first);
    text[end - first] = '\0';
}

static const char *reference(char character)
{
    switch (character) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    default:
        return NULL;
    }
}

void kvpbus_lab_text_escape(char *text, size_t size)
{
    size_t length = 0;
    size_t at = strlen(text);
    for (size_t i = 0; text[i] != '\0'; i++)
        length += reference(text[i]) != NULL ? strlen(reference(text[i])) : 1;
    if (length >= size)
        return;
    text[length] = '\0';
    while (at > 0) { // from behind, so that nothing is overwritten before it was read
        const char *written = reference(text[--at]);
        size_t bytes = written != NULL ? strlen(written) : 1;
        length -= bytes;
        if (written != NULL)
            memcpy(text + length, written, bytes);
        else
            text[length] = text[at];
    }
}
