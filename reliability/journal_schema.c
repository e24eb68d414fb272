// SPDX-License-Identifier: Apache-2.0
//
// The tables of version 1, and what each later version adds. A file of an older version is brought
// to the present one when it is opened, in one transaction.
#include <stdio.h>

#include "journal_internal.h"

enum {
    APPLICATION_ID = 0x6b767062,     // "kvpb"
    CHECK_BYTES = 256 * 1024 * 1024, // larger files are checked only as they are read
};

static const char peers[] =
    // identity: the one pinned last; paired: it still is. line: my present timeline.
    // offered: the timeline in the peer's latest SYNC. source: the one that I take from it now.
    "CREATE TABLE peer(id INTEGER PRIMARY KEY, vm BLOB NOT NULL UNIQUE, name TEXT NOT NULL,"
    " identity BLOB, paired INTEGER NOT NULL DEFAULT 0, pending BLOB,"
    " line INTEGER NOT NULL DEFAULT 0, offered BLOB, source INTEGER NOT NULL DEFAULT 0,"
    " received INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE tally(peer INTEGER, what INTEGER, count INTEGER NOT NULL DEFAULT 0,"
    " bytes INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(peer, what)) WITHOUT ROWID;"
    "CREATE TABLE epoch(id INTEGER PRIMARY KEY AUTOINCREMENT, peer INTEGER NOT NULL,"
    " mine INTEGER NOT NULL, epoch BLOB NOT NULL, UNIQUE(peer, mine, epoch));";

static const char outgoing[] =
    // My timelines, in the order in which they were begun.
    "CREATE TABLE line(id INTEGER PRIMARY KEY AUTOINCREMENT, peer INTEGER NOT NULL,"
    " timeline BLOB NOT NULL, UNIQUE(peer, timeline));"
    "CREATE TABLE position(line INTEGER, class INTEGER, next INTEGER NOT NULL DEFAULT 1,"
    " done INTEGER NOT NULL DEFAULT 0, print BLOB NOT NULL DEFAULT (zeroblob(16)),"
    " fresh INTEGER NOT NULL DEFAULT 1, voids INTEGER NOT NULL DEFAULT 0,"
    " PRIMARY KEY(line, class)) WITHOUT ROWID;"
    "CREATE TABLE lane(peer INTEGER, class INTEGER, bundle BLOB, count INTEGER NOT NULL DEFAULT 0,"
    " PRIMARY KEY(peer, class)) WITHOUT ROWID;"
    "CREATE TABLE out_stream(line INTEGER, class INTEGER, stream TEXT, next INTEGER NOT NULL,"
    " used_ms INTEGER NOT NULL, PRIMARY KEY(line, class, stream)) WITHOUT ROWID;"
    // sent: the sealed bundle that it travels in, NULL while it waits. gap: its lifetime has ended,
    // the peer is to say whether it had it. asked: by its index, not with the whole bundle.
    // doubt: a revert may have hidden its delivery. unproven: it expired unsent, and no SYNC has
    // shown since that it was not sent in a life that a revert undid.
    "CREATE TABLE message(id INTEGER PRIMARY KEY AUTOINCREMENT, peer INTEGER NOT NULL,"
    " class INTEGER NOT NULL, bundle BLOB NOT NULL, place INTEGER NOT NULL, sent INTEGER,"
    " outcome INTEGER NOT NULL DEFAULT 0, gap INTEGER NOT NULL DEFAULT 0,"
    " asked INTEGER NOT NULL DEFAULT 0, doubt INTEGER NOT NULL DEFAULT 0,"
    " unproven INTEGER NOT NULL DEFAULT 0, resend INTEGER NOT NULL, ends_ms INTEGER,"
    " queued_ms INTEGER NOT NULL, settled_ms INTEGER, size INTEGER NOT NULL, reason TEXT,"
    " content BLOB);"
    "CREATE UNIQUE INDEX message_id ON message(bundle, place);"
    "CREATE INDEX message_waits ON message(peer, class, id) WHERE sent IS NULL AND outcome = 0;"
    "CREATE INDEX message_sent ON message(sent) WHERE sent IS NOT NULL;"
    "CREATE INDEX message_ends ON message(peer, ends_ms)"
    " WHERE outcome = 0 AND gap = 0 AND ends_ms IS NOT NULL;"
    "CREATE INDEX message_gap ON message(peer, sent) WHERE outcome = 0 AND gap = 1;"
    "CREATE INDEX message_settled ON message(settled_ms) WHERE outcome != 0;"
    "CREATE INDEX message_unproven ON message(peer) WHERE unproven = 1;"
    // kept: done, its bytes stay for a peer that may go back.
    "CREATE TABLE sealed(id INTEGER PRIMARY KEY AUTOINCREMENT, peer INTEGER NOT NULL,"
    " class INTEGER NOT NULL, line INTEGER NOT NULL, number INTEGER NOT NULL,"
    " bundle BLOB NOT NULL, print BLOB NOT NULL, sender BLOB NOT NULL, length INTEGER NOT NULL,"
    " done INTEGER NOT NULL DEFAULT 0, done_ms INTEGER, kept INTEGER NOT NULL DEFAULT 0);"
    "CREATE UNIQUE INDEX sealed_number ON sealed(peer, line, class, number);"
    "CREATE INDEX sealed_kept ON sealed(peer, id) WHERE kept = 1;"
    "CREATE INDEX sealed_done ON sealed(done_ms) WHERE done = 1;"
    // Sealed bytes: id is the bundle's row << 16 | part.
    "CREATE TABLE part(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);";

