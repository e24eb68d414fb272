// SPDX-License-Identifier: Apache-2.0
//
// Dead letters: messages that no consumer could do anything with, kept whole with the reason until
// somebody takes them out, gives them back, or the history ends. They count like the inbox.
#include <stdio.h>

#include "journal_internal.h"
#include "topic_match.h"

enum kvpbus_error journal_bury(struct kvpbus_journal *journal, const struct inbox_row *of,
                               const char *reason)
{
    enum kvpbus_error error =
        RUN(journal,
            "INSERT INTO dead_letter(peer, class, stream, source, number, sequence, topic, bundle, "
            "place, kind, correlation, tries, reason, died_ms, size, content) SELECT inbox.peer, "
            "class, in_stream.stream, inbox.source, number, sequence, topic, bundle, place, kind, "
            "correlation, tries, ?2, ?3, size, content FROM inbox JOIN in_stream ON in_stream.id = "
            "inbox.stream WHERE inbox.id = ?1",
            INT(of->id), TEXT(reason != NULL ? reason : ""), INT(journal->now_ms));
    if (error == KVPBUS_OK)
        error = journal_audit_inbox(journal, KVPBUS_AUDIT_DEAD_LETTER, of->id);
    if (error == KVPBUS_OK)
        error = journal_tally(journal, of->peer, TALLY_DEAD_LETTERS, 1, of->size);
    if (error == KVPBUS_OK)
        error = journal_ended(journal, of->id, FATE_DEAD, reason != NULL ? reason : "");
    return error == KVPBUS_OK ? journal_take_out(journal, of) : error;
}

// --- which ones ---

struct search {
    const struct kvpbus_dead_filter *filter;
    int64_t after;
    sqlite3_stmt *row;
};

enum column { ID, PEER, CLASS, STREAM, TOPIC, BUNDLE, PLACE, KIND, TRIES, REASON, DIED, SIZE };
#define COLUMNS                                                                                 \
    "SELECT id, peer, class, stream, topic, bundle, place, kind, tries, reason, died_ms, size " \
    "FROM "                                                                                     \
    "dead_letter "

static enum kvpbus_error check(struct kvpbus_journal *journal,
                               const struct kvpbus_dead_filter *filter)
{
    if (filter->pattern == NULL || kvpbus_pattern_valid(filter->pattern))
        return KVPBUS_OK;
    return kvpbus_fail(&journal->failure, KVPBUS_BAD_TOPIC, KVPBUS_PATTERN_RULES);
}

// On to the next row that the pattern matches. KVPBUS_NOT_FOUND: there is none.
static enum kvpbus_error settle(struct kvpbus_journal *journal, struct search *search,
                                enum kvpbus_error error)
{
    const char *pattern = search->filter->pattern;
    for (; error == KVPBUS_OK; error = journal_next(journal, search->row)) {
        const char *topic = (const char *)sqlite3_column_text(search->row, TOPIC);
        if (topic == NULL) {
            journal_end(search->row);
            return journal_damaged(journal, "a dead letter has no topic");
        }
        if (pattern == NULL || kvpbus_topic_match(pattern, topic))
            return KVPBUS_OK;
    }
    return error;
}

static enum kvpbus_error first(struct kvpbus_journal *journal, struct search *search)
{
    const struct kvpbus_dead_filter *filter = search->filter;
    enum kvpbus_error error = check(journal, filter);
    if (error != KVPBUS_OK)
        return error;
    if (filter->id != NULL)
        error = GET(journal, &search->row,
                    COLUMNS "WHERE bundle = ?3 AND place = ?4 AND id > ?1 AND (?2 = 0 OR peer = "
                            "?2) ORDER BY id",
                    INT(search->after), INT(filter->peer),
                    BLOB(filter->id->bundle, sizeof filter->id->bundle), INT(filter->id->index));
    else
        error = GET(journal, &search->row,
                    COLUMNS "WHERE id > ?1 AND (?2 = 0 OR peer = ?2) ORDER BY id",
                    INT(search->after), INT(filter->peer));
    return settle(journal, search, error);
}

static enum kvpbus_error next(struct kvpbus_journal *journal, struct search *search)
{
    return settle(journal, search, journal_next(journal, search->row));
}

