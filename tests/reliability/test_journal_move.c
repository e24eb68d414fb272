// SPDX-License-Identifier: Apache-2.0
//
// A VM's part of a host's journal goes to another host's: everything that is kept of it is there
// then, nothing of it is left, and what was under way arrives once and in order.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal_rig.h"
#include "parcel.h"

static struct journal_rig rig;
static struct journal_side target; // the other host
static struct kvpbus_parcel parcel;
static char file[128], sealed_file[128], opened_file[128];

// --- faults ---

static bool armed;
static long countdown;

int __real_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement);

int __wrap_sqlite3_step(sqlite3_stmt *statement)
{
    if (armed && countdown-- == 0) {
        armed = false;
        return SQLITE_IOERR;
    }
    return __real_sqlite3_step(statement);
}

// --- two hosts ---

static struct kvpbus_peer row_of(struct journal_side *side)
{
    struct kvpbus_peer peer;
    IN(side, kvpbus_journal_peer_get(side->journal, side->peer, &peer));
    return peer;
}

// Rows of another VM, so that nothing has the same numbers on both hosts.
static void fill(struct journal_side *side, int messages)
{
    static const uint8_t vm[KVPBUS_VM_ID_BYTES] = {9};
    static const uint8_t identity[KVPBUS_IDENTITY_BYTES] = {8};
    struct kvpbus_peer other;
    int64_t before = side->peer;
    IN(side, kvpbus_journal_peer(side->journal, vm, "other", &other));
    IN(side, kvpbus_journal_pin(side->journal, other.id, identity, vm));
    side->peer = other.id;
    for (int i = 0; i < messages; i++) {
        rig_queue(&rig, side, "of another VM");
        if (i % 2 == 0 && i < 6)
            rig_seal(&rig, side, 1000);
    }
    side->peer = before;
}

static void begin(void)
{
    struct kvpbus_failure failure;
    struct kvpbus_peer peer;
    rig_open(&rig, NULL);
    rig_sync(&rig);
    fill(&rig.host, 3);
    target = rig.host;
    snprintf(target.path, sizeof target.path, "%s/target", rig.directory);
    snprintf(file, sizeof file, "%s/moved", rig.directory);
    snprintf(sealed_file, sizeof sealed_file, "%s/sealed", rig.directory);
    snprintf(opened_file, sizeof opened_file, "%s/opened", rig.directory);
    crypto_sign_keypair(target.identity, target.secret);
    cr_assert_eq(kvpbus_journal_open(target.path, &target.options, &target.journal, &failure),
                 KVPBUS_OK);
    fill(&target, 9);
    struct kvpbus_peer row = row_of(&rig.host);
    IN(&target, kvpbus_journal_peer(target.journal, row.vm, "as it is called there", &peer));
    target.peer = peer.id;
    parcel = (struct kvpbus_parcel){.id = {1}};
    memcpy(parcel.from, rig.host.identity, sizeof parcel.from);
    memcpy(parcel.to, target.identity, sizeof parcel.to);
    memcpy(parcel.vm, row.vm, sizeof parcel.vm);
    kvpbus_rotation_add(&parcel.rotation, KVPBUS_ROLE_HOST, row.vm, rig.host.identity,
                        rig.host.secret, target.identity);
}

static void finish(void)
{
    char command[256];
    kvpbus_journal_close(target.journal);
    snprintf(command, sizeof command, "rm -f %s/target* %s/moved* %s/*ed", rig.directory,
             rig.directory, rig.directory);
    cr_assert_eq(system(command), 0);
    rig_close(&rig);
}

TestSuite(journal_move, .init = begin, .fini = finish);

static enum kvpbus_error move_out(void)
{
    return kvpbus_journal_move_out(rig.host.journal, rig.host.peer, file, target.identity,
                                   parcel.id);
}

static enum kvpbus_error move_in(bool replace)
{
    return kvpbus_journal_move_in(target.journal, target.peer, file, &parcel, replace, rig.now);
}

