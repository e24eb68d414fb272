// SPDX-License-Identifier: Apache-2.0
//
// The audit in the journal. What the journal does itself it enters itself, in the transaction of
// what is told (journal_audit.c); the rest is entered by its owner. As journal.h says: every call
// is synchronous, belongs to one thread and stands between begin and commit.
#ifndef KVPBUS_AUDIT_JOURNAL_H
#define KVPBUS_AUDIT_JOURNAL_H

#include "audit.h"
#include "journal.h"

// What time it is, for what the journal writes without being told the time.
void kvpbus_journal_time(struct kvpbus_journal *journal, int64_t now_ms);

// `peer` 0: of none. Bytes of `detail` that are no printable ASCII become question marks, and what
// is beyond KVPBUS_AUDIT_DETAIL_MAX is left out.
enum kvpbus_error kvpbus_journal_audit(struct kvpbus_journal *journal, int64_t peer,
                                       enum kvpbus_audit_kind kind, const char *detail);

// True when it is time for the next; costs nothing.
bool kvpbus_journal_audit_due(const struct kvpbus_journal *journal);
// Signs the head; gives up the oldest entries when there are more than audit_max, or they are older
// than audit_ms. *mark, which may be NULL: the newest one.
enum kvpbus_error kvpbus_journal_audit_sign(struct kvpbus_journal *journal,
                                            const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                                            const uint8_t secret[KVPBUS_SECRET_BYTES],
                                            struct kvpbus_audit_mark *mark);

enum {
    KVPBUS_AUDIT_PAGE = 128,       // entries
    KVPBUS_AUDIT_PAGE_MARKS = 64,  // if there are more, the rest is not told
    KVPBUS_AUDIT_PAGE_SCAN = 5000, // entries that are looked at for it
};

struct kvpbus_audit_query {
    uint64_t after; // a number
    int64_t since_ms;
    uint16_t kind; // 0: any
    bool of_peer;  // only of `vm`
    uint8_t vm[KVPBUS_VM_ID_BYTES];
};

struct kvpbus_audit_page {
    size_t count, mark_count;
    struct kvpbus_audit_entry entries[KVPBUS_AUDIT_PAGE];
    struct kvpbus_audit_mark marks[KVPBUS_AUDIT_PAGE_MARKS]; // of the numbers after..next
    uint64_t next; // what was looked at; head: that was all
    uint64_t head; // the last number there is
    // What the oldest entry follows: number 0, or the mark at which the chain was cut.
    struct kvpbus_audit_mark base;
};
enum kvpbus_error kvpbus_journal_audit_read(struct kvpbus_journal *journal,
                                            const struct kvpbus_audit_query *query,
                                            struct kvpbus_audit_page *page);

#endif
