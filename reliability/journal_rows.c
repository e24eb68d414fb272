// SPDX-License-Identifier: Apache-2.0
//
// The rows of one VM, copied into the file that is attached as `moving`, with a table for each
// table here and the rows as they are, and from there into another journal. Row numbers are of one
// journal alone: what comes gets numbers behind those that were ever used, all of a kind by the
// same distance, so that order and references stay.
#include <stdio.h>

#include "journal_internal.h"

enum { SQL_BYTES = 4096, SHIFT_BITS = 46 };

// Rows of the peer ?1. What others refer to comes behind them: so they are removed in this order.
static const struct moved_table {
    const char *name, *rows;
} tables[] = {
    {"part", "id IN (SELECT part.id FROM main.sealed CROSS JOIN main.part ON part.id BETWEEN "
             "sealed.id << 16 AND (sealed.id << 16) + 65535 WHERE sealed.peer = ?1)"},
    {"held", "arrived IN (SELECT id FROM main.arrived WHERE peer = ?1)"},
    {"floor", "source IN (SELECT id FROM main.source WHERE peer = ?1)"},
    {"position", "line IN (SELECT id FROM main.line WHERE peer = ?1)"},
    {"out_stream", "line IN (SELECT id FROM main.line WHERE peer = ?1)"},
    {"sealed", "peer = ?1"},
    {"arrived", "peer = ?1"},
    {"source", "peer = ?1"},
    {"line", "peer = ?1"},
    {"lane", "peer = ?1"},
    {"tally", "peer = ?1"},
    {"epoch", "peer = ?1 AND mine = 0"}, // my own are of this host's cores
    {"message", "peer = ?1"},
    {"in_stream", "peer = ?1"},
    {"inbox", "peer = ?1"},
    {"dead_letter", "peer = ?1"},
    {"received", "peer = ?1"},
    {"peer", "id = ?1"},
};
enum { TABLES = sizeof tables / sizeof *tables, PEER = TABLES - 1 };
static_assert(PART_BITS == 16, "the rows of part name it");

// Columns that hold a row number of the table `of`; 0 and NULL stand for none.
static const struct reference {
    const char *table, *column, *of;
} references[] = {
    {"line", "id", "line"},
    {"peer", "line", "line"},
    {"position", "line", "line"},
    {"out_stream", "line", "line"},
    {"sealed", "line", "line"},
    {"sealed", "id", "sealed"},
    {"message", "sent", "sealed"},
    {"message", "id", "message"},
    {"received", "told", "message"},
    {"source", "id", "source"},
    {"peer", "source", "source"},
    {"floor", "source", "source"},
    {"arrived", "source", "source"},
    {"in_stream", "source", "source"},
    {"inbox", "source", "source"},
    {"dead_letter", "source", "source"},
    {"arrived", "id", "arrived"},
    {"held", "arrived", "arrived"},
    {"in_stream", "id", "in_stream"},
    {"inbox", "stream", "in_stream"},
    {"inbox", "id", "inbox"},
    {"in_stream", "head", "inbox"},
    {"received", "inbox", "inbox"},
    {"received", "id", "received"},
    {"dead_letter", "id", "dead_letter"},
    {"epoch", "id", "epoch"},
};
enum { REFERENCES = sizeof references / sizeof *references };

// --- statements that are made of names ---

static enum kvpbus_error begin_made(struct kvpbus_journal *journal, const char *sql, int64_t peer,
                                    sqlite3_stmt **row)
{
    int code = sqlite3_prepare_v2(journal->db, sql, -1, row, NULL);
    if (code == SQLITE_OK && sqlite3_bind_parameter_count(*row) > 0)
        code = sqlite3_bind_int64(*row, 1, peer);
    return code == SQLITE_OK ? KVPBUS_OK : journal_sqlite_error(journal, code, "be read");
}

static enum kvpbus_error run_made(struct kvpbus_journal *journal, const char *sql, int64_t peer)
{
    sqlite3_stmt *row = NULL;
    enum kvpbus_error error = journal_still_open(journal);
    if (error == KVPBUS_OK)
        error = begin_made(journal, sql, peer, &row);
    int code = error == KVPBUS_OK ? sqlite3_step(row) : SQLITE_DONE;
    if (code != SQLITE_DONE && code != SQLITE_ROW)
        error = journal_sqlite_error(journal, code, "be written");
    sqlite3_finalize(row);
    return error;
}

static enum kvpbus_error number_made(struct kvpbus_journal *journal, const char *sql,
                                     int64_t *number)
{
    sqlite3_stmt *row = NULL;
    enum kvpbus_error error = begin_made(journal, sql, 0, &row);
    int code = error == KVPBUS_OK ? sqlite3_step(row) : SQLITE_DONE;
    *number = code == SQLITE_ROW ? sqlite3_column_int64(row, 0) : 0;
    if (code != SQLITE_DONE && code != SQLITE_ROW)
        error = journal_sqlite_error(journal, code, "be read");
    sqlite3_finalize(row);
    return error;
}

