// SPDX-License-Identifier: Apache-2.0
//
// A whole bundle of the peer: verified, opened, and its new messages put into the inbox.
#include <sodium.h>

#include "big_endian.h"
#include "journal_internal.h"

enum {
    DIGEST_BYTES = 8,
    DIGEST_ROW = 2 + DIGEST_BYTES, // index, digest
};

static enum kvpbus_error advance(struct kvpbus_journal *journal, const struct arrival *arrival)
{
    uint64_t floor = arrival->floor;
    uint8_t print[PRINT_BYTES];
    enum kvpbus_error error;
    for (;; floor++) {
        sqlite3_stmt *row;
        error = GET(journal, &row,
                    "SELECT coalesce(print, zeroblob(16)) FROM arrived WHERE source = ?1 AND "
                    "class = ?2 AND number = ?3 AND state != 0",
                    INT(arrival->source), INT(arrival->class_), INT(floor + 1));
        if (error != KVPBUS_OK)
            break;
        error = journal_bytes(journal, row, 0, print, sizeof print);
        journal_end(row);
        if (error != KVPBUS_OK)
            return error;
    }
    if (error != KVPBUS_NOT_FOUND || floor == arrival->floor)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    return RUN(journal, "UPDATE floor SET floor = ?3, print = ?4 WHERE source = ?1 AND class = ?2",
               INT(arrival->source), INT(arrival->class_), INT(floor), BLOB(print, sizeof print));
}

enum kvpbus_error journal_arrived(struct kvpbus_journal *journal, const struct arrival *arrival,
                                  const struct arrived *arrived, enum arrived_state state,
                                  const uint8_t *print)
{
    assert(state != ARRIVED_PART && arrived->id != 0);
    enum kvpbus_error error = RUN(journal, "DELETE FROM held WHERE arrived = ?1", INT(arrived->id));
    if (error == KVPBUS_OK)
        error =
            RUN(journal, "UPDATE arrived SET state = ?2, print = ?3, done_ms = ?4 WHERE id = ?1",
                INT(arrived->id), INT(state), print == NULL ? NOTHING : BLOB(print, PRINT_BYTES),
                INT(journal->now_ms));
    return error == KVPBUS_OK ? advance(journal, arrival) : error;
}

// --- duplicates ---
// The same id is the same message only with the same content: after a revert a sender may give an
// id again that it does not remember.
static void digest_of(const uint8_t *content, size_t length, uint8_t digest[DIGEST_BYTES])
{
    uint8_t hash[crypto_generichash_BYTES_MIN];
    crypto_generichash(hash, sizeof hash, content, length, NULL, 0);
    memcpy(digest, hash, DIGEST_BYTES);
}

static enum kvpbus_error was_here(struct kvpbus_journal *journal, const struct arrival *arrival,
                                  const uint8_t *bundle, const uint8_t entry[DIGEST_ROW],
                                  bool *here)
{
    sqlite3_stmt *row;
    *here = false;
    enum kvpbus_error error = GET(journal, &row,
                                  "SELECT digests FROM arrived WHERE bundle = ?1 AND peer = ?2 AND "
                                  "digests IS NOT NULL",
                                  BLOB(bundle, KVPBUS_BUNDLE_ID_BYTES), INT(arrival->peer));
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        const uint8_t *digests = sqlite3_column_blob(row, 0);
        size_t length = (size_t)sqlite3_column_bytes(row, 0);
        for (size_t i = 0; digests != NULL && i + DIGEST_ROW <= length; i += DIGEST_ROW)
            if (memcmp(digests + i, entry, DIGEST_ROW) == 0) {
                *here = true;
                journal_end(row);
                return KVPBUS_OK;
            }
    }
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

// --- the inbox ---

struct delivery_list {
    const struct kvpbus_message *messages;
    size_t count;
    struct void_list voids;
    uint8_t digests[DIGEST_ROW * KVPBUS_BUNDLE_MESSAGES_MAX];
    size_t digests_length;
    size_t bytes;    // new in the inbox
    size_t receipts; // messages that told of some
    size_t streams;  // that were not known
};

