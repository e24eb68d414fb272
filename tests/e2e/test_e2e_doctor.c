// SPDX-License-Identifier: Apache-2.0
//
// The doctor: each fault is made, said with what mends it, and gone when that was done.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "world.h"

static struct world world;

static void configure(const char *name, const char *more)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s.conf", world.lab.directory, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    if (strcmp(name, "host") == 0)
        fprintf(file, "[kvpbus]\nstore = lab:%s\n", world.lab.socket);
    else
        fprintf(file, "[kvpbus]\nstore = pool:%s/vm/alpha/kvp\n", world.lab.directory);
    fprintf(file, "state = %s.state\nsocket = %s.ctl\n%s", name, name, more);
    fclose(file);
}

static void begin(void)
{
    world_begin(&world, "");
    configure("host", "");
    configure("alpha", "");
    world_start(&world, WORLD_ALPHA);
}

static void end(void)
{
    world_end(&world);
}

TestSuite(doctor, .init = begin, .fini = end);

static int examine(void)
{
    return world_shell(&world, "$KVPBUS doctor --side guest --config alpha.conf");
}

// "BAD check ... says", and the line that mends it.
static void ill(const char *check, const char *says, const char *mend)
{
    char line[64];
    cr_assert_eq(examine(), 1, "%s", world_output());
    snprintf(line, sizeof line, "BAD  %s", check);
    const char *found = strstr(world_output(), line);
    cr_assert_not_null(found, "%s is not said: %s", check, world_output());
    cr_assert_not_null(strstr(found, says), "%s", found);
    const char *mended = strstr(found, "mend it: ");
    cr_assert(mended != NULL && strstr(mended, mend) != NULL, "%s", found);
}

static void not_ill(const char *check)
{
    char line[64];
    examine();
    snprintf(line, sizeof line, "BAD  %s", check);
    cr_assert_null(strstr(world_output(), line), "%s", world_output());
}

Test(doctor, a_paired_link_is_well)
{
    ill("pairing", "host is not paired", "kvpbus pair host");
    world_start(&world, WORLD_HOST);
    world_pair(&world, WORLD_ALPHA);
    cr_assert_eq(examine(), 0, "%s", world_output());
    cr_assert_eq(world_shell(&world, "$KVPBUS --json doctor --side guest --config alpha.conf"), 0);
    cr_assert_not_null(strstr(world_output(), "\"good\": true"));
    cr_assert_eq(world_shell(&world, "$KVPBUS doctor --side host --config host.conf | grep BAD"),
                 0);
    cr_assert_not_null(strstr(world_output(), "beta is not paired"), "%s", world_output());
    lab_ctl(&world.lab, "fault alpha disable-exchange");
    for (int i = 0; i < 100; i++) {
        world_shell(&world, "$KVPBUS doctor --side host --config host.conf");
        if (strstr(world_output(), "BAD  exchange alpha: Data Exchange") != NULL)
            return;
        lab_sleep_ms(100);
    }
    cr_assert_fail("%s", world_output());
}

// A lab of its own with seventy VMs that are off. A file has keys for all of them but the last.
static void begin_many(void)
{
    cr_assert_eq(world_shell(&world, KVPBUS_BUILD_DIR
                             "/lab/kvpbus-lab run many --stopped $(seq -f \"--vm v%%02g\" 70) "
                             ">many.log 2>&1 & echo $! >many.pid; "
                             "until grep -q ^ready many.log; do sleep 0.1; done"),
                 0, "%s", world_output());
    world_ok(&world, WORLD_ALPHA, "identity --public-key");
    cr_assert_eq(world_shell(&world,
                             "for i in $(seq -w 69); do echo \"$(cat many/vm/v$i/guid) %s\"; "
                             "done >guests",
                             world_output()),
                 0, "%s", world_output());
}

static void start_host_of_many(void)
{
    struct lab own = world.lab;
    snprintf(world.lab.socket, sizeof world.lab.socket, "%s/many/host.sock", own.directory);
    configure("host", "[security]\nknown_guests = guests\n");
    world_start(&world, WORLD_HOST);
    world.lab = own;
}

static int examine_many(const char *words)
{
    return world_shell(&world, "$KVPBUS %s --side host --config host.conf", words);
}

