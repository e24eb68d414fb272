// SPDX-License-Identifier: Apache-2.0
//
// Requests of this side and their replies. A reply names its request by the message id, so whoever
// knows that can ask for the replies. Nothing else of a call is kept: a reply waits in the inbox
// like any message, but not for longer than somebody can want it.
#include <stdio.h>

#include "big_endian.h"
#include "journal_internal.h"

enum { REPLY_KEPT_MS = 60 * 1000 }; // beyond the lifetime of its request

void journal_correlation(const struct kvpbus_message_id *id, uint8_t bytes[CORRELATION_BYTES])
{
    static_assert(CORRELATION_BYTES == KVPBUS_BUNDLE_ID_BYTES + 2, "bundle id, index");
    memcpy(bytes, id->bundle, KVPBUS_BUNDLE_ID_BYTES);
    kvpbus_put_be(bytes + KVPBUS_BUNDLE_ID_BYTES, id->index, 2);
}

// A reply is wanted while its request is, and a little longer; one to a request without a lifetime
// as long as the history would know of that.
static enum kvpbus_error reply_until(struct kvpbus_journal *journal, int64_t peer,
                                     const struct kvpbus_message *reply, int64_t now_ms,
                                     int64_t *until_ms)
{
    sqlite3_stmt *row;
    *until_ms = 1;
    if (reply->correlation_length != CORRELATION_BYTES)
        return KVPBUS_OK;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT ends_ms FROM message WHERE bundle = ?1 AND place = ?2 AND peer = ?3 AND "
            "kind = 1 AND answered = 0",
            BLOB(reply->correlation, KVPBUS_BUNDLE_ID_BYTES),
            INT(kvpbus_get_be(reply->correlation + KVPBUS_BUNDLE_ID_BYTES, 2)), INT(peer));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    *until_ms = sqlite3_column_type(row, 0) == SQLITE_NULL
                    ? journal_later(now_ms, journal->options.history_ms)
                    : journal_later(sqlite3_column_int64(row, 0), REPLY_KEPT_MS);
    journal_end(row);
    return KVPBUS_OK;
}

enum kvpbus_error journal_wanted_until(struct kvpbus_journal *journal, int64_t peer,
                                       const struct kvpbus_message *message, int64_t now_ms,
                                       int64_t *until_ms)
{
    *until_ms = 0;
    if (message->kind >= KVPBUS_KIND_REPLY)
        return reply_until(journal, peer, message, now_ms, until_ms);
    // From its arrival, which was after its making: so the two clocks need not agree.
    if (message->kind == KVPBUS_KIND_REQUEST && message->ttl_ms != 0)
        *until_ms = journal_later(now_ms, message->ttl_ms);
    return KVPBUS_OK;
}

enum kvpbus_error journal_answered(struct kvpbus_journal *journal, const struct inbox_row *reply)
{
    sqlite3_stmt *row;
    uint8_t request[CORRELATION_BYTES];
    enum kvpbus_error error =
        GET(journal, &row, "SELECT correlation FROM inbox WHERE id = ?1", INT(reply->id));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? journal_damaged(journal, "a reply is missing") : error;
    error = journal_bytes(journal, row, 0, request, sizeof request);
    journal_end(row);
    if (error != KVPBUS_OK)
        return error;
    error = RUN(journal,
                "UPDATE message SET answered = 1 WHERE bundle = ?1 AND place = ?2 AND peer = ?3",
                BLOB(request, KVPBUS_BUNDLE_ID_BYTES),
                INT(kvpbus_get_be(request + KVPBUS_BUNDLE_ID_BYTES, 2)), INT(reply->peer));
    if (error != KVPBUS_OK)
        return error;
    // A server that was given the request twice has replied twice.
    return RUN(journal, "UPDATE inbox SET until_ms = 1 WHERE correlation = ?1 AND peer = ?2",
               BLOB(request, sizeof request), INT(reply->peer));
}

// --- what can still come ---

static void fill(sqlite3_stmt *row, int64_t now_ms, struct kvpbus_awaited *awaited)
{
    enum kvpbus_outcome outcome = (enum kvpbus_outcome)sqlite3_column_int(row, 1);
    const char *reason = (const char *)sqlite3_column_text(row, 2);
    bool answered = sqlite3_column_int(row, 4) != 0;
    awaited->ends_ms = sqlite3_column_int64(row, 3);
    awaited->outcome = outcome;
    awaited->over = true;
    if (answered) {
        awaited->outcome = KVPBUS_OUTCOME_DELIVERED;
        reason = "its last reply was taken";
    } else if (outcome > KVPBUS_OUTCOME_DELIVERED) {
        // The journal says why.
    } else if (awaited->ends_ms != 0 && awaited->ends_ms <= now_ms) {
        awaited->outcome = KVPBUS_OUTCOME_EXPIRED;
        reason = outcome == KVPBUS_OUTCOME_DELIVERED
                     ? "it was delivered, and its lifetime ended before the last reply came"
                     : "its lifetime ended, and it is not known yet whether it was delivered";
    } else {
        awaited->over = false;
        reason = NULL;
    }
    snprintf(awaited->reason, sizeof awaited->reason, "%s", reason != NULL ? reason : "");
}

enum kvpbus_error kvpbus_journal_awaited(struct kvpbus_journal *journal, int64_t peer,
                                         const struct kvpbus_message_id *request, int64_t now_ms,
                                         struct kvpbus_awaited *awaited)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT kind, outcome, reason, coalesce(ends_ms, 0), answered FROM message WHERE "
            "bundle = ?1 AND place = ?2 AND (?3 = 0 OR peer = ?3)",
            BLOB(request->bundle, sizeof request->bundle), INT(request->index), INT(peer));
    if (error == KVPBUS_NOT_FOUND) {
        *awaited = (struct kvpbus_awaited){.over = true, .outcome = KVPBUS_OUTCOME_UNKNOWN};
        snprintf(awaited->reason, sizeof awaited->reason,
                 "this side knows of no such request, or no longer");
        return KVPBUS_OK;
    }
    if (error != KVPBUS_OK)
        return error;
    if (sqlite3_column_int(row, 0) == KVPBUS_KIND_REQUEST)
        fill(row, now_ms, awaited);
    else
        error = kvpbus_fail(&journal->failure, KVPBUS_INVALID_ARGUMENT,
                            "the message with this id is no request: nothing replies to it");
    journal_end(row);
    return error;
}
