// SPDX-License-Identifier: Apache-2.0
//
// The outbox before sealing: what is queued, and what ends there.
#include "journal_internal.h"

// The open bundle of the class, or a new one, gives the message its id.
static enum kvpbus_error take_id(struct kvpbus_journal *journal, int64_t peer,
                                 enum kvpbus_class class_, struct kvpbus_message_id *id)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row, "SELECT bundle, count FROM lane WHERE peer = ?1 AND class = ?2",
            INT(peer), INT(class_));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? journal_damaged(journal, "a lane is missing") : error;
    int64_t count = sqlite3_column_int64(row, 1);
    bool open = sqlite3_column_type(row, 0) != SQLITE_NULL && count < KVPBUS_BUNDLE_MESSAGES_MAX;
    if (open)
        error = journal_bytes(journal, row, 0, id->bundle, sizeof id->bundle);
    journal_end(row);
    if (error != KVPBUS_OK)
        return error;
    if (!open) {
        error = journal_draw(journal, "SELECT 1 FROM message WHERE bundle = ?1 LIMIT 1", id->bundle,
                             sizeof id->bundle);
        if (error != KVPBUS_OK)
            return error;
        count = 0;
    }
    id->index = (uint16_t)count;
    return RUN(journal, "UPDATE lane SET bundle = ?3, count = ?4 WHERE peer = ?1 AND class = ?2",
               INT(peer), INT(class_), BLOB(id->bundle, sizeof id->bundle), INT(count + 1));
}

static struct value end_of(const struct kvpbus_message *message)
{
    if (message->ttl_ms == 0)
        return NOTHING;
    if (message->ttl_ms > (uint64_t)(INT64_MAX - message->created_ms))
        return INT(INT64_MAX);
    return INT(message->created_ms + (int64_t)message->ttl_ms);
}

static enum kvpbus_error insert(struct kvpbus_journal *journal, int64_t peer,
                                const struct kvpbus_message *message, bool resend,
                                const uint8_t *content, size_t length)
{
    bool receipt = message->kind == KVPBUS_KIND_RECEIPT;
    enum kvpbus_error error =
        RUN(journal,
            "INSERT INTO message(peer, class, bundle, place, resend, ends_ms, queued_ms, size, "
            "content, kind, topic, stream, body, receipt) "
            "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            INT(peer), INT(message->class_), BLOB(message->id.bundle, KVPBUS_BUNDLE_ID_BYTES),
            INT(message->id.index), INT(resend), end_of(message), INT(message->created_ms),
            INT(length), BLOB(content, length), INT(message->kind), TEXT(message->topic),
            TEXT(message->stream != NULL ? message->stream : ""), INT(message->body_length),
            INT(message->receipt));
    if (error == KVPBUS_OK)
        error = journal_tally(journal, peer, receipt ? TALLY_RECEIPTS : KVPBUS_OUTCOME_PENDING, 1,
                              (int64_t)length);
    if (error == KVPBUS_OK && message->class_ == KVPBUS_CLASS_BULK)
        error = journal_tally(journal, peer, TALLY_BULK_QUEUED, 1, (int64_t)length);
    return error;
}

enum kvpbus_error kvpbus_journal_queue(struct kvpbus_journal *journal, int64_t peer,
                                       struct kvpbus_message *message, bool resend_on_revert,
                                       int64_t now_ms)
{
    assert(now_ms >= 0);
    journal->now_ms = now_ms;
    enum kvpbus_error error =
        kvpbus_message_check(message, journal->options.body_max, &journal->failure);
    if (error != KVPBUS_OK)
        return error;
    if (message->kind == KVPBUS_KIND_RECEIPT)
        return kvpbus_fail(&journal->failure, KVPBUS_INVALID_ARGUMENT,
                           "receipts are sent by the bus itself");
    message->created_ms = now_ms;
    uint8_t *content;
    size_t length;
    error = journal_encode(journal, message, &content, &length);
    if (error != KVPBUS_OK)
        return error;
    error = journal_may_queue(journal, peer, message->class_, length);
    if (error == KVPBUS_OK)
        error = take_id(journal, peer, message->class_, &message->id);
    if (error == KVPBUS_OK)
        error = insert(journal, peer, message, resend_on_revert, content, length);
    free(content);
    return error;
}

