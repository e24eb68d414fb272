// SPDX-License-Identifier: Apache-2.0
//
// Request and reply with the real programs: by hand, by a program that serve runs, and by programs
// that use the library; and what goes wrong in between.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

static struct world world;

static void begin(void)
{
    world_begin_paired(&world);
}

static void finish(void)
{
    world_end(&world);
}

TestSuite(e2e_rpc, .init = begin, .fini = finish);

static void says(const char *text)
{
    cr_assert_not_null(strstr(world_output(), text), "'%s' is not in: %s", text, world_output());
}

static void ends(int code, int expected)
{
    cr_assert_eq(code, expected, "%d instead of %d: %s", code, expected, world_output());
}

// Runs in the background as NAME; what it says is in NAME.out, and NAME.code its exit code.
static void background(const char *name, const char *command)
{
    ends(world_shell(&world,
                     "rm -f %s.code; (%s >%s.out 2>&1 & echo $! >%s.pid; wait $!; "
                     "echo $? >%s.code) >shell.out 2>&1 &",
                     name, command, name, name, name),
         0);
}

// Its exit code; what it said is in world_output().
static int ended(const char *name)
{
    ends(world_shell(&world, "until [ -s %s.code ]; do sleep 0.1; done; cat %s.code", name, name),
         0);
    int code = atoi(world_output());
    world_shell(&world, "cat %s.out", name);
    return code;
}

static void stop(const char *name, const char *signal)
{
    ends(world_shell(&world, "kill -%s $(cat %s.pid)", signal, name), 0);
}

// Answers in alpha; `words` are those behind "serve".
static void serve(const char *words)
{
    char command[1024];
    snprintf(command, sizeof command, "$KVPBUS --socket alpha.ctl serve %s", words);
    background("serve", command);
    ends(world_shell(&world, "until grep -q serving serve.out; do sleep 0.1; done"), 0);
}

static int request(const char *words)
{
    return world_kvpbus(&world, WORLD_HOST, "request alpha %s", words);
}

Test(e2e_rpc, a_program_answers)
{
    // What stands in a body or an argument is for no shell.
    serve("\"svc.*\" -- sh -c \"cat; echo \\\"<\\$KVPBUS_PEER \\$KVPBUS_TOPIC>\\\" \\\"\\$1\\\"; "
          "exit "
          "3\" name \"a \\$(touch evil)\"");
    ends(request("svc.say --text \"; touch evil \""), 3);
    cr_assert_str_eq(world_output(), "; touch evil <host svc.say> a $(touch evil)");
    ends(world_shell(&world, "[ ! -e evil ]"), 0);
    ends(world_kvpbus(&world, WORLD_HOST, "--json request alpha svc.json"), 3);
    says("\"kind\": \"last reply\"");
    says("\"status\": 3");
    ends(world_shell(&world, "head -c 300000 /dev/urandom >sent"), 0);
    stop("serve", "TERM");
    ends(ended("serve"), 0);
    says("svc.say");
    serve("svc.echo -- cat");
    ends(world_shell(&world, "$KVPBUS --socket host.ctl request alpha svc.echo --file sent >got && "
                             "cmp sent got"),
         0);
}

Test(e2e_rpc, a_person_answers)
{
    char id[64] = "";
    background("ask", "$KVPBUS --socket host.ctl request alpha door.open --text please");
    ends(world_kvpbus(&world, WORLD_ALPHA, "--json recv --timeout 20s"), 0);
    says("\"kind\": \"request\"");
    const char *at = strstr(world_output(), "\"id\": \"");
    cr_assert_not_null(at);
    sscanf(at, "\"id\": \"%63[^\"]", id);
    world_ok(&world, WORLD_ALPHA, "reply host %s --text soon --more", id);
    world_ok(&world, WORLD_ALPHA, "reply host %s --text open --status 4", id);
    ends(ended("ask"), 4);
    cr_assert_str_eq(world_output(), "soon\nopen");
    ends(world_kvpbus(&world, WORLD_ALPHA, "reply host %s0000 --text again", id), 2);
    ends(world_kvpbus(&world, WORLD_ALPHA, "reply host nonsense --text again"), 2);
    says("as 'recv' shows it");
    // Replies are for who asked, not for whoever receives.
    ends(world_kvpbus(&world, WORLD_HOST, "recv --timeout 500ms"), 6);
}

Test(e2e_rpc, nobody_answers)
{
    ends(request("no.body --timeout 1s"), 6);
    says("no reply came in time");
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    ends(request("no.body --timeout 1s"), 6);
    ends(world_kvpbus(&world, WORLD_HOST, "request beta no.body --timeout 1s"), 5);
    ends(world_kvpbus(&world, WORLD_HOST, "request gamma no.body --timeout 1s"), 4);
    ends(request("no.body --timeout soon"), 2);
}

