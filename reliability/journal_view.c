// SPDX-License-Identifier: Apache-2.0
//
// Positions: what this side says it has of the peer.
#include "big_endian.h"
#include "journal_internal.h"

static enum kvpbus_error list_complete(struct kvpbus_journal *journal, int64_t source, int class_,
                                       struct kvpbus_sync_class *view)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT number, coalesce(print, zeroblob(16)) FROM arrived WHERE source = ?1 AND "
            "class = ?2 AND number > ?3 AND state != 0 ORDER BY number LIMIT ?4",
            INT(source), INT(class_), INT(view->floor), INT(KVPBUS_BUNDLE_WINDOW));
    while (error == KVPBUS_OK) {
        uint8_t print[PRINT_BYTES];
        size_t i = view->complete_count++;
        view->complete[i] = (uint64_t)sqlite3_column_int64(row, 0);
        error = journal_bytes(journal, row, 1, print, sizeof print);
        memcpy(view->complete_id[i], print, PRINT_SHORT);
        if (error != KVPBUS_OK) {
            journal_end(row);
            return error;
        }
        error = journal_next(journal, row);
    }
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

// The sender goes on from the prefix, so what lies behind a hole comes again: it is dropped.
static enum kvpbus_error list_part(struct kvpbus_journal *journal, int64_t arrived, uint64_t number,
                                   struct kvpbus_sync_class *view)
{
    uint8_t header[KVPBUS_BUNDLE_HEADER], print[PRINT_BYTES];
    uint32_t prefix = 0;
    enum kvpbus_error error = journal_held_header(journal, arrived, header);
    bool headed = error == KVPBUS_OK && journal->suspect != arrived;
    if (headed)
        error = journal_held_prefix(journal, arrived, &prefix);
    if (error == KVPBUS_OK || error == KVPBUS_NOT_FOUND)
        error = journal_drop_held(journal, arrived, prefix);
    if (error != KVPBUS_OK || !headed)
        return error;
    size_t i = view->partial_count++;
    view->partial[i] = number;
    view->partial_prefix[i] = prefix;
    journal_print(header, print);
    memcpy(view->partial_id[i], print, PRINT_SHORT);
    return RUN(journal, "UPDATE arrived SET resumed = 1 WHERE id = ?1", INT(arrived));
}

static enum kvpbus_error list_parts(struct kvpbus_journal *journal, int64_t source, int class_,
                                    struct kvpbus_sync_class *view)
{
    int64_t ids[KVPBUS_BUNDLE_WINDOW];
    uint64_t numbers[KVPBUS_BUNDLE_WINDOW];
    size_t count = 0;
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT id, number FROM arrived WHERE source = ?1 AND class = ?2 "
            "AND number > ?3 AND state = 0 ORDER BY number LIMIT ?4",
            INT(source), INT(class_), INT(view->floor), INT(KVPBUS_BUNDLE_WINDOW));
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        ids[count] = sqlite3_column_int64(row, 0);
        numbers[count++] = (uint64_t)sqlite3_column_int64(row, 1);
    }
    if (error == KVPBUS_NOT_FOUND)
        error = KVPBUS_OK;
    for (size_t i = 0; error == KVPBUS_OK && i < count; i++)
        error = list_part(journal, ids[i], numbers[i], view);
    return error;
}

static enum kvpbus_error make_view(struct kvpbus_journal *journal, int64_t peer, int64_t source,
                                   int class_, struct kvpbus_sync_class *view)
{
    struct position at;
    enum kvpbus_error error = journal_position(journal, peer, (enum kvpbus_class)class_, &at);
    if (error != KVPBUS_OK)
        return error;
    view->next = at.next;
    if (source == 0)
        return KVPBUS_OK;
    sqlite3_stmt *row;
    error =
        GET(journal, &row, "SELECT floor, print, voids FROM floor WHERE source = ?1 AND class = ?2",
            INT(source), INT(class_));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? journal_damaged(journal, "a floor is missing") : error;
    view->floor = (uint64_t)sqlite3_column_int64(row, 0);
    error = journal_bytes(journal, row, 1, view->floor_id, sizeof view->floor_id);
    uint64_t voids = (uint64_t)sqlite3_column_int64(row, 2);
    kvpbus_put_be(view->floor_id, kvpbus_get_be(view->floor_id, 8) ^ voids, 8);
    journal_end(row);
    if (error == KVPBUS_OK)
        error = list_complete(journal, source, class_, view);
    if (error == KVPBUS_OK)
        error = list_parts(journal, source, class_, view);
    return error;
}

static enum kvpbus_error list_former(struct kvpbus_journal *journal, int64_t peer, int64_t source,
                                     struct kvpbus_sync *sync)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT timeline, (SELECT floor FROM floor WHERE source = source.id AND class = 0), "
            "(SELECT floor FROM floor WHERE source = source.id AND class = 1), "
            "(SELECT floor FROM floor WHERE source = source.id AND class = 2) "
            "FROM source WHERE peer = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
            INT(peer), INT(source), INT(KVPBUS_FORMER_MAX));
    static_assert(KVPBUS_CLASS_COUNT == 3, "the query lists them");
    while (error == KVPBUS_OK) {
        struct kvpbus_former *former = &sync->former[sync->former_count++];
        for (int i = 0; i < KVPBUS_CLASS_COUNT; i++)
            former->floors[i] = (uint64_t)sqlite3_column_int64(row, 1 + i);
        error = journal_bytes(journal, row, 0, former->timeline, sizeof former->timeline);
        if (error != KVPBUS_OK) {
            journal_end(row);
            return error;
        }
        error = journal_next(journal, row);
    }
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

enum kvpbus_error kvpbus_journal_sync_make(struct kvpbus_journal *journal, int64_t peer,
                                           struct kvpbus_sync *sync)
{
    memset(sync, 0, sizeof *sync);
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT line.timeline, peer.source, source.timeline FROM peer JOIN line ON line.id = "
            "peer.line LEFT JOIN source ON source.id = peer.source WHERE peer.id = ?1",
            INT(peer));
    if (error == KVPBUS_NOT_FOUND)
        return kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND, "the journal knows no such peer");
    if (error != KVPBUS_OK)
        return error;
    error = journal_bytes(journal, row, 0, sync->timeline, sizeof sync->timeline);
    int64_t source = sqlite3_column_int64(row, 1);
    if (error == KVPBUS_OK && source != 0)
        error = journal_bytes(journal, row, 2, sync->peer_timeline, sizeof sync->peer_timeline);
    journal_end(row);
    for (int i = 0; error == KVPBUS_OK && i < KVPBUS_CLASS_COUNT; i++)
        error = make_view(journal, peer, source, i, &sync->classes[i]);
    return error == KVPBUS_OK ? list_former(journal, peer, source, sync) : error;
}
