// SPDX-License-Identifier: Apache-2.0
//
// Being a service of Windows.
#ifndef KVPBUS_SERVICE_MANAGER_WINDOWS_H
#define KVPBUS_SERVICE_MANAGER_WINDOWS_H

#include "service_control.h"

// Runs the service under the service manager, and returns when it has ended. KVPBUS_UNSUPPORTED:
// this process was not started by the manager.
enum kvpbus_error kvpbus_service_dispatch(const char *name, int argc, char **argv,
                                          kvpbus_service_run_fn *run,
                                          struct kvpbus_failure *failure);

#endif