enum kvpbus_error journal_queue_receipts(struct kvpbus_journal *journal, int64_t peer,
                                         const uint8_t *body, size_t body_length, int64_t now_ms,
                                         int64_t *row)
{
    struct kvpbus_message message = {
        .topic = RECEIPT_NAME,
        .stream = RECEIPT_NAME,
        .class_ = KVPBUS_CLASS_CONTROL,
        .kind = KVPBUS_KIND_RECEIPT,
        .created_ms = now_ms,
        .body = body,
        .body_length = body_length,
    };
    uint8_t *content;
    size_t length;
    enum kvpbus_error error = journal_encode(journal, &message, &content, &length);
    if (error != KVPBUS_OK)
        return error;
    error = take_id(journal, peer, message.class_, &message.id);
    if (error == KVPBUS_OK)
        error = insert(journal, peer, &message, false, content, length);
    *row = sqlite3_last_insert_rowid(journal->db);
    free(content);
    return error;
}

enum kvpbus_error kvpbus_journal_waiting(struct kvpbus_journal *journal, int64_t peer,
                                         enum kvpbus_class class_, bool *waiting)
{
    sqlite3_stmt *row;
    enum kvpbus_error error = GET(journal, &row,
                                  "SELECT EXISTS(SELECT 1 FROM message WHERE peer = ?1 AND "
                                  "class = ?2 AND sent IS NULL AND outcome = 0) OR (?2 = 0 AND "
                                  "EXISTS(SELECT 1 FROM received WHERE peer = ?1 AND receipt = 2))",
                                  INT(peer), INT(class_));
    if (error != KVPBUS_OK)
        return error;
    *waiting = sqlite3_column_int(row, 0) != 0;
    journal_end(row);
    return KVPBUS_OK;
}

// --- the end of lifetimes ---

enum kvpbus_error kvpbus_journal_expire(struct kvpbus_journal *journal, int64_t peer,
                                        int64_t now_ms, int64_t *next_ms)
{
    journal->now_ms = now_ms;
    *next_ms = 0;
    enum kvpbus_error error = journal_settle(
        journal, peer, SETTLE("peer = ?1 AND gap = 0 AND ends_ms <= ?2 AND sent IS NULL"), peer,
        now_ms, KVPBUS_OUTCOME_EXPIRED, "its lifetime ended before it was sent");
    if (error == KVPBUS_OK)
        error = RUN(journal,
                    "UPDATE message SET gap = 1, reason = 'its lifetime ended before it was "
                    "delivered' WHERE peer = ?1 AND outcome = 0 AND gap = 0 AND ends_ms <= ?2",
                    INT(peer), INT(now_ms));
    if (error != KVPBUS_OK)
        return error;
    sqlite3_stmt *row;
    error = GET(journal, &row,
                "SELECT ends_ms FROM message WHERE peer = ?1 AND outcome = 0 AND gap = 0 AND "
                "ends_ms IS NOT NULL ORDER BY ends_ms LIMIT 1",
                INT(peer));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    *next_ms = sqlite3_column_int64(row, 0);
    journal_end(row);
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_journal_withdraw(struct kvpbus_journal *journal, int64_t peer,
                                          const struct kvpbus_message_id *id)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT id, sent IS NOT NULL FROM message WHERE bundle = ?1 AND place = ?2 AND "
            "peer = ?3 AND outcome = 0",
            BLOB(id->bundle, sizeof id->bundle), INT(id->index), INT(peer));
    if (error == KVPBUS_NOT_FOUND)
        return kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND,
                           "no message with this id waits for delivery");
    if (error != KVPBUS_OK)
        return error;
    int64_t message = sqlite3_column_int64(row, 0);
    bool sent = sqlite3_column_int(row, 1) != 0;
    journal_end(row);
    struct audit_ids ids = {.length = 0};
    error = journal_audit_id(journal, &ids, peer, KVPBUS_AUDIT_WITHDRAWN, id->bundle, id->index);
    if (error == KVPBUS_OK)
        error = journal_audit_flush(journal, &ids);
    if (error != KVPBUS_OK)
        return error;
    if (sent)
        return RUN(journal,
                   "UPDATE message SET gap = 1, reason = 'it was withdrawn' WHERE id = ?1 AND "
                   "gap = 0",
                   INT(message));
    return journal_settle(journal, peer, SETTLE("id = ?1 AND peer = ?2"), message, peer,
                          KVPBUS_OUTCOME_EXPIRED, "it was withdrawn");
}
