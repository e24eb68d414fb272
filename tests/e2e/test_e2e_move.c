// SPDX-License-Identifier: Apache-2.0
//
// A VM is moved to another host: two labs, and the folder of the VM goes from one to the other.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

static struct world from, to; // the host that it leaves, the one that it goes to
static char key[80], fingerprint[64];

static void begin(void)
{
    world_begin(&from, "");
    world_begin(&to, "");
    world_start(&from, WORLD_HOST);
    world_start(&from, WORLD_ALPHA);
    world_pair(&from, WORLD_ALPHA);
    world_start(&to, WORLD_HOST);
    world_ok(&to, WORLD_HOST, "identity --public-key");
    cr_assert_eq(strlen(world_output()), 64);
    strcpy(key, world_output());
    world_ok(&from, WORLD_HOST, "identity");
    cr_assert_lt(strlen(world_output()), sizeof fingerprint);
    strcpy(fingerprint, world_output());
}

static void finish(void)
{
    world_end(&from);
    world_end(&to);
}

TestSuite(e2e_move, .init = begin, .fini = finish);

// Alpha, with its disk, its GUID and its agent's state, runs on the other host alone.
static void move(struct world *source, struct world *goal)
{
    world_stop(&to, WORLD_HOST, SIGTERM);
    world_stop(&from, WORLD_HOST, SIGTERM);
    if (source->pids[WORLD_ALPHA] != 0)
        world_stop(source, WORLD_ALPHA, SIGTERM);
    if (lab_state(&source->lab, LAB_ALPHA) != KVPBUS_VM_STATE_OFF)
        lab_ctl(&source->lab, "stop alpha");
    lab_stop(&source->lab);
    lab_stop(&goal->lab);
    cr_assert_eq(world_shell(goal,
                             "rm -rf vm/alpha alpha.state && cp -a %s/vm/alpha vm/alpha && "
                             "cp -a %s/alpha.state .",
                             source->lab.directory, source->lab.directory),
                 0, "%s", world_output());
    cr_assert_eq(world_shell(source, "rm -rf vm/alpha alpha.state"), 0);
    lab_start_again(&source->lab, "");
    lab_start_again(&goal->lab, "");
    world_start(&to, WORLD_HOST);
    world_start(&from, WORLD_HOST);
    world_start(goal, WORLD_ALPHA);
}

static void guid_of_alpha(const struct world *world, char guid[37])
{
    FILE *file;
    char path[128];
    snprintf(path, sizeof path, "%s/vm/alpha/guid", world->lab.directory);
    file = fopen(path, "r");
    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%36s", guid), 1);
    fclose(file);
}

static void receives(const struct world *world, enum world_side side, const char *text)
{
    world_ok(world, side, "recv --timeout 50s");
    cr_assert_str_eq(world_output(), text);
}

