// SPDX-License-Identifier: Apache-2.0
//
// A file that is full, a history that is forgotten, and a process that is killed.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal_rig.h"

enum { TOTAL = 1024 * 1024, RESERVE = 128 * 1024, DAY = 24 * 60 * 60 * 1000 };

static struct journal_rig rig;

static void setup(void)
{
    struct kvpbus_journal_options options = {
        .total_max = TOTAL, .control_reserve = RESERVE, .body_max = 64 * 1024};
    rig_open(&rig, &options);
    rig_sync(&rig);
}

static void teardown(void)
{
    rig_close(&rig);
}

TestSuite(journal_limits, .init = setup, .fini = teardown);

static enum kvpbus_error queue(struct journal_side *side, enum kvpbus_class class_)
{
    char body[5000];
    rig_noise(body, sizeof body);
    struct kvpbus_message message = rig_message("t", body);
    message.class_ = class_;
    cr_assert_eq(kvpbus_journal_begin(side->journal), KVPBUS_OK);
    enum kvpbus_error error =
        kvpbus_journal_queue(side->journal, side->peer, &message, false, rig.now);
    if (error == KVPBUS_OK)
        cr_assert_eq(kvpbus_journal_commit(side->journal, NULL), KVPBUS_OK);
    else
        kvpbus_journal_rollback(side->journal);
    return error;
}

// --- a full file ---

Test(journal_limits, a_full_journal_refuses_and_recovers)
{
    uint64_t count = 0;
    while (queue(&rig.host, KVPBUS_CLASS_NORMAL) == KVPBUS_OK)
        cr_assert_lt(++count, TOTAL / 5000);
    cr_assert_eq(queue(&rig.host, KVPBUS_CLASS_BULK), KVPBUS_JOURNAL_FULL);
    cr_assert_not_null(strstr(kvpbus_journal_failure(rig.host.journal)->detail, rig.host.path));
    while (queue(&rig.host, KVPBUS_CLASS_CONTROL) == KVPBUS_OK)
        cr_assert_lt(++count, TOTAL / 5000);
    cr_assert_eq(queue(&rig.host, KVPBUS_CLASS_CONTROL), KVPBUS_JOURNAL_FULL);
    // Everything that was taken is still there and can be sent, which makes room again.
    cr_assert_eq(rig_counts(&rig.host).queued, count);
    rig.guest.options.total_max = 0;
    side_reopen(&rig.guest);
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_eq(rig_counts(&rig.host).delivered, count);
    cr_assert_eq(rig_counts(&rig.guest).inbox, count);
    cr_assert_eq(queue(&rig.host, KVPBUS_CLASS_NORMAL), KVPBUS_OK);
}

Test(journal_limits, a_full_journal_makes_the_peer_wait)
{
    uint64_t room[KVPBUS_CLASS_COUNT];
    struct kvpbus_fragment_result result = {.complete = false};
    rig.host.options.total_max = 0;
    side_reopen(&rig.host);
    enum kvpbus_error error = KVPBUS_OK;
    uint64_t arrived = 0;
    uint8_t *bytes = NULL;
    struct kvpbus_sealed sealed;
    struct kvpbus_fragment piece;
    for (;;) {
        cr_assert_eq(queue(&rig.host, KVPBUS_CLASS_NORMAL), KVPBUS_OK);
        sealed = rig_seal(&rig, &rig.host, 1000);
        free(bytes);
        bytes = rig_bytes(&rig.host, &sealed);
        piece = (struct kvpbus_fragment){
            .class_ = sealed.class_,
            .number = sealed.number,
            .first = true,
            .total = sealed.length,
            .data = bytes,
            .length = sealed.length,
        };
        cr_assert_eq(kvpbus_journal_begin(rig.guest.journal), KVPBUS_OK);
        error =
            kvpbus_journal_fragment(rig.guest.journal, rig.guest.peer, &piece, rig.now, &result);
        if (error != KVPBUS_OK)
            break;
        cr_assert_eq(kvpbus_journal_commit(rig.guest.journal, NULL), KVPBUS_OK);
        cr_assert_lt(++arrived, TOTAL / 5000);
        IN(&rig.host,
           kvpbus_journal_delivered(rig.host.journal, rig.host.peer, sealed.class_, sealed.number));
    }
    cr_assert_eq(error, KVPBUS_JOURNAL_FULL);
    kvpbus_journal_rollback(rig.guest.journal);
    IN(&rig.guest, kvpbus_journal_room(rig.guest.journal, rig.guest.peer, room));
    cr_assert_eq(room[KVPBUS_CLASS_NORMAL], 0);
    cr_assert_eq(rig_counts(&rig.guest).inbox, arrived);
    // A consumer makes room, of which the audit takes some, and it goes on.
    for (int i = 0; i < 4; i++) {
        struct kvpbus_delivery *delivery;
        IN(&rig.guest, kvpbus_journal_lease(rig.guest.journal, &(struct kvpbus_filter){0}, 1000,
                                            rig.now, &delivery));
        IN(&rig.guest, kvpbus_journal_ack(rig.guest.journal, delivery->lease));
        kvpbus_delivery_free(delivery);
    }
    cr_assert(rig_carry(&rig, &rig.guest, &sealed, bytes, 0, sealed.length, 700).complete);
    free(bytes);
}

