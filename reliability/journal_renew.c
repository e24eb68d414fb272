// SPDX-License-Identifier: Apache-2.0
//
// A new timeline: what was sealed and is not done goes back to the queue with its ids and its place
// in the order, and is sealed again when its turn comes. What the peer has forgotten becomes
// unknown, or waits again.
#include "journal_internal.h"

enum kvpbus_error journal_forgotten(struct kvpbus_journal *journal, int64_t peer, int64_t line,
                                    const struct kvpbus_sync *sync, int64_t *sealed)
{
    sqlite3_stmt *row;
    enum kvpbus_error error = GET(
        journal, &row, "SELECT id FROM sealed WHERE peer = ?1 AND line > ?2 AND done = 1 LIMIT 1",
        INT(peer), INT(line));
    for (int class_ = 0; error == KVPBUS_NOT_FOUND && class_ < KVPBUS_CLASS_COUNT; class_++) {
        const struct kvpbus_sync_class *view = &sync->classes[class_];
        uint64_t complete[KVPBUS_BUNDLE_WINDOW] = {0};
        memcpy(complete, view->complete, view->complete_count * sizeof *complete);
        static_assert(KVPBUS_BUNDLE_WINDOW == 4, "the query lists that many");
        error = GET(journal, &row,
                    "SELECT id FROM sealed WHERE peer = ?1 AND line = ?2 AND class = ?3 AND "
                    "number > ?4 AND number NOT IN (?5, ?6, ?7, ?8) AND done = 1 LIMIT 1",
                    INT(peer), INT(line), INT(class_), INT(view->floor), INT(complete[0]),
                    INT(complete[1]), INT(complete[2]), INT(complete[3]));
    }
    if (error != KVPBUS_OK)
        return error;
    *sealed = sqlite3_column_int64(row, 0);
    journal_end(row);
    return KVPBUS_OK;
}

// --- one bundle ---

struct sealed_row {
    int64_t id;
    uint32_t length;
    bool done, kept;
    uint8_t sender[KVPBUS_IDENTITY_BYTES];
    uint8_t vm[KVPBUS_VM_ID_BYTES]; // that it was signed for
};

static enum kvpbus_error read_row(struct kvpbus_journal *journal, int64_t id,
                                  struct sealed_row *out)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT length, done, kept, sender, coalesce(sealed.vm, peer.vm) FROM sealed JOIN peer "
            "ON peer.id = sealed.peer WHERE sealed.id = ?1",
            INT(id));
    if (error != KVPBUS_OK)
        return error;
    out->id = id;
    out->length = (uint32_t)sqlite3_column_int64(row, 0);
    out->done = sqlite3_column_int(row, 1) != 0;
    out->kept = sqlite3_column_int(row, 2) != 0;
    error = journal_bytes(journal, row, 3, out->sender, sizeof out->sender);
    if (error == KVPBUS_OK)
        error = journal_bytes(journal, row, 4, out->vm, sizeof out->vm);
    journal_end(row);
    return error;
}

// Changes the outcome of messages that had one, or none, without settling them anew.
static enum kvpbus_error move(struct kvpbus_journal *journal, int64_t peer, const char *sql,
                              const struct value *values, size_t count, int from, int to)
{
    sqlite3_stmt *row;
    int64_t rows = 0, bytes = 0, bulk_rows = 0, bulk = 0;
    struct audit_ids ids = {.length = 0};
    enum kvpbus_error error = journal_get(journal, &row, sql, values, count);
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        int64_t size = sqlite3_column_int64(row, 0);
        bool is_bulk = sqlite3_column_int(row, 1) == KVPBUS_CLASS_BULK;
        rows++;
        bytes += size;
        bulk_rows += is_bulk;
        bulk += is_bulk ? size : 0;
        if (from != to)
            error = journal_audit_row(journal, &ids, peer, journal_audit_outcome(to), row, 2);
        if (error != KVPBUS_OK) {
            journal_end(row);
            return error;
        }
    }
    if (error != KVPBUS_NOT_FOUND)
        return error;
    if (from == to)
        return KVPBUS_OK;
    error = journal_audit_flush(journal, &ids);
    if (error == KVPBUS_OK)
        error = journal_tally(journal, peer, from, -rows, -bytes);
    if (error == KVPBUS_OK)
        error = journal_tally(journal, peer, to, rows, bytes);
    // From pending to another outcome they are settled, not moved.
    assert(from != KVPBUS_OUTCOME_PENDING);
    return error == KVPBUS_OK && to == KVPBUS_OUTCOME_PENDING
               ? journal_tally(journal, peer, TALLY_BULK_QUEUED, bulk_rows, bulk)
               : error;
}