Test(doctor, no_finding_is_lost_of_many_vms)
{
    begin_many();
    start_host_of_many();
    for (int i = 0; i < 300; i++) {
        world_shell(&world, "$KVPBUS --socket host.ctl vms | grep -c \" yes \"");
        if (strcmp(world_output(), "69") == 0)
            break;
        lab_sleep_ms(100);
    }
    // What is paired comes first.
    world_stop(&world, WORLD_HOST, SIGTERM);
    start_host_of_many();
    for (int i = 0; i < 300 && world_kvpbus(&world, WORLD_HOST, "status v70") != 0; i++)
        lab_sleep_ms(100);
    cr_assert_eq(examine_many("doctor"), 1, "%s", world_output());
    cr_assert_not_null(strstr(world_output(), "ok   pairing  v01 is paired"), "%s", world_output());
    cr_assert_not_null(strstr(world_output(), "BAD  pairing  v70 is not paired"), "%s",
                       world_output());
    cr_assert_eq(examine_many("--json doctor"), 1);
    cr_assert_not_null(strstr(world_output(), "v70 is not paired"), "%s", world_output());
}

Test(doctor, a_service_that_is_down)
{
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    ill("service", "no kvpbus service answers", "systemctl restart kvpbus-guest");
    world_start(&world, WORLD_ALPHA);
    not_ill("service");
}

Test(doctor, a_state_that_others_can_use)
{
    cr_assert_eq(world_shell(&world, "chmod 755 alpha.state"), 0);
    ill("state", "can be used by others", "chmod 0700 alpha.state");
    cr_assert_eq(world_shell(&world, "chmod 0700 alpha.state && chmod 644 alpha.state/journal"), 0);
    ill("state", "alpha.state/journal", "chmod 0600 alpha.state/journal");
    cr_assert_eq(world_shell(&world, "chmod 0600 alpha.state/journal"), 0);
    not_ill("state");
    // Nobody else can give a file away.
    if (geteuid() != 0)
        return;
    cr_assert_eq(world_shell(&world, "chown 12345 alpha.state/lock"), 0);
    ill("state", "belongs to user 12345", "chown 0 alpha.state/lock");
}

Test(doctor, an_identity_that_is_damaged)
{
    cr_assert_eq(world_shell(&world, "truncate -s 5 alpha.state/identity.key"), 0);
    ill("state", "is damaged", "backup");
}

Test(doctor, a_clock_that_is_slow)
{
    cr_assert_eq(world_shell(&world, "touch -d tomorrow alpha.state/identity.key"), 0);
    ill("clock", "in the future", "timedatectl");
}

Test(doctor, a_wrong_configuration)
{
    configure("alpha", "ring_slots = 100\n");
    ill("config", "ring_slots", "--check-config");
    configure("alpha", "speed = 100\n");
    ill("config", "speed", "--check-config");
    configure("alpha", "");
    not_ill("config");
}

Test(doctor, a_disk_that_is_full)
{
    world_skip_unless(&world, "$UNSHARE -m mount -t tmpfs none vm");
    cr_assert_eq(world_shell(&world,
                             "$UNSHARE -m sh -c \"mount -t tmpfs -o size=1M none alpha.state "
                             "&& $KVPBUS doctor --side guest --config alpha.conf\""),
                 1);
    cr_assert_not_null(strstr(world_output(), "BAD  disk     only "), "%s", world_output());
}

Test(doctor, a_daemon_that_does_not_run)
{
    world_skip_unless(&world, "$UNSHARE -pf --mount-proc true");
    cr_assert_eq(world_shell(&world, "$UNSHARE -pf --mount-proc $KVPBUS doctor --side guest "
                                     "--config alpha.conf"),
                 1);
    cr_assert_not_null(strstr(world_output(), "BAD  store    hv_kvp_daemon does not run"), "%s",
                       world_output());
    cr_assert_eq(world_shell(&world, "rm vm/alpha/kvp/.kvp_pool_0"), 0);
    ill("store", ".kvp_pool_0 cannot be read", "hyperv-daemons");
}

Test(doctor, a_store_that_is_none_of_this_side)
{
    cr_assert_eq(world_shell(&world, "sed -i s/pool:/poll:/ alpha.conf"), 0);
    ill("store", "is not a store of a guest", "correct store in the configuration");
    cr_assert_eq(world_shell(&world, "sed s/lab:/wmi:/ host.conf >wrong.conf; "
                                     "$KVPBUS doctor --side host --config wrong.conf"),
                 1);
    cr_assert_not_null(strstr(world_output(), "is not a store of a host"), "%s", world_output());
}

Test(doctor, a_lab_that_does_not_answer)
{
    lab_stop(&world.lab);
    cr_assert_eq(world_shell(&world, "$KVPBUS doctor --side host --config host.conf"), 1);
    cr_assert_not_null(strstr(world_output(), "BAD  store"), "%s", world_output());
}
