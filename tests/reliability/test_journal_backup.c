// SPDX-License-Identifier: Apache-2.0
//
// A copy of the journal while it is in use. The linker puts the two functions below in place of
// SQLite's, so that they fail when a test says so.
#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal_rig.h"

enum { PAGES = 8, BODIES = 60 };

static struct journal_rig rig;
static struct journal_side *host;
static char path[128];
static int step_fails, init_fails; // an SQLite code; 0: not

int __real_sqlite3_backup_step(sqlite3_backup *backup, int pages);
int __wrap_sqlite3_backup_step(sqlite3_backup *backup, int pages);
sqlite3_backup *__real_sqlite3_backup_init(sqlite3 *to, const char *name, sqlite3 *from,
                                           const char *from_name);
sqlite3_backup *__wrap_sqlite3_backup_init(sqlite3 *to, const char *name, sqlite3 *from,
                                           const char *from_name);

int __wrap_sqlite3_backup_step(sqlite3_backup *backup, int pages)
{
    return step_fails != 0 ? step_fails : __real_sqlite3_backup_step(backup, pages);
}

sqlite3_backup *__wrap_sqlite3_backup_init(sqlite3 *to, const char *name, sqlite3 *from,
                                           const char *from_name)
{
    return init_fails != 0 ? NULL : __real_sqlite3_backup_init(to, name, from, from_name);
}

static void queue_noise(int count)
{
    static char body[20000];
    for (int i = 0; i < count; i++) {
        rig_noise(body, sizeof body);
        rig_queue(&rig, host, body);
    }
}

static void begin(void)
{
    step_fails = init_fails = 0;
    rig_open(&rig, NULL);
    host = &rig.host;
    snprintf(path, sizeof path, "%s/copy", rig.directory);
    queue_noise(BODIES);
}

static void end(void)
{
    unlink(path);
    rig_close(&rig);
}

TestSuite(journal_backup, .init = begin, .fini = end);

static void fine(enum kvpbus_error error)
{
    cr_assert_eq(error, KVPBUS_OK, "%s", kvpbus_journal_failure(host->journal)->detail);
}

static bool there(void)
{
    return access(path, F_OK) == 0;
}

// The copy is sound, and the journal that it was: opened, it has the same counts.
static void is_the_journal(const struct kvpbus_journal_counts *counts)
{
    sqlite3 *db;
    sqlite3_stmt *row;
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &row, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(row), SQLITE_ROW);
    cr_assert_str_eq((const char *)sqlite3_column_text(row, 0), "ok");
    sqlite3_finalize(row);
    sqlite3_close(db);
    struct journal_side copy = rig.host;
    struct kvpbus_failure failure;
    cr_assert_eq(kvpbus_journal_open(path, &copy.options, &copy.journal, &failure), KVPBUS_OK, "%s",
                 failure.detail);
    struct kvpbus_journal_counts copied = rig_counts(&copy);
    kvpbus_journal_close(copy.journal);
    cr_assert_eq(copied.queued, counts->queued);
    cr_assert_eq(copied.queued_bytes, counts->queued_bytes);
}

Test(journal_backup, what_changes_meanwhile_is_in_the_copy)
{
    struct kvpbus_backup_state state = {0};
    int steps = 0;
    fine(kvpbus_journal_backup_begin(host->journal, path));
    while (!state.whole) {
        fine(kvpbus_journal_backup_step(host->journal, PAGES, &state));
        cr_assert_leq(state.done, state.total);
        // What was copied already changes as well: counts and lists are in the first pages.
        if (!state.whole && steps++ % 3 == 0)
            queue_noise(1);
    }
    cr_assert_gt(steps, 20, "%d steps", steps);
    cr_assert_eq(state.done, state.total);
    struct kvpbus_journal_counts counts = rig_counts(host);
    cr_assert_gt(counts.queued, (uint64_t)BODIES);
    queue_noise(3); // after the last step: not in it
    fine(kvpbus_journal_backup_end(host->journal, true));
    is_the_journal(&counts);
    cr_assert_eq(rig_counts(host).queued, counts.queued + 3);
}

