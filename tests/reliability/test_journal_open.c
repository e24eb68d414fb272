// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal_rig.h"

static struct journal_rig rig;

static void setup(void)
{
    rig_open(&rig, NULL);
}

static void teardown(void)
{
    rig_close(&rig);
}

TestSuite(journal_open, .init = setup, .fini = teardown);

static enum kvpbus_error try_open(const char *path, struct kvpbus_failure *failure)
{
    struct kvpbus_journal *journal;
    struct kvpbus_journal_options options = {.role = KVPBUS_ROLE_HOST};
    enum kvpbus_error error = kvpbus_journal_open(path, &options, &journal, failure);
    if (error == KVPBUS_OK)
        kvpbus_journal_close(journal);
    else
        cr_assert_null(journal);
    return error;
}

static void sql(const char *path, const char *text)
{
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

Test(journal_open, the_file_is_private_and_needs_no_shared_memory)
{
    struct stat status;
    char name[128];
    cr_assert_eq(stat(rig.host.path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    snprintf(name, sizeof name, "%s-wal", rig.host.path);
    cr_assert_eq(stat(name, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    snprintf(name, sizeof name, "%s-shm", rig.host.path);
    cr_assert_neq(stat(name, &status), 0);
}

Test(journal_open, a_second_one_finds_it_locked)
{
    struct kvpbus_failure failure;
    cr_assert_eq(try_open(rig.host.path, &failure), KVPBUS_JOURNAL_LOCKED);
    cr_assert_not_null(strstr(failure.detail, rig.host.path));
    // and has not taken the lock away from the first
    cr_assert_eq(try_open(rig.host.path, &failure), KVPBUS_JOURNAL_LOCKED);
    rig_queue(&rig, &rig.host, "a");
}

Test(journal_open, a_second_process_finds_it_locked)
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        struct kvpbus_failure failure;
        struct kvpbus_journal *journal;
        struct kvpbus_journal_options options = {.role = KVPBUS_ROLE_HOST};
        _exit((int)kvpbus_journal_open(rig.host.path, &options, &journal, &failure));
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), KVPBUS_JOURNAL_LOCKED);
}

Test(journal_open, a_newer_version_is_left_alone)
{
    struct kvpbus_failure failure;
    kvpbus_journal_close(rig.host.journal);
    rig.host.journal = NULL;
    sql(rig.host.path, "PRAGMA user_version = 1000");
    cr_assert_eq(try_open(rig.host.path, &failure), KVPBUS_JOURNAL_NEWER);
    cr_assert_not_null(strstr(failure.detail, rig.host.path));
}

static void put(struct journal_side *side, const char *dump)
{
    static char text[64 * 1024];
    FILE *file = fopen(dump, "r");
    cr_assert_not_null(file);
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    kvpbus_journal_close(side->journal);
    side->journal = NULL;
    unlink(side->path);
    sql(side->path, text);
}

// The host's journal as the first version left it: three messages wait, two of them in a sealed
// bundle.
static void put_version_1(void)
{
    put(&rig.host, KVPBUS_TEST_DATA "/journal-1.sql");
}

Test(journal_open, an_older_version_is_brought_up)
{
    static const char *const ids[] = {"f83cd825803240b63735ec2f7e17a229.0",
                                      "f83cd825803240b63735ec2f7e17a229.1",
                                      "7932244f251ba41d2984aa59be7b23bb.0"};
    struct kvpbus_failure failure;
    struct kvpbus_message_id id;
    put_version_1();
    cr_assert_eq(kvpbus_journal_open(rig.host.path, &rig.host.options, &rig.host.journal, &failure),
                 KVPBUS_OK, "%s", failure.detail);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        cr_assert(kvpbus_message_id_parse(ids[i], &id));
        cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_PENDING);
    }
    IN(&rig.host, kvpbus_journal_delivered(rig.host.journal, 1, KVPBUS_CLASS_NORMAL, 1));
    cr_assert_eq(rig_counts(&rig.host).delivered, 2);
    side_reopen(&rig.host);
    cr_assert_eq(rig_counts(&rig.host).queued, 1);
}

