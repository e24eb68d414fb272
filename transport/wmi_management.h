// SPDX-License-Identifier: Apache-2.0
//
// What is asked of the management service over WMI beyond its operations. Windows only.
#ifndef KVPBUS_WMI_MANAGEMENT_H
#define KVPBUS_WMI_MANAGEMENT_H

#include "kvpbus/error.h"

// Whether another host can have this name. KVPBUS_INVALID_ARGUMENT.
enum kvpbus_error kvpbus_wmi_host_check(const char *host, struct kvpbus_failure *failure);

// For tests: COM references and strings that are held now, in the whole process: between calls
// those of the connection.
long kvpbus_wmi_held(void);

#endif
