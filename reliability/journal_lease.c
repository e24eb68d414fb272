// SPDX-License-Identifier: Apache-2.0
//
// Leases: which message a consumer is given. One lease at a time per stream keeps its order across
// a retry. A consumer sees of a stream only what its filter matches; the rest does not hold it up.
// Replies are apart: they go to whoever asks for those to their request, however long a consumer of
// the stream's other messages takes, or it could wait for itself.
#include "journal_internal.h"
#include "topic_match.h"

enum { PLAIN_KINDS = 1 << KVPBUS_KIND_EVENT | 1 << KVPBUS_KIND_REQUEST };

struct candidate {
    int64_t stream, peer, source; // source: of the sequences that `next` counts
    int class_;
    uint64_t next;
    int64_t message; // 0: none
};

// --- the filter ---

static enum kvpbus_error check_filter(struct kvpbus_journal *journal,
                                      const struct kvpbus_filter *filter)
{
    if (filter->pattern != NULL && !kvpbus_pattern_valid(filter->pattern))
        return kvpbus_fail(&journal->failure, KVPBUS_BAD_TOPIC, KVPBUS_PATTERN_RULES);
    if (filter->reply_to == NULL && (filter->kinds & ~(unsigned)PLAIN_KINDS) != 0)
        return kvpbus_fail(&journal->failure, KVPBUS_INVALID_ARGUMENT,
                           "only events and requests can be received without naming a request; "
                           "replies go to who asks for those to their request");
    return KVPBUS_OK;
}

// 1: yes, 0: no, -1: the row is damaged.
static int topic_matches(const struct kvpbus_filter *filter, sqlite3_stmt *row, int column)
{
    const char *topic = (const char *)sqlite3_column_text(row, column);
    if (topic == NULL)
        return -1;
    return filter->pattern == NULL || kvpbus_topic_match(filter->pattern, topic) ? 1 : 0;
}

// --- order ---

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

// --- events and requests ---

// The first message of the stream that the filter matches, if it may go out now.
static enum kvpbus_error look_into(struct kvpbus_journal *journal,
                                   const struct kvpbus_filter *filter, int64_t now_ms,
                                   struct candidate *stream)
{
    sqlite3_stmt *row;
    unsigned kinds = filter->kinds != 0 ? filter->kinds : PLAIN_KINDS;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT id, topic, source, sequence, number, due_ms FROM inbox WHERE stream = ?1 AND "
            "(1 << kind) & ?2 AND (until_ms = 0 OR until_ms > ?3) ORDER BY source, sequence, id",
            INT(stream->stream), INT(kinds), INT(now_ms));
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        int matches = topic_matches(filter, row, 1);
        if (matches == 0)
            continue;
        bool deliverable = false;
        int64_t id = sqlite3_column_int64(row, 0);
        if (matches < 0)
            error = journal_damaged(journal, "a message has no topic");
        else if (sqlite3_column_int64(row, 5) <= now_ms)
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

static enum kvpbus_error find_plain(struct kvpbus_journal *journal,
                                    const struct kvpbus_filter *filter, int64_t now_ms,
                                    struct candidate *found)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT id, peer, class, source, next FROM in_stream WHERE queued > 0 AND leased = 0 "
            "AND (?1 = 0 OR peer = ?1) ORDER BY class != 0, head",
            INT(filter->peer));
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        *found = (struct candidate){
            .stream = sqlite3_column_int64(row, 0),
            .peer = sqlite3_column_int64(row, 1),
            .class_ = sqlite3_column_int(row, 2),
            .source = sqlite3_column_int64(row, 3),
            .next = (uint64_t)sqlite3_column_int64(row, 4),
        };
        error = look_into(journal, filter, now_ms, found);
        if (error != KVPBUS_OK || found->message != 0) {
            journal_end(row);
            return error;
        }
    }
    return error;
}

// --- replies ---

