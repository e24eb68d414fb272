// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUILD KVPBUS_BUILD_DIR

static const char *const names[WORLD_SIDES] = {"host", "alpha", "beta"};
static char output[64 * 1024];

const char *world_output(void)
{
    return output;
}

static int run(const char *command)
{
    size_t length = 0;
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    while (length < sizeof output - 1) {
        size_t got = fread(output + length, 1, sizeof output - 1 - length, pipe);
        if (got == 0)
            break;
        length += got;
    }
    int status = pclose(pipe);
    output[length] = '\0';
    if (length > 0 && output[length - 1] == '\n')
        output[length - 1] = '\0';
    cr_assert(WIFEXITED(status), "killed: %s", command);
    cr_assert_neq(WEXITSTATUS(status), 124, "takes too long: %s", command);
    return WEXITSTATUS(status);
}

static int __attribute__((format(printf, 3, 0)))
kvpbus(const struct world *world, enum world_side side, const char *words, va_list arguments)
{
    char text[2048], command[4096];
    vsnprintf(text, sizeof text, words, arguments);
    snprintf(command, sizeof command,
             "exec 2>&1 </dev/null; cd %s && timeout 60 " BUILD "/cli/kvpbus --socket %s.ctl %s",
             world->lab.directory, names[side], text);
    return run(command);
}

int world_kvpbus(const struct world *world, enum world_side side, const char *words, ...)
{
    va_list arguments;
    va_start(arguments, words);
    int code = kvpbus(world, side, words, arguments);
    va_end(arguments);
    return code;
}

void world_ok(const struct world *world, enum world_side side, const char *words, ...)
{
    va_list arguments;
    va_start(arguments, words);
    int code = kvpbus(world, side, words, arguments);
    va_end(arguments);
    cr_assert_eq(code, 0, "kvpbus %s on %s ends with %d: %s", words, names[side], code, output);
}

int world_shell(const struct world *world, const char *command, ...)
{
    char text[4096], line[6144];
    va_list arguments;
    va_start(arguments, command);
    vsnprintf(text, sizeof text, command, arguments);
    va_end(arguments);
    cr_assert_null(strchr(text, '\''));
    snprintf(line, sizeof line,
             "cd %s && export HOST=" BUILD "/host/kvpbus-host GUEST=" BUILD
             "/guest/kvpbus-guest KVPBUS=" BUILD "/cli/kvpbus UNSHARE=\"unshare%s\"; "
             "exec timeout 60 sh -c '%s' 2>&1",
             world->lab.directory, geteuid() == 0 ? "" : " --map-root-user", text);
    return run(line);
}

void world_skip_unless(const struct world *world, const char *command)
{
    if (world_shell(world, "%s", command) != 0)
        cr_skip_test("not possible here: %s: %s", command, output);
}

void world_begin(struct world *world, const char *options)
{
    memset(world, 0, sizeof *world);
    lab_start(&world->lab, options);
}

void world_begin_paired(struct world *world)
{
    world_begin(world, "");
    world_start(world, WORLD_HOST);
    world_start(world, WORLD_ALPHA);
    world_pair(world, WORLD_ALPHA);
}

