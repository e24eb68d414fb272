// SPDX-License-Identifier: Apache-2.0
//
// The audit in the journal: what is entered, that it fits after whatever happened, that it is
// bounded, and that a file which somebody changed is found.
#include <criterion/criterion.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "audit_check.h"
#include "journal_rig.h"

enum { HOUR = 3600 * 1000 };

static struct journal_rig rig;
static struct kvpbus_audit_page page;

static void setup(void)
{
    rig_open(&rig, NULL);
    rig_sync(&rig);
}

static void teardown(void)
{
    rig_close(&rig);
}

TestSuite(journal_audit, .init = setup, .fini = teardown);

static void fits(struct journal_side *side)
{
    uint64_t at;
    enum kvpbus_audit_fault fault = audit_check(side->journal, side->identity, &at);
    cr_assert_eq(fault, KVPBUS_AUDIT_FITS, "%d at %llu", fault, (unsigned long long)at);
}

static void enter(struct journal_side *side, const char *detail)
{
    IN(side, kvpbus_journal_audit(side->journal, side->peer, KVPBUS_AUDIT_ALARM, detail));
}

static enum kvpbus_error sign(struct journal_side *side)
{
    kvpbus_journal_time(side->journal, rig.now);
    return kvpbus_journal_audit_sign(side->journal, side->identity, side->secret, NULL);
}

// As the bus does after each job.
static void keep(struct journal_side *side)
{
    kvpbus_journal_time(side->journal, rig.now);
    if (kvpbus_journal_audit_due(side->journal))
        IN(side, sign(side));
}

static void read_after(struct journal_side *side, uint64_t after)
{
    struct kvpbus_audit_query query = {.after = after};
    IN(side, kvpbus_journal_audit_read(side->journal, &query, &page));
}

// Which entries there are behind `after`, as "received, consumed".
static const char *kinds(struct journal_side *side, uint64_t after)
{
    static char text[1024];
    char spare[16];
    size_t length = 0;
    read_after(side, after);
    text[0] = '\0';
    for (size_t i = 0; i < page.count; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", i == 0 ? "" : ", ",
                                   kvpbus_audit_word(page.entries[i].kind, spare));
    return text;
}

static uint64_t head(struct journal_side *side)
{
    read_after(side, INT64_MAX);
    return page.head;
}

Test(journal_audit, what_becomes_of_messages_is_entered_on_both_sides)
{
    char id[KVPBUS_MESSAGE_ID_TEXT], expected[64];
    uint64_t host = head(&rig.host), guest = head(&rig.guest);
    struct kvpbus_message_id first = rig_queue(&rig, &rig.host, "a");
    rig_queue(&rig, &rig.host, "b");
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a b");
    cr_assert_str_eq(kinds(&rig.host, host), "delivered");
    kvpbus_message_id_format(&first, id);
    snprintf(expected, sizeof expected, "%s-1", id);
    cr_assert_str_eq(page.entries[0].detail, expected);
    cr_assert_eq(page.entries[0].vm[0], 1);
    cr_assert_str_eq(kinds(&rig.guest, guest), "received, consumed, consumed");
    cr_assert_str_eq(page.entries[0].detail, expected);
    cr_assert_str_eq(page.entries[1].detail, id);
    fits(&rig.host);
    fits(&rig.guest);
}

Test(journal_audit, a_withdrawal_and_a_dead_letter_are_entered)
{
    uint64_t host = head(&rig.host), guest = head(&rig.guest);
    struct kvpbus_message_id id = rig_queue(&rig, &rig.host, "a");
    IN(&rig.host, kvpbus_journal_withdraw(rig.host.journal, rig.host.peer, &id));
    cr_assert_str_eq(kinds(&rig.host, host), "withdrawn, expired");
    rig_queue(&rig, &rig.host, "b");
    rig_flow(&rig, &rig.host, &rig.guest);
    for (int i = 0; i < 10; i++) {
        struct kvpbus_delivery *delivery;
        IN(&rig.guest, kvpbus_journal_lease(rig.guest.journal, &(struct kvpbus_filter){0}, 1000,
                                            rig.now, &delivery));
        IN(&rig.guest,
           kvpbus_journal_nack(rig.guest.journal, delivery->lease, 0, "the secret word", rig.now));
        kvpbus_delivery_free(delivery);
    }
    cr_assert_str_eq(kinds(&rig.guest, guest), "received, dead-letter");
    cr_assert_not_null(strstr(page.entries[1].detail, ".1 after 10 tries"), "%s",
                       page.entries[1].detail);
    fits(&rig.guest);
}

