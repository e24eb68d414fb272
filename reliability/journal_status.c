// SPDX-License-Identifier: Apache-2.0
//
// Asking: the outcome of one message, and counts.
#include <stdio.h>

#include "journal_internal.h"

enum kvpbus_error kvpbus_journal_status(struct kvpbus_journal *journal, int64_t peer,
                                        const struct kvpbus_message_id *id,
                                        struct kvpbus_message_status *status)
{
    memset(status, 0, sizeof *status);
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT outcome, reason, coalesce(length, 0), fate FROM message LEFT JOIN sealed ON "
            "sealed.id = message.sent WHERE message.bundle = ?1 AND place = ?2 AND "
            "message.peer = ?3",
            BLOB(id->bundle, sizeof id->bundle), INT(id->index), INT(peer));
    if (error == KVPBUS_NOT_FOUND)
        return kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND,
                           "the journal has no message with this id, or no longer");
    if (error != KVPBUS_OK)
        return error;
    status->outcome = (enum kvpbus_outcome)sqlite3_column_int(row, 0);
    const char *reason = (const char *)sqlite3_column_text(row, 1);
    snprintf(status->reason, sizeof status->reason, "%s", reason != NULL ? reason : "");
    status->length = (uint32_t)sqlite3_column_int64(row, 2);
    status->consumed = sqlite3_column_int(row, 3) == FATE_CONSUMED;
    journal_end(row);
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_journal_counts(struct kvpbus_journal *journal, int64_t peer,
                                        struct kvpbus_journal_counts *counts)
{
    memset(counts, 0, sizeof *counts);
    int64_t count[TALLY_COUNT], bytes[TALLY_COUNT];
    sqlite3_stmt *row;
    for (int i = 0; i < TALLY_COUNT; i++) {
        enum kvpbus_error error = journal_tally_get(journal, peer, i, &count[i], &bytes[i]);
        if (error != KVPBUS_OK)
            return error;
    }
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT received, EXISTS(SELECT 1 FROM received WHERE peer = ?1 AND receipt = 2) FROM "
            "peer WHERE id = ?1",
            INT(peer));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? journal_damaged(journal, "a peer is missing") : error;
    counts->received = (uint64_t)sqlite3_column_int64(row, 0);
    counts->receipts = sqlite3_column_int(row, 1) != 0 || count[TALLY_RECEIPTS] > 0;
    journal_end(row);
    counts->queued = (uint64_t)count[KVPBUS_OUTCOME_PENDING];
    counts->queued_bytes = (uint64_t)bytes[KVPBUS_OUTCOME_PENDING];
    counts->delivered = (uint64_t)count[KVPBUS_OUTCOME_DELIVERED];
    counts->expired = (uint64_t)count[KVPBUS_OUTCOME_EXPIRED];
    counts->dead = (uint64_t)count[KVPBUS_OUTCOME_DEAD];
    counts->unknown = (uint64_t)count[KVPBUS_OUTCOME_UNKNOWN];
    counts->inbox = (uint64_t)count[TALLY_INBOX];
    counts->inbox_bytes = (uint64_t)bytes[TALLY_INBOX];
    counts->dead_letters = (uint64_t)count[TALLY_DEAD_LETTERS];
    return KVPBUS_OK;
}
