// SPDX-License-Identifier: Apache-2.0
//
// Start, stop, reboot, pause; what lasts over each of them and over the lab itself; the limit of
// items; a daemon that dies; what is left at the end.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab_fixture.h"

static struct lab lab;

static void expect_done(struct kvpbus_call_result result)
{
    cr_assert(lab_done(&result), "%u %s", (unsigned)result.return_value, result.description);
}

static void finish(void)
{
    lab_stop(&lab);
    lab_remove(&lab);
}

TestSuite(lab_life, .fini = finish);

Test(lab_life, a_reboot_is_seen_and_keeps_the_items_of_both_sides)
{
    char boot[64];
    struct kvpbus_scan scan = {0};
    lab_start(&lab, "");
    expect_done(lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", "host"));
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.s", "guest");
    snprintf(boot, sizeof boot, "%s", lab_line(&lab, LAB_ALPHA, "boot-id"));
    pid_t before = lab_daemon(&lab, LAB_ALPHA);
    lab_ctl(&lab, "reboot alpha");
    cr_assert_str_neq(lab_line(&lab, LAB_ALPHA, "boot-id"), boot);
    cr_assert_neq(lab_daemon(&lab, LAB_ALPHA), before);
    cr_assert_neq(lab_daemon(&lab, LAB_ALPHA), 0);
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"), "host");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_str_eq(scan.items[0].value, "guest");
    kvpbus_scan_free(&scan);
}

Test(lab_life, what_the_guest_deleted_comes_back_at_its_reboot)
{
    lab_start(&lab, "");
    expect_done(lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", "host"));
    lab_ctl(&lab, "fault alpha wipe-pool 0");
    lab_ctl(&lab, "reboot alpha");
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"), "host");
}

Test(lab_life, the_lab_itself_keeps_vms_and_items)
{
    uint8_t guid[KVPBUS_GUID_BYTES];
    lab_start(&lab, "");
    memcpy(guid, lab.guids[LAB_ALPHA], sizeof guid);
    expect_done(lab_call_many(&lab, LAB_ALPHA, KVPBUS_OP_ADD, 0, 20));
    expect_done(lab_call(&lab, LAB_ALPHA, KVPBUS_OP_REMOVE, "kvpbus.7", NULL));
    lab_stop(&lab);
    lab_start_again(&lab, "");
    cr_assert_arr_eq(lab.guids[LAB_ALPHA], guid, sizeof guid);
    cr_assert_eq(lab_host_count(&lab, LAB_ALPHA), 19);
    cr_assert_null(lab_host_value(&lab, LAB_ALPHA, "kvpbus.7"));
    cr_assert_str_eq(lab_host_value(&lab, LAB_ALPHA, "kvpbus.19"), "v19");
}

Test(lab_life, also_when_it_was_killed)
{
    lab_start(&lab, "");
    expect_done(lab_call_many(&lab, LAB_BETA, KVPBUS_OP_ADD, 0, 20));
    lab.management->ops->close(lab.management);
    kill(lab.pid, SIGKILL);
    waitpid(lab.pid, NULL, 0);
    for (int i = 0; i < 200 && lab_daemon(&lab, LAB_BETA) != 0; i++)
        lab_sleep_ms(10);
    cr_assert_eq(lab_daemon(&lab, LAB_BETA), 0, "the daemon has outlived its lab");
    lab_start_again(&lab, "");
    cr_assert_eq(lab_host_count(&lab, LAB_BETA), 20);
    cr_assert_str_eq(lab_pool_value(&lab, LAB_BETA, 0, "kvpbus.19"), "v19");
}

Test(lab_life, beyond_the_limit_of_items_the_vm_fails_until_some_are_removed)
{
    lab_start(&lab, "--item-limit 10");
    expect_done(lab_call_many(&lab, LAB_ALPHA, KVPBUS_OP_ADD, 0, 10));
    cr_assert_eq(lab_state(&lab, LAB_ALPHA), KVPBUS_VM_STATE_RUNNING);
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.x", "v");
    cr_assert_eq(result.job_state, KVPBUS_JOB_EXCEPTION);
    cr_assert_eq(lab_state(&lab, LAB_ALPHA), KVPBUS_VM_STATE_FAILED);
    cr_assert_eq(lab_host_count(&lab, LAB_ALPHA), 10);
    // What exists can be modified; the state outlives a reboot.
    expect_done(lab_call(&lab, LAB_ALPHA, KVPBUS_OP_MODIFY, "kvpbus.3", "changed"));
    lab_ctl(&lab, "reboot alpha");
    cr_assert_eq(lab_state(&lab, LAB_ALPHA), KVPBUS_VM_STATE_FAILED);
    expect_done(lab_call_many(&lab, LAB_ALPHA, KVPBUS_OP_REMOVE, 0, 2));
    cr_assert_eq(lab_state(&lab, LAB_ALPHA), KVPBUS_VM_STATE_RUNNING);
    expect_done(lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.x", "v"));
    cr_assert_eq(lab_state(&lab, LAB_BETA), KVPBUS_VM_STATE_RUNNING);
}

Test(lab_life, a_daemon_that_is_killed_is_started_again_and_is_not_sent_the_old_items)
{
    struct kvpbus_scan scan = {0};
    lab_start(&lab, "");
    expect_done(lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", "v"));
    lab_ctl(&lab, "fault alpha wipe-pool 0");
    pid_t daemon = lab_daemon(&lab, LAB_ALPHA);
    cr_assert_eq(kill(daemon, SIGKILL), 0);
    while (lab_read(&lab, LAB_ALPHA, &scan) == KVPBUS_OK)
        lab_sleep_ms(1);
    for (int i = 0; i < 300 && lab_read(&lab, LAB_ALPHA, &scan) != KVPBUS_OK; i++)
        lab_sleep_ms(10);
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_neq(lab_daemon(&lab, LAB_ALPHA), daemon);
    cr_assert_null(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"));
    kvpbus_scan_free(&scan);
}

Test(lab_life, with_push_at_reconnect_it_is)
{
    struct kvpbus_scan scan = {0};
    lab_start(&lab, "--push-at-reconnect");
    expect_done(lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", "v"));
    lab_ctl(&lab, "fault alpha wipe-pool 0");
    cr_assert_eq(kill(lab_daemon(&lab, LAB_ALPHA), SIGKILL), 0);
    for (int i = 0; i < 300 && lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0") == NULL; i++)
        lab_sleep_ms(10);
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"), "v");
    kvpbus_scan_free(&scan);
}

Test(lab_life, a_paused_vm_answers_nothing_and_goes_on)
{
    struct kvpbus_scan scan = {0};
    lab_start(&lab, "");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.s", "v");
    lab_ctl(&lab, "pause alpha");
    cr_assert_eq(lab_state(&lab, LAB_ALPHA), KVPBUS_VM_STATE_PAUSED);
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_STORE_GONE);
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", "v");
    cr_assert_eq(result.return_value, KVPBUS_RETURN_INVALID_STATE);
    lab_ctl(&lab, "resume alpha");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_eq(scan.count, 1);
    expect_done(lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", "v"));
    lab_ctl(&lab, "pause alpha");
    lab_ctl(&lab, "stop alpha");
    cr_assert_eq(lab_daemon(&lab, LAB_ALPHA), 0);
    kvpbus_scan_free(&scan);
}

Test(lab_life, a_reboot_under_load_loses_nothing_that_was_kept)
{
    lab_start(&lab, "");
    for (unsigned round = 0; round < 5; round++) {
        char words[64];
        pid_t reboot = fork();
        if (reboot == 0) {
            snprintf(words, sizeof words, "ctl DIR reboot alpha");
            _exit(lab_program(&lab, words, NULL, 0));
        }
        struct kvpbus_call_result result =
            lab_call_many(&lab, LAB_ALPHA, KVPBUS_OP_ADD, round * 50, 50);
        cr_assert(lab_done(&result) || result.hresult == 0x800710DF, "%u %s",
                  (unsigned)result.error_code, result.description);
        int status;
        cr_assert_eq(waitpid(reboot, &status, 0), reboot);
        cr_assert_eq(status, 0);
        lab_await_state(&lab, LAB_ALPHA, KVPBUS_VM_STATE_RUNNING);
        struct kvpbus_scan scan = {0};
        cr_assert_eq(lab.management->ops->read_host(lab.management, "kvpbus", lab.guids[LAB_ALPHA],
                                                    &scan, NULL),
                     KVPBUS_OK);
        lab_ctl(&lab, "reboot alpha");
        for (size_t i = 0; i < scan.count; i++)
            cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, scan.items[i].key),
                             scan.items[i].value);
        kvpbus_scan_free(&scan);
    }
}

Test(lab_life, a_second_lab_in_the_folder_is_refused)
{
    char output[1024];
    lab_start(&lab, "");
    cr_assert_eq(lab_program(&lab, "run DIR --vm gamma", output, sizeof output), 9);
    cr_assert_not_null(strstr(output, "a lab runs already in"));
    cr_assert_eq(lab_state(&lab, LAB_ALPHA), KVPBUS_VM_STATE_RUNNING);
}
