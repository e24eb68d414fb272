// SPDX-License-Identifier: Apache-2.0
//
// The switches between behaviours that the documentation of Hyper-V leaves open, and the command
// line: what is wrong with it is said in one line, with an exit code of its own.
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lab_fixture.h"

static struct lab lab;

static void finish(void)
{
    lab_stop(&lab);
    lab_remove(&lab);
}

TestSuite(lab_options, .fini = finish);

Test(lab_options, missing_keys_may_be_told_apart)
{
    lab_start(&lab, "--modify-missing 32779 --remove-missing 32773");
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_MODIFY, "kvpbus.0", "v");
    cr_assert_eq(result.error_code, KVPBUS_RETURN_NOT_FOUND);
    result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_REMOVE, "kvpbus.0", NULL);
    cr_assert_eq(result.error_code, KVPBUS_RETURN_INVALID_PARAMETER);
}

Test(lab_options, an_atomic_batch_is_done_whole_or_not_at_all)
{
    lab_start(&lab, "--atomic --item-limit 8");
    lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.5", "in the way");
    struct kvpbus_call_result result = lab_call_many(&lab, LAB_ALPHA, KVPBUS_OP_ADD, 0, 6);
    cr_assert_eq(result.error_code, KVPBUS_RETURN_INVALID_PARAMETER);
    cr_assert_eq(lab_host_count(&lab, LAB_ALPHA), 1);
    result = lab_call_many(&lab, LAB_ALPHA, KVPBUS_OP_ADD, 10, 8);
    cr_assert_eq(result.job_state, KVPBUS_JOB_EXCEPTION);
    cr_assert_eq(lab_host_count(&lab, LAB_ALPHA), 1);
}

Test(lab_options, an_item_that_the_guest_did_not_take_may_be_dropped)
{
    lab_start(&lab, "--drop-failed");
    lab_ctl(&lab, "fault alpha daemon-absent");
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", "v");
    cr_assert_eq(result.hresult, 0x800710DF);
    cr_assert_eq(lab_host_count(&lab, LAB_ALPHA), 0);
    result = lab_call(&lab, LAB_BETA, KVPBUS_OP_ADD, "kvpbus.0", "v");
    cr_assert(lab_done(&result));
    cr_assert_str_eq(lab_host_value(&lab, LAB_BETA, "kvpbus.0"), "v");
}

Test(lab_options, a_longer_value_may_be_refused_with_another_code)
{
    char value[1024];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    lab_start(&lab, "--value-limit 1022 --too-long 32768");
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", value);
    cr_assert_eq(result.return_value, KVPBUS_RETURN_FAILED);
    result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", value + 1);
    cr_assert(lab_done(&result));
}

// A value of `count` characters, each of these bytes, with other characters behind them. Static.
static const char *long_value(const char *character, size_t count, const char *behind)
{
    static char value[16384];
    value[0] = '\0';
    for (char *end = value; count > 0; count--)
        end = stpcpy(end, character);
    return strcat(value, behind);
}

static uint32_t code_of(const char *value)
{
    return lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", value).return_value;
}

Test(lab_options, that_code_is_for_values_of_any_length_that_are_text)
{
    static const char euro[] = "\u20ac", smile[] = "\U0001f600";
    lab_start(&lab, "--too-long 32768");
    cr_assert_eq(code_of(long_value("v", 1024, "")), KVPBUS_RETURN_FAILED);
    cr_assert_eq(code_of(long_value("v", 16000, "")), KVPBUS_RETURN_FAILED);
    cr_assert_eq(code_of(long_value(euro, 1024, "")), KVPBUS_RETURN_FAILED);
    cr_assert_eq(code_of(long_value(euro, 1023, smile)), KVPBUS_RETURN_FAILED);
    cr_assert_eq(code_of(long_value(euro, 1022, smile)), KVPBUS_RETURN_FAILED);
    cr_assert_eq(code_of(long_value(euro, 4000, "")), KVPBUS_RETURN_FAILED);
    cr_assert_eq(code_of(long_value("v", 16000, "\xff")), KVPBUS_RETURN_INVALID_PARAMETER);
    cr_assert_eq(lab_host_count(&lab, LAB_ALPHA), 0);
    cr_assert_eq(code_of(long_value(euro, 1023, "")), KVPBUS_RETURN_JOB_STARTED);
}