static const char incoming[] =
    // The peer's timelines as I took them up.
    "CREATE TABLE source(id INTEGER PRIMARY KEY AUTOINCREMENT, peer INTEGER NOT NULL,"
    " timeline BLOB NOT NULL);"
    "CREATE TABLE floor(source INTEGER, class INTEGER, floor INTEGER NOT NULL DEFAULT 0,"
    " print BLOB NOT NULL DEFAULT (zeroblob(16)), voids INTEGER NOT NULL DEFAULT 0,"
    " PRIMARY KEY(source, class)) WITHOUT ROWID;"
    // voids: indices (2 bytes) that are void. digests: index (2) and digest (8) of each message.
    "CREATE TABLE arrived(id INTEGER PRIMARY KEY AUTOINCREMENT, peer INTEGER NOT NULL,"
    " source INTEGER NOT NULL, class INTEGER NOT NULL, number INTEGER NOT NULL,"
    " state INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0,"
    " held INTEGER NOT NULL DEFAULT 0, resumed INTEGER NOT NULL DEFAULT 0, bundle BLOB,"
    " print BLOB, voids BLOB, digests BLOB, done_ms INTEGER,"
    " UNIQUE(source, class, number));"
    "CREATE INDEX arrived_part ON arrived(peer) WHERE state = 0;"
    "CREATE INDEX arrived_bundle ON arrived(bundle) WHERE bundle IS NOT NULL;"
    "CREATE INDEX arrived_done ON arrived(done_ms) WHERE state != 0;"
    "CREATE TABLE held(arrived INTEGER, start INTEGER, bytes BLOB NOT NULL,"
    " PRIMARY KEY(arrived, start)) WITHOUT ROWID;"
    // next: all lower sequences of the stream are here. head: its oldest message in the inbox.
    "CREATE TABLE in_stream(id INTEGER PRIMARY KEY AUTOINCREMENT, peer INTEGER NOT NULL,"
    " class INTEGER NOT NULL, stream TEXT NOT NULL, source INTEGER NOT NULL,"
    " next INTEGER NOT NULL DEFAULT 1, queued INTEGER NOT NULL DEFAULT 0,"
    " leased INTEGER NOT NULL DEFAULT 0, head INTEGER NOT NULL DEFAULT 0,"
    " used_ms INTEGER NOT NULL, UNIQUE(peer, class, stream));"
    "CREATE INDEX in_stream_queued ON in_stream((class != 0), head)"
    " WHERE queued > 0 AND leased = 0;"
    // due_ms: the end of its lease or of its delay, 0 none.
    "CREATE TABLE inbox(id INTEGER PRIMARY KEY AUTOINCREMENT, peer INTEGER NOT NULL,"
    " stream INTEGER NOT NULL, source INTEGER NOT NULL, number INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL, topic TEXT NOT NULL, bundle BLOB NOT NULL,"
    " place INTEGER NOT NULL, leased INTEGER NOT NULL DEFAULT 0,"
    " tries INTEGER NOT NULL DEFAULT 0, due_ms INTEGER NOT NULL DEFAULT 0,"
    " size INTEGER NOT NULL, content BLOB NOT NULL);"
    "CREATE INDEX inbox_order ON inbox(stream, source, sequence, id);"
    "CREATE INDEX inbox_due ON inbox(due_ms) WHERE due_ms > 0;"
    "CREATE TABLE dead_letter(id INTEGER PRIMARY KEY AUTOINCREMENT, peer INTEGER NOT NULL,"
    " class INTEGER NOT NULL, stream TEXT NOT NULL, bundle BLOB NOT NULL, place INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL, tries INTEGER NOT NULL, reason TEXT NOT NULL,"
    " died_ms INTEGER NOT NULL, size INTEGER NOT NULL, content BLOB NOT NULL);"
    "CREATE INDEX dead_letter_died ON dead_letter(died_ms);";

