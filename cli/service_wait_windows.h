// SPDX-License-Identifier: Apache-2.0
#ifndef KVPBUS_SERVICE_WAIT_WINDOWS_H
#define KVPBUS_SERVICE_WAIT_WINDOWS_H

#include <windows.h>

#include "kvpbus/error.h"

// Of a call of the service manager: what could not be done with the service, why, and what helps.
enum kvpbus_error kvpbus_service_manager_failed(struct kvpbus_failure *failure, DWORD code,
                                                const char *what, const char *name);

// KVPBUS_NOT_FOUND: no such service is registered.
enum kvpbus_error kvpbus_service_open_registered(const char *name, DWORD access, SC_HANDLE *service,
                                                 struct kvpbus_failure *failure);

#endif
