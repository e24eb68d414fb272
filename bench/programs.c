// SPDX-License-Identifier: Apache-2.0
#include "programs.h"

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

enum { WORDS_MAX = 2 * BENCH_CHILDREN_MAX, TRIES = 1200, TRY_MS = 50 };

static struct bench_programs *running; // for bench_programs_end at exit

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

void bench_pause_ms(unsigned ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

// --- programs ---

// In the child: its output goes to `output`.
__attribute__((noreturn)) static void become(const struct bench_programs *programs,
                                             const char *program, const char *const *words,
                                             int output)
{
    char path[PATH_MAX + 64];
    const char *arguments[WORDS_MAX] = {program};
    size_t count = 1;
    while (*words != NULL && count < WORDS_MAX - 1)
        arguments[count++] = *words++;
    snprintf(path, sizeof path, "%s/%s", programs->build, program);
    int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, 0);
    dup2(output, 1);
    dup2(output, 2);
    if (chdir(programs->directory) == 0)
        execv(path, (char *const *)arguments);
    fprintf(stderr, "cannot start %s: %s\n", path, strerror(errno));
    _exit(127);
}

pid_t bench_start(struct bench_programs *programs, const char *program, const char *log,
                  const char *const *words)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", programs->directory, log);
    int output = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_t pid = output >= 0 && programs->count < BENCH_CHILDREN_MAX ? fork() : -1;
    if (pid < 0)
        bench_die("cannot start %s: %s", program, strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM); // a run that crashes takes them along
        become(programs, program, words, output);
    }
    close(output);
    programs->children[programs->count++] = pid;
    return pid;
}

int bench_run(const struct bench_programs *programs, const char *program, const char *const *words,
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
        become(programs, program, words, pipes[1]);
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

bool bench_kvpbus(const struct bench_programs *programs, const char *socket,
                  const char *const *words, char *output, size_t size)
{
    const char *all[32] = {"--socket", socket};
    size_t count = 2;
    while (*words != NULL && count < sizeof all / sizeof *all - 1)
        all[count++] = *words++;
    return bench_run(programs, "cli/kvpbus", all, output, size) == 0;
}

void bench_await(const struct bench_programs *programs, const char *socket,
                 const char *const *words, const char *text)
{
    char output[8192];
    for (int i = 0; i < TRIES; i++) {
        if (bench_kvpbus(programs, socket, words, output, sizeof output) &&
            (text == NULL || strstr(output, text) != NULL))
            return;
        bench_pause_ms(TRY_MS);
    }
    bench_die("the service at %s does not come so far: %s", socket, output);
}

static void trust(const struct bench_programs *programs, const char *socket, const char *peer,
                  const char *peer_socket)
{
    static const char *const identity[] = {"identity", NULL};
    char shown[256];
    if (!bench_kvpbus(programs, peer_socket, identity, shown, sizeof shown))
        bench_die("no fingerprint: %s", shown);
    shown[strcspn(shown, "\n")] = '\0';
    const char *const words[] = {"pair", peer, "--fingerprint", shown, NULL};
    bench_await(programs, socket, words, NULL);
}

void bench_pair(const struct bench_programs *programs, const char *host_socket, const char *peer,
                const char *guest_socket)
{
    trust(programs, host_socket, peer, guest_socket);
    trust(programs, guest_socket, "host", host_socket);
}

void bench_lab_stats(const struct bench_programs *programs, char *output, size_t size)
{
    static const char *const words[] = {"ctl", "lab", "stats", "--json", NULL};
    if (bench_run(programs, "lab/kvpbus-lab", words, output, size) != 0)
        bench_die("the lab gives no counters: %s", output);
}

// --- setting up ---

static void find_build(struct bench_programs *programs, const char *build)
{
    if (build != NULL) {
        if (realpath(build, programs->build) == NULL)
            bench_die("no folder %s: %s", build, strerror(errno));
        return;
    }
    // This program is BUILD/bench/kvpbus-bench.
    ssize_t length = readlink("/proc/self/exe", programs->build, sizeof programs->build - 1);
    programs->build[length > 0 ? length : 0] = '\0';
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(programs->build, '/');
        if (slash == NULL)
            bench_die("this program cannot find its folder: give --build");
        *slash = '\0';
    }
}

void bench_programs_begin(struct bench_programs *programs, const char *build)
{
    *programs = (struct bench_programs){.directory = "/tmp/kvpbus-bench-XXXXXX"};
    find_build(programs, build);
    if (mkdtemp(programs->directory) == NULL)
        bench_die("no folder in /tmp: %s", strerror(errno));
    if (running == NULL)
        atexit(bench_programs_end);
    running = programs;
}

static bool lab_is_ready(const struct bench_programs *programs, pid_t lab)
{
    char path[128], text[4096];
    snprintf(path, sizeof path, "%s/lab.log", programs->directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = '\0';
    if (waitpid(lab, NULL, WNOHANG) != 0)
        bench_die("the lab does not start: %s", text);
    return strstr(text, "ready: ") != NULL;
}

void bench_start_lab(struct bench_programs *programs, const char *const *words)
{
    pid_t lab = bench_start(programs, "lab/kvpbus-lab", "lab.log", words);
    for (int i = 0; !lab_is_ready(programs, lab); i++) {
        if (i == TRIES)
            bench_die("the lab is not ready in time");
        bench_pause_ms(TRY_MS);
    }
}

// --- the end ---

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void bench_programs_end(void)
{
    struct bench_programs *programs = running;
    if (programs == NULL || programs->directory[0] == '\0')
        return;
    while (programs->count > 0) {
        pid_t child = programs->children[--programs->count];
        kill(child, SIGTERM);
        waitpid(child, NULL, 0);
    }
    nftw(programs->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    programs->directory[0] = '\0';
}
