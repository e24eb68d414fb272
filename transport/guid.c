// SPDX-License-Identifier: Apache-2.0
#include "kvpbus/management.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

// True where the text form has a hyphen instead of a digit.
static bool hyphen_at(size_t position)
{
    return position == 8 || position == 13 || position == 18 || position == 23;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

void kvpbus_guid_format(const uint8_t guid[KVPBUS_GUID_BYTES], char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t half = 0; // counts half bytes
    for (size_t i = 0; i < KVPBUS_GUID_TEXT; i++) {
        if (hyphen_at(i)) {
            text[i] = '-';
            continue;
        }
        unsigned byte = guid[half / 2];
        text[i] = digits[half % 2 == 0 ? byte >> 4 : byte & 15];
        half++;
    }
    assert(half == (size_t)2 * KVPBUS_GUID_BYTES);
    text[KVPBUS_GUID_TEXT] = '\0';
}

bool kvpbus_guid_parse(const char *text, uint8_t guid[KVPBUS_GUID_BYTES])
{
    size_t length = strnlen(text, KVPBUS_GUID_TEXT + 3);
    if (length == KVPBUS_GUID_TEXT + 2 && text[0] == '{' && text[length - 1] == '}')
        text++;
    else if (length != KVPBUS_GUID_TEXT)
        return false;

    uint8_t bytes[KVPBUS_GUID_BYTES] = {0};
    size_t half = 0;
    for (size_t i = 0; i < KVPBUS_GUID_TEXT; i++) {
        if (hyphen_at(i)) {
            if (text[i] != '-')
                return false;
            continue;
        }
        int value = digit_value(text[i]);
        if (value < 0)
            return false;
        bytes[half / 2] = (uint8_t)(bytes[half / 2] << 4 | value);
        half++;
    }
    memcpy(guid, bytes, sizeof(bytes));
    return true;
}
