// SPDX-License-Identifier: Apache-2.0
//
// What a peer can make many of slows nothing down: the steps of SQLite's machine are counted.
#include <criterion/criterion.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

#include "journal_internal.h"
#include "journal_rig.h"

enum { MANY = 100001, INBOX_FROM = 10000 };

static struct journal_rig rig;

static void setup(void)
{
    rig_open(&rig, NULL);
    rig_sync(&rig);
}

static void teardown(void)
{
    rig_close(&rig);
}

TestSuite(journal_many, .init = setup, .fini = teardown);

// What SQLite has done since the last time.
static int64_t steps(struct journal_side *side)
{
    int64_t count = 0;
    for (size_t i = 0; i < side->journal->statement_count; i++)
        count += sqlite3_stmt_status(side->journal->statements[i].prepared,
                                     SQLITE_STMTSTATUS_VM_STEP, 1);
    return count;
}

static void sql(struct journal_side *side, const char *text)
{
    sqlite3 *db = side->journal->db;
    cr_assert_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
}

// --- messages that came -------------------------------------------------------------------------

// MANY of the peer, which wait or have ended.
static void put_received(struct journal_side *side, enum fate fate)
{
    char text[1024];
    int inbox = fate == FATE_NONE ? INBOX_FROM : 10 * MANY;
    snprintf(text, sizeof text,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT "
             "INTO received(peer, class, bundle, place, topic, stream, body, came_ms, inbox, fate, "
             "fate_ms) SELECT %" PRId64
             ", 1, randomblob(16), 0, 't', 's', 1, 1, %d + i, %d, %d FROM n",
             MANY, side->peer, inbox, (int)fate, fate == FATE_NONE ? 0 : 1);
    sql(side, text);
    snprintf(text, sizeof text, "UPDATE tally SET count = count + %d WHERE what = %d", MANY,
             TALLY_RECEIVED);
    sql(side, text);
    if (fate != FATE_NONE)
        return;
    snprintf(text, sizeof text,
             "INSERT INTO inbox(id, peer, stream, source, number, sequence, topic, bundle, place, "
             "size, content) SELECT inbox, peer, 99, 1, 1, 1, topic, bundle, place, 1, x'00' FROM "
             "received WHERE inbox > %d; UPDATE tally SET count = count + %d WHERE what = %d",
             INBOX_FROM, MANY, TALLY_INBOX);
    sql(side, text);
}

// What it takes the guest to take one more.
static int64_t steps_of_one(void)
{
    rig_queue(&rig, &rig.host, "a");
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.host, 1000);
    steps(&rig.guest);
    rig_transfer(&rig, &rig.host, &rig.guest, &sealed);
    return steps(&rig.guest);
}

static int64_t received(struct journal_side *side)
{
    int64_t count = 0, bytes;
    IN(side, journal_tally_get(side->journal, side->peer, TALLY_RECEIVED, &count, &bytes));
    return count;
}

Test(journal_many, messages_that_wait)
{
    for (int i = 0; i < 3; i++)
        steps_of_one();
    int64_t usual = steps_of_one();
    put_received(&rig.guest, FATE_NONE);
    cr_assert_lt(steps_of_one(), 2 * usual);
    cr_assert_eq(received(&rig.guest), 5 + MANY, "they make no room for what ends");
    put_received(&rig.guest, FATE_CONSUMED);
    cr_assert_lt(steps_of_one(), 2 * usual);
    cr_assert_eq(received(&rig.guest), 6 + 2 * MANY - 1, "the oldest of what ended makes room");
    rig_consume(&rig, &rig.guest);
    for (int i = 0; i < 3; i++)
        cr_assert_lt(steps_of_one(), 2 * usual);
    cr_assert_eq(received(&rig.guest), 3 + MANY + (MANY - 1), "and so many are left");
}