Test(e2e_move, what_is_queued_goes_with_it_and_arrives_once)
{
    char guid[37];
    guid_of_alpha(&from, guid);
    world_ok(&from, WORLD_ALPHA, "send host app.x --text up1 --wait delivered");
    cr_assert_neq(world_kvpbus(&from, WORLD_HOST, "export alpha x --for %s", key), 0);
    cr_assert_not_null(strstr(world_output(), "runs on this host"), "%s", world_output());
    world_stop(&from, WORLD_ALPHA, SIGTERM);
    world_ok(&from, WORLD_HOST, "send alpha app.x --text down1");
    world_ok(&from, WORLD_HOST, "send alpha app.x --text down2");
    move(&from, &to);
    world_ok(&to, WORLD_ALPHA, "send host app.x --text up2");
    world_ok(&from, WORLD_HOST, "send %s app.x --text down3", guid);

    world_ok(&from, WORLD_HOST, "export %s %s/x --for %s", guid, to.lab.directory, key);
    cr_assert_eq(world_shell(&from, "grep -q down3 %s/x", to.lab.directory), 1);
    cr_assert_neq(world_kvpbus(&from, WORLD_HOST, "send %s app.x --text no", guid), 0);
    cr_assert_not_null(strstr(world_output(), "was exported to the host"), "%s", world_output());
    world_await(&from, WORLD_HOST, guid, "\"state\": \"moved\"", 10);
    cr_assert_eq(world_kvpbus(&from, WORLD_HOST, "recv --timeout 1s"), 6, "%s", world_output());
    cr_assert_eq(world_kvpbus(&to, WORLD_HOST, "import x"), 2);
    cr_assert_neq(world_kvpbus(&to, WORLD_HOST, "import x --fingerprint 00"), 0);
    world_ok(&to, WORLD_HOST, "import x --fingerprint %s", fingerprint);
    world_logged(&to, WORLD_ALPHA, "host", "the peer has a new identity");
    receives(&to, WORLD_ALPHA, "down1");
    receives(&to, WORLD_ALPHA, "down2");
    receives(&to, WORLD_ALPHA, "down3");
    receives(&to, WORLD_HOST, "up1");
    receives(&to, WORLD_HOST, "up2");
    cr_assert_neq(world_kvpbus(&to, WORLD_HOST, "import x --fingerprint %s", fingerprint), 0);
    world_stop(&to, WORLD_HOST, SIGKILL);
    world_start(&to, WORLD_HOST);
    world_ok(&to, WORLD_HOST, "rotate");
    world_alpha_works(&to);
    world_ok(&to, WORLD_HOST, "audit list --peer alpha");
    cr_assert_not_null(strstr(world_output(), "paired"), "%s", world_output());
}

// The new host has never listed it: nothing is read or written for it until it is there.
Test(e2e_move, it_is_handed_over_before_it_moves)
{
    char guid[37];
    guid_of_alpha(&from, guid);
    world_ok(&from, WORLD_ALPHA, "send host app.x --text up --wait delivered");
    world_stop(&from, WORLD_ALPHA, SIGTERM);
    world_ok(&from, WORLD_HOST, "send alpha app.x --text down1");
    lab_ctl(&from.lab, "stop alpha");
    world_await(&from, WORLD_HOST, "alpha", "\"state\": \"suspended\"", 20);
    world_ok(&from, WORLD_HOST, "export alpha %s/x --for %s", to.lab.directory, key);
    world_ok(&to, WORLD_HOST, "import x --fingerprint %s", fingerprint);
    world_await(&to, WORLD_HOST, guid, "\"state\": \"suspended\"", 20);
    world_ok(&to, WORLD_HOST, "status %s", guid);
    cr_assert_not_null(strstr(world_output(), "gone from this host"), "%s", world_output());
    world_ok(&to, WORLD_HOST, "send %s app.x --text down2", guid);
    receives(&to, WORLD_HOST, "up");
    move(&from, &to);
    receives(&to, WORLD_ALPHA, "down1");
    receives(&to, WORLD_ALPHA, "down2");
    world_ok(&to, WORLD_ALPHA, "send host app.x --text later --wait delivered");
    receives(&to, WORLD_HOST, "later");
}

Test(e2e_move, back_and_forth)
{
    char guid[37], home[80], its[64];
    guid_of_alpha(&from, guid);
    world_ok(&from, WORLD_HOST, "identity --public-key");
    strcpy(home, world_output());
    world_ok(&to, WORLD_HOST, "identity");
    strcpy(its, world_output());
    move(&from, &to);
    world_ok(&from, WORLD_HOST, "export %s x --for %s", guid, key);
    world_ok(&to, WORLD_HOST, "import %s/x --fingerprint %s", from.lab.directory, fingerprint);
    world_alpha_works(&to);
    world_stop(&to, WORLD_ALPHA, SIGTERM);
    world_ok(&to, WORLD_HOST, "send alpha app.x --text home");
    move(&to, &from);
    world_ok(&to, WORLD_HOST, "export %s y --for %s", guid, home);
    world_ok(&from, WORLD_HOST, "import %s/y --fingerprint %s", to.lab.directory, its);
    receives(&from, WORLD_ALPHA, "home");
    world_alpha_works(&from);
}

