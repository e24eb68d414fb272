// SPDX-License-Identifier: Apache-2.0
//
// What becomes of sent messages: delivered, or void because the peer never had them. A message
// whose lifetime ends after it was sealed is pending until the peer has said whether it had it.
#include "journal_internal.h"

enum kvpbus_error journal_position(struct kvpbus_journal *journal, int64_t peer,
                                   enum kvpbus_class class_, struct position *position)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT line, next, done, print, fresh, voids FROM position "
            "WHERE line = (SELECT line FROM peer WHERE id = ?1) AND class = ?2",
            INT(peer), INT(class_));
    if (error == KVPBUS_NOT_FOUND)
        return kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND, "the journal knows no such peer");
    if (error != KVPBUS_OK)
        return error;
    position->line = sqlite3_column_int64(row, 0);
    position->next = (uint64_t)sqlite3_column_int64(row, 1);
    position->done = (uint64_t)sqlite3_column_int64(row, 2);
    error = journal_bytes(journal, row, 3, position->print, sizeof position->print);
    position->fresh = (uint64_t)sqlite3_column_int64(row, 4);
    position->voids = (uint64_t)sqlite3_column_int64(row, 5);
    journal_end(row);
    return error;
}

enum kvpbus_error journal_settle(struct kvpbus_journal *journal, int64_t peer, const char *sql,
                                 int64_t first, int64_t second, enum kvpbus_outcome outcome,
                                 const char *reason)
{
    sqlite3_stmt *row;
    int64_t count[TALLY_COUNT] = {0}, bytes[TALLY_COUNT] = {0};
    struct audit_ids ids = {.length = 0};
    enum kvpbus_error error = GET(journal, &row, sql, INT(first), INT(second), INT(outcome),
                                  INT(journal->now_ms), reason == NULL ? NOTHING : TEXT(reason));
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        int64_t size = sqlite3_column_int64(row, 0);
        int became = sqlite3_column_int(row, 1);
        assert(became > KVPBUS_OUTCOME_PENDING && became <= KVPBUS_OUTCOME_UNKNOWN);
        if (sqlite3_column_int(row, 5) == KVPBUS_KIND_RECEIPT) {
            count[TALLY_RECEIPTS]--;
            bytes[TALLY_RECEIPTS] -= size;
            continue;
        }
        count[became]++;
        bytes[became] += size;
        count[KVPBUS_OUTCOME_PENDING]--;
        bytes[KVPBUS_OUTCOME_PENDING] -= size;
        if (sqlite3_column_int(row, 2) == KVPBUS_CLASS_BULK) {
            count[TALLY_BULK_QUEUED]--;
            bytes[TALLY_BULK_QUEUED] -= size;
        }
        error = journal_audit_row(journal, &ids, peer, journal_audit_outcome(became), row, 3);
        if (error != KVPBUS_OK) {
            journal_end(row);
            return error;
        }
    }
    if (error != KVPBUS_NOT_FOUND)
        return error;
    journal->settled = -count[KVPBUS_OUTCOME_PENDING];
    error = journal_audit_flush(journal, &ids);
    for (int i = 0; error == KVPBUS_OK && i < TALLY_COUNT; i++)
        error = journal_tally(journal, peer, i, count[i], bytes[i]);
    return error;
}

// --- bundles that are done ---

enum kvpbus_error journal_drop_parts(struct kvpbus_journal *journal, int64_t sealed)
{
    return RUN(journal, "DELETE FROM part WHERE id BETWEEN ?1 AND ?2", INT(sealed << PART_BITS),
               INT(((sealed + 1) << PART_BITS) - 1));
}

