// SPDX-License-Identifier: Apache-2.0
//
// Forgetting what is older than the history. What a comparison of positions needs stays: a floor's
// print is kept with the floor, and how far each timeline was done with the timeline.
#include "journal_internal.h"

enum { IDLE_STREAMS_MAX = 10000 }; // of the peer's, with nothing in the inbox

struct pruning {
    int64_t before_ms;
    int64_t left; // rows that may still be deleted in this call
};

static enum kvpbus_error count_down(struct kvpbus_journal *journal, struct pruning *pruning,
                                    enum kvpbus_error error)
{
    if (error == KVPBUS_OK)
        pruning->left -= journal_changed(journal);
    return error;
}

// Deletes rows one by one that are counted in tally; `sql` returns peer, what, size
// and class of one.
static enum kvpbus_error delete_counted(struct kvpbus_journal *journal, struct pruning *pruning,
                                        const char *sql)
{
    while (pruning->left > 0) {
        sqlite3_stmt *row;
        enum kvpbus_error error = GET(journal, &row, sql, INT(pruning->before_ms));
        if (error != KVPBUS_OK)
            return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
        int64_t peer = sqlite3_column_int64(row, 0), size = sqlite3_column_int64(row, 2);
        int what = sqlite3_column_int(row, 1);
        bool bulk = sqlite3_column_int(row, 3) == KVPBUS_CLASS_BULK;
        error = journal_next(journal, row);
        if (error != KVPBUS_NOT_FOUND)
            return error;
        error = journal_tally(journal, peer, what, -1, -size);
        if (error == KVPBUS_OK && bulk && what == TALLY_DEAD_LETTERS)
            error = journal_tally(journal, peer, TALLY_BULK_RECEIVED, -1, -size);
        if (error != KVPBUS_OK)
            return error;
        pruning->left--;
    }
    return KVPBUS_OK;
}

// What told of receipts is counted by nobody once it has.
static enum kvpbus_error prune_receipts(struct kvpbus_journal *journal, struct pruning *pruning)
{
    static_assert(KVPBUS_KIND_RECEIPT == 4, "the statement names it");
    return count_down(journal, pruning,
                      RUN(journal,
                          "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE outcome "
                          "!= 0 AND kind = 4 AND settled_ms < ?1 AND NOT EXISTS(SELECT 1 FROM "
                          "sealed WHERE sealed.id = message.sent AND done = 0) LIMIT ?2)",
                          INT(pruning->before_ms), INT(pruning->left)));
}

static enum kvpbus_error prune_sealed(struct kvpbus_journal *journal, struct pruning *pruning)
{
    while (pruning->left > 0) {
        sqlite3_stmt *row;
        enum kvpbus_error error =
            GET(journal, &row,
                "SELECT id, peer, kept, length FROM sealed WHERE done = 1 AND done_ms < ?1 AND "
                "NOT EXISTS(SELECT 1 FROM message WHERE sent = sealed.id) AND number <= (SELECT "
                "done FROM position WHERE position.line = sealed.line AND position.class = "
                "sealed.class) LIMIT 1",
                INT(pruning->before_ms));
        if (error != KVPBUS_OK)
            return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
        int64_t id = sqlite3_column_int64(row, 0), peer = sqlite3_column_int64(row, 1);
        bool kept = sqlite3_column_int(row, 2) != 0;
        int64_t length = sqlite3_column_int64(row, 3);
        journal_end(row);
        if (kept) {
            error = journal_drop_parts(journal, id);
            if (error == KVPBUS_OK)
                error = journal_tally(journal, peer, TALLY_KEPT, -1, -length);
        }
        if (error == KVPBUS_OK)
            error = RUN(journal, "DELETE FROM sealed WHERE id = ?1", INT(id));
        if (error != KVPBUS_OK)
            return error;
        pruning->left--;
    }
    return KVPBUS_OK;
}

static enum kvpbus_error prune_arrived(struct kvpbus_journal *journal, struct pruning *pruning)
{
    return count_down(journal, pruning,
                      RUN(journal,
                          "DELETE FROM arrived WHERE id IN (SELECT arrived.id FROM arrived LEFT "
                          "JOIN floor ON floor.source = arrived.source AND floor.class = "
                          "arrived.class WHERE state != 0 AND done_ms < ?1 AND (floor IS NULL OR "
                          "number <= floor OR arrived.source != (SELECT source FROM peer WHERE "
                          "id = arrived.peer)) LIMIT ?2)",
                          INT(pruning->before_ms), INT(pruning->left)));
}

