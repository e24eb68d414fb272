// SPDX-License-Identifier: Apache-2.0
//
// The simulator's only source of randomness: xoshiro256**, seeded. One thread.
#ifndef KVPBUS_SIM_RNG_H
#define KVPBUS_SIM_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_rng {
    uint64_t state[4];
};

// `lane` separates the generators of one seed.
void sim_rng_seed(struct sim_rng *rng, uint64_t seed, uint64_t lane);
uint64_t sim_rng_next(struct sim_rng *rng);
void sim_rng_bytes(struct sim_rng *rng, void *bytes, size_t length);
// 0 to n - 1; n is not 0.
uint64_t sim_rng_below(struct sim_rng *rng, uint64_t n);
// low to high, both included.
uint64_t sim_rng_range(struct sim_rng *rng, uint64_t low, uint64_t high);
// True in `permille` of 1000 cases; draws nothing when it is 0.
bool sim_rng_chance(struct sim_rng *rng, unsigned permille);

#endif