#define WORKS(side, call)                                                  \
    do {                                                                   \
        enum kvpbus_error works = (call);                                  \
        cr_assert_eq(works, KVPBUS_OK, "%s: %s", kvpbus_error_name(works), \
                     kvpbus_journal_failure((side)->journal)->detail);     \
    } while (0)

// The guest sees the other host, follows it, and both go on.
static void follow(void)
{
    struct journal_side source = rig.host;
    rig.host = target;
    target = source;
    IN(&rig.guest, kvpbus_journal_follow(rig.guest.journal, rig.guest.peer, target.identity,
                                         rig.host.identity));
    rig_sync(&rig);
    IN(&rig.host,
       kvpbus_journal_signer(rig.host.journal, rig.host.peer, rig.host.identity, rig.host.secret));
}

static void carry_open(struct journal_side *from, struct journal_side *to)
{
    struct kvpbus_sealed open[KVPBUS_BUNDLE_WINDOW];
    size_t count;
    IN(from,
       kvpbus_journal_open_bundles(from->journal, from->peer, KVPBUS_CLASS_NORMAL, open, &count));
    for (size_t i = 0; i < count; i++)
        if (!open[i].delivered)
            rig_transfer(&rig, from, to, &open[i]);
}

// Something in every state, both ways.
static struct kvpbus_message_id ids[4];

static void traffic(void)
{
    ids[0] = rig_queue(&rig, &rig.host, "delivered");
    rig_flow(&rig, &rig.host, &rig.guest);
    ids[1] = rig_queue(&rig, &rig.host, "half");
    struct kvpbus_sealed half = rig_seal(&rig, &rig.host, 1000);
    uint8_t *bytes = rig_bytes(&rig.host, &half);
    rig_carry(&rig, &rig.guest, &half, bytes, 0, half.length / 2, 100);
    free(bytes);
    ids[2] = rig_queue(&rig, &rig.host, "sealed");
    rig_seal(&rig, &rig.host, 1000);
    ids[3] = rig_queue(&rig, &rig.host, "queued");
    rig_queue(&rig, &rig.guest, "dies");
    rig_queue(&rig, &rig.guest, "waits");
    rig_flow(&rig, &rig.guest, &rig.host);
    struct kvpbus_filter any = {0};
    struct kvpbus_delivery *delivery;
    IN(&rig.host, kvpbus_journal_lease(rig.host.journal, &any, 1000, rig.now, &delivery));
    IN(&rig.host, kvpbus_journal_reject(rig.host.journal, delivery->lease, "bad", rig.now));
    kvpbus_delivery_free(delivery);
    rig_queue(&rig, &rig.guest, "comes");
    struct kvpbus_sealed comes = rig_seal(&rig, &rig.guest, 1000);
    bytes = rig_bytes(&rig.guest, &comes);
    rig_carry(&rig, &rig.host, &comes, bytes, 0, comes.length / 2, 100);
    free(bytes);
}

Test(journal_move, everything_arrives_once_and_in_order)
{
    traffic();
    WORKS(&rig.host, move_out());
    WORKS(&target, move_in(false));
    struct kvpbus_peer row = row_of(&target);
    cr_assert(row.paired && !row.moved);
    cr_assert_str_eq(row.name, "as it is called there");
    follow();
    struct kvpbus_journal_counts counts = rig_counts(&rig.host);
    cr_assert_eq(counts.dead_letters, 1);
    cr_assert_eq(counts.inbox, 1);
    cr_assert_eq(counts.delivered, 1);
    carry_open(&rig.host, &rig.guest);
    rig_flow(&rig, &rig.host, &rig.guest);
    carry_open(&rig.guest, &rig.host);
    rig_sync(&rig);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "delivered half sealed queued");
    cr_assert_str_eq(rig_consume(&rig, &rig.host), "waits comes");
    for (int i = 0; i < 4; i++)
        cr_assert_eq(rig_outcome(&rig.host, &ids[i]), KVPBUS_OUTCOME_DELIVERED);
    struct kvpbus_dead_walk walk = {0};
    IN(&rig.host, kvpbus_journal_dead_retry(rig.host.journal, &(struct kvpbus_dead_filter){0},
                                            rig.now, 10, &walk));
    cr_assert_str_eq(rig_consume(&rig, &rig.host), "dies");
    rig_queue(&rig, &rig.host, "later");
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "later");
    side_reopen(&rig.host);
    rig_sync(&rig);
}

