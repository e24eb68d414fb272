// SPDX-License-Identifier: Apache-2.0
//
// Some seeds of every profile, and those that once failed.
#include <criterion/criterion.h>

#include "world.h"

enum { SEEDS = 1 }; // of each profile

static bool run(uint64_t seed, const struct sim_profile *profile, uint64_t *hash)
{
    struct sim_options options = {.seed = seed, .profile = profile};
    struct sim_world *world = sim_world_new(&options);
    bool passed = sim_world_run(world);
    if (!passed)
        cr_log_error("kvpbus-sim --seed %llu --profile %s: %s", (unsigned long long)seed,
                     profile->name, world->failure);
    *hash = world->hash;
    sim_world_free(world);
    return passed;
}

Test(seeds, some_of_every_profile_pass, .init = sim_setup)
{
    uint64_t hash;
    for (size_t i = 0; i < sim_profile_count(); i++)
        for (uint64_t seed = 1; seed <= SEEDS; seed++)
            cr_assert(run(1000 * i + seed, sim_profile_at(i), &hash));
}

Test(seeds, the_same_seed_gives_the_same_trace, .init = sim_setup)
{
    uint64_t first, again, other;
    const struct sim_profile *profile = sim_profile_find("lossy");
    cr_assert(run(7, profile, &first));
    cr_assert(run(8, profile, &other));
    cr_assert(run(7, profile, &again));
    cr_assert_eq(first, again);
    cr_assert_neq(first, other);
}

Test(seeds, those_that_failed_once_pass, .init = sim_setup)
{
    static const struct {
        uint64_t seed;
        const char *profile;
    } failed[] = {
        {3, "crash"}, // polling without a pause before the first news
        {17, "life"}, // a commit of a session that had been given up
        {91, "hostile"}, {114, "limits"}, {9, "revert-memory"}, {2010, "revert-memory"},
    };
    uint64_t hash;
    for (size_t i = 0; i < sizeof failed / sizeof *failed; i++)
        cr_assert(run(failed[i].seed, sim_profile_find(failed[i].profile), &hash));
}
