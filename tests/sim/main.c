// SPDX-License-Identifier: Apache-2.0
//
// kvpbus-sim: runs seeds of the simulator. Each seed runs in a process that may die; the seeds are
// dealt out to several of them.
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

enum { JOBS_MAX = 64, FAILURES_SHOWN = 20, PROFILES_MAX = 32 };
enum { TOO_FEW = 77 }; // not run, as ctest's SKIP_RETURN_CODE and automake have it

struct arguments {
    uint64_t first, last;
    const char *profile; // NULL: by the seed
    bool trace;
    unsigned jobs;
    unsigned seconds; // 0: until the last seed
    uint64_t least;   // seeds that have to be run
};

// Shared between the processes; each worker writes only its own place.
struct progress {
    uint64_t next; // seed, taken atomically
    uint64_t failures;
    struct {
        uint64_t seed; // under way
        uint64_t passed[PROFILES_MAX], hash;
    } workers[JOBS_MAX];
};

static const char usage[] =
    "usage: kvpbus-sim --seed N | --seeds A..B [--profile NAME] [--trace] [--jobs N]\n"
    "                  [--seconds N] [--least N]\n"
    "Simulates a host and a guest under faults; the same seed gives the same trace. The last\n"
    "line is a hash of the trace, or of those of all seeds.\n"
    "  --profile NAME  instead of the one that the seed chooses:";

static int show_usage(FILE *to, int code)
{
    fputs(usage, to);
    for (size_t i = 0; i < sim_profile_count(); i++)
        fprintf(to, "%s %s", i == SIM_PROFILES_CHOSEN ? "; only by name:" : "",
                sim_profile_at(i)->name);
    fputs("\n  --trace         print every step (with --seed)\n"
          "  --jobs N        processes, 1 to 64 (default 1)\n"
          "  --seconds N     begin no seed after so long\n"
          "  --least N       end with 77 when fewer seeds were run (default 1)\n",
          to);
    return code;
}

static const struct sim_profile *profile_of(const struct arguments *arguments, uint64_t seed)
{
    return arguments->profile != NULL ? sim_profile_find(arguments->profile) : sim_profile_of(seed);
}

// Only the seed that the parent asked for is run, whatever else the process knows.
static bool run_seed(const struct arguments *arguments, uint64_t seed, uint64_t *hash)
{
    struct sim_options options = {
        .seed = seed,
        .profile = profile_of(arguments, seed),
        .trace = arguments->trace,
    };
    struct sim_world *world = sim_world_new(&options);
    bool passed = sim_world_run(world);
    *hash = world->hash;
    if (!passed)
        printf("seed %llu failed at %llu ms: %s\n  replay: kvpbus-sim --seed %llu --profile %s "
               "--trace\n",
               (unsigned long long)seed, (unsigned long long)world->now, world->failure,
               (unsigned long long)seed, options.profile->name);
    else if (arguments->first == arguments->last)
        printf("seed %llu, profile %s: %llu messages delivered, %llu again, %llu told to be "
               "consumed, %llu to be dead, %llu expired, %llu unknown; %llu steps, %llu + %llu "
               "writes, %llu "
               "simulated seconds\n",
               (unsigned long long)seed, options.profile->name,
               (unsigned long long)world->checker.delivered,
               (unsigned long long)world->checker.redelivered,
               (unsigned long long)world->checker.consumed, (unsigned long long)world->checker.dead,
               (unsigned long long)world->checker.expired,
               (unsigned long long)world->checker.unknown, (unsigned long long)world->steps,
               (unsigned long long)world->sides[SIM_HOST].counters.writes,
               (unsigned long long)world->sides[SIM_GUEST].counters.writes,
               (unsigned long long)world->now / 1000);
    sim_world_free(world);
    fflush(stdout);
    return passed;
}

// --- many seeds ---------------------------------------------------------------------------------

static void work(const struct arguments *arguments, struct progress *progress, unsigned worker,
                 time_t end)
{
    for (;;) {
        uint64_t seed = __atomic_fetch_add(&progress->next, 1, __ATOMIC_RELAXED), hash;
        if (seed > arguments->last || (end != 0 && time(NULL) >= end) ||
            progress->failures >= FAILURES_SHOWN)
            return;
        progress->workers[worker].seed = seed;
        if (run_seed(arguments, seed, &hash))
            progress->workers[worker].passed[profile_of(arguments, seed) - sim_profile_at(0)]++;
        else
            __atomic_fetch_add(&progress->failures, 1, __ATOMIC_RELAXED);
        progress->workers[worker].hash ^= hash;
        progress->workers[worker].seed = 0;
    }
}

static pid_t start_worker(const struct arguments *arguments, struct progress *progress,
                          unsigned worker, time_t end)
{
    pid_t child = fork();
    if (child < 0) {
        fprintf(stderr, "kvpbus-sim: fork: %s\n", strerror(errno));
        exit(2);
    }
    if (child > 0)
        return child;
    work(arguments, progress, worker, end);
    fflush(stdout);
    _exit(0);
}

static void report_death(const struct arguments *arguments, struct progress *progress,
                         unsigned worker, int status)
{
    uint64_t seed = progress->workers[worker].seed;
    printf("seed %llu died: %s %d\n  replay: kvpbus-sim --seed %llu --profile %s --trace\n",
           (unsigned long long)seed, WIFSIGNALED(status) ? "signal" : "exit code",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), (unsigned long long)seed,
           profile_of(arguments, seed)->name);
    fflush(stdout);
    progress->failures++;
}

