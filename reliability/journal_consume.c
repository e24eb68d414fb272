// SPDX-License-Identifier: Apache-2.0
//
// Consumers: leases, acknowledgements, dead letters. One lease at a time per stream keeps its order
// across a retry. A consumer with a pattern sees of a stream only what matches; the rest does not
// hold it up.
#include "journal_internal.h"
#include "topic_match.h"

enum {
    TRY_BITS = 16, // a lease is the message's row << 16 | the try
    CLOCK_STEP_MS = 1000,
};

static int64_t later(int64_t now_ms, uint64_t ms)
{
    return ms > (uint64_t)(INT64_MAX - now_ms) ? INT64_MAX : now_ms + (int64_t)ms;
}

static void reckon(struct kvpbus_journal *journal, int64_t now_ms)
{
    journal->now_ms = now_ms;
    if (now_ms > journal->lease_clock_ms)
        journal->lease_clock_ms = now_ms;
}

// --- finding a message ---

struct candidate {
    int64_t stream, peer, source; // source: of the sequences that `next` counts
    int class_;
    uint64_t next;
    int64_t message; // 0: none
};

// Whether a message of the stream may go out: see journal_inbox.c.
static enum kvpbus_error in_order(struct kvpbus_journal *journal, const struct candidate *stream,
                                  int64_t source, uint64_t sequence, uint64_t number,
                                  bool *deliverable)
{
    *deliverable = source == stream->source && sequence < stream->next;
    if (*deliverable)
        return KVPBUS_OK;
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT source != ?3 OR ?4 <= coalesce((SELECT floor FROM floor WHERE source = ?3 AND "
            "class = ?2), 0) + 1 FROM peer WHERE id = ?1",
            INT(stream->peer), INT(stream->class_), INT(source), INT(number));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? journal_damaged(journal, "a peer is missing") : error;
    *deliverable = sqlite3_column_int(row, 0) != 0;
    journal_end(row);
    return KVPBUS_OK;
}

// The first message of the stream that the pattern matches, if it may go out now.
static enum kvpbus_error look_into(struct kvpbus_journal *journal, const char *pattern,
                                   int64_t now_ms, struct candidate *stream)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT id, topic, source, sequence, number, due_ms FROM inbox WHERE stream = ?1 "
            "ORDER BY source, sequence, id",
            INT(stream->stream));
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        const char *topic = (const char *)sqlite3_column_text(row, 1);
        if (topic == NULL) {
            journal_end(row);
            return journal_damaged(journal, "a message has no topic");
        }
        if (pattern != NULL && !kvpbus_topic_match(pattern, topic))
            continue;
        bool deliverable = false;
        int64_t id = sqlite3_column_int64(row, 0);
        if (sqlite3_column_int64(row, 5) <= now_ms)
            error = in_order(journal, stream, sqlite3_column_int64(row, 2),
                             (uint64_t)sqlite3_column_int64(row, 3),
                             (uint64_t)sqlite3_column_int64(row, 4), &deliverable);
        journal_end(row);
        if (deliverable)
            stream->message = id;
        return error;
    }
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

static enum kvpbus_error find_next(struct kvpbus_journal *journal, int64_t peer,
                                   const char *pattern, int64_t now_ms, struct candidate *found)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT id, peer, class, source, next FROM in_stream WHERE queued > 0 AND leased = 0 "
            "AND (?1 = 0 OR peer = ?1) ORDER BY class != 0, head",
            INT(peer));
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        *found = (struct candidate){
            .stream = sqlite3_column_int64(row, 0),
            .peer = sqlite3_column_int64(row, 1),
            .class_ = sqlite3_column_int(row, 2),
            .source = sqlite3_column_int64(row, 3),
            .next = (uint64_t)sqlite3_column_int64(row, 4),
        };
        error = look_into(journal, pattern, now_ms, found);
        if (error != KVPBUS_OK || found->message != 0) {
            journal_end(row);
            return error;
        }
    }
    return error;
}

// --- leasing ---

