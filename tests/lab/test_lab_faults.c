// SPDX-License-Identifier: Apache-2.0
//
// Each fault on command: what it does, how often it strikes, and that `clear` ends it.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

TestSuite(lab_faults, .init = start, .fini = finish);

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// A call that is expected not to end before the deadline.
static void call_without_end(int vm, const char *key, const char *value)
{
    struct kvpbus_call_result result;
    const struct kvpbus_change item = {key, value};
    kvpbus_lab_management_set_deadline(lab.management, 300);
    cr_assert_eq(lab.management->ops->call(lab.management, KVPBUS_OP_ADD, lab.guids[vm], &item, 1,
                                           &result, NULL),
                 KVPBUS_TIMEOUT);
    kvpbus_lab_management_set_deadline(lab.management, 30000);
}

static void expect_done(enum kvpbus_operation operation, const char *key, const char *value)
{
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, operation, key, value);
    cr_assert(lab_done(&result), "%u %s", (unsigned)result.return_value, result.description);
}

Test(lab_faults, a_lost_job_does_nothing_never_ends_and_holds_up_nobody)
{
    lab_ctl(&lab, "fault alpha lost-job --count 1");
    call_without_end(LAB_ALPHA, "kvpbus.0", "lost");
    cr_assert_eq(lab_host_count(&lab, LAB_ALPHA), 0);
    expect_done(KVPBUS_OP_ADD, "kvpbus.0", "second");
}

Test(lab_faults, a_silent_job_does_its_work_and_never_ends)
{
    lab_ctl(&lab, "fault alpha silent-job --count 1");
    call_without_end(LAB_ALPHA, "kvpbus.0", "done");
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"), "done");
    expect_done(KVPBUS_OP_MODIFY, "kvpbus.0", "second");
}

