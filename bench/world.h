// SPDX-License-Identifier: Apache-2.0
//
// The real programs, started for a measurement: a lab with two VMs, the host's service, and the
// agent of one of them. In the other VM nothing of ours runs: bare items go there.
#ifndef KVPBUS_BENCH_WORLD_H
#define KVPBUS_BENCH_WORLD_H

#include "kvpbus/management.h"
#include "programs.h"

// Names of the VMs.
#define BENCH_VM_BUS "bus"
#define BENCH_VM_BARE "bare"

struct bench_world {
    struct bench_programs programs;
    struct kvpbus_management *management;
    uint8_t bare[KVPBUS_GUID_BYTES];
};

// Starts everything, pairs both sides and returns when the link is live.
void bench_world_start(struct bench_world *world, const char *build);
void bench_world_stop(struct bench_world *world);

// Runs `kvpbus` with these words at the host or in the VM, see bench_kvpbus.
bool bench_at(const struct bench_world *world, bool host, const char *const *words, char *output,
              size_t size);

#endif
