// SPDX-License-Identifier: Apache-2.0
//
// Gaps of the peer: messages that it no longer wants to send. This side decides whether it had
// them.
#include "big_endian.h"
#include "journal_internal.h"

bool journal_has_void(const struct void_list *voids, uint16_t index)
{
    for (size_t i = 0; i + 1 < voids->length; i += 2)
        if (kvpbus_get_be(voids->bytes + i, 2) == index)
            return true;
    return false;
}

enum kvpbus_error journal_read_voids(struct kvpbus_journal *journal, int64_t arrived,
                                     struct void_list *list)
{
    sqlite3_stmt *row;
    list->length = 0;
    enum kvpbus_error error =
        GET(journal, &row, "SELECT voids FROM arrived WHERE id = ?1 AND voids IS NOT NULL",
            INT(arrived));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    size_t length = (size_t)sqlite3_column_bytes(row, 0);
    error = length <= sizeof list->bytes ? journal_bytes(journal, row, 0, list->bytes, length)
                                         : journal_damaged(journal, "a list of gaps is too long");
    list->length = length;
    journal_end(row);
    return error;
}

static uint64_t digest_of(uint64_t number, const struct void_list *voids, size_t from)
{
    uint64_t digest = 0;
    for (size_t i = from; i + 1 < voids->length; i += 2)
        digest ^= journal_void_digest(number, (uint16_t)kvpbus_get_be(voids->bytes + i, 2));
    return digest;
}

static enum kvpbus_error toggle_voids(struct kvpbus_journal *journal, const struct arrival *arrival,
                                      uint64_t digest)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row, "SELECT voids FROM floor WHERE source = ?1 AND class = ?2",
            INT(arrival->source), INT(arrival->class_));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? journal_damaged(journal, "a floor is missing") : error;
    digest ^= (uint64_t)sqlite3_column_int64(row, 0);
    journal_end(row);
    return RUN(journal, "UPDATE floor SET voids = ?3 WHERE source = ?1 AND class = ?2",
               INT(arrival->source), INT(arrival->class_), INT(digest));
}

static enum kvpbus_error gap_indices(struct kvpbus_journal *journal, const struct arrival *arrival,
                                     struct arrived *arrived, const struct kvpbus_gap *gap,
                                     struct kvpbus_gap_answer *answer)
{
    // A row that the history has forgotten was whole.
    bool open = gap->number > arrival->floor && arrived->state == ARRIVED_PART;
    struct void_list voids = {.length = 0};
    enum kvpbus_error error = KVPBUS_OK;
    if (open && arrived->id == 0)
        error = journal_make_arrived(journal, arrival, arrived);
    if (error == KVPBUS_OK && arrived->id != 0)
        error = journal_read_voids(journal, arrived->id, &voids);
    size_t before = voids.length;
    for (size_t i = 0; error == KVPBUS_OK && i < gap->count; i++) {
        bool void_ = journal_has_void(&voids, gap->indices[i]);
        if (open && !void_) {
            if (voids.length == sizeof voids.bytes)
                return kvpbus_fail(&journal->failure, KVPBUS_BAD_PACKET, "too many gaps");
            kvpbus_put_be(voids.bytes + voids.length, gap->indices[i], 2);
            voids.length += 2;
            void_ = true;
        }
        answer->indices[i] = gap->indices[i];
        answer->answers[i] = void_                               ? KVPBUS_ANSWER_VOID
                             : arrived->state == ARRIVED_REFUSED ? KVPBUS_ANSWER_REFUSED
                                                                 : KVPBUS_ANSWER_HAD;
    }
    answer->count = gap->count;
    if (error != KVPBUS_OK || voids.length == before)
        return error;
    error = toggle_voids(journal, arrival, digest_of(arrived->number, &voids, before));
    if (error != KVPBUS_OK)
        return error;
    return RUN(journal, "UPDATE arrived SET voids = ?2 WHERE id = ?1", INT(arrived->id),
               BLOB(voids.bytes, voids.length));
}

static enum kvpbus_error gap_whole(struct kvpbus_journal *journal, const struct arrival *arrival,
                                   struct arrived *arrived, struct kvpbus_gap_answer *answer)
{
    enum kvpbus_error error = KVPBUS_OK;
    if (arrived->number > arrival->floor && arrived->state == ARRIVED_PART) {
        struct void_list voids = {.length = 0};
        if (arrived->id == 0)
            error = journal_make_arrived(journal, arrival, arrived);
        else
            error = journal_read_voids(journal, arrived->id, &voids);
        if (error == KVPBUS_OK)
            error = toggle_voids(journal, arrival,
                                 digest_of(arrived->number, &voids, 0) ^
                                     journal_void_digest(arrived->number, WHOLE_BUNDLE));
        if (error == KVPBUS_OK)
            error = journal_arrived(journal, arrival, arrived, ARRIVED_VOID, NULL);
        arrived->state = ARRIVED_VOID;
    }
    answer->answers[0] = arrived->state == ARRIVED_VOID      ? KVPBUS_ANSWER_VOID
                         : arrived->state == ARRIVED_REFUSED ? KVPBUS_ANSWER_REFUSED
                                                             : KVPBUS_ANSWER_HAD;
    return error;
}

enum kvpbus_error kvpbus_journal_gap(struct kvpbus_journal *journal, int64_t peer,
                                     const struct kvpbus_gap *gap, int64_t now_ms,
                                     struct kvpbus_gap_answer *answer)
{
    journal->now_ms = now_ms;
    memset(answer, 0, sizeof *answer);
    answer->class_ = gap->class_;
    answer->number = gap->number;
    if (gap->class_ >= KVPBUS_CLASS_COUNT || gap->number == 0 ||
        gap->count > KVPBUS_GAP_INDICES_MAX)
        return kvpbus_fail(&journal->failure, KVPBUS_BAD_PACKET, "a gap in no bundle");
    struct arrival arrival;
    struct arrived arrived;
    enum kvpbus_error error = journal_arrive(journal, peer, gap->class_, &arrival);
    if (error == KVPBUS_OK && gap->number > arrival.floor + KVPBUS_BUNDLE_WINDOW)
        error = kvpbus_fail(&journal->failure, KVPBUS_BAD_PACKET, "a gap lies beyond the window");
    if (error == KVPBUS_OK)
        error = journal_find_arrived(journal, &arrival, gap->number, &arrived);
    if (error != KVPBUS_OK)
        return error;
    // A bundle that is void is so as a whole, whatever is asked.
    return gap->count == 0 || arrived.state == ARRIVED_VOID
               ? gap_whole(journal, &arrival, &arrived, answer)
               : gap_indices(journal, &arrival, &arrived, gap, answer);
}
