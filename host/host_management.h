// SPDX-License-Identifier: Apache-2.0
//
// The management service that a host is served through; one source per system.
#ifndef KVPBUS_HOST_MANAGEMENT_H
#define KVPBUS_HOST_MANAGEMENT_H

#include "kvpbus/management.h"

// Takes the options that only this system has out of the command line. KVPBUS_INVALID_ARGUMENT.
enum kvpbus_error kvpbus_host_management_take(int *argc, char **argv,
                                              struct kvpbus_failure *failure);

// Whether --store can have it, beside what was taken, whatever there is on the machine.
// KVPBUS_INVALID_ARGUMENT.
enum kvpbus_error kvpbus_host_management_check(const char *store, struct kvpbus_failure *failure);

// As --store has it; "" for what the machine has itself.
enum kvpbus_error kvpbus_host_management_open(const char *store,
                                              struct kvpbus_management **management,
                                              struct kvpbus_failure *failure);

extern const char kvpbus_host_store_help[];
extern const char kvpbus_host_examples[];

#endif