void world_configure_host(const struct world *world, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/host.conf", world->lab.directory);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

// What a test has started by a shell and left; the number of a process that has ended may be
// another's by now, in another folder.
static void end_others(const struct world *world)
{
    world_shell(world, "for pid in $(cat *.pid 2>/dev/null); do "
                       "[ \"$(readlink /proc/$pid/cwd)\" != \"$PWD\" ] || kill -9 $pid; done");
}

void world_end(struct world *world)
{
    end_others(world);
    for (int side = 0; side < WORLD_SIDES; side++)
        if (world->pids[side] != 0)
            world_stop(world, (enum world_side)side, SIGKILL);
    if (world->lab.pid != 0)
        lab_stop(&world->lab);
    lab_remove(&world->lab);
}

static void exec_service(const struct world *world, enum world_side side)
{
    char store[160], state[32], socket[32], log[32], config[32];
    bool host = side == WORLD_HOST;
    if (host)
        snprintf(store, sizeof store, "lab:%s", world->lab.socket);
    else
        snprintf(store, sizeof store, "pool:%s/vm/%s/kvp", world->lab.directory, names[side]);
    snprintf(state, sizeof state, "%s.state", names[side]);
    snprintf(socket, sizeof socket, "%s.ctl", names[side]);
    snprintf(log, sizeof log, "%s.log", names[side]);
    int file = -1;
    if (chdir(world->lab.directory) == 0)
        file = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    // A test that crashes takes its services with it.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(file, 1);
    dup2(file, 2);
    // A test that has written DIR/<side>.conf means it for that side.
    snprintf(config, sizeof config, "%s.conf", names[side]);
    bool configured = access(config, F_OK) == 0;
    execl(host ? BUILD "/host/kvpbus-host" : BUILD "/guest/kvpbus-guest", names[side], "--store",
          store, "--state", state, "--socket", socket, configured ? "--config" : (char *)NULL,
          config, (char *)NULL);
    _exit(127);
}

void world_start(struct world *world, enum world_side side)
{
    cr_assert_eq(world->pids[side], 0);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0)
        exec_service(world, side);
    world->pids[side] = pid;
    for (int i = 0; i < 1500; i++) {
        if (world_kvpbus(world, side, "identity") == 0)
            return;
        lab_sleep_ms(20);
    }
    cr_assert_fail("the service of %s does not come up: %s", names[side], output);
}

void world_stop(struct world *world, enum world_side side, int signal)
{
    int status;
    cr_assert_eq(kill(world->pids[side], signal), 0);
    cr_assert_eq(waitpid(world->pids[side], &status, 0), world->pids[side]);
    world->pids[side] = 0;
    if (signal == SIGKILL)
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    world_shell(world, "tail -n 60 %s.log", names[side]);
    cr_assert_fail("%s ended with %#x: %s", names[side], (unsigned)status, output);
}

void world_await(const struct world *world, enum world_side side, const char *peer,
                 const char *text, unsigned seconds)
{
    for (unsigned i = 0; i < seconds * 10; i++) {
        if (world_kvpbus(world, side, "--json status %s", peer) == 0 &&
            strstr(output, text) != NULL)
            return;
        lab_sleep_ms(100);
    }
    cr_assert_fail("%s does not say %s in %u s: %s", names[side], text, seconds, output);
}

static void fingerprint(const struct world *world, enum world_side side, char text[64])
{
    world_ok(world, side, "identity");
    cr_assert_lt(strlen(output), 64);
    strcpy(text, output);
}

void world_trust(const struct world *world, enum world_side side, enum world_side peer)
{
    char shown[64];
    int code = -1;
    fingerprint(world, peer, shown);
    for (int i = 0; code != 0 && i < 300; i++) {
        code = world_kvpbus(world, side, "pair %s --fingerprint %s", names[peer], shown);
        if (code != 0)
            lab_sleep_ms(100);
    }
    cr_assert_eq(code, 0, "%s does not pair: %s", names[side], output);
}

void world_pair(struct world *world, enum world_side vm)
{
    world_trust(world, WORLD_HOST, vm);
    world_trust(world, vm, WORLD_HOST);
    world_await(world, WORLD_HOST, names[vm], "\"state\": \"live\"", 30);
    world_await(world, vm, "host", "\"state\": \"live\"", 30);
}

void world_alpha_works(const struct world *world)
{
    world_ok(world, WORLD_HOST, "send alpha still.works --text there --wait delivered");
    world_ok(world, WORLD_ALPHA, "recv --timeout 20s");
    cr_assert_str_eq(output, "there");
    world_ok(world, WORLD_ALPHA, "send host still.works --text back --wait delivered");
    world_ok(world, WORLD_HOST, "recv --timeout 20s");
    cr_assert_str_eq(output, "back");
}

void world_logged(const struct world *world, enum world_side side, const char *peer,
                  const char *words)
{
    for (int i = 0; i < 1800; i++) {
        if (world_shell(world, "grep \": %s: \" %s.log | grep -F \"%s\"", peer, names[side],
                        words) == 0)
            return;
        lab_sleep_ms(100);
    }
    cr_assert_fail("%s does not say of %s: %s", names[side], peer, words);
}
