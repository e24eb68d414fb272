// SPDX-License-Identifier: Apache-2.0
//
// The client of the management API: several threads, a lab that goes and comes back, none at all;
// and the server against what is not this protocol.
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lab_channel.h"
#include "lab_fixture.h"
#include "lab_management.h"

static struct lab lab;

static void start(void)
{
    lab_start(&lab, "");
}

static void finish(void)
{
    lab_stop(&lab);
    lab_remove(&lab);
}

TestSuite(lab_client, .init = start, .fini = finish);

static int64_t now_ms(void)
{
    return kvpbus_lab_channel_deadline(0);
}

static void *add_slowly(void *context)
{
    struct kvpbus_call_result *result = context;
    *result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", "slow");
    return NULL;
}

Test(lab_client, a_slow_job_of_one_vm_delays_no_other_call)
{
    struct kvpbus_call_result slow, fast;
    struct kvpbus_scan scan = {0};
    pthread_t thread;
    lab_ctl(&lab, "fault alpha job-latency 1000 --count 1");
    cr_assert_eq(pthread_create(&thread, NULL, add_slowly, &slow), 0);
    lab_sleep_ms(100);
    int64_t before = now_ms();
    fast = lab_call(&lab, LAB_BETA, KVPBUS_OP_ADD, "kvpbus.0", "fast");
    cr_assert(lab_done(&fast));
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_null(lab_host_value(&lab, LAB_ALPHA, "kvpbus.0"));
    cr_assert_lt(now_ms() - before, 500);
    pthread_join(thread, NULL);
    cr_assert(lab_done(&slow));
    kvpbus_scan_free(&scan);
}

// One request on a connection of its own, and its reply.
static Kvpbus__Lab__Reply *exchange(const Kvpbus__Lab__Request *request)
{
    Kvpbus__Lab__Reply *reply;
    int fd;
    int64_t deadline = kvpbus_lab_channel_deadline(30000);
    cr_assert_eq(kvpbus_lab_channel_open(lab.socket, deadline, &fd, NULL), KVPBUS_OK);
    cr_assert_eq(kvpbus_lab_channel_send(fd, request, deadline, NULL), KVPBUS_OK);
    cr_assert_eq(kvpbus_lab_channel_receive(fd, &reply, deadline, NULL), KVPBUS_OK);
    kvpbus_lab_channel_close(fd);
    return reply;
}

static uint64_t begin_job(void)
{
    Kvpbus__Lab__Call call = KVPBUS__LAB__CALL__INIT;
    Kvpbus__Lab__Item item = KVPBUS__LAB__ITEM__INIT, *items = &item;
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    item.key = (ProtobufCBinaryData){8, (uint8_t *)"kvpbus.0"};
    call.operation = KVPBUS_OP_ADD;
    call.guid = (ProtobufCBinaryData){KVPBUS_GUID_BYTES, lab.guids[LAB_ALPHA]};
    call.n_items = 1;
    call.items = &items;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_CALL;
    request.call = &call;
    Kvpbus__Lab__Reply *reply = exchange(&request);
    cr_assert_not_null(reply->outcome);
    uint64_t job = reply->outcome->job;
    kvpbus__lab__reply__free_unpacked(reply, NULL);
    cr_assert_neq(job, 0);
    return job;
}

// Waits for the end of a job; the lab's error when it does not know it.
static enum kvpbus_error end_job(uint64_t job, bool through_service)
{
    Kvpbus__Lab__JobQuery query = KVPBUS__LAB__JOB_QUERY__INIT;
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    query.id = job;
    query.wait_ms = 20000;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_JOB;
    request.job = &query;
    request.through_service = through_service;
    Kvpbus__Lab__Reply *reply = exchange(&request);
    enum kvpbus_error error = (enum kvpbus_error)reply->error;
    if (error == KVPBUS_OK)
        cr_assert_eq(reply->outcome->job_state, KVPBUS_JOB_COMPLETED);
    kvpbus__lab__reply__free_unpacked(reply, NULL);
    return error;
}