// A guest's: two messages of class normal and one of bulk in the inbox, the first one leased, a
// dead letter; and one of each class that wait to be sent.
Test(journal_open, the_inbox_of_an_older_version_is_brought_up)
{
    struct kvpbus_failure failure;
    struct kvpbus_dead_letter letter;
    struct kvpbus_dead_walk walk = {0};
    size_t count;
    bool more;
    put(&rig.guest, KVPBUS_TEST_DATA "/journal-1-guest.sql");
    cr_assert_eq(
        kvpbus_journal_open(rig.guest.path, &rig.guest.options, &rig.guest.journal, &failure),
        KVPBUS_OK, "%s", failure.detail);
    IN(&rig.guest, kvpbus_journal_dead_list(rig.guest.journal, &(struct kvpbus_dead_filter){0}, 0,
                                            &letter, 1, &count, &more));
    cr_assert(count == 1 && !more);
    cr_assert_str_eq(letter.topic, "app.dead");
    cr_assert_str_eq(letter.stream, "s");
    cr_assert_str_eq(letter.reason, "no");
    IN(&rig.guest, kvpbus_journal_dead_retry(rig.guest.journal,
                                             &(struct kvpbus_dead_filter){.pattern = "app.dead"},
                                             rig.now, 1, &walk));
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "much died in version 1 first second");
    // What is counted apart from now on was counted then.
    uint64_t room[KVPBUS_CLASS_COUNT];
    IN(&rig.guest, kvpbus_journal_room(rig.guest.journal, 1, room));
    cr_assert_eq(room[KVPBUS_CLASS_BULK], 192 << 20);
    struct kvpbus_journal_counts counts = rig_counts(&rig.guest);
    cr_assert(counts.inbox == 0 && counts.inbox_bytes == 0 && counts.queued == 2);
}

Test(journal_open, the_version_before_is_brought_up)
{
    struct kvpbus_message_id id = rig_queue(&rig, &rig.host, "a");
    kvpbus_journal_close(rig.host.journal);
    rig.host.journal = NULL;
    sql(rig.host.path, "DROP INDEX received_fate; DROP INDEX received_ended; DROP INDEX "
                       "in_stream_idle; CREATE INDEX received_came ON "
                       "received(came_ms); PRAGMA user_version = 2");
    side_reopen(&rig.host);
    cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_PENDING);
    IN(&rig.host, kvpbus_journal_prune(rig.host.journal, rig.now, 100, &(bool){0}));
}

Test(journal_open, an_older_version_that_cannot_be_brought_up_stays_as_it_is)
{
    struct kvpbus_failure failure;
    put_version_1();
    sql(rig.host.path, "CREATE TABLE audit_mark(x)"); // what comes second is in the way
    cr_assert_eq(try_open(rig.host.path, &failure), KVPBUS_INTERNAL);
    cr_assert_not_null(strstr(failure.detail, rig.host.path));
    sql(rig.host.path, "DROP TABLE audit_mark");
    cr_assert_eq(try_open(rig.host.path, &failure), KVPBUS_OK, "%s", failure.detail);
}

Test(journal_open, a_file_of_something_else_is_left_alone)
{
    struct kvpbus_failure failure;
    kvpbus_journal_close(rig.host.journal);
    rig.host.journal = NULL;
    unlink(rig.host.path);
    sql(rig.host.path, "CREATE TABLE other(x)");
    cr_assert_eq(try_open(rig.host.path, &failure), KVPBUS_JOURNAL_DAMAGED);
    FILE *file = fopen(rig.host.path, "wb");
    cr_assert_not_null(file);
    for (int i = 0; i < 1000; i++)
        fputs("this is not a database ", file);
    fclose(file);
    cr_assert_eq(try_open(rig.host.path, &failure), KVPBUS_JOURNAL_DAMAGED);
    cr_assert_not_null(strstr(failure.detail, rig.host.path));
}

Test(journal_open, damage_is_found)
{
    struct kvpbus_failure failure;
    for (int i = 0; i < 300; i++)
        rig_queue(&rig, &rig.host, "something to fill pages with, so that there is what to damage");
    kvpbus_journal_close(rig.host.journal);
    rig.host.journal = NULL;
    FILE *file = fopen(rig.host.path, "r+b");
    cr_assert_not_null(file);
    // All pages but the first three.
    fseek(file, 0, SEEK_END);
    long end = ftell(file);
    fseek(file, 3 * 4096, SEEK_SET);
    for (long at = 3 * 4096; at < end; at++)
        fputc(0xa5, file);
    fclose(file);
    cr_assert_eq(try_open(rig.host.path, &failure), KVPBUS_JOURNAL_DAMAGED, "%s", failure.detail);
}