// --- out ---

enum kvpbus_error journal_rows_copy(struct kvpbus_journal *journal, int64_t peer)
{
    char sql[SQL_BYTES];
    int64_t version = 0;
    enum kvpbus_error error = number_made(journal, "PRAGMA main.user_version", &version);
    snprintf(sql, sizeof sql, "PRAGMA moving.user_version = %lld", (long long)version);
    if (error == KVPBUS_OK)
        error = run_made(journal, sql, 0);
    for (size_t i = 0; error == KVPBUS_OK && i < TABLES; i++) {
        snprintf(sql, sizeof sql, "CREATE TABLE moving.%s AS SELECT * FROM main.%s WHERE %s",
                 tables[i].name, tables[i].name, tables[i].rows);
        error = run_made(journal, sql, peer);
    }
    return error;
}

enum kvpbus_error journal_rows_remove(struct kvpbus_journal *journal, int64_t peer)
{
    char sql[SQL_BYTES];
    enum kvpbus_error error = KVPBUS_OK;
    for (size_t i = 0; error == KVPBUS_OK && i < PEER; i++) {
        snprintf(sql, sizeof sql, "DELETE FROM main.%s WHERE %s", tables[i].name, tables[i].rows);
        error = run_made(journal, sql, peer);
    }
    return error;
}

// --- in ---

// The file may have been written before an upgrade: it has tables without indices.
enum kvpbus_error journal_rows_check(struct kvpbus_journal *journal)
{
    int64_t its = 0, others = 0;
    uint64_t left = 0;
    enum kvpbus_error error = number_made(journal, "PRAGMA moving.user_version", &its);
    if (error == KVPBUS_OK && (its < TABLES_VERSION || its > SCHEMA_VERSION))
        return kvpbus_fail(&journal->failure, KVPBUS_INVALID_ARGUMENT,
                           "the file is of version %lld of the journal, this program knows %d to "
                           "%d; install the same version on both hosts",
                           (long long)its, TABLES_VERSION, SCHEMA_VERSION);
    if (error == KVPBUS_OK)
        error = number_made(journal,
                            "SELECT count(*) FROM moving.sqlite_schema WHERE type != 'table' OR "
                            "rootpage = 0 OR name NOT IN (SELECT name FROM main.sqlite_schema)",
                            &others);
    if (error == KVPBUS_OK && others != 0)
        return kvpbus_fail(&journal->failure, KVPBUS_INVALID_ARGUMENT,
                           "the file is no part of a journal");
    int64_t pages = 0;
    if (error == KVPBUS_OK)
        error = number_made(journal, "PRAGMA moving.page_count", &pages);
    if (error == KVPBUS_OK)
        error = journal_free(journal, &left);
    if (error == KVPBUS_OK && (uint64_t)(pages * journal->page_size) > left)
        return kvpbus_fail(&journal->failure, KVPBUS_JOURNAL_FULL,
                           "the VM has %lld MiB, for which the journal has no room: raise "
                           "journal_max",
                           (long long)(pages * journal->page_size >> 20) + 1);
    return error;
}

// How far the row numbers of a table go up, and that these are used now.
static enum kvpbus_error shift_of(struct kvpbus_journal *journal, const char *table, int64_t *shift)
{
    char sql[SQL_BYTES], sequence[256];
    size_t at = 0;
    int64_t first = 0, last = 0, used = 0;
    *shift = 0;
    for (size_t i = 0; i < REFERENCES; i++)
        if (strcmp(references[i].of, table) == 0)
            at += (size_t)snprintf(sql + at, sizeof sql - at, "%sSELECT %s AS n FROM moving.%s",
                                   at > 0 ? " UNION ALL " : "", references[i].column,
                                   references[i].table);
    char numbers[SQL_BYTES + 64];
    snprintf(numbers, sizeof numbers, "SELECT min(n) FROM (%s) WHERE n != 0", sql);
    enum kvpbus_error error = number_made(journal, numbers, &first);
    snprintf(numbers, sizeof numbers, "SELECT max(n) FROM (%s) WHERE n != 0", sql);
    if (error == KVPBUS_OK)
        error = number_made(journal, numbers, &last);
    if (error != KVPBUS_OK || last == 0)
        return error;
    if (first < 1 || last >= INT64_C(1) << SHIFT_BITS)
        return kvpbus_fail(&journal->failure, KVPBUS_INVALID_ARGUMENT,
                           "the file is no part of a journal");
    snprintf(sequence, sizeof sequence,
             "SELECT max(coalesce((SELECT seq FROM main.sqlite_sequence WHERE name = '%s'), 0), "
             "coalesce((SELECT max(id) FROM main.%s), 0))",
             table, table);
    error = number_made(journal, sequence, &used);
    *shift = used - first + 1;
    if (error == KVPBUS_OK) {
        snprintf(sequence, sizeof sequence, "DELETE FROM main.sqlite_sequence WHERE name = '%s'",
                 table);
        error = run_made(journal, sequence, 0);
    }
    if (error == KVPBUS_OK) {
        snprintf(sequence, sizeof sequence, "INSERT INTO main.sqlite_sequence VALUES('%s', %lld)",
                 table, (long long)(last + *shift));
        error = run_made(journal, sequence, 0);
    }
    return error;
}