static enum kvpbus_error deliver(struct kvpbus_journal *journal, const struct arrival *arrival,
                                 const struct arrived *arrived, struct kvpbus_message *message,
                                 int64_t now_ms, struct delivery_list *list, bool *duplicate)
{
    uint8_t *content;
    size_t length;
    message->class_ = arrival->class_;
    enum kvpbus_error error = journal_encode(journal, message, &content, &length);
    if (error != KVPBUS_OK)
        return error;
    uint8_t *entry = list->digests + list->digests_length;
    kvpbus_put_be(entry, message->id.index, 2);
    digest_of(content, length, entry + 2);
    bool void_ = journal_has_void(&list->voids, message->id.index);
    *duplicate = false;
    if (!void_) {
        list->digests_length += DIGEST_ROW;
        error = was_here(journal, arrival, message->id.bundle, entry, duplicate);
        if (error == KVPBUS_OK && *duplicate && message->receipt)
            error = journal_receipt_again(journal, arrival->peer, &message->id);
    }
    bool told = message->kind == KVPBUS_KIND_RECEIPT && !void_ && !*duplicate;
    if (error == KVPBUS_OK && told)
        error = journal_receipts_came(journal, arrival->peer, message);
    list->receipts += told;
    void_ |= told; // it is for the journal itself
    struct incoming incoming = {
        .arrival = arrival,
        .number = arrived->number,
        .now_ms = now_ms,
        .message = message,
        .content = void_ || *duplicate ? NULL : content,
        .length = length,
    };
    if (error == KVPBUS_OK)
        error = journal_inbox_add(journal, &incoming, &list->streams);
    if (incoming.content != NULL)
        list->bytes += length;
    free(content);
    *duplicate |= void_;
    return error;
}

static enum kvpbus_error deliver_all(struct kvpbus_journal *journal, const struct arrival *arrival,
                                     const struct arrived *arrived, int64_t now_ms,
                                     struct delivery_list *list,
                                     struct kvpbus_fragment_result *result)
{
    struct audit_ids ids = {.length = 0};
    enum kvpbus_error error = journal_read_voids(journal, arrived->id, &list->voids);
    for (size_t i = 0; error == KVPBUS_OK && i < list->count; i++) {
        struct kvpbus_message message = list->messages[i];
        bool old = true;
        error = deliver(journal, arrival, arrived, &message, now_ms, list, &old);
        if (old)
            continue;
        result->messages++;
        if (error == KVPBUS_OK)
            error = journal_audit_id(journal, &ids, arrival->peer, KVPBUS_AUDIT_RECEIVED,
                                     message.id.bundle, message.id.index);
    }
    if (error == KVPBUS_OK)
        error = journal_audit_flush(journal, &ids);
    if (error == KVPBUS_OK)
        error = journal_tally(journal, arrival->peer, TALLY_INBOX, (int64_t)result->messages,
                              (int64_t)list->bytes);
    if (error == KVPBUS_OK && arrival->class_ == KVPBUS_CLASS_BULK)
        error = journal_tally(journal, arrival->peer, TALLY_BULK_RECEIVED,
                              (int64_t)result->messages, (int64_t)list->bytes);
    if (error == KVPBUS_OK)
        error = RUN(journal, "UPDATE peer SET received = received + ?2 WHERE id = ?1",
                    INT(arrival->peer), INT(result->messages));
    if (error == KVPBUS_OK)
        error = journal_forget_oldest(journal, arrival->peer);
    if (error == KVPBUS_OK)
        error = journal_forget_streams(journal, arrival->peer, list->streams);
    if (error != KVPBUS_OK)
        return error;
    result->receipts = list->receipts > 0;
    result->duplicate = result->messages == 0 && !result->receipts;
    return RUN(journal, "UPDATE arrived SET bundle = ?2, digests = ?3 WHERE id = ?1",
               INT(arrived->id), BLOB(list->messages[0].id.bundle, KVPBUS_BUNDLE_ID_BYTES),
               BLOB(list->digests, list->digests_length));
}

// --- the bundle ---

static bool messages_valid(const struct delivery_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->messages[i].sequence == 0 || list->messages[i].sequence >= INT64_MAX ||
            (list->messages[i].kind == KVPBUS_KIND_RECEIPT &&
             !journal_receipts_valid(&list->messages[i])))
            return false;
    return list->count > 0 && list->count <= KVPBUS_BUNDLE_MESSAGES_MAX;
}

