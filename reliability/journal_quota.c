// SPDX-License-Identifier: Apache-2.0
//
// Quotas: how much may wait for one peer, and from it, and in the file. What has no room is refused
// with words, or not begun by the peer for the want of credit; nothing is ever dropped for it.
#include <stdio.h>

#include "journal_internal.h"
#include "kvpbus/management.h"

// --- limits ---

struct limits {
    uint64_t outbox, inbox;           // bytes
    uint64_t bulk_queued, bulk_inbox; // of these for class bulk
    char name[KVPBUS_PEER_NAME_MAX + 1];
};

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

// Bulk leaves room for the others, and has room for one message in any case.
static uint64_t bulk_of(const struct kvpbus_journal_options *options, uint64_t bulk_max,
                        uint64_t box)
{
    uint64_t longest = options->body_max + KVPBUS_MESSAGE_OVERHEAD + KVPBUS_BUNDLE_HEADER;
    uint64_t wanted = bulk_max != 0 ? bulk_max : box / 4 * 3;
    return least(wanted > longest ? wanted : longest, less(box, options->control_reserve));
}

static const struct kvpbus_quota *quota_of(const struct kvpbus_journal *journal,
                                           const struct kvpbus_peer *peer)
{
    for (size_t i = 0; i < journal->options.quota_count; i++) {
        const struct kvpbus_quota *quota = &journal->options.quotas[i];
        uint8_t vm[KVPBUS_GUID_BYTES];
        if (strcmp(quota->peer, peer->name) == 0 ||
            (kvpbus_guid_parse(quota->peer, vm) && memcmp(vm, peer->vm, sizeof vm) == 0))
            return quota;
    }
    return NULL;
}

static enum kvpbus_error limits_of(struct kvpbus_journal *journal, int64_t peer,
                                   struct limits *limits)
{
    const struct kvpbus_journal_options *options = &journal->options;
    struct kvpbus_peer row;
    enum kvpbus_error error = kvpbus_journal_peer_get(journal, peer, &row);
    if (error != KVPBUS_OK)
        return error;
    const struct kvpbus_quota *own = quota_of(journal, &row);
    limits->outbox = own != NULL && own->outbox_max != 0 ? own->outbox_max : options->outbox_max;
    limits->inbox = own != NULL && own->inbox_max != 0 ? own->inbox_max : options->inbox_max;
    uint64_t bulk = own != NULL && own->bulk_max != 0 ? own->bulk_max : options->bulk_max;
    limits->bulk_queued = bulk_of(options, bulk, limits->outbox);
    limits->bulk_inbox = bulk_of(options, bulk, limits->inbox);
    memcpy(limits->name, row.name, sizeof limits->name);
    return KVPBUS_OK;
}

// "256M", as the configuration has it; bytes where it is no round number.
struct size_text {
    char text[24];
};
static struct size_text in_words(uint64_t bytes)
{
    struct size_text out;
    const char *unit = "";
    for (const char *next = "kMG"; *next != '\0' && bytes >= 1024 && bytes % 1024 == 0; next++) {
        bytes /= 1024;
        unit = next;
    }
    snprintf(out.text, sizeof out.text, "%llu%.1s", (unsigned long long)bytes, unit);
    return out;
}

static enum kvpbus_error file_full(struct kvpbus_journal *journal)
{
    return kvpbus_fail(&journal->failure, KVPBUS_JOURNAL_FULL,
                       "journal %s is full, journal_max is %s: consume messages, drop dead letters "
                       "('kvpbus dead'), shorten history or raise journal_max",
                       journal->path, in_words(journal->options.total_max).text);
}

// --- out ---

static enum kvpbus_error outbox_full(struct kvpbus_journal *journal, const struct limits *limits,
                                     int64_t count, int64_t bytes)
{
    return kvpbus_fail(
        &journal->failure, KVPBUS_QUOTA,
        "the outbox of %.64s is full: %lld messages of %lld bytes wait, outbox_max is %s, of which "
        "%s are for class control; wait for deliveries, withdraw some, or raise it",
        limits->name, (long long)count, (long long)bytes, in_words(limits->outbox).text,
        in_words(journal->options.control_reserve).text);
}

static enum kvpbus_error check_bulk(struct kvpbus_journal *journal, int64_t peer,
                                    const struct limits *limits, size_t size)
{
    int64_t count = 0, bytes = 0;
    enum kvpbus_error error = journal_tally_get(journal, peer, TALLY_BULK_QUEUED, &count, &bytes);
    if (error != KVPBUS_OK || (uint64_t)bytes + size <= limits->bulk_queued)
        return error;
    return kvpbus_fail(
        &journal->failure, KVPBUS_QUOTA,
        "%lld messages of class bulk with %lld bytes wait for %.64s, bulk_max is %s; "
        "wait for deliveries, withdraw some, use another class, or raise it",
        (long long)count, (long long)bytes, limits->name, in_words(limits->bulk_queued).text);
}

