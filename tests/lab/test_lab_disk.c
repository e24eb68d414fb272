// SPDX-License-Identifier: Apache-2.0
//
// Save and restore, checkpoint and revert, clone and import: what goes back, what is copied, what
// stays, and that none of it is done to a VM that runs.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "lab_fixture.h"

static struct lab lab;

static void finish(void)
{
    lab_stop(&lab);
    lab_remove(&lab);
}

TestSuite(lab_disk, .fini = finish);

static void add(const char *key, const char *value)
{
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, key, value);
    cr_assert(lab_done(&result), "%u %s", (unsigned)result.return_value, result.description);
}

static void write_disk(const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/vm/alpha/disk/note", lab.directory);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fprintf(file, "%s\n", text);
    fclose(file);
}

static void refused(const char *words)
{
    char output[512];
    cr_assert_eq(lab_program(&lab, words, output, sizeof output), 7, "%s", output);
    cr_assert_not_null(strstr(output, "stop it before"), "%s", output);
}

Test(lab_disk, a_saved_vm_goes_on_in_the_same_boot_and_is_sent_the_items_anew)
{
    char boot[64];
    struct kvpbus_scan scan = {0};
    lab_start(&lab, "");
    add("kvpbus.0", "host");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.s", "guest");
    snprintf(boot, sizeof boot, "%s", lab_line(&lab, LAB_ALPHA, "boot-id"));
    pid_t daemon = lab_daemon(&lab, LAB_ALPHA);
    lab_ctl(&lab, "save alpha");
    cr_assert_eq(lab_state(&lab, LAB_ALPHA), KVPBUS_VM_STATE_SAVED);
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_VM_OFF);
    lab_ctl(&lab, "fault alpha wipe-pool 0");
    lab_ctl(&lab, "start alpha");
    cr_assert_eq(lab_state(&lab, LAB_ALPHA), KVPBUS_VM_STATE_RUNNING);
    cr_assert_str_eq(lab_line(&lab, LAB_ALPHA, "boot-id"), boot);
    cr_assert_eq(lab_daemon(&lab, LAB_ALPHA), daemon);
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"), "host");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_str_eq(scan.items[0].value, "guest");
    kvpbus_scan_free(&scan);
    lab_ctl(&lab, "save alpha");
    lab_ctl(&lab, "stop alpha");
    cr_assert_eq(lab_daemon(&lab, LAB_ALPHA), 0);
}

Test(lab_disk, a_revert_brings_back_pools_disk_and_host_items)
{
    lab_start(&lab, "");
    add("kvpbus.0", "then");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.s", "then");
    write_disk("then");
    refused("ctl DIR checkpoint alpha one");
    lab_ctl(&lab, "stop alpha");
    lab_ctl(&lab, "checkpoint alpha one");
    lab_ctl(&lab, "start alpha");
    refused("ctl DIR revert alpha one");
    lab_call(&lab, LAB_ALPHA, KVPBUS_OP_MODIFY, "kvpbus.0", "later");
    add("kvpbus.1", "later");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.t", "later");
    write_disk("later");
    lab_ctl(&lab, "stop alpha");
    lab_ctl(&lab, "revert alpha one");
    lab_ctl(&lab, "start alpha");
    cr_assert_eq(lab_host_count(&lab, LAB_ALPHA), 1);
    cr_assert_str_eq(lab_host_value(&lab, LAB_ALPHA, "kvpbus.0"), "then");
    cr_assert_null(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.1"));
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 1, "kvpbus.s"), "then");
    cr_assert_null(lab_pool_value(&lab, LAB_ALPHA, 1, "kvpbus.t"));
    cr_assert_str_eq(lab_line(&lab, LAB_ALPHA, "disk/note"), "then");
}

Test(lab_disk, a_revert_may_keep_the_host_items)
{
    lab_start(&lab, "--revert-keeps-items");
    lab_ctl(&lab, "stop alpha");
    lab_ctl(&lab, "checkpoint alpha one");
    add("kvpbus.0", "kept");
    lab_ctl(&lab, "revert alpha one");
    cr_assert_str_eq(lab_host_value(&lab, LAB_ALPHA, "kvpbus.0"), "kept");
}

Test(lab_disk, a_clone_has_the_disk_under_a_guid_of_its_own)
{
    char guid[64], output[2048];
    lab_start(&lab, "");
    add("kvpbus.0", "host");
    write_disk("both");
    refused("ctl DIR clone alpha gamma");
    lab_ctl(&lab, "stop alpha");
    snprintf(guid, sizeof guid, "%s", lab_line(&lab, LAB_ALPHA, "guid"));
    lab_ctl(&lab, "clone alpha gamma");
    lab_ctl(&lab, "start gamma");
    cr_assert_str_eq(lab_line(&lab, LAB_ALPHA, "../gamma/disk/note"), "both");
    cr_assert_str_neq(lab_line(&lab, LAB_ALPHA, "../gamma/guid"), guid);
    cr_assert_str_eq(lab_line(&lab, LAB_ALPHA, "guid"), guid);
    cr_assert_eq(lab_program(&lab, "ctl DIR list", output, sizeof output), 0);
    cr_assert_not_null(strstr(output, "gamma"));
    cr_assert_eq(lab_program(&lab, "ctl DIR clone alpha gamma", output, sizeof output), 7);
    cr_assert_eq(lab_program(&lab, "ctl DIR clone alpha ../x", output, sizeof output), 2);
    cr_assert_eq(lab_program(&lab, "ctl DIR revert alpha none", output, sizeof output), 4);
}

Test(lab_disk, an_import_changes_the_guid_alone)
{
    char guid[64];
    lab_start(&lab, "");
    add("kvpbus.0", "host");
    write_disk("same");
    refused("ctl DIR import alpha");
    snprintf(guid, sizeof guid, "%s", lab_line(&lab, LAB_ALPHA, "guid"));
    lab_ctl(&lab, "stop alpha");
    lab_ctl(&lab, "import alpha");
    lab_ctl(&lab, "start alpha");
    cr_assert_str_neq(lab_line(&lab, LAB_ALPHA, "guid"), guid);
    cr_assert_str_eq(lab_line(&lab, LAB_ALPHA, "disk/note"), "same");
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"), "host");
}

Test(lab_disk, other_software_may_empty_a_pool_at_each_boot)
{
    lab_start(&lab, "");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.s", "v");
    lab_ctl(&lab, "fault alpha wipe-at-boot 1");
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 1, "kvpbus.s"), "v");
    for (int boot = 0; boot < 2; boot++) {
        lab_ctl(&lab, "reboot alpha");
        cr_assert_null(lab_pool_value(&lab, LAB_ALPHA, 1, "kvpbus.s"));
        lab_guest_write(&lab, LAB_ALPHA, "kvpbus.s", "again");
    }
}
