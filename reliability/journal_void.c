// SPDX-License-Identifier: Apache-2.0
//
// What is void is compared in SYNC like what has arrived: a side that went back may not know that
// it called a message void, or that the other did. Each side keeps, per timeline and class, the XOR
// of a digest of every void message (number and index; a whole bundle counts as one, in place of
// its messages). The sender may lack the answers to questions that are open: the receiver's digest
// must be the sender's, but for any of those.
#include <sodium.h>

#include "big_endian.h"
#include "journal_internal.h"

uint64_t journal_void_digest(uint64_t number, uint16_t index)
{
    uint8_t place[10], hash[crypto_generichash_BYTES_MIN];
    kvpbus_put_be(place, number, 8);
    kvpbus_put_be(place + 8, index, 2);
    crypto_generichash(hash, sizeof hash, place, sizeof place, NULL, 0);
    return kvpbus_get_be(hash, 8);
}

enum kvpbus_error journal_voids_of(struct kvpbus_journal *journal, int64_t sealed, uint64_t number,
                                   uint64_t *digest)
{
    sqlite3_stmt *row;
    *digest = 0;
    // A message of a sealed bundle is expired, or by a revert unknown, only by the peer's answer.
    enum kvpbus_error error =
        GET(journal, &row, "SELECT place FROM message WHERE sent = ?1 AND outcome IN (2, 4)",
            INT(sealed));
    for (; error == KVPBUS_OK; error = journal_next(journal, row))
        *digest ^= journal_void_digest(number, (uint16_t)sqlite3_column_int(row, 0));
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

// --- open questions ----------------------------------------------------------------------------

// All XORs of a set of digests: Gauss, a digest per leading bit.
struct span {
    uint64_t leading[64];
};

static uint64_t reduce(const struct span *span, uint64_t digest)
{
    for (int bit = 63; bit >= 0; bit--)
        if (digest >> bit & 1)
            digest ^= span->leading[bit];
    return digest;
}

static void extend(struct span *span, uint64_t digest)
{
    digest = reduce(span, digest);
    for (int bit = 63; bit >= 0; bit--)
        if (digest >> bit & 1) {
            span->leading[bit] = digest;
            return;
        }
}

static enum kvpbus_error add_messages(struct kvpbus_journal *journal, int64_t peer,
                                      enum kvpbus_class class_, int64_t line, struct span *span)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT number, place FROM message JOIN sealed ON sealed.id = message.sent WHERE "
            "message.peer = ?1 AND outcome = 0 AND gap = 1 AND line = ?2 AND sealed.class = ?3",
            INT(peer), INT(line), INT(class_));
    for (; error == KVPBUS_OK; error = journal_next(journal, row))
        extend(span, journal_void_digest((uint64_t)sqlite3_column_int64(row, 0),
                                         (uint16_t)sqlite3_column_int(row, 1)));
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

// Bundles of which nothing is left but questions may be void as a whole. More than the span can
// tell apart need not be looked at.
static enum kvpbus_error add_wholes(struct kvpbus_journal *journal, int64_t peer,
                                    enum kvpbus_class class_, int64_t line, struct span *span)
{
    int64_t ids[64];
    uint64_t numbers[64];
    size_t count = 0;
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT DISTINCT sealed.id, number FROM message JOIN sealed ON sealed.id = "
            "message.sent WHERE message.peer = ?1 AND outcome = 0 AND gap = 1 AND line = ?2 AND "
            "sealed.class = ?3 AND NOT EXISTS(SELECT 1 FROM message AS other WHERE other.sent = "
            "sealed.id AND other.outcome = 0 AND other.gap = 0) LIMIT ?4",
            INT(peer), INT(line), INT(class_), INT(sizeof ids / sizeof *ids));
    for (; error == KVPBUS_OK; error = journal_next(journal, row)) {
        ids[count] = sqlite3_column_int64(row, 0);
        numbers[count++] = (uint64_t)sqlite3_column_int64(row, 1);
    }
    if (error == KVPBUS_NOT_FOUND)
        error = KVPBUS_OK;
    for (size_t i = 0; error == KVPBUS_OK && i < count; i++) {
        uint64_t single;
        error = journal_voids_of(journal, ids[i], numbers[i], &single);
        extend(span, single ^ journal_void_digest(numbers[i], WHOLE_BUNDLE));
    }
    return error;
}

enum kvpbus_error journal_voids_fit(struct kvpbus_journal *journal, int64_t peer,
                                    enum kvpbus_class class_, const struct position *position,
                                    uint64_t theirs, bool *fit)
{
    struct span span = {{0}};
    enum kvpbus_error error = KVPBUS_OK;
    if (theirs != position->voids)
        error = add_messages(journal, peer, class_, position->line, &span);
    if (error == KVPBUS_OK && theirs != position->voids)
        error = add_wholes(journal, peer, class_, position->line, &span);
    *fit = reduce(&span, theirs ^ position->voids) == 0;
    return error;
}
