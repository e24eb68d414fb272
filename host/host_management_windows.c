// SPDX-License-Identifier: Apache-2.0
#include "host_management.h"

#include <string.h>

#include "wmi_options.h"

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

enum kvpbus_error kvpbus_host_management_open(const char *store,
                                              struct kvpbus_management **management,
                                              struct kvpbus_failure *failure)
{
    static const char lab[] = "lab:";
    bool guest_auto = strcmp(store, "wmi:auto") == 0;
    if (store[0] == '\0' || strcmp(store, "wmi") == 0 || guest_auto)
        return kvpbus_wmi_options_open(guest_auto, management, failure);
    if (kvpbus_wmi_options_given())
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "--hyperv-host and --namespace are for the store wmi, not for %.100s",
                           store);
    if (strncmp(store, lab, strlen(lab)) == 0)
        return kvpbus_lab_management_open(store + strlen(lab), management, failure);
    return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                       "'%.100s' is not a store of a host on Windows; it is wmi, wmi:auto, or "
                       "lab:127.0.0.1: and the port of a lab",
                       store);
}
