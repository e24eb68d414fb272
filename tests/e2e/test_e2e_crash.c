// SPDX-License-Identifier: Apache-2.0
//
// Services that are killed, VMs that are rebooted, a host that stops answering: nothing is lost,
// nothing comes twice, and the other VM does not notice.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

TestSuite(e2e_crash, .init = begin, .fini = finish);

static long counter(enum world_side side, const char *peer, const char *name)
{
    char text[64];
    snprintf(text, sizeof text, "\"%s\": ", name);
    world_ok(&world, side, "--json status %s", peer);
    const char *found = strstr(world_output(), text);
    cr_assert_not_null(found, "%s", world_output());
    return strtol(found + strlen(text), NULL, 10);
}

static void await_items(long items)
{
    for (int i = 0; i < 300; i++) {
        if (counter(WORLD_HOST, "alpha", "data_items_written") >= items)
            return;
        lab_sleep_ms(50);
    }
    cr_assert_fail("the transfer stands still");
}

static void receives_file_once(void)
{
    world_ok(&world, WORLD_ALPHA, "recv --out got --timeout 50s");
    cr_assert_eq(world_shell(&world, "cmp sent got/*"), 0, "%s", world_output());
    cr_assert_eq(world_kvpbus(&world, WORLD_ALPHA, "recv --timeout 2s"), 6, "%s", world_output());
}

static void send_file(void)
{
    cr_assert_eq(world_shell(&world, "head -c 400000 /dev/urandom >sent"), 0);
    world_ok(&world, WORLD_HOST, "send alpha app.file --file sent --class bulk");
}

Test(e2e_crash, the_agent_is_killed_and_the_vm_rebooted_in_a_transfer)
{
    send_file();
    await_items(128);
    world_stop(&world, WORLD_ALPHA, SIGKILL);
    world_start(&world, WORLD_ALPHA);
    await_items(320);
    world_stop(&world, WORLD_ALPHA, SIGKILL);
    lab_ctl(&world.lab, "reboot alpha");
    world_start(&world, WORLD_ALPHA);
    receives_file_once();
    // What was committed before the crashes was not sent again: 553 items carry the file.
    cr_assert_lt(counter(WORLD_HOST, "alpha", "data_items_written"), 2 * 553);
}

Test(e2e_crash, the_host_is_killed_in_a_transfer)
{
    send_file();
    await_items(128);
    world_stop(&world, WORLD_HOST, SIGKILL);
    world_start(&world, WORLD_HOST);
    receives_file_once();
}

Test(e2e_crash, what_was_queued_survives)
{
    world_stop(&world, WORLD_ALPHA, SIGKILL);
    world_ok(&world, WORLD_HOST, "send alpha app.x --text one");
    world_ok(&world, WORLD_HOST, "send alpha app.x --text two");
    world_stop(&world, WORLD_HOST, SIGKILL);
    world_start(&world, WORLD_HOST);
    world_start(&world, WORLD_ALPHA);
    world_ok(&world, WORLD_ALPHA, "recv --count 2 --timeout 40s");
    cr_assert_str_eq(world_output(), "one\ntwo");
    world_stop(&world, WORLD_ALPHA, SIGKILL);
    world_start(&world, WORLD_ALPHA);
    cr_assert_eq(world_kvpbus(&world, WORLD_ALPHA, "recv --timeout 2s"), 6);
}

Test(e2e_crash, a_receiver_that_dies_leaves_its_message)
{
    world_ok(&world, WORLD_HOST, "send alpha app.x --text kept --wait delivered");
    // Standard output is a pipe that nobody reads and that is full: recv stands before its ack.
    cr_assert_eq(world_shell(&world, "head -c 300000 /dev/zero | tr \"\\0\" x >long"), 0);
    world_ok(&world, WORLD_HOST, "send alpha app.long --stream b --file long --wait delivered");
    world_shell(&world,
                "timeout -s KILL 1 $KVPBUS --socket alpha.ctl recv --topic app.long | sleep 2");
    world_ok(&world, WORLD_ALPHA, "recv --topic app.long --timeout 10s | wc -c");
    cr_assert_str_eq(world_output(), "300001");
    world_ok(&world, WORLD_ALPHA, "recv --timeout 10s");
    cr_assert_str_eq(world_output(), "kept");
}

Test(e2e_crash, both_end_on_request)
{
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    world_stop(&world, WORLD_HOST, SIGTERM);
    cr_assert_eq(world_shell(&world, "ls *.ctl"), 2, "a socket is left");
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "vms"), 3);
}

Test(e2e_crash, a_stuck_job_holds_up_one_vm_alone)
{
    world_start(&world, WORLD_BETA);
    world_pair(&world, WORLD_BETA);
    lab_ctl(&world.lab, "fault alpha lost-job --count 1");
    world_ok(&world, WORLD_HOST, "send alpha app.x --text slow");
    world_ok(&world, WORLD_HOST, "send beta app.x --text fast");
    world_ok(&world, WORLD_BETA, "recv --timeout 5s");
    cr_assert_str_eq(world_output(), "fast");
    world_ok(&world, WORLD_BETA, "send host app.x --text back --wait delivered");
    world_ok(&world, WORLD_HOST, "recv --timeout 5s");
    cr_assert_str_eq(world_output(), "back");
    lab_ctl(&world.lab, "fault alpha clear");
    world_ok(&world, WORLD_ALPHA, "recv --timeout 50s");
    cr_assert_str_eq(world_output(), "slow");
}

Test(e2e_crash, a_vm_that_is_off_is_said_and_waited_for)
{
    lab_ctl(&world.lab, "stop alpha");
    world_await(&world, WORLD_HOST, "alpha", "the VM is off", 20);
    world_ok(&world, WORLD_HOST, "send alpha app.x --text wait");
    lab_ctl(&world.lab, "start alpha");
    world_ok(&world, WORLD_ALPHA, "recv --timeout 40s");
    cr_assert_str_eq(world_output(), "wait");
}

Test(e2e_crash, the_hosts_management_may_go_and_come)
{
    lab_stop(&world.lab);
    world.lab.pid = 0;
    world_ok(&world, WORLD_HOST, "send alpha app.x --text patience");
    lab_start_again(&world.lab, "");
    world_ok(&world, WORLD_ALPHA, "recv --timeout 50s");
    cr_assert_str_eq(world_output(), "patience");
}