// What is kept for a peer that may go back has its own bound: the oldest makes room.
static enum kvpbus_error keep(struct kvpbus_journal *journal, int64_t peer, int64_t sealed,
                              int64_t length)
{
    enum kvpbus_error error = RUN(journal, "UPDATE sealed SET kept = 1 WHERE id = ?1", INT(sealed));
    if (error == KVPBUS_OK)
        error = journal_tally(journal, peer, TALLY_KEPT, 1, length);
    int64_t count = 0, bytes = 0;
    if (error == KVPBUS_OK)
        error = journal_tally_get(journal, peer, TALLY_KEPT, &count, &bytes);
    while (error == KVPBUS_OK && (uint64_t)bytes > journal->options.outbox_max / 4) {
        sqlite3_stmt *row;
        error =
            GET(journal, &row,
                "SELECT id, length FROM sealed WHERE peer = ?1 AND kept = 1 ORDER BY id LIMIT 1",
                INT(peer));
        if (error != KVPBUS_OK)
            return error == KVPBUS_NOT_FOUND ? journal_damaged(journal, "a count is wrong") : error;
        int64_t oldest = sqlite3_column_int64(row, 0), size = sqlite3_column_int64(row, 1);
        journal_end(row);
        bytes -= size;
        error = journal_drop_parts(journal, oldest);
        if (error == KVPBUS_OK)
            error = RUN(journal, "UPDATE sealed SET kept = 0 WHERE id = ?1", INT(oldest));
        if (error == KVPBUS_OK)
            error = journal_tally(journal, peer, TALLY_KEPT, -1, -size);
    }
    return error;
}

// Everything up to `done` is done; what follows it without a hole is done with it.
static enum kvpbus_error advance(struct kvpbus_journal *journal, int64_t peer,
                                 enum kvpbus_class class_)
{
    struct position at;
    enum kvpbus_error error = journal_position(journal, peer, class_, &at);
    while (error == KVPBUS_OK) {
        sqlite3_stmt *row;
        error = GET(journal, &row,
                    "SELECT print FROM sealed WHERE peer = ?1 AND line = ?2 AND class = ?3 AND "
                    "number = ?4 AND done = 1",
                    INT(peer), INT(at.line), INT(class_), INT(at.done + 1));
        if (error != KVPBUS_OK)
            break;
        error = journal_bytes(journal, row, 0, at.print, sizeof at.print);
        journal_end(row);
        at.done++;
    }
    if (error != KVPBUS_NOT_FOUND)
        return error;
    return RUN(journal, "UPDATE position SET done = ?3, print = ?4 WHERE line = ?1 AND class = ?2",
               INT(at.line), INT(class_), INT(at.done), BLOB(at.print, sizeof at.print));
}

// `print` NULL: as it was sealed; zeros: the peer has it as void.
static enum kvpbus_error finish(struct kvpbus_journal *journal, int64_t peer,
                                enum kvpbus_class class_, int64_t sealed, const uint8_t *print)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "UPDATE sealed SET done = 1, done_ms = ?2, print = coalesce(?3, print) "
            "WHERE id = ?1 AND done = 0 RETURNING length, EXISTS(SELECT 1 FROM message "
            "WHERE sent = ?1 AND resend = 1 AND outcome = 1)",
            INT(sealed), INT(journal->now_ms), print == NULL ? NOTHING : BLOB(print, PRINT_BYTES));
    if (error != KVPBUS_OK) // done before
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    int64_t length = sqlite3_column_int64(row, 0);
    bool kept = sqlite3_column_int(row, 1) != 0;
    error = journal_next(journal, row);
    if (error != KVPBUS_NOT_FOUND)
        return error;
    error = kept ? keep(journal, peer, sealed, length) : journal_drop_parts(journal, sealed);
    return error == KVPBUS_OK ? advance(journal, peer, class_) : error;
}

enum kvpbus_error journal_bundle_done(struct kvpbus_journal *journal, int64_t peer,
                                      enum kvpbus_class class_, int64_t sealed,
                                      const uint8_t *print)
{
    // Messages in question stay so: the peer may have had their gap before the last fragment.
    enum kvpbus_error error =
        journal_settle(journal, peer, SETTLE("sent = ?1 AND gap = 0 AND peer = ?2"), sealed, peer,
                       KVPBUS_OUTCOME_DELIVERED, NULL);
    return error == KVPBUS_OK ? finish(journal, peer, class_, sealed, print) : error;
}