Test(e2e_rpc, a_program_that_does_wrong)
{
    serve("slow --timeout 500ms -- sleep 100");
    ends(world_shell(&world, "$KVPBUS --socket host.ctl request alpha slow; [ $? = 124 ]"), 0);
    says("took longer");
    stop("serve", "TERM");
    ends(ended("serve"), 0);
    serve("large --max-reply 1k -- head -c 2000 /dev/zero");
    ends(request("large"), 1);
    says("larger than 1024");
    stop("serve", "TERM");
    ends(ended("serve"), 0);
    serve("absent -- /nowhere/program");
    ends(request("absent"), 127);
    says("cannot start /nowhere/program");
    stop("serve", "TERM");
    ends(ended("serve"), 0);
    serve("shot -- sh -c \"kill -9 \\$\\$\"");
    ends(request("shot"), 137);
}

Test(e2e_rpc, what_was_being_served_comes_again)
{
    serve("work -- sh -c \"echo run >>runs; sleep 30; echo never\"");
    background("ask", "$KVPBUS --socket host.ctl request alpha work --timeout 60s");
    ends(world_shell(&world, "until [ -s runs ]; do sleep 0.1; done"), 0);
    stop("serve", "KILL");
    ended("serve");
    serve("work -- sh -c \"echo run >>runs; echo done\"");
    ends(ended("ask"), 0);
    cr_assert_str_eq(world_output(), "done");
    ends(world_shell(&world, "wc -l <runs"), 0);
    cr_assert_str_eq(world_output(), "2");
}

Test(e2e_rpc, a_stop_lets_the_program_finish)
{
    serve("work -- sh -c \"touch begun; sleep 1; echo done\"");
    background("ask", "$KVPBUS --socket host.ctl request alpha work");
    ends(world_shell(&world, "until [ -e begun ]; do sleep 0.1; done"), 0);
    stop("serve", "TERM");
    ends(ended("serve"), 0);
    ends(ended("ask"), 0);
    cr_assert_str_eq(world_output(), "done");
}

Test(e2e_rpc, a_second_signal_ends_the_program)
{
    serve("work -- sh -c \"touch begun; exec sleep 1000\"");
    background("ask", "$KVPBUS --socket host.ctl request alpha work --timeout 20s");
    ends(world_shell(&world, "until [ -e begun ]; do sleep 0.1; done"), 0);
    stop("serve", "TERM");
    ends(world_shell(&world, "until grep -q finished serve.out; do sleep 0.1; done"), 0);
    stop("serve", "INT");
    ends(ended("serve"), 0);
    ends(world_shell(&world, "pgrep -f \"sleep [1]000\""), 1);
}

Test(e2e_rpc, programs_run_in_parallel_for_different_streams)
{
    // Each waits until the other runs.
    serve(
        "pair.* --parallel 2 -- sh -c \"touch \\$KVPBUS_TOPIC; until [ -e pair.a ] && [ -e pair.b "
        "]; do sleep 0.1; done; echo met\"");
    background("a", "$KVPBUS --socket host.ctl request alpha pair.a --stream a");
    background("b", "$KVPBUS --socket host.ctl request alpha pair.b --stream b");
    ends(ended("a"), 0);
    cr_assert_str_eq(world_output(), "met");
    ends(ended("b"), 0);
}

Test(e2e_rpc, serve_outlives_its_service)
{
    serve("work -- echo done");
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    ends(world_shell(&world, "until grep -q again serve.out; do sleep 0.1; done"), 0);
    world_start(&world, WORLD_ALPHA);
    ends(request("work"), 0);
    cr_assert_str_eq(world_output(), "done");
}

static void ask_and_unpair(void)
{
    ends(world_shell(&world, "($KVPBUS --socket alpha.ctl request host svc.x --timeout 60s) "
                             ">/dev/null 2>&1 & echo $! >ask.pid"),
         0);
    world_await(&world, WORLD_HOST, "alpha", "\"inbox\": 1,", 20);
    world_ok(&world, WORLD_HOST, "unpair alpha");
}

Test(e2e_rpc, nothing_is_done_for_who_was_unpaired)
{
    ask_and_unpair();
    background("serve", "$KVPBUS --socket host.ctl serve svc.x -- touch evil");
    lab_sleep_ms(1500);
    ends(world_shell(&world, "[ ! -e evil ]"), 0);
    world_ok(&world, WORLD_HOST, "dead list");
    says("no longer paired");
}

// Its GUID is nobody's any more, and the host's service has forgotten it.
Test(e2e_rpc, nothing_is_done_for_who_was_unpaired_and_is_gone)
{
    ask_and_unpair();
    world_stop(&world, WORLD_HOST, SIGTERM);
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    lab_ctl(&world.lab, "stop alpha");
    lab_ctl(&world.lab, "import alpha");
    world_start(&world, WORLD_HOST);
    background("serve", "$KVPBUS --socket host.ctl serve svc.x -- touch evil");
    ends(world_shell(&world, "until $KVPBUS --socket host.ctl dead list | grep -q \"no longer "
                             "paired\"; do sleep 0.1; done; cat serve.out; [ ! -e evil ]"),
         0);
    cr_assert_null(strstr(world_output(), "again"), "%s", world_output());
}