Test(lab_options, with_data_exchange_off_the_host_may_keep_what_it_is_given)
{
    lab_start(&lab, "--exchange-off 0");
    lab_ctl(&lab, "fault alpha disable-exchange");
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", "v");
    cr_assert(lab_done(&result), "%u %s", (unsigned)result.return_value, result.description);
    cr_assert_null(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"));
    lab_ctl(&lab, "fault alpha enable-exchange");
    result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.1", "w");
    cr_assert(lab_done(&result));
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"), "v");
}

Test(lab_options, with_data_exchange_off_calls_may_not_be_available)
{
    lab_start(&lab, "--exchange-off 32777");
    lab_ctl(&lab, "fault alpha disable-exchange");
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", "v");
    cr_assert_eq(result.return_value, KVPBUS_RETURN_NOT_AVAILABLE);
}

static const char *kept(const char *value)
{
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", value);
    cr_assert(lab_done(&result));
    return lab_host_value(&lab, LAB_ALPHA, "kvpbus.0");
}

Test(lab_options, values_may_be_trimmed)
{
    lab_start(&lab, "--item-text trimmed");
    cr_assert_str_eq(kept("  a <b> & c "), "a <b> & c");
}

Test(lab_options, values_may_be_escaped)
{
    lab_start(&lab, "--item-text escaped");
    cr_assert_str_eq(kept(" a <b> & c "), " a &lt;b&gt; &amp; c ");
}

Test(lab_options, a_modify_that_changes_nothing_may_not_reach_the_guest)
{
    lab_start(&lab, "--skip-unchanged");
    lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.0", "v");
    lab_ctl(&lab, "fault alpha wipe-pool 0");
    struct kvpbus_call_result result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_MODIFY, "kvpbus.0", "v");
    cr_assert(lab_done(&result));
    cr_assert_null(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"));
    lab_call(&lab, LAB_ALPHA, KVPBUS_OP_MODIFY, "kvpbus.0", "w");
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"), "w");
}

Test(lab_options, guest_items_may_be_read_in_the_order_of_their_keys)
{
    struct kvpbus_scan scan = {0};
    lab_start(&lab, "--sort-guest");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.2", "second");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.1", "first");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_eq(scan.count, 2);
    cr_assert_str_eq(scan.items[0].key, "kvpbus.1");
    kvpbus_scan_free(&scan);
}

Test(lab_options, reads_may_come_from_a_copy_of_some_age)
{
    struct kvpbus_scan scan = {0};
    lab_start(&lab, "--guest-cache 400");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.s", "old");
    lab_sleep_ms(500);
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_str_eq(scan.items[0].value, "old");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.s", "new");
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_str_eq(scan.items[0].value, "old");
    lab_sleep_ms(600);
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_str_eq(scan.items[0].value, "new");
    kvpbus_scan_free(&scan);
}

