// SPDX-License-Identifier: Apache-2.0
//
// Pairing that nobody watches: by a token of the host, and by keys in files. And what must not come
// of it: with a token that is used, over, somebody else's or copied from a store.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "world.h"

static struct world world;

// Alpha takes what lies in DIR/alpha.token and trusts DIR/alpha.host; the host knows DIR/guests.
static void begin(void)
{
    world_begin(&world, "");
    cr_assert_eq(world_shell(&world,
                             "for vm in alpha beta; do printf \"[security]\\nenroll_token_file = "
                             "$PWD/$vm.token\\ntrusted_host = $PWD/$vm.host\\n\" >$vm.conf; done; "
                             "printf \"[security]\\nknown_guests = $PWD/guests\\n\" >host.conf"),
                 0);
    world_start(&world, WORLD_HOST);
}

static void finish(void)
{
    world_end(&world);
}

TestSuite(e2e_enroll, .init = begin, .fini = finish);

static void shell(const char *command)
{
    cr_assert_eq(world_shell(&world, "%s", command), 0, "%s: %s", command, world_output());
}

// The host knows of a VM once it has listed it.
static void make_token(const char *vm, const char *options, const char *file)
{
    int code = -1;
    for (int i = 0; code != 0 && i < 100; i++) {
        code = world_kvpbus(&world, WORLD_HOST, "enroll %s %s --out %s", vm, options, file);
        if (code != 0)
            lab_sleep_ms(100);
    }
    cr_assert_eq(code, 0, "%s", world_output());
}

static void live(void)
{
    world_await(&world, WORLD_HOST, "alpha", "\"state\": \"live\"", 30);
    world_await(&world, WORLD_ALPHA, "host", "\"state\": \"live\"", 30);
}

static void refused(const char *vm, const char *why)
{
    world_logged(&world, WORLD_HOST, vm, why);
    world_await(&world, WORLD_HOST, vm, "\"paired\": false", 1);
    cr_assert_null(strstr(world_output(), "\"enrolments_refused\": 0"), "%s", world_output());
}

static void logged(const char *file, const char *words)
{
    for (int i = 0; i < 200; i++) {
        if (world_shell(&world, "grep -F \"%s\" %s", words, file) == 0)
            return;
        lab_sleep_ms(100);
    }
    cr_assert_fail("%s does not say: %s", file, words);
}

Test(e2e_enroll, a_token_in_a_file_pairs_both_sides_and_is_seen_nowhere)
{
    make_token("alpha", "", "alpha.token");
    shell("[ $(stat -c %a alpha.token) = 600 ] && cp alpha.token kept");
    world_start(&world, WORLD_ALPHA);
    live();
    world_alpha_works(&world);
    shell("[ ! -e alpha.token ]");
    // Neither in a log nor in a store; and in no journal once it is used.
    shell("token=$(cut -c 15- kept); ! grep -rF \"$token\" *.log vm host.state alpha.state");
    world_logged(&world, WORLD_HOST, "alpha", "paired: it has shown its enrolment token");
    world_logged(&world, WORLD_ALPHA, "host", "the host has confirmed the enrolment token");
}

Test(e2e_enroll, a_token_is_taken_by_the_command_and_waited_for_by_the_agent)
{
    world_start(&world, WORLD_ALPHA);
    make_token("alpha", "--ttl 10m", "token");
    shell("cp -p token again");
    world_ok(&world, WORLD_ALPHA, "enroll --token-file token");
    live();
    shell("[ ! -e token ]");
    cr_assert_eq(world_kvpbus(&world, WORLD_ALPHA, "enroll --token-file again"), 5);
    cr_assert_str_eq(world_output(), "kvpbus: this token was taken already");
    // The file may come later than the agent as well.
    world_start(&world, WORLD_BETA);
    make_token("beta", "", "beta.new");
    shell("mv beta.new beta.token");
    world_await(&world, WORLD_HOST, "beta", "\"state\": \"live\"", 30);
    make_token("beta", "--replace", "by-input");
    world_ok(&world, WORLD_BETA, "enroll --token-file - <by-input");
}

