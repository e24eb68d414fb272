// SPDX-License-Identifier: Apache-2.0
#include "host_management.h"

#include <string.h>

#include "paths.h"

static const char installed_store[] = "lab:" KVPBUS_LAB_SOCKET;

const char kvpbus_host_store_help[] =
    "lab:PATH, the host.sock of a running kvpbus-lab (default lab:" KVPBUS_LAB_SOCKET ")";
const char kvpbus_host_examples[] =
    "In the lab:\n"
    "  kvpbus-host --store lab:lab/host.sock --state host-state --socket host.sock\n";

// NOLINTNEXTLINE(readability-non-const-parameter): Windows takes its own options out of it
enum kvpbus_error kvpbus_host_management_take(int *argc, char **argv,
                                              struct kvpbus_failure *failure)
{
    (void)argc;
    (void)argv;
    (void)failure;
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_host_management_open(const char *store,
                                              struct kvpbus_management **management,
                                              struct kvpbus_failure *failure)
{
    static const char lab[] = "lab:";
    if (store[0] == '\0')
        store = installed_store;
    if (strncmp(store, lab, strlen(lab)) != 0)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "'%s' is not a store of a host; it is lab: and the path of the lab's "
                           "host.sock",
                           store);
    return kvpbus_lab_management_open(store + strlen(lab), management, failure);
}