// --- two VMs of one name ---

static char guids[WORLD_SIDES][40];

static void pair_twin(enum world_side side, const char *name)
{
    ends(world_shell(&world, "cat vm/%s/guid", name), 0);
    snprintf(guids[side], sizeof guids[side], "%.36s", world_output());
    world_start(&world, side);
    world_trust(&world, side, WORLD_HOST);
    ends(world_shell(&world,
                     "until $KVPBUS --socket host.ctl pair %s --fingerprint $($KVPBUS --socket "
                     "%s.ctl identity); do sleep 0.1; done",
                     guids[side], name),
         0);
    world_await(&world, side, "host", "\"state\": \"live\"", 30);
}

static void begin_twins(void)
{
    world_begin(&world, "--same-name twin");
    world_start(&world, WORLD_HOST);
    pair_twin(WORLD_ALPHA, "alpha");
    pair_twin(WORLD_BETA, "beta");
}

Test(e2e_rpc, vms_of_one_name_are_answered_both, .init = begin_twins)
{
    background("serve", "$KVPBUS --socket host.ctl serve svc.who -- sh -c \"echo \\$KVPBUS_PEER\"");
    for (enum world_side side = WORLD_ALPHA; side <= WORLD_BETA; side++) {
        ends(world_kvpbus(&world, side, "request host svc.who --timeout 20s"), 0);
        cr_assert_str_eq(world_output(), guids[side]);
    }
    world_ok(&world, WORLD_HOST, "dead list");
    says("there are no dead letters");
}

Test(e2e_rpc, vms_of_one_name_are_told_by_guid, .init = begin_twins)
{
    char command[256], id[64];
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "send twin app.x --text which"), 4);
    says(guids[WORLD_ALPHA]);
    says(guids[WORLD_BETA]);
    background("ask", "$KVPBUS --socket beta.ctl request host app.ask --timeout 40s");
    world_ok(&world, WORLD_HOST, "--json recv --timeout 20s");
    snprintf(command, sizeof command, "\"peer\": \"%s\"", guids[WORLD_BETA]);
    says(command);
    const char *found = strstr(world_output(), "\"id\": \"");
    cr_assert_not_null(found);
    snprintf(id, sizeof id, "%.34s", found + strlen("\"id\": \""));
    world_ok(&world, WORLD_HOST, "--json show %s", id);
    says(command);
    world_ok(&world, WORLD_HOST, "reply %s %s --text this", guids[WORLD_BETA], id);
    ends(ended("ask"), 0);
    cr_assert_str_eq(world_output(), "this");
}

Test(e2e_rpc, words_that_are_wrong)
{
    static const char *const wrong[] = {"serve",
                                        "serve x",
                                        "serve x --",
                                        "serve -- true",
                                        "serve x y -- true",
                                        "serve a..b -- true",
                                        "serve x --parallel 0 -- true",
                                        "request host",
                                        "reply host",
                                        "request host x --text a --file b"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ends(world_kvpbus(&world, WORLD_ALPHA, "%s", wrong[i]), 2);
        cr_assert_eq(strncmp(world_output(), "kvpbus: ", 8), 0, "%s", world_output());
        says("usage: kvpbus ");
    }
    ends(world_shell(&world, "$KVPBUS --socket nowhere serve x -- true"), 3);
    ends(world_shell(&world, "$KVPBUS --socket nowhere request host x"), 3);
}

Test(e2e_rpc, the_examples_do_what_they_say)
{
#define EXAMPLES KVPBUS_BUILD_DIR "/examples/"
    background("serve", "env KVPBUS_SOCKET=alpha.ctl " EXAMPLES "serve text.upper");
    ends(world_shell(&world, "KVPBUS_SOCKET=host.ctl " EXAMPLES "request alpha text.upper hello"),
         0);
    cr_assert_str_eq(world_output(), "HELLO");
    ends(
        world_shell(&world, "KVPBUS_SOCKET=host.ctl " EXAMPLES "publish alpha app.x \"some news\""),
        0);
    says("delivered ");
    ends(world_shell(&world, "mkfifo in; sleep 100 >in & echo $! >sleep.pid; "
                             "KVPBUS_SOCKET=alpha.ctl " EXAMPLES "subscribe \"app.>\" <in >news & "
                             "until grep -qs . news; do sleep 0.1; done; kill $(cat sleep.pid); "
                             "wait; cat news"),
         0);
    cr_assert_str_eq(world_output(), "host app.x: some news");
}