// Nobody hands it over: what is queued on either side waits for it to come back.
Test(e2e_move, away_and_back_without_an_export)
{
    char guid[37];
    guid_of_alpha(&from, guid);
    world_stop(&from, WORLD_ALPHA, SIGTERM);
    world_ok(&from, WORLD_HOST, "send alpha app.x --text down1");
    world_stop(&from, WORLD_HOST, SIGTERM);
    world_start(&from, WORLD_ALPHA);
    world_ok(&from, WORLD_ALPHA, "send host app.x --text up1");
    world_start(&from, WORLD_HOST);
    receives(&from, WORLD_HOST, "up1");
    // down1 waits in the VM's inbox, on its disk; down2 on the host that it leaves.
    world_await(&from, WORLD_HOST, "alpha", "\"queued\": 0,", 20);
    world_stop(&from, WORLD_ALPHA, SIGTERM);
    world_ok(&from, WORLD_HOST, "send alpha app.x --text down2");
    move(&from, &to);
    world_await(&from, WORLD_HOST, guid, "the VM is gone from this host; what is queued waits", 20);
    world_ok(&from, WORLD_HOST, "send %s app.x --text down3", guid);
    world_ok(&to, WORLD_ALPHA, "send host app.x --text up2");
    world_await(&to, WORLD_HOST, "alpha", "\"state\": \"unpaired\"", 20);
    world_logged(&to, WORLD_ALPHA, "host", "another identity than the one");
    receives(&to, WORLD_ALPHA, "down1");
    cr_assert_eq(world_kvpbus(&to, WORLD_ALPHA, "recv --timeout 2s"), 6, "%s", world_output());
    cr_assert_eq(world_kvpbus(&to, WORLD_HOST, "recv --timeout 1s"), 6, "%s", world_output());

    move(&to, &from);
    receives(&from, WORLD_ALPHA, "down2");
    receives(&from, WORLD_ALPHA, "down3");
    receives(&from, WORLD_HOST, "up2");
    world_alpha_works(&from);
    cr_assert_eq(world_kvpbus(&from, WORLD_ALPHA, "recv --timeout 1s"), 6, "%s", world_output());
    cr_assert_eq(world_kvpbus(&from, WORLD_HOST, "recv --timeout 1s"), 6, "%s", world_output());
    world_ok(&from, WORLD_HOST, "status %s", guid);
    cr_assert_not_null(strstr(world_output(), "live, everything is delivered"), "%s",
                       world_output());
}

Test(e2e_move, an_export_is_undone)
{
    char other[80];
    world_ok(&from, WORLD_ALPHA, "identity --public-key");
    strcpy(other, world_output());
    world_stop(&from, WORLD_ALPHA, SIGTERM);
    world_ok(&from, WORLD_HOST, "send alpha app.x --text stays");
    lab_ctl(&from.lab, "stop alpha");
    world_await(&from, WORLD_HOST, "alpha", "\"state\": \"suspended\"", 20);
    world_ok(&from, WORLD_HOST, "export alpha x --for %s", key);
    world_stop(&from, WORLD_HOST, SIGKILL);
    world_start(&from, WORLD_HOST);
    world_ok(&from, WORLD_HOST, "export alpha again --for %s", key);
    cr_assert_neq(world_kvpbus(&from, WORLD_HOST, "export alpha z --for %s", other), 0);
    world_ok(&from, WORLD_HOST, "export alpha --undo");
    cr_assert_neq(world_kvpbus(&from, WORLD_HOST, "export alpha --undo"), 0);
    lab_ctl(&from.lab, "start alpha");
    world_start(&from, WORLD_ALPHA);
    receives(&from, WORLD_ALPHA, "stays");
    world_alpha_works(&from);
}