Test(journal_audit, pairings_and_keys_are_entered)
{
    static const uint8_t key[KVPBUS_IDENTITY_BYTES] = {7}, vm[KVPBUS_VM_ID_BYTES] = {1};
    uint64_t host = head(&rig.host);
    IN(&rig.host, kvpbus_journal_unpin(rig.host.journal, rig.host.peer));
    IN(&rig.host, kvpbus_journal_pin(rig.host.journal, rig.host.peer, key, vm));
    cr_assert_str_eq(kinds(&rig.host, host), "unpaired, key-changed, paired");
    cr_assert_eq(strlen(page.entries[2].detail), 39);
    cr_assert_str_neq(page.entries[1].detail, page.entries[2].detail);
    fits(&rig.host);
}

Test(journal_audit, another_vm_id_is_entered_on_both_sides)
{
    static const uint8_t to[KVPBUS_VM_ID_BYTES] = {2};
    static const char expected[] = "from 01020304-0506-0708-090A-0B0C0D0E0F00 to "
                                   "02000000-0000-0000-0000-000000000000";
    uint64_t host = head(&rig.host), guest = head(&rig.guest);
    struct kvpbus_peer peer;
    int64_t other;
    IN(&rig.guest, kvpbus_journal_peer_get(rig.guest.journal, rig.guest.peer, &peer));
    IN(&rig.host, kvpbus_journal_rebind(rig.host.journal, rig.host.peer, to, &other));
    IN(&rig.guest, kvpbus_journal_rebound(rig.guest.journal, rig.guest.peer, peer.vm, to));
    cr_assert_str_eq(kinds(&rig.host, host), "rebound");
    cr_assert_str_eq(page.entries[0].detail, expected);
    cr_assert_eq(page.entries[0].vm[0], 2);
    cr_assert_str_eq(kinds(&rig.guest, guest), "rebound");
    cr_assert_str_eq(page.entries[0].detail, expected);
    fits(&rig.host);
    fits(&rig.guest);
}

Test(journal_audit, a_refused_bundle_is_entered_with_its_place)
{
    uint64_t guest = head(&rig.guest);
    rig_queue(&rig, &rig.host, "a");
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.host, 1000);
    uint8_t *bytes = rig_bytes(&rig.host, &sealed);
    bytes[sealed.length - 1] ^= 1;
    cr_assert(rig_carry(&rig, &rig.guest, &sealed, bytes, 0, sealed.length, 5000).refused);
    free(bytes);
    cr_assert_str_eq(kinds(&rig.guest, guest), "refused");
    cr_assert_str_eq(page.entries[0].detail, "BAD_SIGNATURE: normal bundle 1");
}

Test(journal_audit, a_revert_is_entered_with_what_it_touches)
{
    uint64_t host = head(&rig.host);
    side_save(&rig.guest);
    rig_queue(&rig, &rig.host, "a");
    rig_flow(&rig, &rig.host, &rig.guest);
    side_restore(&rig.guest);
    rig_sync(&rig);
    cr_assert_str_eq(kinds(&rig.host, host), "delivered, reverted, unknown");
    cr_assert_str_eq(page.entries[1].detail, "the peer");
    fits(&rig.host);
    fits(&rig.guest);
}

Test(journal_audit, many_messages_make_few_entries)
{
    uint64_t host = head(&rig.host), guest = head(&rig.guest);
    for (int i = 0; i < 200; i++)
        rig_queue(&rig, &rig.host, "a");
    for (int i = 0; i < 200; i += 2) { // then the ranges are short
        struct kvpbus_message_id id = rig_queue(&rig, &rig.host, "b");
        IN(&rig.host, kvpbus_journal_withdraw(rig.host.journal, rig.host.peer, &id));
        rig_queue(&rig, &rig.host, "c");
    }
    rig_flow(&rig, &rig.host, &rig.guest);
    read_after(&rig.host, host + 200);
    cr_assert_leq(page.count, 6);
    cr_assert_leq(head(&rig.guest) - guest, 6);
    read_after(&rig.guest, guest);
    for (size_t i = 0; i < page.count; i++)
        cr_assert_leq(strlen(page.entries[i].detail), KVPBUS_AUDIT_DETAIL_MAX);
    fits(&rig.host);
    fits(&rig.guest);
}

Test(journal_audit, what_is_undone_was_not_entered)
{
    struct kvpbus_journal *journal = rig.host.journal;
    uint64_t before = head(&rig.host);
    cr_assert_eq(kvpbus_journal_begin(journal), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_audit(journal, 0, KVPBUS_AUDIT_ALARM, "stays"), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_savepoint(journal), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_audit(journal, 0, KVPBUS_AUDIT_ALARM, "undone"), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_release(journal, false), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_audit(journal, 0, KVPBUS_AUDIT_ALARM, "next"), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_commit(journal, NULL), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_begin(journal), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_audit(journal, 0, KVPBUS_AUDIT_ALARM, "undone"), KVPBUS_OK);
    kvpbus_journal_rollback(journal);
    enter(&rig.host, "last");
    read_after(&rig.host, before);
    cr_assert_eq(page.count, 3);
    cr_assert_str_eq(page.entries[1].detail, "next");
    fits(&rig.host);
}

