// SPDX-License-Identifier: Apache-2.0
//
// A backup of a running host, and the host that goes on from it.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "world.h"

enum { FLOW = 60 };

static struct world world;

static void begin(void)
{
    world_begin_paired(&world);
}

static void end(void)
{
    world_end(&world);
}

TestSuite(backup, .init = begin, .fini = end);

static void shell_ok(const char *command)
{
    cr_assert_eq(world_shell(&world, "%s", command), 0, "%s: %s", command, world_output());
}

// All that is there, one line each, until nothing comes for a while.
static void receive_all(enum world_side side, const char *file)
{
    char command[256];
    const char *socket = side == WORLD_HOST ? "host.ctl" : "alpha.ctl";
    snprintf(command, sizeof command,
             "while $KVPBUS --socket %s recv --timeout 3s >one; do cat one >>%s; echo >>%s; done; "
             "grep . %s | sort >%s.sorted; mv %s.sorted %s",
             socket, file, file, file, file, file, file);
    shell_ok(command);
}

Test(backup, it_is_made_while_messages_flow_and_the_host_goes_on_from_it)
{
    char flow[256];
    world_ok(&world, WORLD_ALPHA, "send host app.x --text consumed --wait delivered");
    world_ok(&world, WORLD_HOST, "recv --timeout 20s");
    snprintf(flow, sizeof flow,
             "(for i in $(seq -w %d); do $KVPBUS --socket host.ctl send alpha app.x --text flow-$i "
             "|| echo lost >>flow.err; done; touch flow.end) >/dev/null 2>&1 &",
             FLOW);
    shell_ok(flow);
    shell_ok("$KVPBUS --socket host.ctl backup first");
    shell_ok("while ! test -e flow.end; do sleep 0.1; done; ! test -e flow.err");
    receive_all(WORLD_ALPHA, "got.alpha");
    snprintf(flow, sizeof flow, "for i in $(seq -w %d); do echo flow-$i; done | diff - got.alpha",
             FLOW);
    shell_ok(flow);

    // One that is queued in the backup and delivered after it, and some of after it both ways.
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    world_ok(&world, WORLD_HOST, "send alpha app.x --text queued");
    shell_ok("$KVPBUS --socket host.ctl backup second");
    cr_assert_eq(world_shell(&world, "ls host.state | grep part"), 1, "a copy is left");
    world_start(&world, WORLD_ALPHA);
    world_ok(&world, WORLD_HOST, "send alpha app.x --text after --wait delivered");
    world_ok(&world, WORLD_ALPHA, "send host app.x --text undone --wait delivered");
    receive_all(WORLD_ALPHA, "got.alpha");
    receive_all(WORLD_HOST, "got.host");
    shell_ok("test \"$(cat got.host)\" = undone");

    world_stop(&world, WORLD_HOST, SIGTERM);
    shell_ok("mv host.state host.before && cp -a second host.state");
    world_start(&world, WORLD_HOST);
    world_logged(&world, WORLD_ALPHA, "host", "the peer was reverted");
    world_ok(&world, WORLD_HOST, "send alpha app.x --text again --wait delivered");
    world_ok(&world, WORLD_ALPHA, "send host app.x --text again --wait delivered");
    receive_all(WORLD_ALPHA, "got.alpha");
    receive_all(WORLD_HOST, "got.host");
    shell_ok("uniq -d got.alpha >twice; ! test -s twice");
    shell_ok("grep -x queued got.alpha && grep -x after got.alpha && grep -x again got.alpha");
    shell_ok("printf \"again\\nundone\\n\" | diff - got.host");
    world_ok(&world, WORLD_ALPHA, "--json status host");
    cr_assert_not_null(strstr(world_output(), "\"unknown\": 1"), "%s", world_output());
    world_alpha_works(&world);
}

Test(backup, the_folder_is_a_state_folder_for_its_owner_alone)
{
    world_ok(&world, WORLD_HOST, "--json backup copy");
    shell_ok("$KVPBUS --socket host.ctl --json backup copy/ 2>&1; test $? = 1");
    shell_ok("test \"$(stat -c %a copy copy/* | tr \"\\n\" \" \")\" = \"700 600 600 \"");
    shell_ok("cmp copy/identity.key host.state/identity.key");
    shell_ok("$KVPBUS --socket host.ctl --json backup two | jq -e \".folder == \\\"two\\\" and "
             ".bytes > 10000\"");
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "backup"), 2);
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "backup one two"), 2);
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "backup nowhere/copy"), 1);
    cr_assert_not_null(strstr(world_output(), "cannot write nowhere/copy"), "%s", world_output());
}

// Neither at the client's nor at the service's side anything is left.
Test(backup, a_full_disk_is_told_and_nothing_is_left)
{
    shell_ok("ls >before");
    // The limit would cut the counters of a build with coverage too, which other processes share.
    cr_assert_eq(world_shell(&world,
                             "ulimit -f 16; "
                             "LLVM_PROFILE_FILE=/dev/null $KVPBUS --socket host.ctl backup copy"),
                 7, "%s", world_output());
    cr_assert_not_null(strstr(world_output(), "cannot write"), "%s", world_output());
    shell_ok("ls | grep -v before | diff - before || test \"$(ls | grep -c copy)\" = 0");
    shell_ok("! test -e host.state/backup.part");
    world_ok(&world, WORLD_HOST, "backup copy");
    // What a service that was killed has left is gone with the next start.
    world_stop(&world, WORLD_HOST, SIGKILL);
    shell_ok("touch host.state/backup.part");
    world_start(&world, WORLD_HOST);
    shell_ok("! test -e host.state/backup.part");
    world_alpha_works(&world);
}

// It has the secret key in it: who may send messages may not have it.
Test(backup, it_is_for_root_and_the_services_user)
{
    if (geteuid() != 0)
        return; // nobody else can be played
    shell_ok("chmod 711 . && chmod 666 host.ctl && mkdir -m 777 open");
    cr_assert_eq(world_shell(&world, "setpriv --reuid=65534 --clear-groups "
                                     "$KVPBUS --socket host.ctl backup open/copy"),
                 1, "%s", world_output());
    cr_assert_not_null(strstr(world_output(), "use sudo"), "%s", world_output());
    shell_ok("test -z \"$(ls open)\"");
}
