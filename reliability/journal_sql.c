// SPDX-License-Identifier: Apache-2.0
//
// Statements, kept prepared, and what SQLite's errors mean here.
#include <sodium.h>

#include "file.h"
#include "journal_internal.h"

enum { DRAWS_MAX = 1024 };

// --- errors ---

static enum kvpbus_error full_error(struct kvpbus_journal *journal, const char *doing)
{
    uint64_t left = UINT64_MAX;
    if (journal_free(journal, &left) == KVPBUS_OK && left == 0)
        return kvpbus_fail(&journal->failure, KVPBUS_JOURNAL_FULL,
                           "journal %s: cannot %s: it has reached its limit of %llu bytes; consume "
                           "messages or raise the limit",
                           journal->path, doing, (unsigned long long)journal->options.total_max);
    return kvpbus_fail(&journal->failure, KVPBUS_NO_SPACE,
                       "journal %s: cannot %s: the disk is full; free some space", journal->path,
                       doing);
}

static enum kvpbus_error system_error(struct kvpbus_journal *journal, const char *doing)
{
    int number = journal->db == NULL ? 0 : sqlite3_system_errno(journal->db);
    enum kvpbus_error code = kvpbus_system_error(number);
    if (code != KVPBUS_ACCESS && code != KVPBUS_NO_SPACE)
        code = KVPBUS_IO;
    kvpbus_fail(&journal->failure, code,
                "journal %s: cannot %s: %s; check the folder, its owner and the disk",
                journal->path, doing,
                number == 0 ? sqlite3_errmsg(journal->db) : kvpbus_system_text(number));
    journal->failure.os_code = number;
    return code;
}

static enum kvpbus_error translate(struct kvpbus_journal *journal, int code, const char *doing)
{
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return kvpbus_fail(&journal->failure, KVPBUS_NOMEM, "journal %s: out of memory",
                           journal->path);
    case SQLITE_FULL:
        return full_error(journal, doing);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return journal_damaged(journal, sqlite3_errmsg(journal->db));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return kvpbus_fail(&journal->failure, KVPBUS_JOURNAL_LOCKED,
                           "journal %s is in use by another process; stop that one first",
                           journal->path);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return kvpbus_fail(&journal->failure, KVPBUS_ACCESS,
                           "journal %s cannot be written; check its owner and its folder's",
                           journal->path);
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        return system_error(journal, doing);
    default:
        return kvpbus_fail(&journal->failure, KVPBUS_INTERNAL, "journal %s: cannot %s: %s",
                           journal->path, doing, sqlite3_errmsg(journal->db));
    }
}

enum kvpbus_error journal_sqlite_error(struct kvpbus_journal *journal, int code, const char *doing)
{
    enum kvpbus_error error = translate(journal, code, doing);
    if (journal->open && sqlite3_get_autocommit(journal->db) && journal->undone.code == KVPBUS_OK)
        journal->undone = journal->failure;
    return error;
}

enum kvpbus_error journal_damaged(struct kvpbus_journal *journal, const char *what)
{
    return kvpbus_fail(&journal->failure, KVPBUS_JOURNAL_DAMAGED,
                       "journal %s is damaged (%s); restore it from a backup, or move it away and "
                       "pair again",
                       journal->path, what);
}

// --- statements ---

static enum kvpbus_error prepare(struct kvpbus_journal *journal, const char *sql,
                                 sqlite3_stmt **prepared)
{
    for (size_t i = 0; i < journal->statement_count; i++)
        if (journal->statements[i].sql == sql) {
            *prepared = journal->statements[i].prepared;
            assert(!sqlite3_stmt_busy(*prepared));
            return KVPBUS_OK;
        }
    assert(journal->statement_count < STATEMENTS_MAX);
    int code = sqlite3_prepare_v3(journal->db, sql, -1, SQLITE_PREPARE_PERSISTENT, prepared, NULL);
    if (code != SQLITE_OK)
        return journal_sqlite_error(journal, code, "be read");
    journal->statements[journal->statement_count++] =
        (struct statement){.sql = sql, .prepared = *prepared};
    return KVPBUS_OK;
}

static int bind(sqlite3_stmt *prepared, int place, const struct value *value)
{
    switch (value->kind) {
    case VALUE_INT:
        return sqlite3_bind_int64(prepared, place, value->number);
    case VALUE_BLOB:
        if (value->length == 0)
            return sqlite3_bind_zeroblob(prepared, place, 0);
        return sqlite3_bind_blob64(prepared, place, value->bytes, value->length, SQLITE_STATIC);
    case VALUE_TEXT:
        return sqlite3_bind_text(prepared, place, value->bytes, -1, SQLITE_STATIC);
    case VALUE_NULL:
        break;
    }
    return sqlite3_bind_null(prepared, place);
}

enum kvpbus_error journal_still_open(struct kvpbus_journal *journal)
{
    if (!journal->open || !sqlite3_get_autocommit(journal->db))
        return KVPBUS_OK;
    assert(journal->undone.code != KVPBUS_OK);
    journal->failure = journal->undone;
    return journal->undone.code;
}

