// SPDX-License-Identifier: Apache-2.0
//
// Bundles out: sealing what waits, and reading the sealed bytes.
#include <sodium.h>

#include "journal_internal.h"

enum { PROTOBUF_BYTES = 48 }; // of a message beside its strings and body, about

// Messages of one bundle id on their way into a sealed bundle.
struct group {
    uint8_t bundle[KVPBUS_BUNDLE_ID_BYTES];
    int64_t first, last; // rows
    size_t count, plain;
    struct kvpbus_message *messages; // KVPBUS_BUNDLE_MESSAGES_MAX
    void **blocks;
};

static void free_group(struct group *group)
{
    for (size_t i = 0; i < group->count; i++)
        free(group->blocks[i]);
    free(group->blocks);
    free(group->messages);
}

static enum kvpbus_error make_group(struct kvpbus_journal *journal, struct group *group)
{
    memset(group, 0, sizeof *group);
    group->messages = calloc(KVPBUS_BUNDLE_MESSAGES_MAX, sizeof *group->messages);
    group->blocks = calloc(KVPBUS_BUNDLE_MESSAGES_MAX, sizeof *group->blocks);
    if (group->messages != NULL && group->blocks != NULL)
        return KVPBUS_OK;
    free_group(group);
    return kvpbus_fail(&journal->failure, KVPBUS_NOMEM, "out of memory for a bundle");
}

// Takes the message of this row into the group, unless it belongs to another bundle or is too much.
static enum kvpbus_error take(struct kvpbus_journal *journal, sqlite3_stmt *row, size_t target,
                              struct group *group, bool *taken)
{
    *taken = false;
    size_t plain = (size_t)sqlite3_column_int64(row, 3) + PROTOBUF_BYTES;
    uint8_t bundle[KVPBUS_BUNDLE_ID_BYTES];
    enum kvpbus_error error = journal_bytes(journal, row, 1, bundle, sizeof bundle);
    if (error != KVPBUS_OK)
        return error;
    uint16_t index = (uint16_t)sqlite3_column_int(row, 2);
    if (group->count == 0)
        memcpy(group->bundle, bundle, sizeof bundle);
    else if (group->count == KVPBUS_BUNDLE_MESSAGES_MAX || group->plain + plain > target ||
             memcmp(group->bundle, bundle, sizeof bundle) != 0 ||
             index <= group->messages[group->count - 1].id.index)
        return KVPBUS_OK;
    struct kvpbus_message *message = &group->messages[group->count];
    const void *content = sqlite3_column_blob(row, 4);
    error = journal_decode(journal, content, (size_t)sqlite3_column_bytes(row, 4), 0,
                           &group->blocks[group->count], message);
    if (error != KVPBUS_OK)
        return error;
    memcpy(message->id.bundle, bundle, sizeof bundle);
    message->id.index = index;
    group->last = sqlite3_column_int64(row, 0);
    if (group->count == 0)
        group->first = group->last;
    group->count++;
    group->plain += plain;
    *taken = true;
    return KVPBUS_OK;
}

static enum kvpbus_error gather(struct kvpbus_journal *journal, int64_t peer,
                                enum kvpbus_class class_, size_t target, struct group *group)
{
    sqlite3_stmt *row;
    bool taken = true;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT id, bundle, place, size, content FROM message WHERE peer = ?1 AND class = ?2 "
            "AND sent IS NULL AND outcome = 0 ORDER BY id",
            INT(peer), INT(class_));
    while (error == KVPBUS_OK) {
        error = take(journal, row, target, group, &taken);
        if (error != KVPBUS_OK || !taken) {
            journal_end(row);
            return error;
        }
        error = journal_next(journal, row);
    }
    if (error == KVPBUS_NOT_FOUND && group->count > 0)
        return KVPBUS_OK;
    if (error == KVPBUS_NOT_FOUND)
        kvpbus_fail(&journal->failure, error, "no message of this class waits");
    return error;
}

