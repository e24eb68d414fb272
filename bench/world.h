// SPDX-License-Identifier: Apache-2.0
//
// The real programs, started for a measurement: a lab with two VMs, the host's service, and the
// agent of one of them. In the other VM nothing of ours runs: bare items go there.
#ifndef KVPBUS_BENCH_WORLD_H
#define KVPBUS_BENCH_WORLD_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "kvpbus/management.h"

enum bench_child { BENCH_LAB, BENCH_HOST, BENCH_AGENT, BENCH_CHILDREN };

// Names of the VMs.
#define BENCH_VM_BUS "bus"
#define BENCH_VM_BARE "bare"

struct bench_world {
    char build[PATH_MAX]; // folder of the programs
    char directory[64];   // everything that this run writes; gone afterwards
    pid_t children[BENCH_CHILDREN];
    struct kvpbus_management *management;
    uint8_t bare[KVPBUS_GUID_BYTES];
};

// Starts everything, pairs both sides and returns when the link is live. `build` NULL: the build
// that this program is of. Every function here ends the program with 1 when something fails, and
// says what.
void bench_world_start(struct bench_world *world, const char *build);
// Ends the programs and removes the folder; also when the program ends otherwise.
void bench_world_stop(void);

// Runs `kvpbus` with these words (the last is NULL) at the host or in the VM, and waits for it.
// What it printed is in `output` if there is one.
bool bench_kvpbus(const struct bench_world *world, bool host, const char *const *words,
                  char *output, size_t size);

// The lab's counters as JSON.
void bench_lab_stats(const struct bench_world *world, char *output, size_t size);

__attribute__((format(printf, 1, 2), noreturn)) void bench_die(const char *format, ...);
double bench_seconds(void);

#endif