static int64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *row;
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK, "%s", sql);
    cr_assert_eq(sqlite3_step(row), SQLITE_ROW, "%s", sql);
    int64_t value = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    return value;
}

// What a table is added for has to be thought of here.
Test(journal_move, no_table_is_forgotten)
{
    static const char *const stay[] = {"token", "audit", "audit_mark", "came", "sqlite_sequence"};
    char list[256] = "''", sql[1024];
    sqlite3 *db;
    for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), ", '%s'", stay[i]);
    traffic();
    WORKS(&rig.host, move_out());
    kvpbus_journal_close(rig.host.journal);
    rig.host.journal = NULL;
    cr_assert_eq(sqlite3_open(rig.host.path, &db), SQLITE_OK);
    snprintf(sql, sizeof sql, "ATTACH '%s' AS moved", file);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    snprintf(
        sql, sizeof sql,
        "SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND name NOT IN (%s) AND "
        "name NOT IN (SELECT name FROM moved.sqlite_schema)",
        list);
    cr_assert_eq(number(db, sql), 0);
    cr_assert_eq(number(db, "SELECT count(*) FROM moved.sealed"), 3);
    cr_assert_gt(number(db, "SELECT count(*) FROM moved.part"), 0);
    cr_assert_gt(number(db, "SELECT count(*) FROM moved.held"), 0);
    cr_assert_gt(number(db, "SELECT count(*) FROM moved.message"), 3);
    // Only what belongs to the other VM, and to an empty row, is left.
    static const char *const gone[] = {"message", "sealed",    "arrived",     "source",
                                       "inbox",   "in_stream", "dead_letter", "received"};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
        snprintf(sql, sizeof sql, "SELECT count(*) FROM main.%s WHERE peer = %lld", gone[i],
                 (long long)rig.host.peer);
        cr_assert_eq(number(db, sql), 0, "%s", gone[i]);
    }
    cr_assert_eq(number(db, "SELECT count(*) FROM main.held"), 0);
    cr_assert_eq(number(db, "SELECT count(*) FROM main.floor"), 0);
    cr_assert_eq(number(db,
                        "SELECT count(*) FROM main.part WHERE (id >> 16) NOT IN (SELECT id FROM "
                        "main.sealed)"),
                 0);
    sqlite3_close(db);
    side_reopen(&rig.host);
}

Test(journal_move, a_vm_that_was_moved_takes_nothing_and_comes_back)
{
    traffic();
    WORKS(&rig.host, move_out());
    cr_assert(row_of(&rig.host).moved);
    struct kvpbus_message message = rig_message("t", "no");
    FAILS(&rig.host, KVPBUS_UNPAIRED,
          kvpbus_journal_queue(rig.host.journal, rig.host.peer, &message, false, rig.now));
    FAILS(&rig.host, KVPBUS_UNPAIRED,
          kvpbus_journal_trust(rig.host.journal, rig.host.peer, rig.guest.identity));
    cr_assert_str_eq(rig_consume(&rig, &rig.host), "");
    cr_assert_eq(move_out(), KVPBUS_UNPAIRED);
    side_reopen(&rig.host);
    WORKS(&rig.host, kvpbus_journal_move_back(rig.host.journal, rig.host.peer, file));
    cr_assert_eq(kvpbus_journal_move_back(rig.host.journal, rig.host.peer, file),
                 KVPBUS_INVALID_ARGUMENT);
    rig_sync(&rig);
    carry_open(&rig.host, &rig.guest);
    rig_flow(&rig, &rig.host, &rig.guest);
    carry_open(&rig.guest, &rig.host);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "delivered half sealed queued");
    cr_assert_str_eq(rig_consume(&rig, &rig.host), "waits comes");
}