Test(lab_client, follows_its_job_across_a_restart_of_the_service)
{
    lab_ctl(&lab, "fault alpha job-latency 300 --count 1");
    uint64_t job = begin_job();
    lab_ctl(&lab, "service restart");
    cr_assert_eq(end_job(job, false), KVPBUS_OK);
    cr_assert_eq(end_job(job, true), KVPBUS_NOT_FOUND);
}

struct worker {
    pthread_t thread;
    unsigned number;
};

static void *add_many(void *context)
{
    const struct worker *worker = context;
    for (unsigned i = 0; i < 25; i++) {
        char key[32];
        snprintf(key, sizeof key, "kvpbus.%u.%u", worker->number, i);
        struct kvpbus_call_result result =
            lab_call(&lab, worker->number % LAB_GAMMA, KVPBUS_OP_ADD, key, "v");
        cr_assert(lab_done(&result), "%u", (unsigned)result.return_value);
    }
    return NULL;
}

Test(lab_client, many_threads_at_once)
{
    struct worker workers[12];
    for (unsigned i = 0; i < 12; i++) {
        workers[i].number = i;
        cr_assert_eq(pthread_create(&workers[i].thread, NULL, add_many, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 12; i++)
        pthread_join(workers[i].thread, NULL);
    cr_assert_eq(lab_host_count(&lab, LAB_ALPHA), 150);
    cr_assert_eq(lab_host_count(&lab, LAB_BETA), 150);
}

Test(lab_client, comes_back_by_itself_when_the_lab_does)
{
    struct kvpbus_management *first = lab.management;
    struct kvpbus_scan scan = {0};
    struct kvpbus_failure failure = {0};
    cr_assert_eq(kvpbus_lab_management_open(lab.socket, &lab.management, NULL), KVPBUS_OK);
    lab_stop(&lab);
    cr_assert_eq(first->ops->read_host(first, "kvpbus", lab.guids[LAB_ALPHA], &scan, &failure),
                 KVPBUS_STORE_GONE);
    cr_assert_not_null(strstr(failure.detail, lab.socket));
    lab_start_again(&lab, "");
    cr_assert_eq(first->ops->read_host(first, "kvpbus", lab.guids[LAB_ALPHA], &scan, &failure),
                 KVPBUS_OK);
    first->ops->close(first);
}

Test(lab_client, a_lab_that_dies_during_a_call_leaves_its_outcome_open)
{
    struct kvpbus_management *second;
    struct kvpbus_call_result result;
    const struct kvpbus_change item = {"kvpbus.0", "v"};
    lab_ctl(&lab, "fault alpha lost-job");
    cr_assert_eq(kvpbus_lab_management_open(lab.socket, &second, NULL), KVPBUS_OK);
    kvpbus_lab_management_set_deadline(second, 5000);
    pid_t child = fork();
    if (child == 0) {
        lab_sleep_ms(200);
        kill(lab.pid, SIGTERM);
        _exit(0);
    }
    int64_t before = now_ms();
    cr_assert_eq(
        second->ops->call(second, KVPBUS_OP_ADD, lab.guids[LAB_ALPHA], &item, 1, &result, NULL),
        KVPBUS_TIMEOUT);
    cr_assert_lt(now_ms() - before, 3000);
    waitpid(child, NULL, 0);
    waitpid(lab.pid, NULL, 0);
    cr_assert_eq(
        second->ops->call(second, KVPBUS_OP_ADD, lab.guids[LAB_ALPHA], &item, 1, &result, NULL),
        KVPBUS_STORE_GONE);
    second->ops->close(second);
    lab.management->ops->close(lab.management);
    lab_start_again(&lab, "");
}

Test(lab_client_alone, without_a_lab_there_is_one_clear_error)
{
    struct kvpbus_management *management = NULL;
    struct kvpbus_failure failure = {0};
    cr_assert_eq(kvpbus_lab_management_open("/tmp/no such lab/host.sock", &management, &failure),
                 KVPBUS_STORE_GONE);
    cr_assert_null(management);
    cr_assert_not_null(strstr(failure.detail, "/tmp/no such lab/host.sock"));
    cr_assert_not_null(strstr(failure.detail, "kvpbus-lab run"));
}

static int connect_raw(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", lab.socket);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

// Sends the bytes and expects that the lab says PROTOCOL, or nothing, and hangs up.
static void expect_hang_up(const char *bytes, size_t length)
{
    char answer[256];
    int fd = connect_raw();
    cr_assert_eq(send(fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
    ssize_t got;
    do
        got = recv(fd, answer, sizeof answer, 0);
    while (got > 0);
    close(fd);
}

Test(lab_client, garbage_ends_a_connection_and_nothing_else)
{
    static const char long_frame[] = "\x7f\xff\xff\xff";
    static const char no_request[] = "\0\0\0\4\xff\xff\xff\xff";
    expect_hang_up(long_frame, 4);
    expect_hang_up(no_request, 8);
    int half = connect_raw();
    cr_assert_eq(send(half, "\0\0\1\0half", 8, MSG_NOSIGNAL), 8);
    // A request of a kind that this lab does not know is answered, and the next one as well.
    int unknown = connect_raw();
    for (int i = 0; i < 2; i++) {
        Kvpbus__Lab__Reply *reply;
        cr_assert_eq(send(unknown, "\0\0\0\0", 4, MSG_NOSIGNAL), 4);
        cr_assert_eq(kvpbus_lab_channel_receive(unknown, &reply, now_ms() + 5000, NULL), KVPBUS_OK);
        cr_assert_eq(reply->error, KVPBUS_UNSUPPORTED);
        kvpbus__lab__reply__free_unpacked(reply, NULL);
    }
    close(unknown);
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", "v");
    cr_assert(lab_done(&result));
    close(half);
}

Test(lab_client, more_connections_than_there_is_room_for)
{
    int fds[140];
    for (int i = 0; i < 140; i++)
        fds[i] = connect_raw();
    char byte;
    cr_assert_eq(recv(fds[139], &byte, 1, 0), 0, "one too many is hung up on");
    for (int i = 0; i < 140; i++)
        close(fds[i]);
    lab_sleep_ms(50);
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", "v");
    cr_assert(lab_done(&result));
}

Test(lab_client, bad_calls_are_refused_before_they_go_out)
{
    struct kvpbus_call_result result;
    struct kvpbus_change items[KVPBUS_MANAGEMENT_BATCH + 1] = {{"kvpbus.0", "v"}};
    uint8_t unknown[KVPBUS_GUID_BYTES] = {1};
    const struct kvpbus_management_ops *ops = lab.management->ops;
    cr_assert_eq(ops->call(lab.management, KVPBUS_OP_ADD, lab.guids[0], items,
                           KVPBUS_MANAGEMENT_BATCH + 1, &result, NULL),
                 KVPBUS_INVALID_ARGUMENT);
    cr_assert_eq(ops->call(lab.management, KVPBUS_OP_ADD, lab.guids[0], items, 0, &result, NULL),
                 KVPBUS_INVALID_ARGUMENT);
    cr_assert_eq(ops->call(lab.management, KVPBUS_OP_ADD, unknown, items, 1, &result, NULL),
                 KVPBUS_VM_UNKNOWN);
}

Test(lab_client, what_a_guest_says_of_its_system_is_read_apart)
{
    Kvpbus__Lab__ReadGuest query = KVPBUS__LAB__READ_GUEST__INIT;
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__Reply *reply;
    ProtobufCBinaryData guid = {KVPBUS_GUID_BYTES, lab.guids[LAB_ALPHA]};
    bool found = false;
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.0", "of a program");
    query.n_guids = 1;
    query.guids = &guid;
    query.intrinsic = true;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_READ_GUEST;
    request.read_guest = &query;
    int fd = connect_raw();
    cr_assert_eq(kvpbus_lab_channel_send(fd, &request, now_ms() + 5000, NULL), KVPBUS_OK);
    cr_assert_eq(kvpbus_lab_channel_receive(fd, &reply, now_ms() + 5000, NULL), KVPBUS_OK);
    close(fd);
    cr_assert_eq(reply->error, KVPBUS_OK);
    cr_assert_eq(reply->n_items, 10, "the daemon's own ten");
    for (size_t i = 0; i < reply->n_items; i++)
        found = found || (reply->items[i]->key.len == strlen("OSName") &&
                          memcmp(reply->items[i]->key.data, "OSName", strlen("OSName")) == 0);
    cr_assert(found);
    kvpbus__lab__reply__free_unpacked(reply, NULL);
}
