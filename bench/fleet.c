// SPDX-License-Identifier: Apache-2.0
#include "fleet.h"

#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "notice_limit.h"
#include "programs.h"

enum {
    NAME = 32,
    OUTPUT = 1024 * 1024,
    SETTLE_MS = 5000, // data keys are removed, polling is slow
    REST_MS = 10000,
    LATENCY_ROUNDS = 3,
    // What a hostile VM may cost the host program at most, docs/architecture.md.
    HOSTILE_MEMORY_KIB = 8 * 1024,
    HOSTILE_JOURNAL_KIB = 1024,
    // What its pool is filled with.
    FLOOD_RECORDS = 10000,
    FLOOD_EVERY_MS = 100,
    POOL_KEY = 512,
    POOL_RECORD = POOL_KEY + 2048,
};

struct fleet {
    struct bench_programs programs;
    size_t count;
    pid_t host;
};

struct cost {
    double cpu_ms; // user and system time of the host program
    double kib;    // its resident memory
    uint64_t queries, reads;
};

static char output[OUTPUT];

static void name_of(size_t vm, char name[NAME])
{
    snprintf(name, NAME, "vm%03zu", vm);
}

static void socket_of(size_t vm, char path[2 * NAME])
{
    char name[NAME];
    name_of(vm, name);
    snprintf(path, 2 * NAME, "%s.ctl", name);
}

// --- setting up ---

static void start_lab(struct fleet *fleet)
{
    static char names[BENCH_CHILDREN_MAX][NAME];
    static const char *words[2 * BENCH_CHILDREN_MAX + 3];
    size_t used = 0;
    words[used++] = "run";
    words[used++] = "lab";
    for (size_t i = 0; i < fleet->count; i++) {
        name_of(i, names[i]);
        words[used++] = "--vm";
        words[used++] = names[i];
    }
    words[used] = NULL;
    bench_start_lab(&fleet->programs, words);
}

static void start_agent(struct fleet *fleet, size_t vm)
{
    char name[NAME], store[64], path[2 * NAME], log[2 * NAME];
    name_of(vm, name);
    socket_of(vm, path);
    snprintf(store, sizeof store, "pool:lab/vm/%s/kvp", name);
    snprintf(log, sizeof log, "%s.log", name);
    const char *const words[] = {"--store", store, "--state", name, "--socket", path, NULL};
    bench_start(&fleet->programs, "guest/kvpbus-guest", log, words);
}

