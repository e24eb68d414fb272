// SPDX-License-Identifier: Apache-2.0
#ifndef KVPBUS_BENCH_OPTIONS_H
#define KVPBUS_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

enum { BENCH_VMS_MAX = 255 }; // one less than a lab has

struct bench_options {
    const char *build; // NULL: the build of this program
    size_t bytes;      // of a message
    size_t rounds;
    double check;  // the ratio that must be reached; 0: none
    size_t vms;    // of fleets; 0: the channel is measured
    double growth; // of the latency beside a hostile VM, at most
    bool by_hand, json, to_host, hostile;
};

// Returns -1, or the exit code when the program is to end.
int bench_options(int argc, char **argv, struct bench_options *options);

#endif