Test(journal_audit, a_detail_is_one_bounded_line)
{
    char text[400];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    uint64_t before = head(&rig.host);
    enter(&rig.host, text);
    enter(&rig.host, "a\nb\x1b[1m\xc3\xa4");
    read_after(&rig.host, before);
    cr_assert_eq(strlen(page.entries[0].detail), KVPBUS_AUDIT_DETAIL_MAX);
    cr_assert_str_eq(page.entries[1].detail, "a?b?[1m??");
    fits(&rig.host);
}

Test(journal_audit, only_what_is_asked_for_is_read)
{
    struct kvpbus_audit_query query = {.after = head(&rig.host)};
    kvpbus_journal_time(rig.host.journal, rig.now);
    enter(&rig.host, "one");
    IN(&rig.host, kvpbus_journal_audit(rig.host.journal, 0, KVPBUS_AUDIT_STARTED, ""));
    kvpbus_journal_time(rig.host.journal, rig.now + HOUR);
    enter(&rig.host, "two");
    query.kind = KVPBUS_AUDIT_ALARM;
    IN(&rig.host, kvpbus_journal_audit_read(rig.host.journal, &query, &page));
    cr_assert_eq(page.count, 2);
    query.since_ms = rig.now + 1;
    IN(&rig.host, kvpbus_journal_audit_read(rig.host.journal, &query, &page));
    cr_assert_eq(page.count, 1);
    cr_assert_str_eq(page.entries[0].detail, "two");
    query = (struct kvpbus_audit_query){.after = query.after, .of_peer = true};
    IN(&rig.host, kvpbus_journal_audit_read(rig.host.journal, &query, &page));
    cr_assert_eq(page.count, 1);
    cr_assert_eq(page.entries[0].kind, KVPBUS_AUDIT_STARTED);
}

// --- marks, and how much is kept ---

Test(journal_audit, the_head_is_signed_when_it_is_time)
{
    struct kvpbus_audit_mark mark;
    kvpbus_journal_time(rig.host.journal, rig.now);
    keep(&rig.host);
    uint64_t before = head(&rig.host);
    enter(&rig.host, "soon after");
    keep(&rig.host);
    read_after(&rig.host, before);
    cr_assert_eq(page.mark_count, 0);
    rig.now += HOUR;
    keep(&rig.host);
    read_after(&rig.host, before);
    cr_assert_eq(page.mark_count, 1);
    cr_assert_eq(page.marks[0].number, page.head);
    enter(&rig.host, "at once");
    IN(&rig.host,
       kvpbus_journal_audit_sign(rig.host.journal, rig.host.identity, rig.host.secret, &mark));
    cr_assert_eq(mark.number, before + 2);
    cr_assert(kvpbus_audit_signed(&mark));
    fits(&rig.host);
}

Test(journal_audit, another_key_of_this_side_is_told)
{
    enter(&rig.host, "a");
    IN(&rig.host, sign(&rig.host));
    uint64_t before = head(&rig.host);
    crypto_sign_keypair(rig.host.identity, rig.host.secret);
    uint64_t at;
    cr_assert_eq(audit_check(rig.host.journal, rig.host.identity, &at), KVPBUS_AUDIT_FOREIGN_KEY);
    IN(&rig.host, sign(&rig.host));
    cr_assert_str_eq(kinds(&rig.host, before), "own-key");
    cr_assert_eq(page.mark_count, 1);
}

static void reopen_with(struct journal_side *side, uint64_t audit_max, uint64_t audit_ms)
{
    side->options.audit_max = audit_max;
    side->options.audit_ms = audit_ms;
    side_reopen(side);
}

Test(journal_audit, old_entries_are_given_up_at_a_mark)
{
    reopen_with(&rig.host, 100, 0);
    for (int i = 0; i < 1000; i++) {
        enter(&rig.host, "one of many");
        keep(&rig.host);
        read_after(&rig.host, 0);
        cr_assert_leq(page.head - page.base.number, 100 + 2 * 26);
        if (i % 50 == 0)
            fits(&rig.host);
    }
    read_after(&rig.host, 0);
    cr_assert_gt(page.base.number, 800);
    cr_assert(kvpbus_audit_signed(&page.base));
    fits(&rig.host);
    side_reopen(&rig.host);
    fits(&rig.host);
}

Test(journal_audit, entries_grow_too_old)
{
    reopen_with(&rig.host, 0, 5 * HOUR);
    for (int i = 0; i < 20; i++) {
        rig.now += HOUR;
        enter(&rig.host, "each hour");
        keep(&rig.host);
    }
    read_after(&rig.host, 0);
    cr_assert_gt(page.base.number, 5);
    cr_assert_lt(rig.now - page.entries[0].time_ms, 8 * HOUR);
    fits(&rig.host);
}

