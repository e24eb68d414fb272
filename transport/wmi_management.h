// SPDX-License-Identifier: Apache-2.0
//
// What tests ask of the management service over WMI beyond its operations. Windows only.
#ifndef KVPBUS_WMI_MANAGEMENT_H
#define KVPBUS_WMI_MANAGEMENT_H

// COM references and strings that are held now, in the whole process: between calls those of the
// connection.
long kvpbus_wmi_held(void);

#endif