Test(journal_open, a_place_that_cannot_be_is_an_error)
{
    struct kvpbus_failure failure;
    cr_assert_eq(try_open("/nonexistent/folder/journal.db", &failure), KVPBUS_IO);
    cr_assert_not_null(strstr(failure.detail, "/nonexistent/folder/journal.db"));
    cr_assert_eq(try_open(rig.directory, &failure), KVPBUS_IO);
}

Test(journal_open, limits_that_cannot_work_are_refused)
{
    static const struct kvpbus_quota small = {"web", .outbox_max = 1000};
    static const struct kvpbus_journal_options cases[] = {
        {.inbox_max = 1000},
        {.tries_max = 100000},
        {.bulk_max = 1000},
        {.control_reserve = UINT64_MAX},
        {.quotas = &small, .quota_count = 1},
    };
    struct kvpbus_failure failure, before;
    struct kvpbus_journal *journal;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(kvpbus_journal_check(&cases[i], &before), KVPBUS_CONFIG, "%zu", i);
        cr_assert_eq(kvpbus_journal_open(rig.host.path, &cases[i], &journal, &failure),
                     KVPBUS_CONFIG, "%zu", i);
        cr_assert_str_eq(before.detail, failure.detail);
    }
    cr_assert_eq(kvpbus_journal_check(&(struct kvpbus_journal_options){0}, &before), KVPBUS_OK);
}

// --- transactions ---

Test(journal_open, a_rollback_leaves_nothing)
{
    struct kvpbus_message message = rig_message("t", "a");
    cr_assert_eq(kvpbus_journal_begin(rig.host.journal), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_queue(rig.host.journal, rig.host.peer, &message, false, rig.now),
                 KVPBUS_OK);
    kvpbus_journal_rollback(rig.host.journal);
    struct kvpbus_message_status status;
    FAILS(&rig.host, KVPBUS_NOT_FOUND,
          kvpbus_journal_status(rig.host.journal, rig.host.peer, &message.id, &status));
    cr_assert_eq(rig_counts(&rig.host).queued, 0);
}

Test(journal_open, a_part_can_fail_alone)
{
    struct kvpbus_message first = rig_message("t", "a"), second = rig_message("t", "b");
    struct kvpbus_journal *journal = rig.host.journal;
    cr_assert_eq(kvpbus_journal_begin(journal), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_savepoint(journal), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_queue(journal, rig.host.peer, &first, false, rig.now), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_release(journal, true), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_savepoint(journal), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_queue(journal, rig.host.peer, &second, false, rig.now), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_release(journal, false), KVPBUS_OK);
    cr_assert_eq(kvpbus_journal_commit(journal, NULL), KVPBUS_OK);
    cr_assert_eq(rig_counts(&rig.host).queued, 1);
    cr_assert_eq(rig_outcome(&rig.host, &first.id), KVPBUS_OUTCOME_PENDING);
}

Test(journal_open, what_was_committed_is_there_after_a_restart)
{
    struct kvpbus_message_id id = rig_queue(&rig, &rig.host, "a");
    rig_sync(&rig);
    struct kvpbus_sealed sealed = rig_seal(&rig, &rig.host, 1000), again;
    size_t count;
    side_reopen(&rig.host);
    cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_PENDING);
    IN(&rig.host, kvpbus_journal_open_bundles(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL,
                                              &again, &count));
    cr_assert_eq(count, 1);
    cr_assert_eq(again.number, sealed.number);
    cr_assert_eq(again.length, sealed.length);
    cr_assert_arr_eq(again.id, sealed.id, sizeof sealed.id);
}

// --- peers ---