static enum kvpbus_error load(struct kvpbus_journal *journal, const struct candidate *found,
                              struct kvpbus_delivery **out)
{
    sqlite3_stmt *row;
    enum kvpbus_error error = GET(
        journal, &row, "SELECT content, sequence, bundle, place, tries FROM inbox WHERE id = ?1",
        INT(found->message));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? journal_damaged(journal, "a message is missing") : error;
    struct kvpbus_message message;
    void *block = NULL;
    const void *content = sqlite3_column_blob(row, 0);
    error = journal_decode(journal, content, (size_t)sqlite3_column_bytes(row, 0),
                           sizeof(struct kvpbus_delivery), &block, &message);
    if (error == KVPBUS_OK)
        error = journal_bytes(journal, row, 2, message.id.bundle, sizeof message.id.bundle);
    if (error == KVPBUS_OK) {
        message.sequence = (uint64_t)sqlite3_column_int64(row, 1);
        message.id.index = (uint16_t)sqlite3_column_int(row, 3);
        uint32_t tries = (uint32_t)sqlite3_column_int64(row, 4);
        struct kvpbus_delivery *delivery = block;
        *delivery = (struct kvpbus_delivery){
            .lease = found->message << TRY_BITS | tries,
            .peer = found->peer,
            .try_ = tries,
            .message = message,
        };
        *out = delivery;
    } else {
        free(block);
    }
    journal_end(row);
    return error;
}

enum kvpbus_error kvpbus_journal_lease(struct kvpbus_journal *journal, int64_t peer,
                                       const char *pattern, uint64_t lease_ms, int64_t now_ms,
                                       struct kvpbus_delivery **delivery)
{
    *delivery = NULL;
    reckon(journal, now_ms);
    if (pattern != NULL && !kvpbus_pattern_valid(pattern))
        return kvpbus_fail(&journal->failure, KVPBUS_BAD_TOPIC,
                           "'%.64s' is not a pattern: names joined by dots, * for one name, a last "
                           "> for the rest",
                           pattern);
    struct candidate found;
    enum kvpbus_error error = find_next(journal, peer, pattern, now_ms, &found);
    if (error == KVPBUS_NOT_FOUND)
        return kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND, "no message waits");
    if (error == KVPBUS_OK)
        error = RUN(journal,
                    "UPDATE inbox SET leased = 1, tries = tries + 1, due_ms = ?2 WHERE id = ?1",
                    INT(found.message), INT(later(now_ms, lease_ms)));
    if (error == KVPBUS_OK)
        error = RUN(journal, "UPDATE in_stream SET leased = 1 WHERE id = ?1", INT(found.stream));
    return error == KVPBUS_OK ? load(journal, &found, delivery) : error;
}

void kvpbus_delivery_free(struct kvpbus_delivery *delivery)
{
    free(delivery);
}

// --- the end of a lease ---

struct leased {
    int64_t id, stream, peer, size;
    uint32_t tries;
};

static enum kvpbus_error find_leased(struct kvpbus_journal *journal, int64_t lease,
                                     struct leased *of)
{
    sqlite3_stmt *row;
    of->id = lease >> TRY_BITS;
    of->tries = (uint32_t)(lease & TRIES_LIMIT);
    enum kvpbus_error error = GET(journal, &row,
                                  "SELECT stream, peer, size FROM inbox WHERE id = ?1 AND "
                                  "leased = 1 AND tries = ?2",
                                  INT(of->id), INT(of->tries));
    if (error == KVPBUS_NOT_FOUND)
        return kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND,
                           "this lease has ended; the message was given out again");
    if (error != KVPBUS_OK)
        return error;
    of->stream = sqlite3_column_int64(row, 0);
    of->peer = sqlite3_column_int64(row, 1);
    of->size = sqlite3_column_int64(row, 2);
    journal_end(row);
    return KVPBUS_OK;
}

