// SPDX-License-Identifier: Apache-2.0
//
// examples/embed.c in a VM of the lab, in the place of the agent.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

static struct world world;

static void begin(void)
{
    world_begin(&world, "");
    world_start(&world, WORLD_HOST);
}

static void end(void)
{
    world_end(&world);
}

TestSuite(embed, .init = begin, .fini = end);

static void start_example(const char *host)
{
    cr_assert_eq(world_shell(&world,
                             "mkdir -p own; rm -f embed.code; "
                             "(sh -c \"echo \\$\\$ >embed.pid; exec " KVPBUS_BUILD_DIR
                             "/examples/embed vm/alpha/kvp own %s\" >embed.out 2>embed.log; "
                             "echo $? >embed.code) >/dev/null 2>&1 &",
                             host),
                 0);
}

static void printed(const char *line)
{
    for (int i = 0; i < 300; i++) {
        if (world_shell(&world, "grep -F \"%s\" embed.out", line) == 0)
            return;
        lab_sleep_ms(100);
    }
    world_shell(&world, "cat embed.out embed.log");
    cr_assert_fail("the example does not print '%s': %s", line, world_output());
}

static void stop_example(void)
{
    cr_assert_eq(world_shell(&world, "kill $(cat embed.pid)"), 0);
    for (int i = 0; i < 200; i++) {
        if (world_shell(&world, "cat embed.code") == 0)
            break;
        lab_sleep_ms(50);
    }
    cr_assert_str_eq(world_output(), "0", "%s", world_output());
}

Test(embed, a_program_has_the_bus_in_its_own_loop)
{
    char fingerprint[64];
    world_ok(&world, WORLD_HOST, "identity");
    snprintf(fingerprint, sizeof fingerprint, "%s", world_output());
    start_example(fingerprint);
    printed("identity: ");
    for (int i = 0; i < 300; i++) {
        if (world_shell(&world, "$KVPBUS --socket host.ctl pair alpha --fingerprint "
                                "$(sed -n \"s/^identity: //p\" embed.out)") == 0)
            break;
        lab_sleep_ms(100);
    }
    world_await(&world, WORLD_HOST, "alpha", "\"state\": \"live\"", 30);
    world_ok(&world, WORLD_HOST, "recv --timeout 20s");
    cr_assert_str_eq(world_output(), "hello from my own loop");
    world_ok(&world, WORLD_HOST, "send alpha app.note --text \"to the loop\" --wait delivered");
    printed("app.note: to the loop");

    // It ends when it is asked to, and begins again where it was.
    stop_example();
    world_ok(&world, WORLD_HOST, "send alpha app.note --text \"while it was away\"");
    start_example(fingerprint);
    printed("app.note: while it was away");
    cr_assert_eq(world_shell(&world, "grep -c . embed.out"), 0);
    cr_assert_str_eq(world_output(), "2", "more than its identity and the message is printed");
    stop_example();
}
