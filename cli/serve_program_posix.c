// SPDX-License-Identifier: Apache-2.0
#include "serve_program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PIECE = 64 * 1024,
    GRACE = 5000,   // ms between SIGTERM and SIGKILL
    LOOK = 100,     // ms between looks whether it has ended, where nothing else tells
    LOOK_SOON = 10, // after it closed its output
};

extern char **environ;

struct running {
    const struct serve_program *program;
    struct serve_result *result;
    pid_t pid;
    int in, out; // -1: closed
    size_t written, capacity;
    int64_t deadline, ticks_at, kill_at; // kill_at -1: it was not told to end
    bool ended;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void close_end(int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
    *descriptor = -1;
}

// --- start ---

static int spawn(struct running *running, const int in[2], const int out[2])
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setsigmask(&attributes, &none);
    int code = posix_spawnp(&running->pid, running->program->argv[0], &actions, &attributes,
                            running->program->argv, running->program->environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

static int start(struct running *running)
{
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0)
        return errno;
    if (pipe2(out, O_CLOEXEC) != 0) {
        int code = errno;
        close(in[0]);
        close(in[1]);
        return code;
    }
    int code = spawn(running, in, out);
    close(in[0]);
    close(out[1]);
    running->in = in[1];
    running->out = out[0];
    if (code == 0) {
        fcntl(running->in, F_SETFL, O_NONBLOCK);
        fcntl(running->out, F_SETFL, O_NONBLOCK);
    } else {
        close_end(&running->in);
        close_end(&running->out);
    }
    return code;
}

// --- run ---

static void end_it(struct running *running, enum serve_end why)
{
    if (running->kill_at >= 0)
        return;
    running->result->end = why;
    running->kill_at = now_ms() + GRACE;
    kill(-running->pid, SIGTERM);
}

static void feed(struct running *running)
{
    const struct serve_program *program = running->program;
    ssize_t taken = 0;
    if (running->written < program->input_length)
        taken = write(running->in, program->input + running->written,
                      program->input_length - running->written);
    if (taken > 0)
        running->written += (size_t)taken;
    // A program need not read what it is given.
    bool gone = taken < 0 && errno != EAGAIN && errno != EINTR;
    if (gone || running->written == program->input_length)
        close_end(&running->in);
}

// False: nothing more is there now.
static bool collect(struct running *running)
{
    uint8_t piece[PIECE];
    ssize_t got = read(running->out, piece, sizeof piece);
    if (got < 0)
        return errno == EINTR;
    if (got == 0) {
        close_end(&running->out);
        return false;
    }
    if (running->kill_at >= 0)
        return true; // it is thrown away
    if (!serve_output_keep(running->result, &running->capacity, running->program->output_max, piece,
                           (size_t)got))
        end_it(running, SERVE_TOO_LARGE);
    return true;
}

static void look(struct running *running)
{
    int status;
    if (waitpid(running->pid, &status, WNOHANG) != running->pid)
        return;
    running->ended = true;
    running->result->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    // What it wrote is in the pipe by now; what its children do with that end is not waited for.
    while (running->out >= 0 && collect(running))
        ;
    if (running->kill_at >= 0)
        kill(-running->pid, SIGKILL);
}

static void watch_time(struct running *running)
{
    const struct serve_program *program = running->program;
    int64_t now = now_ms();
    if (now >= running->deadline)
        end_it(running, SERVE_TIMED_OUT);
    if (running->kill_at >= 0 && now >= running->kill_at)
        kill(-running->pid, SIGKILL);
    if (program->tick != NULL && now >= running->ticks_at) {
        running->ticks_at = now + (int64_t)program->tick_ms;
        if (!program->tick(program->context))
            end_it(running, SERVE_ABORTED);
    }
}

static void turn(struct running *running)
{
    bool ending = running->kill_at >= 0;
    struct pollfd wait[] = {
        {.fd = running->in, .events = POLLOUT},
        {.fd = running->out, .events = POLLIN},
        {.fd = ending ? -1 : running->program->stop, .events = POLLIN},
    };
    if (poll(wait, 3, running->out < 0 ? LOOK_SOON : LOOK) > 0) {
        if (wait[0].revents != 0)
            feed(running);
        if (wait[1].revents != 0)
            collect(running);
        if (wait[2].revents != 0)
            end_it(running, SERVE_ABORTED);
    }
    watch_time(running);
    look(running);
}

void serve_program_run(const struct serve_program *program, struct serve_result *result)
{
    struct running running = {.program = program, .result = result, .kill_at = -1};
    int64_t now = now_ms();
    *result = (struct serve_result){.end = SERVE_EXITED};
    running.deadline = now + (int64_t)program->timeout_ms;
    running.ticks_at = now + (int64_t)program->tick_ms;
    result->status = start(&running);
    if (result->status != 0) {
        result->end = SERVE_NOT_STARTED;
        return;
    }
    while (!running.ended)
        turn(&running);
    close_end(&running.in);
    close_end(&running.out);
}

// --- its environment ---

static bool replaced(const char *entry, const char *const *variables)
{
    for (size_t i = 0; variables[i] != NULL; i++)
        if (strncmp(entry, variables[i], strcspn(variables[i], "=") + 1) == 0)
            return true;
    return false;
}

char **serve_environment(const char *const *variables)
{
    size_t most = 1, count = 0;
    for (size_t i = 0; variables[i] != NULL; i++)
        most++;
    for (size_t i = 0; environ[i] != NULL; i++)
        most++;
    char **list = calloc(most, sizeof *list);
    if (list == NULL)
        return NULL;
    for (size_t i = 0; variables[i] != NULL; i++)
        list[count++] = (char *)variables[i];
    for (size_t i = 0; environ[i] != NULL; i++)
        if (!replaced(environ[i], variables))
            list[count++] = environ[i];
    return list;
}

void serve_environment_free(char **environment)
{
    free(environment);
}
