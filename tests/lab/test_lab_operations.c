// SPDX-License-Identifier: Apache-2.0
//
// Add, Modify, Remove and the two reads, on VMs that run and on one that is off.
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

#include "lab_fixture.h"

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

TestSuite(lab_operations, .init = start, .fini = finish);

Test(lab_operations, what_is_added_is_in_the_guests_pool_when_the_job_has_ended)
{
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.00", "one");
    cr_assert(lab_done(&result));
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.00"), "one");
    cr_assert_str_eq(lab_host_value(&lab, LAB_ALPHA, "kvpbus.00"), "one");
    cr_assert_null(lab_pool_value(&lab, LAB_BETA, 0, "kvpbus.00"));
    cr_assert_eq(lab_host_count(&lab, LAB_BETA), 0);
}

Test(lab_operations, add_of_an_existing_key_ends_in_invalid_parameter)
{
    lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.00", "one");
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.00", "two");
    cr_assert_eq(result.return_value, KVPBUS_RETURN_JOB_STARTED);
    cr_assert_eq(result.job_state, KVPBUS_JOB_EXCEPTION);
    cr_assert_eq(result.error_code, KVPBUS_RETURN_INVALID_PARAMETER);
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.00"), "one");
}

Test(lab_operations, modify_replaces_the_value_and_needs_the_key)
{
    struct kvpbus_call_result result = lab_call(&lab, LAB_BETA, KVPBUS_OP_MODIFY, "kvpbus.s", "a");
    cr_assert_eq(result.job_state, KVPBUS_JOB_EXCEPTION);
    cr_assert_eq(result.error_code, KVPBUS_RETURN_INVALID_PARAMETER);
    lab_call(&lab, LAB_BETA, KVPBUS_OP_ADD, "kvpbus.s", "long value");
    result = lab_call(&lab, LAB_BETA, KVPBUS_OP_MODIFY, "kvpbus.s", "b");
    cr_assert(lab_done(&result));
    cr_assert_str_eq(lab_pool_value(&lab, LAB_BETA, 0, "kvpbus.s"), "b");
}

Test(lab_operations, remove_deletes_in_the_guest_and_forgives_a_missing_key)
{
    lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.s", "a");
    struct kvpbus_call_result result =
        lab_call(&lab, LAB_ALPHA, KVPBUS_OP_REMOVE, "kvpbus.s", NULL);
    cr_assert(lab_done(&result));
    cr_assert_null(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.s"));
    cr_assert_eq(lab_host_count(&lab, LAB_ALPHA), 0);
    result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_REMOVE, "kvpbus.s", NULL);
    cr_assert(lab_done(&result));
}

Test(lab_operations, a_batch_of_128_goes_through_and_a_bad_item_stops_it_half_way)
{
    struct kvpbus_call_result result = lab_call_many(&lab, LAB_ALPHA, KVPBUS_OP_ADD, 0, 128);
    cr_assert(lab_done(&result));
    cr_assert_eq(lab_host_count(&lab, LAB_ALPHA), 128);
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.127"), "v127");

    lab_call(&lab, LAB_BETA, KVPBUS_OP_ADD, "kvpbus.5", "in the way");
    result = lab_call_many(&lab, LAB_BETA, KVPBUS_OP_ADD, 0, 10);
    cr_assert_eq(result.error_code, KVPBUS_RETURN_INVALID_PARAMETER);
    cr_assert_str_eq(lab_pool_value(&lab, LAB_BETA, 0, "kvpbus.4"), "v4");
    cr_assert_null(lab_pool_value(&lab, LAB_BETA, 0, "kvpbus.6"));
}

Test(lab_operations, values_go_through_up_to_1023_characters_and_no_further)
{
    char value[1025];
    memset(value, 'x', sizeof value);
    value[1023] = '\0';
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.1", value);
    cr_assert(lab_done(&result));
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.1"), value);
    value[1023] = 'x';
    value[1024] = '\0';
    result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.2", value);
    cr_assert_eq(result.return_value, KVPBUS_RETURN_INVALID_PARAMETER);
    cr_assert_not(result.had_job);
    value[256] = '\0';
    result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, value, "key of 256 characters");
    cr_assert_eq(result.return_value, KVPBUS_RETURN_INVALID_PARAMETER);
    result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "", "no key");
    cr_assert_eq(result.return_value, KVPBUS_RETURN_INVALID_PARAMETER);
}