static void roll_back(void)
{
    struct kvpbus_message message = rig_message("t", "never");
    fine(kvpbus_journal_begin(host->journal));
    fine(kvpbus_journal_queue(host->journal, host->peer, &message, false, rig.now));
    kvpbus_journal_rollback(host->journal);
}

// A transaction that is rolled back makes SQLite begin anew; it is not in the copy.
Test(journal_backup, what_is_rolled_back_is_not_in_the_copy)
{
    struct kvpbus_backup_state state = {0};
    struct kvpbus_journal_counts counts = rig_counts(host);
    fine(kvpbus_journal_backup_begin(host->journal, path));
    for (int steps = 1; !state.whole; steps++) {
        fine(kvpbus_journal_backup_step(host->journal, PAGES, &state));
        if (!state.whole && steps <= 20 && steps % 5 == 0)
            roll_back();
    }
    fine(kvpbus_journal_backup_end(host->journal, true));
    is_the_journal(&counts);
}

Test(journal_backup, one_that_cannot_end_is_given_up)
{
    struct kvpbus_backup_state state = {0};
    enum kvpbus_error error = KVPBUS_OK;
    int steps = 0;
    fine(kvpbus_journal_backup_begin(host->journal, path));
    for (; error == KVPBUS_OK && steps < 1000; steps++) {
        error = kvpbus_journal_backup_step(host->journal, PAGES, &state);
        roll_back();
    }
    cr_assert_eq(error, KVPBUS_BUSY);
    cr_assert_lt(steps, 100);
    fine(kvpbus_journal_backup_end(host->journal, false));
    cr_assert_not(there());
}

Test(journal_backup, a_full_disk_leaves_nothing_and_harms_nothing)
{
    static const struct {
        int code;
        enum kvpbus_error error;
    } cases[] = {
        {SQLITE_FULL, KVPBUS_NO_SPACE}, {SQLITE_IOERR, KVPBUS_IO}, {SQLITE_NOMEM, KVPBUS_NOMEM}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kvpbus_backup_state state = {0};
        fine(kvpbus_journal_backup_begin(host->journal, path));
        fine(kvpbus_journal_backup_step(host->journal, PAGES, &state));
        step_fails = cases[i].code;
        cr_assert_eq(kvpbus_journal_backup_step(host->journal, PAGES, &state), cases[i].error);
        cr_assert_neq(kvpbus_journal_failure(host->journal)->detail[0], '\0');
        step_fails = 0;
        fine(kvpbus_journal_backup_end(host->journal, false));
        cr_assert_not(there());
        queue_noise(1);
    }
    init_fails = 1;
    cr_assert_neq(kvpbus_journal_backup_begin(host->journal, path), KVPBUS_OK);
    cr_assert_not(there());
    init_fails = 0;
    struct kvpbus_backup_state state = {0};
    fine(kvpbus_journal_backup_begin(host->journal, path));
    while (!state.whole)
        fine(kvpbus_journal_backup_step(host->journal, PAGES, &state));
    fine(kvpbus_journal_backup_end(host->journal, true));
    struct kvpbus_journal_counts counts = rig_counts(host);
    is_the_journal(&counts);
}

Test(journal_backup, there_is_one_at_a_time_and_nobody_elses_file_is_touched)
{
    char other[160];
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fclose(file);
    cr_assert_neq(kvpbus_journal_backup_begin(host->journal, path), KVPBUS_OK);
    cr_assert(there(), "what was there is removed");
    cr_assert_eq(kvpbus_journal_backup_begin(host->journal, "/nowhere/copy"), KVPBUS_IO);
    snprintf(other, sizeof other, "%s.other", path);
    fine(kvpbus_journal_backup_begin(host->journal, other));
    cr_assert_eq(kvpbus_journal_backup_begin(host->journal, path), KVPBUS_BUSY);
    side_reopen(host); // closed in the midst of it
    cr_assert_neq(access(other, F_OK), 0);
    cr_assert(there());
}
