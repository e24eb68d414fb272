// SPDX-License-Identifier: Apache-2.0
//
// A Windows VM in the lab: kvpbus-lab-integration.exe under Wine moves items between the lab and
// the registry, and what happens to the VM happens to it.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <uchar.h>

#include "guest_fixture.h"
#include "lab_channel.h"

static struct lab lab;
static struct guest guest;

static void start(void)
{
    lab_start(&lab, "--windows-vm gamma");
    guest_start(&guest, &lab, "registry");
}

static void finish(void)
{
    guest_end(&guest, &lab);
}

TestSuite(windows_guest, .init = start, .fini = finish);

static void guest_puts(const char *key, const char *value)
{
    const struct kvpbus_change change = {key, value};
    enum kvpbus_error result;
    struct kvpbus_failure failure = {0};
    cr_assert_eq(guest.store->ops->write(guest.store, &change, 1, &result, &failure), KVPBUS_OK,
                 "%s", failure.detail);
}

static const char *value_of(const struct kvpbus_scan *scan, const char *key)
{
    for (size_t i = 0; i < scan->count; i++)
        if (strcmp(scan->items[i].key, key) == 0)
            return scan->items[i].value;
    return "(none)";
}

// What a program in the guest sees of the host's items. Static.
static const char *in_guest(const char *key)
{
    static char value[KVPBUS_VALUE_MAX + 1];
    struct kvpbus_scan scan = {0};
    cr_assert_eq(guest.store->ops->read_peer(guest.store, &scan, NULL), KVPBUS_OK);
    snprintf(value, sizeof value, "%s", value_of(&scan, key));
    kvpbus_scan_free(&scan);
    return value;
}

// What the host sees of the guest's. Static.
static const char *at_host(const char *key)
{
    static char value[KVPBUS_VALUE_MAX + 1];
    struct kvpbus_scan scan = {0};
    cr_assert_eq(lab_read(&lab, LAB_GAMMA, &scan), KVPBUS_OK);
    snprintf(value, sizeof value, "%s", value_of(&scan, key));
    kvpbus_scan_free(&scan);
    return value;
}

static struct kvpbus_call_result add(const char *key, const char *value)
{
    return lab_call(&lab, LAB_GAMMA, KVPBUS_OP_ADD, key, value);
}

Test(windows_guest, items_go_both_ways)
{
    struct kvpbus_call_result result = add("kvpbus.h", "from the host");
    cr_assert(lab_done(&result));
    cr_assert_str_eq(in_guest("kvpbus.h"), "from the host", "in the registry when the job ends");
    result = lab_call(&lab, LAB_GAMMA, KVPBUS_OP_MODIFY, "kvpbus.h", "another");
    cr_assert(lab_done(&result));
    cr_assert_str_eq(in_guest("kvpbus.h"), "another");
    result = lab_call(&lab, LAB_GAMMA, KVPBUS_OP_REMOVE, "kvpbus.h", NULL);
    cr_assert(lab_done(&result));
    cr_assert_str_eq(in_guest("kvpbus.h"), "(none)");
    guest_puts("kvpbus.h", "from the guest");
    cr_assert_str_eq(at_host("kvpbus.h"), "from the guest", "each read asks the guest");
    guest_puts("kvpbus.h", NULL);
    cr_assert_str_eq(at_host("kvpbus.h"), "(none)");
}

static bool registry_says(const char *key, const char *name, const char *text)
{
    char16_t units[128];
    size_t size = sizeof units;
    uint32_t type;
    if (store_proxy_get_value(guest.store, key, name, &type, units, &size) != 0)
        return false;
    for (size_t i = 0; i <= strlen(text); i++)
        if (units[i] != (unsigned char)text[i])
            return false;
    return type == STORE_PROXY_SZ;
}

Test(windows_guest, the_host_and_the_service_say_who_they_are)
{
    char guid[KVPBUS_GUID_TEXT + 1];
    kvpbus_guid_format(lab.guids[LAB_GAMMA], guid);
    // The host's own facts come before any item.
    struct kvpbus_call_result result = add("kvpbus.h", "behind them");
    cr_assert(lab_done(&result));
    cr_assert(registry_says("Guest\\Parameters", "VirtualMachineId", guid));
    cr_assert(registry_says("Guest\\Parameters", "VirtualMachineName", "gamma"));
    cr_assert(registry_says("Auto", "OSPlatformId", "2"));
}

