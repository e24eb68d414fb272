// SPDX-License-Identifier: Apache-2.0
#include "message.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct counts {
    uint64_t items, chars, calls, reads;
};

// --- counters ---

static uint64_t number(const json_t *object, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(object, name));
}

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, 0, &error);
    if (value == NULL)
        bench_die("not JSON: %s", text);
    return value;
}

// Items of the side that sends and of the one that acknowledges; calls and reads of the lab.
static struct counts count(const struct bench_world *world, bool to_guest)
{
    char output[16384];
    struct counts counts = {0};
    for (int host = 0; host < 2; host++) {
        const char *const words[] = {"--json", "status", host ? BENCH_VM_BUS : "host", NULL};
        if (!bench_at(world, host, words, output, sizeof output))
            bench_die("no status: %s", output);
        json_t *status = parse(output);
        counts.items += number(status, "items_written");
        if (to_guest == (host != 0))
            counts.chars += number(status, "data_chars_written");
        json_decref(status);
    }
    bench_lab_stats(&world->programs, output, sizeof output);
    json_t *stats = parse(output);
    const json_t *vm = json_object_get(json_object_get(stats, "vms"), BENCH_VM_BUS);
    counts.calls =
        number(vm, "calls_add") + number(vm, "calls_modify") + number(vm, "calls_remove");
    if (vm == NULL)
        bench_die("the lab counts nothing: %s", output);
    counts.reads = number(vm, "reads_guest");
    json_decref(stats);
    return counts;
}

// --- the message ---

static uint8_t *make_body(const struct bench_world *world, size_t bytes)
{
    char path[128];
    uint8_t *body = malloc(bytes);
    snprintf(path, sizeof path, "%s/sent", world->programs.directory);
    FILE *file = fopen(path, "wbe");
    if (body == NULL || file == NULL)
        bench_die("cannot make a message of %zu bytes", bytes);
    for (size_t done = 0; done < bytes;) {
        ssize_t got = getrandom(body + done, bytes - done, 0);
        done += got > 0 ? (size_t)got : 0;
    }
    if (fwrite(body, 1, bytes, file) != bytes || fclose(file) != 0)
        bench_die("cannot write %s", path);
    return body;
}

static void check_body(const struct bench_world *world, const char *id, const uint8_t *body,
                       size_t bytes)
{
    char path[256];
    uint8_t *got = malloc(bytes + 1);
    snprintf(path, sizeof path, "%s/got/%s", world->programs.directory, id);
    FILE *file = fopen(path, "rbe");
    if (got == NULL || file == NULL)
        bench_die("the message is not at %s", path);
    if (fread(got, 1, bytes + 1, file) != bytes || memcmp(got, body, bytes) != 0)
        bench_die("the message has arrived damaged");
    fclose(file);
    remove(path);
    free(got);
}

struct bench_figure bench_message(const struct bench_world *world, bool to_guest, size_t bytes)
{
    const char *const send[] = {"send",      to_guest ? BENCH_VM_BUS : "host",
                                "bench.x",   "--file",
                                "sent",      "--class",
                                "bulk",      "--wait",
                                "delivered", NULL};
    static const char *const receive[] = {"recv", "--out", "got", "--timeout", "10s", NULL};
    static const char delivered[] = "delivered ";
    char output[1024];
    uint8_t *body = make_body(world, bytes);
    struct counts before = count(world, to_guest);
    double begun = bench_seconds();
    bool sent = bench_at(world, to_guest, send, output, sizeof output);
    double seconds = bench_seconds() - begun;
    const char *id = strstr(output, delivered);
    if (!sent || id == NULL)
        bench_die("the message is not delivered: %s", output);
    struct counts after = count(world, to_guest);
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(id + strlen(delivered), "\n"),
             id + strlen(delivered));
    if (!bench_at(world, !to_guest, receive, output, sizeof output))
        bench_die("the message is not received: %s", output);
    check_body(world, name, body, bytes);
    free(body);
    return (struct bench_figure){
        .seconds = seconds,
        .bytes = bytes,
        .items = after.items - before.items,
        .chars = after.chars - before.chars,
        .calls = after.calls - before.calls,
        .reads = after.reads - before.reads,
    };
}
