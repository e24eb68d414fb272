// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORDS_MAX = 24, LIVE_TRIES = 600, TRY_MS = 50 };

static struct bench_world *the_world; // for bench_world_stop at exit

void bench_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("kvpbus-bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("\n", stderr);
    va_end(arguments);
    exit(1);
}

double bench_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void pause_ms(unsigned ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

// --- programs ---

// In the child: its output goes to `output`.
__attribute__((noreturn)) static void become(const struct bench_world *world, const char *program,
                                             const char *const *words, int output)
{
    char path[PATH_MAX + 64];
    const char *arguments[WORDS_MAX] = {program};
    size_t count = 1;
    while (*words != NULL && count < WORDS_MAX - 1)
        arguments[count++] = *words++;
    snprintf(path, sizeof path, "%s/%s", world->build, program);
    int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, 0);
    dup2(output, 1);
    dup2(output, 2);
    if (chdir(world->directory) == 0)
        execv(path, (char *const *)arguments);
    fprintf(stderr, "cannot start %s: %s\n", path, strerror(errno));
    _exit(127);
}

static void start(struct bench_world *world, enum bench_child child, const char *program,
                  const char *log, const char *const *words)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", world->directory, log);
    int output = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_t pid = output >= 0 ? fork() : -1;
    if (pid < 0)
        bench_die("cannot start %s: %s", program, strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM); // a run that crashes takes them along
        become(world, program, words, output);
    }
    close(output);
    world->children[child] = pid;
}

