// SPDX-License-Identifier: Apache-2.0
//
// Some seeds of every profile, and those that once failed.
#include <criterion/criterion.h>

#include "world.h"

enum { SEEDS = 2 }; // of each profile

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

// So that what a seed once showed can be seen again.
Test(seeds, a_seed_chooses_what_it_always_chose)
{
    static const char *const chosen[] = {
        "calm",    "lossy",       "wipe",          "crash",        "disk", "life",    "limits",
        "hostile", "revert-disk", "revert-memory", "host-restore", "all",  "identity"};
    for (uint64_t seed = 0; seed < 2 * SIM_PROFILES_CHOSEN; seed++)
        cr_assert_str_eq(sim_profile_of(seed)->name, chosen[seed % SIM_PROFILES_CHOSEN]);
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

Test(seeds, without_faults_calls_are_answered, .init = sim_setup)
{
    unsigned with_calls = 0;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct sim_options options = {.seed = seed, .profile = sim_profile_find("calm")};
        struct sim_world *world = sim_world_new(&options);
        cr_assert(sim_world_run(world), "seed %llu: %s", (unsigned long long)seed, world->failure);
        if (world->calls.on) {
            with_calls++;
            // But for those whose lifetime is next to nothing.
            cr_assert_eq(world->calls.answered + world->calls.over, 2 * SIM_CALLS);
            cr_assert_gt(world->calls.answered, 2 * SIM_CALLS * 8 / 10);
        }
        sim_world_free(world);
    }
    cr_assert_gt(with_calls, 0);
}

Test(seeds, those_that_failed_once_pass, .init = sim_setup)
{
    static const struct {
        uint64_t seed;
        const char *profile;
    } failed[] = {
        {3, "crash"}, // polling without a pause before the first news
        {17, "life"}, // a commit of a session that had been given up
        {91, "hostile"},
        {114, "limits"},
        {9, "revert-memory"},    // a reply queued again by a server that went back with its memory
        {2010, "revert-memory"}, // live in two sessions
        {3004, "revert-disk"},   // a bundle began where one of a former timeline had ended
        {2029, "revert-disk"},   // expired in a life that had forgotten its delivery
        {2021, "revert-memory"}, // void in one life, taken in the next
        {38, "identity"},        // a new identity: an earlier message behind one that had overtaken
        {12001, "identity"},     // the audit of two new identities in a row
        {7435, "identity"},      // four new identities before the first session
        {2025, "all"},           // delivered by one side's account, lost by the other's
        {1749, "revert-memory"}, // the same random numbers gave the same timeline again
        {3563, "all"},           // and the same bundle id
        {4030, "host-restore"},  // old hellos that come back
        {8193, "revert-memory"}, // a dozen of them
        {13542, "limits"},       // more answers to gaps than are kept
        {8519, "all"},           // leases by a clock that was set back by a day
        {6299, "all"},           // a SYNC taken in again by a failing journal, a session later
        {429, "revert-memory"},  // whole bundles behind a hole of a timeline that is no more
        {707, "all"},            // a second writer is seen after it has ended
        {190, "revert-memory"},  // void in one life, taken in the next, of a bundle under way
        {1034, "revert-memory"}, // replies to an earlier request with the same id
        {106, "all"},            // a request whose id is another message's after a revert
        {3, "revert-disk"},      // sent again though it had not been forgotten: its receipt too
        {4, "host-restore"},
        {557, "all"}, // both sides in other pasts: what was delivered there is not here
    };
    uint64_t hash;
    for (size_t i = 0; i < sizeof failed / sizeof *failed; i++)
        cr_assert(run(failed[i].seed, sim_profile_find(failed[i].profile), &hash));
}
