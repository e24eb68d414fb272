// SPDX-License-Identifier: Apache-2.0
//
// What a sender learns behind the delivery and can do before it: receipts, withdrawal, history, one
// message to several VMs.
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

TestSuite(e2e_receipts, .init = begin, .fini = finish);

static void says(const char *text)
{
    cr_assert_not_null(strstr(world_output(), text), "'%s' is not in: %s", text, world_output());
}

// The id that the last output ends with.
static const char *last_id(void)
{
    static char id[64];
    const char *space = strrchr(world_output(), ' ');
    snprintf(id, sizeof id, "%s", space != NULL ? space + 1 : world_output());
    return id;
}

Test(e2e_receipts, a_sender_waits_until_it_is_consumed_and_both_sides_know)
{
    char id[64];
    world_shell(&world, "$KVPBUS --socket alpha.ctl recv --timeout 30s >got & "
                        "$KVPBUS --socket host.ctl send alpha app.job --text work --wait consumed; "
                        "wait");
    says("consumed ");
    snprintf(id, sizeof id, "%s", last_id());
    world_ok(&world, WORLD_HOST, "show %s", id);
    says("app.job");
    says("delivered");
    world_ok(&world, WORLD_ALPHA, "show %s", id);
    says("app.job");
    says("consumed");
    cr_assert_neq(world_kvpbus(&world, WORLD_ALPHA, "show 00112233445566778899aabbccddeeff.0"), 0);
}

Test(e2e_receipts, a_message_that_waits_is_withdrawn)
{
    world_stop(&world, WORLD_ALPHA, SIGKILL);
    world_ok(&world, WORLD_HOST, "send alpha app.job --text work");
    char id[64];
    snprintf(id, sizeof id, "%s", last_id());
    world_kvpbus(&world, WORLD_HOST, "withdraw %s", id);
    world_start(&world, WORLD_ALPHA);
    world_alpha_works(&world);
    world_ok(&world, WORLD_HOST, "show %s", id);
    says("expired");
    says("withdrawn");
    cr_assert_neq(world_kvpbus(&world, WORLD_HOST, "withdraw %s", id), 0);
    says("already");
}

Test(e2e_receipts, one_message_goes_to_all_and_each_answers_for_itself)
{
    world_ok(&world, WORLD_HOST, "send --all app.job --text work --wait delivered");
    says("alpha");
    says("delivered");
    cr_assert_neq(world_kvpbus(&world, WORLD_HOST, "send alpha beta app.job --text work"), 0);
    says("alpha");
    says("beta");
    world_ok(&world, WORLD_ALPHA, "recv --count 2 --timeout 20s");
    cr_assert_str_eq(world_output(), "work\nwork");
}
