// SPDX-License-Identifier: Apache-2.0
#ifndef KVPBUS_LAB_RUN_OPTIONS_H
#define KVPBUS_LAB_RUN_OPTIONS_H

#include "lab.h"

// Reads the command line of `run`; argv[0] is the subcommand. The strings in *options point into
// argv. Returns -1, or the exit code when there is nothing to run.
int kvpbus_lab_run_options(int argc, char **argv, struct kvpbus_lab_options *options);

#endif
