// SPDX-License-Identifier: Apache-2.0
#include "wmi_text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum kvpbus_vm_state kvpbus_wmi_vm_state(uint32_t enabled_state)
{
    switch (enabled_state) {
    case 2: // Enabled
        return KVPBUS_VM_STATE_RUNNING;
    case 3: // Disabled
        return KVPBUS_VM_STATE_OFF;
    case 6:     // Enabled but Offline
    case 32769: // Suspended
        return KVPBUS_VM_STATE_SAVED;
    case 9:     // Quiesce
    case 32768: // Paused
        return KVPBUS_VM_STATE_PAUSED;
    case 10:    // Starting
    case 32770: // Starting
    case 32777: // Resuming
        return KVPBUS_VM_STATE_STARTING;
    case 4:     // Shutting Down
    case 32773: // Saving
    case 32774: // Stopping
    case 32776: // Pausing
        return KVPBUS_VM_STATE_STOPPING;
    default:
        return KVPBUS_VM_STATE_STARTING;
    }
}

bool kvpbus_wmi_exchange_enabled(uint32_t enabled_state)
{
    return enabled_state == 2;
}

bool kvpbus_wmi_instance_vm(const char *instance_id, uint8_t guid[KVPBUS_GUID_BYTES])
{
    static const char start[] = "Microsoft:";
    enum { START = sizeof start - 1 };
    char text[KVPBUS_GUID_TEXT + 1];
    if (strncmp(instance_id, start, START) != 0 ||
        strnlen(instance_id, START + KVPBUS_GUID_TEXT + 1) <= START + KVPBUS_GUID_TEXT ||
        instance_id[START + KVPBUS_GUID_TEXT] != '\\')
        return false;
    memcpy(text, instance_id + START, KVPBUS_GUID_TEXT);
    text[KVPBUS_GUID_TEXT] = '\0';
    return kvpbus_guid_parse(text, guid);
}

void kvpbus_wmi_vm_path(const uint8_t guid[KVPBUS_GUID_BYTES], char path[KVPBUS_WMI_PATH_ROOM])
{
    char text[KVPBUS_GUID_TEXT + 1];
    kvpbus_guid_format(guid, text);
    int length =
        snprintf(path, KVPBUS_WMI_PATH_ROOM,
                 "Msvm_ComputerSystem.CreationClassName=\"Msvm_ComputerSystem\",Name=\"%s\"", text);
    assert(length > 0 && length < KVPBUS_WMI_PATH_ROOM);
}

void kvpbus_wmi_guest_query(const uint8_t (*named)[KVPBUS_GUID_BYTES], size_t count, bool all_but,
                            bool with_intrinsic, char query[KVPBUS_WMI_QUERY_ROOM])
{
    assert(count <= KVPBUS_WMI_NAMED_MAX && (count > 0 || all_but));
    size_t length = (size_t)snprintf(
        query, KVPBUS_WMI_QUERY_ROOM,
        "SELECT SystemName,EnabledState,OperationalStatus,GuestExchangeItems%s FROM "
        "Msvm_KvpExchangeComponent",
        with_intrinsic ? ",GuestIntrinsicExchangeItems" : "");
    for (size_t i = 0; i < count; i++) {
        char text[KVPBUS_GUID_TEXT + 1];
        kvpbus_guid_format(named[i], text);
        const char *joint = i == 0 ? "WHERE" : all_but ? "AND" : "OR";
        length += (size_t)snprintf(query + length, KVPBUS_WMI_QUERY_ROOM - length,
                                   " %s SystemName%s'%s'", joint, all_but ? "<>" : "=", text);
    }
    assert(length < KVPBUS_WMI_QUERY_ROOM);
}

void kvpbus_wmi_host_query(const uint8_t guid[KVPBUS_GUID_BYTES], char query[KVPBUS_WMI_QUERY_ROOM])
{
    char text[KVPBUS_GUID_TEXT + 1];
    kvpbus_guid_format(guid, text);
    snprintf(query, KVPBUS_WMI_QUERY_ROOM,
             "SELECT InstanceID,HostExchangeItems FROM Msvm_KvpExchangeComponentSettingData WHERE "
             "InstanceID LIKE 'Microsoft:%s%%'",
             text);
}
