// SPDX-License-Identifier: Apache-2.0
//
// Peers, what is pinned of them, and epochs.
#include <stdio.h>

#include "audit_journal.h"
#include "journal_internal.h"

enum {
    LINES_KEPT = 64,   // former timelines of mine, per peer
    LINES_LATEST = 16, // those that stay whatever the peer has in them: it may take them yet
};
static_assert(LINES_LATEST > (int)KVPBUS_FORMER_MAX && LINES_KEPT > LINES_LATEST,
              "those that SYNC names are among them");

#define PEER_COLUMNS                                                                      \
    "SELECT peer.id, vm, name, paired, identity, pending, timeline, met, former, moved, " \
    "rebound "                                                                            \
    "FROM peer LEFT JOIN line ON line.id = peer.line "

static enum kvpbus_error read_peer(struct kvpbus_journal *journal, sqlite3_stmt *row,
                                   struct kvpbus_peer *peer)
{
    memset(peer, 0, sizeof *peer);
    peer->id = sqlite3_column_int64(row, 0);
    enum kvpbus_error error = journal_bytes(journal, row, 1, peer->vm, sizeof peer->vm);
    const char *name = (const char *)sqlite3_column_text(row, 2);
    snprintf(peer->name, sizeof peer->name, "%s", name != NULL ? name : "");
    peer->paired = sqlite3_column_int(row, 3) != 0;
    if (error == KVPBUS_OK && peer->paired)
        error = journal_bytes(journal, row, 4, peer->identity, sizeof peer->identity);
    peer->pending = sqlite3_column_type(row, 5) != SQLITE_NULL;
    if (error == KVPBUS_OK && peer->pending)
        error =
            journal_bytes(journal, row, 5, peer->pending_identity, sizeof peer->pending_identity);
    if (error == KVPBUS_OK)
        error = journal_bytes(journal, row, 6, peer->timeline, sizeof peer->timeline);
    peer->known = sqlite3_column_type(row, 7) != SQLITE_NULL;
    if (error == KVPBUS_OK && peer->known)
        error = journal_bytes(journal, row, 7, peer->met, sizeof peer->met);
    size_t former = (size_t)sqlite3_column_bytes(row, 8);
    if (former % KVPBUS_VM_ID_BYTES != 0 || former > sizeof peer->former)
        return error == KVPBUS_OK ? journal_damaged(journal, "former VM ids of a peer") : error;
    peer->former_count = former / KVPBUS_VM_ID_BYTES;
    if (error == KVPBUS_OK && former > 0)
        error = journal_bytes(journal, row, 8, peer->former[0], former);
    peer->moved = sqlite3_column_type(row, 9) != SQLITE_NULL;
    uint8_t moved[MOVED_BYTES];
    if (error == KVPBUS_OK && peer->moved)
        error = journal_bytes(journal, row, 9, moved, sizeof moved);
    if (error == KVPBUS_OK && peer->moved)
        memcpy(peer->moved_to, moved, sizeof peer->moved_to);
    peer->rebound = sqlite3_column_int(row, 10) != 0;
    return error;
}

enum kvpbus_error kvpbus_journal_peer_get(struct kvpbus_journal *journal, int64_t peer,
                                          struct kvpbus_peer *out)
{
    sqlite3_stmt *row;
    enum kvpbus_error error = GET(journal, &row, PEER_COLUMNS "WHERE peer.id = ?1", INT(peer));
    if (error == KVPBUS_NOT_FOUND)
        return kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND, "the journal knows no such peer");
    if (error != KVPBUS_OK)
        return error;
    error = read_peer(journal, row, out);
    journal_end(row);
    return error;
}

enum kvpbus_error journal_add_line(struct kvpbus_journal *journal, int64_t peer,
                                   const uint8_t timeline[KVPBUS_TIMELINE_BYTES], int64_t *line)
{
    enum kvpbus_error error = RUN(journal, "INSERT INTO line(peer, timeline) VALUES(?1, ?2)",
                                  INT(peer), BLOB(timeline, KVPBUS_TIMELINE_BYTES));
    if (error != KVPBUS_OK)
        return error;
    *line = sqlite3_last_insert_rowid(journal->db);
    for (int class_ = 0; error == KVPBUS_OK && class_ < KVPBUS_CLASS_COUNT; class_++)
        error = RUN(journal, "INSERT INTO position(line, class) VALUES(?1, ?2)", INT(*line),
                    INT(class_));
    return error;
}

