// SPDX-License-Identifier: Apache-2.0
//
// Many VMs on one host program: what each of them costs, and whether a hostile one costs the
// others.
#ifndef KVPBUS_BENCH_FLEET_H
#define KVPBUS_BENCH_FLEET_H

#include "options.h"

// Fleets of 10, 50, 100 and more VMs up to options->vms, one after the other: a table. Returns 1
// when one query does not read all VMs, or what each costs grows with their number.
int bench_fleets(const struct bench_options *options);

// A fleet of options->vms and one more, whose administrator fills its pool again and again: what
// the others notice. Returns 1 when their median latency grows by more than options->growth, or the
// host program takes more memory or journal than docs/architecture.md says.
int bench_hostile(const struct bench_options *options);

#endif
