// SPDX-License-Identifier: Apache-2.0
//
// The texts and numbers that are exchanged with root\virtualization\v2 and root\virtualization,
// without WMI: queries, paths, ids, states. What goes into a query or a path is made of GUIDs
// alone, so that no name can inject anything. Pure. Any thread.
#ifndef KVPBUS_WMI_TEXT_H
#define KVPBUS_WMI_TEXT_H

#include "kvpbus/management.h"

enum {
    KVPBUS_WMI_PATH_ROOM = 160,
    // VMs that a query may name: WMI refuses queries of great complexity.
    KVPBUS_WMI_NAMED_MAX = 16,
    KVPBUS_WMI_QUERY_ROOM = 2048,
};

// EnabledState of Msvm_ComputerSystem, in the numbers of either namespace. A number that neither
// knows is taken for a VM that is starting or stopping: nothing can be exchanged with it.
enum kvpbus_vm_state kvpbus_wmi_vm_state(uint32_t enabled_state);

// Whether EnabledState of the exchange's settings means that it is switched on.
bool kvpbus_wmi_exchange_enabled(uint32_t enabled_state);

// The VM of an InstanceID "Microsoft:GUID\…". False for anything else, as are the definitions that
// every host has; the settings of a checkpoint carry the id of the checkpoint.
bool kvpbus_wmi_instance_vm(const char *instance_id, uint8_t guid[KVPBUS_GUID_BYTES]);

// The path of a VM within its namespace.
void kvpbus_wmi_vm_path(const uint8_t guid[KVPBUS_GUID_BYTES], char path[KVPBUS_WMI_PATH_ROOM]);

// The query for the guest's items of some VMs. `named` (at most KVPBUS_WMI_NAMED_MAX) are those
// that are asked for or, with `all_but`, those that are not; none with `all_but`: all VMs.
void kvpbus_wmi_guest_query(const uint8_t (*named)[KVPBUS_GUID_BYTES], size_t count, bool all_but,
                            bool with_intrinsic, char query[KVPBUS_WMI_QUERY_ROOM]);

// The query for the host's items of a VM. Pattern characters do not occur in a GUID.
void kvpbus_wmi_host_query(const uint8_t guid[KVPBUS_GUID_BYTES],
                           char query[KVPBUS_WMI_QUERY_ROOM]);

#endif
