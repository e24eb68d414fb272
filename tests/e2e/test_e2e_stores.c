// SPDX-License-Identifier: Apache-2.0
//
// Stores that others have written into: garbage, thousands of records, items that are cut,
// replayed, or of another VM. Said of the VM that it concerns, harmless to the other, healed when
// it is over.
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
    world_start(&world, WORLD_BETA);
    world_pair(&world, WORLD_ALPHA);
    world_pair(&world, WORLD_BETA);
}

static void finish(void)
{
    world_end(&world);
}

TestSuite(e2e_stores, .init = begin, .fini = finish);

// In the lab's folder.
static void shell(const char *command)
{
    cr_assert_eq(world_shell(&world, "%s", command), 0, "%s", world_output());
}

static void nothing_comes(enum world_side side)
{
    cr_assert_eq(world_kvpbus(&world, side, "recv --timeout 2s"), 6, "%s", world_output());
}

// Fills a pool of beta with so many records, whose keys begin with `key`, and values of such a
// length.
static void flood(int pool, const char *key, unsigned count, size_t length)
{
    char path[160], record[512 + 2048];
    snprintf(path, sizeof path, "%s/vm/beta/kvp/.kvp_pool_%d", world.lab.directory, pool);
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    for (unsigned i = 0; i < count; i++) {
        memset(record, 0, sizeof record);
        snprintf(record, 512, "%s%u", key, i);
        memset(record + 512, 'j', length);
        cr_assert_eq(fwrite(record, sizeof record, 1, file), 1);
    }
    fclose(file);
}

static void beta_is_well(void)
{
    world_ok(&world, WORLD_HOST, "send beta app.x --text well --wait delivered");
    world_ok(&world, WORLD_BETA, "recv --timeout 20s");
    cr_assert_str_eq(world_output(), "well");
    world_ok(&world, WORLD_BETA, "send host app.x --text mended --wait delivered");
    world_ok(&world, WORLD_HOST, "recv --timeout 20s");
    cr_assert_str_eq(world_output(), "mended");
}

Test(e2e_stores, a_pool_of_random_bytes)
{
    shell("head -c 2000000 /dev/urandom >vm/beta/kvp/.kvp_pool_1");
    world_alpha_works(&world);
    shell(": >vm/beta/kvp/.kvp_pool_1");
    beta_is_well();
}

Test(e2e_stores, ten_thousand_records_of_others)
{
    flood(1, "others", 10000, 4);
    world_ok(&world, WORLD_BETA, "send host app.y --text kept");
    world_logged(&world, WORLD_BETA, "host", "it is full of records of other programs; remove");
    world_alpha_works(&world);
    flood(1, "others", 0, 4);
    world_ok(&world, WORLD_HOST, "recv --timeout 60s");
    cr_assert_str_eq(world_output(), "kept");
    beta_is_well();
}

Test(e2e_stores, ten_thousand_records_with_keys_of_ours)
{
    for (int pool = 0; pool < 2; pool++) {
        flood(pool, "kvpbus.x", 10000, 4);
        world_logged(&world, pool == 0 ? WORLD_BETA : WORLD_HOST, pool == 0 ? "host" : "beta",
                     "another program writes keys of kvpbus.*");
        world_alpha_works(&world);
        // The daemon may have read pool 0 meanwhile, and would write all of it back.
        lab_ctl(&world.lab, "stop beta");
        flood(pool, "", 0, 4);
        lab_ctl(&world.lab, "start beta");
        beta_is_well();
    }
}

Test(e2e_stores, more_items_than_one_answer_takes)
{
    flood(0, "kvpbus.x", 300, 1000);
    shell("$KVPBUS --socket beta.ctl items host >all 2>said; grep -c \"^peer \" all");
    cr_assert_str_eq(world_output(), "256");
    shell("$KVPBUS --socket beta.ctl --json items host 2>said | grep -c \"store.*peer\"");
    cr_assert_str_eq(world_output(), "256");
    shell("cat said");
    cr_assert_not_null(strstr(world_output(), "44 more"), "%s", world_output());
}

Test(e2e_stores, items_that_are_cut)
{
    shell("head -c 3000 /dev/urandom >sent");
    lab_ctl(&world.lab, "fault beta cut-value 300");
    world_ok(&world, WORLD_HOST, "send beta app.x --file sent");
    world_ok(&world, WORLD_BETA, "send host app.x --file sent");
    world_logged(&world, WORLD_BETA, "host", "a value of the peer is cut or changed");
    world_logged(&world, WORLD_HOST, "beta", "a value of the peer is cut or changed");
    world_alpha_works(&world);
    lab_ctl(&world.lab, "fault beta clear");
    world_ok(&world, WORLD_BETA, "recv --timeout 60s --out got");
    shell("cmp sent got/*");
    world_ok(&world, WORLD_HOST, "recv --timeout 60s --out got.host");
    shell("cmp sent got.host/*");
    nothing_comes(WORLD_HOST);
    beta_is_well();
}

// What stood in a store once comes back: in the session that it is of, and in a later one.
Test(e2e_stores, items_that_are_replayed)
{
    static const enum world_side sides[] = {WORLD_HOST, WORLD_BETA};
    for (int pool = 0; pool < 2; pool++) {
        enum world_side sender = sides[pool], receiver = sides[1 - pool];
        char replay[128];
        snprintf(replay, sizeof replay, "cat old%d >vm/beta/kvp/.kvp_pool_%d", pool, pool);
        world_ok(&world, sender, "send %s app.x --text once --wait delivered",
                 pool == 0 ? "beta" : "host");
        cr_assert_eq(world_shell(&world,
                                 "cat vm/beta/kvp/.kvp_pool_%d >old%d; grep -aF kvpbus.00 "
                                 "old%d",
                                 pool, pool, pool),
                     0, "no data item was there to be kept");
        world_ok(&world, receiver, "recv --timeout 20s");
        cr_assert_str_eq(world_output(), "once");
        shell(replay);
        nothing_comes(receiver);
        beta_is_well();
        world_stop(&world, sender, SIGTERM);
        world_start(&world, sender);
        beta_is_well();
        shell(replay);
        nothing_comes(receiver);
        world_alpha_works(&world);
        beta_is_well();
    }
}

Test(e2e_stores, items_of_another_vm)
{
    world_ok(&world, WORLD_ALPHA, "send host from.alpha --text mine");
    shell("cat vm/alpha/kvp/.kvp_pool_1 >copy; cat copy >vm/beta/kvp/.kvp_pool_1");
    world_logged(&world, WORLD_HOST, "beta", "another identity than the one that was paired");
    world_ok(&world, WORLD_HOST, "--json recv --timeout 10s");
    cr_assert_not_null(strstr(world_output(), "\"peer\": \"alpha\""));
    nothing_comes(WORLD_HOST);
    world_alpha_works(&world);
    beta_is_well();
}