// --- looking ---

static void copy_text(sqlite3_stmt *row, int column, char *text, size_t size)
{
    const char *stored = (const char *)sqlite3_column_text(row, column);
    snprintf(text, size, "%s", stored != NULL ? stored : "");
}

static enum kvpbus_error read_letter(struct kvpbus_journal *journal, sqlite3_stmt *row,
                                     struct kvpbus_dead_letter *letter)
{
    *letter = (struct kvpbus_dead_letter){
        .number = sqlite3_column_int64(row, ID),
        .peer = sqlite3_column_int64(row, PEER),
        .class_ = (enum kvpbus_class)sqlite3_column_int(row, CLASS),
        .size = (uint64_t)sqlite3_column_int64(row, SIZE),
        .tries = (uint32_t)sqlite3_column_int64(row, TRIES),
        .died_ms = sqlite3_column_int64(row, DIED),
        .id.index = (uint16_t)sqlite3_column_int(row, PLACE),
    };
    copy_text(row, TOPIC, letter->topic, sizeof letter->topic);
    copy_text(row, STREAM, letter->stream, sizeof letter->stream);
    copy_text(row, REASON, letter->reason, sizeof letter->reason);
    return journal_bytes(journal, row, BUNDLE, letter->id.bundle, sizeof letter->id.bundle);
}

enum kvpbus_error kvpbus_journal_dead_list(struct kvpbus_journal *journal,
                                           const struct kvpbus_dead_filter *filter, int64_t after,
                                           struct kvpbus_dead_letter *letters, size_t max,
                                           size_t *count, bool *more)
{
    struct search search = {.filter = filter, .after = after};
    *count = 0;
    *more = false;
    enum kvpbus_error error = first(journal, &search);
    for (; error == KVPBUS_OK; error = next(journal, &search)) {
        *more = *count == max;
        if (!*more)
            error = read_letter(journal, search.row, &letters[(*count)++]);
        if (*more || error != KVPBUS_OK) {
            journal_end(search.row);
            return error;
        }
    }
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

static enum kvpbus_error none(struct kvpbus_journal *journal)
{
    return kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND,
                       "there is no such dead letter, or no longer");
}

enum kvpbus_error kvpbus_journal_dead_get(struct kvpbus_journal *journal,
                                          const struct kvpbus_dead_filter *filter,
                                          struct kvpbus_delivery **delivery)
{
    struct search search = {.filter = filter};
    *delivery = NULL;
    enum kvpbus_error error = first(journal, &search);
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? none(journal) : error;
    int64_t id = sqlite3_column_int64(search.row, ID),
            peer = sqlite3_column_int64(search.row, PEER);
    uint32_t tries = (uint32_t)sqlite3_column_int64(search.row, TRIES);
    journal_end(search.row);
    sqlite3_stmt *row;
    error = GET(journal, &row,
                "SELECT content, sequence, bundle, place FROM dead_letter WHERE id = ?1", INT(id));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? none(journal) : error;
    error = journal_delivery(journal, row, peer, delivery);
    journal_end(row);
    if (error == KVPBUS_OK)
        (*delivery)->try_ = tries;
    return error;
}

// --- back into the inbox, or away ---

