// SPDX-License-Identifier: Apache-2.0
#include "host_management.h"

#include <string.h>

#include "lab_channel.h"
#include "wmi_options.h"

static const char lab[] = "lab:", wmi_auto[] = "wmi:auto";

const char kvpbus_host_store_help[] =
    "wmi, the Hyper-V of this machine; wmi:auto where guests write under Auto too;\n"
    "                   or lab:127.0.0.1:PORT, a running kvpbus-lab --tcp (default "
    "wmi)\n" KVPBUS_WMI_OPTIONS_HELP;
const char kvpbus_host_examples[] =
    "On a Hyper-V host nothing need be given. In the lab:\n"
    "  kvpbus-host --store lab:127.0.0.1:PORT --state host-state --socket "
    "\\\\.\\pipe\\try-host\n";

enum kvpbus_error kvpbus_host_management_take(int *argc, char **argv,
                                              struct kvpbus_failure *failure)
{
    return kvpbus_wmi_options_take(argc, argv, failure);
}

static bool is_lab(const char *store)
{
    return strncmp(store, lab, strlen(lab)) == 0;
}

enum kvpbus_error kvpbus_host_management_check(const char *store, struct kvpbus_failure *failure)
{
    if (store[0] == '\0' || strcmp(store, "wmi") == 0 || strcmp(store, wmi_auto) == 0)
        return KVPBUS_OK;
    if (kvpbus_wmi_options_given())
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "--hyperv-host and --namespace are for the store wmi, not for %.100s",
                           store);
    if (is_lab(store))
        return kvpbus_lab_channel_check(store + strlen(lab), failure);
    return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                       "'%.100s' is not a store of a host on Windows; it is wmi, wmi:auto, or "
                       "lab:127.0.0.1: and the port of a lab",
                       store);
}

enum kvpbus_error kvpbus_host_management_open(const char *store,
                                              struct kvpbus_management **management,
                                              struct kvpbus_failure *failure)
{
    enum kvpbus_error error = kvpbus_host_management_check(store, failure);
    if (error != KVPBUS_OK)
        return error;
    return is_lab(store)
               ? kvpbus_lab_management_open(store + strlen(lab), management, failure)
               : kvpbus_wmi_options_open(strcmp(store, wmi_auto) == 0, management, failure);
}
