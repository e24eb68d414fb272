// SPDX-License-Identifier: Apache-2.0
//
// Between the control command (ctl.c) and how its answers look (ctl_output.c).
#ifndef KVPBUS_LAB_CTL_H
#define KVPBUS_LAB_CTL_H

#include <stdbool.h>

#include "lab.pb-c.h"

// Print what the lab has answered, for people or as JSON. They return false when standard output
// cannot be written.
bool kvpbus_lab_print_vms(const Kvpbus__Lab__Reply *reply, bool json);
bool kvpbus_lab_print_stats(const Kvpbus__Lab__Reply *reply, bool json);

// What an action or a fault has led to.
bool kvpbus_lab_print_done(const char *vm, const char *what, bool json);

#endif