static int run(const struct bench_world *world, const char *program, const char *const *words,
               char *output, size_t size)
{
    char discarded[1024];
    int pipes[2], status;
    size_t length = 0;
    if (output == NULL) {
        output = discarded;
        size = sizeof discarded;
    }
    if (pipe2(pipes, O_CLOEXEC) != 0)
        bench_die("no pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        bench_die("cannot start %s: %s", program, strerror(errno));
    if (pid == 0)
        become(world, program, words, pipes[1]);
    close(pipes[1]);
    for (ssize_t got = 1; got > 0 && length < size - 1;) {
        got = read(pipes[0], output + length, size - 1 - length);
        length += got > 0 ? (size_t)got : 0;
    }
    output[length] = '\0';
    close(pipes[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

bool bench_kvpbus(const struct bench_world *world, bool host, const char *const *words,
                  char *output, size_t size)
{
    const char *all[WORDS_MAX] = {"--socket", host ? "host.ctl" : "agent.ctl"};
    size_t count = 2;
    while (*words != NULL && count < WORDS_MAX - 1)
        all[count++] = *words++;
    return run(world, "cli/kvpbus", all, output, size) == 0;
}

void bench_lab_stats(const struct bench_world *world, char *output, size_t size)
{
    static const char *const words[] = {"ctl", "lab", "stats", "--json", NULL};
    if (run(world, "lab/kvpbus-lab", words, output, size) != 0)
        bench_die("the lab gives no counters: %s", output);
}

// --- setting up ---

// Tries until it succeeds and, with `text`, prints that.
static void await(const struct bench_world *world, bool host, const char *const *words,
                  const char *text)
{
    char output[8192];
    for (int i = 0; i < LIVE_TRIES; i++) {
        if (bench_kvpbus(world, host, words, output, sizeof output) &&
            (text == NULL || strstr(output, text) != NULL))
            return;
        pause_ms(TRY_MS);
    }
    bench_die("the %s does not come so far: %s", host ? "host's service" : "agent", output);
}

static void pair(const struct bench_world *world, bool host)
{
    static const char *const identity[] = {"identity", NULL};
    static const char *const status[] = {"--json", "status", NULL};
    char shown[256];
    if (!bench_kvpbus(world, !host, identity, shown, sizeof shown))
        bench_die("no fingerprint: %s", shown);
    shown[strcspn(shown, "\n")] = '\0';
    const char *const words[] = {"pair", host ? BENCH_VM_BUS : "host", "--fingerprint", shown,
                                 NULL};
    await(world, host, words, NULL);
    if (!host) {
        await(world, true, status, "\"live\"");
        await(world, false, status, "\"live\"");
    }
}

static void find_build(struct bench_world *world, const char *build)
{
    if (build != NULL) {
        if (realpath(build, world->build) == NULL)
            bench_die("no folder %s: %s", build, strerror(errno));
        return;
    }
    // This program is BUILD/bench/kvpbus-bench.
    ssize_t length = readlink("/proc/self/exe", world->build, sizeof world->build - 1);
    world->build[length > 0 ? length : 0] = '\0';
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(world->build, '/');
        if (slash == NULL)
            bench_die("this program cannot find its folder: give --build");
        *slash = '\0';
    }
}

static bool lab_is_ready(const struct bench_world *world)
{
    char path[128], text[4096];
    snprintf(path, sizeof path, "%s/lab.log", world->directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = '\0';
    if (waitpid(world->children[BENCH_LAB], NULL, WNOHANG) != 0)
        bench_die("the lab does not start: %s", text);
    return strstr(text, "ready: ") != NULL;
}

static void connect_lab(struct bench_world *world)
{
    char socket[96];
    struct kvpbus_failure failure;
    struct kvpbus_vm *vms;
    size_t count;
    for (int i = 0; !lab_is_ready(world); i++) {
        if (i == LIVE_TRIES)
            bench_die("the lab is not ready in time");
        pause_ms(TRY_MS);
    }
    snprintf(socket, sizeof socket, "%s/lab/host.sock", world->directory);
    if (kvpbus_lab_management_open(socket, &world->management, &failure) != KVPBUS_OK ||
        world->management->ops->list(world->management, &vms, &count, &failure) != KVPBUS_OK)
        bench_die("%s", failure.detail);
    for (size_t i = 0; i < count; i++)
        if (strcmp(vms[i].name, BENCH_VM_BARE) == 0)
            memcpy(world->bare, vms[i].guid, sizeof world->bare);
    free(vms);
}

void bench_world_start(struct bench_world *world, const char *build)
{
    static const char agent_store[] = "pool:lab/vm/" BENCH_VM_BUS "/kvp";
    static const char *const lab[] = {"run",  "lab",         "--vm", BENCH_VM_BUS,
                                      "--vm", BENCH_VM_BARE, NULL};
    static const char *const host[] = {"--store",  "lab:lab/host.sock", "--state", "host",
                                       "--socket", "host.ctl",          NULL};
    static const char *const agent[] = {"--store",  agent_store, "--state", "agent",
                                        "--socket", "agent.ctl", NULL};
    static const char *const identity[] = {"identity", NULL};
    *world = (struct bench_world){.directory = "/tmp/kvpbus-bench-XXXXXX"};
    find_build(world, build);
    if (mkdtemp(world->directory) == NULL)
        bench_die("no folder in /tmp: %s", strerror(errno));
    the_world = world;
    atexit(bench_world_stop);
    start(world, BENCH_LAB, "lab/kvpbus-lab", "lab.log", lab);
    connect_lab(world);
    start(world, BENCH_HOST, "host/kvpbus-host", "host.log", host);
    start(world, BENCH_AGENT, "guest/kvpbus-guest", "agent.log", agent);
    await(world, true, identity, NULL);
    await(world, false, identity, NULL);
    pair(world, true);
    pair(world, false);
}

// --- the end ---

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void bench_world_stop(void)
{
    struct bench_world *world = the_world;
    if (world == NULL)
        return;
    the_world = NULL;
    if (world->management != NULL)
        world->management->ops->close(world->management);
    for (int child = BENCH_CHILDREN - 1; child >= 0; child--) {
        if (world->children[child] <= 0)
            continue;
        kill(world->children[child], SIGTERM);
        waitpid(world->children[child], NULL, 0);
    }
    nftw(world->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
