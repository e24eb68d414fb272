// SPDX-License-Identifier: Apache-2.0
//
// What the subcommands of kvpbus-lab share. Exit codes are those of the manual page.
#ifndef KVPBUS_LAB_PROGRAM_H
#define KVPBUS_LAB_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "kvpbus/error.h"

enum kvpbus_lab_exit {
    KVPBUS_LAB_EXIT_OK = 0,
    KVPBUS_LAB_EXIT_FAILURE = 1,
    KVPBUS_LAB_EXIT_USAGE = 2,
    KVPBUS_LAB_EXIT_NO_LAB = 3,
    KVPBUS_LAB_EXIT_UNKNOWN_VM = 4,
    KVPBUS_LAB_EXIT_TIMEOUT = 6,
    KVPBUS_LAB_EXIT_REFUSED = 7,
    KVPBUS_LAB_EXIT_RUNNING = 9,
    KVPBUS_LAB_EXIT_MACHINE = 11, // the machine lacks something that the lab needs
};

// The subcommands; argv[0] is their name.
int kvpbus_lab_run_command(int argc, char **argv);
int kvpbus_lab_ctl_command(int argc, char **argv);

// Says on standard error what was wrong with the command line; returns the exit code for it.
__attribute__((format(printf, 1, 2))) int kvpbus_lab_usage_error(const char *format, ...);

// Says on standard error what has failed; returns the exit code for it.
int kvpbus_lab_report(const struct kvpbus_failure *failure);

// A whole number from `least` to `most`, in *number.
bool kvpbus_lab_parse_number(const char *text, uint32_t least, uint32_t most, uint32_t *number);

#endif