Test(e2e_enroll, a_token_is_used_once)
{
    make_token("alpha", "", "alpha.token");
    shell("cp alpha.token kept");
    world_start(&world, WORLD_ALPHA);
    live();
    // The file comes back: nothing happens, and it is removed again.
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    shell("cp kept alpha.token");
    world_start(&world, WORLD_ALPHA);
    live();
    shell("[ ! -e alpha.token ]");
    // Another machine in the VM's place has the token too.
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    world_ok(&world, WORLD_HOST, "unpair alpha");
    shell("rm -r alpha.state; cp kept alpha.token");
    world_start(&world, WORLD_ALPHA);
    refused("alpha", "the token was used already");
}

Test(e2e_enroll, a_token_ends)
{
    make_token("alpha", "--ttl 1s", "alpha.token");
    lab_sleep_ms(1500);
    cr_assert_neq(world_kvpbus(&world, WORLD_HOST, "doctor --side guest --config alpha.conf"), 0);
    cr_assert_not_null(strstr(world_output(), "alpha.token has expired"), "%s", world_output());
    world_start(&world, WORLD_ALPHA);
    refused("alpha", "the token has expired");
    make_token("alpha", "", "alpha.new");
    world_ok(&world, WORLD_ALPHA, "enroll --token-file alpha.new");
    live();
}

Test(e2e_enroll, a_token_is_for_one_vm)
{
    make_token("beta", "", "alpha.token");
    world_start(&world, WORLD_ALPHA);
    refused("alpha", "the token was made for another VM");
    world_logged(&world, WORLD_ALPHA, "host", "under another id");
    // The right one mends it.
    make_token("alpha", "", "token");
    world_ok(&world, WORLD_ALPHA, "enroll --token-file token");
    live();
}

Test(e2e_enroll, what_is_copied_from_a_store_proves_nothing)
{
    make_token("alpha", "", "alpha.token");
    // The host does not see alpha's hello before the copier has it.
    world_stop(&world, WORLD_HOST, SIGTERM);
    world_start(&world, WORLD_ALPHA);
    for (int i = 0; i < 100; i++) {
        if (lab_pool_value(&world.lab, WORLD_ALPHA - 1, 1, "kvpbus.h") != NULL &&
            world_shell(&world, "[ ! -e alpha.token ]") == 0)
            break;
        lab_sleep_ms(100);
    }
    lab_sleep_ms(1000);
    char hello[1100];
    const char *value = lab_pool_value(&world.lab, WORLD_ALPHA - 1, 1, "kvpbus.h");
    cr_assert_not_null(value);
    snprintf(hello, sizeof hello, "%s", value);
    // In another VM it is a token of another VM.
    lab_guest_write(&world.lab, WORLD_BETA - 1, "kvpbus.h", hello);
    world_start(&world, WORLD_HOST);
    refused("beta", "the token was made for another VM");
    live();
    // In its own, later, it is used.
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    world_ok(&world, WORLD_HOST, "unpair alpha");
    lab_guest_write(&world.lab, WORLD_ALPHA - 1, "kvpbus.h", hello);
    world_logged(&world, WORLD_HOST, "alpha", "an enrolment was refused: the token was used");
    world_await(&world, WORLD_HOST, "alpha", "\"paired\": false", 1);
}

Test(e2e_enroll, either_side_is_killed_in_the_middle)
{
    make_token("alpha", "", "alpha.token");
    // The host is gone when the guest takes it, and the guest is killed with it.
    world_stop(&world, WORLD_HOST, SIGKILL);
    world_start(&world, WORLD_ALPHA);
    for (int i = 0; i < 100 && world_shell(&world, "[ ! -e alpha.token ]") != 0; i++)
        lab_sleep_ms(50);
    shell("[ ! -e alpha.token ]");
    world_stop(&world, WORLD_ALPHA, SIGKILL);
    // Its store is wiped as well: the journal has what is needed.
    shell("find vm/alpha -name .kvp_pool_1 -exec truncate -s 0 {} +");
    world_start(&world, WORLD_ALPHA);
    world_start(&world, WORLD_HOST);
    world_logged(&world, WORLD_HOST, "alpha", "it has shown its enrolment token");
    world_stop(&world, WORLD_HOST, SIGKILL);
    world_stop(&world, WORLD_ALPHA, SIGKILL);
    world_start(&world, WORLD_HOST);
    world_start(&world, WORLD_ALPHA);
    live();
    world_alpha_works(&world);
}