static enum kvpbus_error find(struct kvpbus_journal *journal, int64_t peer,
                              enum kvpbus_class class_, uint64_t number, int64_t *sealed,
                              bool *done)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT id, done FROM sealed WHERE peer = ?1 AND class = ?2 AND number = ?3 AND "
            "line = (SELECT line FROM peer WHERE id = ?1)",
            INT(peer), INT(class_), INT(number));
    if (error == KVPBUS_NOT_FOUND)
        return kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND,
                           "there is no bundle with this number any more");
    if (error != KVPBUS_OK)
        return error;
    *sealed = sqlite3_column_int64(row, 0);
    *done = sqlite3_column_int(row, 1) != 0;
    journal_end(row);
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_journal_delivered(struct kvpbus_journal *journal, int64_t peer,
                                           enum kvpbus_class class_, uint64_t number)
{
    int64_t sealed;
    bool done;
    enum kvpbus_error error = find(journal, peer, class_, number, &sealed, &done);
    if (error != KVPBUS_OK || done)
        return error;
    return journal_bundle_done(journal, peer, class_, sealed, NULL);
}

// --- gaps ---

struct questioned {
    int64_t sealed;
    enum kvpbus_class class_;
    uint64_t number;
    bool whole;
};

// The next bundle after row `after` that has messages in question.
static enum kvpbus_error next_questioned(struct kvpbus_journal *journal, int64_t peer,
                                         int64_t after, struct questioned *bundle)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT sealed.id, sealed.class, number, done = 0 AND NOT EXISTS(SELECT 1 FROM message "
            "AS other WHERE other.sent = sealed.id AND other.outcome = 0 AND other.gap = 0) "
            "FROM message JOIN sealed ON sealed.id = message.sent WHERE message.peer = ?1 AND "
            "outcome = 0 AND gap = 1 AND sent > ?2 ORDER BY sent LIMIT 1",
            INT(peer), INT(after));
    if (error != KVPBUS_OK)
        return error;
    bundle->sealed = sqlite3_column_int64(row, 0);
    bundle->class_ = (enum kvpbus_class)sqlite3_column_int(row, 1);
    bundle->number = (uint64_t)sqlite3_column_int64(row, 2);
    bundle->whole = sqlite3_column_int(row, 3) != 0;
    journal_end(row);
    return KVPBUS_OK;
}

// As many gaps as its indices need and `max` allows.
static enum kvpbus_error ask_indices(struct kvpbus_journal *journal,
                                     const struct questioned *bundle, struct kvpbus_gap *gaps,
                                     size_t max, size_t *count)
{
    sqlite3_stmt *row;
    struct kvpbus_gap *gap = NULL;
    enum kvpbus_error error = GET(journal, &row,
                                  "SELECT place FROM message WHERE sent = ?1 AND outcome = 0 AND "
                                  "gap = 1 ORDER BY place LIMIT ?2",
                                  INT(bundle->sealed), INT(max * KVPBUS_GAP_INDICES_MAX));
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        if (gap == NULL || gap->count == KVPBUS_GAP_INDICES_MAX) {
            assert(*count < max);
            gap = &gaps[(*count)++];
            *gap = (struct kvpbus_gap){.class_ = bundle->class_, .number = bundle->number};
        }
        gap->indices[gap->count++] = (uint16_t)sqlite3_column_int(row, 0);
    }
    if (error != KVPBUS_NOT_FOUND)
        return error;
    return RUN(journal,
               "UPDATE message SET asked = 1 WHERE sent = ?1 AND outcome = 0 AND gap = 1 AND "
               "place <= ?2",
               INT(bundle->sealed), INT(gap == NULL ? -1 : gap->indices[gap->count - 1]));
}

