// SPDX-License-Identifier: Apache-2.0
#include "pool_edit.h"

#include <assert.h>
#include <string.h>

#define NONE SIZE_MAX

struct edit {
    struct kvpbus_pool_image *image;
    const char *prefix;
    const struct kvpbus_change *changes;
    size_t count;
    const struct kvpbus_pool_sink *sink;
    enum kvpbus_error *results;
    size_t first[KVPBUS_CHANGES_MAX];   // the record that holds a change's key
    bool dead[KVPBUS_POOL_RECORDS_MAX]; // records of ours that are to go
    enum kvpbus_error append_fault;     // the file cannot grow
    enum kvpbus_error fault;            // the file cannot be written at all
};

static uint8_t *record_at(const struct kvpbus_pool_image *image, size_t index)
{
    assert(index < image->capacity);
    return image->bytes + index * KVPBUS_POOL_RECORD_BYTES;
}

static size_t field_length(const uint8_t *field, size_t size)
{
    const uint8_t *end = memchr(field, '\0', size);
    return end == NULL ? size : (size_t)(end - field);
}

static bool key_is(const uint8_t *record, const char *key)
{
    size_t length = field_length(record, KVPBUS_POOL_KEY_BYTES);
    return length == strlen(key) && memcmp(record, key, length) == 0;
}

static bool value_is(const uint8_t *record, const char *value)
{
    const uint8_t *field = record + KVPBUS_POOL_KEY_BYTES;
    size_t length = field_length(field, KVPBUS_POOL_VALUE_BYTES);
    return length == strlen(value) && memcmp(field, value, length) == 0;
}

static void encode(const struct kvpbus_change *change, uint8_t *record)
{
    memset(record, 0, KVPBUS_POOL_RECORD_BYTES);
    memcpy(record, change->key, strlen(change->key));
    memcpy(record + KVPBUS_POOL_KEY_BYTES, change->value, strlen(change->value));
}

enum kvpbus_error kvpbus_pool_scan(const struct kvpbus_pool_image *image, const char *prefix,
                                   struct kvpbus_scan *scan)
{
    for (size_t i = 0; i < image->count; i++) {
        const uint8_t *key = record_at(image, i);
        const uint8_t *value = key + KVPBUS_POOL_KEY_BYTES;
        enum kvpbus_error error = kvpbus_scan_add(
            scan, prefix, (const char *)key, field_length(key, KVPBUS_POOL_KEY_BYTES),
            (const char *)value, field_length(value, KVPBUS_POOL_VALUE_BYTES));
        if (error != KVPBUS_OK)
            return error;
    }
    return KVPBUS_OK;
}

// Finds the record of each change. Further ones with the same key are leftovers of a crash or of a
// second writer and go, as do those whose key is to be removed.
static void locate(struct edit *edit)
{
    size_t prefix_length = strlen(edit->prefix);
    for (size_t i = 0; i < edit->count; i++)
        edit->first[i] = NONE;
    for (size_t r = 0; r < edit->image->count; r++) {
        const uint8_t *record = record_at(edit->image, r);
        if (memcmp(record, edit->prefix, prefix_length) != 0 || record[prefix_length] != '.')
            continue;
        for (size_t i = 0; i < edit->count; i++) {
            if (!key_is(record, edit->changes[i].key))
                continue;
            if (edit->first[i] == NONE && edit->changes[i].value != NULL)
                edit->first[i] = r;
            else
                edit->dead[r] = true;
            break;
        }
    }
}

static enum kvpbus_error overwrite(struct edit *edit, size_t index, size_t field,
                                   const uint8_t *bytes, size_t length)
{
    size_t offset = index * KVPBUS_POOL_RECORD_BYTES + field;
    enum kvpbus_error error = edit->sink->overwrite(edit->sink->context, offset, bytes, length);
    if (error == KVPBUS_OK)
        memmove(edit->image->bytes + offset, bytes, length);
    else
        edit->fault = error;
    return error;
}

static enum kvpbus_error put_at(struct edit *edit, size_t index, const struct kvpbus_change *change)
{
    uint8_t record[KVPBUS_POOL_RECORD_BYTES];
    encode(change, record);
    enum kvpbus_error error = overwrite(edit, index, 0, record, sizeof(record));
    return error == KVPBUS_OK || error == KVPBUS_STORE_BUSY ? error : KVPBUS_STORE_UNKNOWN;
}

static enum kvpbus_error append(struct edit *edit, const struct kvpbus_change *change)
{
    struct kvpbus_pool_image *image = edit->image;
    if (image->cut || image->count == image->capacity)
        return KVPBUS_STORE_TOO_MANY;
    if (edit->append_fault != KVPBUS_OK)
        return edit->append_fault;
    uint8_t *record = record_at(image, image->count);
    encode(change, record);
    edit->append_fault =
        edit->sink->append(edit->sink->context, image->count * KVPBUS_POOL_RECORD_BYTES, record);
    if (edit->append_fault == KVPBUS_OK)
        image->count++;
    return edit->append_fault;
}

