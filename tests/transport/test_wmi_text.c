// SPDX-License-Identifier: Apache-2.0
//
// What is said to WMI and what its numbers mean, without WMI.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "hresult.h"
#include "wmi_text.h"

static const uint8_t alpha[KVPBUS_GUID_BYTES] = {0x1A, 0x2B, 0x3C, 0x4D, 0x5E, 0x6F, 0x70, 0x81,
                                                 0x92, 0xA3, 0xB4, 0xC5, 0xD6, 0xE7, 0xF8, 0x09};
#define ALPHA "1A2B3C4D-5E6F-7081-92A3-B4C5D6E7F809"

Test(wmi_text, states_of_either_namespace)
{
    static const struct {
        uint32_t number;
        enum kvpbus_vm_state state;
    } cases[] = {
        {2, KVPBUS_VM_STATE_RUNNING},      {3, KVPBUS_VM_STATE_OFF},
        {4, KVPBUS_VM_STATE_STOPPING},     {6, KVPBUS_VM_STATE_SAVED},
        {9, KVPBUS_VM_STATE_PAUSED},       {10, KVPBUS_VM_STATE_STARTING},
        {32768, KVPBUS_VM_STATE_PAUSED},   {32769, KVPBUS_VM_STATE_SAVED},
        {32770, KVPBUS_VM_STATE_STARTING}, {32773, KVPBUS_VM_STATE_STOPPING},
        {32774, KVPBUS_VM_STATE_STOPPING}, {32776, KVPBUS_VM_STATE_STOPPING},
        {32777, KVPBUS_VM_STATE_STARTING}, {0, KVPBUS_VM_STATE_STARTING},
        {4711, KVPBUS_VM_STATE_STARTING},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_eq(kvpbus_wmi_vm_state(cases[i].number), cases[i].state, "%u",
                     (unsigned)cases[i].number);
    cr_assert(kvpbus_wmi_exchange_enabled(2));
    cr_assert_not(kvpbus_wmi_exchange_enabled(3));
    cr_assert_not(kvpbus_wmi_exchange_enabled(0));
}

Test(wmi_text, settings_belong_to_the_vm_in_their_id)
{
    uint8_t guid[KVPBUS_GUID_BYTES];
    cr_assert(
        kvpbus_wmi_instance_vm("Microsoft:" ALPHA "\\2A34B1C2-FD73-4043-8A5B-DD2159BC743F", guid));
    cr_assert_arr_eq(guid, alpha, sizeof guid);
    static const char *const others[] = {
        "",
        "Microsoft:",
        "Microsoft:Definition\\2A34B1C2-FD73-4043-8A5B-DD2159BC743F\\Default",
        "Microsoft:" ALPHA,
        "Microsoft:" ALPHA "0\\x",
        "Other:" ALPHA "\\x",
        ALPHA "\\x",
        "Microsoft:1A2B3C4D-5E6F-7081-92A3-B4C5D6E7F80X\\x",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_assert_not(kvpbus_wmi_instance_vm(others[i], guid), "%s", others[i]);
}

Test(wmi_text, queries_hold_guids_alone)
{
    char query[KVPBUS_WMI_QUERY_ROOM];
    uint8_t guids[KVPBUS_WMI_NAMED_MAX][KVPBUS_GUID_BYTES];
    const uint8_t(*named)[KVPBUS_GUID_BYTES] = (const uint8_t(*)[KVPBUS_GUID_BYTES])guids;
    for (size_t i = 0; i < KVPBUS_WMI_NAMED_MAX; i++)
        memcpy(guids[i], alpha, sizeof alpha);
    kvpbus_wmi_guest_query(named, 2, false, false, query);
    cr_assert_str_eq(query, "SELECT SystemName,EnabledState,OperationalStatus,GuestExchangeItems "
                            "FROM Msvm_KvpExchangeComponent WHERE SystemName='" ALPHA
                            "' OR SystemName='" ALPHA "'");
    kvpbus_wmi_guest_query(named, 1, true, true, query);
    cr_assert_str_eq(query, "SELECT SystemName,EnabledState,OperationalStatus,GuestExchangeItems,"
                            "GuestIntrinsicExchangeItems FROM Msvm_KvpExchangeComponent WHERE "
                            "SystemName<>'" ALPHA "'");
    kvpbus_wmi_guest_query(named, 0, true, false, query);
    cr_assert_str_eq(query, "SELECT SystemName,EnabledState,OperationalStatus,GuestExchangeItems "
                            "FROM Msvm_KvpExchangeComponent");
    static const char last[] = " AND SystemName<>'" ALPHA "'";
    kvpbus_wmi_guest_query(named, KVPBUS_WMI_NAMED_MAX, true, true, query);
    cr_assert_str_eq(query + strlen(query) - strlen(last), last);
    kvpbus_wmi_host_query(alpha, query);
    cr_assert_str_eq(query, "SELECT InstanceID,HostExchangeItems FROM "
                            "Msvm_KvpExchangeComponentSettingData WHERE InstanceID LIKE "
                            "'Microsoft:" ALPHA "%'");
    kvpbus_wmi_vm_path(alpha, query);
    cr_assert_str_eq(
        query, "Msvm_ComputerSystem.CreationClassName=\"Msvm_ComputerSystem\",Name=\"" ALPHA "\"");
}

Test(hresult, each_has_a_name_a_meaning_and_a_remedy_that_fit)
{
    static const uint32_t numbers[] = {
#define X(name, number, kind, error, meaning, hint) number,
        KVPBUS_HRESULT_MAP(X)
#undef X
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const struct kvpbus_hresult *entry = kvpbus_hresult_find(numbers[i]);
        struct kvpbus_failure failure = {0};
        char number[16];
        cr_assert_eq(entry->number, numbers[i], "%s is there twice", entry->name);
        cr_assert_eq(kvpbus_hresult_fail(&failure, numbers[i], "%s: %s",
                                         "hyperv01.cluster7.eastern.corp.example.com",
                                         "looking for the class Msvm_KvpExchangeDataItem"),
                     entry->error);
        snprintf(number, sizeof number, "0x%08X", (unsigned)numbers[i]);
        cr_assert_eq(failure.os_code, numbers[i]);
        cr_assert_not_null(strstr(failure.detail, number));
        cr_assert_not_null(strstr(failure.detail, entry->name));
        cr_assert_eq(strncmp(failure.detail, "hyperv01.cluster7", 17), 0, "%s", failure.detail);
        const char *hint = strstr(failure.detail, entry->hint);
        cr_assert_not_null(hint, "%s", failure.detail);
        cr_assert_str_eq(hint, entry->hint);
    }
}

Test(hresult, an_error_reads_like_this)
{
    struct kvpbus_failure failure;
    cr_assert_eq(kvpbus_hresult_fail(&failure, 0x800706BA, "HV7: %s", "listing the VMs"),
                 KVPBUS_STORE_GONE);
    cr_assert_str_eq(failure.detail,
                     "HV7: listing the VMs: the RPC server is unavailable (0x800706BA "
                     "RPC_S_SERVER_UNAVAILABLE); check the host's name, and that its firewall lets "
                     "WMI through");
    cr_assert_eq(kvpbus_hresult_fail(&failure, 0x8004FFFF, "listing"), KVPBUS_STORE_GONE);
    cr_assert_not_null(strstr(failure.detail, "0x8004FFFF an unlisted HRESULT"));
    cr_assert_eq(kvpbus_hresult_fail(NULL, 0x80041003, "listing"), KVPBUS_ACCESS);
}

Test(hresult, is_found_in_the_text_of_a_job)
{
    cr_assert_eq(kvpbus_hresult_in_text("The device is not ready for use. (0x800710DF)."),
                 0x800710DF);
    cr_assert_eq(kvpbus_hresult_in_text("Echec (0X80070057)"), 0x80070057);
    cr_assert_eq(kvpbus_hresult_in_text("0x80070057: then 0x800705aa"), 0x800705AA,
                 "the last is the nearest to the cause");
    static const char *const none[] = {
        "",           "0x",         "0x8007",        "0x00000000", "0x123456789",
        "0x8007005G", "0x00000005", "failed (32773)"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        cr_assert_eq(kvpbus_hresult_in_text(none[i]), 0, "%s", none[i]);
}
