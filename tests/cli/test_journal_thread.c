// SPDX-License-Identifier: Apache-2.0
//
// The journal's thread: jobs run in order, a job that fails undoes itself alone, and what was
// queued is done before the end.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal_thread.h"

enum { JOBS = 2000 };

static char folder[32], path[48];
static uv_loop_t loop;
static struct kvpbus_journal_thread *thread;

struct job {
    struct kvpbus_job head; // first
    uint8_t vm[KVPBUS_VM_ID_BYTES];
    enum kvpbus_error wanted; // ends with this after it has made its peer
    size_t peers;             // that it saw when it ran
    struct kvpbus_job *then;  // submitted when it is done
};

static struct job jobs[JOBS];
static size_t done_count, told_count;

static void told(void *context)
{
    (*(size_t *)context)++;
}

static struct kvpbus_journal *open_journal(void)
{
    static const struct kvpbus_journal_options options = {.role = KVPBUS_ROLE_HOST};
    struct kvpbus_failure failure;
    struct kvpbus_journal *journal;
    cr_assert_eq(kvpbus_journal_open(path, &options, &journal, &failure), KVPBUS_OK, "%s",
                 failure.detail);
    return journal;
}

static void begin(void)
{
    strcpy(folder, "/tmp/kvpbus-thread-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/journal", folder);
    cr_assert_eq(uv_loop_init(&loop), 0);
    cr_assert_eq(kvpbus_journal_thread_start(&loop, open_journal(), told, &told_count, &thread),
                 KVPBUS_OK);
}

static void finish(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(journal_thread, .init = begin, .fini = finish);

static size_t peer_count(struct kvpbus_journal *journal)
{
    struct kvpbus_peer *peers;
    size_t count;
    cr_assert_eq(kvpbus_journal_peers(journal, &peers, &count), KVPBUS_OK);
    free(peers);
    return count;
}

static enum kvpbus_error make_peer(struct kvpbus_job *head, struct kvpbus_journal *journal)
{
    struct job *job = (struct job *)head;
    struct kvpbus_peer peer;
    job->peers = peer_count(journal);
    enum kvpbus_error error = kvpbus_journal_peer(journal, job->vm, "vm", &peer);
    return error != KVPBUS_OK ? error : job->wanted;
}

static enum kvpbus_error do_nothing(struct kvpbus_job *head, struct kvpbus_journal *journal)
{
    (void)head;
    (void)journal;
    return KVPBUS_OK;
}

static enum kvpbus_error take_time(struct kvpbus_job *head, struct kvpbus_journal *journal)
{
    (void)head;
    (void)journal;
    uv_sleep(20);
    return KVPBUS_OK;
}

static void submit(struct kvpbus_job *job)
{
    struct kvpbus_executor *executor = kvpbus_journal_thread_executor(thread);
    executor->submit(executor, job);
}

static void done(struct kvpbus_job *head)
{
    struct job *job = (struct job *)head;
    cr_assert_eq(job, &jobs[done_count], "job %zu is done instead of %zu", (size_t)(job - jobs),
                 done_count);
    cr_assert_eq(head->result, job->wanted);
    done_count++;
    if (job->then != NULL)
        submit(job->then);
}

static void fill(size_t count,
                 enum kvpbus_error (*run)(struct kvpbus_job *, struct kvpbus_journal *))
{
    for (size_t i = 0; i < count; i++) {
        jobs[i].head.run = run;
        jobs[i].head.done = done;
        jobs[i].vm[0] = (uint8_t)(i + 1);
    }
}

static void stop(void)
{
    kvpbus_journal_thread_stop(thread);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&loop), 0);
}

Test(journal_thread, a_job_that_fails_undoes_itself_alone)
{
    fill(3, make_peer);
    jobs[1].wanted = KVPBUS_QUOTA;
    for (size_t i = 0; i < 3; i++)
        submit(&jobs[i].head);
    while (done_count < 3)
        uv_run(&loop, UV_RUN_ONCE);
    cr_assert_eq(jobs[1].peers, 1);
    cr_assert_eq(jobs[2].peers, 1, "the failed job has left something");
    stop();
    struct kvpbus_journal *journal = open_journal();
    cr_assert_eq(kvpbus_journal_begin(journal), KVPBUS_OK);
    cr_assert_eq(peer_count(journal), 2);
    kvpbus_journal_rollback(journal);
    kvpbus_journal_close(journal);
}

Test(journal_thread, a_job_may_follow_another_from_its_end)
{
    fill(2, make_peer);
    jobs[0].then = &jobs[1].head;
    submit(&jobs[0].head);
    while (done_count < 2)
        uv_run(&loop, UV_RUN_ONCE);
    cr_assert_eq(jobs[1].peers, 1);
    cr_assert_eq(told_count, 2, "the time is said before jobs are finished");
    stop();
}

Test(journal_thread, jobs_of_one_turn_share_a_transaction)
{
    fill(3, take_time);
    for (size_t i = 0; i < 3; i++)
        submit(&jobs[i].head);
    while (done_count == 0)
        uv_run(&loop, UV_RUN_ONCE);
    cr_assert_eq(done_count, 3, "the others come later");
    cr_assert_eq(told_count, 1);
    stop();
}

Test(journal_thread, many_jobs_come_back_in_their_order)
{
    fill(JOBS, do_nothing);
    for (size_t i = 0; i < JOBS; i++)
        submit(&jobs[i].head);
    while (done_count < JOBS)
        uv_run(&loop, UV_RUN_ONCE);
    stop();
}

Test(journal_thread, what_is_queued_is_done_before_the_end)
{
    fill(JOBS, do_nothing);
    for (size_t i = 0; i < JOBS; i++)
        submit(&jobs[i].head);
    stop();
    cr_assert_eq(done_count, JOBS);
}
