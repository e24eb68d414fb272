// SPDX-License-Identifier: Apache-2.0
//
// A pool file of arbitrary content is scanned and edited; the writer is killed at an arbitrary
// point and a second one repeats the edit. Foreign records must stay whole and in their order, and
// the second edit must have the wished effect.
//
// Input: one byte of flags, two of the kill point, one of the number of changes, a byte for each
// change, then the records in short form: 16 bytes of key, 16 of value; the rest is the part of a
// record at the end. With flag bit 0 the records are taken as they are, 2560 bytes each.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool_edit.h"

enum {
    STEP = 512,
    RECORDS_MAX = 40,
    SHORT = 16,
    RECORD = KVPBUS_POOL_RECORD_BYTES,
    CHANGES_MAX = 12
};

struct disk {
    uint8_t bytes[(RECORDS_MAX + CHANGES_MAX + 1) * RECORD];
    size_t length;
    size_t steps_left;
};

struct input {
    const uint8_t *data;
    size_t size;
};

static uint8_t take(struct input *input)
{
    if (input->size == 0)
        return 0;
    input->size--;
    return *input->data++;
}

static void require(int condition)
{
    if (!condition)
        abort();
}

static enum kvpbus_error put_bytes(struct disk *disk, size_t offset, const uint8_t *bytes,
                                   size_t length)
{
    for (size_t done = 0; done < length; done += STEP) {
        if (disk->steps_left == 0)
            return KVPBUS_IO;
        disk->steps_left--;
        memcpy(disk->bytes + offset + done, bytes + done, STEP);
        if (disk->length < offset + done + STEP)
            disk->length = offset + done + STEP;
    }
    return KVPBUS_OK;
}

static enum kvpbus_error overwrite(void *context, size_t offset, const uint8_t *bytes,
                                   size_t length)
{
    struct disk *disk = context;
    require(offset + length <= disk->length);
    return put_bytes(disk, offset, bytes, length);
}

static enum kvpbus_error append(void *context, size_t offset, const uint8_t *record)
{
    struct disk *disk = context;
    require(offset == disk->length / RECORD * RECORD);
    return put_bytes(disk, offset, record, RECORD);
}

static enum kvpbus_error truncate_disk(void *context, size_t length)
{
    struct disk *disk = context;
    if (disk->steps_left == 0)
        return KVPBUS_IO;
    require(length < disk->length && length % RECORD == 0);
    disk->length = length;
    return KVPBUS_OK;
}

static void load(struct disk *disk, struct input *input, int raw)
{
    size_t records = 0;
    size_t unit = raw ? RECORD : 2 * SHORT;
    while (input->size >= unit && records < RECORDS_MAX) {
        uint8_t *record = disk->bytes + records++ * RECORD;
        if (raw) {
            memcpy(record, input->data, RECORD);
        } else {
            memset(record, 0xee, RECORD);
            memcpy(record, input->data, SHORT);
            record[SHORT] = 0;
            memcpy(record + KVPBUS_POOL_KEY_BYTES, input->data + SHORT, SHORT);
            record[KVPBUS_POOL_KEY_BYTES + SHORT] = 0;
        }
        input->data += unit;
        input->size -= unit;
    }
    size_t rest = input->size < RECORD ? input->size : RECORD - 1;
    if (rest > 0)
        memcpy(disk->bytes + records * RECORD, input->data, rest);
    disk->length = records * RECORD + rest;
}

static void edit(struct disk *disk, const struct kvpbus_change *changes, size_t count,
                 enum kvpbus_error *results)
{
    static uint8_t bytes[sizeof(disk->bytes)];
    struct kvpbus_pool_image image = {
        .bytes = bytes,
        .count = disk->length / RECORD,
        .capacity = RECORDS_MAX + CHANGES_MAX,
    };
    const struct kvpbus_pool_sink sink = {disk, overwrite, append, truncate_disk};
    memcpy(bytes, disk->bytes, disk->length);
    kvpbus_pool_edit(&image, "kvpbus", changes, count, &sink, results);
}

static int is_ours(const uint8_t *record)
{
    return memcmp(record, "kvpbus.", 7) == 0;
}

// Each foreign record of `before` is in `after` in the same order; copies may be between them.
static void check_foreign(const struct disk *before, const struct disk *after)
{
    size_t at = 0;
    for (size_t r = 0; r < before->length / RECORD; r++) {
        const uint8_t *record = before->bytes + r * RECORD;
        if (is_ours(record))
            continue;
        while ((at + 1) * RECORD <= after->length &&
               memcmp(after->bytes + at * RECORD, record, RECORD) != 0)
            at++;
        require((at + 1) * RECORD <= after->length);
    }
}

static void check_effect(const struct disk *disk, const struct kvpbus_change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t found = 0;
        for (size_t r = 0; r < disk->length / RECORD; r++) {
            const char *key = (const char *)disk->bytes + r * RECORD;
            if (strncmp(key, changes[i].key, KVPBUS_POOL_KEY_BYTES) != 0)
                continue;
            found++;
            require(changes[i].value != NULL);
            require(strcmp(key + KVPBUS_POOL_KEY_BYTES, changes[i].value) == 0);
        }
        require(found == (changes[i].value != NULL));
    }
}

static void check_scan(const struct disk *disk)
{
    struct kvpbus_scan scan = {0};
    const struct kvpbus_pool_image image = {
        .bytes = (uint8_t *)(uintptr_t)disk->bytes,
        .count = disk->length / RECORD,
        .capacity = RECORDS_MAX + CHANGES_MAX,
    };
    require(kvpbus_pool_scan(&image, "kvpbus", &scan) == KVPBUS_OK);
    require(scan.count + scan.foreign + scan.skipped == image.count);
    for (size_t i = 0; i < scan.count; i++)
        require(strlen(scan.items[i].value) <= KVPBUS_VALUE_MAX);
    kvpbus_scan_free(&scan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct disk before;
    static struct disk after;
    static char keys[CHANGES_MAX][16];
    struct kvpbus_change changes[CHANGES_MAX];
    enum kvpbus_error results[CHANGES_MAX];
    struct input input = {data, size};
    int raw = take(&input) & 1;
    size_t kill_at = (size_t)(take(&input) << 8 | take(&input));
    size_t count = take(&input) % (CHANGES_MAX + 1);
    for (size_t i = 0; i < count; i++) {
        uint8_t choice = take(&input);
        snprintf(keys[i], sizeof(keys[i]), "kvpbus.%c%02zu", "hs"[choice >> 7], i);
        if (choice & 0x40)
            snprintf(keys[i], sizeof(keys[i]), "kvpbus.%02zu", i);
        changes[i] = (struct kvpbus_change){keys[i], choice & 1 ? NULL : "a new value"};
    }
    load(&before, &input, raw);
    check_scan(&before);

    after = before;
    after.steps_left = kill_at;
    edit(&after, changes, count, results);
    check_foreign(&before, &after);
    after.steps_left = SIZE_MAX;
    edit(&after, changes, count, results);
    check_foreign(&before, &after);
    check_effect(&after, changes, count);
    for (size_t i = 0; i < count; i++)
        require(results[i] == KVPBUS_OK);
    return 0;
}
