// SPDX-License-Identifier: Apache-2.0
//
// A service as the system has it: what `kvpbus-host service` does, and running under the service
// manager; one source per system.
#ifndef KVPBUS_SERVICE_CONTROL_H
#define KVPBUS_SERVICE_CONTROL_H

#include "service_main.h"

// The service itself, with the words of its command line; returns the exit code.
typedef int kvpbus_service_run_fn(int argc, char **argv);

// Does what the word behind `service` says, or runs the service; returns the exit code.
int kvpbus_service_control(int argc, char **argv, const struct kvpbus_service_defaults *defaults,
                           kvpbus_service_run_fn *run);

// What --help says of that.
void kvpbus_service_control_help(const char *program);

#endif
