// SPDX-License-Identifier: Apache-2.0
#include "utf8.h"

#include <stdint.h>

size_t kvpbus_utf8_character(const char *text, size_t left)
{
    const uint8_t *at = (const uint8_t *)text;
    if (at[0] < 0x80)
        return 1;
    size_t length = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
        (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return length;
}

void kvpbus_utf8_mend(char *text)
{
    for (size_t length; *text != '\0'; text += length) {
        length = kvpbus_utf8_character(text, 4);
        if (length == 0)
            text[length++] = '?';
    }
}
