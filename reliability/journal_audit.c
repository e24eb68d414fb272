// SPDX-License-Identifier: Apache-2.0
//
// The audit's chain in the journal: entries, signed marks, and how it is cut at its old end.
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

#include "audit_journal.h"
#include "journal_internal.h"
#include "kvpbus/identity.h"

enum {
    MARK_EVERY_MS = 60 * 60 * 1000,
    MARK_ENTRIES = 4096, // or a quarter of audit_max: entries after which the head is signed
    CUT_ENTRIES = 8192,  // given up at once
};

void kvpbus_journal_time(struct kvpbus_journal *journal, int64_t now_ms)
{
    journal->now_ms = now_ms;
}

// --- entries ---

struct head {
    int64_t number;
    uint8_t hash[KVPBUS_AUDIT_HASH];
    uint8_t vm[KVPBUS_VM_ID_BYTES]; // of the peer that was asked for
};

static enum kvpbus_error read_head(struct kvpbus_journal *journal, int64_t peer, struct head *head)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT coalesce(number, 0), coalesce(hash, zeroblob(32)), coalesce((SELECT vm FROM "
            "peer WHERE id = ?1), zeroblob(16)) FROM (SELECT 1) LEFT JOIN (SELECT number, hash "
            "FROM audit ORDER BY number DESC LIMIT 1)",
            INT(peer));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? journal_damaged(journal, "the audit is missing") : error;
    head->number = sqlite3_column_int64(row, 0);
    error = journal_bytes(journal, row, 1, head->hash, sizeof head->hash);
    if (error == KVPBUS_OK)
        error = journal_bytes(journal, row, 2, head->vm, sizeof head->vm);
    journal_end(row);
    return error;
}

enum kvpbus_error kvpbus_journal_audit(struct kvpbus_journal *journal, int64_t peer,
                                       enum kvpbus_audit_kind kind, const char *detail)
{
    struct head head = {.number = 0};
    struct kvpbus_audit_entry entry = {.time_ms = journal->now_ms, .kind = (uint16_t)kind};
    enum kvpbus_error error = read_head(journal, peer, &head);
    if (error != KVPBUS_OK)
        return error;
    entry.number = (uint64_t)head.number + 1;
    memcpy(entry.vm, head.vm, sizeof entry.vm);
    for (size_t i = 0; i < KVPBUS_AUDIT_DETAIL_MAX && detail[i] != '\0'; i++)
        entry.detail[i] = (char)(detail[i] >= 0x20 && detail[i] < 0x7f ? detail[i] : '?');
    kvpbus_audit_hash(head.hash, &entry, entry.hash);
    journal->audit_since++;
    return RUN(journal,
               "INSERT INTO audit(number, time_ms, kind, vm, detail, hash) "
               "VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
               INT(entry.number), INT(entry.time_ms), INT(entry.kind),
               BLOB(entry.vm, sizeof entry.vm), TEXT(entry.detail),
               BLOB(entry.hash, sizeof entry.hash));
}

// --- messages ---

enum kvpbus_error journal_audit_flush(struct kvpbus_journal *journal, struct audit_ids *ids)
{
    size_t length = ids->length;
    ids->length = 0;
    return length == 0 ? KVPBUS_OK : kvpbus_journal_audit(journal, ids->peer, ids->kind, ids->text);
}

// "0123456789abcdef0123456789abcdef.0-3,7": the ids of messages of one bundle.
enum kvpbus_error journal_audit_id(struct kvpbus_journal *journal, struct audit_ids *ids,
                                   int64_t peer, enum kvpbus_audit_kind kind,
                                   const uint8_t bundle[KVPBUS_BUNDLE_ID_BYTES], int place)
{
    enum { LONGEST = sizeof "-65535,65535" - 1 };
    bool same = ids->length > 0 && ids->peer == peer && ids->kind == kind &&
                memcmp(ids->bundle, bundle, sizeof ids->bundle) == 0;
    if (same && place == ids->last + 1) {
        ids->last = place;
        ids->length = ids->range + (size_t)snprintf(ids->text + ids->range,
                                                    sizeof ids->text - ids->range, "-%d", place);
        return KVPBUS_OK;
    }
    if (!same || ids->length + 2 * LONGEST >= sizeof ids->text) {
        enum kvpbus_error error = journal_audit_flush(journal, ids);
        if (error != KVPBUS_OK)
            return error;
        ids->peer = peer;
        ids->kind = kind;
        memcpy(ids->bundle, bundle, sizeof ids->bundle);
        sodium_bin2hex(ids->text, sizeof ids->text, ids->bundle, sizeof ids->bundle);
        ids->length = 2 * sizeof ids->bundle;
        ids->text[ids->length++] = '.';
    } else {
        ids->text[ids->length++] = ',';
    }
    ids->last = place;
    ids->length +=
        (size_t)snprintf(ids->text + ids->length, sizeof ids->text - ids->length, "%d", place);
    ids->range = ids->length;
    return KVPBUS_OK;
}