// The first of each stream that matches, if it may go out now.
static enum kvpbus_error find_reply(struct kvpbus_journal *journal,
                                    const struct kvpbus_filter *filter, int64_t now_ms,
                                    struct candidate *found)
{
    sqlite3_stmt *row;
    uint8_t correlation[CORRELATION_BYTES];
    int64_t blocked = 0; // a stream whose first one may not
    journal_correlation(filter->reply_to, correlation);
    enum kvpbus_error error = GET(
        journal, &row,
        "SELECT waits.id, topic, waits.stream, waits.source, sequence, number, waits.leased = 1 "
        "OR due_ms > ?3, waits.peer, class, in_stream.source, next FROM (SELECT * FROM inbox "
        "WHERE correlation = ?1 AND (?2 = 0 OR peer = ?2) AND until_ms > ?3) AS waits JOIN "
        "in_stream ON in_stream.id = waits.stream ORDER BY class != 0, waits.stream, "
        "waits.source, sequence, waits.id",
        BLOB(correlation, sizeof correlation), INT(filter->peer), INT(now_ms));
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        int matches = topic_matches(filter, row, 1);
        int64_t stream = sqlite3_column_int64(row, 2);
        if (matches == 0 || stream == blocked)
            continue;
        bool deliverable = false;
        *found = (struct candidate){
            .stream = stream,
            .peer = sqlite3_column_int64(row, 7),
            .class_ = sqlite3_column_int(row, 8),
            .source = sqlite3_column_int64(row, 9),
            .next = (uint64_t)sqlite3_column_int64(row, 10),
        };
        if (matches < 0)
            error = journal_damaged(journal, "a message has no topic");
        else if (sqlite3_column_int(row, 6) == 0)
            error = in_order(journal, found, sqlite3_column_int64(row, 3),
                             (uint64_t)sqlite3_column_int64(row, 4),
                             (uint64_t)sqlite3_column_int64(row, 5), &deliverable);
        if (deliverable)
            found->message = sqlite3_column_int64(row, 0);
        if (error != KVPBUS_OK || deliverable) {
            journal_end(row);
            return error;
        }
        blocked = stream;
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
    uint32_t tries = (uint32_t)sqlite3_column_int64(row, 4);
    error = journal_delivery(journal, row, found->peer, out);
    if (error == KVPBUS_OK) {
        (*out)->lease = found->message << TRY_BITS | tries;
        (*out)->try_ = tries;
    }
    journal_end(row);
    return error;
}

enum kvpbus_error journal_delivery(struct kvpbus_journal *journal, sqlite3_stmt *row, int64_t peer,
                                   struct kvpbus_delivery **out)
{
    struct kvpbus_message message;
    void *block = NULL;
    const void *content = sqlite3_column_blob(row, 0);
    enum kvpbus_error error = journal_decode(journal, content, (size_t)sqlite3_column_bytes(row, 0),
                                             sizeof(struct kvpbus_delivery), &block, &message);
    if (error == KVPBUS_OK)
        error = journal_bytes(journal, row, 2, message.id.bundle, sizeof message.id.bundle);
    if (error != KVPBUS_OK) {
        free(block);
        return error;
    }
    message.sequence = (uint64_t)sqlite3_column_int64(row, 1);
    message.id.index = (uint16_t)sqlite3_column_int(row, 3);
    *out = block;
    **out = (struct kvpbus_delivery){.peer = peer, .message = message};
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_journal_lease(struct kvpbus_journal *journal,
                                       const struct kvpbus_filter *filter, uint64_t lease_ms,
                                       int64_t now_ms, struct kvpbus_delivery **delivery)
{
    *delivery = NULL;
    journal_reckon(journal, now_ms);
    struct candidate found;
    bool reply = filter->reply_to != NULL;
    enum kvpbus_error error = check_filter(journal, filter);
    if (error != KVPBUS_OK)
        return error;
    error = reply ? find_reply(journal, filter, now_ms, &found)
                  : find_plain(journal, filter, now_ms, &found);
    if (error == KVPBUS_NOT_FOUND)
        return kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND, "no message waits");
    if (error == KVPBUS_OK)
        error = RUN(journal,
                    "UPDATE inbox SET leased = 1, tries = tries + 1, due_ms = ?2 WHERE id = ?1",
                    INT(found.message), INT(journal_later(now_ms, lease_ms)));
    if (error == KVPBUS_OK && !reply)
        error = RUN(journal, "UPDATE in_stream SET leased = 1 WHERE id = ?1", INT(found.stream));
    return error == KVPBUS_OK ? load(journal, &found, delivery) : error;
}

void kvpbus_delivery_free(struct kvpbus_delivery *delivery)
{
    free(delivery);
}
