// SPDX-License-Identifier: Apache-2.0
//
// Forgetting what is older than the history. What a comparison of positions needs stays: a floor's
// print is kept with the floor, and how far each timeline was done with the timeline.
#include "journal_internal.h"

// In one call no step removes more than `max` rows, so that none takes the others' turn.
struct pruning {
    int64_t before_ms;
    int64_t max;
};

// Removes rows that are counted in tally; `sql` returns peer, what (NULL: not counted), size and
// class of each.
static enum kvpbus_error prune_counted(struct kvpbus_journal *journal,
                                       const struct pruning *pruning, const char *sql,
                                       int64_t *rows)
{
    sqlite3_stmt *row;
    enum kvpbus_error error = GET(journal, &row, sql, INT(pruning->before_ms), INT(pruning->max));
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        int64_t peer = sqlite3_column_int64(row, 0), size = sqlite3_column_int64(row, 2);
        int what = sqlite3_column_int(row, 1);
        bool bulk = sqlite3_column_int(row, 3) == KVPBUS_CLASS_BULK;
        ++*rows;
        if (sqlite3_column_type(row, 1) == SQLITE_NULL)
            continue;
        error = journal_tally(journal, peer, what, -1, -size);
        if (error == KVPBUS_OK && bulk && what == TALLY_DEAD_LETTERS)
            error = journal_tally(journal, peer, TALLY_BULK_RECEIVED, -1, -size);
        if (error != KVPBUS_OK) {
            journal_end(row);
            return error;
        }
    }
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

// Those that told of receipts are counted by nobody once they have an outcome.
static enum kvpbus_error prune_messages(struct kvpbus_journal *journal,
                                        const struct pruning *pruning, int64_t *rows)
{
    static_assert(KVPBUS_KIND_RECEIPT == 4, "the statement names it");
    return prune_counted(journal, pruning,
                         "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE outcome != "
                         "0 AND settled_ms < ?1 AND (queued_ms < ?1 OR kind = 4) AND NOT "
                         "EXISTS(SELECT 1 FROM sealed WHERE sealed.id = message.sent AND done = 0) "
                         "LIMIT ?2) RETURNING peer, iif(kind = 4, NULL, outcome), size, class",
                         rows);
}

static enum kvpbus_error prune_dead_letters(struct kvpbus_journal *journal,
                                            const struct pruning *pruning, int64_t *rows)
{
    static_assert(TALLY_DEAD_LETTERS == 6, "the statement names it");
    return prune_counted(journal, pruning,
                         "DELETE FROM dead_letter WHERE id IN (SELECT id FROM dead_letter WHERE "
                         "died_ms < ?1 LIMIT ?2) RETURNING peer, 6, size, class",
                         rows);
}

// What of it the peer was not told by now it is told no more.
static enum kvpbus_error prune_received(struct kvpbus_journal *journal,
                                        const struct pruning *pruning, int64_t *rows)
{
    sqlite3_stmt *row;
    static_assert(RECEIPT_ASKED == 1 && RECEIPT_DUE == 2, "the statement names them");
    enum kvpbus_error error =
        GET(journal, &row,
            "DELETE FROM received WHERE id IN (SELECT id FROM received WHERE fate != 0 AND fate_ms "
            "< ?1 AND came_ms < ?1 AND NOT EXISTS(SELECT 1 FROM inbox WHERE inbox.id = "
            "received.inbox) LIMIT ?2) RETURNING peer, receipt IN (1, 2)",
            INT(pruning->before_ms), INT(pruning->max));
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        int64_t peer = sqlite3_column_int64(row, 0);
        bool owed = sqlite3_column_int(row, 1) != 0;
        ++*rows;
        error = journal_tally(journal, peer, TALLY_RECEIVED, -1, 0);
        if (error == KVPBUS_OK && owed)
            error = journal_tally(journal, peer, TALLY_OWED, -1, -OWED_BYTES);
        if (error != KVPBUS_OK) {
            journal_end(row);
            return error;
        }
    }
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

// Of a timeline that is not kept any more nothing is compared.
static enum kvpbus_error prune_sealed(struct kvpbus_journal *journal, const struct pruning *pruning,
                                      int64_t *rows)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "DELETE FROM sealed WHERE id IN (SELECT id FROM sealed WHERE done = 1 AND done_ms < ?1 "
            "AND NOT EXISTS(SELECT 1 FROM message WHERE sent = sealed.id) AND number <= "
            "coalesce((SELECT done FROM position WHERE position.line = sealed.line AND "
            "position.class = sealed.class), number) LIMIT ?2) RETURNING id, peer, kept, length",
            INT(pruning->before_ms), INT(pruning->max));
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        bool kept = sqlite3_column_int(row, 2) != 0;
        if (kept)
            error = journal_drop_parts(journal, sqlite3_column_int64(row, 0));
        if (error == KVPBUS_OK && kept)
            error = journal_tally(journal, sqlite3_column_int64(row, 1), TALLY_KEPT, -1,
                                  -sqlite3_column_int64(row, 3));
        if (error != KVPBUS_OK) {
            journal_end(row);
            return error;
        }
        ++*rows;
    }
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