enum kvpbus_error journal_audit_row(struct kvpbus_journal *journal, struct audit_ids *ids,
                                    int64_t peer, enum kvpbus_audit_kind kind, sqlite3_stmt *row,
                                    int column)
{
    uint8_t bundle[KVPBUS_BUNDLE_ID_BYTES];
    enum kvpbus_error error = journal_bytes(journal, row, column, bundle, sizeof bundle);
    if (error == KVPBUS_OK)
        error =
            journal_audit_id(journal, ids, peer, kind, bundle, sqlite3_column_int(row, column + 1));
    return error;
}

enum kvpbus_error journal_audit_inbox(struct kvpbus_journal *journal, enum kvpbus_audit_kind kind,
                                      int64_t message)
{
    sqlite3_stmt *row;
    uint8_t bundle[KVPBUS_BUNDLE_ID_BYTES];
    char text[2 * sizeof bundle + 48];
    enum kvpbus_error error = GET(
        journal, &row, "SELECT peer, bundle, place, tries FROM inbox WHERE id = ?1", INT(message));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? journal_damaged(journal, "a message is missing") : error;
    int64_t peer = sqlite3_column_int64(row, 0);
    int place = sqlite3_column_int(row, 2), tries = sqlite3_column_int(row, 3);
    error = journal_bytes(journal, row, 1, bundle, sizeof bundle);
    journal_end(row);
    if (error != KVPBUS_OK)
        return error;
    sodium_bin2hex(text, sizeof text, bundle, sizeof bundle);
    size_t length = strlen(text);
    length += (size_t)snprintf(text + length, sizeof text - length, ".%d", place);
    if (kind == KVPBUS_AUDIT_DEAD_LETTER)
        snprintf(text + length, sizeof text - length, " after %d tries", tries);
    return kvpbus_journal_audit(journal, peer, kind, text);
}

enum kvpbus_audit_kind journal_audit_outcome(int outcome)
{
    static_assert(KVPBUS_AUDIT_UNKNOWN - KVPBUS_AUDIT_DELIVERED ==
                      KVPBUS_OUTCOME_UNKNOWN - KVPBUS_OUTCOME_DELIVERED,
                  "in the order of the outcomes");
    if (outcome == KVPBUS_OUTCOME_PENDING)
        return KVPBUS_AUDIT_RESENT;
    return (enum kvpbus_audit_kind)(KVPBUS_AUDIT_DELIVERED + outcome - KVPBUS_OUTCOME_DELIVERED);
}

// --- peers ---

enum kvpbus_error journal_audit_key(struct kvpbus_journal *journal, int64_t peer,
                                    enum kvpbus_audit_kind kind,
                                    const uint8_t identity[KVPBUS_IDENTITY_BYTES])
{
    char text[KVPBUS_FINGERPRINT_TEXT];
    kvpbus_fingerprint(identity, text);
    return kvpbus_journal_audit(journal, peer, kind, text);
}

enum kvpbus_error journal_audit_former_key(struct kvpbus_journal *journal, int64_t peer)
{
    sqlite3_stmt *row;
    uint8_t identity[KVPBUS_IDENTITY_BYTES];
    enum kvpbus_error error =
        GET(journal, &row, "SELECT identity FROM peer WHERE id = ?1", INT(peer));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? journal_damaged(journal, "a peer is missing") : error;
    error = journal_bytes(journal, row, 0, identity, sizeof identity);
    journal_end(row);
    return error == KVPBUS_OK ? journal_audit_key(journal, peer, KVPBUS_AUDIT_KEY_CHANGED, identity)
                              : error;
}

enum kvpbus_error journal_audit_refused(struct kvpbus_journal *journal, int64_t peer,
                                        enum kvpbus_error why, enum kvpbus_class class_,
                                        uint64_t number)
{
    char text[96];
    snprintf(text, sizeof text, "%s: %s bundle %" PRIu64, kvpbus_error_name(why),
             kvpbus_class_name(class_), number);
    return kvpbus_journal_audit(journal, peer, KVPBUS_AUDIT_REFUSED, text);
}

// --- marks ---

static enum kvpbus_error read_mark(struct kvpbus_journal *journal, sqlite3_stmt *row,
                                   struct kvpbus_audit_mark *mark)
{
    mark->number = (uint64_t)sqlite3_column_int64(row, 0);
    mark->time_ms = sqlite3_column_int64(row, 1);
    enum kvpbus_error error = journal_bytes(journal, row, 2, mark->hash, sizeof mark->hash);
    if (error == KVPBUS_OK)
        error = journal_bytes(journal, row, 3, mark->identity, sizeof mark->identity);
    if (error == KVPBUS_OK)
        error = journal_bytes(journal, row, 4, mark->signature, sizeof mark->signature);
    return error;
}