Test(lab_operations, what_a_guest_program_writes_is_in_the_next_read)
{
    struct kvpbus_scan scan = {0};
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.h", "hello");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_eq(scan.count, 1);
    cr_assert_str_eq(scan.items[0].value, "hello");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.h", "hello again");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_str_eq(scan.items[0].value, "hello again");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.h", NULL);
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_eq(scan.count, 0);
    kvpbus_scan_free(&scan);
}

Test(lab_operations, the_kernel_cuts_what_a_guest_writes_at_1022_characters)
{
    char value[1100], path[128];
    memset(value, 'y', sizeof value);
    value[1050] = '\0';
    snprintf(path, sizeof path, "%s/vm/alpha/kvp/.kvp_pool_1", lab.directory);
    FILE *pool = fopen(path, "w");
    char record[2560] = "kvpbus.9";
    memcpy(record + 512, value, strlen(value));
    cr_assert_eq(fwrite(record, sizeof record, 1, pool), 1);
    fclose(pool);
    struct kvpbus_scan scan = {0};
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_eq(scan.count, 1);
    cr_assert_eq(strlen(scan.items[0].value), 1022);
    kvpbus_scan_free(&scan);
}

Test(lab_operations, one_query_reads_several_vms_each_with_its_own_result)
{
    uint8_t guids[3][KVPBUS_GUID_BYTES];
    struct kvpbus_scan scans[3] = {{0}};
    enum kvpbus_error results[3];
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.h", "from alpha");
    lab_ctl(&lab, "stop beta");
    memcpy(guids[0], lab.guids[LAB_BETA], KVPBUS_GUID_BYTES);
    memset(guids[1], 0xee, KVPBUS_GUID_BYTES);
    memcpy(guids[2], lab.guids[LAB_ALPHA], KVPBUS_GUID_BYTES);
    cr_assert_eq(lab.management->ops->read_guest(lab.management, "kvpbus",
                                                 (const uint8_t(*)[KVPBUS_GUID_BYTES])guids, 3,
                                                 scans, results, NULL),
                 KVPBUS_OK);
    cr_assert_eq(results[0], KVPBUS_VM_OFF);
    cr_assert_eq(results[1], KVPBUS_VM_UNKNOWN);
    cr_assert_eq(results[2], KVPBUS_OK);
    cr_assert_str_eq(scans[2].items[0].value, "from alpha");
    for (int i = 0; i < 3; i++)
        kvpbus_scan_free(&scans[i]);
}

Test(lab_operations, a_vm_that_is_off_keeps_items_and_gets_them_at_its_start)
{
    lab_ctl(&lab, "stop alpha");
    struct kvpbus_call_result result =
        lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", "early");
    cr_assert(lab_done(&result));
    cr_assert_null(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"));
    cr_assert_str_eq(lab_host_value(&lab, LAB_ALPHA, "kvpbus.0"), "early");
    result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", "again");
    cr_assert_eq(result.error_code, KVPBUS_RETURN_INVALID_PARAMETER);
    lab_ctl(&lab, "start alpha");
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"), "early");
}

Test(lab_operations, the_guest_is_told_who_it_is)
{
    char guid[KVPBUS_GUID_TEXT + 1];
    kvpbus_guid_format(lab.guids[LAB_BETA], guid);
    cr_assert_str_eq(lab_pool_value(&lab, LAB_BETA, 3, "VirtualMachineId"), guid);
    cr_assert_str_eq(lab_pool_value(&lab, LAB_BETA, 3, "VirtualMachineName"), "beta");
    cr_assert_not_null(lab_pool_value(&lab, LAB_BETA, 3, "HostName"));
    cr_assert_str_eq(lab_line(&lab, LAB_BETA, "guid"), guid);
}

Test(lab_operations, an_item_that_is_not_utf8_hides_those_behind_it)
{
    char path[128];
    struct kvpbus_scan scan = {0};
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.0", "first");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.1", "second");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.2", "third");
    snprintf(path, sizeof path, "%s/vm/alpha/kvp/.kvp_pool_1", lab.directory);
    FILE *pool = fopen(path, "r+");
    cr_assert_eq(fseek(pool, 2560 + 512, SEEK_SET), 0);
    cr_assert_eq(fputc(0xff, pool), 0xff);
    fclose(pool);
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_eq(scan.count, 1);
    kvpbus_scan_free(&scan);
}