// The agent knows the former id alone, and what its host signs is for the present one.
Test(journal_move, a_vm_that_was_rebound_has_to_be_seen_first)
{
    static const uint8_t vm[KVPBUS_VM_ID_BYTES] = {7, 7};
    int64_t other;
    IN(&rig.host, kvpbus_journal_rebind(rig.host.journal, rig.host.peer, vm, &other));
    cr_assert(row_of(&rig.host).rebound);
    cr_assert_eq(move_out(), KVPBUS_BUSY);
    cr_assert_not_null(strstr(kvpbus_journal_failure(rig.host.journal)->detail, "start the VM"));
    side_reopen(&rig.host);
    cr_assert_eq(move_out(), KVPBUS_BUSY);
    IN(&rig.host, kvpbus_journal_met(rig.host.journal, rig.host.peer, rig.host.identity));
    cr_assert_not(row_of(&rig.host).rebound);
    WORKS(&rig.host, move_out());
}

Test(journal_move, to_and_fro)
{
    for (int i = 0; i < 6; i++) {
        rig_queue(&rig, &rig.host, "down");
        rig_queue(&rig, &rig.guest, "up");
        WORKS(&rig.host, move_out());
        WORKS(&target, move_in(false));
        follow();
        parcel.id[1]++;
        memcpy(parcel.to, target.identity, sizeof parcel.to);
        rig_flow(&rig, &rig.host, &rig.guest);
        rig_flow(&rig, &rig.guest, &rig.host);
        cr_assert_str_eq(rig_consume(&rig, &rig.guest), "down");
        cr_assert_str_eq(rig_consume(&rig, &rig.host), "up");
    }
}

Test(journal_move, a_file_comes_once_and_takes_no_place_unasked)
{
    rig_queue(&rig, &rig.host, "once");
    WORKS(&rig.host, move_out());
    IN(&target, kvpbus_journal_pin(target.journal, target.peer, rig.guest.identity, parcel.vm));
    rig_queue(&rig, &target, "of a link that was made meanwhile");
    cr_assert_eq(move_in(false), KVPBUS_EXISTS);
    WORKS(&target, move_in(true));
    cr_assert_eq(move_in(true), KVPBUS_EXISTS);
    follow();
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "once");
}

