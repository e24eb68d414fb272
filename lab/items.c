// SPDX-License-Identifier: Apache-2.0
#include "items.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CAPACITY_FIRST = 16 };

void kvpbus_lab_items_free(struct kvpbus_lab_items *items)
{
    free(items->items);
    items->items = NULL;
    items->count = 0;
    items->capacity = 0;
}

void kvpbus_lab_items_clear(struct kvpbus_lab_items *items)
{
    items->count = 0;
}

struct kvpbus_lab_item *kvpbus_lab_items_find(const struct kvpbus_lab_items *items, const char *key)
{
    for (size_t i = 0; i < items->count; i++)
        if (strcmp(items->items[i].key, key) == 0)
            return &items->items[i];
    return NULL;
}

static bool grow(struct kvpbus_lab_items *items)
{
    size_t capacity = items->capacity == 0 ? CAPACITY_FIRST : items->capacity * 2;
    if (capacity > items->limit)
        capacity = items->limit;
    struct kvpbus_lab_item *array = realloc(items->items, capacity * sizeof *array);
    if (array == NULL)
        return false;
    items->items = array;
    items->capacity = capacity;
    return true;
}

bool kvpbus_lab_items_append(struct kvpbus_lab_items *items, const char *key, const char *value)
{
    size_t key_length = strlen(key);
    size_t value_length = strlen(value);
    assert(key_length <= KVPBUS_LAB_KEY_BYTES);
    assert(value_length <= KVPBUS_LAB_VALUE_BYTES);
    if (items->count >= items->limit)
        return false;
    if (items->count == items->capacity && !grow(items))
        return false;
    struct kvpbus_lab_item *item = &items->items[items->count++];
    memcpy(item->key, key, key_length + 1);
    memcpy(item->value, value, value_length + 1);
    return true;
}

void kvpbus_lab_items_remove(struct kvpbus_lab_items *items, struct kvpbus_lab_item *item)
{
    size_t index = (size_t)(item - items->items);
    assert(index < items->count);
    memmove(item, item + 1, (items->count - index - 1) * sizeof *item);
    items->count--;
}

static enum kvpbus_error fill(struct kvpbus_lab_items *items, const json_t *root, const char *path,
                              struct kvpbus_failure *failure)
{
    size_t index;
    json_t *entry;
    if (!json_is_array(root))
        return kvpbus_fail(failure, KVPBUS_CONFIG, "%s is not a list of items", path);
    json_array_foreach(root, index, entry)
    {
        const char *key = json_string_value(json_object_get(entry, "key"));
        const char *value = json_string_value(json_object_get(entry, "value"));
        if (key == NULL || value == NULL || strlen(key) > KVPBUS_LAB_KEY_BYTES ||
            strlen(value) > KVPBUS_LAB_VALUE_BYTES)
            return kvpbus_fail(failure, KVPBUS_CONFIG, "item %zu in %s is not one", index, path);
        if (!kvpbus_lab_items_append(items, key, value))
            return kvpbus_fail(failure, KVPBUS_STORE_TOO_MANY, "%s has more than %zu items", path,
                               items->limit);
    }
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_lab_items_load(struct kvpbus_lab_items *items, const char *path,
                                        struct kvpbus_failure *failure)
{
    kvpbus_lab_items_clear(items);
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return KVPBUS_OK;
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL)
        return kvpbus_fail(failure, KVPBUS_CONFIG, "%s line %d: %s", path, error.line, error.text);
    enum kvpbus_error code = fill(items, root, path, failure);
    json_decref(root);
    if (code != KVPBUS_OK)
        kvpbus_lab_items_clear(items);
    return code;
}

// NULL when there is no memory, or when a text is not UTF-8, which the callers have excluded.
static json_t *to_json(const struct kvpbus_lab_items *items)
{
    json_t *root = json_array();
    for (size_t i = 0; root != NULL && i < items->count; i++) {
        const struct kvpbus_lab_item *item = &items->items[i];
        if (json_array_append_new(
                root, json_pack("{s:s, s:s}", "key", item->key, "value", item->value)) != 0) {
            json_decref(root);
            return NULL;
        }
    }
    return root;
}

enum kvpbus_error kvpbus_lab_items_save(const struct kvpbus_lab_items *items, const char *path,
                                        struct kvpbus_failure *failure)
{
    char next[4096];
    if ((size_t)snprintf(next, sizeof next, "%s.new", path) >= sizeof next)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "the path %s is too long", path);
    json_t *root = to_json(items);
    if (root == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "writing %s", path);
    int status = json_dump_file(root, next, JSON_INDENT(1));
    json_decref(root);
    if (status != 0 || rename(next, path) != 0) {
        int error = errno;
        unlink(next);
        return kvpbus_fail(failure, KVPBUS_IO, "cannot write %s: %s", path, strerror(error));
    }
    return KVPBUS_OK;
}