Test(journal_audit, a_full_journal_is_emptied_and_audited)
{
    struct kvpbus_failure failure;
    struct kvpbus_journal_options options = {.total_max = 3 << 20, .body_max = 1 << 20};
    rig_close(&rig);
    rig_open(&rig, &options);
    rig_sync(&rig);
    enum kvpbus_error error = KVPBUS_OK;
    uint64_t before = head(&rig.host);
    static uint8_t body[4000];
    struct kvpbus_message_id last = {.index = 0};
    while (error == KVPBUS_OK) {
        struct kvpbus_message message = rig_message("t", "");
        message.body = body;
        message.body_length = sizeof body;
        cr_assert_eq(kvpbus_journal_begin(rig.host.journal), KVPBUS_OK);
        error = kvpbus_journal_queue(rig.host.journal, rig.host.peer, &message, false, rig.now);
        if (error == KVPBUS_OK) {
            last = message.id;
            error = kvpbus_journal_commit(rig.host.journal, &failure);
        } else {
            kvpbus_journal_rollback(rig.host.journal);
        }
    }
    cr_assert_eq(error, KVPBUS_JOURNAL_FULL);
    for (int i = 0; i < 1000; i++)
        enter(&rig.host, "all that goes wrong with a journal that is full, in many words");
    IN(&rig.host, kvpbus_journal_withdraw(rig.host.journal, rig.host.peer, &last));
    cr_assert_eq(head(&rig.host), before + 1002);
    fits(&rig.host);
}

// --- a file that somebody changed ---

static void tamper(const char *text)
{
    sqlite3 *db;
    kvpbus_journal_close(rig.host.journal);
    cr_assert_eq(sqlite3_open(rig.host.path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
    struct kvpbus_failure failure;
    cr_assert_eq(kvpbus_journal_open(rig.host.path, &rig.host.options, &rig.host.journal, &failure),
                 KVPBUS_OK, "%s", failure.detail);
}

static void is_found(enum kvpbus_audit_fault fault, uint64_t at)
{
    uint64_t found;
    cr_assert_eq(audit_check(rig.host.journal, rig.host.identity, &found), fault);
    cr_assert_eq(found, at, "%llu", (unsigned long long)found);
}

static void forty(void)
{
    while (head(&rig.host) < 30)
        enter(&rig.host, "something");
    IN(&rig.host, sign(&rig.host));
    while (head(&rig.host) < 40)
        enter(&rig.host, "something");
    fits(&rig.host);
}

Test(journal_audit, a_changed_row_is_found)
{
    forty();
    tamper("UPDATE audit SET detail = 'nothing' WHERE number = 17");
    is_found(KVPBUS_AUDIT_CHANGED, 17);
}

Test(journal_audit, a_deleted_row_is_found)
{
    forty();
    tamper("DELETE FROM audit WHERE number = 17");
    is_found(KVPBUS_AUDIT_MISSING, 17);
}

Test(journal_audit, exchanged_rows_are_found)
{
    forty();
    tamper("UPDATE audit SET number = -1 WHERE number = 17;"
           "UPDATE audit SET number = 17 WHERE number = 18;"
           "UPDATE audit SET number = 18 WHERE number = -1");
    is_found(KVPBUS_AUDIT_CHANGED, 17);
}

Test(journal_audit, a_beginning_that_is_deleted_is_found)
{
    forty();
    tamper("DELETE FROM audit WHERE number <= 20");
    is_found(KVPBUS_AUDIT_BAD_SIGNATURE, 21);
    tamper("DELETE FROM audit WHERE number <= 30");
    is_found(KVPBUS_AUDIT_SHORT, 41);
}

// What was signed, or an older head that somebody keeps, shows it; the entries alone do not.
Test(journal_audit, an_end_that_is_deleted_is_missed_by_its_mark)
{
    forty();
    struct kvpbus_audit_mark older;
    IN(&rig.host,
       kvpbus_journal_audit_sign(rig.host.journal, rig.host.identity, rig.host.secret, &older));
    tamper("DELETE FROM audit WHERE number > 35");
    read_after(&rig.host, 0);
    cr_assert_eq(page.head, 35);
    cr_assert_eq(older.number, 40);
    struct kvpbus_audit_walk walk;
    kvpbus_audit_walk_begin(&walk, rig.host.identity);
    kvpbus_audit_walk_base(&walk, page.head, page.entries[page.count - 1].hash);
    cr_assert_eq(kvpbus_audit_walk_mark(&walk, &older), KVPBUS_AUDIT_SHORT);
}