static size_t next_dead(const struct edit *edit, size_t from)
{
    while (from < edit->image->count && !edit->dead[from])
        from++;
    return from;
}

// New keys take the places of records that go anyway, then the end of the file.
static void put_all(struct edit *edit)
{
    for (size_t i = 0; i < edit->count; i++) {
        const struct kvpbus_change *change = &edit->changes[i];
        if (change->value == NULL || edit->first[i] == NONE)
            continue;
        if (edit->fault != KVPBUS_OK)
            edit->results[i] = edit->fault;
        else if (value_is(record_at(edit->image, edit->first[i]), change->value))
            edit->results[i] = KVPBUS_OK;
        else
            edit->results[i] = put_at(edit, edit->first[i], change);
    }
    size_t place = 0;
    for (size_t i = 0; i < edit->count; i++) {
        const struct kvpbus_change *change = &edit->changes[i];
        if (change->value == NULL || edit->first[i] != NONE)
            continue;
        place = next_dead(edit, place);
        if (edit->fault != KVPBUS_OK) {
            edit->results[i] = edit->fault;
        } else if (place < edit->image->count) {
            edit->dead[place] = false;
            edit->results[i] = put_at(edit, place, change);
        } else {
            edit->results[i] = append(edit, change);
        }
    }
}

// Moves record `from` to `to`, which holds a dead record of ours, and leaves a dead one behind.
static bool move_record(struct edit *edit, size_t from, size_t to)
{
    uint8_t dead_key[KVPBUS_POOL_KEY_BYTES];
    const uint8_t *record = record_at(edit->image, from);
    memcpy(dead_key, record_at(edit->image, to), sizeof(dead_key));
    return overwrite(edit, to, KVPBUS_POOL_KEY_BYTES, record + KVPBUS_POOL_KEY_BYTES,
                     KVPBUS_POOL_VALUE_BYTES) == KVPBUS_OK &&
           overwrite(edit, to, 0, record, KVPBUS_POOL_KEY_BYTES) == KVPBUS_OK &&
           overwrite(edit, from, 0, dead_key, KVPBUS_POOL_KEY_BYTES) == KVPBUS_OK;
}

// Closes the gaps. The records behind a gap shift up, as the daemon itself does it: the order of
// foreign records, which logs rely on, stays, and every program that reads pools knows this move.
// Our own mostly stand at the end, so that there is little to shift. Moving the last record into
// the gap would reorder; a blank record left in the gap would be shown to the host as an item
// without a name.
//
// A record is first copied as a value under a dead key of ours, then gets its key in one write of
// 512 aligned bytes, which no kill can split; only then its old place is made dead. So each record
// is whole in one place at least, and what a crash leaves over bears a key of ours: the next write
// of that key cleans it up.
static void compact(struct edit *edit)
{
    struct kvpbus_pool_image *image = edit->image;
    size_t to = next_dead(edit, 0);
    if (to == image->count || edit->fault != KVPBUS_OK)
        return;
    if (image->cut) {
        edit->fault = KVPBUS_STORE_TOO_MANY;
        return;
    }
    for (size_t from = to + 1; from < image->count; from++) {
        if (edit->dead[from])
            continue;
        if (!move_record(edit, from, to))
            return;
        to++;
    }
    enum kvpbus_error error =
        edit->sink->truncate(edit->sink->context, to * KVPBUS_POOL_RECORD_BYTES);
    if (error == KVPBUS_OK)
        image->count = to;
    else
        edit->fault = error;
}

static bool holds_key(const struct kvpbus_pool_image *image, const char *key)
{
    for (size_t r = 0; r < image->count; r++) {
        if (key_is(record_at(image, r), key))
            return true;
    }
    return false;
}

void kvpbus_pool_edit(struct kvpbus_pool_image *image, const char *prefix,
                      const struct kvpbus_change *changes, size_t count,
                      const struct kvpbus_pool_sink *sink, enum kvpbus_error *results)
{
    assert(count <= KVPBUS_CHANGES_MAX);
    assert(image->count <= image->capacity && image->capacity <= KVPBUS_POOL_RECORDS_MAX);
    struct edit edit = {
        .image = image,
        .prefix = prefix,
        .changes = changes,
        .count = count,
        .sink = sink,
        .results = results,
        .append_fault = KVPBUS_OK,
        .fault = KVPBUS_OK,
    };
    locate(&edit);
    put_all(&edit);
    compact(&edit);
    for (size_t i = 0; i < count; i++) {
        if (changes[i].value == NULL)
            results[i] = edit.fault != KVPBUS_OK && holds_key(image, changes[i].key) ? edit.fault
                                                                                     : KVPBUS_OK;
    }
}
