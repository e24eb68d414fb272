// SPDX-License-Identifier: Apache-2.0
//
// Fragments of the peer.
#include "journal_internal.h"

static enum kvpbus_error bad(struct kvpbus_journal *journal, const struct kvpbus_fragment *fragment,
                             const char *what)
{
    return kvpbus_fail(&journal->failure, KVPBUS_BAD_PACKET, "a fragment of %s bundle %llu %s",
                       kvpbus_class_name(fragment->class_), (unsigned long long)fragment->number,
                       what);
}

static enum kvpbus_error fork_found(struct kvpbus_journal *journal,
                                    const struct kvpbus_fragment *fragment,
                                    struct kvpbus_fragment_result *result)
{
    result->fork = true;
    return bad(journal, fragment,
               "belongs to another bundle than the one that came under this number: the peer went "
               "back in time, or two peers use its identity");
}

// A bundle that is done: is this it again?
static enum kvpbus_error check_done(struct kvpbus_journal *journal, const struct arrived *arrived,
                                    const struct kvpbus_fragment *fragment,
                                    struct kvpbus_fragment_result *result)
{
    uint8_t print[PRINT_BYTES];
    result->duplicate = true;
    if (!fragment->first || !arrived->known || fragment->length < KVPBUS_BUNDLE_HEADER)
        return KVPBUS_OK;
    journal_print(fragment->data, print);
    if (memcmp(print, arrived->print, sizeof print) == 0)
        return KVPBUS_OK;
    return fork_found(journal, fragment, result);
}

// A first fragment whose start is here already: are they the same bytes?
static enum kvpbus_error check_start(struct kvpbus_journal *journal, const struct arrived *arrived,
                                     const struct kvpbus_fragment *fragment,
                                     struct kvpbus_fragment_result *result)
{
    sqlite3_stmt *row;
    enum kvpbus_error error = GET(
        journal, &row, "SELECT bytes FROM held WHERE arrived = ?1 AND start = 0", INT(arrived->id));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    const void *start = sqlite3_column_blob(row, 0);
    size_t length = (size_t)sqlite3_column_bytes(row, 0);
    if (length > fragment->length)
        length = fragment->length;
    bool same = start != NULL && memcmp(start, fragment->data, length) == 0;
    journal_end(row);
    return same ? KVPBUS_OK : fork_found(journal, fragment, result);
}

static enum kvpbus_error check_shape(struct kvpbus_journal *journal, const struct arrived *arrived,
                                     const struct kvpbus_fragment *fragment)
{
    uint64_t end = (uint64_t)fragment->offset + fragment->length;
    if (fragment->length == 0 || fragment->first != (fragment->offset == 0))
        return bad(journal, fragment, "has no bytes or no place");
    if (fragment->first && (end > fragment->total || fragment->total <= KVPBUS_BUNDLE_HEADER ||
                            (arrived->total != 0 && arrived->total != fragment->total)))
        return bad(journal, fragment, "has another total length");
    if (!fragment->first && arrived->total != 0 && end > arrived->total)
        return bad(journal, fragment, "lies beyond its end");
    if (!fragment->first && arrived->total == 0 &&
        (arrived->held + fragment->length > EARLY_MAX || end > UINT32_MAX))
        return bad(journal, fragment, "came long before its first one");
    return KVPBUS_OK;
}

// The first fragment tells the length.
static enum kvpbus_error begin(struct kvpbus_journal *journal, const struct arrival *arrival,
                               struct arrived *arrived, const struct kvpbus_fragment *fragment)
{
    sqlite3_stmt *row;
    if (fragment->total <= KVPBUS_BUNDLE_HEADER + journal_plain_max(journal)) {
        enum kvpbus_error error = journal_may_begin(journal, arrival->peer, fragment->total);
        if (error != KVPBUS_OK)
            return error;
    }
    if (arrived->held > 0) {
        enum kvpbus_error error =
            GET(journal, &row,
                "SELECT 1 FROM held WHERE arrived = ?1 AND start + length(bytes) > ?2 LIMIT 1",
                INT(arrived->id), INT(fragment->total));
        if (error == KVPBUS_OK) {
            journal_end(row);
            return bad(journal, fragment, "has another total length");
        }
        if (error != KVPBUS_NOT_FOUND)
            return error;
    }
    arrived->total = fragment->total;
    return KVPBUS_OK;
}

