// SPDX-License-Identifier: Apache-2.0
//
// What ends a lease: its acknowledgement, a refusal, its time.
#include "journal_internal.h"

enum { CLOCK_STEP_MS = 1000 };

int64_t journal_later(int64_t now_ms, uint64_t ms)
{
    return ms > (uint64_t)(INT64_MAX - now_ms) ? INT64_MAX : now_ms + (int64_t)ms;
}

void journal_reckon(struct kvpbus_journal *journal, int64_t now_ms)
{
    journal->now_ms = now_ms;
    if (now_ms > journal->lease_clock_ms)
        journal->lease_clock_ms = now_ms;
}

// --- the message of a lease ---

static enum kvpbus_error find_leased(struct kvpbus_journal *journal, int64_t lease,
                                     struct inbox_row *of)
{
    sqlite3_stmt *row;
    of->leased = true;
    of->id = lease >> TRY_BITS;
    of->tries = (uint32_t)(lease & TRIES_LIMIT);
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT inbox.stream, inbox.peer, size, kind, class FROM inbox JOIN in_stream ON "
            "in_stream.id = inbox.stream WHERE inbox.id = ?1 AND inbox.leased = 1 AND tries = ?2",
            INT(of->id), INT(of->tries));
    if (error == KVPBUS_NOT_FOUND)
        return kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND,
                           "this lease has ended; the message was given out again");
    if (error != KVPBUS_OK)
        return error;
    of->stream = sqlite3_column_int64(row, 0);
    of->peer = sqlite3_column_int64(row, 1);
    of->size = sqlite3_column_int64(row, 2);
    of->kind = (enum kvpbus_kind)sqlite3_column_int(row, 3);
    of->class_ = (enum kvpbus_class)sqlite3_column_int(row, 4);
    journal_end(row);
    return KVPBUS_OK;
}

static bool is_reply(const struct inbox_row *of)
{
    return of->kind >= KVPBUS_KIND_REPLY;
}

enum kvpbus_error journal_take_out(struct kvpbus_journal *journal, const struct inbox_row *of)
{
    enum kvpbus_error error = RUN(journal, "DELETE FROM inbox WHERE id = ?1", INT(of->id));
    if (error == KVPBUS_OK && !is_reply(of))
        error = RUN(journal,
                    "UPDATE in_stream SET leased = leased AND NOT ?2, queued = queued - 1, head = "
                    "coalesce((SELECT id FROM inbox WHERE stream = ?1 AND kind < 2 ORDER BY "
                    "source, sequence, id LIMIT 1), 0) WHERE id = ?1",
                    INT(of->stream), INT(of->leased));
    static_assert(KVPBUS_KIND_REPLY == 2, "the statement names it");
    return error == KVPBUS_OK ? journal_tally(journal, of->peer, TALLY_INBOX, -1, -of->size)
                              : error;
}

// Its bytes are free again.
static enum kvpbus_error used_up(struct kvpbus_journal *journal, const struct inbox_row *of)
{
    return of->class_ == KVPBUS_CLASS_BULK
               ? journal_tally(journal, of->peer, TALLY_BULK_RECEIVED, -1, -of->size)
               : KVPBUS_OK;
}

// --- acknowledged, refused, extended ---

enum kvpbus_error kvpbus_journal_ack(struct kvpbus_journal *journal, int64_t lease)
{
    struct inbox_row of;
    enum kvpbus_error error = find_leased(journal, lease, &of);
    if (error == KVPBUS_OK && of.kind == KVPBUS_KIND_LAST_REPLY)
        error = journal_answered(journal, &of);
    if (error == KVPBUS_OK)
        error = journal_audit_inbox(journal, KVPBUS_AUDIT_CONSUMED, of.id);
    if (error == KVPBUS_OK)
        error = journal_ended(journal, of.id, FATE_CONSUMED, "");
    if (error == KVPBUS_OK)
        error = journal_take_out(journal, &of);
    return error == KVPBUS_OK ? used_up(journal, &of) : error;
}

static enum kvpbus_error give_back(struct kvpbus_journal *journal, const struct inbox_row *of,
                                   int64_t due_ms, const char *reason)
{
    if (of->tries >= journal->options.tries_max)
        return journal_bury(journal, of, reason);
    enum kvpbus_error error = RUN(journal, "UPDATE inbox SET leased = 0, due_ms = ?2 WHERE id = ?1",
                                  INT(of->id), INT(due_ms));
    if (error == KVPBUS_OK && !is_reply(of))
        error = RUN(journal, "UPDATE in_stream SET leased = 0 WHERE id = ?1", INT(of->stream));
    return error;
}

enum kvpbus_error kvpbus_journal_nack(struct kvpbus_journal *journal, int64_t lease,
                                      uint64_t delay_ms, const char *reason, int64_t now_ms)
{
    struct inbox_row of;
    journal_reckon(journal, now_ms);
    enum kvpbus_error error = find_leased(journal, lease, &of);
    if (error != KVPBUS_OK)
        return error;
    return give_back(journal, &of, delay_ms == 0 ? 0 : journal_later(now_ms, delay_ms), reason);
}