static enum kvpbus_error open_bundle(struct kvpbus_journal *journal,
                                     const struct sealed_row *bundle,
                                     struct kvpbus_bundle_content **content)
{
    uint8_t *bytes;
    enum kvpbus_error error = journal_sealed_bytes(journal, bundle->id, bundle->length, &bytes);
    if (error != KVPBUS_OK)
        return error;
    struct kvpbus_route route = {
        .recipient =
            journal->options.role == KVPBUS_ROLE_HOST ? KVPBUS_ROLE_GUEST : KVPBUS_ROLE_HOST,
    };
    memcpy(route.sender, bundle->sender, sizeof route.sender);
    memcpy(route.vm, bundle->vm, sizeof route.vm);
    error = kvpbus_bundle_open(&route, bytes, bundle->length, journal_plain_max(journal), content,
                               &journal->failure);
    free(bytes);
    if (error == KVPBUS_OK || error == KVPBUS_NOMEM)
        return error;
    return journal_damaged(journal, "a sealed bundle does not open");
}

// The messages of the bundle that wait again, with their content.
static enum kvpbus_error unpack(struct kvpbus_journal *journal, int64_t peer,
                                const struct sealed_row *bundle)
{
    struct kvpbus_bundle_content *content;
    enum kvpbus_error error = open_bundle(journal, bundle, &content);
    if (error != KVPBUS_OK)
        return error;
    int before = bundle->done ? KVPBUS_OUTCOME_DELIVERED : KVPBUS_OUTCOME_PENDING;
    size_t count;
    const struct kvpbus_message *messages = kvpbus_bundle_messages(content, &count);
    for (size_t i = 0; error == KVPBUS_OK && i < count; i++) {
        uint8_t *bytes;
        size_t length;
        error = journal_encode(journal, &messages[i], &bytes, &length);
        if (error != KVPBUS_OK)
            break;
        error = move(
            journal, peer,
            "UPDATE message SET sent = NULL, fate = iif(outcome = 0, fate, 0), outcome = 0, "
            "asked = 0, doubt = 1, settled_ms = NULL, content = ?3 WHERE sent = ?1 AND "
            "place = ?2 AND outcome = ?4 AND (outcome = 0 OR resend = 1) RETURNING size, class, "
            "bundle, place",
            VALUES(INT(bundle->id), INT(messages[i].id.index), BLOB(bytes, length), INT(before)),
            before, KVPBUS_OUTCOME_PENDING);
        free(bytes);
    }
    kvpbus_bundle_content_free(content);
    return error;
}

static enum kvpbus_error put_back(struct kvpbus_journal *journal, int64_t peer, int64_t sealed)
{
    struct sealed_row bundle = {.id = sealed};
    enum kvpbus_error error = read_row(journal, sealed, &bundle);
    if (error == KVPBUS_OK)
        error = journal_settle(journal, peer, SETTLE("sent = ?1 AND gap = 1 AND peer = ?2"), sealed,
                               peer, KVPBUS_OUTCOME_UNKNOWN,
                               "a revert came before the peer said whether it had it");
    if (error == KVPBUS_OK)
        error = journal_receipts_again(journal, peer, sealed);
    if (error == KVPBUS_OK && (!bundle.done || bundle.kept))
        error = unpack(journal, peer, &bundle);
    // Also of a bundle that is not done: the peer may have said that it had one message of it.
    const char *reason = bundle.done ? "the peer was reverted to before its delivery"
                                     : "a revert hid whether it was delivered";
    if (error == KVPBUS_OK)
        error = move(journal, peer,
                     "UPDATE message SET outcome = 4, settled_ms = ?2, reason = ?3, fate = 0 "
                     "WHERE sent = ?1 AND outcome = 1 RETURNING size, class, bundle, place",
                     VALUES(INT(sealed), INT(journal->now_ms), TEXT(reason)),
                     KVPBUS_OUTCOME_DELIVERED, KVPBUS_OUTCOME_UNKNOWN);
    // What it called void in one life it may have taken in the next.
    if (error == KVPBUS_OK)
        error = move(journal, peer,
                     "UPDATE message SET outcome = 4, reason = ?2 WHERE sent = ?1 AND outcome = 2 "
                     "RETURNING size, class, bundle, place",
                     VALUES(INT(sealed), TEXT("a revert hid whether it was delivered")),
                     KVPBUS_OUTCOME_EXPIRED, KVPBUS_OUTCOME_UNKNOWN);
    if (error == KVPBUS_OK && bundle.kept)
        error = journal_tally(journal, peer, TALLY_KEPT, -1, -(int64_t)bundle.length);
    if (error == KVPBUS_OK)
        error = journal_drop_parts(journal, sealed);
    return error == KVPBUS_OK ? RUN(journal, "DELETE FROM sealed WHERE id = ?1", INT(sealed))
                              : error;
}

