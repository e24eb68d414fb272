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
    world_begin(&world, "");
    world_start(&world, WORLD_HOST);
    world_start(&world, WORLD_ALPHA);
    world_pair(&world, WORLD_ALPHA);
}

static void finish(void)
{
    world_end(&world);
}

TestSuite(e2e_identity, .init = begin, .fini = finish, .timeout = 110);

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
    world_start(&world, WORLD_ALPHA);
    world_logged(&world, WORLD_ALPHA, "host", "the peer shows another identity");
}

Test(e2e_identity, words_that_are_wrong)
{
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "rotate now"), 2);
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "rotate --now"), 2);
    world_ok(&world, WORLD_HOST, "--json rotate");
    cr_assert_not_null(strstr(world_output(), "\"fingerprint\""), "%s", world_output());
}