Test(journal_open, peers_are_found_again)
{
    static const uint8_t second[KVPBUS_VM_ID_BYTES] = {9};
    struct kvpbus_peer a, b, again, *all;
    size_t count;
    IN(&rig.host, kvpbus_journal_peer(rig.host.journal, second, "web", &b));
    IN(&rig.host, kvpbus_journal_peer(rig.host.journal, second, "web2", &again));
    cr_assert_eq(b.id, again.id);
    cr_assert_str_eq(again.name, "web2");
    cr_assert_not(b.paired);
    cr_assert_arr_eq(b.timeline, again.timeline, sizeof b.timeline);
    IN(&rig.host, kvpbus_journal_peer_get(rig.host.journal, rig.host.peer, &a));
    cr_assert(a.paired);
    cr_assert_arr_eq(a.identity, rig.guest.identity, sizeof a.identity);
    cr_assert_neq(memcmp(a.timeline, b.timeline, sizeof a.timeline), 0);
    IN(&rig.host, kvpbus_journal_peers(rig.host.journal, &all, &count));
    cr_assert_eq(count, 2);
    cr_assert_str_eq(all[1].name, "web2");
    free(all);
    FAILS(&rig.host, KVPBUS_NOT_FOUND, kvpbus_journal_peer_get(rig.host.journal, 99, &a));
}

Test(journal_open, a_guest_has_one_peer)
{
    static const uint8_t other[KVPBUS_VM_ID_BYTES];
    struct kvpbus_peer peer;
    IN(&rig.guest, kvpbus_journal_peer(rig.guest.journal, other, "host", &peer));
    cr_assert_eq(peer.id, rig.guest.peer);
    cr_assert_eq(peer.vm[0], 1); // the id that it was paired under
}

Test(journal_open, an_identity_waits_until_it_is_pinned)
{
    static const uint8_t vm[KVPBUS_VM_ID_BYTES] = {9}, key[KVPBUS_IDENTITY_BYTES] = {7};
    struct kvpbus_peer peer;
    IN(&rig.host, kvpbus_journal_peer(rig.host.journal, vm, "web", &peer));
    IN(&rig.host, kvpbus_journal_pending(rig.host.journal, peer.id, key));
    IN(&rig.host, kvpbus_journal_peer_get(rig.host.journal, peer.id, &peer));
    cr_assert(peer.pending && !peer.paired);
    cr_assert_arr_eq(peer.pending_identity, key, sizeof key);
    IN(&rig.host, kvpbus_journal_pin(rig.host.journal, peer.id, key, vm));
    IN(&rig.host, kvpbus_journal_peer_get(rig.host.journal, peer.id, &peer));
    cr_assert(!peer.pending && peer.paired);
    IN(&rig.host, kvpbus_journal_unpin(rig.host.journal, peer.id));
    IN(&rig.host, kvpbus_journal_peer_get(rig.host.journal, peer.id, &peer));
    cr_assert(!peer.pending && !peer.paired);
}

Test(journal_open, the_same_identity_goes_on_after_a_new_pairing)
{
    rig_sync(&rig);
    rig_queue(&rig, &rig.host, "a");
    rig_flow(&rig, &rig.host, &rig.guest);
    struct kvpbus_peer before, after;
    IN(&rig.host, kvpbus_journal_peer_get(rig.host.journal, rig.host.peer, &before));
    IN(&rig.host, kvpbus_journal_unpin(rig.host.journal, rig.host.peer));
    IN(&rig.host,
       kvpbus_journal_pin(rig.host.journal, rig.host.peer, rig.guest.identity, before.vm));
    IN(&rig.host, kvpbus_journal_peer_get(rig.host.journal, rig.host.peer, &after));
    cr_assert_arr_eq(before.timeline, after.timeline, sizeof before.timeline);
    cr_assert_eq(rig_sync(&rig).rounds, 1);
}

Test(journal_open, epochs_are_kept_newest_first_and_bounded)
{
    uint8_t epochs[KVPBUS_EPOCHS_KEPT][KVPBUS_EPOCH_BYTES];
    size_t count;
    for (int i = 0; i < KVPBUS_EPOCHS_KEPT + 5; i++) {
        uint8_t epoch[KVPBUS_EPOCH_BYTES] = {(uint8_t)i};
        IN(&rig.host, kvpbus_journal_epoch_add(rig.host.journal, rig.host.peer, true, epoch));
    }
    IN(&rig.host, kvpbus_journal_epochs(rig.host.journal, rig.host.peer, true, epochs, &count));
    cr_assert_eq(count, KVPBUS_EPOCHS_KEPT);
    cr_assert_eq(epochs[0][0], KVPBUS_EPOCHS_KEPT + 4);
    cr_assert_eq(epochs[count - 1][0], 5);
    IN(&rig.host, kvpbus_journal_epochs(rig.host.journal, rig.host.peer, false, epochs, &count));
    cr_assert_eq(count, 0);
}