// So many characters of two bytes each, which Linux guests would be given cut.
Test(windows_guest, the_wire_carries_as_much_as_it_does)
{
    enum { UNITS = 1023 };
    static char value[2 * UNITS + 3];
    char16_t units[UNITS + 2];
    size_t size = sizeof units;
    uint32_t type;
    for (size_t i = 0; i < UNITS + 1; i++)
        memcpy(value + 2 * i, "\xc3\xa4", 2);
    struct kvpbus_call_result result = add("other", value);
    cr_assert_eq(result.return_value, KVPBUS_RETURN_INVALID_PARAMETER, "one more than fits");
    value[2 * UNITS] = '\0';
    result = add("other", value);
    cr_assert(lab_done(&result));
    cr_assert_eq(store_proxy_get_value(guest.store, "External", "other", &type, units, &size), 0);
    cr_assert_eq(size, sizeof(char16_t) * (UNITS + 1));
    cr_assert_eq(units[UNITS - 1], 0xe4);
    // What a program in the guest puts there beyond it is cut.
    memset(units, 0, sizeof units);
    static char16_t long_text[3000];
    for (size_t i = 0; i < 2999; i++)
        long_text[i] = 'x';
    store_proxy_set_value(guest.store, "Guest", "kvpbus.00", STORE_PROXY_SZ, long_text,
                          sizeof long_text);
    struct kvpbus_scan scan = {0};
    cr_assert_eq(lab_read(&lab, LAB_GAMMA, &scan), KVPBUS_OK);
    cr_assert_eq(scan.skipped, 1, "1023 characters are one more than an item of ours has");
    kvpbus_scan_free(&scan);
}

Test(windows_guest, values_that_are_no_text_do_not_hide_those_behind_them)
{
    static const uint8_t bytes[] = {0, 1, 2, 0xff};
    const uint32_t number = 4711;
    store_proxy_set_value(guest.store, "Guest", "", STORE_PROXY_BINARY, bytes, sizeof bytes);
    store_proxy_set_value(guest.store, "Guest", "a binary", STORE_PROXY_BINARY, bytes,
                          sizeof bytes);
    store_proxy_set_value(guest.store, "Guest", "kvpbus.01", STORE_PROXY_DWORD, &number,
                          sizeof number);
    guest_puts("kvpbus.02", "behind");
    cr_assert_str_eq(at_host("kvpbus.02"), "behind");
    cr_assert_str_eq(at_host("kvpbus.01"), "4711", "numbers are said as text");
}

Test(windows_guest, a_reboot_brings_back_what_the_host_holds)
{
    add("kvpbus.h", "lasts");
    guest_puts("kvpbus.s", "too");
    store_proxy_set_value(guest.store, "External", "kvpbus.h", STORE_PROXY_DWORD, "abcd", 4);
    cr_assert_str_eq(in_guest("kvpbus.h"), "(none)");
    lab_ctl(&lab, "reboot gamma");
    guest_await(&guest, ": connected");
    struct kvpbus_call_result result = add("kvpbus.00", "after it");
    cr_assert(lab_done(&result), "it waits for the items to be sent anew");
    cr_assert_str_eq(in_guest("kvpbus.h"), "lasts");
    cr_assert_str_eq(at_host("kvpbus.s"), "too");
}

Test(windows_guest, without_its_service_the_vm_is_as_one_without_a_daemon)
{
    struct kvpbus_scan scan = {0};
    lab_ctl(&lab, "fault gamma daemon-absent");
    guest_await(&guest, ": sent away");
    struct kvpbus_call_result result = add("kvpbus.h", "v");
    cr_assert_eq(result.hresult, 0x800710DF);
    cr_assert_eq(lab_read(&lab, LAB_GAMMA, &scan), KVPBUS_STORE_GONE);
    lab_ctl(&lab, "fault gamma clear");
    guest_await(&guest, ": connected");
    cr_assert_str_eq(in_guest("kvpbus.h"), "(none)", "within one boot nothing is sent again");
    lab_ctl(&lab, "stop gamma");
    guest_await(&guest, ": sent away");
    cr_assert_eq(lab_read(&lab, LAB_GAMMA, &scan), KVPBUS_VM_OFF);
    lab_ctl(&lab, "start gamma");
    guest_await(&guest, ": connected");
    result = add("kvpbus.s", "v");
    cr_assert(lab_done(&result));
    cr_assert_str_eq(in_guest("kvpbus.h"), "v", "the next boot has it");
    kvpbus_scan_free(&scan);
}

