// SPDX-License-Identifier: Apache-2.0
//
// What changes who is who, with the real programs: docs/operations.md tells the same in words.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
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

TestSuite(e2e_identity, .init = begin, .fini = finish);

static void identity_of(enum world_side side, char text[64])
{
    world_ok(&world, side, "identity");
    cr_assert_lt(strlen(world_output()), 64);
    strcpy(text, world_output());
}

// Rotates; the fingerprint that is printed is the one of before no more.
static void rotate(enum world_side side)
{
    char before[64], printed[64], after[64];
    identity_of(side, before);
    world_ok(&world, side, "rotate");
    strcpy(printed, world_output());
    identity_of(side, after);
    cr_assert_str_eq(printed, after);
    cr_assert_str_neq(before, after);
}

// The message of before comes once, and the next one after it.
static void arrives(enum world_side side, const char *first, const char *second)
{
    world_ok(&world, side, "recv --timeout 40s");
    cr_assert_str_eq(world_output(), first);
    world_ok(&world, side, "recv --timeout 40s");
    cr_assert_str_eq(world_output(), second);
    cr_assert_eq(world_kvpbus(&world, side, "recv --timeout 1s"), 6, "%s", world_output());
}

Test(e2e_identity, both_sides_take_new_identities_and_go_on)
{
    rotate(WORLD_HOST);
    world_logged(&world, WORLD_ALPHA, "host", "the peer has a new identity");
    world_alpha_works(&world);
    rotate(WORLD_ALPHA);
    world_logged(&world, WORLD_HOST, "alpha", "the peer has a new identity");
    world_alpha_works(&world);
    world_stop(&world, WORLD_HOST, SIGKILL);
    world_stop(&world, WORLD_ALPHA, SIGKILL);
    world_start(&world, WORLD_HOST);
    world_start(&world, WORLD_ALPHA);
    world_alpha_works(&world);
}

Test(e2e_identity, an_agent_that_was_away_follows_and_gets_what_was_queued)
{
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    world_ok(&world, WORLD_HOST, "send alpha app.x --text first");
    rotate(WORLD_HOST);
    world_stop(&world, WORLD_HOST, SIGKILL);
    world_start(&world, WORLD_HOST);
    rotate(WORLD_HOST);
    world_ok(&world, WORLD_HOST, "send alpha app.x --text second");
    world_start(&world, WORLD_ALPHA);
    arrives(WORLD_ALPHA, "first", "second");
    world_alpha_works(&world);
}

// In the midst of a large transfer: it arrives once and whole.
Test(e2e_identity, a_transfer_goes_on_through_it)
{
    cr_assert_eq(world_shell(&world, "head -c 600000 /dev/urandom >big"), 0);
    world_ok(&world, WORLD_HOST, "send alpha app.x --file %s/big", world.lab.directory);
    lab_sleep_ms(700);
    rotate(WORLD_HOST);
    rotate(WORLD_ALPHA);
    world_ok(&world, WORLD_ALPHA, "recv --timeout 55s --out %s", world.lab.directory);
    cr_assert_eq(world_shell(&world, "cmp big *.0"), 0, "%s", world_output());
    world_alpha_works(&world);
}

Test(e2e_identity, nobody_is_left_behind_unasked)
{
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    for (int i = 0; i < 3; i++)
        rotate(WORLD_HOST);
    cr_assert_neq(world_kvpbus(&world, WORLD_HOST, "rotate"), 0);
    cr_assert_not_null(strstr(world_output(), "alpha has not been here since"), "%s",
                       world_output());
    world_start(&world, WORLD_ALPHA);
    world_alpha_works(&world);
    rotate(WORLD_HOST);
    world_alpha_works(&world);
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    for (int i = 0; i < 4; i++)
        world_ok(&world, WORLD_HOST, "rotate --force");
}

// Not even one that was paired and has not been seen since.
Test(e2e_identity, who_was_only_paired_is_not_left_behind_either)
{
    char fingerprint[64];
    identity_of(WORLD_ALPHA, fingerprint);
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    world_ok(&world, WORLD_HOST, "unpair alpha");
    world_await(&world, WORLD_HOST, "alpha", "\"state\": \"unpaired\"", 20);
    cr_assert_eq(world_shell(&world,
                             "i=0; until $KVPBUS --socket host.ctl pair alpha --fingerprint %s; do "
                             "i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.1; done",
                             fingerprint),
                 0, "%s", world_output());
    for (int i = 0; i < 3; i++)
        rotate(WORLD_HOST);
    cr_assert_neq(world_kvpbus(&world, WORLD_HOST, "rotate"), 0);
    cr_assert_not_null(strstr(world_output(), "alpha has not been here since"), "%s",
                       world_output());
    world_start(&world, WORLD_ALPHA);
    world_alpha_works(&world);
}