// Positions in the stream, in this timeline.
static enum kvpbus_error number_group(struct kvpbus_journal *journal, enum kvpbus_class class_,
                                      const struct position *position, int64_t now_ms,
                                      struct group *group)
{
    for (size_t i = 0; i < group->count; i++) {
        sqlite3_stmt *row;
        enum kvpbus_error error =
            GET(journal, &row,
                "INSERT INTO out_stream(line, class, stream, next, used_ms) "
                "VALUES(?1, ?2, ?3, ?4 + 1, ?5) ON CONFLICT(line, class, stream) "
                "DO UPDATE SET next = next + 1, used_ms = ?5 RETURNING next - 1",
                INT(position->line), INT(class_), TEXT(group->messages[i].stream),
                INT(position->fresh), INT(now_ms));
        if (error != KVPBUS_OK)
            return error;
        group->messages[i].sequence = (uint64_t)sqlite3_column_int64(row, 0);
        error = journal_next(journal, row);
        if (error != KVPBUS_NOT_FOUND)
            return error;
    }
    return KVPBUS_OK;
}

static enum kvpbus_error store_parts(struct kvpbus_journal *journal, int64_t sealed,
                                     const uint8_t *bytes, size_t length)
{
    enum kvpbus_error error = KVPBUS_OK;
    for (size_t at = 0; error == KVPBUS_OK && at < length; at += PART_BYTES) {
        size_t size = length - at < PART_BYTES ? length - at : PART_BYTES;
        error = RUN(journal, "INSERT INTO part(id, bytes) VALUES(?1, ?2)",
                    INT(sealed << PART_BITS | (int64_t)(at / PART_BYTES)), BLOB(bytes + at, size));
    }
    return error;
}

void journal_print(const uint8_t header[KVPBUS_BUNDLE_HEADER], uint8_t print[PRINT_BYTES])
{
    crypto_generichash(print, PRINT_BYTES, header, KVPBUS_BUNDLE_HEADER, NULL, 0);
}

size_t journal_plain_max(const struct kvpbus_journal *journal)
{
    return journal->options.body_max + KVPBUS_MESSAGE_OVERHEAD + PLAIN_SLACK;
}

static enum kvpbus_error store(struct kvpbus_journal *journal, int64_t peer,
                               const struct kvpbus_bundle_position *place, int64_t line,
                               const uint8_t *identity, const struct group *group,
                               const uint8_t *bytes, size_t length)
{
    uint8_t print[PRINT_BYTES];
    journal_print(bytes, print);
    enum kvpbus_error error =
        RUN(journal,
            "INSERT INTO sealed(peer, class, line, number, bundle, print, sender, length) "
            "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            INT(peer), INT(place->class_), INT(line), INT(place->number),
            BLOB(place->id, sizeof place->id), BLOB(print, sizeof print),
            BLOB(identity, KVPBUS_IDENTITY_BYTES), INT(length));
    int64_t sealed = sqlite3_last_insert_rowid(journal->db);
    if (error == KVPBUS_OK)
        error = store_parts(journal, sealed, bytes, length);
    if (error == KVPBUS_OK)
        error =
            RUN(journal,
                "UPDATE message SET sent = ?5, content = NULL WHERE peer = ?1 AND class = ?2 "
                "AND sent IS NULL AND outcome = 0 AND id BETWEEN ?3 AND ?4",
                INT(peer), INT(place->class_), INT(group->first), INT(group->last), INT(sealed));
    if (error == KVPBUS_OK && journal_changed(journal) != (int64_t)group->count)
        error = journal_damaged(journal, "a bundle lost a message");
    if (error == KVPBUS_OK)
        error = RUN(journal, "UPDATE position SET next = ?3 + 1 WHERE line = ?1 AND class = ?2",
                    INT(line), INT(place->class_), INT(place->number));
    // The open bundle gets no more messages once its last one is sealed.
    if (error == KVPBUS_OK)
        error = RUN(journal,
                    "UPDATE lane SET bundle = NULL WHERE peer = ?1 AND class = ?2 AND "
                    "bundle = ?3 AND count = ?4 + 1",
                    INT(peer), INT(place->class_), BLOB(place->id, sizeof place->id),
                    INT(group->messages[group->count - 1].id.index));
    return error;
}