Test(e2e_enroll, a_machine_that_is_set_up_anew_takes_the_place_where_that_was_said)
{
    make_token("alpha", "", "alpha.token");
    world_start(&world, WORLD_ALPHA);
    live();
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    shell("rm -r alpha.state");
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "enroll alpha"), 1);
    cr_assert_not_null(strstr(world_output(), "--replace"), "%s", world_output());
    make_token("alpha", "--replace", "alpha.token");
    world_start(&world, WORLD_ALPHA);
    live();
    world_alpha_works(&world);
}

// More than two looks at the files.
static void stays_unpaired(void)
{
    world_await(&world, WORLD_ALPHA, "host", "\"paired\": false", 10);
    lab_sleep_ms(7000);
    world_await(&world, WORLD_ALPHA, "host", "\"paired\": false", 1);
}

Test(e2e_enroll, a_guest_that_was_unpaired_takes_another_token)
{
    make_token("alpha", "", "alpha.token");
    world_start(&world, WORLD_ALPHA);
    live();
    lab_sleep_ms(3500); // a look while it is paired
    world_ok(&world, WORLD_ALPHA, "unpair host");
    make_token("alpha", "--replace", "alpha.new");
    shell("mv alpha.new alpha.token");
    live();
    shell("[ ! -e alpha.token ]");
    world_alpha_works(&world);
}

Test(e2e_enroll, a_token_that_cannot_be_removed_is_taken_and_told_of_once)
{
    char path[160];
    make_token("alpha", "", "kept");
    snprintf(path, sizeof path, "%s/kept", world.lab.directory);
    int file = open(path, O_RDONLY);
    cr_assert_geq(file, 0);
    // Nobody can remove a file there.
    cr_assert_eq(world_shell(&world,
                             "printf \"[security]\\nenroll_token_file = /proc/%d/fd/%d\\n\" "
                             ">alpha.conf",
                             (int)getpid(), file),
                 0);
    world_start(&world, WORLD_ALPHA);
    live();
    world_ok(&world, WORLD_ALPHA, "unpair host");
    stays_unpaired();
    shell("[ $(grep -c \"stays where it is\" alpha.log) = 1 ]");
    make_token("alpha", "--replace", "alpha.new");
    shell("cat alpha.new >kept");
    live();
    close(file);
}

Test(e2e_enroll, a_clone_cannot_enroll)
{
    make_token("alpha", "", "alpha.token");
    world_start(&world, WORLD_ALPHA);
    live();
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    shell("cp -r alpha.state beta.state");
    world_start(&world, WORLD_ALPHA);
    make_token("beta", "", "beta.token");
    world_start(&world, WORLD_BETA);
    refused("beta", "the machine is a clone");
    world_alpha_works(&world);
}

// --- keys in files ---

static void provision(void)
{
    world_ok(&world, WORLD_HOST, "identity --public-key");
    shell("$KVPBUS --socket host.ctl identity --public-key >alpha.host");
    world_start(&world, WORLD_ALPHA);
    for (int i = 0;
         i < 100 && world_shell(&world, "$KVPBUS --socket host.ctl vms | grep -q ^alpha"); i++)
        lab_sleep_ms(100);
    shell("guid=$($KVPBUS --socket host.ctl vms | awk \"/^alpha/ { print \\$2 }\"); "
          "echo \"$guid $($KVPBUS --socket alpha.ctl identity --public-key) # alpha\" >guests");
    cr_assert_eq(kill(world.pids[WORLD_HOST], SIGHUP), 0);
}

Test(e2e_enroll, keys_in_files_pair_both_sides)
{
    provision();
    live();
    world_alpha_works(&world);
    world_stop(&world, WORLD_HOST, SIGTERM);
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    world_start(&world, WORLD_HOST);
    world_start(&world, WORLD_ALPHA);
    live();
}

Test(e2e_enroll, a_key_in_a_file_does_not_undo_an_unpairing_before_it_is_read_again)
{
    provision();
    live();
    world_ok(&world, WORLD_ALPHA, "unpair host");
    stays_unpaired();
    cr_assert_eq(kill(world.pids[WORLD_ALPHA], SIGHUP), 0);
    live();
}

