// SPDX-License-Identifier: Apache-2.0
//
// Bytes of unfinished bundles, as they came, in rows that do not overlap.
#include "journal_internal.h"

enum kvpbus_error journal_drop_held(struct kvpbus_journal *journal, int64_t arrived, uint32_t from)
{
    enum kvpbus_error error = RUN(journal, "DELETE FROM held WHERE arrived = ?1 AND start >= ?2",
                                  INT(arrived), INT(from));
    if (error != KVPBUS_OK)
        return error;
    // With nothing held, another bundle may come under this number.
    return RUN(journal,
               "UPDATE arrived SET held = ?2, total = iif(?2 = 0, 0, total), "
               "resumed = iif(?2 = 0, 0, resumed) WHERE id = ?1",
               INT(arrived), INT(from));
}

enum kvpbus_error journal_held_prefix(struct kvpbus_journal *journal, int64_t arrived,
                                      uint32_t *prefix)
{
    sqlite3_stmt *row;
    *prefix = 0;
    enum kvpbus_error error = GET(
        journal, &row, "SELECT start, length(bytes) FROM held WHERE arrived = ?1 ORDER BY start",
        INT(arrived));
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        if (sqlite3_column_int64(row, 0) != *prefix) {
            journal_end(row);
            return KVPBUS_OK;
        }
        *prefix += (uint32_t)sqlite3_column_int64(row, 1);
    }
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

enum kvpbus_error journal_read_held(struct kvpbus_journal *journal, int64_t arrived, uint8_t *bytes,
                                    size_t length)
{
    sqlite3_stmt *row;
    size_t at = 0;
    enum kvpbus_error error =
        GET(journal, &row, "SELECT start, bytes FROM held WHERE arrived = ?1 ORDER BY start",
            INT(arrived));
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        const void *piece = sqlite3_column_blob(row, 1);
        size_t size = (size_t)sqlite3_column_bytes(row, 1);
        if (sqlite3_column_int64(row, 0) != (int64_t)at || piece == NULL) {
            journal_end(row);
            return KVPBUS_NOT_FOUND;
        }
        if (size > length - at)
            size = length - at;
        memcpy(bytes + at, piece, size);
        at += size;
        if (at == length) {
            journal_end(row);
            return KVPBUS_OK;
        }
    }
    return error;
}

enum kvpbus_error journal_held_header(struct kvpbus_journal *journal, int64_t arrived,
                                      uint8_t header[KVPBUS_BUNDLE_HEADER])
{
    return journal_read_held(journal, arrived, header, KVPBUS_BUNDLE_HEADER);
}

// The end of the piece that covers `at`, or `at` when none does.
static enum kvpbus_error covered_to(struct kvpbus_journal *journal, int64_t arrived, uint32_t at,
                                    uint32_t *to)
{
    sqlite3_stmt *row;
    *to = at;
    enum kvpbus_error error = GET(journal, &row,
                                  "SELECT start + length(bytes) FROM held WHERE arrived = ?1 AND "
                                  "start <= ?2 ORDER BY start DESC LIMIT 1",
                                  INT(arrived), INT(at));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    int64_t end = sqlite3_column_int64(row, 0);
    journal_end(row);
    if (end > at)
        *to = (uint32_t)end;
    return KVPBUS_OK;
}

// Where the next piece after `at` begins, or `end`.
static enum kvpbus_error free_to(struct kvpbus_journal *journal, int64_t arrived, uint32_t at,
                                 uint32_t end, uint32_t *to)
{
    sqlite3_stmt *row;
    *to = end;
    enum kvpbus_error error = GET(journal, &row,
                                  "SELECT start FROM held WHERE arrived = ?1 AND start > ?2 AND "
                                  "start < ?3 ORDER BY start LIMIT 1",
                                  INT(arrived), INT(at), INT(end));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    *to = (uint32_t)sqlite3_column_int64(row, 0);
    journal_end(row);
    return KVPBUS_OK;
}

enum kvpbus_error journal_store_held(struct kvpbus_journal *journal, struct arrived *arrived,
                                     const struct kvpbus_fragment *fragment, uint32_t *stored)
{
    uint32_t at = fragment->offset, end = fragment->offset + (uint32_t)fragment->length;
    *stored = 0;
    while (at < end) {
        uint32_t to;
        enum kvpbus_error error = covered_to(journal, arrived->id, at, &to);
        if (error != KVPBUS_OK)
            return error;
        if (to > at) {
            at = to;
            continue;
        }
        error = free_to(journal, arrived->id, at, end, &to);
        if (error == KVPBUS_OK)
            error = RUN(journal, "INSERT INTO held(arrived, start, bytes) VALUES(?1, ?2, ?3)",
                        INT(arrived->id), INT(at),
                        BLOB(fragment->data + (at - fragment->offset), to - at));
        if (error != KVPBUS_OK)
            return error;
        *stored += to - at;
        at = to;
    }
    arrived->held += *stored;
    return KVPBUS_OK;
}