static enum kvpbus_error seal_group(struct kvpbus_journal *journal, int64_t peer,
                                    const struct position *at, enum kvpbus_class class_,
                                    struct group *group, const uint8_t *identity,
                                    const uint8_t *secret, int64_t now_ms,
                                    struct kvpbus_sealed *sealed)
{
    struct kvpbus_peer row;
    enum kvpbus_error error = kvpbus_journal_peer_get(journal, peer, &row);
    if (error == KVPBUS_OK)
        error = number_group(journal, class_, at, now_ms, group);
    if (error != KVPBUS_OK)
        return error;
    struct kvpbus_route route = {
        .recipient =
            journal->options.role == KVPBUS_ROLE_HOST ? KVPBUS_ROLE_GUEST : KVPBUS_ROLE_HOST,
    };
    memcpy(route.sender, identity, sizeof route.sender);
    memcpy(route.vm, row.vm, sizeof route.vm);
    struct kvpbus_bundle_position place = {
        .class_ = class_, .number = at->next, .created_ms = now_ms};
    memcpy(place.id, group->bundle, sizeof place.id);
    memcpy(place.timeline, row.timeline, sizeof place.timeline);
    uint8_t *bytes;
    size_t length;
    error = kvpbus_bundle_seal(&route, secret, &place, group->messages, group->count,
                               KVPBUS_BUNDLE_HEADER + journal_plain_max(journal), &bytes, &length,
                               &journal->failure);
    if (error != KVPBUS_OK)
        return error;
    error = store(journal, peer, &place, at->line, identity, group, bytes, length);
    free(bytes);
    *sealed = (struct kvpbus_sealed){
        .class_ = class_, .number = place.number, .length = (uint32_t)length};
    memcpy(sealed->id, place.id, sizeof sealed->id);
    return error;
}

enum kvpbus_error kvpbus_journal_seal(struct kvpbus_journal *journal, int64_t peer,
                                      enum kvpbus_class class_, size_t bundle_target,
                                      const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                                      const uint8_t secret[KVPBUS_SECRET_BYTES], int64_t now_ms,
                                      struct kvpbus_sealed *sealed)
{
    journal->now_ms = now_ms;
    struct position at;
    enum kvpbus_error error = journal_position(journal, peer, class_, &at);
    if (error != KVPBUS_OK)
        return error;
    if (at.next > at.done + KVPBUS_BUNDLE_WINDOW)
        return kvpbus_fail(&journal->failure, KVPBUS_BUSY, "%d bundles are under way",
                           KVPBUS_BUNDLE_WINDOW);
    error = journal_settle(journal, peer,
                           SETTLE("peer = ?1 AND gap = 0 AND ends_ms <= ?2 AND sent IS NULL"), peer,
                           now_ms, KVPBUS_OUTCOME_EXPIRED, "its lifetime ended before it was sent");
    if (error == KVPBUS_OK && class_ == KVPBUS_CLASS_CONTROL)
        error = journal_receipts_queue(journal, peer, now_ms);
    if (error != KVPBUS_OK)
        return error;
    struct group group;
    error = make_group(journal, &group);
    if (error != KVPBUS_OK)
        return error;
    error = gather(journal, peer, class_, bundle_target, &group);
    if (error == KVPBUS_OK)
        error = seal_group(journal, peer, &at, class_, &group, identity, secret, now_ms, sealed);
    free_group(&group);
    return error;
}

// --- what is sealed ---