Test(windows_guest, faults_of_the_lab_act_on_it)
{
    struct kvpbus_scan scan = {0};
    guest_puts("kvpbus.00", "a");
    guest_puts("kvpbus.01", "b");
    cr_assert_str_eq(at_host("kvpbus.01"), "b");
    lab_ctl(&lab, "fault gamma wipe-pool 1");
    cr_assert_str_eq(at_host("kvpbus.01"), "(none)");
    lab_ctl(&lab, "fault gamma cut-value 2 --count 1");
    add("kvpbus.h", "abcdef");
    cr_assert_str_eq(in_guest("kvpbus.h"), "ab");
    lab_ctl(&lab, "fault gamma disable-exchange");
    cr_assert_eq(lab_read(&lab, LAB_GAMMA, &scan), KVPBUS_EXCHANGE_DISABLED);
    lab_ctl(&lab, "fault gamma enable-exchange");
    struct kvpbus_call_result result = add("kvpbus.s", "v");
    cr_assert(lab_done(&result));
    cr_assert_str_eq(in_guest("kvpbus.h"), "abcdef", "sent anew");
    lab_ctl(&lab, "pause gamma");
    cr_assert_eq(lab_read(&lab, LAB_GAMMA, &scan), KVPBUS_STORE_GONE);
    lab_ctl(&lab, "resume gamma");
    guest_puts("kvpbus.00", "awake");
    cr_assert_str_eq(at_host("kvpbus.00"), "awake");
    lab_ctl(&lab, "save gamma");
    lab_ctl(&lab, "start gamma");
    cr_assert_str_eq(at_host("kvpbus.00"), "awake");
    kvpbus_scan_free(&scan);
}

static enum kvpbus_error attach(const char *vm)
{
    const int64_t deadline = kvpbus_lab_channel_deadline(5000);
    Kvpbus__Lab__Attach query = KVPBUS__LAB__ATTACH__INIT;
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__Reply *reply;
    int fd;
    query.vm = (char *)vm;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_ATTACH;
    request.attach = &query;
    cr_assert_eq(kvpbus_lab_channel_open(guest.address, deadline, &fd, NULL), KVPBUS_OK);
    cr_assert_eq(kvpbus_lab_channel_send(fd, &request, deadline, NULL), KVPBUS_OK);
    cr_assert_eq(kvpbus_lab_channel_receive(fd, &reply, deadline, NULL), KVPBUS_OK);
    enum kvpbus_error error = (enum kvpbus_error)reply->error;
    kvpbus__lab__reply__free_unpacked(reply, NULL);
    kvpbus_lab_channel_close(fd);
    return error;
}

Test(windows_guest, only_one_service_comes_and_only_where_there_is_none)
{
    char output[1024];
    const char *const unknown[] = {"lab/windows/kvpbus-lab-integration.exe", guest.address, "delta",
                                   NULL};
    const char *const nowhere[] = {"lab/windows/kvpbus-lab-integration.exe", "127.0.0.1:1", "gamma",
                                   NULL};
    const char *const usage[] = {"lab/windows/kvpbus-lab-integration.exe", "--help", NULL};
    cr_assert_eq(attach("gamma"), KVPBUS_EXISTS);
    cr_assert_eq(attach("alpha"), KVPBUS_UNSUPPORTED);
    cr_assert_eq(attach("delta"), KVPBUS_VM_UNKNOWN);
    cr_assert_eq(wine_run(&guest.wine, unknown, output, sizeof output), 4);
    cr_assert_eq(wine_run(&guest.wine, nowhere, output, sizeof output), 3);
    cr_assert_eq(wine_run(&guest.wine, usage, output, sizeof output), 0);
    cr_assert_not_null(strstr(output, "127.0.0.1:PORT"));
    struct kvpbus_call_result result = add("kvpbus.h", "v");
    cr_assert(lab_done(&result), "the one that is there is not disturbed");
}