enum kvpbus_error kvpbus_journal_reject(struct kvpbus_journal *journal, int64_t lease,
                                        const char *reason, int64_t now_ms)
{
    struct inbox_row of;
    journal_reckon(journal, now_ms);
    enum kvpbus_error error = find_leased(journal, lease, &of);
    return error == KVPBUS_OK ? journal_bury(journal, &of, reason) : error;
}

enum kvpbus_error kvpbus_journal_extend(struct kvpbus_journal *journal, int64_t lease,
                                        uint64_t lease_ms, int64_t now_ms)
{
    struct inbox_row of;
    journal_reckon(journal, now_ms);
    enum kvpbus_error error = find_leased(journal, lease, &of);
    if (error != KVPBUS_OK)
        return error;
    return RUN(journal, "UPDATE inbox SET due_ms = ?2 WHERE id = ?1", INT(of.id),
               INT(journal_later(now_ms, lease_ms)));
}

// --- time ---

static enum kvpbus_error end_one(struct kvpbus_journal *journal, int64_t now_ms)
{
    sqlite3_stmt *row;
    struct inbox_row of;
    enum kvpbus_error error = GET(journal, &row,
                                  "SELECT id, tries FROM inbox WHERE due_ms > 0 AND due_ms <= ?1 "
                                  "AND leased = 1 ORDER BY due_ms LIMIT 1",
                                  INT(now_ms));
    if (error != KVPBUS_OK)
        return error;
    int64_t lease = sqlite3_column_int64(row, 0) << TRY_BITS | sqlite3_column_int64(row, 1);
    journal_end(row);
    error = find_leased(journal, lease, &of);
    if (error == KVPBUS_NOT_FOUND)
        return journal_damaged(journal, "a lease is not found");
    if (error != KVPBUS_OK)
        return error;
    return give_back(journal, &of, 0, "its leases ran out");
}

// A request that nobody took while its lifetime lasted, or a reply that nobody fetched. What is
// leased is left to its consumer.
static enum kvpbus_error drop_one(struct kvpbus_journal *journal, int64_t now_ms)
{
    sqlite3_stmt *row;
    struct inbox_row of = {.leased = false};
    enum kvpbus_error error = GET(
        journal, &row,
        "SELECT inbox.id, inbox.stream, inbox.peer, size, kind, class FROM inbox JOIN in_stream "
        "ON in_stream.id = inbox.stream WHERE until_ms > 0 AND until_ms <= ?1 AND inbox.leased = 0 "
        "LIMIT 1",
        INT(now_ms));
    if (error != KVPBUS_OK)
        return error;
    of.id = sqlite3_column_int64(row, 0);
    of.stream = sqlite3_column_int64(row, 1);
    of.peer = sqlite3_column_int64(row, 2);
    of.size = sqlite3_column_int64(row, 3);
    of.kind = (enum kvpbus_kind)sqlite3_column_int(row, 4);
    of.class_ = (enum kvpbus_class)sqlite3_column_int(row, 5);
    journal_end(row);
    error = journal_ended(journal, of.id, FATE_DROPPED, "its lifetime ended before it was taken");
    if (error == KVPBUS_OK)
        error = journal_take_out(journal, &of);
    return error == KVPBUS_OK ? used_up(journal, &of) : error;
}

// Leases, delays and lifetimes are as long as was said, not as a clock that is set back would make
// them. How long a reply is kept goes by its request, which is reckoned by that clock.
static enum kvpbus_error follow_clock(struct kvpbus_journal *journal, int64_t now_ms)
{
    int64_t back = journal->lease_clock_ms - now_ms;
    journal_reckon(journal, now_ms);
    if (back < CLOCK_STEP_MS)
        return KVPBUS_OK;
    journal->lease_clock_ms = now_ms;
    enum kvpbus_error error =
        RUN(journal, "UPDATE inbox SET due_ms = max(due_ms - ?1, 1) WHERE due_ms > 0", INT(back));
    if (error != KVPBUS_OK)
        return error;
    return RUN(journal,
               "UPDATE inbox SET until_ms = max(until_ms - ?1, 1) WHERE until_ms > 0 AND kind = 1",
               INT(back));
}

enum kvpbus_error kvpbus_journal_leases_end(struct kvpbus_journal *journal, int64_t now_ms,
                                            int64_t *next_ms)
{
    *next_ms = 0;
    enum kvpbus_error error = follow_clock(journal, now_ms);
    if (error == KVPBUS_OK)
        error = RUN(journal,
                    "UPDATE inbox SET due_ms = 0 WHERE due_ms > 0 AND due_ms <= ?1 AND leased = 0",
                    INT(now_ms));
    while (error == KVPBUS_OK)
        error = end_one(journal, now_ms);
    if (error != KVPBUS_NOT_FOUND)
        return error;
    do
        error = drop_one(journal, now_ms);
    while (error == KVPBUS_OK);
    if (error != KVPBUS_NOT_FOUND)
        return error;
    sqlite3_stmt *row;
    error = GET(journal, &row, "SELECT due_ms FROM inbox WHERE due_ms > ?1 ORDER BY due_ms LIMIT 1",
                INT(0));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    *next_ms = sqlite3_column_int64(row, 0);
    journal_end(row);
    return KVPBUS_OK;
}