static size_t occurrences(const char *text)
{
    size_t count = 0;
    for (const char *at = output; (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

// Until the host says this of every VM.
static void await_all(const struct fleet *fleet, const char *text)
{
    static const char *const status[] = {"--json", "status", NULL};
    for (int i = 0; i < 1200; i++) {
        if (bench_kvpbus(&fleet->programs, "host.ctl", status, output, sizeof output) &&
            occurrences(text) >= fleet->count)
            return;
        bench_pause_ms(100);
    }
    bench_die("%zu of %zu VMs say %s", occurrences(text), fleet->count, text);
}

static void begin(struct fleet *fleet, const char *build, size_t count)
{
    static const char *const host[] = {"--store",  "lab:lab/host.sock", "--state", "host",
                                       "--socket", "host.ctl",          NULL};
    static const char *const identity[] = {"identity", NULL};
    *fleet = (struct fleet){.count = count};
    bench_programs_begin(&fleet->programs, build);
    start_lab(fleet);
    fleet->host = bench_start(&fleet->programs, "host/kvpbus-host", "host.log", host);
    bench_await(&fleet->programs, "host.ctl", identity, NULL);
    for (size_t i = 0; i < count; i++)
        start_agent(fleet, i);
    for (size_t i = 0; i < count; i++) {
        char name[NAME], path[2 * NAME];
        name_of(i, name);
        socket_of(i, path);
        bench_await(&fleet->programs, path, identity, NULL);
        bench_pair(&fleet->programs, "host.ctl", name, path);
    }
    await_all(fleet, "\"state\": \"live\"");
}

// --- costs ---

static double process_cpu_ms(pid_t pid)
{
    char path[64], text[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL || fgets(text, sizeof text, file) == NULL)
        bench_die("the host's service has ended");
    fclose(file);
    // The name in parentheses may hold anything; utime and stime are the 12th and 13th behind it.
    const char *at = strrchr(text, ')');
    if (at == NULL ||
        sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        bench_die("%s cannot be read", path);
    return (double)(user + system) * 1000 / (double)sysconf(_SC_CLK_TCK);
}

static double process_kib(pid_t pid)
{
    char path[64];
    unsigned long resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%*u %lu", &resident) != 1)
        bench_die("%s cannot be read", path);
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1024;
}

static struct cost cost_now(const struct fleet *fleet)
{
    struct cost cost = {.cpu_ms = process_cpu_ms(fleet->host), .kib = process_kib(fleet->host)};
    bench_lab_stats(&fleet->programs, output, sizeof output);
    json_error_t error;
    json_t *stats = json_loads(output, 0, &error), *vm;
    const char *name;
    json_object_foreach(json_object_get(stats, "vms"), name, vm)
    {
        cost.queries += (uint64_t)json_integer_value(json_object_get(vm, "queries"));
        cost.reads += (uint64_t)json_integer_value(json_object_get(vm, "reads_guest"));
    }
    json_decref(stats);
    return cost;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Of a small message to each VM, one after the other, from the command to "delivered"; ms.
static double median_latency(const struct fleet *fleet)
{
    static double took[LATENCY_ROUNDS * BENCH_CHILDREN_MAX];
    size_t count = 0;
    for (int round = 0; round < LATENCY_ROUNDS; round++)
        for (size_t i = 0; i < fleet->count; i++) {
            char name[NAME];
            name_of(i, name);
            const char *const words[] = {"send", name,     "bench.x",   "--text",
                                         "x",    "--wait", "delivered", NULL};
            double begun = bench_seconds();
            if (!bench_kvpbus(&fleet->programs, "host.ctl", words, output, sizeof output))
                bench_die("%s", output);
            took[count++] = (bench_seconds() - begun) * 1000;
        }
    qsort(took, count, sizeof *took, ascending);
    return took[count / 2];
}

// --- fleets ---

struct row {
    size_t vms;
    double seconds, rest_cpu, message_cpu, kib, per_query;
};

static struct row measure(const char *build, size_t count, double kib_before)
{
    static struct fleet fleet;
    static const char *const all[] = {"send",   "--all",  "bench.x",   "--text",
                                      "to all", "--wait", "delivered", NULL};
    begin(&fleet, build, count);
    bench_pause_ms(SETTLE_MS);
    struct cost before = cost_now(&fleet);
    bench_pause_ms(REST_MS);
    struct cost rested = cost_now(&fleet);
    double begun = bench_seconds();
    if (!bench_kvpbus(&fleet.programs, "host.ctl", all, output, sizeof output))
        bench_die("not delivered to all: %s", output);
    double seconds = bench_seconds() - begun;
    struct cost sent = cost_now(&fleet);
    bench_programs_end();
    double vms = (double)count, queries = (double)(rested.queries - before.queries);
    return (struct row){
        .vms = count,
        .seconds = seconds,
        .rest_cpu = (rested.cpu_ms - before.cpu_ms) / vms / (REST_MS / 1000.0),
        .message_cpu = (sent.cpu_ms - rested.cpu_ms) / vms,
        .kib = (sent.kib - kib_before) / vms,
        .per_query = queries > 0 ? (double)(rested.reads - before.reads) / queries : 0,
    };
}

// Of the host program without a VM.
static double bare_kib(const char *build)
{
    static struct fleet fleet;
    begin(&fleet, build, 1);
    double kib = process_kib(fleet.host);
    bench_programs_end();
    return kib;
}

int bench_fleets(const struct bench_options *options)
{
    static const size_t sizes[] = {10, 50, 100, 200};
    bench_allow_notices(options->vms);
    double kib = bare_kib(options->build);
    json_t *rows = json_array();
    if (!options->json)
        printf("of the host program, for each VM:\n%5s %18s %18s %12s %14s %14s\n", "VMs",
               "CPU at rest, ms/s", "CPU a message, ms", "memory, KiB", "VMs in a query",
               "all have it, s");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t count = sizes[i] < options->vms ? sizes[i] : options->vms;
        struct row row = measure(options->build, count, kib);
        if (options->json)
            json_array_append_new(rows, json_pack("{s:I, s:f, s:f, s:f, s:f, s:f}", "vms",
                                                  (json_int_t)row.vms, "rest_cpu_ms_per_s",
                                                  row.rest_cpu, "message_cpu_ms", row.message_cpu,
                                                  "memory_kib", row.kib, "vms_per_query",
                                                  row.per_query, "all_delivered_s", row.seconds));
        else
            printf("%5zu %18.2f %18.2f %12.0f %14.1f %14.1f\n", row.vms, row.rest_cpu,
                   row.message_cpu, row.kib, row.per_query, row.seconds);
        fflush(stdout);
        if (count == options->vms)
            break;
    }
    if (options->json) {
        json_dumpf(rows, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
        putchar('\n');
    }
    json_decref(rows);
    return 0;
}

// --- a hostile VM ---

// In a process of its own: writes the pool full of keys of ours with other values each time.
static pid_t start_flood(const struct fleet *fleet, size_t vm)
{
    char path[128], name[NAME], record[POOL_RECORD];
    name_of(vm, name);
    snprintf(path, sizeof path, "%s/lab/vm/%s/kvp/.kvp_pool_1", fleet->programs.directory, name);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned turn = 0;; turn++) {
        FILE *file = fopen(path, "wbe");
        for (unsigned i = 0; file != NULL && i < FLOOD_RECORDS; i++) {
            memset(record, 0, sizeof record);
            snprintf(record, POOL_KEY, "kvpbus.%s%u", i % 66 < 64 ? "" : "x", i % 66);
            memset(record + POOL_KEY, 'A' + (int)((turn + i) % 26), 1000);
            fwrite(record, sizeof record, 1, file);
        }
        if (file != NULL)
            fclose(file);
        bench_pause_ms(FLOOD_EVERY_MS);
    }
}

static double journal_kib(const struct fleet *fleet)
{
    char path[128];
    struct stat status;
    snprintf(path, sizeof path, "%s/host/journal", fleet->programs.directory);
    return stat(path, &status) == 0 ? (double)status.st_size / 1024 : 0;
}

int bench_hostile(const struct bench_options *options)
{
    static struct fleet fleet;
    bench_allow_notices(options->vms + 1);
    begin(&fleet, options->build, options->vms + 1);
    fleet.count--; // the last one is the hostile one
    double quiet = median_latency(&fleet), kib = process_kib(fleet.host);
    double journal = journal_kib(&fleet);
    pid_t flood = start_flood(&fleet, fleet.count);
    bench_pause_ms(SETTLE_MS);
    double beside = median_latency(&fleet), kib_after = process_kib(fleet.host);
    double journal_after = journal_kib(&fleet);
    kill(flood, SIGKILL);
    bench_programs_end();
    double ratio = beside / quiet;
    if (options->json)
        printf("{\"vms\": %zu, \"latency_ms\": %.2f, \"latency_beside_ms\": %.2f, \"ratio\": %.3f, "
               "\"memory_growth_kib\": %.0f, \"journal_growth_kib\": %.0f}\n",
               options->vms, quiet, beside, ratio, kib_after - kib, journal_after - journal);
    else
        printf("%zu VMs beside a hostile one: median latency %.1f ms, before %.1f ms (ratio %.2f)\n"
               "the host program's memory grew by %.0f KiB, its journal by %.0f KiB\n",
               options->vms, beside, quiet, ratio, kib_after - kib, journal_after - journal);
    return ratio <= 1.5 && kib_after - kib <= HOSTILE_MEMORY_KIB &&
                   journal_after - journal <= HOSTILE_JOURNAL_KIB
               ? 0
               : 1;
}