static const char audit[] =
    // vm: zeros for what concerns no peer. Bytes and hashes: audit.h.
    "CREATE TABLE audit(number INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, vm BLOB NOT NULL, detail TEXT NOT NULL, hash BLOB NOT NULL);"
    // Heads that were signed. The oldest is where the chain begins, once it has been cut.
    "CREATE TABLE audit_mark(number INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL,"
    " hash BLOB NOT NULL, identity BLOB NOT NULL, signature BLOB NOT NULL);";

static const char consuming[] =
    // kind: enum kvpbus_kind; 0 also for what version 1 had.
    // answered: of a request, a consumer has taken its last reply.
    "ALTER TABLE message ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE message ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;"
    // correlation: of a reply, the id of its request. until_ms: when a request is no longer given
    // out, or a reply no longer kept; 0 never. Replies do not count in in_stream.queued, are not
    // its head, and in_stream.leased is not theirs. What is looked through stands in the index,
    // which does not lead through contents.
    "ALTER TABLE inbox ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE inbox ADD COLUMN correlation BLOB;"
    "ALTER TABLE inbox ADD COLUMN until_ms INTEGER NOT NULL DEFAULT 0;"
    "DROP INDEX inbox_order;"
    "CREATE INDEX inbox_order ON inbox(stream, source, sequence, id, kind, until_ms, due_ms, "
    "number,"
    " topic);"
    "CREATE INDEX inbox_reply ON inbox(correlation) WHERE correlation IS NOT NULL;"
    "CREATE INDEX inbox_until ON inbox(until_ms) WHERE until_ms > 0;"
    // With what brings a dead letter back to its place in the inbox. Of those of version 1 it is
    // before everything else, source 0; their topic begins behind 34 bytes of the content.
    "CREATE TABLE buried(id INTEGER PRIMARY KEY AUTOINCREMENT, peer INTEGER NOT NULL,"
    " class INTEGER NOT NULL, stream TEXT NOT NULL, source INTEGER NOT NULL,"
    " number INTEGER NOT NULL, sequence INTEGER NOT NULL, topic TEXT NOT NULL,"
    " bundle BLOB NOT NULL, place INTEGER NOT NULL, kind INTEGER NOT NULL, correlation BLOB,"
    " tries INTEGER NOT NULL, reason TEXT NOT NULL, died_ms INTEGER NOT NULL,"
    " size INTEGER NOT NULL, content BLOB NOT NULL);"
    "INSERT INTO buried SELECT id, peer, class, stream, 0, 0, sequence, cast(substr(content, 35,"
    " instr(substr(content, 35), x'00') - 1) AS TEXT), bundle, place, 0, NULL, tries, reason,"
    " died_ms, size, content FROM dead_letter;"
    "DROP TABLE dead_letter;"
    "ALTER TABLE buried RENAME TO dead_letter;"
    "CREATE INDEX dead_letter_died ON dead_letter(died_ms);"
    "CREATE INDEX dead_letter_id ON dead_letter(bundle, place);"
    // Bytes of class bulk are counted apart: queued, and in the inbox with the dead letters.
    "INSERT INTO tally(peer, what, count, bytes) SELECT peer.id, 8, count(message.id),"
    " coalesce(sum(size), 0) FROM peer LEFT JOIN message ON message.peer = peer.id AND class = 2"
    " AND outcome = 0 GROUP BY peer.id;"
    "INSERT INTO tally(peer, what, count, bytes) SELECT peer.id, 9, count(bulk.size),"
    " coalesce(sum(bulk.size), 0) FROM peer LEFT JOIN (SELECT inbox.peer, size FROM inbox JOIN"
    " in_stream ON in_stream.id = inbox.stream WHERE class = 2 UNION ALL SELECT peer, size FROM"
    " dead_letter WHERE class = 2) AS bulk ON bulk.peer = peer.id GROUP BY peer.id;";