#define MARK_COLUMNS "SELECT number, time_ms, hash, identity, signature FROM audit_mark "

// Zeros when there is none.
static enum kvpbus_error newest_mark(struct kvpbus_journal *journal, struct kvpbus_audit_mark *mark)
{
    sqlite3_stmt *row;
    memset(mark, 0, sizeof *mark);
    enum kvpbus_error error =
        GET(journal, &row, MARK_COLUMNS "WHERE number > ?1 ORDER BY number DESC LIMIT 1", INT(0));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    error = read_mark(journal, row, mark);
    journal_end(row);
    return error;
}

// The chain is cut at a mark, so that what is left begins at something signed.
static enum kvpbus_error cut(struct kvpbus_journal *journal, uint64_t head)
{
    sqlite3_stmt *row;
    char text[24];
    uint64_t kept = journal->options.audit_max;
    int64_t before_ms = journal->now_ms - (int64_t)journal->options.audit_ms;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT max(audit_mark.number) FROM audit_mark, (SELECT min(number) - 1 AS base FROM "
            "audit) WHERE audit_mark.number > base AND (audit_mark.number <= ?1 OR time_ms < ?2) "
            "AND audit_mark.number <= max(base + ?3, (SELECT min(number) FROM audit_mark WHERE "
            "number > base))",
            INT(head > kept ? head - kept : 0), INT(before_ms), INT(CUT_ENTRIES));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? journal_damaged(journal, "the audit is missing") : error;
    int64_t number = sqlite3_column_int64(row, 0);
    journal_end(row);
    if (number == 0)
        return KVPBUS_OK;
    snprintf(text, sizeof text, "%" PRId64, number);
    error = kvpbus_journal_audit(journal, 0, KVPBUS_AUDIT_CUT, text);
    if (error == KVPBUS_OK)
        error = RUN(journal, "DELETE FROM audit WHERE number <= ?1", INT(number));
    return error == KVPBUS_OK
               ? RUN(journal, "DELETE FROM audit_mark WHERE number < ?1", INT(number))
               : error;
}

static enum kvpbus_error own_key(struct kvpbus_journal *journal,
                                 const struct kvpbus_audit_mark *newest,
                                 const uint8_t identity[KVPBUS_IDENTITY_BYTES])
{
    char text[2 * KVPBUS_IDENTITY_BYTES + 1];
    if (newest->number == 0 || memcmp(newest->identity, identity, KVPBUS_IDENTITY_BYTES) == 0)
        return KVPBUS_OK;
    sodium_bin2hex(text, sizeof text, newest->identity, sizeof newest->identity);
    return kvpbus_journal_audit(journal, 0, KVPBUS_AUDIT_OWN_KEY, text);
}

static enum kvpbus_error sign_head(struct kvpbus_journal *journal, const struct head *head,
                                   const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                                   const uint8_t secret[KVPBUS_SECRET_BYTES],
                                   struct kvpbus_audit_mark *mark)
{
    *mark =
        (struct kvpbus_audit_mark){.number = (uint64_t)head->number, .time_ms = journal->now_ms};
    memcpy(mark->hash, head->hash, sizeof mark->hash);
    kvpbus_audit_sign(mark, identity, secret);
    return RUN(journal,
               "INSERT INTO audit_mark(number, time_ms, hash, identity, signature) "
               "VALUES(?1, ?2, ?3, ?4, ?5)",
               INT(mark->number), INT(mark->time_ms), BLOB(mark->hash, sizeof mark->hash),
               BLOB(mark->identity, sizeof mark->identity),
               BLOB(mark->signature, sizeof mark->signature));
}

bool kvpbus_journal_audit_due(const struct kvpbus_journal *journal)
{
    uint64_t enough = journal->options.audit_max / 4 + 1;
    int64_t age = journal->now_ms - journal->audit_mark_ms;
    if (enough > MARK_ENTRIES)
        enough = MARK_ENTRIES;
    return journal->audit_since >= enough ||
           (journal->audit_since > 0 && (age < 0 || age >= MARK_EVERY_MS));
}

enum kvpbus_error kvpbus_journal_audit_sign(struct kvpbus_journal *journal,
                                            const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                                            const uint8_t secret[KVPBUS_SECRET_BYTES],
                                            struct kvpbus_audit_mark *mark)
{
    struct kvpbus_audit_mark newest;
    struct head head = {.number = 0};
    enum kvpbus_error error = newest_mark(journal, &newest);
    if (error == KVPBUS_OK)
        error = own_key(journal, &newest, identity);
    if (error == KVPBUS_OK)
        error = read_head(journal, 0, &head);
    if (error == KVPBUS_OK)
        error = cut(journal, (uint64_t)head.number);
    if (error == KVPBUS_OK)
        error = read_head(journal, 0, &head);
    if (error == KVPBUS_OK && (uint64_t)head.number > newest.number)
        error = sign_head(journal, &head, identity, secret, &newest);
    if (error != KVPBUS_OK)
        return error;
    journal->audit_since = 0;
    journal->audit_mark_ms = journal->now_ms;
    if (mark != NULL)
        *mark = newest;
    return KVPBUS_OK;
}