enum kvpbus_error kvpbus_journal_gaps(struct kvpbus_journal *journal, int64_t peer,
                                      struct kvpbus_gap *gaps, size_t max, size_t *count)
{
    *count = 0;
    struct questioned bundle = {.sealed = 0};
    while (*count < max) {
        enum kvpbus_error error = next_questioned(journal, peer, bundle.sealed, &bundle);
        if (error != KVPBUS_OK)
            return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
        if (bundle.whole) {
            gaps[(*count)++] =
                (struct kvpbus_gap){.class_ = bundle.class_, .number = bundle.number};
            continue;
        }
        size_t asked = 0;
        error = ask_indices(journal, &bundle, gaps + *count, max - *count, &asked);
        if (error != KVPBUS_OK)
            return error;
        *count += asked;
    }
    return KVPBUS_OK;
}

// --- answers ---

static const char refused[] = "the peer refused it: it does not verify there or breaks a limit";

static enum kvpbus_error bundle_had(struct kvpbus_journal *journal, int64_t peer,
                                    enum kvpbus_class class_, int64_t sealed)
{
    // Those that were asked for one by one are asked again: they may have been void before the rest
    // arrived.
    enum kvpbus_error error =
        journal_settle(journal, peer, SETTLE("sent = ?1 AND asked = 0 AND peer = ?2"), sealed, peer,
                       KVPBUS_OUTCOME_DELIVERED, "");
    return error == KVPBUS_OK ? finish(journal, peer, class_, sealed, NULL) : error;
}

static enum kvpbus_error toggle_voids(struct kvpbus_journal *journal, int64_t peer,
                                      enum kvpbus_class class_, uint64_t digest)
{
    struct position at;
    enum kvpbus_error error = journal_position(journal, peer, class_, &at);
    if (error != KVPBUS_OK)
        return error;
    return RUN(journal, "UPDATE position SET voids = ?3 WHERE line = ?1 AND class = ?2",
               INT(at.line), INT(class_), INT(at.voids ^ digest));
}

static enum kvpbus_error bundle_void(struct kvpbus_journal *journal, int64_t peer,
                                     enum kvpbus_class class_, int64_t sealed, uint64_t number)
{
    static const uint8_t zeros[PRINT_BYTES];
    uint64_t single = 0;
    sqlite3_stmt *row;
    enum kvpbus_error error = GET(
        journal, &row, "SELECT 1 FROM message WHERE sent = ?1 AND outcome = 0 AND gap = 0 LIMIT 1",
        INT(sealed));
    if (error == KVPBUS_OK) {
        journal_end(row);
        return kvpbus_fail(&journal->failure, KVPBUS_BAD_PACKET,
                           "the peer calls a bundle void that is not");
    }
    if (error == KVPBUS_NOT_FOUND)
        error = journal_voids_of(journal, sealed, number, &single);
    if (error == KVPBUS_OK)
        error = journal_settle(journal, peer, SETTLE("sent = ?1 AND peer = ?2"), sealed, peer,
                               KVPBUS_OUTCOME_EXPIRED, NULL);
    if (error == KVPBUS_OK && journal->settled > 0)
        error =
            toggle_voids(journal, peer, class_, single ^ journal_void_digest(number, WHOLE_BUNDLE));
    return error == KVPBUS_OK ? finish(journal, peer, class_, sealed, zeros) : error;
}