// Too long for this side: refused as soon as its header is here, so that it can be named in SYNC.
static enum kvpbus_error refuse_long(struct kvpbus_journal *journal, const struct arrival *arrival,
                                     const struct arrived *arrived,
                                     struct kvpbus_fragment_result *result)
{
    uint8_t header[KVPBUS_BUNDLE_HEADER], print[PRINT_BYTES];
    enum kvpbus_error error = journal_held_header(journal, arrived->id, header);
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    journal_print(header, print);
    kvpbus_fail(&journal->failure, KVPBUS_TOO_LARGE,
                "a bundle of %lu bytes; the limit is %zu: raise it, or lower that of the peer",
                (unsigned long)arrived->total, KVPBUS_BUNDLE_HEADER + journal_plain_max(journal));
    result->complete = result->refused = true;
    error = journal_audit_refused(journal, arrival->peer, KVPBUS_TOO_LARGE, arrival->class_,
                                  arrived->number);
    return error == KVPBUS_OK ? journal_arrived(journal, arrival, arrived, ARRIVED_REFUSED, print)
                              : error;
}

static enum kvpbus_error finish(struct kvpbus_journal *journal, const struct arrival *arrival,
                                struct arrived *arrived, int64_t now_ms,
                                struct kvpbus_fragment_result *result)
{
    uint8_t *bytes = malloc(arrived->total);
    if (bytes == NULL)
        return kvpbus_fail(&journal->failure, KVPBUS_NOMEM, "out of memory for a bundle");
    enum kvpbus_error error = journal_read_held(journal, arrived->id, bytes, arrived->total);
    if (error == KVPBUS_NOT_FOUND)
        error = journal_damaged(journal, "bytes of a bundle are missing");
    if (error == KVPBUS_OK)
        error = journal_accept(journal, arrival, arrived, bytes, now_ms, result);
    free(bytes);
    return error;
}

static enum kvpbus_error take(struct kvpbus_journal *journal, const struct arrival *arrival,
                              struct arrived *arrived, const struct kvpbus_fragment *fragment,
                              int64_t now_ms, struct kvpbus_fragment_result *result)
{
    enum kvpbus_error error = check_shape(journal, arrived, fragment);
    if (error == KVPBUS_OK && fragment->first && arrived->id != 0)
        error = check_start(journal, arrived, fragment, result);
    if (error == KVPBUS_OK && fragment->first && arrived->total == 0)
        error = begin(journal, arrival, arrived, fragment);
    if (error == KVPBUS_OK && arrived->id == 0)
        error = journal_make_arrived(journal, arrival, arrived);
    if (error != KVPBUS_OK)
        return error;
    bool fits = arrived->total <= KVPBUS_BUNDLE_HEADER + journal_plain_max(journal);
    if (fits && fragment->first && fragment->length == fragment->total && arrived->held == 0)
        return journal_accept(journal, arrival, arrived, fragment->data, now_ms, result);
    uint32_t stored;
    error = journal_store_held(journal, arrived, fragment, &stored);
    if (error == KVPBUS_OK)
        error = RUN(journal, "UPDATE arrived SET total = ?2, held = ?3 WHERE id = ?1",
                    INT(arrived->id), INT(arrived->total), INT(arrived->held));
    if (error != KVPBUS_OK)
        return error;
    result->duplicate = stored == 0;
    if (arrived->total == 0)
        return KVPBUS_OK;
    if (!fits)
        return refuse_long(journal, arrival, arrived, result);
    if (arrived->held < arrived->total)
        return KVPBUS_OK;
    return finish(journal, arrival, arrived, now_ms, result);
}

enum kvpbus_error kvpbus_journal_fragment(struct kvpbus_journal *journal, int64_t peer,
                                          const struct kvpbus_fragment *fragment, int64_t now_ms,
                                          struct kvpbus_fragment_result *result)
{
    memset(result, 0, sizeof *result);
    journal->now_ms = now_ms;
    if (fragment->class_ >= KVPBUS_CLASS_COUNT || fragment->number == 0)
        return kvpbus_fail(&journal->failure, KVPBUS_BAD_PACKET, "a fragment of no bundle");
    struct arrival arrival;
    struct arrived arrived;
    enum kvpbus_error error = journal_arrive(journal, peer, fragment->class_, &arrival);
    if (error == KVPBUS_OK && fragment->number > arrival.floor + KVPBUS_BUNDLE_WINDOW)
        error = bad(journal, fragment, "lies beyond the window");
    if (error == KVPBUS_OK)
        error = journal_find_arrived(journal, &arrival, fragment->number, &arrived);
    if (error != KVPBUS_OK)
        return error;
    if (fragment->number <= arrival.floor || arrived.state != ARRIVED_PART)
        return check_done(journal, &arrived, fragment, result);
    return take(journal, &arrival, &arrived, fragment, now_ms, result);
}