Test(lab_faults, half_a_batch)
{
    lab_ctl(&lab, "fault alpha half-batch --count 1");
    struct kvpbus_call_result result = lab_call_many(&lab, LAB_ALPHA, KVPBUS_OP_ADD, 0, 8);
    cr_assert_eq(result.job_state, KVPBUS_JOB_EXCEPTION);
    cr_assert_eq(result.error_code, KVPBUS_RETURN_FAILED);
    cr_assert_eq(lab_host_count(&lab, LAB_ALPHA), 4);
    cr_assert_not_null(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.3"));
    cr_assert_null(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.4"));
}

Test(lab_faults, success_without_effect)
{
    lab_ctl(&lab, "fault alpha no-effect --count 1");
    expect_done(KVPBUS_OP_ADD, "kvpbus.0", "nothing");
    cr_assert_eq(lab_host_count(&lab, LAB_ALPHA), 0);
    cr_assert_null(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"));
    expect_done(KVPBUS_OP_ADD, "kvpbus.0", "something");
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"), "something");
}

Test(lab_faults, success_of_which_the_guest_knows_nothing)
{
    lab_ctl(&lab, "fault alpha not-delivered --count 1");
    expect_done(KVPBUS_OP_ADD, "kvpbus.0", "kept");
    cr_assert_str_eq(lab_host_value(&lab, LAB_ALPHA, "kvpbus.0"), "kept");
    cr_assert_null(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"));
}

Test(lab_faults, values_are_cut_on_the_way_to_the_guest_and_back)
{
    struct kvpbus_scan scan = {0};
    lab_ctl(&lab, "fault alpha cut-value 4");
    expect_done(KVPBUS_OP_ADD, "kvpbus.0", "0123456789");
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"), "0123");
    cr_assert_str_eq(lab_host_value(&lab, LAB_ALPHA, "kvpbus.0"), "0123456789");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.s", "abcdefgh");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_str_eq(scan.items[0].value, "abcd");
    lab_ctl(&lab, "fault alpha clear");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_str_eq(scan.items[0].value, "abcdefgh");
    kvpbus_scan_free(&scan);
}

Test(lab_faults, a_wiped_pool)
{
    struct kvpbus_scan scan = {0};
    expect_done(KVPBUS_OP_ADD, "kvpbus.0", "to the guest");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.s", "from the guest");
    lab_ctl(&lab, "fault alpha wipe-pool 0");
    cr_assert_null(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"));
    cr_assert_not_null(lab_pool_value(&lab, LAB_ALPHA, 1, "kvpbus.s"));
    lab_ctl(&lab, "fault alpha wipe-pool 1");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_eq(scan.count, 0);
    // The host does not notice, and its next write reaches the guest.
    expect_done(KVPBUS_OP_MODIFY, "kvpbus.0", "again");
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"), "again");
    kvpbus_scan_free(&scan);
}

// Once it is as expected that is enough: a process that executes another has no environment for a
// moment, and is then not found.
static void await_daemon(bool present)
{
    for (int i = 0; i < 300; i++) {
        if ((lab_daemon(&lab, LAB_ALPHA) != 0) == present)
            return;
        lab_sleep_ms(10);
    }
    cr_assert_fail("the daemon is %s", present ? "absent" : "present");
}

Test(lab_faults, without_the_daemon_jobs_fail_with_device_not_ready_and_the_item_is_kept)
{
    struct kvpbus_scan scan = {0};
    lab_ctl(&lab, "fault alpha daemon-absent");
    await_daemon(false);
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", "v");
    cr_assert_eq(result.job_state, KVPBUS_JOB_EXCEPTION);
    cr_assert_eq(result.error_code, KVPBUS_RETURN_FAILED);
    cr_assert_eq(result.hresult, 0x800710DF);
    cr_assert_not_null(strstr(result.description, "0x800710DF"));
    cr_assert_str_eq(lab_host_value(&lab, LAB_ALPHA, "kvpbus.0"), "v");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_STORE_GONE);
    lab_ctl(&lab, "fault alpha clear");
    await_daemon(true);
    for (int i = 0; i < 300 && lab_read(&lab, LAB_ALPHA, &scan) != KVPBUS_OK; i++)
        lab_sleep_ms(10);
    // Within one boot the host does not send again what it holds: a new write does.
    cr_assert_null(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"));
    expect_done(KVPBUS_OP_MODIFY, "kvpbus.0", "w");
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"), "w");
    kvpbus_scan_free(&scan);
}

Test(lab_faults, latency_of_requests_and_of_jobs)
{
    lab_ctl(&lab, "fault alpha latency 150 --count 1");
    int64_t before = now_ms();
    lab_host_count(&lab, LAB_ALPHA);
    cr_assert_geq(now_ms() - before, 150);
    lab_ctl(&lab, "fault alpha job-latency 150 --count 1");
    before = now_ms();
    expect_done(KVPBUS_OP_ADD, "kvpbus.0", "slow");
    cr_assert_geq(now_ms() - before, 150);
    char output[4096];
    expect_done(KVPBUS_OP_MODIFY, "kvpbus.0", "fast");
    cr_assert_eq(lab_program(&lab, "ctl DIR list --json", output, sizeof output), 0);
    cr_assert_null(strstr(output, "latency"), "%s", output);
}

Test(lab_faults, an_error_code_as_often_as_was_said)
{
    lab_ctl(&lab, "fault alpha error 32774 --count 2");
    for (int i = 0; i < 2; i++) {
        struct kvpbus_call_result result =
            lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", "v");
        cr_assert_eq(result.return_value, KVPBUS_RETURN_IN_USE);
        cr_assert_not(result.had_job);
    }
    expect_done(KVPBUS_OP_ADD, "kvpbus.0", "v");
}

Test(lab_faults, a_stale_read_gives_the_result_before_it)
{
    struct kvpbus_scan scan = {0};
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.s", "old");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    lab_ctl(&lab, "fault alpha stale-read --count 1");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.s", "new");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_str_eq(scan.items[0].value, "old");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_str_eq(scan.items[0].value, "new");
    kvpbus_scan_free(&scan);
}

Test(lab_faults, a_partial_read_gives_one_half_and_then_the_other)
{
    struct kvpbus_scan scan = {0};
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.0", "a");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.1", "b");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.2", "c");
    lab_ctl(&lab, "fault alpha partial-read --count 2");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_eq(scan.count, 1);
    cr_assert_str_eq(scan.items[0].value, "a");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_eq(scan.count, 2);
    cr_assert_str_eq(scan.items[0].value, "b");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_eq(scan.count, 3);
    kvpbus_scan_free(&scan);
}

Test(lab_faults, too_many_items_on_command)
{
    expect_done(KVPBUS_OP_ADD, "kvpbus.0", "v");
    lab_ctl(&lab, "fault alpha too-many --count 1");
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.1", "v");
    cr_assert_eq(result.job_state, KVPBUS_JOB_EXCEPTION);
    cr_assert_eq(lab_state(&lab, LAB_ALPHA), KVPBUS_VM_STATE_FAILED);
    cr_assert_eq(lab_state(&lab, LAB_BETA), KVPBUS_VM_STATE_RUNNING);
    expect_done(KVPBUS_OP_REMOVE, "kvpbus.0", NULL);
    cr_assert_eq(lab_state(&lab, LAB_ALPHA), KVPBUS_VM_STATE_RUNNING);
}

Test(lab_faults, data_exchange_switched_off_and_on_again)
{
    struct kvpbus_scan scan = {0};
    struct kvpbus_vm *vms;
    size_t count;
    expect_done(KVPBUS_OP_ADD, "kvpbus.0", "v");
    lab_ctl(&lab, "fault alpha disable-exchange");
    cr_assert_eq(lab.management->ops->list(lab.management, &vms, &count, NULL), KVPBUS_OK);
    cr_assert_not(vms[LAB_ALPHA].exchange_enabled);
    cr_assert(vms[LAB_BETA].exchange_enabled);
    free(vms);
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_EXCHANGE_DISABLED);
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_MODIFY, "kvpbus.0", "w");
    cr_assert_eq(result.return_value, KVPBUS_RETURN_INVALID_STATE);
    // The guest finds a host that sends all it holds, as after a reboot.
    lab_ctl(&lab, "fault alpha wipe-pool 0");
    lab_ctl(&lab, "fault alpha enable-exchange");
    expect_done(KVPBUS_OP_ADD, "kvpbus.1", "after");
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"), "v");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    kvpbus_scan_free(&scan);
}

Test(lab_faults, the_list_names_what_is_in_force_and_clear_ends_it)
{
    char output[8192];
    lab_ctl(&lab, "fault alpha cut-value 100 --count 3");
    lab_ctl(&lab, "fault alpha no-effect");
    cr_assert_eq(lab_program(&lab, "ctl DIR list --json", output, sizeof output), 0);
    cr_assert_not_null(strstr(output, "\"cut-value 100, 3 times\""));
    cr_assert_not_null(strstr(output, "\"no-effect\""));
    lab_ctl(&lab, "fault alpha clear");
    cr_assert_eq(lab_program(&lab, "ctl DIR list --json", output, sizeof output), 0);
    cr_assert_null(strstr(output, "cut-value"));
    cr_assert_null(strstr(output, "no-effect"));
}
