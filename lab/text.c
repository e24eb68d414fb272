// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <stdint.h>
#include <string.h>

// Bytes of the character at text[0], 0 when it is not well-formed UTF-8 (overlong forms and
// surrogates included).
static size_t character(const unsigned char *text, size_t length)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t size = 1; size <= 4; size++) {
        if ((text[0] & forms[size - 1].mask) != forms[size - 1].lead)
            continue;
        if (size > length)
            return 0;
        uint32_t code = text[0] & (unsigned char)~forms[size - 1].mask;
        for (size_t i = 1; i < size; i++) {
            if ((text[i] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | (text[i] & 0x3fU);
        }
        bool surrogate = code >= 0xd800 && code <= 0xdfff;
        return code >= forms[size - 1].least && code <= 0x10ffff && !surrogate ? size : 0;
    }
    return 0;
}

bool kvpbus_lab_text_fit(const char *text, size_t text_length, size_t units, size_t bytes,
                         size_t *length)
{
    size_t used = 0;
    size_t end = 0;
    bool full = false;
    for (size_t at = 0; at < text_length;) {
        size_t size = character((const unsigned char *)text + at, text_length - at);
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
