// SPDX-License-Identifier: Apache-2.0
//
// A host that knows as many VMs as it can: paired with it, and gone.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal.h"
#include "kvpbus/bus.h"
#include "world.h"

static struct world world;

// A name as long as any, so that an answer is as long as any.
static void add_peer(struct kvpbus_journal *journal, unsigned number)
{
    uint8_t vm[KVPBUS_VM_ID_BYTES] = {0xee, (uint8_t)(number >> 8), (uint8_t)number};
    uint8_t identity[KVPBUS_IDENTITY_BYTES] = {7, (uint8_t)(number >> 8), (uint8_t)number};
    char name[KVPBUS_PEER_NAME_MAX + 1];
    struct kvpbus_peer peer;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    memcpy(name, "vm-", 3);
    snprintf(name + 3, 6, "%05u", number);
    name[8] = 'x';
    cr_assert_eq(kvpbus_journal_peer(journal, vm, name, &peer), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_pin(journal, peer.id, identity, vm), KVPBUS_OK);
}

static void begin(void)
{
    char path[160];
    struct kvpbus_journal *journal;
    struct kvpbus_journal_options options = {.role = KVPBUS_ROLE_HOST};
    world_begin(&world, "");
    world_start(&world, WORLD_HOST);
    world_stop(&world, WORLD_HOST, SIGTERM);
    snprintf(path, sizeof path, "%s/host.state/journal", world.lab.directory);
    cr_assert_eq(kvpbus_journal_open(path, &options, &journal, NULL), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_begin(journal), KVPBUS_OK);
    for (unsigned i = 0; i < KVPBUS_PEERS_MAX; i++)
        add_peer(journal, i);
    cr_assert_eq(kvpbus_journal_commit(journal, NULL), KVPBUS_OK);
    kvpbus_journal_close(journal);
    world_configure_host(&world, "[kvpbus]\nbody_max = 1M\n");
    world_start(&world, WORLD_HOST);
}

static void finish(void)
{
    world_end(&world);
}

TestSuite(e2e_many_peers, .init = begin, .fini = finish);

static void counts(const char *command, int lines)
{
    cr_assert_eq(world_shell(&world, "%s", command), 0, "%s: %s", command, world_output());
    cr_assert_eq(atoi(world_output()), lines, "%s: %s", command, world_output());
}

static void all_are_shown(void)
{
    counts("$KVPBUS --socket host.ctl vms >all && grep -c xxx all", KVPBUS_PEERS_MAX);
    counts("sort -u all | grep -c xxx", KVPBUS_PEERS_MAX);
    counts("$KVPBUS --socket host.ctl --json status >all && grep -c \\\"guid\\\" all",
           KVPBUS_PEERS_MAX);
}

static void what_is_about_this_side_is_said(void)
{
    char before[64];
    world_ok(&world, WORLD_HOST, "identity");
    snprintf(before, sizeof before, "%s", world_output());
    world_ok(&world, WORLD_HOST, "identity --public-key");
    cr_assert_eq(strlen(world_output()), 2 * KVPBUS_IDENTITY_BYTES);
    world_ok(&world, WORLD_HOST, "rotate");
    cr_assert_eq(strlen(world_output()), strlen(before));
    cr_assert_str_neq(world_output(), before);
    snprintf(before, sizeof before, "%s", world_output());
    world_ok(&world, WORLD_HOST, "identity");
    cr_assert_str_eq(world_output(), before);
}

static void the_doctor_looks_at_each(void)
{
    char text[240];
    snprintf(text, sizeof text, "[kvpbus]\nstore = lab:%s\nstate = host.state\nsocket = host.ctl\n",
             world.lab.socket);
    world_configure_host(&world, text);
    world_shell(&world, "$KVPBUS doctor --side host --config host.conf >all");
    counts("grep -c \"^ok .*it answers\" all", 1);
    counts("grep -c \"^ok .*xxx.* is paired\" all", KVPBUS_PEERS_MAX);
}

// Alpha, which is not paired, is no reason to refuse.
static void one_message_goes_to_all(void)
{
    counts("$KVPBUS --socket host.ctl send --all app.x --text y >all && grep -c \": queued \" all",
           KVPBUS_PEERS_MAX);
    counts("cut -c1-8 all | sort -u | wc -l", KVPBUS_PEERS_MAX);
}

// More than is kept for a client that does not read.
static void the_figures_of_all_come(void)
{
    counts("$KVPBUS --socket host.ctl metrics >all && grep -c ^kvpbus_paired{ all",
           KVPBUS_PEERS_MAX);
    counts("grep -c ^kvpbus_history_messages{ all", 4 * KVPBUS_PEERS_MAX);
}

// Alpha, and beta, are one too many: said once of each, and not every two seconds.
static void further_ones_are_told_why_not(void)
{
    world_logged(&world, WORLD_HOST, "alpha", "cannot be served");
    world_logged(&world, WORLD_HOST, "beta", "cannot be served");
    lab_sleep_ms(5000); // the VMs are looked for every two
    counts("grep -c \"alpha: cannot be served: 4096 peers are known already\" host.log", 1);
    counts("grep -c \"beta: cannot be served: 4096 peers are known already\" host.log", 1);
    counts("grep -c \"cannot be served\" host.log", 2);
}

Test(e2e_many_peers, as_many_as_there_can_be)
{
    all_are_shown();
    further_ones_are_told_why_not();
    what_is_about_this_side_is_said();
    one_message_goes_to_all();
    the_figures_of_all_come();
    the_doctor_looks_at_each();
}