// --- reading ---

static enum kvpbus_error read_base(struct kvpbus_journal *journal, struct kvpbus_audit_mark *base)
{
    sqlite3_stmt *row;
    memset(base, 0, sizeof *base);
    enum kvpbus_error error = GET(
        journal, &row, "SELECT coalesce(min(number), 1) - 1 FROM audit WHERE number > ?1", INT(0));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? journal_damaged(journal, "the audit is missing") : error;
    base->number = (uint64_t)sqlite3_column_int64(row, 0);
    journal_end(row);
    if (base->number == 0)
        return KVPBUS_OK;
    error = GET(journal, &row, MARK_COLUMNS "WHERE number = ?1", INT(base->number));
    if (error != KVPBUS_OK) // what is told of it will not fit
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    error = read_mark(journal, row, base);
    journal_end(row);
    return error;
}

static enum kvpbus_error read_marks(struct kvpbus_journal *journal, uint64_t after,
                                    struct kvpbus_audit_page *page)
{
    sqlite3_stmt *row;
    enum kvpbus_error error = GET(
        journal, &row, MARK_COLUMNS "WHERE number > ?1 AND number <= ?2 ORDER BY number LIMIT ?3",
        INT(after), INT(page->next), INT(KVPBUS_AUDIT_PAGE_MARKS));
    while (error == KVPBUS_OK) {
        error = read_mark(journal, row, &page->marks[page->mark_count++]);
        if (error != KVPBUS_OK) {
            journal_end(row);
            return error;
        }
        error = journal_next(journal, row);
    }
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

static enum kvpbus_error read_entry(struct kvpbus_journal *journal, sqlite3_stmt *row,
                                    struct kvpbus_audit_entry *entry)
{
    entry->number = (uint64_t)sqlite3_column_int64(row, 0);
    entry->time_ms = sqlite3_column_int64(row, 1);
    entry->kind = (uint16_t)sqlite3_column_int(row, 2);
    const char *detail = (const char *)sqlite3_column_text(row, 4);
    snprintf(entry->detail, sizeof entry->detail, "%s", detail != NULL ? detail : "");
    enum kvpbus_error error = journal_bytes(journal, row, 3, entry->vm, sizeof entry->vm);
    return error == KVPBUS_OK ? journal_bytes(journal, row, 5, entry->hash, sizeof entry->hash)
                              : error;
}

enum kvpbus_error kvpbus_journal_audit_read(struct kvpbus_journal *journal,
                                            const struct kvpbus_audit_query *query,
                                            struct kvpbus_audit_page *page)
{
    sqlite3_stmt *row;
    struct head head = {.number = 0};
    memset(page, 0, sizeof *page);
    enum kvpbus_error error = read_head(journal, 0, &head);
    if (error == KVPBUS_OK)
        error = read_base(journal, &page->base);
    if (error != KVPBUS_OK)
        return error;
    uint64_t after = query->after > page->base.number ? query->after : page->base.number;
    page->head = (uint64_t)head.number;
    page->next = page->head;
    if (after >= page->head)
        return KVPBUS_OK;
    if (page->head - after > KVPBUS_AUDIT_PAGE_SCAN)
        page->next = after + KVPBUS_AUDIT_PAGE_SCAN;
    error = GET(journal, &row,
                "SELECT number, time_ms, kind, vm, detail, hash FROM audit WHERE number > ?1 AND "
                "number <= ?2 AND time_ms >= ?3 AND (?4 = 0 OR kind = ?4) AND (?5 = 0 OR vm = ?6) "
                "ORDER BY number LIMIT ?7",
                INT(after), INT(page->next), INT(query->since_ms), INT(query->kind),
                INT(query->of_peer), BLOB(query->vm, sizeof query->vm), INT(KVPBUS_AUDIT_PAGE));
    while (error == KVPBUS_OK) {
        error = read_entry(journal, row, &page->entries[page->count++]);
        if (error != KVPBUS_OK) {
            journal_end(row);
            return error;
        }
        error = journal_next(journal, row);
    }
    if (error != KVPBUS_NOT_FOUND)
        return error;
    if (page->count == KVPBUS_AUDIT_PAGE)
        page->next = page->entries[page->count - 1].number;
    return read_marks(journal, after, page);
}