// The row becomes one of the inbox, where it stood in its stream.
static enum kvpbus_error bring_back(struct kvpbus_journal *journal, int64_t id, bool reply,
                                    int64_t now_ms)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "INSERT INTO in_stream(peer, class, stream, source, used_ms) SELECT peer, class, "
            "stream, source, ?2 FROM dead_letter WHERE id = ?1 ON CONFLICT(peer, class, stream) DO "
            "UPDATE SET used_ms = ?2 RETURNING id",
            INT(id), INT(now_ms));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? journal_damaged(journal, "a stream is missing") : error;
    int64_t stream = sqlite3_column_int64(row, 0);
    error = journal_next(journal, row);
    if (error != KVPBUS_NOT_FOUND)
        return error;
    // A reply is kept as one to a request without a lifetime is.
    int64_t until = reply ? journal_later(now_ms, journal->options.history_ms) : 0;
    error = RUN(journal,
                "INSERT INTO inbox(peer, stream, source, number, sequence, topic, bundle, place, "
                "size, content, kind, correlation, until_ms) SELECT peer, ?2, source, number, "
                "sequence, topic, bundle, place, size, content, kind, correlation, ?3 FROM "
                "dead_letter WHERE id = ?1",
                INT(id), INT(stream), INT(until));
    if (error == KVPBUS_OK)
        error = RUN(journal,
                    "UPDATE received SET inbox = ?2 WHERE (peer, bundle, place) = (SELECT peer, "
                    "bundle, place FROM dead_letter WHERE id = ?1)",
                    INT(id), INT(sqlite3_last_insert_rowid(journal->db)));
    if (error != KVPBUS_OK || reply)
        return error;
    return RUN(journal,
               "UPDATE in_stream SET queued = queued + 1, head = (SELECT id FROM inbox WHERE "
               "stream = ?1 AND kind < 2 ORDER BY source, sequence, id LIMIT 1) WHERE id = ?1",
               INT(stream));
}

static enum kvpbus_error take_one(struct kvpbus_journal *journal, sqlite3_stmt *row, bool retry,
                                  int64_t now_ms)
{
    int64_t id = sqlite3_column_int64(row, ID), peer = sqlite3_column_int64(row, PEER);
    int64_t size = sqlite3_column_int64(row, SIZE);
    bool bulk = sqlite3_column_int(row, CLASS) == KVPBUS_CLASS_BULK;
    bool reply = sqlite3_column_int(row, KIND) >= KVPBUS_KIND_REPLY;
    journal_end(row);
    enum kvpbus_error error = retry ? bring_back(journal, id, reply, now_ms) : KVPBUS_OK;
    if (error == KVPBUS_OK)
        error = RUN(journal, "DELETE FROM dead_letter WHERE id = ?1", INT(id));
    if (error == KVPBUS_OK)
        error = journal_tally(journal, peer, TALLY_DEAD_LETTERS, -1, -size);
    if (error == KVPBUS_OK && retry)
        error = journal_tally(journal, peer, TALLY_INBOX, 1, size);
    if (error == KVPBUS_OK && !retry && bulk)
        error = journal_tally(journal, peer, TALLY_BULK_RECEIVED, -1, -size);
    return error;
}

// What dies again meanwhile is not met a second time.
static enum kvpbus_error find_last(struct kvpbus_journal *journal, int64_t *last)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row, "SELECT coalesce(max(id), 0) FROM dead_letter WHERE ?1", INT(1));
    if (error != KVPBUS_OK)
        return error;
    *last = sqlite3_column_int64(row, 0);
    journal_end(row);
    return KVPBUS_OK;
}

static enum kvpbus_error walk_on(struct kvpbus_journal *journal,
                                 const struct kvpbus_dead_filter *filter, bool retry,
                                 int64_t now_ms, size_t max, struct kvpbus_dead_walk *walk)
{
    enum kvpbus_error error = walk->last == 0 ? find_last(journal, &walk->last) : KVPBUS_OK;
    walk->more = false;
    for (size_t done = 0; error == KVPBUS_OK; done++) {
        struct search search = {.filter = filter, .after = walk->after};
        error = first(journal, &search);
        if (error != KVPBUS_OK)
            break;
        int64_t id = sqlite3_column_int64(search.row, ID);
        walk->more = done == max && id <= walk->last;
        if (walk->more || id > walk->last) {
            journal_end(search.row);
            return KVPBUS_OK;
        }
        error = take_one(journal, search.row, retry, now_ms);
        walk->after = id;
        walk->count++;
    }
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

enum kvpbus_error kvpbus_journal_dead_retry(struct kvpbus_journal *journal,
                                            const struct kvpbus_dead_filter *filter, int64_t now_ms,
                                            size_t max, struct kvpbus_dead_walk *walk)
{
    return walk_on(journal, filter, true, now_ms, max, walk);
}

enum kvpbus_error kvpbus_journal_dead_drop(struct kvpbus_journal *journal,
                                           const struct kvpbus_dead_filter *filter, size_t max,
                                           struct kvpbus_dead_walk *walk)
{
    return walk_on(journal, filter, false, 0, max, walk);
}
