// SPDX-License-Identifier: Apache-2.0
//
// What a peer can make many of slows nothing down: the steps of SQLite's machine are counted.
#include <criterion/criterion.h>
#include <inttypes.h>
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
