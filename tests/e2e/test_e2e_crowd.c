// SPDX-License-Identifier: Apache-2.0
//
// Many clients ask one service at the same time, for what changes identities, peers and links above
// all, while messages are under way. With programs of the thread sanitizer (preset threads) this is
// where what two threads share shows itself.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum { MESSAGES = 100 };

static struct world world;

static void begin(void)
{
    world_begin_paired(&world);
    world_start(&world, WORLD_BETA);
    world_pair(&world, WORLD_BETA);
}

static void finish(void)
{
    world_end(&world);
}

TestSuite(e2e_crowd, .init = begin, .fini = finish);

// What each of them asks the host, in the words of a shell, again and again until the messages have
// been sent. Most of it may be refused at such a moment; what may not says so.
static const char *const crowd[] = {
    "$ASK unpair beta; $ASK pair beta --fingerprint $BETA",
    "$ASK rotate; sleep 0.3",
    "$ASK enroll beta --out token.$n && rm token.$n",
    "$ASK export beta beta.file --for $KEY; $ASK export beta --undo",
    "$ASK status || echo status >&3; $ASK vms || echo vms >&3",
    "$ASK metrics || echo metrics >&3; $ASK audit list || echo audit >&3",
    "$ASK backup backup.$n || echo backup >&3; rm -rf backup.$n",
    "id=$($ASK send beta app.x --text $n) && $ASK withdraw $id --wait",
};

// Each has a file with its number as long as it goes on, by which the world ends those that are
// left.
static void begin_crowd(void)
{
    char path[160];
    snprintf(path, sizeof path, "%s/crowd", world.lab.directory);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs("ASK=\"$KVPBUS --socket host.ctl\"\n", file);
    fputs("BETA=$($KVPBUS --socket beta.ctl identity)\n", file);
    fputs("KEY=$($KVPBUS --socket beta.ctl identity --public-key)\n", file);
    for (size_t i = 0; i < sizeof crowd / sizeof crowd[0]; i++)
        fprintf(file,
                "{ n=0; while [ ! -e sent ]; do n=$((n + 1)); { %s; } 2>>refused >>said; done; "
                "rm %zu.pid; } 3>>wrong >>wrong 2>&1 &\necho $! >%zu.pid\n",
                crowd[i], i, i);
    fclose(file);
    cr_assert_eq(world_shell(&world, "sh ./crowd"), 0, "%s", world_output());
}

static void end_crowd(void)
{
    cr_assert_eq(world_shell(&world, "ls *.pid | wc -l"), 0);
    cr_assert_eq((size_t)atoi(world_output()), sizeof crowd / sizeof crowd[0]);
    cr_assert_eq(world_shell(&world, ": >sent"), 0);
    for (int i = 0; world_shell(&world, "ls *.pid") == 0; i++) {
        cr_assert_lt(i, 1200, "one of the crowd does not end");
        lab_sleep_ms(100);
    }
    cr_assert_eq(world_shell(&world, "cat wrong"), 0);
    cr_assert_str_empty(world_output());
}

Test(e2e_crowd, nothing_is_lost_in_it)
{
    begin_crowd();
    for (int i = 1; i <= MESSAGES; i++)
        world_ok(&world, WORLD_HOST, "send alpha app.x --text %d", i);
    end_crowd();
    for (int i = 1; i <= MESSAGES; i++) {
        char text[12];
        snprintf(text, sizeof text, "%d", i);
        world_ok(&world, WORLD_ALPHA, "recv --timeout 50s");
        cr_assert_str_eq(world_output(), text);
    }
    cr_assert_eq(world_kvpbus(&world, WORLD_ALPHA, "recv --timeout 1s"), 6, "%s", world_output());
    world_ok(&world, WORLD_HOST, "audit verify");
    world_alpha_works(&world);
    for (int side = 0; side < WORLD_SIDES; side++)
        world_stop(&world, (enum world_side)side, SIGTERM);
}
