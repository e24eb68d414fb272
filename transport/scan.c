// SPDX-License-Identifier: Apache-2.0
#include "kvpbus/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 16 };

static bool printable(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] < ' ' || text[i] > '~')
            return false;
    }
    return true;
}

static bool has_prefix(const char *prefix, const char *key, size_t key_length)
{
    size_t length = strlen(prefix);
    return key_length > length && memcmp(key, prefix, length) == 0 && key[length] == '.';
}

static bool make_room(struct kvpbus_scan *scan)
{
    if (scan->count < scan->capacity)
        return true;
    size_t capacity = scan->capacity == 0 ? FIRST_CAPACITY : scan->capacity * 2;
    if (capacity > KVPBUS_SCAN_MAX)
        capacity = KVPBUS_SCAN_MAX;
    struct kvpbus_item *items = realloc(scan->items, capacity * sizeof(*items));
    if (items == NULL)
        return false;
    scan->items = items;
    scan->capacity = capacity;
    return true;
}

bool kvpbus_prefix_valid(const char *prefix)
{
    size_t length = strnlen(prefix, KVPBUS_PREFIX_MAX + 1);
    if (length == 0 || length > KVPBUS_PREFIX_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = prefix[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9'))
            return false;
    }
    return true;
}

void kvpbus_scan_clear(struct kvpbus_scan *scan)
{
    scan->count = 0;
    scan->foreign = 0;
    scan->skipped = 0;
}

void kvpbus_scan_free(struct kvpbus_scan *scan)
{
    free(scan->items);
    memset(scan, 0, sizeof(*scan));
}

enum kvpbus_error kvpbus_scan_add(struct kvpbus_scan *scan, const char *prefix, const char *key,
                                  size_t key_length, const char *value, size_t value_length)
{
    assert(scan->count <= scan->capacity && scan->capacity <= KVPBUS_SCAN_MAX);
    if (!has_prefix(prefix, key, key_length)) {
        scan->foreign++;
        return KVPBUS_OK;
    }
    if (scan->count == KVPBUS_SCAN_MAX || key_length > KVPBUS_KEY_MAX ||
        value_length > KVPBUS_VALUE_MAX || !printable(key, key_length) ||
        !printable(value, value_length)) {
        scan->skipped++;
        return KVPBUS_OK;
    }
    if (!make_room(scan))
        return KVPBUS_NOMEM;
    struct kvpbus_item *item = &scan->items[scan->count++];
    memcpy(item->key, key, key_length);
    item->key[key_length] = '\0';
    memcpy(item->value, value, value_length);
    item->value[value_length] = '\0';
    return KVPBUS_OK;
}