Test(e2e_enroll, another_key_in_a_file_changes_nothing)
{
    provision();
    live();
    shell("$KVPBUS --socket alpha.ctl identity --public-key >alpha.host; sed -i "
          "\"s/ [0-9a-f]* / $($KVPBUS --socket host.ctl identity --public-key) /\" guests");
    world_stop(&world, WORLD_HOST, SIGTERM);
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    world_start(&world, WORLD_HOST);
    world_start(&world, WORLD_ALPHA);
    world_logged(&world, WORLD_HOST, "alpha", "another key is pinned than the one that");
    world_logged(&world, WORLD_ALPHA, "host", "another key is pinned than the one that");
    live();
    world_alpha_works(&world);
    // A token of another host neither: here the host with an identity of its own.
    world_stop(&world, WORLD_HOST, SIGTERM);
    shell("rm -r host.state alpha.host guests");
    world_start(&world, WORLD_HOST);
    make_token("alpha", "", "alpha.token");
    cr_assert_eq(kill(world.pids[WORLD_ALPHA], SIGHUP), 0);
    logged("alpha.log", "another host is paired than the one that made the token");
    shell("[ -e alpha.token ]");
}

Test(e2e_enroll, files_that_others_can_write_are_not_used)
{
    shell("$KVPBUS --socket host.ctl identity --public-key >alpha.host; chmod 666 alpha.host");
    make_token("alpha", "", "alpha.token");
    shell("chmod 644 alpha.token");
    world_start(&world, WORLD_ALPHA);
    logged("alpha.log", "alpha.host is not used, because others can write it");
    logged("alpha.log", "alpha.token is not used, because every user can read it");
    world_ok(&world, WORLD_ALPHA, "--json status host");
    cr_assert_not_null(strstr(world_output(), "\"paired\": false"), "%s", world_output());
    cr_assert_eq(world_kvpbus(&world, WORLD_ALPHA, "doctor --side guest --config alpha.conf"), 1);
    cr_assert_not_null(strstr(world_output(), "chmod go-w"), "%s", world_output());
    cr_assert_not_null(strstr(world_output(), "kvpbus enroll VM"), "%s", world_output());
    cr_assert_eq(world_shell(&world, "$GUEST --config alpha.conf --check-config"), 2);
    shell("chmod 600 alpha.host alpha.token");
    live();
}

Test(e2e_enroll, files_that_say_nonsense_are_not_used)
{
    shell("echo 6c70-3a3c-8d90-3a8c-6c70-3a3c-8d90-3a8c >alpha.host; echo hello >alpha.token; "
          "chmod 600 alpha.token; echo web >guests");
    world_start(&world, WORLD_ALPHA);
    cr_assert_eq(kill(world.pids[WORLD_HOST], SIGHUP), 0);
    logged("alpha.log", "alpha.host, line 1 has no key");
    logged("alpha.log", "alpha.token: this is not a token");
    logged("host.log", "guests, line 1 is not the GUID of a VM and a key");
    cr_assert_eq(world_shell(&world, "$GUEST --config alpha.conf --check-config"), 2);
    cr_assert_eq(world_shell(&world, "$HOST --config host.conf --check-config"), 2);
    world_ok(&world, WORLD_ALPHA, "status");
}

// --- images ---

Test(e2e_enroll, a_machine_is_made_an_image)
{
    const char *generalize = "$GUEST generalize --state alpha.state --config image.conf";
    shell("(cat alpha.conf; echo \"[kvpbus]\"; echo \"store = pool:vm/alpha/kvp\") >image.conf");
    provision();
    live();
    cr_assert_eq(world_shell(&world, "%s", generalize), 9);
    cr_assert_not_null(strstr(world_output(), "the agent runs"), "%s", world_output());
    live();
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    shell("cp -r alpha.state before; echo secret >alpha.token; cp alpha.host host.before");
    shell(generalize);
    cr_assert_not_null(strstr(world_output(), "alpha.state/identity.key"), "%s", world_output());
    shell("[ -z \"$(ls alpha.state)\" ] && [ ! -e alpha.token ] && cmp alpha.host host.before && "
          "[ -e alpha.conf ] && ! grep -q kvpbus vm/alpha/kvp/.kvp_pool_1");
    // Again, and where there never was an agent, it is right as well; a folder of others is left.
    shell(generalize);
    shell("$GUEST generalize --state nowhere --config image.conf");
    cr_assert_eq(world_shell(&world, "$GUEST generalize --state vm --config image.conf"), 2);
    shell("[ -d vm/alpha ]");
    // The next one has an identity of its own.
    shell("rm guests");
    world_start(&world, WORLD_ALPHA);
    shell("! cmp alpha.state/identity.key before/identity.key");
    make_token("alpha", "--replace", "token");
    world_ok(&world, WORLD_ALPHA, "enroll --token-file token");
    live();
}