static_assert(TALLY_BULK_QUEUED == 8 && TALLY_BULK_RECEIVED == 9, "the statements name them");

// met: my identity when the peer last agreed on positions, or was paired. former: VM ids that it
// had before, newest first. rebound: it has not agreed on positions under the present one. vm: the
// VM id that the bundle was signed for, NULL the peer's present one.
static const char identities[] =
    "ALTER TABLE peer ADD COLUMN met BLOB; ALTER TABLE peer ADD COLUMN former BLOB;"
    "ALTER TABLE peer ADD COLUMN rebound INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE sealed ADD COLUMN vm BLOB;";

static const char enrolment[] =
    // state: 0 open, 1 used, 2 withdrawn; the secret is there while it is open.
    "CREATE TABLE token(number INTEGER PRIMARY KEY AUTOINCREMENT, peer INTEGER NOT NULL,"
    " state INTEGER NOT NULL, replaces INTEGER NOT NULL, ends_ms INTEGER NOT NULL,"
    " id BLOB NOT NULL UNIQUE, host BLOB NOT NULL, vm BLOB NOT NULL, secret BLOB);"
    "CREATE INDEX token_peer ON token(peer, number);";

static const char history[] =
    // topic, stream, body (its length): what is known of a message once its content is gone; empty
    // where version 1 had let go of it. receipt: one was asked for. fate: what that said, enum
    // fate.
    "ALTER TABLE message ADD COLUMN topic TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE message ADD COLUMN stream TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE message ADD COLUMN body INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE message ADD COLUMN receipt INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE message ADD COLUMN fate INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE message ADD COLUMN fate_ms INTEGER NOT NULL DEFAULT 0;"
    // What came from the peer, as long as the history. inbox: its row there, or the last one.
    // fate: how it ended here, enum fate. receipt: enum receipt. told: the message that says it.
    "CREATE TABLE received(id INTEGER PRIMARY KEY AUTOINCREMENT, peer INTEGER NOT NULL,"
    " class INTEGER NOT NULL, bundle BLOB NOT NULL, place INTEGER NOT NULL, topic TEXT NOT NULL,"
    " stream TEXT NOT NULL, body INTEGER NOT NULL, came_ms INTEGER NOT NULL,"
    " inbox INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, fate INTEGER NOT NULL DEFAULT 0,"
    " fate_ms INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '',"
    " receipt INTEGER NOT NULL DEFAULT 0, told INTEGER);"
    "CREATE INDEX received_id ON received(bundle, place);"
    "CREATE INDEX received_peer ON received(peer, id);"
    "CREATE INDEX received_due ON received(peer, id) WHERE receipt = 2;"
    "CREATE INDEX received_told ON received(told) WHERE told IS NOT NULL;"
    "CREATE INDEX received_came ON received(came_ms);"
    "CREATE INDEX received_inbox ON received(inbox);"
    "INSERT INTO received(peer, class, bundle, place, topic, stream, body, came_ms, inbox) SELECT"
    " inbox.peer, class, bundle, place, topic, in_stream.stream, size, used_ms, inbox.id FROM inbox"
    " JOIN in_stream ON in_stream.id = inbox.stream;"
    "INSERT INTO tally(peer, what) SELECT id, 10 FROM peer UNION ALL SELECT id, 12 FROM peer;"
    "INSERT INTO tally(peer, what, count) SELECT peer.id, 11, count(received.id) FROM peer LEFT"
    " JOIN received ON received.peer = peer.id GROUP BY peer.id;";
static_assert(TALLY_RECEIPTS == 10 && TALLY_RECEIVED == 11 && TALLY_OWED == 12 && RECEIPT_DUE == 2,
              "the statements name them");

static const char moving[] =
    // moved: the identity of the host that the VM went to, and the id of that move. chain: of a VM
    // that came from another host, mine as it was then, and the statements that lead to it.
    "ALTER TABLE peer ADD COLUMN moved BLOB; ALTER TABLE peer ADD COLUMN chain BLOB;"
    // What came here: a row for each, so that it does not come again.
    "CREATE TABLE came(id BLOB PRIMARY KEY, came_ms INTEGER NOT NULL) WITHOUT ROWID;";