// --- history ---

static void prune(struct journal_side *side, int64_t now)
{
    IN(side, kvpbus_journal_prune(side->journal, now, 10000, &(bool){0}));
}

Test(journal_limits, outcomes_are_kept_for_the_history_and_no_longer)
{
    struct kvpbus_message_id id = rig_queue(&rig, &rig.host, "a");
    struct kvpbus_message_status status;
    rig_flow(&rig, &rig.host, &rig.guest);
    struct kvpbus_message_id waits = rig_queue(&rig, &rig.host, "b");
    prune(&rig.host, rig.now + 6 * (int64_t)DAY);
    cr_assert_eq(rig_outcome(&rig.host, &id), KVPBUS_OUTCOME_DELIVERED);
    prune(&rig.host, rig.now + 8 * (int64_t)DAY);
    FAILS(&rig.host, KVPBUS_NOT_FOUND,
          kvpbus_journal_status(rig.host.journal, rig.host.peer, &id, &status));
    cr_assert_eq(rig_outcome(&rig.host, &waits), KVPBUS_OUTCOME_PENDING);
    struct kvpbus_journal_counts counts = rig_counts(&rig.host);
    cr_assert(counts.delivered == 0 && counts.queued == 1);
}

Test(journal_limits, positions_survive_what_is_forgotten)
{
    rig_queue(&rig, &rig.host, "a");
    rig_flow(&rig, &rig.host, &rig.guest);
    side_save(&rig.guest);
    rig_queue(&rig, &rig.host, "b");
    rig_flow(&rig, &rig.host, &rig.guest);
    prune(&rig.host, rig.now + 8 * (int64_t)DAY);
    prune(&rig.guest, rig.now + 8 * (int64_t)DAY);
    cr_assert_eq(rig_sync(&rig).rounds, 1);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a b");
    // A stream that both have forgotten goes on.
    rig_queue(&rig, &rig.host, "c");
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "c");
    // A revert is found although no row tells of it any more.
    prune(&rig.host, rig.now + 8 * (int64_t)DAY);
    side_restore(&rig.guest);
    cr_assert_eq(rig_sync(&rig).host, KVPBUS_SYNC_PEER_WENT_BACK);
    rig_queue(&rig, &rig.host, "d");
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a d");
}

Test(journal_limits, a_stream_forgotten_by_the_sender_alone_keeps_its_order)
{
    rig_queue(&rig, &rig.host, "a");
    rig_flow(&rig, &rig.host, &rig.guest);
    prune(&rig.host, rig.now + 8 * (int64_t)DAY);
    rig_queue(&rig, &rig.host, "b");
    struct kvpbus_sealed b = rig_seal(&rig, &rig.host, 1000);
    rig_queue(&rig, &rig.host, "c");
    struct kvpbus_sealed c = rig_seal(&rig, &rig.host, 1000);
    rig_transfer(&rig, &rig.host, &rig.guest, &c);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "a");
    rig_transfer(&rig, &rig.host, &rig.guest, &b);
    cr_assert_str_eq(rig_consume(&rig, &rig.guest), "b c");
}

Test(journal_limits, pruning_is_bounded_and_says_whether_there_may_be_more)
{
    int64_t later = rig.now + 8 * (int64_t)DAY;
    struct kvpbus_message_record record;
    size_t count;
    bool more;
    struct kvpbus_message_id id;
    for (int i = 0; i < 5; i++) {
        id = rig_queue(&rig, &rig.host, "a");
        rig_flow(&rig, &rig.host, &rig.guest);
    }
    rig_consume(&rig, &rig.guest);
    IN(&rig.guest, kvpbus_journal_show(rig.guest.journal, &id, &record, 1, &count));
    for (uint64_t left = 5; left > 0; left = left > 2 ? left - 2 : 0) {
        IN(&rig.host, kvpbus_journal_prune(rig.host.journal, later, 2, &more));
        cr_assert_eq(more, left > 1);
        cr_assert_eq(rig_counts(&rig.host).delivered, left > 2 ? left - 2 : 0);
        IN(&rig.guest, kvpbus_journal_prune(rig.guest.journal, later, 2, &more));
        cr_assert_eq(more, left > 1);
    }
    FAILS(&rig.guest, KVPBUS_NOT_FOUND,
          kvpbus_journal_show(rig.guest.journal, &id, &record, 1, &count));
}