// The bundle must be the one that its frames named.
static enum kvpbus_error check_place(struct kvpbus_journal *journal, const struct arrival *arrival,
                                     const struct arrived *arrived,
                                     const struct kvpbus_bundle_header *header)
{
    uint8_t timeline[KVPBUS_TIMELINE_BYTES];
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row, "SELECT timeline FROM source WHERE id = ?1", INT(arrival->source));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? journal_damaged(journal, "a timeline is missing")
                                         : error;
    error = journal_bytes(journal, row, 0, timeline, sizeof timeline);
    journal_end(row);
    if (error != KVPBUS_OK)
        return error;
    const struct kvpbus_bundle_position *position = &header->position;
    if (memcmp(position->timeline, timeline, sizeof timeline) == 0 &&
        position->number == arrived->number && position->class_ == arrival->class_)
        return KVPBUS_OK;
    return kvpbus_fail(&journal->failure, KVPBUS_BAD_BUNDLE, "it was sealed for another position");
}

static enum kvpbus_error route_from(struct kvpbus_journal *journal, int64_t peer,
                                    struct kvpbus_route *route)
{
    struct kvpbus_peer from;
    enum kvpbus_error error = kvpbus_journal_peer_get(journal, peer, &from);
    if (error != KVPBUS_OK)
        return error;
    if (!from.paired)
        return kvpbus_fail(&journal->failure, KVPBUS_UNPAIRED, "%s is not paired", from.name);
    route->recipient = journal->options.role;
    memcpy(route->sender, from.identity, sizeof route->sender);
    memcpy(route->vm, from.vm, sizeof route->vm);
    return KVPBUS_OK;
}

static bool of_the_bundle(enum kvpbus_error error)
{
    return error == KVPBUS_BAD_BUNDLE || error == KVPBUS_BAD_SIGNATURE || error == KVPBUS_TOO_LARGE;
}

static enum kvpbus_error refuse(struct kvpbus_journal *journal, const struct arrival *arrival,
                                const struct arrived *arrived, const uint8_t *print,
                                struct kvpbus_fragment_result *result)
{
    if (arrived->resumed) {
        // The pieces may be of two bundles: the peer may have gone back between the sessions. The
        // next session begins this number from its first byte.
        journal->suspect = arrived->id;
        return kvpbus_fail(&journal->failure, KVPBUS_BAD_PACKET,
                           "bundle %llu does not fit what came of it in an earlier session; it is "
                           "sent again",
                           (unsigned long long)arrived->number);
    }
    result->complete = result->refused = true;
    enum kvpbus_error error = journal_audit_refused(journal, arrival->peer, journal->failure.code,
                                                    arrival->class_, arrived->number);
    return error == KVPBUS_OK ? journal_arrived(journal, arrival, arrived, ARRIVED_REFUSED, print)
                              : error;
}

enum kvpbus_error journal_accept(struct kvpbus_journal *journal, const struct arrival *arrival,
                                 const struct arrived *arrived, const uint8_t *bytes,
                                 int64_t now_ms, struct kvpbus_fragment_result *result)
{
    struct kvpbus_bundle_header header;
    struct kvpbus_route route;
    struct kvpbus_bundle_content *content = NULL;
    uint8_t print[PRINT_BYTES];
    journal_print(bytes, print);
    enum kvpbus_error error = route_from(journal, arrival->peer, &route);
    if (error != KVPBUS_OK)
        return error;
    error = kvpbus_bundle_header_read(bytes, arrived->total, &header, &journal->failure);
    if (error == KVPBUS_OK)
        error = check_place(journal, arrival, arrived, &header);
    if (error == KVPBUS_OK)
        error = kvpbus_bundle_open(&route, bytes, arrived->total, journal_plain_max(journal),
                                   &content, &journal->failure);
    struct delivery_list *list = error == KVPBUS_OK ? calloc(1, sizeof *list) : NULL;
    if (error == KVPBUS_OK && list == NULL)
        error = kvpbus_fail(&journal->failure, KVPBUS_NOMEM, "out of memory for a bundle");
    if (error == KVPBUS_OK) {
        list->messages = kvpbus_bundle_messages(content, &list->count);
        if (!messages_valid(list))
            error = kvpbus_fail(&journal->failure, KVPBUS_BAD_BUNDLE,
                                "a message has no place, or is a receipt that says nothing");
    }
    if (error == KVPBUS_OK)
        error = journal_may_receive(journal, arrival->peer, header.plain_length, list->count);
    if (error == KVPBUS_OK)
        error = deliver_all(journal, arrival, arrived, now_ms, list, result);
    if (error == KVPBUS_OK) {
        result->complete = true;
        error = journal_arrived(journal, arrival, arrived, ARRIVED_WHOLE, print);
    } else if (of_the_bundle(error)) {
        error = refuse(journal, arrival, arrived, print, result);
    }
    kvpbus_bundle_content_free(content);
    free(list);
    return error;
}
