// SPDX-License-Identifier: Apache-2.0
#include "fleet.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "notice_limit.h"
#include "programs.h"

enum {
    NAME = 32,
    OUTPUT = 1024 * 1024,
    SETTLE_MS = 4000, // data keys are removed, polling is slow
    REST_MS = 6000,
    LATENCY_ROUNDS = 3,
    STATUS_TRIES = 600,
    STATUS_MS = 100,
    // What a hostile VM may cost the host program at most, docs/architecture.md.
    HOSTILE_MEMORY_KIB = 8 * 1024,
    HOSTILE_JOURNAL_KIB = 1024,
    // What its pool is filled with; a value that is not believed is counted by the host.
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

// A cost of each VM in the greatest fleet by that in the smallest one: more is not flat.
static const double flat_within = 3;
enum { FLAT_FROM = 4 }; // times as many VMs as in the smallest one

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
    struct timespec time;
    clockid_t clock;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0)
        bench_die("the host's service has ended");
    return (double)time.tv_sec * 1000 + (double)time.tv_nsec / 1e6;
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
    uint64_t queries, reads; // at rest
    double seconds, rest_cpu, message_cpu, kib;
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
    double vms = (double)count;
    return (struct row){
        .vms = count,
        .queries = rested.queries - before.queries,
        .reads = rested.reads - before.reads,
        .seconds = seconds,
        .rest_cpu = (rested.cpu_ms - before.cpu_ms) / vms / (REST_MS / 1000.0),
        .message_cpu = (sent.cpu_ms - rested.cpu_ms) / vms,
        .kib = (sent.kib - kib_before) / vms,
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

static double per_query(const struct row *row)
{
    return row->queries > 0 ? (double)row->reads / (double)row->queries : 0;
}

static json_t *row_json(const struct row *row)
{
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f}", "vms", (json_int_t)row->vms,
                     "rest_cpu_ms_per_s", row->rest_cpu, "message_cpu_ms", row->message_cpu,
                     "memory_kib", row->kib, "vms_per_query", per_query(row), "all_delivered_s",
                     row->seconds);
}

static bool is_flat(const char *what, double first, double last)
{
    if (last <= first * flat_within)
        return true;
    fprintf(stderr,
            "kvpbus-bench: %s of each VM is %.2f of that in the smallest fleet; at most %.1f is "
            "flat\n",
            what, last / first, flat_within);
    return false;
}

// Some of the queries may have been about the one VM that had news.
static bool one_query_reads_all(const struct row *row)
{
    if (row->queries >= 2 && 2 * row->reads >= row->queries * row->vms)
        return true;
    fprintf(stderr,
            "kvpbus-bench: %" PRIu64 " queries have read %" PRIu64 " times one of %zu VMs; "
            "one is to read them all\n",
            row->queries, row->reads, row->vms);
    return false;
}

static bool holds(const struct row *rows, size_t count)
{
    const struct row *first = &rows[0], *last = &rows[count - 1];
    bool held = true;
    for (size_t i = 0; i < count; i++)
        held = one_query_reads_all(&rows[i]) && held;
    if (last->vms < FLAT_FROM * first->vms)
        return held; // too little of a difference to say so
    held = is_flat("the CPU time at rest", first->rest_cpu, last->rest_cpu) && held;
    held = is_flat("the CPU time for a message", first->message_cpu, last->message_cpu) && held;
    return is_flat("the memory", first->kib, last->kib) && held;
}

int bench_fleets(const struct bench_options *options)
{
    static const size_t sizes[] = {10, 50, 100, 200, BENCH_VMS_MAX};
    struct row rows[sizeof sizes / sizeof *sizes];
    size_t count = 0;
    bench_allow_notices(options->vms);
    double kib = bare_kib(options->build);
    json_t *table = json_array();
    if (!options->json)
        printf("of the host program, for each VM:\n%5s %18s %18s %12s %14s %14s\n", "VMs",
               "CPU at rest, ms/s", "CPU a message, ms", "memory, KiB", "VMs in a query",
               "all have it, s");
    do {
        size_t vms = sizes[count] < options->vms ? sizes[count] : options->vms;
        struct row *row = &rows[count];
        *row = measure(options->build, vms, kib);
        json_array_append_new(table, row_json(row));
        if (!options->json)
            printf("%5zu %18.2f %18.2f %12.0f %14.1f %14.1f\n", row->vms, row->rest_cpu,
                   row->message_cpu, row->kib, per_query(row), row->seconds);
        fflush(stdout);
    } while (rows[count++].vms < options->vms);
    if (options->json) {
        json_dumpf(table, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
        putchar('\n');
    }
    json_decref(table);
    return holds(rows, count) ? 0 : 1;
}

// --- a hostile VM ---

// Writes the pool full of keys of ours with other values each time. False: it cannot.
static bool flood_once(const char *path, unsigned turn)
{
    char record[POOL_RECORD];
    FILE *file = fopen(path, "wbe");
    if (file == NULL)
        return false;
    bool written = true;
    for (unsigned i = 0; i < FLOOD_RECORDS; i++) {
        memset(record, 0, sizeof record);
        snprintf(record, POOL_KEY, "kvpbus.%s%u", i % 66 < 64 ? "" : "x", i % 66);
        memset(record + POOL_KEY, 'A' + (int)((turn + i) % 26), 1000);
        written = fwrite(record, sizeof record, 1, file) == 1 && written;
    }
    return fclose(file) == 0 && written;
}

// In a process of its own, which ends when it cannot.
static pid_t start_flood(const struct fleet *fleet, size_t vm)
{
    char path[128], name[NAME];
    name_of(vm, name);
    snprintf(path, sizeof path, "%s/lab/vm/%s/kvp/.kvp_pool_1", fleet->programs.directory, name);
    pid_t pid = fork();
    if (pid < 0)
        bench_die("no process fills %s", path);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned turn = 0; flood_once(path, turn); turn++)
        bench_pause_ms(FLOOD_EVERY_MS);
    fprintf(stderr, "kvpbus-bench: %s cannot be filled: %s\n", path, strerror(errno));
    _exit(1);
}

