// SPDX-License-Identifier: Apache-2.0
//
// Receipts: what consumers have done with a message, told to its sender once. The end of a message
// is noted with what is remembered of it, which needs no room of its own: so no quota can refuse an
// acknowledgement, and no more is owed than is remembered. Only when a bundle of class control can
// go out, what is due is put into a message, as much of it as there is. From there on it is
// delivered like any message. When the peer forgets a message of receipts, or sends again what it
// was told of, they are due again.
#include <sodium.h>

#include "big_endian.h"
#include "journal_internal.h"

enum {
    ENTRY_BYTES = KVPBUS_BUNDLE_ID_BYTES + 2 + 1 + 1, // id, fate, length of the reason
    BODY_MAX = 16 * 1024,
};

// --- told ---

static void became_due(struct kvpbus_journal *journal, int64_t peer)
{
    journal->due = journal->due == 0 || journal->due == peer ? peer : -1;
}

enum kvpbus_error journal_ended(struct kvpbus_journal *journal, int64_t inbox, enum fate fate,
                                const char *reason)
{
    sqlite3_stmt *row;
    // Told once: what comes back from the dead letters is known to have died.
    enum kvpbus_error error =
        GET(journal, &row,
            "UPDATE received SET fate = ?2, fate_ms = ?3, reason = substr(?4, 1, ?5), tries = "
            "(SELECT tries FROM inbox WHERE id = ?1), receipt = iif(receipt = 1, 2, receipt) "
            "WHERE inbox = ?1 RETURNING peer, receipt",
            INT(inbox), INT(fate), INT(journal->now_ms), TEXT(reason), INT(KVPBUS_REASON_MAX));
    static_assert(RECEIPT_ASKED == 1 && RECEIPT_DUE == 2, "the statement names them");
    if (error == KVPBUS_NOT_FOUND) // older than the history
        return KVPBUS_OK;
    if (error != KVPBUS_OK)
        return error;
    int64_t peer = sqlite3_column_int64(row, 0);
    if (sqlite3_column_int(row, 1) == RECEIPT_DUE)
        became_due(journal, peer);
    error = journal_next(journal, row);
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

int64_t kvpbus_journal_receipts_due(struct kvpbus_journal *journal)
{
    int64_t due = journal->due;
    journal->due = 0;
    return due;
}

static enum kvpbus_error owed(struct kvpbus_journal *journal, int64_t peer, int64_t count)
{
    return journal_tally(journal, peer, TALLY_OWED, count, count * OWED_BYTES);
}

// Entries for what is due, up to row *last.
static enum kvpbus_error gather(struct kvpbus_journal *journal, int64_t peer, uint8_t *body,
                                size_t *length, int64_t *last)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT id, bundle, place, fate, CAST(reason AS BLOB) FROM received WHERE peer = ?1 "
            "AND receipt = 2 ORDER BY id",
            INT(peer));
    for (*length = 0; error == KVPBUS_OK; error = journal_next(journal, row)) {
        size_t reason = (size_t)sqlite3_column_bytes(row, 4);
        if (reason > KVPBUS_REASON_MAX)
            reason = KVPBUS_REASON_MAX;
        if (*length + ENTRY_BYTES + reason > BODY_MAX) {
            journal_end(row);
            return KVPBUS_OK;
        }
        uint8_t *at = body + *length;
        error = journal_bytes(journal, row, 1, at, KVPBUS_BUNDLE_ID_BYTES);
        if (error != KVPBUS_OK) {
            journal_end(row);
            return error;
        }
        at += KVPBUS_BUNDLE_ID_BYTES;
        kvpbus_put_be(at, (uint64_t)sqlite3_column_int(row, 2), 2);
        at[2] = sqlite3_column_int(row, 3) == FATE_CONSUMED ? FATE_CONSUMED : FATE_DEAD;
        at[3] = (uint8_t)reason;
        if (reason > 0)
            memcpy(at + 4, sqlite3_column_blob(row, 4), reason);
        *length += ENTRY_BYTES + reason;
        *last = sqlite3_column_int64(row, 0);
    }
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

enum kvpbus_error journal_receipts_queue(struct kvpbus_journal *journal, int64_t peer,
                                         int64_t now_ms)
{
    uint8_t body[BODY_MAX];
    size_t length;
    int64_t last = 0, told, waiting = 0, bytes;
    enum kvpbus_error error = journal_tally_get(journal, peer, TALLY_RECEIPTS, &waiting, &bytes);
    // Those under way, and one more: the rest shares the next.
    if (error != KVPBUS_OK || waiting > KVPBUS_BUNDLE_WINDOW)
        return error;
    error = gather(journal, peer, body, &length, &last);
    if (error != KVPBUS_OK || length == 0)
        return error;
    error = journal_queue_receipts(journal, peer, body, length, now_ms, &told);
    if (error != KVPBUS_OK)
        return error;
    error = RUN(journal,
                "UPDATE received SET receipt = 3, told = ?2 WHERE peer = ?1 AND receipt = 2 AND "
                "id <= ?3",
                INT(peer), INT(told), INT(last));
    return error == KVPBUS_OK ? owed(journal, peer, -journal_changed(journal)) : error;
}

