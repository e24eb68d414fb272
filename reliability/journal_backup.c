// SPDX-License-Identifier: Apache-2.0
//
// A copy of the journal while it is in use, by SQLite's backup API: between two transactions some
// pages are copied, and what a transaction changes of those that were copied already SQLite copies
// again, so that at the end the copy is the journal as it is at that moment.
#include <stdio.h>
#include <unistd.h>

#include "file.h"
#include "journal_internal.h"

enum {
    SPARE_BYTES = 64 * 1024 * 1024, // of the disk, for the journal itself
    RESTARTS_MAX = 16,              // a transaction that is rolled back makes SQLite begin anew
};

static enum kvpbus_error failed(struct kvpbus_journal *journal, int number)
{
    enum kvpbus_error code = kvpbus_system_error(number);
    if (code != KVPBUS_ACCESS && code != KVPBUS_NO_SPACE)
        code = KVPBUS_IO;
    kvpbus_fail(&journal->failure, code, "the backup %s cannot be written: %s",
                journal->backup_path, kvpbus_system_text(number));
    journal->failure.os_code = number;
    return code;
}

static enum kvpbus_error sqlite_failed(struct kvpbus_journal *journal, int code)
{
    int number = journal->backup_db != NULL ? sqlite3_system_errno(journal->backup_db) : 0;
    if ((code & 0xff) == SQLITE_FULL)
        return kvpbus_fail(&journal->failure, KVPBUS_NO_SPACE,
                           "the backup %s cannot be written: the disk is full",
                           journal->backup_path);
    if ((code & 0xff) == SQLITE_NOMEM)
        return kvpbus_fail(&journal->failure, KVPBUS_NOMEM, "no memory for the backup");
    if (number != 0)
        return failed(journal, number);
    return kvpbus_fail(&journal->failure, KVPBUS_IO, "the backup %s cannot be written: %s",
                       journal->backup_path, sqlite3_errstr(code));
}

// The copy must not take the room that the journal needs for what comes.
static enum kvpbus_error check_space(struct kvpbus_journal *journal)
{
    char folder[KVPBUS_FOLDER_ROOM];
    uint64_t size, unused;
    kvpbus_file_folder(journal->backup_path, folder, sizeof folder);
    if (!kvpbus_file_size(journal->path, &size) || !kvpbus_folder_free(folder, &unused))
        return failed(journal, kvpbus_system_code());
    uint64_t wanted = size + SPARE_BYTES;
    if (unused >= wanted)
        return KVPBUS_OK;
    return kvpbus_fail(&journal->failure, KVPBUS_NO_SPACE,
                       "a backup needs %llu MiB in %.100s, of which %llu are free; free some space",
                       (unsigned long long)(wanted >> 20) + 1, folder,
                       (unsigned long long)unused >> 20);
}

static enum kvpbus_error open_copy(struct kvpbus_journal *journal)
{
    journal->backup_file = kvpbus_file_create(journal->backup_path);
    if (journal->backup_file < 0)
        return failed(journal, kvpbus_system_code());
    journal->backup_made = true; // what is there already is another's, and is not removed
    // Nobody reads the copy before it is whole. What SQLite holds back is little, so that a sync
    // after each step is as short as the step.
    int code = sqlite3_open_v2(journal->backup_path, &journal->backup_db,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(journal->backup_db,
                            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF;"
                            "PRAGMA synchronous = OFF; PRAGMA cache_size = -1024",
                            NULL, NULL, NULL);
    if (code != SQLITE_OK)
        return sqlite_failed(journal, code);
    journal->backup = sqlite3_backup_init(journal->backup_db, "main", journal->db, "main");
    return journal->backup != NULL ? KVPBUS_OK
                                   : sqlite_failed(journal, sqlite3_errcode(journal->backup_db));
}

enum kvpbus_error kvpbus_journal_backup_begin(struct kvpbus_journal *journal, const char *path)
{
    if (journal->backup_path != NULL)
        return kvpbus_fail(&journal->failure, KVPBUS_BUSY,
                           "another backup is being made; wait until it is done");
    journal->backup_path = strdup(path);
    if (journal->backup_path == NULL)
        return kvpbus_fail(&journal->failure, KVPBUS_NOMEM, "no memory for the backup");
    journal->backup_done = 0;
    journal->backup_restarts = 0;
    enum kvpbus_error error = check_space(journal);
    if (error == KVPBUS_OK)
        error = open_copy(journal);
    if (error != KVPBUS_OK)
        kvpbus_journal_backup_end(journal, false);
    return error;
}

enum kvpbus_error kvpbus_journal_backup_step(struct kvpbus_journal *journal, int pages,
                                             struct kvpbus_backup_state *state)
{
    assert(!journal->open && journal->backup != NULL);
    int code = sqlite3_backup_step(journal->backup, pages);
    uint64_t count = (uint64_t)sqlite3_backup_pagecount(journal->backup);
    uint64_t left = (uint64_t)sqlite3_backup_remaining(journal->backup);
    state->total = count * (uint64_t)journal->page_size;
    state->done = (count - left) * (uint64_t)journal->page_size;
    state->whole = code == SQLITE_DONE;
    if (code != SQLITE_OK && code != SQLITE_DONE)
        return sqlite_failed(journal, code);
    if (state->done <= journal->backup_done && !state->whole &&
        ++journal->backup_restarts > RESTARTS_MAX)
        return kvpbus_fail(&journal->failure, KVPBUS_BUSY,
                           "the backup begins anew again and again, because writing to the journal "
                           "fails; see the service's log, and try again later");
    journal->backup_done = state->done;
    return kvpbus_file_sync_data(journal->backup_file) ? KVPBUS_OK
                                                       : failed(journal, kvpbus_system_code());
}

enum kvpbus_error kvpbus_journal_backup_end(struct kvpbus_journal *journal, bool keep)
{
    enum kvpbus_error error = KVPBUS_OK;
    int code = journal->backup != NULL ? sqlite3_backup_finish(journal->backup) : SQLITE_OK;
    if (keep && code != SQLITE_OK)
        error = sqlite_failed(journal, code);
    journal->backup = NULL;
    code = sqlite3_close(journal->backup_db);
    assert(code == SQLITE_OK);
    journal->backup_db = NULL;
    if (keep && error == KVPBUS_OK && !kvpbus_file_sync(journal->backup_file))
        error = failed(journal, kvpbus_system_code());
    if (journal->backup_made)
        close(journal->backup_file);
    if (journal->backup_made && (!keep || error != KVPBUS_OK))
        kvpbus_file_remove(journal->backup_path);
    journal->backup_made = false;
    free(journal->backup_path);
    journal->backup_path = NULL;
    return error;
}
