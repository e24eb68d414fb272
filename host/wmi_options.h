// SPDX-License-Identifier: Apache-2.0
//
// Which Hyper-V host, and as whom: the options of kvpbus-host that only Windows has.
#ifndef KVPBUS_WMI_OPTIONS_H
#define KVPBUS_WMI_OPTIONS_H

#include "kvpbus/management.h"

// Lines of --help, the last without its end.
#define KVPBUS_WMI_OPTIONS_HELP                                                             \
    "  --hyperv-host NAME\n"                                                                \
    "                   another Hyper-V host, over DCOM, instead of this machine\n"         \
    "  --credentials FILE\n"                                                                \
    "                   for it: a file with a user name (DOMAIN\\user) and a password, a\n" \
    "                   line each, which only administrators can read; - asks at the\n"     \
    "                   console (without it the account that the program runs as)\n"        \
    "  --namespace v1   root\\virtualization, of hosts before Windows Server 2012"

// Takes --hyperv-host, --credentials and --namespace out of the command line.
// KVPBUS_INVALID_ARGUMENT with what is wrong.
enum kvpbus_error kvpbus_wmi_options_take(int *argc, char **argv, struct kvpbus_failure *failure);

bool kvpbus_wmi_options_given(void);

// Opens the management service of the host that they name. Credentials are read now, from their
// file or from whoever sits at the console, and overwritten here when it has its copy.
enum kvpbus_error kvpbus_wmi_options_open(bool guest_auto, struct kvpbus_management **management,
                                          struct kvpbus_failure *failure);

#endif
