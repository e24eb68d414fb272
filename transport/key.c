// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "item.h"

void kvpbus_key_format(const char *prefix, enum kvpbus_key_kind kind, unsigned slot, char *key)
{
    assert(kvpbus_prefix_valid(prefix) && kind != KVPBUS_KEY_OTHER);
    if (kind == KVPBUS_KEY_SLOT) {
        assert(slot < KVPBUS_RING_MAX);
        snprintf(key, KVPBUS_KEY_MAX + 1, "%s.%02u", prefix, slot);
    } else {
        snprintf(key, KVPBUS_KEY_MAX + 1, "%s.%c", prefix, kind == KVPBUS_KEY_HELLO ? 'h' : 's');
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

enum kvpbus_key_kind kvpbus_key_parse(const char *prefix, const char *key, unsigned *slot)
{
    size_t length = strlen(prefix);
    if (strncmp(key, prefix, length) != 0 || key[length] != '.')
        return KVPBUS_KEY_OTHER;
    const char *name = key + length + 1;
    if (strcmp(name, "h") == 0)
        return KVPBUS_KEY_HELLO;
    if (strcmp(name, "s") == 0)
        return KVPBUS_KEY_STATE;
    if (!is_digit(name[0]) || !is_digit(name[1]) || name[2] != '\0')
        return KVPBUS_KEY_OTHER;
    unsigned number = 10 * (unsigned)(name[0] - '0') + (unsigned)(name[1] - '0');
    if (number >= KVPBUS_RING_MAX)
        return KVPBUS_KEY_OTHER;
    *slot = number;
    return KVPBUS_KEY_SLOT;
}
