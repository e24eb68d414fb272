// SPDX-License-Identifier: Apache-2.0
//
// What tests and programs ask of the management service over WMI beyond its operations. Windows
// only.
#ifndef KVPBUS_WMI_MANAGEMENT_H
#define KVPBUS_WMI_MANAGEMENT_H

#include "kvpbus/management.h"

// Sets how long a call may take, its job included; 30 s unless set. Before other threads use it.
void kvpbus_wmi_management_set_deadline(struct kvpbus_management *management, unsigned ms);

// COM references and strings that are held now, in the whole process: between calls those of the
// connection.
long kvpbus_wmi_held(void);

#endif
