// SPDX-License-Identifier: Apache-2.0
//
// Messages of the peer on their way to consumers, and their order.
//
// A message may go to a consumer when everything before it in its stream is here or will never
// come. That is known in one of three ways:
//   - its sequence is below `next` of its stream: all lower sequences of its timeline are here;
//   - all lower numbers of its class are done (number <= floor + 1): what is not here is void. A
//     whole bundle that is void leaves a hole in the sequences of streams that nobody here knows;
//   - its timeline is a former one: nothing more comes in that.
// Within a stream messages go out by (timeline as it was taken up, sequence), so those of a former
// timeline come first. The second rule needs no bookkeeping: it is looked up when a consumer asks.
#include "journal_internal.h"

enum { IDLE_STREAMS_MAX = 10000 }; // of one peer, with nothing in the inbox

struct stream_row {
    int64_t id, source, queued;
    uint64_t next;
};

static enum kvpbus_error find_stream(struct kvpbus_journal *journal,
                                     const struct incoming *incoming, struct stream_row *stream)
{
    sqlite3_stmt *row;
    const struct arrival *arrival = incoming->arrival;
    const char *name = incoming->message->stream;
    enum kvpbus_error error =
        GET(journal, &row,
            "INSERT INTO in_stream(peer, class, stream, source, used_ms) VALUES(?1, ?2, ?3, ?4, ?5)"
            " ON CONFLICT(peer, class, stream) DO UPDATE SET used_ms = ?5 "
            "RETURNING id, source, next, queued",
            INT(arrival->peer), INT(arrival->class_), TEXT(name != NULL ? name : ""),
            INT(arrival->source), INT(incoming->now_ms));
    if (error != KVPBUS_OK)
        return error;
    stream->id = sqlite3_column_int64(row, 0);
    stream->source = sqlite3_column_int64(row, 1);
    stream->next = (uint64_t)sqlite3_column_int64(row, 2);
    stream->queued = sqlite3_column_int64(row, 3);
    error = journal_next(journal, row);
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

// Counts the message as here; those that waited for it in the inbox follow.
static enum kvpbus_error step_next(struct kvpbus_journal *journal, const struct incoming *incoming,
                                   struct stream_row *stream)
{
    uint64_t sequence = incoming->message->sequence;
    if (stream->source != incoming->arrival->source) {
        stream->source = incoming->arrival->source;
        stream->next = 1;
    }
    bool all_lower = incoming->number <= incoming->arrival->floor + 1;
    if (sequence < stream->next || (sequence > stream->next && !all_lower))
        return KVPBUS_OK;
    enum kvpbus_error error;
    do {
        sqlite3_stmt *row;
        stream->next = sequence + 1;
        error = GET(journal, &row,
                    "SELECT sequence FROM inbox WHERE stream = ?1 AND source = ?2 AND "
                    "sequence = ?3 LIMIT 1",
                    INT(stream->id), INT(stream->source), INT(stream->next));
        if (error == KVPBUS_OK) {
            sequence = (uint64_t)sqlite3_column_int64(row, 0);
            journal_end(row);
        }
    } while (error == KVPBUS_OK);
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

static enum kvpbus_error insert(struct kvpbus_journal *journal, const struct incoming *incoming,
                                int64_t stream)
{
    const struct kvpbus_message *message = incoming->message;
    bool reply = message->kind >= KVPBUS_KIND_REPLY;
    int64_t peer = incoming->arrival->peer, until = 0;
    enum kvpbus_error error =
        journal_wanted_until(journal, peer, message, incoming->now_ms, &until);
    if (error != KVPBUS_OK)
        return error;
    return RUN(journal,
               "INSERT INTO inbox(peer, stream, source, number, sequence, topic, bundle, place, "
               "size, content, kind, correlation, until_ms) "
               "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
               INT(peer), INT(stream), INT(incoming->arrival->source), INT(incoming->number),
               INT(message->sequence), TEXT(message->topic),
               BLOB(message->id.bundle, KVPBUS_BUNDLE_ID_BYTES), INT(message->id.index),
               INT(incoming->length), BLOB(incoming->content, incoming->length), INT(message->kind),
               reply ? BLOB(message->correlation, message->correlation_length) : NOTHING,
               INT(until));
}

enum kvpbus_error journal_inbox_add(struct kvpbus_journal *journal, const struct incoming *incoming,
                                    size_t *streams)
{
    struct stream_row stream;
    enum kvpbus_error error = find_stream(journal, incoming, &stream);
    if (error == KVPBUS_OK && stream.next == 1 && stream.queued == 0)
        ++*streams; // or one of which as little is known
    if (error == KVPBUS_OK)
        error = step_next(journal, incoming, &stream);
    if (error == KVPBUS_OK && incoming->content != NULL)
        error = insert(journal, incoming, stream.id);
    int64_t id = sqlite3_last_insert_rowid(journal->db);
    if (error == KVPBUS_OK && incoming->content != NULL)
        error = journal_remember(journal, incoming, id);
    if (error != KVPBUS_OK)
        return error;
    bool queued = incoming->content != NULL && incoming->message->kind < KVPBUS_KIND_REPLY;
    return RUN(journal,
               "UPDATE in_stream SET source = ?2, next = ?3, queued = queued + ?4, "
               "head = iif(queued = 0 AND ?4, ?5, head) WHERE id = ?1",
               INT(stream.id), INT(stream.source), INT(stream.next), INT(queued), INT(id));
}

// Forgetting one only makes its next messages wait for lower bundles.
enum kvpbus_error journal_forget_streams(struct kvpbus_journal *journal, int64_t peer,
                                         size_t brought)
{
    if (brought == 0)
        return KVPBUS_OK;
    return RUN(journal,
               "DELETE FROM in_stream WHERE id IN (SELECT id FROM in_stream INDEXED BY "
               "in_stream_idle WHERE peer = ?1 AND queued = 0 ORDER BY used_ms DESC LIMIT ?3 "
               "OFFSET ?2) AND NOT EXISTS(SELECT 1 FROM inbox WHERE inbox.stream = in_stream.id)",
               INT(peer), INT(IDLE_STREAMS_MAX), INT(brought));
}
