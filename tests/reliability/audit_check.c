// SPDX-License-Identifier: Apache-2.0
#include "audit_check.h"

#include <stdlib.h>
#include <string.h>

// The entries of a page, each with its mark.
static enum kvpbus_audit_fault check_page(struct kvpbus_audit_walk *walk,
                                          const struct kvpbus_audit_page *page)
{
    enum kvpbus_audit_fault fault = KVPBUS_AUDIT_FITS;
    size_t marks = 0;
    for (size_t i = 0; fault == KVPBUS_AUDIT_FITS && i < page->count; i++) {
        fault = kvpbus_audit_walk_entry(walk, &page->entries[i]);
        while (fault == KVPBUS_AUDIT_FITS && marks < page->mark_count &&
               page->marks[marks].number == walk->number)
            fault = kvpbus_audit_walk_mark(walk, &page->marks[marks++]);
    }
    return fault;
}

static enum kvpbus_audit_fault check_all(struct kvpbus_journal *journal,
                                         struct kvpbus_audit_walk *walk,
                                         struct kvpbus_audit_page *page)
{
    struct kvpbus_audit_query query = {.after = 0};
    do {
        if (kvpbus_journal_audit_read(journal, &query, page) != KVPBUS_OK)
            return KVPBUS_AUDIT_MISSING;
        if (query.after == 0)
            kvpbus_audit_walk_base(walk, page->base.number, page->base.hash);
        enum kvpbus_audit_fault fault = KVPBUS_AUDIT_FITS;
        if (query.after == 0 && page->base.number > 0)
            fault = kvpbus_audit_walk_mark(walk, &page->base);
        if (fault == KVPBUS_AUDIT_FITS)
            fault = check_page(walk, page);
        if (fault != KVPBUS_AUDIT_FITS)
            return fault;
        query.after = page->next;
    } while (page->next < page->head);
    if (walk->number != page->head)
        return KVPBUS_AUDIT_MISSING;
    return kvpbus_audit_walk_end(walk);
}

enum kvpbus_audit_fault audit_check(struct kvpbus_journal *journal,
                                    const uint8_t identity[KVPBUS_IDENTITY_BYTES], uint64_t *at)
{
    struct kvpbus_audit_walk walk;
    struct kvpbus_audit_page *page = malloc(sizeof *page);
    kvpbus_audit_walk_begin(&walk, identity);
    enum kvpbus_audit_fault fault = KVPBUS_AUDIT_MISSING;
    if (page != NULL && kvpbus_journal_begin(journal) == KVPBUS_OK) {
        fault = check_all(journal, &walk, page);
        kvpbus_journal_rollback(journal);
    }
    *at = walk.number + (fault != KVPBUS_AUDIT_FITS);
    free(page);
    return fault;
}
