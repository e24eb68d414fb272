// SPDX-License-Identifier: Apache-2.0
#include "raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEYS = 66, // a link's: two registers and 64 slots
    KEY_BYTES = 16,
};

static const char prefix[] = "bare";

static char keys[KEYS][KEY_BYTES];
static char values[KEYS][KVPBUS_VALUE_MAX + 1];

// Other bytes each time, as a message has.
static void make_items(struct kvpbus_change *items, unsigned turn)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t state = turn + 1;
    for (size_t i = 0; i < KEYS; i++) {
        snprintf(keys[i], sizeof keys[i], "%s.%02zu", prefix, i);
        for (size_t j = 0; j < KVPBUS_VALUE_MAX; j++) {
            state = state * 1664525 + 1013904223;
            values[i][j] = letters[state >> 26];
        }
        items[i] = (struct kvpbus_change){keys[i], values[i]};
    }
}

static bool call(const struct bench_world *world, enum kvpbus_operation operation,
                 const struct kvpbus_change *items, size_t count)
{
    struct kvpbus_call_result result;
    struct kvpbus_failure failure = {0};
    if (world->management->ops->call(world->management, operation, world->bare, items, count,
                                     &result, &failure) != KVPBUS_OK)
        bench_die("%s", failure.detail);
    return result.had_job && result.job_state == KVPBUS_JOB_COMPLETED;
}

double bench_bare_sets(const struct bench_world *world, size_t count)
{
    static unsigned turn;
    struct kvpbus_change items[KEYS];
    double seconds = 0;
    make_items(items, turn++);
    if (!call(world, KVPBUS_OP_MODIFY, items, KEYS) && !call(world, KVPBUS_OP_ADD, items, KEYS))
        bench_die("the lab takes no bare items");
    for (size_t done = 0; done < count;) {
        size_t step = count - done < KEYS ? count - done : KEYS;
        make_items(items, turn++);
        double begun = bench_seconds();
        if (!call(world, KVPBUS_OP_MODIFY, items, step))
            bench_die("the lab has refused bare items");
        seconds += bench_seconds() - begun;
        done += step;
    }
    return seconds;
}

size_t bench_bare_calls(size_t count)
{
    return (count + KEYS - 1) / KEYS;
}

static void fill_guest(const struct bench_world *world)
{
    char directory[128];
    struct kvpbus_change items[KEYS];
    enum kvpbus_error results[KEYS];
    struct kvpbus_store *store;
    struct kvpbus_failure failure;
    snprintf(directory, sizeof directory, "%s/lab/vm/" BENCH_VM_BARE "/kvp",
             world->programs.directory);
    make_items(items, 0);
    if (kvpbus_pool_store_open(directory, prefix, &store, &failure) != KVPBUS_OK ||
        store->ops->write(store, items, KEYS, results, &failure) != KVPBUS_OK)
        bench_die("%s", failure.detail);
    kvpbus_store_close(store);
}

double bench_bare_reads(const struct bench_world *world, size_t count)
{
    struct kvpbus_scan scan = {0};
    enum kvpbus_error result;
    struct kvpbus_failure failure;
    fill_guest(world);
    double begun = bench_seconds();
    for (size_t done = 0; done < count; done += KEYS) {
        if (world->management->ops->read_guest(world->management, prefix,
                                               (const uint8_t(*)[KVPBUS_GUID_BYTES]) & world->bare,
                                               1, &scan, &result, &failure) != KVPBUS_OK ||
            result != KVPBUS_OK || scan.count != KEYS)
            bench_die("the lab does not give the bare items");
    }
    // The last scan may have had more than was left to read.
    double seconds = bench_seconds() - begun;
    kvpbus_scan_free(&scan);
    return seconds * (double)count / (double)(bench_bare_calls(count) * KEYS);
}