enum kvpbus_error journal_receipts_again(struct kvpbus_journal *journal, int64_t peer,
                                         int64_t sealed)
{
    static_assert(KVPBUS_KIND_RECEIPT == 4, "the statements name it");
    enum kvpbus_error error =
        RUN(journal,
            "UPDATE received SET receipt = 2, told = NULL WHERE told IN (SELECT id FROM message "
            "WHERE sent = ?1 AND kind = 4 AND outcome = 1)",
            INT(sealed));
    if (error == KVPBUS_OK)
        error = owed(journal, peer, journal_changed(journal));
    return error == KVPBUS_OK
               ? RUN(journal, "DELETE FROM message WHERE sent = ?1 AND kind = 4 AND outcome = 1",
                     INT(sealed))
               : error;
}

enum kvpbus_error journal_receipt_again(struct kvpbus_journal *journal, int64_t peer,
                                        const struct kvpbus_message_id *id)
{
    enum kvpbus_error error = RUN(journal,
                                  "UPDATE received SET receipt = 2, told = NULL WHERE bundle = ?1 "
                                  "AND place = ?2 AND peer = ?3 AND receipt = 3",
                                  BLOB(id->bundle, sizeof id->bundle), INT(id->index), INT(peer));
    int64_t count = error == KVPBUS_OK ? journal_changed(journal) : 0;
    if (count > 0)
        became_due(journal, peer);
    return error == KVPBUS_OK ? owed(journal, peer, count) : error;
}

// --- heard ---

struct entry {
    struct kvpbus_message_id id;
    enum fate fate;
    char reason[KVPBUS_REASON_MAX + 1];
};

// The entry at *at, and on to the next one. False: it is none.
static bool read_entry(const struct kvpbus_message *message, size_t *at, struct entry *entry)
{
    const uint8_t *bytes = message->body + *at;
    size_t left = message->body_length - *at;
    if (left < ENTRY_BYTES || left - ENTRY_BYTES < bytes[ENTRY_BYTES - 1] ||
        bytes[ENTRY_BYTES - 1] > KVPBUS_REASON_MAX)
        return false;
    memcpy(entry->id.bundle, bytes, KVPBUS_BUNDLE_ID_BYTES);
    bytes += KVPBUS_BUNDLE_ID_BYTES;
    entry->id.index = (uint16_t)kvpbus_get_be(bytes, 2);
    entry->fate = (enum fate)bytes[2];
    size_t length = bytes[3];
    memcpy(entry->reason, bytes + 4, length);
    entry->reason[length] = '\0';
    *at += ENTRY_BYTES + length;
    return entry->fate == FATE_CONSUMED || entry->fate == FATE_DEAD;
}

bool journal_receipts_valid(const struct kvpbus_message *message)
{
    struct entry entry;
    size_t at = 0;
    if (message->class_ != KVPBUS_CLASS_CONTROL || message->body_length == 0 ||
        message->body_length > BODY_MAX)
        return false;
    while (at < message->body_length)
        if (!read_entry(message, &at, &entry))
            return false;
    return true;
}

// People read it: what would play tricks on a terminal becomes a question mark.
static void make_plain(char *text)
{
    for (; *text != '\0'; text++)
        if ((uint8_t)*text < ' ' || (uint8_t)*text >= 0x7f)
            *text = '?';
}

// The first receipt of a message holds. One for a message that was not sent to this peer, or that
// asked for none, is nothing: a revert may have made this side forget it.
static enum kvpbus_error take_in(struct kvpbus_journal *journal, int64_t peer,
                                 const struct entry *entry)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "UPDATE message SET fate = ?4, fate_ms = ?5, reason = iif(?4 = 2 AND outcome < 2, ?6, "
            "reason), outcome = iif(?4 = 2 AND outcome = 1, 3, outcome) WHERE bundle = ?1 AND "
            "place = ?2 AND peer = ?3 AND receipt = 1 AND fate = 0 AND outcome IN (0, 1, 4) "
            "RETURNING size, outcome, bundle, place",
            BLOB(entry->id.bundle, sizeof entry->id.bundle), INT(entry->id.index), INT(peer),
            INT(entry->fate), INT(journal->now_ms), TEXT(entry->reason));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    int64_t size = sqlite3_column_int64(row, 0);
    bool died = sqlite3_column_int(row, 1) == KVPBUS_OUTCOME_DEAD;
    struct audit_ids ids = {.length = 0};
    if (died)
        error = journal_audit_row(journal, &ids, peer, journal_audit_outcome(KVPBUS_OUTCOME_DEAD),
                                  row, 2);
    if (error != KVPBUS_OK) {
        journal_end(row);
        return error;
    }
    error = journal_next(journal, row);
    if (error == KVPBUS_NOT_FOUND)
        error = journal_audit_flush(journal, &ids);
    if (error != KVPBUS_OK || !died)
        return error;
    error = journal_tally(journal, peer, KVPBUS_OUTCOME_DELIVERED, -1, -size);
    return error == KVPBUS_OK ? journal_tally(journal, peer, KVPBUS_OUTCOME_DEAD, 1, size) : error;
}

enum kvpbus_error journal_receipts_came(struct kvpbus_journal *journal, int64_t peer,
                                        const struct kvpbus_message *message)
{
    struct entry entry;
    enum kvpbus_error error = KVPBUS_OK;
    for (size_t at = 0; error == KVPBUS_OK && at < message->body_length;) {
        bool valid = read_entry(message, &at, &entry);
        assert(valid); // journal_accept.c has looked
        make_plain(entry.reason);
        error = take_in(journal, peer, &entry);
    }
    return error;
}
