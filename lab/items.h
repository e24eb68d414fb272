// SPDX-License-Identifier: Apache-2.0
//
// A bounded, ordered list of key-value items, and the file in which a VM's host items are kept.
#ifndef KVPBUS_LAB_ITEMS_H
#define KVPBUS_LAB_ITEMS_H

#include <stdbool.h>
#include <stddef.h>

#include "kvpbus/error.h"

enum {
    // Limits of the wire in UTF-16 units without the NUL (fact sheet part 1), and the bytes of
    // UTF-8 that they can take.
    KVPBUS_LAB_KEY_UNITS = 255,
    KVPBUS_LAB_VALUE_UNITS = 1023,
    KVPBUS_LAB_KEY_BYTES = 3 * KVPBUS_LAB_KEY_UNITS,
    KVPBUS_LAB_VALUE_BYTES = 3 * KVPBUS_LAB_VALUE_UNITS,
};

struct kvpbus_lab_item {
    char key[KVPBUS_LAB_KEY_BYTES + 1];
    // With room for one more character, which makes a call's value too long.
    char value[KVPBUS_LAB_VALUE_BYTES + 4 + 1];
};

// Zero-initialised apart from `limit`, which the owner sets; kvpbus_lab_items_free frees the array.
struct kvpbus_lab_items {
    struct kvpbus_lab_item *items;
    size_t count;
    size_t capacity;
    size_t limit; // never more items than this
};

void kvpbus_lab_items_free(struct kvpbus_lab_items *items);
void kvpbus_lab_items_clear(struct kvpbus_lab_items *items);

// The item with this key, or NULL.
struct kvpbus_lab_item *kvpbus_lab_items_find(const struct kvpbus_lab_items *items,
                                              const char *key);

// Adds an item at the end, whatever the keys that are there; both texts are within the limits.
// Returns false when the limit is reached or there is no memory.
bool kvpbus_lab_items_append(struct kvpbus_lab_items *items, const char *key, const char *value);

// Removes an item that kvpbus_lab_items_find gave; the order of the others stays.
void kvpbus_lab_items_remove(struct kvpbus_lab_items *items, struct kvpbus_lab_item *item);

// Reads the items of a file that kvpbus_lab_items_save wrote; a missing file is an empty list.
// On an error the list is empty.
enum kvpbus_error kvpbus_lab_items_load(struct kvpbus_lab_items *items, const char *path,
                                        struct kvpbus_failure *failure);

// Replaces the file in one step. It is not flushed to the disk: the lab survives a kill, not a
// power cut.
enum kvpbus_error kvpbus_lab_items_save(const struct kvpbus_lab_items *items, const char *path,
                                        struct kvpbus_failure *failure);

#endif