Test(journal_limits, dead_letters_are_forgotten_too)
{
    rig.guest.options.tries_max = 1;
    side_reopen(&rig.guest);
    rig_queue(&rig, &rig.host, "a");
    rig_flow(&rig, &rig.host, &rig.guest);
    struct kvpbus_delivery *delivery;
    IN(&rig.guest, kvpbus_journal_lease(rig.guest.journal, &(struct kvpbus_filter){0}, 1000,
                                        rig.now, &delivery));
    IN(&rig.guest, kvpbus_journal_nack(rig.guest.journal, delivery->lease, 0, "no", rig.now));
    kvpbus_delivery_free(delivery);
    cr_assert_eq(rig_counts(&rig.guest).dead_letters, 1);
    prune(&rig.guest, rig.now + 8 * (int64_t)DAY);
    cr_assert_eq(rig_counts(&rig.guest).dead_letters, 0);
    uint64_t room[KVPBUS_CLASS_COUNT];
    IN(&rig.guest, kvpbus_journal_room(rig.guest.journal, rig.guest.peer, room));
    cr_assert_gt(room[KVPBUS_CLASS_NORMAL], 0);
}

// --- killed ---
// Queues and seals without end, and reports each committed message id.
static void write_for_ever(const char *path, int64_t peer, int report)
{
    struct kvpbus_journal *journal;
    struct kvpbus_failure failure;
    struct kvpbus_sealed sealed;
    struct kvpbus_journal_options options = rig.host.options;
    options.total_max = 0;
    if (kvpbus_journal_open(path, &options, &journal, &failure) != KVPBUS_OK)
        _exit(1);
    for (int i = 0;; i++) {
        struct kvpbus_message message = rig_message("t", "a message");
        if (kvpbus_journal_begin(journal) != KVPBUS_OK ||
            kvpbus_journal_queue(journal, peer, &message, false, rig.now) != KVPBUS_OK)
            _exit(2);
        if (i % 10 == 9) {
            if (kvpbus_journal_seal(journal, peer, KVPBUS_CLASS_NORMAL, 1000, rig.host.identity,
                                    rig.host.secret, rig.now, &sealed) != KVPBUS_OK ||
                kvpbus_journal_delivered(journal, peer, KVPBUS_CLASS_NORMAL, sealed.number) !=
                    KVPBUS_OK)
                _exit(3);
        }
        if (kvpbus_journal_commit(journal, &failure) != KVPBUS_OK)
            _exit(4);
        if (write(report, &message.id, sizeof message.id) != sizeof message.id)
            _exit(5);
    }
}

Test(journal_limits, a_killed_process_loses_nothing_that_it_reported)
{
    kvpbus_journal_close(rig.host.journal);
    rig.host.journal = NULL;
    uint64_t known = 0;
    for (int round = 0; round < 5; round++) {
        static struct kvpbus_message_id ids[100000];
        size_t count = 0;
        int ends[2];
        cr_assert_eq(pipe(ends), 0);
        pid_t child = fork();
        cr_assert_geq(child, 0);
        if (child == 0) {
            close(ends[0]);
            write_for_ever(rig.host.path, rig.host.peer, ends[1]);
        }
        close(ends[1]);
        while (count < (size_t)(50 + 37 * round) &&
               read(ends[0], &ids[count], sizeof *ids) == sizeof *ids)
            count++;
        kill(child, SIGKILL);
        while (read(ends[0], &ids[count], sizeof *ids) == sizeof *ids)
            count++;
        int status;
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFSIGNALED(status), "the child ended with %d", WEXITSTATUS(status));
        close(ends[0]);

        struct kvpbus_failure failure;
        struct kvpbus_journal_options options = rig.host.options;
        options.total_max = 0;
        cr_assert_eq(kvpbus_journal_open(rig.host.path, &options, &rig.host.journal, &failure),
                     KVPBUS_OK, "%s", failure.detail);
        for (size_t i = 0; i < count; i++)
            rig_outcome(&rig.host, &ids[i]);
        struct kvpbus_journal_counts counts = rig_counts(&rig.host);
        known += count;
        // The last transaction may have been committed without the report.
        cr_assert(counts.queued + counts.delivered >= known &&
                  counts.queued + counts.delivered <= known + (uint64_t)round + 1);
        kvpbus_journal_close(rig.host.journal);
        rig.host.journal = NULL;
    }
    struct kvpbus_failure failure;
    cr_assert_eq(kvpbus_journal_open(rig.host.path, &rig.host.options, &rig.host.journal, &failure),
                 KVPBUS_OK);
}