Test(journal_many, messages_that_wait_longer_than_what_is_forgotten)
{
    bool more;
    IN(&rig.guest, kvpbus_journal_prune(rig.guest.journal, rig.now, 10, &more));
    put_received(&rig.guest, FATE_NONE);
    put_received(&rig.guest, FATE_CONSUMED);
    steps(&rig.guest);
    IN(&rig.guest, kvpbus_journal_prune(rig.guest.journal, rig.now, 10, &more));
    cr_assert_lt(steps(&rig.guest), MANY / 10);
    cr_assert(more);
    cr_assert_eq(received(&rig.guest), 2 * MANY - 10);
}

// --- streams ------------------------------------------------------------------------------------

static int64_t number(struct journal_side *side, const char *text)
{
    sqlite3_stmt *row = NULL;
    cr_assert_eq(sqlite3_prepare_v2(side->journal->db, text, -1, &row, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(side->journal->db));
    cr_assert_eq(sqlite3_step(row), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    return value;
}

// Streams of the peer in which something came long ago, and nothing waits.
static void put_streams(struct journal_side *side, int from, int to)
{
    char text[512];
    snprintf(text, sizeof text,
             "WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT "
             "INTO in_stream(peer, class, stream, source, next, used_ms) SELECT %" PRId64
             ", 1, 'idle' || i, 1, 2, %" PRId64 " + i FROM n",
             from, to, side->peer, rig.now - MANY);
    sql(side, text);
}

// What it takes the guest to take one more, in a stream of its own.
static int64_t steps_of_a_stream(void)
{
    static int streams;
    char stream[16];
    struct kvpbus_message message = rig_message("t", "a");
    snprintf(stream, sizeof stream, "new%d", streams++);
    message.stream = stream;
    rig_queue_message(&rig, &rig.host, &message, false);
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.host, 1000);
    steps(&rig.guest);
    rig_transfer(&rig, &rig.host, &rig.guest, &sealed);
    return steps(&rig.guest);
}

Test(journal_many, streams_that_are_named_once)
{
    enum { KEPT = 10000, BROUGHT = 20 };
    bool more;
    put_streams(&rig.guest, 1, KEPT);
    steps_of_a_stream();
    int64_t usual = steps_of_a_stream();
    put_streams(&rig.guest, KEPT + 1, MANY - 1);
    int64_t all = number(&rig.guest, "SELECT count(*) FROM in_stream");
    for (int i = 0; i < BROUGHT; i++)
        cr_assert_lt(steps_of_a_stream(), 2 * usual);
    cr_assert_eq(number(&rig.guest, "SELECT count(*) FROM in_stream"), all, "one for another");
    cr_assert_eq(number(&rig.guest, "SELECT count(*) FROM in_stream WHERE stream LIKE 'new%'"),
                 BROUGHT + 2);
    steps(&rig.guest);
    IN(&rig.guest, kvpbus_journal_prune(rig.guest.journal, rig.now, 200, &more));
    cr_assert_lt(steps(&rig.guest), MANY / 10);
    cr_assert_not(more);
    int64_t later = rig.now + (int64_t)rig.guest.journal->options.history_ms;
    IN(&rig.guest, kvpbus_journal_prune(rig.guest.journal, later, 200, &more));
    cr_assert_lt(steps(&rig.guest), MANY / 10);
    cr_assert(more);
    cr_assert_eq(number(&rig.guest, "SELECT count(*) FROM in_stream"), all - 200);
    cr_assert_eq(rig_counts(&rig.guest).inbox, BROUGHT + 2);
}

// --- timelines ----------------------------------------------------------------------------------

// The guest says that it takes a timeline of the host that there never was; the rows that this
// changes.
static int64_t name_a_timeline(void)
{
    struct kvpbus_sync sync;
    enum kvpbus_sync_verdict verdict;
    IN(&rig.guest, kvpbus_journal_sync_make(rig.guest.journal, rig.guest.peer, &sync));
    randombytes_buf(sync.peer_timeline, sizeof sync.peer_timeline);
    steps(&rig.host);
    int64_t before = sqlite3_total_changes64(rig.host.journal->db);
    IN(&rig.host, kvpbus_journal_sync_apply(rig.host.journal, rig.host.peer, &sync, false, rig.now,
                                            "", &verdict));
    cr_assert_eq(verdict, KVPBUS_SYNC_I_WENT_BACK);
    return sqlite3_total_changes64(rig.host.journal->db) - before;
}

Test(journal_many, timelines_that_never_were)
{
    enum { SYNCS = 1000, KEPT = 65 };
    rig_queue(&rig, &rig.host, "a");
    rig_flow(&rig, &rig.host, &rig.guest);
    for (int i = 0; i < 2 * KEPT; i++)
        name_a_timeline();
    int64_t changes = name_a_timeline(), usual = steps(&rig.host);
    for (int i = 2 * KEPT; i < SYNCS; i++)
        name_a_timeline();
    cr_assert_leq(name_a_timeline(), changes);
    cr_assert_lt(steps(&rig.host), 2 * usual);
    cr_assert_leq(number(&rig.host, "SELECT count(*) FROM line"), KEPT);
    cr_assert_leq(number(&rig.host, "SELECT count(*) FROM position"), KEPT * KVPBUS_CLASS_COUNT);
    rig_sync(&rig);
    rig_queue(&rig, &rig.host, "b");
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a b");
}

// A VM that begins each day from the same checkpoint is known, however many days there were.
Test(journal_many, reverts_to_one_checkpoint)
{
    rig_queue(&rig, &rig.host, "a");
    rig_flow(&rig, &rig.host, &rig.guest);
    side_save(&rig.guest);
    for (int day = 0; day < 100; day++) {
        struct kvpbus_message_id id = rig_queue(&rig, &rig.host, "b");
        rig_flow(&rig, &rig.host, &rig.guest);
        cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_DELIVERED);
        side_restore(&rig.guest);
        cr_assert_eq(rig_sync(&rig).host, KVPBUS_SYNC_PEER_WENT_BACK, "day %d", day);
        cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_UNKNOWN);
    }
    cr_assert_leq(number(&rig.host, "SELECT count(*) FROM line"), 65);
}