static enum kvpbus_error prune_arrived(struct kvpbus_journal *journal,
                                       const struct pruning *pruning, int64_t *rows)
{
    enum kvpbus_error error =
        RUN(journal,
            "DELETE FROM arrived WHERE id IN (SELECT arrived.id FROM arrived LEFT JOIN floor ON "
            "floor.source = arrived.source AND floor.class = arrived.class WHERE state != 0 AND "
            "done_ms < ?1 AND (floor IS NULL OR number <= floor OR arrived.source != (SELECT "
            "source FROM peer WHERE id = arrived.peer)) LIMIT ?2)",
            INT(pruning->before_ms), INT(pruning->max));
    *rows = journal_changed(journal);
    return error;
}

// A stream that is forgotten begins again beyond every sequence that it may have had.
static enum kvpbus_error prune_out_streams(struct kvpbus_journal *journal,
                                           const struct pruning *pruning, int64_t *rows)
{
    enum kvpbus_error error =
        RUN(journal,
            "UPDATE position SET fresh = max(fresh, (SELECT max(next) FROM out_stream WHERE "
            "out_stream.line = position.line AND out_stream.class = position.class AND "
            "used_ms < ?1)) WHERE EXISTS(SELECT 1 FROM out_stream WHERE out_stream.line = "
            "position.line AND out_stream.class = position.class AND used_ms < ?1)",
            INT(pruning->before_ms));
    if (error != KVPBUS_OK)
        return error;
    error = RUN(journal,
                "DELETE FROM out_stream WHERE (line, class, stream) IN (SELECT line, class, stream "
                "FROM out_stream WHERE used_ms < ?1 LIMIT ?2)",
                INT(pruning->before_ms), INT(pruning->max));
    *rows = journal_changed(journal);
    return error;
}

// Forgetting one only makes its next messages wait for lower bundles.
static enum kvpbus_error prune_in_streams(struct kvpbus_journal *journal,
                                          const struct pruning *pruning, int64_t *rows)
{
    enum kvpbus_error error =
        RUN(journal,
            "DELETE FROM in_stream WHERE id IN (SELECT in_stream.id FROM peer CROSS JOIN in_stream "
            "INDEXED BY in_stream_idle ON in_stream.peer = peer.id WHERE queued = 0 AND used_ms < "
            "?1 AND NOT EXISTS(SELECT 1 FROM inbox WHERE inbox.stream = in_stream.id) LIMIT ?2)",
            INT(pruning->before_ms), INT(pruning->max));
    *rows = journal_changed(journal);
    return error;
}

static enum kvpbus_error prune_sources(struct kvpbus_journal *journal,
                                       const struct pruning *pruning, int64_t *rows)
{
    enum kvpbus_error error =
        RUN(journal,
            "DELETE FROM source WHERE id IN (SELECT id FROM source WHERE id NOT IN (SELECT source "
            "FROM peer) AND id NOT IN (SELECT source FROM arrived) AND id NOT IN (SELECT source "
            "FROM inbox) LIMIT ?1)",
            INT(pruning->max));
    *rows = journal_changed(journal);
    if (error != KVPBUS_OK || *rows == 0)
        return error;
    return RUN(journal, "DELETE FROM floor WHERE source NOT IN (SELECT id FROM source WHERE ?1)",
               INT(1));
}

enum kvpbus_error kvpbus_journal_prune(struct kvpbus_journal *journal, int64_t now_ms, size_t max,
                                       bool *more)
{
    static enum kvpbus_error (*const steps[])(struct kvpbus_journal *, const struct pruning *,
                                              int64_t *) = {
        prune_messages, prune_dead_letters, prune_received,   prune_sealed,
        prune_arrived,  prune_out_streams,  prune_in_streams, prune_sources,
    };
    journal->now_ms = now_ms;
    const struct pruning pruning = {
        .before_ms = now_ms - (int64_t)journal->options.history_ms,
        .max = max > INT32_MAX ? INT32_MAX : (int64_t)max,
    };
    enum kvpbus_error error = KVPBUS_OK;
    *more = false;
    for (size_t i = 0; error == KVPBUS_OK && i < sizeof steps / sizeof *steps; i++) {
        int64_t rows = 0;
        error = steps[i](journal, &pruning, &rows);
        *more |= rows == pruning.max;
    }
    return error == KVPBUS_OK ? journal_prune_tokens(journal, now_ms) : error;
}
