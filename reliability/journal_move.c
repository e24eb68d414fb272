// SPDX-License-Identifier: Apache-2.0
//
// One VM's part of the journal goes to another host: into a SQLite file of its own, and from there
// into the other journal, or back into this one.
#include <stdio.h>
#include <unistd.h>

#include "audit_journal.h"
#include "file.h"
#include "journal_internal.h"
#include "kvpbus/identity.h"
#include "parcel.h"

// --- the file ---

static enum kvpbus_error attach(struct kvpbus_journal *journal, const char *path)
{
    sqlite3_stmt *row = NULL;
    assert(!journal->open);
    int code = sqlite3_prepare_v2(journal->db, "ATTACH ?1 AS moving", -1, &row, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(row, 1, path, -1, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_step(row);
    sqlite3_finalize(row);
    if (code != SQLITE_DONE)
        return journal_sqlite_error(journal, code, "be read");
    // Nobody reads the file before it is whole and synced.
    return journal_exec(journal,
                        "PRAGMA moving.journal_mode = OFF; PRAGMA moving.synchronous = OFF");
}

static void detach(struct kvpbus_journal *journal)
{
    sqlite3_exec(journal->db, "DETACH moving", NULL, NULL, NULL);
}

static enum kvpbus_error commit_or_not(struct kvpbus_journal *journal, enum kvpbus_error error)
{
    if (error == KVPBUS_OK)
        return kvpbus_journal_commit(journal, NULL);
    kvpbus_journal_rollback(journal);
    return error;
}

static enum kvpbus_error file_failed(struct kvpbus_journal *journal, const char *path)
{
    return kvpbus_fail(&journal->failure, KVPBUS_IO, "%.150s cannot be written: %s", path,
                       kvpbus_system_text(kvpbus_system_code()));
}

// --- out ---

static enum kvpbus_error copy_out(struct kvpbus_journal *journal, int64_t peer, const char *path)
{
    kvpbus_file_remove(path);
    int file = kvpbus_file_create(path);
    if (file < 0)
        return file_failed(journal, path);
    enum kvpbus_error error = attach(journal, path);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_begin(journal);
    if (error == KVPBUS_OK)
        error = commit_or_not(journal, journal_rows_copy(journal, peer));
    detach(journal);
    // The only one, once the journal's rows are gone.
    if (error == KVPBUS_OK && !(kvpbus_file_sync(file) && kvpbus_file_sync_name(path)))
        error = file_failed(journal, path);
    close(file);
    if (error != KVPBUS_OK)
        kvpbus_file_remove(path);
    return error;
}

static enum kvpbus_error leave(struct kvpbus_journal *journal, int64_t peer,
                               const uint8_t to[KVPBUS_IDENTITY_BYTES],
                               const uint8_t move[KVPBUS_MOVE_ID])
{
    uint8_t moved[MOVED_BYTES];
    char text[KVPBUS_AUDIT_DETAIL_MAX + 1], fingerprint[KVPBUS_FINGERPRINT_TEXT];
    memcpy(moved, to, KVPBUS_IDENTITY_BYTES);
    memcpy(moved + KVPBUS_IDENTITY_BYTES, move, KVPBUS_MOVE_ID);
    kvpbus_fingerprint(to, fingerprint);
    snprintf(text, sizeof text, "moved to the host %s", fingerprint);
    enum kvpbus_error error = journal_rows_remove(journal, peer);
    if (error == KVPBUS_OK)
        error = RUN(journal,
                    "UPDATE peer SET moved = ?2, paired = 0, identity = NULL, pending = NULL, "
                    "met = NULL, offered = NULL, source = 0, received = 0 WHERE id = ?1",
                    INT(peer), BLOB(moved, sizeof moved));
    if (error == KVPBUS_OK)
        error =
            RUN(journal, "UPDATE token SET state = 2, secret = NULL WHERE peer = ?1 AND state = 0",
                INT(peer));
    if (error == KVPBUS_OK)
        error = journal_empty_peer(journal, peer);
    return error == KVPBUS_OK ? kvpbus_journal_audit(journal, peer, KVPBUS_AUDIT_UNPAIRED, text)
                              : error;
}

enum kvpbus_error kvpbus_journal_move_out(struct kvpbus_journal *journal, int64_t peer,
                                          const char *path, const uint8_t to[KVPBUS_IDENTITY_BYTES],
                                          const uint8_t move[KVPBUS_MOVE_ID])
{
    struct kvpbus_peer row;
    enum kvpbus_error error = kvpbus_journal_peer_get(journal, peer, &row);
    if (error == KVPBUS_OK && !row.paired)
        error = kvpbus_fail(&journal->failure, KVPBUS_UNPAIRED,
                            "%s is not paired: there is nothing that could go on", row.name);
    // What I sign is for the present id, and its agent knows the former one.
    if (error == KVPBUS_OK && row.rebound)
        error = kvpbus_fail(&journal->failure, KVPBUS_BUSY,
                            "the agent of %.100s has not seen yet that it was rebound, and could "
                            "not follow: start the VM on this host once, then export it",
                            row.name);
    if (error == KVPBUS_OK)
        error = copy_out(journal, peer, path);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_begin(journal);
    return error == KVPBUS_OK ? commit_or_not(journal, leave(journal, peer, to, move)) : error;
}

// --- back ---

enum kvpbus_error kvpbus_journal_move_back(struct kvpbus_journal *journal, int64_t peer,
                                           const char *path)
{
    struct kvpbus_peer row;
    enum kvpbus_error error = kvpbus_journal_peer_get(journal, peer, &row);
    if (error == KVPBUS_OK && !row.moved)
        error = kvpbus_fail(&journal->failure, KVPBUS_INVALID_ARGUMENT,
                            "%s was not exported, or was paired anew since", row.name);
    if (error == KVPBUS_OK && !kvpbus_file_exists(path))
        error = kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND,
                            "what was exported of %s is no longer here; pair it anew", row.name);
    if (error != KVPBUS_OK)
        return error;
    error = attach(journal, path);
    if (error == KVPBUS_OK)
        error = journal_rows_check(journal);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_begin(journal);
    if (error == KVPBUS_OK) {
        error = journal_rows_take(journal, peer);
        if (error == KVPBUS_OK)
            error = RUN(journal, "UPDATE peer SET moved = NULL WHERE id = ?1", INT(peer));
        if (error == KVPBUS_OK)
            error = kvpbus_journal_peer_get(journal, peer, &row);
        if (error == KVPBUS_OK)
            error = journal_audit_key(journal, peer, KVPBUS_AUDIT_PAIRED, row.identity);
        error = commit_or_not(journal, error);
    }
    detach(journal);
    return error;
}

// --- from another host ---

static enum kvpbus_error may_come(struct kvpbus_journal *journal, const struct kvpbus_peer *row,
                                  const struct kvpbus_parcel *parcel, bool replace)
{
    int64_t queued = 0, inbox = 0, dead = 0, bytes;
    sqlite3_stmt *found;
    enum kvpbus_error error = GET(journal, &found, "SELECT 1 FROM came WHERE id = ?1",
                                  BLOB(parcel->id, sizeof parcel->id));
    if (error == KVPBUS_OK) {
        journal_end(found);
        return kvpbus_fail(&journal->failure, KVPBUS_EXISTS,
                           "this file was imported here before; a second time it would deliver "
                           "everything again");
    }
    if (error == KVPBUS_NOT_FOUND)
        error = journal_tally_get(journal, row->id, KVPBUS_OUTCOME_PENDING, &queued, &bytes);
    if (error == KVPBUS_OK)
        error = journal_tally_get(journal, row->id, TALLY_INBOX, &inbox, &bytes);
    if (error == KVPBUS_OK)
        error = journal_tally_get(journal, row->id, TALLY_DEAD_LETTERS, &dead, &bytes);
    if (error != KVPBUS_OK || replace)
        return error;
    if (row->paired)
        return kvpbus_fail(&journal->failure, KVPBUS_EXISTS,
                           "%.100s is paired with this host already; with --replace that link and "
                           "its %lld messages are dropped",
                           row->name, (long long)(queued + inbox + dead));
    if (queued + inbox + dead > 0)
        return kvpbus_fail(&journal->failure, KVPBUS_EXISTS,
                           "there are %lld messages to or from %.100s here; with --replace they "
                           "are dropped",
                           (long long)(queued + inbox + dead), row->name);
    return KVPBUS_OK;
}

static enum kvpbus_error arrive(struct kvpbus_journal *journal, int64_t peer,
                                const struct kvpbus_parcel *parcel, int64_t now_ms)
{
    uint8_t chain[sizeof parcel->to + KVPBUS_ROTATION_MAX];
    struct kvpbus_peer row;
    memcpy(chain, parcel->to, sizeof parcel->to);
    memcpy(chain + sizeof parcel->to, parcel->rotation.bytes, parcel->rotation.length);
    enum kvpbus_error error = journal_rows_take(journal, peer);
    if (error == KVPBUS_OK)
        error = RUN(journal, "UPDATE peer SET moved = NULL, chain = ?2 WHERE id = ?1", INT(peer),
                    BLOB(chain, sizeof parcel->to + parcel->rotation.length));
    if (error == KVPBUS_OK)
        error = RUN(journal, "INSERT INTO came(id, came_ms) VALUES(?1, ?2)",
                    BLOB(parcel->id, sizeof parcel->id), INT(now_ms));
    if (error == KVPBUS_OK)
        error =
            RUN(journal, "UPDATE token SET state = 2, secret = NULL WHERE peer = ?1 AND state = 0",
                INT(peer));
    if (error == KVPBUS_OK)
        error = kvpbus_journal_peer_get(journal, peer, &row);
    return error == KVPBUS_OK ? journal_audit_key(journal, peer, KVPBUS_AUDIT_PAIRED, row.identity)
                              : error;
}

enum kvpbus_error kvpbus_journal_move_in(struct kvpbus_journal *journal, int64_t peer,
                                         const char *path, const struct kvpbus_parcel *parcel,
                                         bool replace, int64_t now_ms)
{
    struct kvpbus_peer row;
    enum kvpbus_error error = kvpbus_journal_peer_get(journal, peer, &row);
    if (error == KVPBUS_OK)
        error = may_come(journal, &row, parcel, replace);
    if (error != KVPBUS_OK)
        return error;
    error = attach(journal, path);
    if (error == KVPBUS_OK)
        error = journal_rows_check(journal);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_begin(journal);
    if (error == KVPBUS_OK)
        error = commit_or_not(journal, arrive(journal, peer, parcel, now_ms));
    detach(journal);
    return error;
}

// --- asking ---

enum kvpbus_error kvpbus_journal_moved(struct kvpbus_journal *journal, int64_t peer,
                                       uint8_t to[KVPBUS_IDENTITY_BYTES],
                                       uint8_t move[KVPBUS_MOVE_ID])
{
    sqlite3_stmt *row;
    uint8_t moved[MOVED_BYTES];
    enum kvpbus_error error =
        GET(journal, &row, "SELECT moved FROM peer WHERE id = ?1 AND moved IS NOT NULL", INT(peer));
    if (error != KVPBUS_OK)
        return error;
    error = journal_bytes(journal, row, 0, moved, sizeof moved);
    journal_end(row);
    memcpy(to, moved, KVPBUS_IDENTITY_BYTES);
    memcpy(move, moved + KVPBUS_IDENTITY_BYTES, KVPBUS_MOVE_ID);
    return error;
}

enum kvpbus_error journal_here(struct kvpbus_journal *journal, int64_t peer)
{
    uint8_t to[KVPBUS_IDENTITY_BYTES], move[KVPBUS_MOVE_ID];
    char fingerprint[KVPBUS_FINGERPRINT_TEXT];
    enum kvpbus_error error = kvpbus_journal_moved(journal, peer, to, move);
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    kvpbus_fingerprint(to, fingerprint);
    return kvpbus_fail(&journal->failure, KVPBUS_UNPAIRED,
                       "the VM was moved to the host %s; send there, or take it back with 'kvpbus "
                       "export --undo'",
                       fingerprint);
}

enum kvpbus_error kvpbus_journal_chain(struct kvpbus_journal *journal, int64_t peer,
                                       struct kvpbus_chain *chain)
{
    sqlite3_stmt *row;
    memset(chain, 0, sizeof *chain);
    enum kvpbus_error error =
        GET(journal, &row, "SELECT chain FROM peer WHERE id = ?1 AND chain IS NOT NULL", INT(peer));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    const uint8_t *bytes = sqlite3_column_blob(row, 0);
    size_t length = (size_t)sqlite3_column_bytes(row, 0);
    if (bytes == NULL || length < sizeof chain->to ||
        length > sizeof chain->to + KVPBUS_ROTATION_MAX ||
        (length - sizeof chain->to) % KVPBUS_STATEMENT_BYTES != 0) {
        error = journal_damaged(journal, "how a VM is led here");
    } else {
        chain->rotation.length = length - sizeof chain->to;
        memcpy(chain->to, bytes, sizeof chain->to);
        memcpy(chain->rotation.bytes, bytes + sizeof chain->to, chain->rotation.length);
    }
    journal_end(row);
    return error;
}