struct shift {
    const char *table;
    int64_t by;
};

static int64_t shift_by(const struct shift *shifts, size_t count, const char *table,
                        const char *column)
{
    for (size_t i = 0; i < REFERENCES; i++)
        if (strcmp(references[i].table, table) == 0 && strcmp(references[i].column, column) == 0)
            for (size_t k = 0; k < count; k++)
                if (strcmp(shifts[k].table, references[i].of) == 0)
                    return shifts[k].by;
    return 0;
}

// The value of a column as it is here.
static size_t write_value(const struct shift *shifts, size_t count, const char *table,
                          const char *column, char *sql, size_t size)
{
    int64_t by = shift_by(shifts, count, table, column);
    if (strcmp(column, "peer") == 0)
        return (size_t)snprintf(sql, size, "?1");
    if (strcmp(table, "part") == 0 && strcmp(column, "id") == 0)
        by = shift_by(shifts, count, "sealed", "id") * (INT64_C(1) << PART_BITS);
    if (by == 0)
        return (size_t)snprintf(sql, size, "its.%s", column);
    return (size_t)snprintf(sql, size, "iif(its.%s = 0, 0, its.%s + %lld)", column, column,
                            (long long)by);
}

// Columns of the row peer that stay this host's.
static bool stays(const char *column)
{
    static const char *const names[] = {"id", "vm", "name", "moved", "chain"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(column, names[i]) == 0)
            return true;
    return false;
}

// Puts the rows of a table in, column by column as this journal names them.
static enum kvpbus_error take_table(struct kvpbus_journal *journal, int64_t peer,
                                    const struct shift *shifts, size_t count, const char *table)
{
    char sql[SQL_BYTES], columns[SQL_BYTES / 4] = "", values[SQL_BYTES / 2] = "";
    size_t columns_at = 0, values_at = 0;
    bool row_of_peer = strcmp(table, "peer") == 0;
    sqlite3_stmt *row = NULL;
    snprintf(sql, sizeof sql, "SELECT name FROM pragma_table_info('%s', 'main')", table);
    enum kvpbus_error error = begin_made(journal, sql, 0, &row);
    int code = SQLITE_DONE;
    while (error == KVPBUS_OK && (code = sqlite3_step(row)) == SQLITE_ROW) {
        const char *column = (const char *)sqlite3_column_text(row, 0);
        if (column == NULL || (row_of_peer && stays(column)))
            continue;
        const char *comma = columns_at > 0 ? ", " : "";
        columns_at += (size_t)snprintf(columns + columns_at, sizeof columns - columns_at, "%s%s",
                                       comma, column);
        values_at += (size_t)snprintf(values + values_at, sizeof values - values_at, "%s", comma);
        values_at += write_value(shifts, count, table, column, values + values_at,
                                 sizeof values - values_at);
        assert(columns_at < sizeof columns && values_at < sizeof values);
    }
    sqlite3_finalize(row);
    if (error == KVPBUS_OK && code != SQLITE_DONE)
        error = journal_sqlite_error(journal, code, "be read");
    if (error != KVPBUS_OK)
        return error;
    if (row_of_peer)
        snprintf(sql, sizeof sql,
                 "UPDATE main.peer SET (%s) = (SELECT %s FROM moving.peer AS its) WHERE id = ?1",
                 columns, values);
    else
        snprintf(sql, sizeof sql, "INSERT INTO main.%s(%s) SELECT %s FROM moving.%s AS its", table,
                 columns, values, table);
    return run_made(journal, sql, peer);
}

enum kvpbus_error journal_rows_take(struct kvpbus_journal *journal, int64_t peer)
{
    struct shift shifts[TABLES];
    size_t count = 0;
    enum kvpbus_error error = journal_rows_remove(journal, peer);
    for (size_t i = 0; error == KVPBUS_OK && i < REFERENCES; i++) {
        if (strcmp(references[i].table, references[i].of) != 0)
            continue;
        shifts[count].table = references[i].of;
        error = shift_of(journal, shifts[count].table, &shifts[count].by);
        count++;
    }
    for (size_t i = 0; error == KVPBUS_OK && i < TABLES; i++)
        error = take_table(journal, peer, shifts, count, tables[i].name);
    // A bundle that was open elsewhere gets no more messages: its ids would mean two contents. Nor
    // is anybody here who has what was leased there.
    if (error == KVPBUS_OK)
        error = RUN(journal, "UPDATE lane SET bundle = NULL WHERE peer = ?1", INT(peer));
    if (error == KVPBUS_OK)
        error =
            RUN(journal, "UPDATE inbox SET due_ms = 1 WHERE peer = ?1 AND leased = 1", INT(peer));
    return error;
}
