// SPDX-License-Identifier: Apache-2.0
#include "host_management.h"

#include <string.h>

#include "lab_channel.h"
#include "paths.h"

static const char lab[] = "lab:";

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

enum kvpbus_error kvpbus_host_management_check(const char *store, struct kvpbus_failure *failure)
{
    if (store[0] == '\0')
        return KVPBUS_OK;
    if (strncmp(store, lab, strlen(lab)) != 0 || store[strlen(lab)] == '\0')
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "'%s' is not a store of a host; it is lab: and the path of the lab's "
                           "host.sock",
                           store);
    return kvpbus_lab_channel_check(store + strlen(lab), failure);
}

enum kvpbus_error kvpbus_host_management_open(const char *store,
                                              struct kvpbus_management **management,
                                              struct kvpbus_failure *failure)
{
    const char *address = store[0] != '\0' ? store + strlen(lab) : KVPBUS_LAB_SOCKET;
    enum kvpbus_error error = kvpbus_host_management_check(store, failure);
    return error == KVPBUS_OK ? kvpbus_lab_management_open(address, management, failure) : error;
}