static enum kvpbus_error start(struct kvpbus_journal *journal, const char *sql,
                               const struct value *values, size_t count, sqlite3_stmt **prepared)
{
    enum kvpbus_error error = prepare(journal, sql, prepared);
    if (error == KVPBUS_OK)
        error = journal_still_open(journal);
    if (error != KVPBUS_OK)
        return error;
    assert(journal->open || sqlite3_stmt_readonly(*prepared));
    assert((size_t)sqlite3_bind_parameter_count(*prepared) == count);
    for (size_t i = 0; i < count; i++) {
        int code = bind(*prepared, (int)i + 1, &values[i]);
        if (code != SQLITE_OK)
            return journal_sqlite_error(journal, code, "be read");
    }
    return KVPBUS_OK;
}

enum kvpbus_error journal_next(struct kvpbus_journal *journal, sqlite3_stmt *row)
{
    int code = sqlite3_step(row);
    if (code == SQLITE_ROW)
        return KVPBUS_OK;
    enum kvpbus_error error = KVPBUS_NOT_FOUND;
    if (code != SQLITE_DONE)
        error = journal_sqlite_error(journal, code,
                                     sqlite3_stmt_readonly(row) ? "be read" : "be written");
    sqlite3_reset(row);
    return error;
}

void journal_end(sqlite3_stmt *row)
{
    sqlite3_reset(row);
}

enum kvpbus_error journal_get(struct kvpbus_journal *journal, sqlite3_stmt **row, const char *sql,
                              const struct value *values, size_t count)
{
    enum kvpbus_error error = start(journal, sql, values, count, row);
    return error == KVPBUS_OK ? journal_next(journal, *row) : error;
}

enum kvpbus_error journal_run(struct kvpbus_journal *journal, const char *sql,
                              const struct value *values, size_t count)
{
    sqlite3_stmt *row;
    enum kvpbus_error error = journal_get(journal, &row, sql, values, count);
    assert(error != KVPBUS_OK); // it gives no rows
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

int64_t journal_changed(const struct kvpbus_journal *journal)
{
    return sqlite3_changes64(journal->db);
}

enum kvpbus_error journal_draw(struct kvpbus_journal *journal, const char *sql, uint8_t *bytes,
                               size_t length)
{
    enum kvpbus_error error = KVPBUS_OK;
    for (int draw = 0; error == KVPBUS_OK && draw < DRAWS_MAX; draw++) {
        sqlite3_stmt *row;
        randombytes_buf(bytes, length);
        error = GET(journal, &row, sql, BLOB(bytes, length));
        if (error == KVPBUS_OK)
            journal_end(row);
    }
    if (error == KVPBUS_OK)
        return kvpbus_fail(&journal->failure, KVPBUS_INTERNAL, "the random numbers repeat");
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

enum kvpbus_error journal_exec(struct kvpbus_journal *journal, const char *sql)
{
    int code = sqlite3_exec(journal->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? KVPBUS_OK : journal_sqlite_error(journal, code, "be written");
}

enum kvpbus_error journal_bytes(struct kvpbus_journal *journal, sqlite3_stmt *row, int column,
                                void *bytes, size_t length)
{
    const void *stored = sqlite3_column_blob(row, column);
    if (stored == NULL || (size_t)sqlite3_column_bytes(row, column) != length)
        return journal_damaged(journal, "a field has another size");
    memcpy(bytes, stored, length);
    return KVPBUS_OK;
}

void journal_finalize(struct kvpbus_journal *journal)
{
    for (size_t i = 0; i < journal->statement_count; i++)
        sqlite3_finalize(journal->statements[i].prepared);
    journal->statement_count = 0;
}

// --- counts and room ---

enum kvpbus_error journal_tally(struct kvpbus_journal *journal, int64_t peer, int what,
                                int64_t count, int64_t bytes)
{
    if (count == 0 && bytes == 0)
        return KVPBUS_OK;
    return RUN(journal,
               "UPDATE tally SET count = count + ?3, bytes = bytes + ?4 "
               "WHERE peer = ?1 AND what = ?2",
               INT(peer), INT(what), INT(count), INT(bytes));
}

enum kvpbus_error journal_tally_get(struct kvpbus_journal *journal, int64_t peer, int what,
                                    int64_t *count, int64_t *bytes)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row, "SELECT count, bytes FROM tally WHERE peer = ?1 AND what = ?2",
            INT(peer), INT(what));
    if (error == KVPBUS_NOT_FOUND)
        return kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND, "the journal knows no such peer");
    if (error != KVPBUS_OK)
        return error;
    *count = sqlite3_column_int64(row, 0);
    *bytes = sqlite3_column_int64(row, 1);
    journal_end(row);
    return KVPBUS_OK;
}

static enum kvpbus_error pragma(struct kvpbus_journal *journal, const char *sql, int64_t *value)
{
    sqlite3_stmt *row;
    enum kvpbus_error error = prepare(journal, sql, &row);
    if (error == KVPBUS_OK)
        error = journal_next(journal, row);
    if (error != KVPBUS_OK)
        return error;
    *value = sqlite3_column_int64(row, 0);
    journal_end(row);
    return KVPBUS_OK;
}

enum kvpbus_error journal_free(struct kvpbus_journal *journal, uint64_t *bytes)
{
    int64_t pages = 0, unused = 0;
    enum kvpbus_error error = pragma(journal, "PRAGMA page_count", &pages);
    if (error == KVPBUS_OK)
        error = pragma(journal, "PRAGMA freelist_count", &unused);
    if (error != KVPBUS_OK)
        return error;
    uint64_t used = (uint64_t)((pages - unused) * journal->page_size);
    *bytes = used < journal->options.total_max ? journal->options.total_max - used : 0;
    return KVPBUS_OK;
}
