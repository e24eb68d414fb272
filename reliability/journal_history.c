// SPDX-License-Identifier: Apache-2.0
//
// What is known of a message, sent or received, as long as the history keeps it. Of what a peer
// sends no more is kept than a number of messages, the latest, so that it cannot fill the file with
// many small ones.
#include <stdio.h>

#include "journal_internal.h"

enum { RECEIVED_MAX = 100000 }; // messages of one peer, beside those in the inbox

enum kvpbus_error journal_remember(struct kvpbus_journal *journal, const struct incoming *incoming,
                                   int64_t inbox)
{
    const struct kvpbus_message *message = incoming->message;
    int64_t peer = incoming->arrival->peer;
    enum kvpbus_error error = RUN(
        journal,
        "INSERT INTO received(peer, class, bundle, place, topic, stream, body, came_ms, inbox, "
        "receipt) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        INT(peer), INT(message->class_), BLOB(message->id.bundle, KVPBUS_BUNDLE_ID_BYTES),
        INT(message->id.index), TEXT(message->topic),
        TEXT(message->stream != NULL ? message->stream : ""), INT(message->body_length),
        INT(incoming->now_ms), INT(inbox), INT(message->receipt ? RECEIPT_ASKED : RECEIPT_NONE));
    if (error == KVPBUS_OK)
        error = journal_tally(journal, peer, TALLY_RECEIVED, 1, 0);
    if (error == KVPBUS_OK && message->receipt)
        error = journal_tally(journal, peer, TALLY_OWED, 1, OWED_BYTES);
    return error;
}

enum kvpbus_error journal_forget_oldest(struct kvpbus_journal *journal, int64_t peer)
{
    int64_t count, waiting = 0, bytes;
    enum kvpbus_error error = journal_tally_get(journal, peer, TALLY_RECEIVED, &count, &bytes);
    if (error == KVPBUS_OK && count > RECEIVED_MAX)
        error = journal_tally_get(journal, peer, TALLY_INBOX, &waiting, &bytes);
    if (error != KVPBUS_OK || count - waiting <= RECEIVED_MAX)
        return error;
    // What the peer has still to be told has room of its own.
    error = RUN(journal,
                "DELETE FROM received WHERE id IN (SELECT id FROM received INDEXED BY "
                "received_ended WHERE peer = ?1 AND fate != 0 AND receipt != 2 ORDER BY id LIMIT "
                "min(?2, ?3))",
                INT(peer), INT(count - waiting - RECEIVED_MAX), INT(KVPBUS_BUNDLE_MESSAGES_MAX));
    return error == KVPBUS_OK
               ? journal_tally(journal, peer, TALLY_RECEIVED, -journal_changed(journal), 0)
               : error;
}

// --- asking ---

const char *kvpbus_place_name(enum kvpbus_place place)
{
    static const char *const names[] = {
        [KVPBUS_PLACE_WAITING] = "waiting",   [KVPBUS_PLACE_LEASED] = "leased",
        [KVPBUS_PLACE_CONSUMED] = "consumed", [KVPBUS_PLACE_DEAD_LETTER] = "dead letter",
        [KVPBUS_PLACE_DROPPED] = "dropped",
    };
    assert((size_t)place < sizeof names / sizeof *names);
    return names[place];
}

static void copy_text(sqlite3_stmt *row, int column, char *text, size_t size)
{
    const char *stored = (const char *)sqlite3_column_text(row, column);
    snprintf(text, size, "%s", stored != NULL ? stored : "");
}

// The columns that both tables have, in this order.
static void common(sqlite3_stmt *row, const struct kvpbus_message_id *id,
                   struct kvpbus_message_record *record)
{
    *record = (struct kvpbus_message_record){
        .id = *id,
        .peer = sqlite3_column_int64(row, 0),
        .class_ = (enum kvpbus_class)sqlite3_column_int(row, 1),
        .size = (uint64_t)sqlite3_column_int64(row, 4),
        .begun_ms = sqlite3_column_int64(row, 5),
        .receipt = sqlite3_column_int(row, 6) != 0,
    };
    copy_text(row, 2, record->topic, sizeof record->topic);
    copy_text(row, 3, record->stream, sizeof record->stream);
    copy_text(row, 7, record->reason, sizeof record->reason);
}

