// SPDX-License-Identifier: Apache-2.0
//
// What happens to a VM in its life: what the host's service says of it, and that messages of before
// arrive once when it is over. docs/operations.md tells the same in words.
#include <criterion/criterion.h>
#include <signal.h>
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

TestSuite(e2e_life, .init = begin, .fini = finish);

static void shell(const char *command)
{
    cr_assert_eq(world_shell(&world, "%s", command), 0, "%s", world_output());
}

// Both sides send while the VM is so; both messages arrive, once, when it is over.
static void held_up(const char *begin_words, const char *said, const char *end_words)
{
    lab_ctl(&world.lab, begin_words);
    world_await(&world, WORLD_HOST, "alpha", "\"state\": \"suspended\"", 20);
    world_ok(&world, WORLD_HOST, "vms");
    cr_assert_not_null(strstr(world_output(), said), "%s", world_output());
    world_ok(&world, WORLD_HOST, "send alpha app.x --text down");
    world_ok(&world, WORLD_ALPHA, "send host app.x --text up");
    cr_assert_eq(world_kvpbus(&world, WORLD_ALPHA, "recv --timeout 1s"), 6, "%s", world_output());
    lab_ctl(&world.lab, end_words);
    world_ok(&world, WORLD_ALPHA, "recv --timeout 40s");
    cr_assert_str_eq(world_output(), "down");
    world_ok(&world, WORLD_HOST, "recv --timeout 40s");
    cr_assert_str_eq(world_output(), "up");
    cr_assert_eq(world_kvpbus(&world, WORLD_ALPHA, "recv --timeout 1s"), 6, "%s", world_output());
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "recv --timeout 1s"), 6, "%s", world_output());
}

Test(e2e_life, a_vm_that_is_paused)
{
    held_up("pause alpha", "the VM is paused", "resume alpha");
}

Test(e2e_life, a_vm_that_is_saved)
{
    held_up("save alpha", "the VM is saved", "start alpha");
}

Test(e2e_life, data_exchange_that_is_switched_off)
{
    held_up("fault alpha disable-exchange", "Data Exchange is switched off for the VM",
            "fault alpha enable-exchange");
}

Test(e2e_life, pools_that_are_wiped_at_boot)
{
    lab_ctl(&world.lab, "fault alpha wipe-at-boot 1");
    world_ok(&world, WORLD_ALPHA, "send host app.x --text up");
    lab_ctl(&world.lab, "reboot alpha");
    world_ok(&world, WORLD_HOST, "recv --timeout 40s");
    cr_assert_str_eq(world_output(), "up");
    world_alpha_works(&world);
}

Test(e2e_life, a_daemon_that_comes_late)
{
    lab_ctl(&world.lab, "fault alpha daemon-absent");
    lab_ctl(&world.lab, "reboot alpha");
    world_ok(&world, WORLD_HOST, "send alpha app.x --text down");
    lab_ctl(&world.lab, "fault alpha clear");
    world_ok(&world, WORLD_ALPHA, "recv --timeout 60s");
    cr_assert_str_eq(world_output(), "down");
    world_alpha_works(&world);
}

static void turn_off(void)
{
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    lab_ctl(&world.lab, "stop alpha");
}

static void turn_on(void)
{
    lab_ctl(&world.lab, "start alpha");
    world_start(&world, WORLD_ALPHA);
}

// What was delivered after the checkpoint is not there any more and does not come back by itself;
// what was consumed before it does not come twice.
Test(e2e_life, a_checkpoint_is_reverted_to)
{
    world_ok(&world, WORLD_HOST, "send alpha app.x --text before --wait delivered");
    world_ok(&world, WORLD_ALPHA, "recv --timeout 20s");
    turn_off();
    lab_ctl(&world.lab, "checkpoint alpha one");
    shell("cp -a alpha.state state.then");
    turn_on();
    world_ok(&world, WORLD_HOST, "send alpha app.x --text undone --wait delivered");
    turn_off();
    lab_ctl(&world.lab, "revert alpha one");
    shell("rm -r alpha.state && cp -a state.then alpha.state");
    turn_on();
    world_logged(&world, WORLD_HOST, "alpha", "the peer was reverted");
    world_ok(&world, WORLD_HOST, "send alpha app.x --text after --wait delivered");
    world_ok(&world, WORLD_ALPHA, "recv --timeout 40s");
    cr_assert_str_eq(world_output(), "after");
    cr_assert_eq(world_kvpbus(&world, WORLD_ALPHA, "recv --timeout 2s"), 6, "%s", world_output());
    world_alpha_works(&world);
}

// The same for the host, whose state is that of a backup.
Test(e2e_life, the_host_is_restored_from_a_backup)
{
    world_stop(&world, WORLD_HOST, SIGTERM);
    shell("cp -a host.state state.then");
    world_start(&world, WORLD_HOST);
    world_ok(&world, WORLD_ALPHA, "send host app.x --text undone --wait delivered");
    world_stop(&world, WORLD_HOST, SIGTERM);
    shell("rm -r host.state && cp -a state.then host.state");
    world_start(&world, WORLD_HOST);
    world_logged(&world, WORLD_ALPHA, "host", "the peer was reverted");
    world_ok(&world, WORLD_ALPHA, "send host app.x --text after --wait delivered");
    world_ok(&world, WORLD_HOST, "recv --timeout 40s");
    cr_assert_str_eq(world_output(), "after");
    world_alpha_works(&world);
}

Test(e2e_life, a_clone_starts_no_session_and_the_vm_goes_on)
{
    turn_off();
    lab_ctl(&world.lab, "clone alpha gamma");
    shell("cp -a alpha.state gamma.state");
    turn_on();
    lab_ctl(&world.lab, "start gamma");
    shell("timeout 40 $GUEST --store pool:vm/gamma/kvp --state gamma.state --socket gamma.ctl "
          ">gamma.log 2>&1 & :");
    world_await(&world, WORLD_HOST, "gamma", "\"state\": \"unpaired\"", 30);
    bool said = false;
    for (int i = 0; i < 200 && !said; i++) {
        said = world_shell(&world, "grep -F \"it is a clone or an import\" gamma.log") == 0;
        lab_sleep_ms(100);
    }
    cr_assert(said, "the clone's agent does not say what it is");
    world_alpha_works(&world);
}

Test(e2e_life, a_vm_that_is_imported_is_a_newcomer)
{
    turn_off();
    lab_ctl(&world.lab, "import alpha");
    turn_on();
    world_logged(&world, WORLD_ALPHA, "host", "it is a clone or an import");
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "status alpha"), 4, "%s", world_output());
    world_ok(&world, WORLD_HOST, "status");
    cr_assert_not_null(strstr(world_output(), "the VM is gone from this host"), "%s",
                       world_output());
}