enum kvpbus_error journal_prove(struct kvpbus_journal *journal, int64_t peer, bool proven)
{
    if (proven)
        return RUN(journal, "UPDATE message SET unproven = 0 WHERE peer = ?1 AND unproven = 1",
                   INT(peer));
    return move(journal, peer,
                "UPDATE message SET unproven = 0, outcome = 4, "
                "reason = 'a revert hid whether it was delivered before it ended' "
                "WHERE peer = ?1 AND unproven = 1 RETURNING size, class, bundle, place",
                VALUES(INT(peer)), KVPBUS_OUTCOME_EXPIRED, KVPBUS_OUTCOME_UNKNOWN);
}

// --- all of them ---

static enum kvpbus_error put_back_undone(struct kvpbus_journal *journal, int64_t peer)
{
    for (;;) {
        sqlite3_stmt *row;
        enum kvpbus_error error = GET(
            journal, &row,
            "SELECT id FROM sealed WHERE peer = ?1 AND line = (SELECT line FROM peer WHERE id = ?1)"
            " AND done = 0 LIMIT 1",
            INT(peer));
        if (error != KVPBUS_OK)
            return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
        int64_t sealed = sqlite3_column_int64(row, 0);
        journal_end(row);
        error = put_back(journal, peer, sealed);
        if (error != KVPBUS_OK)
            return error;
    }
}

static enum kvpbus_error put_back_forgotten(struct kvpbus_journal *journal, int64_t peer,
                                            int64_t line, const struct kvpbus_sync *sync)
{
    int64_t sealed;
    enum kvpbus_error error;
    while ((error = journal_forgotten(journal, peer, line, sync, &sealed)) == KVPBUS_OK) {
        error = put_back(journal, peer, sealed);
        if (error != KVPBUS_OK)
            return error;
    }
    if (error != KVPBUS_NOT_FOUND)
        return error;
    // From here on the peer is where it says it is.
    error = RUN(journal,
                "UPDATE position SET done = 0, voids = 0 WHERE line IN (SELECT id FROM line WHERE "
                "peer = ?1 AND id > ?2) AND (done != 0 OR voids != 0)",
                INT(peer), INT(line));
    for (int i = 0; error == KVPBUS_OK && i < KVPBUS_CLASS_COUNT; i++)
        error =
            RUN(journal, "UPDATE position SET done = min(done, ?3) WHERE line = ?1 AND class = ?2",
                INT(line), INT(i), INT(sync->classes[i].floor));
    return error;
}

enum kvpbus_error journal_renew(struct kvpbus_journal *journal, int64_t peer, int64_t line,
                                const struct kvpbus_sync *sync)
{
    enum kvpbus_error error = put_back_undone(journal, peer);
    if (error == KVPBUS_OK && sync != NULL)
        error = put_back_forgotten(journal, peer, line, sync);
    // Numbers of the former timeline can be asked about no more.
    if (error == KVPBUS_OK)
        error = journal_settle(journal, peer, SETTLE("peer = ?1 AND gap = ?2"), peer, 1,
                               KVPBUS_OUTCOME_UNKNOWN,
                               "a revert came before the peer said whether it had it");
    if (error == KVPBUS_OK)
        error =
            RUN(journal, "UPDATE message SET doubt = 1 WHERE peer = ?1 AND outcome = 0", INT(peer));
    return error == KVPBUS_OK ? journal_new_line(journal, peer) : error;
}

enum kvpbus_error journal_doubt(struct kvpbus_journal *journal, int64_t peer, int64_t line,
                                int class_, uint64_t after)
{
    for (;;) {
        sqlite3_stmt *row;
        enum kvpbus_error error =
            GET(journal, &row,
                "SELECT id FROM sealed WHERE peer = ?1 AND line = ?2 AND class = ?3 AND "
                "number > ?4 AND done = 1 LIMIT 1",
                INT(peer), INT(line), INT(class_), INT(after));
        if (error != KVPBUS_OK)
            return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
        int64_t sealed = sqlite3_column_int64(row, 0);
        journal_end(row);
        error = put_back(journal, peer, sealed);
        if (error != KVPBUS_OK)
            return error;
    }
}
