// SPDX-License-Identifier: Apache-2.0
//
// One run of a program for serve: what it is given, what it gives, and how it is ended.
#include "serve_program.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static struct serve_result result;

static void ignore_pipes(void)
{
    signal(SIGPIPE, SIG_IGN);
}

static void forget(void)
{
    free(result.output);
}

TestSuite(serve_program, .init = ignore_pipes, .fini = forget);

static struct serve_program shell(const char *script)
{
    static char *argv[4];
    argv[0] = (char *)"sh";
    argv[1] = (char *)"-c";
    argv[2] = (char *)script;
    return (struct serve_program){.argv = argv,
                                  .environment = environ,
                                  .output_max = 1000,
                                  .timeout_ms = 30000,
                                  .stop = -1,
                                  .tick_ms = 50};
}

static void run(struct serve_program program, enum serve_end end, int status)
{
    serve_program_run(&program, &result);
    cr_assert_eq(result.end, end, "%d instead of %d", (int)result.end, (int)end);
    cr_assert_eq(result.status, status, "%d instead of %d", result.status, status);
}

Test(serve_program, gives_what_it_is_given)
{
    static uint8_t input[1000];
    struct serve_program program = shell("cat; exit 7");
    memset(input, 'x', sizeof input);
    program.input = input;
    program.input_length = sizeof input;
    run(program, SERVE_EXITED, 7);
    cr_assert_eq(result.length, sizeof input);
    cr_assert_arr_eq(result.output, input, sizeof input);
}

Test(serve_program, need_not_read_its_input)
{
    static uint8_t input[1 << 20];
    struct serve_program program = shell("exec <&-; echo done");
    program.input = input;
    program.input_length = sizeof input;
    run(program, SERVE_EXITED, 0);
    cr_assert_eq(result.length, 5);
}

Test(serve_program, has_pipe_signals_as_programs_do)
{
    run(shell("sh -c 'kill -PIPE $$'; echo $?"), SERVE_EXITED, 0);
    cr_assert_eq(strncmp((char *)result.output, "141\n", 4), 0);
}

Test(serve_program, ended_by_a_signal)
{
    run(shell("kill -9 $$"), SERVE_EXITED, 137);
}

Test(serve_program, is_not_there)
{
    struct serve_program program = shell("");
    char *argv[] = {(char *)"/nowhere/program", NULL};
    program.argv = argv;
    serve_program_run(&program, &result);
    cr_assert_eq(result.end, SERVE_NOT_STARTED);
    cr_assert_neq(result.status, 0);
}

Test(serve_program, as_much_output_as_allowed_and_one_byte_more)
{
    run(shell("head -c 1000 /dev/zero"), SERVE_EXITED, 0);
    cr_assert_eq(result.length, 1000);
    free(result.output);
    struct serve_program program = shell("head -c 1001 /dev/zero; sleep 1000");
    serve_program_run(&program, &result);
    cr_assert_eq(result.end, SERVE_TOO_LARGE);
}

Test(serve_program, takes_too_long)
{
    struct serve_program program = shell("sleep 1000");
    program.timeout_ms = 200;
    serve_program_run(&program, &result);
    cr_assert_eq(result.end, SERVE_TIMED_OUT);
}

Test(serve_program, does_not_want_to_end)
{
    struct serve_program program = shell("trap '' TERM; while :; do sleep 1; done");
    program.timeout_ms = 200;
    run(program, SERVE_TIMED_OUT, 137);
}

// What it leaves behind holds its output open and is not waited for.
Test(serve_program, leaves_something_behind)
{
    struct serve_program program = shell("(sleep 5) & echo done");
    run(program, SERVE_EXITED, 0);
    cr_assert_eq(result.length, 5);
}

static bool three_times(void *context)
{
    return ++*(int *)context < 3;
}

Test(serve_program, is_ended_by_who_looks_after_it)
{
    int ticks = 0;
    struct serve_program program = shell("sleep 1000");
    program.tick = three_times;
    program.context = &ticks;
    serve_program_run(&program, &result);
    cr_assert_eq(result.end, SERVE_ABORTED);
    cr_assert_eq(ticks, 3);
}

Test(serve_program, is_stopped)
{
    int ends[2];
    struct serve_program program = shell("sleep 1000");
    cr_assert_eq(pipe(ends), 0);
    close(ends[1]);
    program.stop = ends[0];
    serve_program_run(&program, &result);
    cr_assert_eq(result.end, SERVE_ABORTED);
}