enum kvpbus_error kvpbus_journal_open_bundles(struct kvpbus_journal *journal, int64_t peer,
                                              enum kvpbus_class class_,
                                              struct kvpbus_sealed *bundles, size_t *count)
{
    *count = 0;
    struct position at;
    enum kvpbus_error error = journal_position(journal, peer, class_, &at);
    if (error != KVPBUS_OK)
        return error;
    sqlite3_stmt *row;
    error = GET(journal, &row,
                "SELECT number, bundle, length, done, NOT EXISTS(SELECT 1 FROM message "
                "WHERE sent = sealed.id AND outcome = 0 AND gap = 0) FROM sealed "
                "WHERE peer = ?1 AND line = ?2 AND class = ?3 AND number > ?4 ORDER BY number",
                INT(peer), INT(at.line), INT(class_), INT(at.done));
    while (error == KVPBUS_OK) {
        struct kvpbus_sealed *bundle = &bundles[*count];
        bool full = *count == KVPBUS_BUNDLE_WINDOW;
        if (!full) {
            *bundle = (struct kvpbus_sealed){
                .class_ = class_,
                .number = (uint64_t)sqlite3_column_int64(row, 0),
                .length = (uint32_t)sqlite3_column_int64(row, 2),
                .delivered = sqlite3_column_int(row, 3) != 0,
            };
            bundle->void_ = !bundle->delivered && sqlite3_column_int(row, 4) != 0;
            error = journal_bytes(journal, row, 1, bundle->id, sizeof bundle->id);
            ++*count;
        }
        if (full || error != KVPBUS_OK) {
            journal_end(row);
            return full ? journal_damaged(journal, "too many bundles are under way") : error;
        }
        error = journal_next(journal, row);
    }
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

// `length` bytes from `offset` of the bundle in this row; the parts that hold them lie in order.
static enum kvpbus_error read_parts(struct kvpbus_journal *journal, int64_t sealed, uint32_t offset,
                                    uint8_t *bytes, size_t length)
{
    size_t done = 0;
    while (done < length) {
        sqlite3_stmt *row;
        size_t at = offset + done, skip = at % PART_BYTES;
        enum kvpbus_error error = GET(journal, &row, "SELECT bytes FROM part WHERE id = ?1",
                                      INT(sealed << PART_BITS | (int64_t)(at / PART_BYTES)));
        if (error != KVPBUS_OK)
            return error == KVPBUS_NOT_FOUND ? journal_damaged(journal, "sealed bytes are missing")
                                             : error;
        const uint8_t *part = sqlite3_column_blob(row, 0);
        size_t size = (size_t)sqlite3_column_bytes(row, 0);
        if (part == NULL || skip >= size) {
            journal_end(row);
            return journal_damaged(journal, "sealed bytes are missing");
        }
        size_t take_now = size - skip < length - done ? size - skip : length - done;
        memcpy(bytes + done, part + skip, take_now);
        journal_end(row);
        done += take_now;
    }
    return KVPBUS_OK;
}

enum kvpbus_error journal_sealed_bytes(struct kvpbus_journal *journal, int64_t sealed,
                                       uint32_t length, uint8_t **bytes)
{
    *bytes = malloc(length);
    if (*bytes == NULL)
        return kvpbus_fail(&journal->failure, KVPBUS_NOMEM, "out of memory for a bundle");
    enum kvpbus_error error = read_parts(journal, sealed, 0, *bytes, length);
    if (error != KVPBUS_OK) {
        free(*bytes);
        *bytes = NULL;
    }
    return error;
}

enum kvpbus_error journal_change_sealed(struct kvpbus_journal *journal, int64_t sealed,
                                        const uint8_t *bytes, uint32_t length)
{
    return RUN(journal, "UPDATE part SET bytes = ?2 WHERE id = ?1", INT(sealed << PART_BITS),
               BLOB(bytes, length < PART_BYTES ? length : PART_BYTES));
}

enum kvpbus_error kvpbus_journal_read_sealed(struct kvpbus_journal *journal, int64_t peer,
                                             enum kvpbus_class class_, uint64_t number,
                                             uint32_t offset, uint8_t *bytes, size_t length)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT id, length FROM sealed WHERE peer = ?1 AND class = ?2 AND number = ?3 AND "
            "line = (SELECT line FROM peer WHERE id = ?1) AND (done = 0 OR kept = 1)",
            INT(peer), INT(class_), INT(number));
    if (error == KVPBUS_NOT_FOUND)
        return kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND,
                           "there is no bundle with this number any more");
    if (error != KVPBUS_OK)
        return error;
    int64_t sealed = sqlite3_column_int64(row, 0);
    uint64_t total = (uint64_t)sqlite3_column_int64(row, 1);
    journal_end(row);
    if (offset > total || length > total - offset)
        return kvpbus_fail(&journal->failure, KVPBUS_INVALID_ARGUMENT,
                           "a bundle of %llu bytes has none at %llu", (unsigned long long)total,
                           (unsigned long long)offset + length);
    return read_parts(journal, sealed, offset, bytes, length);
}