static void end_flood(pid_t flood)
{
    if (waitpid(flood, NULL, WNOHANG) != 0)
        bench_die("there is no hostile VM any more");
    kill(flood, SIGKILL);
    waitpid(flood, NULL, 0);
}

// Values of the VM that the host has not believed.
static json_int_t bad_items(const struct fleet *fleet, size_t vm)
{
    char name[NAME];
    json_error_t error;
    name_of(vm, name);
    const char *const words[] = {"--json", "status", name, NULL};
    if (!bench_kvpbus(&fleet->programs, "host.ctl", words, output, sizeof output))
        bench_die("no status of %s: %s", name, output);
    json_t *status = json_loads(output, 0, &error);
    json_t *count = json_object_get(status, "bad_items");
    if (!json_is_integer(count))
        bench_die("the status of %s has no bad_items: %s", name, output);
    json_int_t bad = json_integer_value(count);
    json_decref(status);
    return bad;
}

// Until the host has looked at what fills the pool.
static void await_bad_items(const struct fleet *fleet, size_t vm, json_int_t before)
{
    for (int i = 0; bad_items(fleet, vm) <= before; i++) {
        if (i == STATUS_TRIES)
            bench_die("the host does not see that the pool of a VM is full of wrong values");
        bench_pause_ms(STATUS_MS);
    }
}

// What is written comes to the second of its files first.
static double journal_kib(const struct fleet *fleet)
{
    static const char *const names[] = {"journal", "journal-wal"};
    double kib = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        struct stat status;
        snprintf(path, sizeof path, "%s/host/%s", fleet->programs.directory, names[i]);
        if (stat(path, &status) != 0)
            bench_die("%s: %s", path, strerror(errno));
        kib += (double)status.st_size / 1024;
    }
    return kib;
}

struct harm {
    double quiet, beside; // ms, median latency of the others
    double kib_growth, journal_growth;
};

// The last VM is the hostile one. The journal is looked at before messages go again: what they
// write is no harm.
static struct harm do_harm(struct fleet *fleet)
{
    size_t hostile = --fleet->count;
    struct harm harm = {.quiet = median_latency(fleet)};
    double kib = process_kib(fleet->host), journal = journal_kib(fleet);
    json_int_t bad = bad_items(fleet, hostile);
    pid_t flood = start_flood(fleet, hostile);
    bench_pause_ms(SETTLE_MS);
    await_bad_items(fleet, hostile, bad);
    harm.journal_growth = journal_kib(fleet) - journal;
    harm.beside = median_latency(fleet);
    harm.kib_growth = process_kib(fleet->host) - kib;
    end_flood(flood);
    return harm;
}

int bench_hostile(const struct bench_options *options)
{
    static struct fleet fleet;
    bench_allow_notices(options->vms + 1);
    begin(&fleet, options->build, options->vms + 1);
    struct harm harm = do_harm(&fleet);
    bench_programs_end();
    double ratio = harm.beside / harm.quiet;
    if (options->json)
        printf("{\"vms\": %zu, \"latency_ms\": %.2f, \"latency_beside_ms\": %.2f, \"ratio\": %.3f, "
               "\"memory_growth_kib\": %.0f, \"journal_growth_kib\": %.0f}\n",
               options->vms, harm.quiet, harm.beside, ratio, harm.kib_growth, harm.journal_growth);
    else
        printf("%zu VMs beside a hostile one: median latency %.1f ms, before %.1f ms (ratio %.2f)\n"
               "the host program's memory grew by %.0f KiB, its journal by %.0f KiB\n",
               options->vms, harm.beside, harm.quiet, ratio, harm.kib_growth, harm.journal_growth);
    return ratio <= options->growth && harm.kib_growth <= HOSTILE_MEMORY_KIB &&
                   harm.journal_growth <= HOSTILE_JOURNAL_KIB
               ? 0
               : 1;
}