static uint64_t passed_of(const struct arguments *arguments, const struct progress *progress,
                          size_t profile)
{
    uint64_t passed = 0;
    for (unsigned i = 0; i < arguments->jobs; i++)
        passed += progress->workers[i].passed[profile];
    return passed;
}

static uint64_t passed_so_far(const struct arguments *arguments, const struct progress *progress)
{
    uint64_t passed = 0;
    for (size_t i = 0; i < sim_profile_count(); i++)
        passed += passed_of(arguments, progress, i);
    return passed;
}

// The next child that ends; meanwhile a person is told how far it is.
static pid_t wait_for(const struct arguments *arguments, const struct progress *progress,
                      int *status)
{
    static const struct timespec pause = {.tv_nsec = 200 * 1000 * 1000};
    bool person = isatty(STDERR_FILENO);
    pid_t child;
    while (person && (child = waitpid(-1, status, WNOHANG)) == 0) {
        fprintf(stderr, "\r%llu seeds passed, %llu failed ",
                (unsigned long long)passed_so_far(arguments, progress),
                (unsigned long long)progress->failures);
        nanosleep(&pause, NULL);
    }
    if (!person)
        return wait(status);
    fputs("\r\033[K", stderr);
    return child;
}

// Returns the exit code.
static int sum_up(const struct arguments *arguments, const struct progress *progress, time_t begin)
{
    uint64_t hash = 0, passed = passed_so_far(arguments, progress);
    for (unsigned i = 0; i < arguments->jobs; i++)
        hash ^= progress->workers[i].hash;
    bool few = passed + progress->failures < arguments->least;
    printf("%llu seeds passed, %llu failed, in %lld s;", (unsigned long long)passed,
           (unsigned long long)progress->failures, (long long)(time(NULL) - begin));
    for (size_t i = 0; i < sim_profile_count(); i++)
        printf(" %s %llu", sim_profile_at(i)->name,
               (unsigned long long)passed_of(arguments, progress, i));
    printf("\n%016llx\n", (unsigned long long)hash);
    if (few)
        fprintf(stderr, "kvpbus-sim: fewer than the %llu seeds that have to be run\n",
                (unsigned long long)arguments->least);
    return progress->failures > 0 ? 1 : few ? TOO_FEW : 0;
}

static int run_all(const struct arguments *arguments)
{
    struct progress *progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t children[JOBS_MAX];
    time_t begin = time(NULL), end = arguments->seconds != 0 ? begin + arguments->seconds : 0;
    if (progress == MAP_FAILED)
        return 2;
    progress->next = arguments->first;
    for (unsigned i = 0; i < arguments->jobs; i++)
        children[i] = start_worker(arguments, progress, i, end);
    for (unsigned left = arguments->jobs; left > 0;) {
        int status;
        pid_t child = wait_for(arguments, progress, &status);
        unsigned worker = 0;
        while (worker < arguments->jobs && children[worker] != child)
            worker++;
        if (worker == arguments->jobs)
            continue;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
            left--;
            continue;
        }
        report_death(arguments, progress, worker, status);
        children[worker] = start_worker(arguments, progress, worker, end);
    }
    return sum_up(arguments, progress, begin);
}

// --- arguments ----------------------------------------------------------------------------------

static bool parse_number(const char *text, uint64_t *number, const char **rest)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    *rest = end;
    return errno == 0 && end != text && text[0] != '-';
}

static bool parse_option(struct arguments *arguments, const char *name, const char *value)
{
    const char *rest;
    uint64_t number;
    if (strcmp(name, "--profile") == 0) {
        arguments->profile = value;
        return sim_profile_find(value) != NULL;
    }
    if (!parse_number(value, &number, &rest))
        return false;
    if (strcmp(name, "--seeds") == 0) {
        arguments->first = number;
        return strncmp(rest, "..", 2) == 0 && parse_number(rest + 2, &arguments->last, &rest) &&
               *rest == '\0' && arguments->first <= arguments->last;
    }
    if (strcmp(name, "--seed") == 0)
        arguments->first = arguments->last = number;
    else if (strcmp(name, "--jobs") == 0 && number >= 1 && number <= JOBS_MAX)
        arguments->jobs = (unsigned)number;
    else if (strcmp(name, "--seconds") == 0 && number <= 1000000)
        arguments->seconds = (unsigned)number;
    else if (strcmp(name, "--least") == 0)
        arguments->least = number;
    else
        return false;
    return *rest == '\0';
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.jobs = 1, .first = 1, .last = 0, .least = 1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return show_usage(stdout, 0);
        if (strcmp(argv[i], "--trace") == 0) {
            arguments.trace = true;
            continue;
        }
        if (i + 1 == argc || !parse_option(&arguments, argv[i], argv[i + 1])) {
            fprintf(stderr, "kvpbus-sim: '%s' is not understood\n", argv[i]);
            return show_usage(stderr, 2);
        }
        i++;
    }
    if (arguments.first > arguments.last)
        return show_usage(stderr, 2);
    assert(sim_profile_count() <= PROFILES_MAX);
    sim_setup();
    if (arguments.first != arguments.last || arguments.seconds != 0)
        return run_all(&arguments);
    uint64_t hash;
    bool passed = run_seed(&arguments, arguments.first, &hash);
    printf("%016llx\n", (unsigned long long)hash);
    return passed ? 0 : 1;
}