// The acknowledgement of its packets may have come first: what counted as delivered is dead too.
static enum kvpbus_error bundle_refused(struct kvpbus_journal *journal, int64_t peer,
                                        enum kvpbus_class class_, int64_t sealed)
{
    sqlite3_stmt *row;
    int64_t count = 0, bytes = 0;
    struct audit_ids ids = {.length = 0};
    enum kvpbus_error error =
        journal_settle(journal, peer, SETTLE("sent = ?1 AND asked = 0 AND peer = ?2"), sealed, peer,
                       KVPBUS_OUTCOME_DEAD, refused);
    if (error != KVPBUS_OK)
        return error;
    error = GET(journal, &row,
                "UPDATE message SET outcome = 3, reason = ?2 WHERE sent = ?1 AND outcome = 1 AND "
                "kind != 4 RETURNING size, bundle, place",
                INT(sealed), TEXT(refused));
    static_assert(KVPBUS_KIND_RECEIPT == 4, "the statement names it");
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        count++;
        bytes += sqlite3_column_int64(row, 0);
        error = journal_audit_row(journal, &ids, peer, KVPBUS_AUDIT_DEAD, row, 1);
        if (error != KVPBUS_OK) {
            journal_end(row);
            return error;
        }
    }
    if (error == KVPBUS_NOT_FOUND)
        error = journal_audit_flush(journal, &ids);
    if (error == KVPBUS_OK)
        error = journal_tally(journal, peer, KVPBUS_OUTCOME_DELIVERED, -count, -bytes);
    if (error == KVPBUS_OK)
        error = journal_tally(journal, peer, KVPBUS_OUTCOME_DEAD, count, bytes);
    return error == KVPBUS_OK ? finish(journal, peer, class_, sealed, NULL) : error;
}

static enum kvpbus_error answer_indices(struct kvpbus_journal *journal, int64_t peer,
                                        int64_t sealed, const struct kvpbus_gap_answer *answer)
{
    enum kvpbus_error error = KVPBUS_OK;
    for (size_t i = 0; error == KVPBUS_OK && i < answer->count; i++) {
        enum kvpbus_outcome outcome = KVPBUS_OUTCOME_DEAD;
        const char *reason = refused;
        if (answer->answers[i] == KVPBUS_ANSWER_HAD) {
            outcome = KVPBUS_OUTCOME_DELIVERED;
            reason = "";
        } else if (answer->answers[i] == KVPBUS_ANSWER_VOID) {
            outcome = KVPBUS_OUTCOME_EXPIRED;
            reason = NULL;
        }
        error = journal_settle(journal, peer, SETTLE("sent = ?1 AND place = ?2 AND gap = 1"),
                               sealed, answer->indices[i], outcome, reason);
        if (error == KVPBUS_OK && journal->settled > 0 && answer->answers[i] == KVPBUS_ANSWER_VOID)
            error = toggle_voids(journal, peer, answer->class_,
                                 journal_void_digest(answer->number, answer->indices[i]));
    }
    return error;
}

enum kvpbus_error kvpbus_journal_gap_answered(struct kvpbus_journal *journal, int64_t peer,
                                              const struct kvpbus_gap_answer *answer)
{
    int64_t sealed;
    bool done;
    enum kvpbus_error error = find(journal, peer, answer->class_, answer->number, &sealed, &done);
    if (error == KVPBUS_NOT_FOUND) // of a bundle that the history has forgotten
        return KVPBUS_OK;
    if (error != KVPBUS_OK)
        return error;
    if (answer->count > KVPBUS_GAP_INDICES_MAX)
        return kvpbus_fail(&journal->failure, KVPBUS_BAD_PACKET, "an answer has %zu indices",
                           answer->count);
    if (answer->count > 0)
        return answer_indices(journal, peer, sealed, answer);
    switch (answer->answers[0]) {
    case KVPBUS_ANSWER_HAD:
        return bundle_had(journal, peer, answer->class_, sealed);
    case KVPBUS_ANSWER_VOID:
        return bundle_void(journal, peer, answer->class_, sealed, answer->number);
    case KVPBUS_ANSWER_REFUSED:
        return bundle_refused(journal, peer, answer->class_, sealed);
    }
    return kvpbus_fail(&journal->failure, KVPBUS_BAD_PACKET, "an unknown answer to a gap");
}
