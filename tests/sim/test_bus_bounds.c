// SPDX-License-Identifier: Apache-2.0
//
// What a busy bus leaves in the journal: it forgets as much as came, on both sides, and looks no
// more often than once an hour when there is nothing; and what a VM that reverts without end
// leaves.
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "bus_internal.h"
#include "journal_internal.h"

enum { MESSAGES = 600, DAY = 24 * LIVE_HOUR };

static void send(struct sim_world *world, int from)
{
    struct answer answer = {0};
    const struct kvpbus_message message = {
        .topic = "a",
        .stream = "",
        .class_ = KVPBUS_CLASS_NORMAL,
        .receipt = true,
        .body = (const uint8_t *)"hello",
        .body_length = 5,
    };
    ASK(world, from, &answer,
        kvpbus_bus_send(process->endpoint, &message, false, ask_queued, &answer));
    cr_assert_eq(answer.code, KVPBUS_OK);
}

static bool consume(struct sim_world *world, int side)
{
    struct answer answer = {0};
    const struct kvpbus_filter all = {0};
    ASK(world, side, &answer,
        kvpbus_bus_lease(process->bus, &all, LIVE_MINUTE, ask_leased, &answer));
    if (answer.code != KVPBUS_OK)
        return false;
    ASK(world, side, &answer, kvpbus_bus_ack(process->bus, answer.lease, ask_done, &answer));
    cr_assert_eq(answer.code, KVPBUS_OK);
    return true;
}

static int64_t rows(struct sim_world *world, int side, const char *table)
{
    char sql[160];
    sqlite3_stmt *row = NULL;
    struct sim_arena *before = sim_side_enter(&world->sides[side]);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    sqlite3 *db = world->sides[side].process->journal->db;
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_step(row), SQLITE_ROW);
    int64_t count = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    sim_side_leave(before);
    return count;
}

Test(bus_bounds, what_is_older_than_the_history_is_gone_within_an_hour, .init = sim_setup)
{
    static const char *const tables[] = {"message", "sealed", "part",       "received", "inbox",
                                         "arrived", "held",   "out_stream", "in_stream"};
    struct sim_world *world = ask_begin();
    for (int i = 0; i < MESSAGES; i++)
        for (int side = 0; side < SIM_SIDES; side++) {
            send(world, side);
            while (!consume(world, 1 - side))
                live_wait(world, 20);
        }
    live_wait(world, LIVE_MINUTE);
    for (int side = 0; side < SIM_SIDES; side++) {
        cr_assert_gt(rows(world, side, "message"), MESSAGES); // with those that tell of receipts
        cr_assert_gt(rows(world, side, "sealed"), MESSAGES);
        cr_assert_eq(rows(world, side, "received"), MESSAGES);
        cr_assert_gt(rows(world, side, "arrived"), MESSAGES);
        world->sides[side].wall_offset += 8 * (int64_t)DAY;
    }
    live_wait(world, LIVE_HOUR + LIVE_MINUTE);
    for (int side = 0; side < SIM_SIDES; side++)
        for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
            cr_assert_eq(rows(world, side, tables[i]), 0, "side %d: %" PRId64 " in %s", side,
                         rows(world, side, tables[i]), tables[i]);
    for (int side = 0; side < SIM_SIDES; side++)
        cr_assert_gt(world->sides[side].process->bus->prune_at, world->now + LIVE_MINUTE);
    sim_world_free(world);
}

Test(bus_bounds, reverts_without_end_do_not_fill_the_audit, .init = sim_setup)
{
    enum { REVERTS = 30, APART = 20 * 1000, MOST = 10 + REVERTS * APART / LIVE_MINUTE + 1 };
    struct sim_world *world = ask_begin();
    sim_checkpoint_take(&world->sides[SIM_GUEST], 0);
    for (int i = 0; i < REVERTS; i++) {
        send(world, SIM_HOST);
        live_wait(world, APART / 2);
        sim_checkpoint_revert(&world->sides[SIM_GUEST], 0, false);
        live_wait(world, APART / 2);
    }
    int64_t entries = rows(world, SIM_HOST, "audit WHERE kind = 22 AND detail LIKE 'the peer%'");
    cr_assert(entries >= 10 && entries <= MOST, "%" PRId64, entries);
    cr_assert_gt(rows(world, SIM_HOST,
                      "audit WHERE kind = 22 AND detail LIKE 'the peer (% more were not entered)'"),
                 0);
    sim_world_free(world);
}
