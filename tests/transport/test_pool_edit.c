// SPDX-License-Identifier: Apache-2.0
//
// The edit of a pool image, stopped by a kill after every part of every write.
#include "pool_edit.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool_fixture.h"

enum { STEP = 512, RECORDS = 24, STEPS_MAX = 20000, FILE_MAX = 64 * POOL_RECORD };

// The file, which takes only so many steps of 512 bytes before the process dies.
struct disk {
    uint8_t bytes[FILE_MAX];
    size_t length;
    size_t steps_left;
    size_t steps_done;
    enum kvpbus_error append_error;
    enum kvpbus_error overwrite_error;
};

static bool step(struct disk *disk)
{
    if (disk->steps_left == 0)
        return false;
    disk->steps_left--;
    disk->steps_done++;
    return true;
}

static enum kvpbus_error put_bytes(struct disk *disk, size_t offset, const uint8_t *bytes,
                                   size_t length)
{
    cr_assert_eq(offset % STEP, 0);
    cr_assert_eq(length % STEP, 0);
    for (size_t done = 0; done < length; done += STEP) {
        if (!step(disk))
            return KVPBUS_IO;
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
    if (disk->overwrite_error != KVPBUS_OK)
        return disk->overwrite_error;
    cr_assert_leq(offset + length, disk->length);
    return put_bytes(disk, offset, bytes, length);
}

static enum kvpbus_error append(void *context, size_t offset, const uint8_t *record)
{
    struct disk *disk = context;
    if (disk->append_error != KVPBUS_OK)
        return disk->append_error;
    cr_assert_eq(offset, disk->length / POOL_RECORD * POOL_RECORD);
    return put_bytes(disk, offset, record, POOL_RECORD);
}

static enum kvpbus_error truncate_disk(void *context, size_t length)
{
    struct disk *disk = context;
    cr_assert_eq(length % POOL_RECORD, 0);
    cr_assert_lt(length, disk->length);
    if (!step(disk))
        return KVPBUS_IO;
    disk->length = length;
    return KVPBUS_OK;
}

static void edit(struct disk *disk, const struct kvpbus_change *changes, size_t count,
                 enum kvpbus_error *results, bool cut)
{
    struct kvpbus_pool_image image = {
        .bytes = malloc(FILE_MAX),
        .count = disk->length / POOL_RECORD,
        .capacity = cut ? disk->length / POOL_RECORD : FILE_MAX / POOL_RECORD,
        .cut = cut,
    };
    memcpy(image.bytes, disk->bytes, disk->length);
    const struct kvpbus_pool_sink sink = {
        .context = disk,
        .overwrite = overwrite,
        .append = append,
        .truncate = truncate_disk,
    };
    kvpbus_pool_edit(&image, "kvpbus", changes, count, &sink, results);
    if (disk->steps_left > 0 && disk->overwrite_error == KVPBUS_OK) {
        cr_assert_eq(image.count, disk->length / POOL_RECORD);
        cr_assert_eq(memcmp(image.bytes, disk->bytes, image.count * POOL_RECORD), 0);
    }
    free(image.bytes);
}

static void add(struct disk *disk, const char *key, const char *value, unsigned seed)
{
    pool_record(disk->bytes + disk->length, key, value, seed);
    disk->length += POOL_RECORD;
}

static const char *key_at(const struct disk *disk, size_t index)
{
    return (const char *)disk->bytes + index * POOL_RECORD;
}

static const char *value_at(const struct disk *disk, size_t index)
{
    return key_at(disk, index) + POOL_KEY;
}

static bool is_ours(const char *key)
{
    return strncmp(key, "kvpbus.", 7) == 0;
}

static struct disk *new_disk(void)
{
    struct disk *disk = calloc(1, sizeof(*disk));
    disk->steps_left = STEPS_MAX;
    return disk;
}

Test(pool_edit, an_update_stays_in_place_and_is_zero_filled)
{
    struct disk *disk = new_disk();
    add(disk, "other", "x", 1);
    add(disk, "kvpbus.h", "a long old value", 2);
    add(disk, "another", "y", 3);
    enum kvpbus_error result;
    edit(disk, &(struct kvpbus_change){"kvpbus.h", "new"}, 1, &result, false);
    cr_assert_eq(result, KVPBUS_OK);
    uint8_t expected[POOL_RECORD] = "kvpbus.h";
    memcpy(expected + POOL_KEY, "new", 3);
    cr_assert_arr_eq(disk->bytes + POOL_RECORD, expected, POOL_RECORD);
    cr_assert_eq(disk->length, 3 * POOL_RECORD);
    free(disk);
}

Test(pool_edit, an_equal_value_is_not_written)
{
    struct disk *disk = new_disk();
    add(disk, "kvpbus.h", "same", 2);
    disk->steps_left = 0;
    enum kvpbus_error result;
    edit(disk, &(struct kvpbus_change){"kvpbus.h", "same"}, 1, &result, false);
    cr_assert_eq(result, KVPBUS_OK);
    free(disk);
}

Test(pool_edit, a_new_key_takes_the_place_of_one_that_goes)
{
    struct disk *disk = new_disk();
    add(disk, "other", "x", 1);
    add(disk, "kvpbus.00", "old", 2);
    add(disk, "another", "y", 3);
    const struct kvpbus_change changes[] = {{"kvpbus.01", "new"}, {"kvpbus.00", NULL}};
    enum kvpbus_error results[2];
    edit(disk, changes, 2, results, false);
    cr_assert_eq(results[0], KVPBUS_OK);
    cr_assert_eq(results[1], KVPBUS_OK);
    cr_assert_eq(disk->length, 3 * POOL_RECORD);
    cr_assert_str_eq(key_at(disk, 1), "kvpbus.01");
    cr_assert_str_eq(value_at(disk, 1), "new");
    cr_assert_str_eq(key_at(disk, 2), "another");
    free(disk);
}

Test(pool_edit, of_duplicates_the_first_is_written_and_ours_only_are_removed)
{
    struct disk *disk = new_disk();
    add(disk, "dup", "1", 1);
    add(disk, "kvpbus.h", "1", 2);
    add(disk, "kvpbus.s", "keep", 3);
    add(disk, "dup", "2", 4);
    add(disk, "kvpbus.h", "2", 5);
    add(disk, "kvpbus.s", "keep too", 6);
    enum kvpbus_error result;
    edit(disk, &(struct kvpbus_change){"kvpbus.h", "3"}, 1, &result, false);
    cr_assert_eq(result, KVPBUS_OK);
    static const char *const expected[][2] = {
        {"dup", "1"}, {"kvpbus.h", "3"},        {"kvpbus.s", "keep"},
        {"dup", "2"}, {"kvpbus.s", "keep too"},
    };
    cr_assert_eq(disk->length, 5 * POOL_RECORD);
    for (size_t i = 0; i < 5; i++) {
        cr_assert_str_eq(key_at(disk, i), expected[i][0]);
        cr_assert_str_eq(value_at(disk, i), expected[i][1]);
    }
    free(disk);
}

// An update at the last place, a removal, an addition, duplicates, and foreign records all around.
static void make_mixed(struct disk *disk)
{
    for (unsigned i = 0; i < RECORDS; i++) {
        char key[32];
        bool ours = i % 3 == 1 || i % 7 == 0;
        snprintf(key, sizeof(key), ours ? "kvpbus.%02u" : "foreign-%02u", ours ? i % 8 : i % 11);
        add(disk, key, "value", i);
    }
}

static bool holds_record(const struct disk *disk, const uint8_t *record)
{
    for (size_t r = 0; r < disk->length / POOL_RECORD; r++) {
        if (memcmp(disk->bytes + r * POOL_RECORD, record, POOL_RECORD) == 0)
            return true;
    }
    return false;
}

// Every foreign record is whole somewhere, whatever is found first under its key is what was first
// before, and nothing else is under a foreign key.
static void check_foreign(const struct disk *before, const struct disk *after, size_t kill_at)
{
    size_t previous = 0;
    for (size_t r = 0; r < before->length / POOL_RECORD; r++) {
        if (is_ours(key_at(before, r)))
            continue;
        cr_assert(holds_record(after, before->bytes + r * POOL_RECORD),
                  "kill after step %zu: foreign record %zu is lost", kill_at, r);
    }
    for (size_t r = 0; r < after->length / POOL_RECORD; r++) {
        if (is_ours(key_at(after, r)))
            continue;
        cr_assert(holds_record(before, after->bytes + r * POOL_RECORD),
                  "kill after step %zu: record %zu is neither ours nor foreign", kill_at, r);
        size_t origin = 0;
        while (memcmp(before->bytes + origin * POOL_RECORD, after->bytes + r * POOL_RECORD,
                      POOL_RECORD) != 0)
            origin++;
        cr_assert_geq(origin, previous, "kill after step %zu: the order changed", kill_at);
        previous = origin;
    }
}

static const struct kvpbus_change mixed_changes[] = {
    {"kvpbus.01", NULL},      {"kvpbus.02", "updated"}, {"kvpbus.04", NULL},
    {"kvpbus.07", "updated"}, {"kvpbus.90", "new"},     {"kvpbus.absent", NULL},
    {"kvpbus.06", "again"},   {"kvpbus.03", NULL},      {"kvpbus.05", NULL},
};
enum { MIXED_COUNT = sizeof(mixed_changes) / sizeof(mixed_changes[0]) };

static void check_result(const struct disk *disk)
{
    for (size_t i = 0; i < MIXED_COUNT; i++) {
        size_t found = 0;
        for (size_t r = 0; r < disk->length / POOL_RECORD; r++) {
            if (strcmp(key_at(disk, r), mixed_changes[i].key) != 0)
                continue;
            found++;
            cr_assert_not_null(mixed_changes[i].value);
            cr_assert_str_eq(value_at(disk, r), mixed_changes[i].value);
        }
        cr_assert_eq(found, mixed_changes[i].value == NULL ? 0 : 1, "%s", mixed_changes[i].key);
    }
}

static void kill_everywhere(size_t trailing)
{
    struct disk *before = new_disk();
    enum kvpbus_error results[MIXED_COUNT];
    make_mixed(before);
    memset(before->bytes + before->length, 'p', trailing);
    before->length += trailing;

    struct disk *after = new_disk();
    *after = *before;
    edit(after, mixed_changes, MIXED_COUNT, results, false);
    size_t steps = after->steps_done;
    cr_assert_gt(steps, 50);
    for (size_t i = 0; i < MIXED_COUNT; i++)
        cr_assert_eq(results[i], KVPBUS_OK);
    check_foreign(before, after, steps);
    check_result(after);

    for (size_t kill_at = 0; kill_at < steps; kill_at++) {
        *after = *before;
        after->steps_left = kill_at;
        edit(after, mixed_changes, MIXED_COUNT, results, false);
        check_foreign(before, after, kill_at);
        // The next process carries the same wishes out and finds no trouble.
        after->steps_left = STEPS_MAX;
        edit(after, mixed_changes, MIXED_COUNT, results, false);
        check_foreign(before, after, kill_at);
        check_result(after);
    }
    free(before);
    free(after);
}

Test(pool_edit, a_kill_at_any_point_leaves_foreign_records_whole)
{
    kill_everywhere(0);
}

Test(pool_edit, a_kill_at_any_point_with_part_of_a_record_at_the_end)
{
    kill_everywhere(1000);
}

Test(pool_edit, a_file_that_cannot_grow_still_updates_and_removes)
{
    struct disk *disk = new_disk();
    add(disk, "kvpbus.00", "x", 1);
    add(disk, "foreign", "y", 2);
    add(disk, "kvpbus.01", "z", 3);
    disk->append_error = KVPBUS_STORE_FULL;
    const struct kvpbus_change changes[] = {
        {"kvpbus.02", "new"}, {"kvpbus.03", "reuses 01"}, {"kvpbus.00", "up"}, {"kvpbus.01", NULL}};
    enum kvpbus_error results[4];
    edit(disk, changes, 4, results, false);
    cr_assert_eq(results[0], KVPBUS_OK);
    cr_assert_eq(results[1], KVPBUS_STORE_FULL);
    cr_assert_eq(results[2], KVPBUS_OK);
    cr_assert_eq(results[3], KVPBUS_OK);
    cr_assert_str_eq(key_at(disk, 1), "foreign");
    cr_assert_str_eq(key_at(disk, 2), "kvpbus.02");
    free(disk);
}

Test(pool_edit, a_failing_disk_says_what_happened_to_each_change)
{
    struct disk *disk = new_disk();
    add(disk, "kvpbus.00", "x", 1);
    add(disk, "kvpbus.01", "z", 3);
    add(disk, "kvpbus.02", "z", 3);
    disk->overwrite_error = KVPBUS_IO;
    const struct kvpbus_change changes[] = {
        {"kvpbus.00", "up"}, {"kvpbus.01", "up"}, {"kvpbus.02", NULL}, {"kvpbus.03", NULL}};
    enum kvpbus_error results[4];
    edit(disk, changes, 4, results, false);
    cr_assert_eq(results[0], KVPBUS_STORE_UNKNOWN);
    cr_assert_eq(results[1], KVPBUS_IO);
    cr_assert_eq(results[2], KVPBUS_IO);
    cr_assert_eq(results[3], KVPBUS_OK);
    free(disk);
}

Test(pool_edit, beyond_the_limit_only_existing_places_are_used)
{
    struct disk *disk = new_disk();
    add(disk, "kvpbus.00", "x", 1);
    add(disk, "foreign", "y", 2);
    add(disk, "kvpbus.01", "z", 3);
    const struct kvpbus_change changes[] = {
        {"kvpbus.00", NULL}, {"kvpbus.01", "up"}, {"kvpbus.02", "takes 00"}, {"kvpbus.03", "none"}};
    enum kvpbus_error results[4];
    edit(disk, changes, 4, results, true);
    cr_assert_eq(results[0], KVPBUS_OK);
    cr_assert_eq(results[1], KVPBUS_OK);
    cr_assert_eq(results[2], KVPBUS_OK);
    cr_assert_eq(results[3], KVPBUS_STORE_TOO_MANY);
    edit(disk, &(struct kvpbus_change){"kvpbus.02", NULL}, 1, results, true);
    cr_assert_eq(results[0], KVPBUS_STORE_TOO_MANY);
    cr_assert_str_eq(key_at(disk, 0), "kvpbus.02");
    cr_assert_eq(disk->length, 3 * POOL_RECORD);
    free(disk);
}

Test(pool_edit, fields_without_a_nul_are_taken_in_full_width)
{
    uint8_t bytes[2 * POOL_RECORD];
    memset(bytes, 'a', sizeof(bytes));
    memcpy(bytes, "kvpbus.", 7);
    pool_record(bytes + POOL_RECORD, "kvpbus.h", "v", 1);
    const struct kvpbus_pool_image image = {.bytes = bytes, .count = 2, .capacity = 2};
    struct kvpbus_scan scan = {0};
    cr_assert_eq(kvpbus_pool_scan(&image, "kvpbus", &scan), KVPBUS_OK);
    cr_assert_eq(scan.count, 1);
    cr_assert_eq(scan.skipped, 1);
    cr_assert_str_eq(scan.items[0].value, "v");
    kvpbus_scan_free(&scan);
}