enum kvpbus_error journal_new_line(struct kvpbus_journal *journal, int64_t peer)
{
    uint8_t timeline[KVPBUS_TIMELINE_BYTES];
    int64_t line;
    enum kvpbus_error error =
        RUN(journal, "DELETE FROM out_stream WHERE line = (SELECT line FROM peer WHERE id = ?1)",
            INT(peer));
    if (error == KVPBUS_OK)
        error = journal_draw(journal, "SELECT 1 FROM line WHERE timeline = ?1", timeline,
                             sizeof timeline);
    if (error == KVPBUS_OK)
        error = journal_add_line(journal, peer, timeline, &line);
    if (error == KVPBUS_OK)
        error = RUN(journal, "UPDATE peer SET line = ?2 WHERE id = ?1", INT(peer), INT(line));
    if (error == KVPBUS_OK)
        error = RUN(journal, "UPDATE lane SET bundle = NULL WHERE peer = ?1", INT(peer));
    return error;
}

enum kvpbus_error journal_trim_lines(struct kvpbus_journal *journal, int64_t peer, int64_t named)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "DELETE FROM line WHERE id IN (SELECT id FROM line WHERE peer = ?1 AND id != ?2 ORDER "
            "BY (id > (SELECT id FROM line WHERE peer = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?3) OR "
            "EXISTS(SELECT 1 FROM position WHERE position.line = line.id AND (done != 0 OR voids "
            "!= 0))) DESC, id DESC LIMIT -1 OFFSET ?4) RETURNING id",
            INT(peer), INT(named), INT(LINES_LATEST), INT(LINES_KEPT));
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        error =
            RUN(journal, "DELETE FROM position WHERE line = ?1", INT(sqlite3_column_int64(row, 0)));
        if (error != KVPBUS_OK) {
            journal_end(row);
            return error;
        }
    }
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

enum kvpbus_error journal_empty_peer(struct kvpbus_journal *journal, int64_t peer)
{
    enum kvpbus_error error = KVPBUS_OK;
    for (int i = 0; error == KVPBUS_OK && i < TALLY_COUNT; i++)
        error = RUN(journal, "INSERT INTO tally(peer, what) VALUES(?1, ?2)", INT(peer), INT(i));
    for (int i = 0; error == KVPBUS_OK && i < KVPBUS_CLASS_COUNT; i++)
        error = RUN(journal, "INSERT INTO lane(peer, class) VALUES(?1, ?2)", INT(peer), INT(i));
    return error == KVPBUS_OK ? journal_new_line(journal, peer) : error;
}

static enum kvpbus_error make_peer(struct kvpbus_journal *journal,
                                   const uint8_t vm[KVPBUS_VM_ID_BYTES], const char *name,
                                   struct kvpbus_peer *peer)
{
    enum kvpbus_error error = RUN(journal, "INSERT INTO peer(vm, name) VALUES(?1, ?2)",
                                  BLOB(vm, KVPBUS_VM_ID_BYTES), TEXT(name));
    int64_t id = sqlite3_last_insert_rowid(journal->db);
    if (error == KVPBUS_OK)
        error = journal_empty_peer(journal, id);
    return error == KVPBUS_OK ? kvpbus_journal_peer_get(journal, id, peer) : error;
}