static const char ended[] =
    // What came and has ended is found without what waits, which is as much as the inbox holds.
    "DROP INDEX received_came; CREATE INDEX received_fate ON received(fate_ms) WHERE fate != 0;"
    "CREATE INDEX received_ended ON received(peer, id) WHERE fate != 0 AND receipt != 2;"
    // Of a peer's streams with nothing in the inbox the oldest are found without the others.
    "CREATE INDEX in_stream_idle ON in_stream(peer, used_ms) WHERE queued = 0;";
static_assert(FATE_NONE == 0 && RECEIPT_DUE == 2, "the statements name them");

// What version n adds to version n - 1. One that adds a table or a column is TABLES_VERSION.
static const char *const *const steps[SCHEMA_VERSION + 1] = {
    [1] = (const char *const[]){peers, outgoing, incoming, NULL},
    [2] = (const char *const[]){audit, consuming, identities, enrolment, history, moving, NULL},
    [3] = (const char *const[]){ended, NULL},
};

static enum kvpbus_error number(struct kvpbus_journal *journal, const char *sql, int64_t *value)
{
    sqlite3_stmt *row = NULL;
    int code = sqlite3_prepare_v2(journal->db, sql, -1, &row, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(row);
        *value = code == SQLITE_ROW ? sqlite3_column_int64(row, 0) : 0;
    }
    enum kvpbus_error error = KVPBUS_OK;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        error = journal_sqlite_error(journal, code, "be opened");
    sqlite3_finalize(row);
    return error;
}

static enum kvpbus_error bring_up(struct kvpbus_journal *journal, int64_t version)
{
    char mark[96];
    snprintf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             APPLICATION_ID, SCHEMA_VERSION);
    enum kvpbus_error error = journal_exec(journal, "BEGIN IMMEDIATE");
    for (int64_t to = version + 1; to <= SCHEMA_VERSION; to++)
        for (const char *const *step = steps[to]; error == KVPBUS_OK && *step != NULL; step++)
            error = journal_exec(journal, *step);
    if (error == KVPBUS_OK)
        error = journal_exec(journal, mark);
    if (error != KVPBUS_OK && !sqlite3_get_autocommit(journal->db))
        sqlite3_exec(journal->db, "ROLLBACK", NULL, NULL, NULL);
    return error;
}

static enum kvpbus_error quick_check(struct kvpbus_journal *journal)
{
    int64_t pages = 0;
    enum kvpbus_error error = number(journal, "PRAGMA page_count", &pages);
    if (error != KVPBUS_OK || pages * journal->page_size > CHECK_BYTES)
        return error;
    sqlite3_stmt *row = NULL;
    int code = sqlite3_prepare_v2(journal->db, "PRAGMA quick_check(1)", -1, &row, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(row);
    if (code == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(row, 0);
        if (text == NULL)
            error = journal_sqlite_error(journal, SQLITE_NOMEM, "be checked");
        else if (strcmp(text, "ok") != 0)
            error = journal_damaged(journal, text);
    } else {
        error = journal_sqlite_error(journal, code, "be checked");
    }
    sqlite3_finalize(row);
    return error;
}

enum kvpbus_error journal_schema(struct kvpbus_journal *journal)
{
    int64_t application = 0, version = 0, tables = 0;
    enum kvpbus_error error = number(journal, "PRAGMA application_id", &application);
    if (error == KVPBUS_OK)
        error = number(journal, "PRAGMA user_version", &version);
    if (error == KVPBUS_OK)
        error = number(journal, "SELECT count(*) FROM sqlite_schema", &tables);
    if (error == KVPBUS_OK)
        error = number(journal, "PRAGMA page_size", &journal->page_size);
    if (error != KVPBUS_OK)
        return error;
    if (application == 0 && version == 0 && tables == 0)
        return bring_up(journal, 0);
    if (application != APPLICATION_ID || version < 1)
        return journal_damaged(journal, "it is not a journal of kvpbus");
    if (version > SCHEMA_VERSION)
        return kvpbus_fail(&journal->failure, KVPBUS_JOURNAL_NEWER,
                           "journal %s is of version %lld, this program knows up to %d; install "
                           "the newer program",
                           journal->path, (long long)version, SCHEMA_VERSION);
    error = quick_check(journal);
    return error == KVPBUS_OK && version < SCHEMA_VERSION ? bring_up(journal, version) : error;
}