// The checkpoints of a VM are all known, though it was reverted to the latest of them for long.
Test(journal_many, reverts_to_a_later_checkpoint)
{
    char first[sizeof rig.guest.saved];
    rig_queue(&rig, &rig.host, "a");
    rig_flow(&rig, &rig.host, &rig.guest);
    side_save(&rig.guest);
    memcpy(first, rig.guest.saved, sizeof first);
    rig_queue(&rig, &rig.host, "b");
    rig_flow(&rig, &rig.host, &rig.guest);
    side_restore(&rig.guest);
    rig_sync(&rig);
    rig_queue(&rig, &rig.host, "c");
    rig_flow(&rig, &rig.host, &rig.guest);
    snprintf(rig.guest.saved, sizeof rig.guest.saved, "%.*s-2", (int)sizeof first - 3, first);
    side_save(&rig.guest);
    for (int day = 0; day < 100; day++) {
        rig_queue(&rig, &rig.host, "d");
        rig_flow(&rig, &rig.host, &rig.guest);
        side_restore(&rig.guest);
        cr_assert_eq(rig_sync(&rig).host, KVPBUS_SYNC_PEER_WENT_BACK, "day %d", day);
    }
    remove(rig.guest.saved);
    memcpy(rig.guest.saved, first, sizeof first);
    rig_queue(&rig, &rig.host, "e");
    rig_flow(&rig, &rig.host, &rig.guest);
    side_restore(&rig.guest);
    cr_assert_eq(rig_sync(&rig).host, KVPBUS_SYNC_PEER_WENT_BACK);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a");
}
