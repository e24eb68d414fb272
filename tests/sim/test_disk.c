// SPDX-License-Identifier: Apache-2.0
//
// The simulator's disk under a real SQLite: what a loss of power takes and leaves.
#include <criterion/criterion.h>
#include <sqlite3.h>
#include <string.h>

#include "world.h"

static struct sim_disk disk;
static struct sim_rng rng;

static void set_up(void)
{
    sim_setup();
    sim_rng_seed(&rng, 1, 1);
    disk.rng = &rng;
    sim_vfs_use(&disk, &rng);
}

TestSuite(disk, .init = set_up);

static sqlite3 *open_table(void)
{
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open("file", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                              "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
                              "PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS t(x)",
                              NULL, NULL, NULL),
                 SQLITE_OK, "%s", sqlite3_errmsg(db));
    return db;
}

static int count(sqlite3 *db)
{
    sqlite3_stmt *row;
    cr_assert_eq(sqlite3_prepare_v2(db, "SELECT count(*) FROM t", -1, &row, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(row), SQLITE_ROW);
    int rows = sqlite3_column_int(row, 0);
    sqlite3_finalize(row);
    return rows;
}

static int insert(sqlite3 *db)
{
    return sqlite3_exec(db, "INSERT INTO t VALUES(randomblob(3000))", NULL, NULL, NULL);
}

Test(disk, what_is_committed_survives_every_loss_of_power)
{
    for (int round = 0; round < 200; round++) {
        struct sim_arena *arena = sim_arena_new(1 << 24), *before = sim_arena_enter(arena);
        sqlite3 *db = open_table();
        int committed = count(db);
        disk.crash_in = sim_rng_range(&rng, 1, 60);
        while (insert(db) == SQLITE_OK)
            committed++;
        cr_assert(disk.dead);
        sim_arena_enter(before);
        sim_arena_free(arena); // the process died with its connection
        sim_disk_restart(&disk, true, &rng);
        db = open_table();
        int there = count(db);
        // The one at which it died may have come through.
        cr_assert(there == committed || there == committed + 1, "%d of %d", there, committed);
        cr_assert_eq(sqlite3_close(db), SQLITE_OK);
    }
}

Test(disk, what_is_not_synced_may_be_lost)
{
    sqlite3 *db = open_table();
    cr_assert_eq(sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL), SQLITE_OK);
    int lost = 0;
    for (int round = 0; round < 20; round++) {
        int committed = count(db) + 1;
        cr_assert_eq(insert(db), SQLITE_OK);
        sqlite3_close(db);
        sim_disk_restart(&disk, true, &rng);
        cr_assert_eq(sqlite3_open("file", &db), SQLITE_OK);
        sqlite3_stmt *row = NULL;
        bool whole =
            sqlite3_prepare_v2(db, "SELECT count(*) FROM t", -1, &row, NULL) == SQLITE_OK &&
            sqlite3_step(row) == SQLITE_ROW && sqlite3_column_int(row, 0) == committed;
        sqlite3_finalize(row);
        lost += !whole;
        sqlite3_close(db);
        sim_disk_clear(&disk);
        db = open_table();
        cr_assert_eq(sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL), SQLITE_OK);
    }
    sqlite3_close(db);
    cr_assert_gt(lost, 0);
}

Test(disk, a_process_that_dies_loses_nothing)
{
    struct sim_arena *arena = sim_arena_new(1 << 24), *before = sim_arena_enter(arena);
    sqlite3 *db = open_table();
    for (int i = 0; i < 10; i++)
        cr_assert_eq(insert(db), SQLITE_OK);
    sim_arena_enter(before);
    sim_arena_free(arena);
    sim_disk_restart(&disk, false, &rng);
    db = open_table();
    cr_assert_eq(count(db), 10);
    sqlite3_close(db);
}

Test(disk, a_full_disk_fails_and_recovers)
{
    sqlite3 *db = open_table();
    disk.full_permille = 1000;
    cr_assert_eq(insert(db), SQLITE_FULL);
    disk.full_permille = 0;
    disk.error_permille = 1000;
    cr_assert_eq(insert(db), SQLITE_IOERR);
    disk.error_permille = 0;
    cr_assert_eq(insert(db), SQLITE_OK);
    cr_assert_eq(count(db), 1);
    sqlite3_close(db);
}

Test(disk, a_connection_goes_back_with_its_memory_and_its_disk)
{
    struct sim_arena *arena = sim_arena_new(1 << 24), *before = sim_arena_enter(arena);
    sqlite3 *db = open_table();
    cr_assert_eq(insert(db), SQLITE_OK);
    struct sim_disk copy = {0};
    sim_disk_copy(&copy, &disk);
    struct sim_memory *memory = sim_arena_save(arena);
    for (int i = 0; i < 500; i++)
        cr_assert_eq(insert(db), SQLITE_OK);
    sim_arena_restore(arena, memory);
    sim_disk_copy(&disk, &copy);
    cr_assert_eq(count(db), 1);
    cr_assert_eq(insert(db), SQLITE_OK);
    cr_assert_eq(count(db), 2);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
    sim_arena_enter(before);
    sim_memory_free(memory);
    sim_disk_clear(&copy);
    db = open_table();
    cr_assert_eq(count(db), 2);
    sqlite3_close(db);
}