enum kvpbus_error kvpbus_journal_peer(struct kvpbus_journal *journal,
                                      const uint8_t vm[KVPBUS_VM_ID_BYTES], const char *name,
                                      struct kvpbus_peer *peer)
{
    // A guest has one peer, and learns the VM id that it goes by only when it is paired.
    bool host = journal->options.role == KVPBUS_ROLE_HOST;
    sqlite3_stmt *row;
    char cut[KVPBUS_PEER_NAME_MAX + 1];
    snprintf(cut, sizeof cut, "%s", name);
    enum kvpbus_error error = GET(journal, &row, PEER_COLUMNS "WHERE vm = ?1 OR ?2 LIMIT 1",
                                  BLOB(vm, KVPBUS_VM_ID_BYTES), INT(host ? 0 : 1));
    if (error == KVPBUS_NOT_FOUND)
        return make_peer(journal, vm, cut, peer);
    if (error != KVPBUS_OK)
        return error;
    error = read_peer(journal, row, peer);
    journal_end(row);
    if (error != KVPBUS_OK || strcmp(peer->name, cut) == 0)
        return error;
    memcpy(peer->name, cut, sizeof cut);
    return RUN(journal, "UPDATE peer SET name = ?2 WHERE id = ?1", INT(peer->id), TEXT(cut));
}

enum kvpbus_error kvpbus_journal_peers(struct kvpbus_journal *journal, struct kvpbus_peer **peers,
                                       size_t *count)
{
    size_t capacity = 0;
    *peers = NULL;
    *count = 0;
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row, PEER_COLUMNS "WHERE peer.id > ?1 ORDER BY peer.id", INT(0));
    while (error == KVPBUS_OK) {
        if (*count == capacity) {
            capacity = capacity == 0 ? 16 : 2 * capacity;
            struct kvpbus_peer *grown = realloc(*peers, capacity * sizeof **peers);
            if (grown == NULL) {
                error = kvpbus_fail(&journal->failure, KVPBUS_NOMEM, "out of memory for peers");
                journal_end(row);
                break;
            }
            *peers = grown;
        }
        error = read_peer(journal, row, &(*peers)[*count]);
        if (error != KVPBUS_OK) {
            journal_end(row);
            break;
        }
        ++*count;
        error = journal_next(journal, row);
    }
    if (error == KVPBUS_NOT_FOUND)
        return KVPBUS_OK;
    free(*peers);
    *peers = NULL;
    *count = 0;
    return error;
}

// --- pairing ---

enum kvpbus_error kvpbus_journal_pending(struct kvpbus_journal *journal, int64_t peer,
                                         const uint8_t identity[KVPBUS_IDENTITY_BYTES])
{
    return RUN(journal, "UPDATE peer SET pending = ?2 WHERE id = ?1", INT(peer),
               BLOB(identity, KVPBUS_IDENTITY_BYTES));
}

// Nothing that was numbered for, or received from, the former identity counts for the new one.
static enum kvpbus_error begin_anew(struct kvpbus_journal *journal, int64_t peer)
{
    static const char *const steps[] = {
        ("DELETE FROM position WHERE line IN (SELECT id FROM line WHERE peer = ?1 "
         "AND id != (SELECT line FROM peer WHERE id = ?1))"),
        "DELETE FROM line WHERE peer = ?1 AND id != (SELECT line FROM peer WHERE id = ?1)",
        ("DELETE FROM part WHERE (id >> 16) IN "
         "(SELECT id FROM sealed WHERE peer = ?1 AND kept = 1)"),
        "UPDATE tally SET count = 0, bytes = 0 WHERE peer = ?1 AND what = 7",
        "DELETE FROM sealed WHERE peer = ?1",
        "DELETE FROM held WHERE arrived IN (SELECT id FROM arrived WHERE peer = ?1)",
        "DELETE FROM arrived WHERE peer = ?1",
        "DELETE FROM epoch WHERE peer = ?1 AND mine = 0",
        "DELETE FROM message WHERE peer = ?1 AND kind = 4",
        "UPDATE tally SET count = 0, bytes = 0 WHERE peer = ?1 AND what IN (10, 12)",
        "UPDATE received SET receipt = 0 WHERE peer = ?1",
        "UPDATE message SET fate = 0 WHERE peer = ?1 AND outcome = 0",
        "UPDATE peer SET offered = NULL, source = 0, met = NULL WHERE id = ?1",
    };
    static_assert(TALLY_KEPT == 7 && TALLY_RECEIPTS == 10 && TALLY_OWED == 12 &&
                      KVPBUS_KIND_RECEIPT == 4 && RECEIPT_NONE == 0,
                  "the steps name them");
    enum kvpbus_error error = journal_renew(journal, peer, -1, NULL);
    for (size_t i = 0; error == KVPBUS_OK && i < sizeof steps / sizeof *steps; i++)
        error = RUN(journal, steps[i], INT(peer));
    return error;
}