// What a client has begun goes on when it hangs up, and its file is its own until the end. The
// service finds both clients there at once, the first one gone already.
Test(e2e_move, a_client_that_hung_up_keeps_its_file)
{
    char guid[37];
    guid_of_alpha(&from, guid);
    lab_ctl(&from.lab, "stop alpha");
    world_await(&from, WORLD_HOST, "alpha", "\"state\": \"suspended\"", 20);
    world_ok(&from, WORLD_HOST, "export alpha %s/x --for %s", to.lab.directory, key);
    cr_assert_eq(kill(to.pids[WORLD_HOST], SIGSTOP), 0);
    // A client has read all of the file when it has written all but a piece that fits the socket.
    cr_assert_eq(world_shell(&to,
                             "exec >said 2>&1; import=\"$KVPBUS --socket host.ctl import x "
                             "--fingerprint %s\"; whole=\"pos:.$(stat -c %%s x)\"; "
                             "$import & first=$!; "
                             "until grep -q $whole /proc/$first/fdinfo/*; do sleep 0.1; done; "
                             "($import; echo ended $?) >second 2>&1 & sleep 1; kill -9 $first",
                             fingerprint),
                 0, "%s", world_output());
    cr_assert_eq(kill(to.pids[WORLD_HOST], SIGCONT), 0);
    cr_assert_eq(world_shell(&to, "until grep ended second; do sleep 0.1; done; cat second"), 0);
    cr_assert_null(strstr(world_output(), "No such file"), "%s", world_output());
    world_await(&to, WORLD_HOST, guid, "\"paired\": true", 20);
    cr_assert_eq(world_shell(&to, "ls host.state/import*"), 2, "%s", world_output());
    world_stop(&to, WORLD_HOST, SIGTERM);
}

Test(e2e_move, words_and_files_that_are_wrong)
{
    cr_assert_eq(world_kvpbus(&from, WORLD_HOST, "export alpha x"), 2);
    cr_assert_eq(world_kvpbus(&from, WORLD_HOST, "export alpha"), 2);
    cr_assert_eq(world_kvpbus(&from, WORLD_HOST, "export alpha x --undo"), 2);
    cr_assert_neq(world_kvpbus(&from, WORLD_HOST, "export alpha x --for 12"), 0);
    cr_assert_not_null(strstr(world_output(), "not the key of a host"), "%s", world_output());
    cr_assert_eq(world_kvpbus(&from, WORLD_HOST, "export nobody x --for %s", key), 4);
    cr_assert_neq(world_kvpbus(&from, WORLD_ALPHA, "export host x --for %s", key), 0);
    cr_assert_neq(world_kvpbus(&to, WORLD_HOST, "import nothing --fingerprint 1"), 0);
    cr_assert_eq(world_shell(&to, "head -c 5000 /dev/urandom >noise; : >empty"), 0);
    cr_assert_neq(world_kvpbus(&to, WORLD_HOST, "import noise --fingerprint 1"), 0);
    cr_assert_not_null(strstr(world_output(), "not a file that"), "%s", world_output());
    cr_assert_neq(world_kvpbus(&to, WORLD_HOST, "import empty --fingerprint 1"), 0);

    lab_ctl(&from.lab, "stop alpha");
    world_await(&from, WORLD_HOST, "alpha", "\"state\": \"suspended\"", 20);
    world_ok(&from, WORLD_HOST, "--json export alpha x --for %s", key);
    cr_assert_not_null(strstr(world_output(), "\"file\""), "%s", world_output());
    cr_assert_neq(world_kvpbus(&from, WORLD_HOST, "export alpha x --for %s", key), 0);
    cr_assert_not_null(strstr(world_output(), "name a file that is not there yet"), "%s",
                       world_output());
    cr_assert_neq(world_kvpbus(&from, WORLD_HOST, "import x --fingerprint %s", fingerprint), 0);
    cr_assert_not_null(strstr(world_output(), "for another host"), "%s", world_output());
    cr_assert_eq(world_shell(&from, "head -c 2000 x >%s/cut", to.lab.directory), 0);
    cr_assert_neq(world_kvpbus(&to, WORLD_HOST, "import cut --fingerprint %s", fingerprint), 0);
    cr_assert_not_null(strstr(world_output(), "changed or cut"), "%s", world_output());
    cr_assert_eq(world_shell(&from, "ls alpha.state host.state"), 0);
    cr_assert_eq(world_shell(&to, "ls host.state/import*"), 2, "%s", world_output());
    // What was refused was of a VM that this host does not have; it lives on.
    world_ok(&to, WORLD_HOST, "vms");
    world_stop(&to, WORLD_HOST, SIGTERM);
}