Test(journal_move, a_file_of_another_version_or_kind)
{
    sqlite3 *db;
    WORKS(&rig.host, move_out());
    cr_assert_eq(sqlite3_open(file, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA user_version = 1", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(move_in(false), KVPBUS_INVALID_ARGUMENT);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA user_version = 1000", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(move_in(false), KVPBUS_INVALID_ARGUMENT);
    cr_assert_eq(
        sqlite3_exec(db, "PRAGMA user_version = 3; CREATE TABLE more(a)", NULL, NULL, NULL),
        SQLITE_OK);
    cr_assert_eq(move_in(false), KVPBUS_INVALID_ARGUMENT);
    cr_assert_eq(
        sqlite3_exec(db, "DROP TABLE more; CREATE VIEW lanes AS SELECT 1", NULL, NULL, NULL),
        SQLITE_OK);
    cr_assert_eq(move_in(false), KVPBUS_INVALID_ARGUMENT);
    cr_assert_eq(sqlite3_exec(db, "DROP VIEW lanes", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    WORKS(&target, move_in(false));
}

// The only copy of a VM's part: the host's program may have become a newer one meanwhile.
Test(journal_move, a_file_of_before_an_upgrade_comes_back_and_goes_on)
{
    sqlite3 *db;
    traffic();
    WORKS(&rig.host, move_out());
    cr_assert_eq(sqlite3_open(file, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA user_version = 2", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    WORKS(&rig.host, kvpbus_journal_move_back(rig.host.journal, rig.host.peer, file));
    cr_assert(row_of(&rig.host).paired);
    cr_assert_eq(rig_counts(&rig.host).inbox, 1);
    WORKS(&target, move_in(false));
    follow();
    carry_open(&rig.host, &rig.guest);
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "delivered half sealed queued");
}

// Each statement fails once: then nothing has happened, and again it succeeds.
Test(journal_move, every_statement_fails_once)
{
    long n = 0;
    traffic();
    for (bool failed = true; failed; n++) {
        armed = true;
        countdown = n;
        failed = move_out() != KVPBUS_OK;
        cr_assert(failed != armed);
        armed = false;
        cr_assert(row_of(&rig.host).paired == failed);
    }
    cr_assert_gt(n, 40);
    n = 0;
    for (bool failed = true; failed; n++) {
        armed = true;
        countdown = n;
        failed = move_in(false) != KVPBUS_OK;
        cr_assert(failed != armed);
        armed = false;
        cr_assert(row_of(&target).paired != failed);
    }
    cr_assert_gt(n, 60);
    follow();
    carry_open(&rig.host, &rig.guest);
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "delivered half sealed queued");
}

// --- the sealed file ---

static void seal(void)
{
    struct kvpbus_failure failure;
    FILE *plain = fopen(file, "w");
    for (int i = 0; i < 150000; i++)
        putc(i % 251, plain);
    fclose(plain);
    cr_assert_eq(kvpbus_parcel_seal(file, sealed_file, &parcel, rig.host.secret, &failure),
                 KVPBUS_OK, "%s", failure.detail);
}

static enum kvpbus_error open_sealed(void)
{
    struct kvpbus_failure failure = {0};
    struct kvpbus_parcel got;
    enum kvpbus_error error = kvpbus_parcel_open(sealed_file, opened_file, target.identity,
                                                 target.secret, &got, &failure);
    cr_assert(error == KVPBUS_OK || failure.detail[0] != '\0');
    cr_assert(error == KVPBUS_OK || access(opened_file, F_OK) != 0);
    cr_assert(error != KVPBUS_OK || memcmp(got.id, parcel.id, sizeof got.id) == 0);
    return error;
}

static void change(long at)
{
    FILE *changed = fopen(sealed_file, "r+");
    cr_assert_eq(fseek(changed, at, SEEK_SET), 0);
    int byte = getc(changed);
    cr_assert_eq(fseek(changed, at, SEEK_SET), 0);
    putc(byte ^ 1, changed);
    fclose(changed);
}

Test(journal_move, a_sealed_file_opens_whole_for_its_host_alone)
{
    char command[512];
    seal();
    cr_assert_eq(open_sealed(), KVPBUS_OK);
    snprintf(command, sizeof command, "cmp %s %s && ! grep -q abcdefgh %s", file, opened_file,
             sealed_file);
    cr_assert_eq(system(command), 0);
    memcpy(target.identity, rig.guest.identity, sizeof target.identity);
    unlink(opened_file);
    cr_assert_eq(open_sealed(), KVPBUS_BAD_KEY);
}

Test(journal_move, a_sealed_file_that_was_changed_or_cut)
{
    seal();
    FILE *whole = fopen(sealed_file, "r");
    fseek(whole, 0, SEEK_END);
    long length = ftell(whole);
    fclose(whole);
    unlink(opened_file);
    for (long at = 0; at < length; at += at < 900 ? 7 : 9973) {
        change(at);
        enum kvpbus_error error = open_sealed();
        cr_assert(error == KVPBUS_BAD_SIGNATURE || (at < 16 && error == KVPBUS_INVALID_ARGUMENT),
                  "%ld: %s", at, kvpbus_error_name(error));
        change(at);
    }
    static const long cuts[] = {1, 17, 64 * 1024, 100000};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        seal();
        cr_assert_eq(truncate(sealed_file, length - cuts[i]), 0);
        cr_assert_eq(open_sealed(), KVPBUS_BAD_SIGNATURE);
    }
    cr_assert_eq(truncate(sealed_file, 0), 0);
    cr_assert_eq(open_sealed(), KVPBUS_INVALID_ARGUMENT);
}