static enum kvpbus_error other_than_before(struct kvpbus_journal *journal, int64_t peer,
                                           const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                                           bool *other)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row, "SELECT identity IS NOT NULL AND identity != ?2 FROM peer WHERE id = ?1",
            INT(peer), BLOB(identity, KVPBUS_IDENTITY_BYTES));
    if (error == KVPBUS_NOT_FOUND)
        return kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND, "the journal knows no such peer");
    if (error != KVPBUS_OK)
        return error;
    *other = sqlite3_column_int(row, 0) != 0;
    journal_end(row);
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_journal_pin(struct kvpbus_journal *journal, int64_t peer,
                                     const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                                     const uint8_t vm[KVPBUS_VM_ID_BYTES])
{
    bool other = false;
    enum kvpbus_error error = other_than_before(journal, peer, identity, &other);
    if (error == KVPBUS_OK && other)
        error = journal_audit_former_key(journal, peer);
    if (error == KVPBUS_OK && other)
        error = begin_anew(journal, peer);
    if (error == KVPBUS_OK)
        error = journal_pinned_now(journal, peer, identity);
    if (error == KVPBUS_OK)
        error = RUN(journal,
                    "UPDATE peer SET identity = ?2, paired = 1, pending = NULL, vm = ?3, "
                    "moved = NULL WHERE id = ?1",
                    INT(peer), BLOB(identity, KVPBUS_IDENTITY_BYTES), BLOB(vm, KVPBUS_VM_ID_BYTES));
    return error == KVPBUS_OK ? journal_audit_key(journal, peer, KVPBUS_AUDIT_PAIRED, identity)
                              : error;
}

enum kvpbus_error kvpbus_journal_unpin(struct kvpbus_journal *journal, int64_t peer)
{
    // The identity stays, to know it again: the same one goes on where it was.
    enum kvpbus_error error = RUN(journal, "UPDATE peer SET paired = 0 WHERE id = ?1", INT(peer));
    return error == KVPBUS_OK ? kvpbus_journal_audit(journal, peer, KVPBUS_AUDIT_UNPAIRED, "")
                              : error;
}

// --- epochs ---

enum kvpbus_error kvpbus_journal_epoch_add(struct kvpbus_journal *journal, int64_t peer, bool mine,
                                           const uint8_t epoch[KVPBUS_EPOCH_BYTES])
{
    enum kvpbus_error error =
        RUN(journal, "INSERT OR REPLACE INTO epoch(peer, mine, epoch) VALUES(?1, ?2, ?3)",
            INT(peer), INT(mine), BLOB(epoch, KVPBUS_EPOCH_BYTES));
    if (error != KVPBUS_OK)
        return error;
    return RUN(journal,
               "DELETE FROM epoch WHERE peer = ?1 AND mine = ?2 AND id <= (SELECT id FROM epoch "
               "WHERE peer = ?1 AND mine = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
               INT(peer), INT(mine), INT(KVPBUS_EPOCHS_KEPT));
}

enum kvpbus_error kvpbus_journal_epochs(struct kvpbus_journal *journal, int64_t peer, bool mine,
                                        uint8_t (*epochs)[KVPBUS_EPOCH_BYTES], size_t *count)
{
    *count = 0;
    sqlite3_stmt *row;
    enum kvpbus_error error = GET(journal, &row,
                                  "SELECT epoch FROM epoch WHERE peer = ?1 AND mine = ?2 "
                                  "ORDER BY id DESC LIMIT ?3",
                                  INT(peer), INT(mine), INT(KVPBUS_EPOCHS_KEPT));
    while (error == KVPBUS_OK) {
        error = journal_bytes(journal, row, 0, epochs[*count], KVPBUS_EPOCH_BYTES);
        if (error != KVPBUS_OK) {
            journal_end(row);
            return error;
        }
        ++*count;
        error = journal_next(journal, row);
    }
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}