Test(e2e_identity, words_that_are_wrong)
{
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "rotate now"), 2);
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "rotate --now"), 2);
    world_ok(&world, WORLD_HOST, "--json rotate");
    cr_assert_not_null(strstr(world_output(), "\"fingerprint\""), "%s", world_output());
}

// --- a new id of the VM ---

// The GUID of the n-th VM that 'vms' lists under this name.
static bool guid_of(const char *name, int number, char guid[37])
{
    world_ok(&world, WORLD_HOST, "vms");
    for (const char *line = world_output(); line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ' ' && number-- == 0) {
            const char *at = line + strlen(name);
            at += strspn(at, " ");
            snprintf(guid, 37, "%.36s", at);
            return true;
        }
    }
    return false;
}

// Alpha goes off and comes back with another GUID; its agent runs again.
static void import_alpha(char old[37], char new[37])
{
    cr_assert(guid_of("alpha", 0, old));
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    lab_ctl(&world.lab, "stop alpha");
    lab_ctl(&world.lab, "import alpha");
    lab_ctl(&world.lab, "start alpha");
    world_start(&world, WORLD_ALPHA);
    for (int i = 0; i < 200 && !guid_of("alpha", 1, new); i++)
        lab_sleep_ms(100);
    if (strcmp(new, old) == 0)
        cr_assert(guid_of("alpha", 0, new));
    cr_assert_str_neq(old, new);
}

Test(e2e_identity, a_vm_that_is_imported_goes_on_when_the_operator_says_so)
{
    char old[37], new[37];
    world_ok(&world, WORLD_ALPHA, "send host app.x --text up --wait delivered");
    import_alpha(old, new);
    world_ok(&world, WORLD_HOST, "send %s app.x --text down", old);
    world_ok(&world, WORLD_ALPHA, "send host app.x --text later");
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "rebind alpha alpha"), 4, "%s", world_output());
    world_ok(&world, WORLD_HOST, "rebind %s %s", old, new);
    world_logged(&world, WORLD_ALPHA, "host", "the host knows this VM under another id now");
    world_ok(&world, WORLD_ALPHA, "recv --timeout 40s");
    cr_assert_str_eq(world_output(), "down");
    arrives(WORLD_HOST, "up", "later");
    world_ok(&world, WORLD_HOST, "send %s app.x --text more --wait delivered", new);
    cr_assert_neq(world_kvpbus(&world, WORLD_HOST, "rebind %s %s", old, new), 0, "%s",
                  world_output());
    world_stop(&world, WORLD_HOST, SIGKILL);
    world_start(&world, WORLD_HOST);
    world_ok(&world, WORLD_HOST, "send %s app.x --text after --wait delivered", new);
    arrives(WORLD_ALPHA, "more", "after");
}

// The VM that a clone was made of keeps its link, unless it is said with force.
Test(e2e_identity, a_clone_takes_nothing_over)
{
    char old[37], clone[37];
    cr_assert(guid_of("alpha", 0, old));
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    lab_ctl(&world.lab, "stop alpha");
    lab_ctl(&world.lab, "clone alpha gamma");
    lab_ctl(&world.lab, "start alpha");
    world_start(&world, WORLD_ALPHA);
    world_alpha_works(&world);
    for (int i = 0; i < 200 && !guid_of("gamma", 0, clone); i++)
        lab_sleep_ms(100);
    cr_assert_neq(world_kvpbus(&world, WORLD_HOST, "rebind alpha gamma"), 0);
    cr_assert_not_null(strstr(world_output(), "a clone of it"), "%s", world_output());
    world_alpha_works(&world);
    world_ok(&world, WORLD_HOST, "rebind %s %s --force", old, clone);
    world_await(&world, WORLD_HOST, old, "\"paired\": false", 20);
    world_await(&world, WORLD_HOST, clone, "\"paired\": true", 20);
}

Test(e2e_identity, words_for_rebind_that_are_wrong)
{
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "rebind alpha"), 2);
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "rebind nobody beta"), 4);
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "rebind alpha nobody"), 4);
    cr_assert_neq(world_kvpbus(&world, WORLD_HOST, "rebind beta alpha --force"), 0);
    cr_assert_not_null(strstr(world_output(), "not paired"), "%s", world_output());
    cr_assert_neq(world_kvpbus(&world, WORLD_ALPHA, "rebind host %s", "host"), 0);
}