static enum kvpbus_error remove_message(struct kvpbus_journal *journal, const struct leased *of)
{
    enum kvpbus_error error = RUN(journal, "DELETE FROM inbox WHERE id = ?1", INT(of->id));
    if (error == KVPBUS_OK)
        error = RUN(journal,
                    "UPDATE in_stream SET leased = 0, queued = queued - 1, head = coalesce((SELECT "
                    "id FROM inbox WHERE stream = ?1 ORDER BY source, sequence, id LIMIT 1), 0) "
                    "WHERE id = ?1",
                    INT(of->stream));
    return error == KVPBUS_OK ? journal_tally(journal, of->peer, TALLY_INBOX, -1, -of->size)
                              : error;
}

enum kvpbus_error kvpbus_journal_ack(struct kvpbus_journal *journal, int64_t lease)
{
    struct leased of;
    enum kvpbus_error error = find_leased(journal, lease, &of);
    return error == KVPBUS_OK ? remove_message(journal, &of) : error;
}

static enum kvpbus_error bury(struct kvpbus_journal *journal, const struct leased *of,
                              const char *reason, int64_t now_ms)
{
    enum kvpbus_error error =
        RUN(journal,
            "INSERT INTO dead_letter(peer, class, stream, bundle, place, sequence, tries, reason, "
            "died_ms, size, content) SELECT inbox.peer, class, in_stream.stream, bundle, place, "
            "sequence, tries, substr(?2, 1, ?3), ?4, size, content FROM inbox JOIN in_stream ON "
            "in_stream.id = inbox.stream WHERE inbox.id = ?1",
            INT(of->id), TEXT(reason != NULL ? reason : ""), INT(KVPBUS_REASON_MAX), INT(now_ms));
    if (error == KVPBUS_OK)
        error = journal_tally(journal, of->peer, TALLY_DEAD_LETTERS, 1, of->size);
    return error == KVPBUS_OK ? remove_message(journal, of) : error;
}

static enum kvpbus_error give_back(struct kvpbus_journal *journal, const struct leased *of,
                                   int64_t due_ms, const char *reason, int64_t now_ms)
{
    if (of->tries >= journal->options.tries_max)
        return bury(journal, of, reason, now_ms);
    enum kvpbus_error error = RUN(journal, "UPDATE inbox SET leased = 0, due_ms = ?2 WHERE id = ?1",
                                  INT(of->id), INT(due_ms));
    return error == KVPBUS_OK
               ? RUN(journal, "UPDATE in_stream SET leased = 0 WHERE id = ?1", INT(of->stream))
               : error;
}

enum kvpbus_error kvpbus_journal_nack(struct kvpbus_journal *journal, int64_t lease,
                                      uint64_t delay_ms, const char *reason, int64_t now_ms)
{
    struct leased of;
    reckon(journal, now_ms);
    enum kvpbus_error error = find_leased(journal, lease, &of);
    if (error != KVPBUS_OK)
        return error;
    return give_back(journal, &of, delay_ms == 0 ? 0 : later(now_ms, delay_ms), reason, now_ms);
}

static enum kvpbus_error end_one(struct kvpbus_journal *journal, int64_t now_ms)
{
    sqlite3_stmt *row;
    struct leased of;
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
    return give_back(journal, &of, 0, "its leases ran out", now_ms);
}

// Leases and delays are as long as was said, not as a clock that is set back would make them.
static enum kvpbus_error follow_clock(struct kvpbus_journal *journal, int64_t now_ms)
{
    int64_t back = journal->lease_clock_ms - now_ms;
    reckon(journal, now_ms);
    if (back < CLOCK_STEP_MS)
        return KVPBUS_OK;
    journal->lease_clock_ms = now_ms;
    return RUN(journal, "UPDATE inbox SET due_ms = max(due_ms - ?1, 1) WHERE due_ms > 0",
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
    sqlite3_stmt *row;
    error = GET(journal, &row, "SELECT due_ms FROM inbox WHERE due_ms > ?1 ORDER BY due_ms LIMIT 1",
                INT(0));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    *next_ms = sqlite3_column_int64(row, 0);
    journal_end(row);
    return KVPBUS_OK;
}