Test(lab_options, the_host_reads_no_more_than_its_limit)
{
    struct kvpbus_scan scan = {0};
    char key[32];
    lab_start(&lab, "--guest-limit 5");
    for (int i = 0; i < 8; i++) {
        snprintf(key, sizeof key, "kvpbus.%d", i);
        lab_guest_write(&lab, LAB_ALPHA, key, "v");
    }
    cr_assert_eq(lab_read(&lab, LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_eq(scan.count, 5);
    kvpbus_scan_free(&scan);
}

Test(lab_options, vms_may_be_left_off)
{
    lab_start(&lab, "--stopped");
    cr_assert_eq(lab_state(&lab, LAB_ALPHA), KVPBUS_VM_STATE_OFF);
    cr_assert_eq(lab_daemon(&lab, LAB_ALPHA), 0);
    lab_ctl(&lab, "start alpha");
    cr_assert_eq(lab_state(&lab, LAB_ALPHA), KVPBUS_VM_STATE_RUNNING);
}

Test(lab_options, the_counters_count)
{
    char output[8192];
    struct kvpbus_scan scan = {0};
    lab_start(&lab, "");
    lab_call_many(&lab, LAB_ALPHA, KVPBUS_OP_ADD, 0, 10);
    lab_call(&lab, LAB_ALPHA, KVPBUS_OP_MODIFY, "kvpbus.0", "12345");
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.s", "123");
    lab_read(&lab, LAB_ALPHA, &scan);
    cr_assert_eq(lab_program(&lab, "ctl DIR stats alpha --json", output, sizeof output), 0);
    static const char *const expected[] = {
        "\"calls_add\": 1,",     "\"calls_modify\": 1,",   "\"items_added\": 10,",
        "\"items_modified\": 1", "\"value_bytes\": 25,",   "\"reads_guest\": 1,",
        "\"guest_sets\": 24,",   "\"jobs_completed\": 2,", "\"guest_items_read\": 1,",
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        cr_assert_not_null(strstr(output, expected[i]), "%s: %s", expected[i], output);
    cr_assert_null(strstr(output, "beta"));
    kvpbus_scan_free(&scan);
}

struct wrong {
    char line[96];
    int exit_code;
    char words[48]; // that are in what it says
};

static struct wrong wrong_lines[] = {
    {"", 2, "Usage"},
    {"fly", 2, "no subcommand fly"},
    {"run", 2, "one folder"},
    {"run DIR", 2, "--vm"},
    {"run DIR --vm a/b", 2, "no name for a VM"},
    {"run DIR --vm alpha --vm alpha", 2, "two VMs"},
    {"run DIR --vm alpha --item-limit 0", 2, "--item-limit needs a number from 1"},
    {"run DIR --vm alpha --modify-missing 5", 2, "32773 or 32779"},
    {"run DIR --vm alpha --exchange-off 5", 2, "0, 32775 or 32777"},
    {"run DIR --vm alpha --item-text bold", 2, "exact, trimmed or escaped"},
    {"run DIR --vm alpha --value-limit 2000", 2, "from 512 to 1023"},
    {"run DIR --vm alpha --fast", 2, "no option '--fast'"},
    {"run DIR --vm alpha --daemon /none", 11, "hyperv-daemons"},
    {"run /nowhere/lab --vm alpha", 1, "/nowhere/lab"},
    {"ctl DIR", 2, "a command"},
    {"ctl DIR dance", 2, "no command 'dance'"},
    {"ctl DIR start", 2, "start"},
    {"ctl DIR list", 3, "kvpbus-lab run"},
    {"ctl DIR fault alpha melt", 2, "lost-job"},
    {"ctl DIR fault alpha cut-value", 2, "a number from 1 to 1022"},
    {"ctl DIR fault alpha cut-value many", 2, "not a number"},
    {"ctl DIR fault alpha no-effect 3", 2, "takes no number"},
    {"ctl DIR stats --count 0", 2, "--count"},
};

ParameterizedTestParameters(lab_command_line, what_is_wrong_is_said)
{
    return cr_make_param_array(struct wrong, wrong_lines, sizeof wrong_lines / sizeof *wrong_lines);
}

ParameterizedTest(struct wrong *wrong, lab_command_line, what_is_wrong_is_said)
{
    char output[8192];
    // Each line runs beside the others, in a process of its own.
    snprintf(lab.directory, sizeof lab.directory, "/tmp/kvpbus-lab-none-%d", (int)getpid());
    int status = lab_program(&lab, wrong->line, output, sizeof output);
    lab_remove(&lab);
    cr_assert_eq(status, wrong->exit_code, "'%s': %d %s", wrong->line, status, output);
    cr_assert_not_null(strstr(output, wrong->words), "'%s': %s", wrong->line, output);
}

Test(lab_options, what_makes_no_sense_now_is_refused)
{
    char output[1024];
    lab_start(&lab, "");
    cr_assert_eq(lab_program(&lab, "ctl DIR start alpha", output, sizeof output), 7);
    cr_assert_not_null(strstr(output, "VM alpha is running"));
    cr_assert_eq(lab_program(&lab, "ctl DIR resume alpha", output, sizeof output), 7);
    cr_assert_eq(lab_program(&lab, "ctl DIR reboot gamma", output, sizeof output), 4);
    lab_ctl(&lab, "stop alpha");
    cr_assert_eq(lab_program(&lab, "ctl DIR pause alpha", output, sizeof output), 7);
}

Test(lab_command_line, help_is_on_standard_output)
{
    char output[8192];
    cr_assert_eq(lab_program(&lab, "--help", output, sizeof output), 0);
    cr_assert_eq(lab_program(&lab, "run --help", output, sizeof output), 0);
    cr_assert_not_null(strstr(output, "--item-limit"));
    cr_assert_eq(lab_program(&lab, "ctl --help", output, sizeof output), 0);
    cr_assert_not_null(strstr(output, "partial-read"));
    cr_assert_eq(lab_program(&lab, "--version", output, sizeof output), 0);
}
