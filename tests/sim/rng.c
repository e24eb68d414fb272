// SPDX-License-Identifier: Apache-2.0
#include "rng.h"

#include <assert.h>
#include <string.h>

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void sim_rng_seed(struct sim_rng *rng, uint64_t seed, uint64_t lane)
{
    uint64_t start = seed;
    start = splitmix(&start) ^ lane;
    for (size_t i = 0; i < 4; i++)
        rng->state[i] = splitmix(&start);
}

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

uint64_t sim_rng_next(struct sim_rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

void sim_rng_bytes(struct sim_rng *rng, void *bytes, size_t length)
{
    uint8_t *to = bytes;
    while (length > 0) {
        uint64_t word = sim_rng_next(rng);
        size_t part = length < sizeof word ? length : sizeof word;
        memcpy(to, &word, part);
        to += part;
        length -= part;
    }
}

uint64_t sim_rng_below(struct sim_rng *rng, uint64_t n)
{
    assert(n > 0);
    return sim_rng_next(rng) % n;
}

uint64_t sim_rng_range(struct sim_rng *rng, uint64_t low, uint64_t high)
{
    assert(low <= high);
    return low + sim_rng_below(rng, high - low + 1);
}

bool sim_rng_chance(struct sim_rng *rng, unsigned permille)
{
    return permille > 0 && sim_rng_below(rng, 1000) < permille;
}
