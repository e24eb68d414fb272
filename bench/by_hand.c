// SPDX-License-Identifier: Apache-2.0
#include "by_hand.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LOOK_MS = 500, PIECE_CHARS = 988, PIECE_BYTES = PIECE_CHARS / 4 * 3, LOOKS_MAX = 60 };

static const char prefix[] = "script";

struct script {
    const struct bench_world *world;
    struct kvpbus_store *guest;
    struct bench_figure figure;
    char keys[KVPBUS_MANAGEMENT_BATCH][32];
    char values[KVPBUS_MANAGEMENT_BATCH][PIECE_CHARS + 1];
    struct kvpbus_change items[KVPBUS_MANAGEMENT_BATCH];
};

static void look_later(void)
{
    struct timespec time = {.tv_nsec = LOOK_MS * 1000000L};
    nanosleep(&time, NULL);
}

static void call(struct script *script, enum kvpbus_operation operation, size_t count)
{
    const struct bench_world *world = script->world;
    struct kvpbus_call_result result;
    struct kvpbus_failure failure = {0};
    if (world->management->ops->call(world->management, operation, world->bare, script->items,
                                     count, &result, &failure) != KVPBUS_OK)
        bench_die("%s", failure.detail);
    if (!result.had_job || result.job_state != KVPBUS_JOB_COMPLETED)
        bench_die("the lab has refused items: %s", result.description);
    script->figure.calls++;
}

// The guest's script: it looks until all pieces are there, then says which batch it was.
static void guest_turn(struct script *script, size_t count, unsigned batch)
{
    struct kvpbus_scan scan = {0};
    struct kvpbus_failure failure;
    enum kvpbus_error written;
    char number[16];
    for (int i = 0; i < LOOKS_MAX; i++) {
        look_later();
        if (script->guest->ops->read_peer(script->guest, &scan, &failure) == KVPBUS_OK &&
            scan.count == count)
            break;
    }
    if (scan.count != count)
        bench_die("the pieces do not arrive");
    kvpbus_scan_free(&scan);
    snprintf(number, sizeof number, "%u", batch);
    const struct kvpbus_change done = {"script.done", number};
    if (script->guest->ops->write(script->guest, &done, 1, &written, &failure) != KVPBUS_OK)
        bench_die("%s", failure.detail);
}

static bool says(const struct kvpbus_scan *scan, unsigned batch)
{
    char number[16];
    snprintf(number, sizeof number, "%u", batch);
    return scan->count == 1 && strcmp(scan->items[0].value, number) == 0;
}

static void host_turn(struct script *script, unsigned batch)
{
    const struct bench_world *world = script->world;
    struct kvpbus_scan scan = {0};
    enum kvpbus_error result;
    struct kvpbus_failure failure;
    bool done = false;
    for (int i = 0; !done && i < LOOKS_MAX; i++) {
        look_later();
        script->figure.reads++;
        done = world->management->ops->read_guest(
                   world->management, prefix, (const uint8_t(*)[KVPBUS_GUID_BYTES]) & world->bare,
                   1, &scan, &result, &failure) == KVPBUS_OK &&
               says(&scan, batch);
    }
    if (!done)
        bench_die("the guest does not answer");
    kvpbus_scan_free(&scan);
}

struct bench_figure bench_by_hand(const struct bench_world *world, size_t bytes)
{
    static struct script script;
    static unsigned batch;
    char directory[128];
    struct kvpbus_failure failure;
    script = (struct script){.world = world, .figure = {.bytes = bytes}};
    snprintf(directory, sizeof directory, "%s/lab/vm/" BENCH_VM_BARE "/kvp",
             world->programs.directory);
    if (kvpbus_pool_store_open(directory, prefix, &script.guest, &failure) != KVPBUS_OK)
        bench_die("%s", failure.detail);
    double begun = bench_seconds();
    for (size_t sent = 0; sent < bytes;) {
        size_t count = 0;
        for (; count < KVPBUS_MANAGEMENT_BATCH && sent < bytes; count++) {
            uint8_t piece[PIECE_BYTES];
            size_t length = bytes - sent < PIECE_BYTES ? bytes - sent : PIECE_BYTES;
            randombytes_buf(piece, length);
            sodium_bin2base64(script.values[count], sizeof script.values[count], piece, length,
                              sodium_base64_VARIANT_ORIGINAL);
            snprintf(script.keys[count], sizeof script.keys[count], "script.%u.%zu", batch, count);
            script.items[count] = (struct kvpbus_change){script.keys[count], script.values[count]};
            script.figure.chars += strlen(script.values[count]);
            sent += length;
        }
        call(&script, KVPBUS_OP_ADD, count);
        script.figure.items += count + 1;
        guest_turn(&script, count, batch);
        host_turn(&script, batch++);
        call(&script, KVPBUS_OP_REMOVE, count);
    }
    script.figure.seconds = bench_seconds() - begun;
    kvpbus_store_close(script.guest);
    return script.figure;
}