// A stream that is forgotten begins again beyond every sequence that it may have had.
static enum kvpbus_error prune_out_streams(struct kvpbus_journal *journal, struct pruning *pruning)
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
    return count_down(
        journal, pruning,
        RUN(journal, "DELETE FROM out_stream WHERE used_ms < ?1", INT(pruning->before_ms)));
}

// Forgetting one only makes its next messages wait for lower bundles.
static enum kvpbus_error prune_in_streams(struct kvpbus_journal *journal, struct pruning *pruning)
{
    enum kvpbus_error error =
        count_down(journal, pruning,
                   RUN(journal,
                       "DELETE FROM in_stream WHERE queued = 0 AND used_ms < ?1 AND NOT "
                       "EXISTS(SELECT 1 FROM inbox WHERE inbox.stream = in_stream.id)",
                       INT(pruning->before_ms)));
    if (error != KVPBUS_OK)
        return error;
    return count_down(
        journal, pruning,
        RUN(journal,
            "DELETE FROM in_stream WHERE queued = 0 AND id NOT IN (SELECT id FROM in_stream ORDER "
            "BY used_ms DESC LIMIT ?1) AND NOT EXISTS(SELECT 1 FROM inbox WHERE inbox.stream = "
            "in_stream.id)",
            INT(IDLE_STREAMS_MAX)));
}

static enum kvpbus_error prune_sources(struct kvpbus_journal *journal, struct pruning *pruning)
{
    enum kvpbus_error error =
        RUN(journal,
            "DELETE FROM source WHERE id IN (SELECT id FROM source WHERE id NOT IN (SELECT source "
            "FROM peer) AND id NOT IN (SELECT source FROM arrived) AND id NOT IN (SELECT source "
            "FROM inbox) LIMIT ?1)",
            INT(pruning->left));
    if (error != KVPBUS_OK || journal_changed(journal) == 0)
        return error;
    pruning->left -= journal_changed(journal);
    return RUN(journal, "DELETE FROM floor WHERE source NOT IN (SELECT id FROM source WHERE ?1)",
               INT(1));
}

enum kvpbus_error kvpbus_journal_prune(struct kvpbus_journal *journal, int64_t now_ms, size_t max)
{
    journal->now_ms = now_ms;
    struct pruning pruning = {
        .before_ms = now_ms - (int64_t)journal->options.history_ms,
        .left = max > INT32_MAX ? INT32_MAX : (int64_t)max,
    };
    enum kvpbus_error error = delete_counted(
        journal, &pruning,
        "DELETE FROM message WHERE id = (SELECT id FROM message WHERE outcome != 0 "
        "AND kind != 4 AND settled_ms < ?1 AND queued_ms < ?1 AND NOT EXISTS(SELECT 1 FROM "
        "sealed WHERE sealed.id = message.sent AND done = 0) LIMIT 1) "
        "RETURNING peer, outcome, size, class");
    static_assert(TALLY_DEAD_LETTERS == 6, "the statement names it");
    if (error == KVPBUS_OK)
        error = delete_counted(journal, &pruning,
                               "DELETE FROM dead_letter WHERE id = (SELECT id FROM dead_letter "
                               "WHERE died_ms < ?1 LIMIT 1) RETURNING peer, 6, size, class");
    static_assert(TALLY_RECEIVED == 11 && TALLY_OWED == 12 && OWED_BYTES == 256,
                  "the statements name them");
    if (error == KVPBUS_OK)
        error = delete_counted(journal, &pruning,
                               "UPDATE received SET receipt = 0 WHERE id = (SELECT id FROM "
                               "received WHERE came_ms < ?1 AND fate_ms < ?1 AND receipt = 2 LIMIT "
                               "1) RETURNING peer, 12, 256, 0");
    if (error == KVPBUS_OK)
        error = delete_counted(journal, &pruning,
                               "DELETE FROM received WHERE id = (SELECT id FROM received WHERE "
                               "came_ms < ?1 AND fate_ms < ?1 AND NOT EXISTS(SELECT 1 FROM inbox "
                               "WHERE inbox.id = received.inbox) LIMIT 1) RETURNING peer, 11, 0, "
                               "0");
    static enum kvpbus_error (*const steps[])(struct kvpbus_journal *, struct pruning *) = {
        prune_receipts,    prune_sealed,     prune_arrived,
        prune_out_streams, prune_in_streams, prune_sources,
    };
    for (size_t i = 0; error == KVPBUS_OK && i < sizeof steps / sizeof *steps; i++)
        if (pruning.left > 0)
            error = steps[i](journal, &pruning);
    return error == KVPBUS_OK ? journal_prune_tokens(journal, now_ms) : error;
}