static void read_sent(sqlite3_stmt *row, const struct kvpbus_message_id *id,
                      struct kvpbus_message_record *record)
{
    common(row, id, record);
    record->sent = true;
    record->outcome = (enum kvpbus_outcome)sqlite3_column_int(row, 8);
    record->settled_ms = sqlite3_column_int64(row, 9);
    if (sqlite3_column_int(row, 10) == FATE_CONSUMED)
        record->consumed_ms = sqlite3_column_int64(row, 11);
}

static void read_received(sqlite3_stmt *row, const struct kvpbus_message_id *id,
                          struct kvpbus_message_record *record)
{
    static const enum kvpbus_place places[] = {
        [FATE_NONE] = KVPBUS_PLACE_WAITING,
        [FATE_CONSUMED] = KVPBUS_PLACE_CONSUMED,
        [FATE_DEAD] = KVPBUS_PLACE_DEAD_LETTER,
        [FATE_DROPPED] = KVPBUS_PLACE_DROPPED,
    };
    common(row, id, record);
    int fate = sqlite3_column_int(row, 8) & 3;
    bool here = sqlite3_column_type(row, 11) != SQLITE_NULL;
    record->place = places[here ? FATE_NONE : fate];
    if (here && sqlite3_column_int(row, 11) != 0)
        record->place = KVPBUS_PLACE_LEASED;
    if (!here)
        record->settled_ms = sqlite3_column_int64(row, 9);
    if (!here && fate == FATE_CONSUMED)
        record->consumed_ms = record->settled_ms;
    record->tries = (uint32_t)sqlite3_column_int64(row, here ? 12 : 10);
}

enum kvpbus_error kvpbus_journal_show(struct kvpbus_journal *journal,
                                      const struct kvpbus_message_id *id,
                                      struct kvpbus_message_record *records, size_t max,
                                      size_t *count)
{
    sqlite3_stmt *row;
    *count = 0;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT peer, class, topic, stream, body, queued_ms, receipt, reason, outcome, "
            "coalesce(settled_ms, 0), fate, fate_ms FROM message WHERE bundle = ?1 AND place = ?2 "
            "AND kind != 4 LIMIT ?3",
            BLOB(id->bundle, sizeof id->bundle), INT(id->index), INT(max));
    for (; error == KVPBUS_OK; error = journal_next(journal, row))
        read_sent(row, id, &records[(*count)++]);
    if (error == KVPBUS_NOT_FOUND)
        error = GET(
            journal, &row,
            "SELECT received.peer, class, received.topic, received.stream, body, came_ms, receipt, "
            "reason, fate, fate_ms, received.tries, leased, inbox.tries FROM received LEFT "
            "JOIN inbox ON inbox.id = received.inbox WHERE received.bundle = ?1 AND "
            "received.place = ?2 LIMIT ?3",
            BLOB(id->bundle, sizeof id->bundle), INT(id->index), INT(max - *count));
    for (; error == KVPBUS_OK; error = journal_next(journal, row))
        read_received(row, id, &records[(*count)++]);
    if (error != KVPBUS_NOT_FOUND)
        return error;
    return *count > 0 ? KVPBUS_OK
                      : kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND,
                                    "the journal has no message with this id, or no longer");
}

enum kvpbus_error kvpbus_journal_sent_to(struct kvpbus_journal *journal,
                                         const struct kvpbus_message_id *id, int64_t *peer)
{
    sqlite3_stmt *row;
    enum kvpbus_error error = GET(
        journal, &row, "SELECT peer FROM message WHERE bundle = ?1 AND place = ?2 AND kind != 4",
        BLOB(id->bundle, sizeof id->bundle), INT(id->index));
    if (error == KVPBUS_NOT_FOUND)
        return kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND,
                           "this side has sent no message with this id, or has forgotten it");
    if (error != KVPBUS_OK)
        return error;
    *peer = sqlite3_column_int64(row, 0);
    journal_end(row);
    return KVPBUS_OK;
}
