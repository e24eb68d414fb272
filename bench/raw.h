// SPDX-License-Identifier: Apache-2.0
//
// What the channel can carry without a protocol, as the yardstick.
#ifndef KVPBUS_BENCH_RAW_H
#define KVPBUS_BENCH_RAW_H

#include "world.h"

// Writes `count` full values (1,022 characters), over and over into as many keys as a link uses,
// each call with as many items as there are keys, until the guest's daemon has all of them.
// Seconds.
double bench_bare_sets(const struct bench_world *world, size_t count);
// Reads as many full values, by scans of a full pool of the guest. Seconds.
double bench_bare_reads(const struct bench_world *world, size_t count);

// How many calls or scans that took.
size_t bench_bare_calls(size_t count);

#endif