// Refused here, before SQLite runs into its limit, so that a full journal can still be read,
// answered and emptied.
enum kvpbus_error journal_may_queue(struct kvpbus_journal *journal, int64_t peer,
                                    enum kvpbus_class class_, size_t size)
{
    uint64_t reserve = class_ == KVPBUS_CLASS_CONTROL ? 0 : journal->options.control_reserve;
    int64_t count = 0, bytes = 0;
    uint64_t left = 0;
    struct limits limits = {0};
    enum kvpbus_error error = journal_here(journal, peer);
    if (error == KVPBUS_OK)
        error = limits_of(journal, peer, &limits);
    if (error == KVPBUS_OK)
        error = journal_tally_get(journal, peer, KVPBUS_OUTCOME_PENDING, &count, &bytes);
    if (error == KVPBUS_OK && (uint64_t)bytes + size + reserve > limits.outbox)
        return outbox_full(journal, &limits, count, bytes);
    if (error == KVPBUS_OK && class_ == KVPBUS_CLASS_BULK)
        error = check_bulk(journal, peer, &limits, size);
    if (error == KVPBUS_OK)
        error = journal_free(journal, &left);
    if (error == KVPBUS_OK && size + ROW_BYTES + reserve > left)
        return file_full(journal);
    return error;
}

// --- in ---

// Bytes in the inbox, of dead letters and for receipts that are owed, and those promised to
// unfinished bundles; and of those the ones of class bulk.
struct used {
    uint64_t all, bulk;
};

static enum kvpbus_error inbox_used(struct kvpbus_journal *journal, int64_t peer, struct used *used)
{
    int64_t count, bytes, dead, owed, bulk;
    sqlite3_stmt *row;
    enum kvpbus_error error = journal_tally_get(journal, peer, TALLY_INBOX, &count, &bytes);
    if (error == KVPBUS_OK)
        error = journal_tally_get(journal, peer, TALLY_DEAD_LETTERS, &count, &dead);
    if (error == KVPBUS_OK)
        error = journal_tally_get(journal, peer, TALLY_OWED, &count, &owed);
    if (error == KVPBUS_OK)
        error = journal_tally_get(journal, peer, TALLY_BULK_RECEIVED, &count, &bulk);
    if (error == KVPBUS_OK)
        error = GET(journal, &row,
                    "SELECT coalesce(sum(max(total, held)), 0), coalesce(sum(iif(class = 2, "
                    "max(total, held), 0)), 0) FROM arrived WHERE peer = ?1 AND state = 0",
                    INT(peer));
    if (error != KVPBUS_OK)
        return error;
    used->all = (uint64_t)(bytes + dead + owed + sqlite3_column_int64(row, 0));
    used->bulk = (uint64_t)(bulk + sqlite3_column_int64(row, 1));
    journal_end(row);
    return KVPBUS_OK;
}

// Credit is given before it is known how much a bundle inflates to, so an honest peer may be beyond
// the room by then; twice the box is more than any credit.
enum kvpbus_error journal_may_begin(struct kvpbus_journal *journal, int64_t peer, uint32_t total)
{
    struct used used;
    struct limits limits;
    uint64_t left;
    enum kvpbus_error error = limits_of(journal, peer, &limits);
    if (error == KVPBUS_OK)
        error = inbox_used(journal, peer, &used);
    if (error != KVPBUS_OK)
        return error;
    if (used.all + total > 2 * limits.inbox)
        return kvpbus_fail(&journal->failure, KVPBUS_CREDIT,
                           "the peer began a bundle of %lu bytes without credit for it",
                           (unsigned long)total);
    error = journal_free(journal, &left);
    return error == KVPBUS_OK && total > left ? file_full(journal) : error;
}

enum kvpbus_error journal_may_receive(struct kvpbus_journal *journal, int64_t peer, uint64_t plain,
                                      size_t count)
{
    struct used used;
    struct limits limits;
    uint64_t left, needed = plain + count * ROW_BYTES;
    enum kvpbus_error error = limits_of(journal, peer, &limits);
    if (error == KVPBUS_OK)
        error = inbox_used(journal, peer, &used);
    if (error == KVPBUS_OK)
        error = journal_free(journal, &left);
    if (error != KVPBUS_OK)
        return error;
    if (used.all + plain > 2 * limits.inbox)
        return kvpbus_fail(
            &journal->failure, KVPBUS_QUOTA,
            "the inbox of %.64s is full, inbox_max is %s: its messages wait; consume "
            "messages, drop dead letters ('kvpbus dead') or raise it",
            limits.name, in_words(limits.inbox).text);
    return needed > left ? file_full(journal) : KVPBUS_OK;
}

enum kvpbus_error kvpbus_journal_room(struct kvpbus_journal *journal, int64_t peer,
                                      uint64_t room[KVPBUS_CLASS_COUNT])
{
    struct used used;
    struct limits limits;
    uint64_t left;
    enum kvpbus_error error = limits_of(journal, peer, &limits);
    if (error == KVPBUS_OK)
        error = inbox_used(journal, peer, &used);
    if (error == KVPBUS_OK)
        error = journal_free(journal, &left);
    if (error != KVPBUS_OK)
        return error;
    for (int i = 0; i < KVPBUS_CLASS_COUNT; i++) {
        uint64_t reserve = i == KVPBUS_CLASS_CONTROL ? 0 : journal->options.control_reserve;
        room[i] = least(less(limits.inbox, used.all + reserve), less(left, reserve));
    }
    room[KVPBUS_CLASS_BULK] = least(room[KVPBUS_CLASS_BULK], less(limits.bulk_inbox, used.bulk));
    return KVPBUS_OK;
}
