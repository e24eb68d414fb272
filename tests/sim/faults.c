// SPDX-License-Identifier: Apache-2.0
//
// Profiles, and the plan of a seed.
#include "faults.h"

#include <string.h>

#include "world.h"

#define G(name) SIM_GROUP_##name

static const struct sim_profile profiles[] = {
    {"calm", 0, 0},
    {"lossy", G(LOSSY), 0},
    {"wipe", G(WIPE), G(LOSSY)},
    {"crash", G(CRASH), G(LOSSY) | G(WIPE)},
    {"disk", G(DISK), G(CRASH) | G(LOSSY)},
    {"life", G(LIFE), G(WIPE) | G(CRASH) | G(LOSSY)},
    {"limits", G(LIMITS), G(LOSSY) | G(CRASH)},
    {"hostile", G(HOSTILE), G(LOSSY) | G(WIPE) | G(CRASH)},
    {"revert-disk", G(REVERT_DISK), G(LOSSY) | G(WIPE) | G(CRASH)},
    {"revert-memory", G(REVERT_MEMORY), G(LOSSY) | G(WIPE) | G(CRASH)},
    {"host-restore", G(HOST_RESTORE), G(LOSSY) | G(WIPE) | G(CRASH) | G(HOST_MEMORY)},
    {"all", 0, ~0U},
    {"identity", G(IDENTITY),
     G(LOSSY) | G(WIPE) | G(CRASH) | G(LIFE) | G(HOSTILE) | G(REVERT_DISK)},
    {"exchange", G(EXCHANGE),
     G(LOSSY) | G(WIPE) | G(CRASH) | G(LIFE) | G(LIMITS) | G(REVERT_DISK) | G(HOST_RESTORE)},
    {"journey", G(EXCHANGE) | G(IDENTITY), G(LOSSY) | G(WIPE) | G(CRASH) | G(LIFE)},
};

const struct sim_profile *sim_profile_find(const char *name)
{
    for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++)
        if (strcmp(profiles[i].name, name) == 0)
            return &profiles[i];
    return NULL;
}

size_t sim_profile_count(void)
{
    return sizeof profiles / sizeof *profiles;
}

const struct sim_profile *sim_profile_at(size_t index)
{
    return &profiles[index % (sizeof profiles / sizeof *profiles)];
}

const struct sim_profile *sim_profile_of(uint64_t seed)
{
    return &profiles[seed % SIM_PROFILES_CHOSEN];
}

static const unsigned groups[SIM_FAULTS] = {
#define X(name, group, text) [SIM_##name] = SIM_GROUP_##group,
    SIM_LEVEL_MAP(X) SIM_EVENT_MAP(X)
#undef X
};

// --- drawing ------------------------------------------------------------------------------------

void sim_plan_add(struct sim_world *world, uint64_t at, int kind, int side, uint64_t argument)
{
    struct sim_plan *plan = &world->plan;
    if (plan->event_count < SIM_EVENTS_MAX)
        plan->events[plan->event_count++] = (struct sim_event){at, kind, side, argument};
}

static bool reverts(int kind)
{
    return kind == SIM_REVERT_GUEST_DISK || kind == SIM_REVERT_GUEST_MEMORY ||
           kind == SIM_RESTORE_HOST || kind == SIM_REVERT_HOST_MEMORY;
}

static void draw_event(struct sim_world *world, struct sim_rng *rng, int kind)
{
    uint64_t length = world->plan.length;
    uint64_t at = sim_rng_range(rng, length / 20, length * 19 / 20);
    int side = (int)sim_rng_below(rng, SIM_SIDES);
    if (reverts(kind)) {
        size_t slot = sim_rng_below(rng, SIM_CHECKPOINTS);
        side = kind == SIM_RESTORE_HOST || kind == SIM_REVERT_HOST_MEMORY ? SIM_HOST : SIM_GUEST;
        sim_plan_add(world, sim_rng_range(rng, length / 40, at), SIM_CHECKPOINT, side, slot);
        sim_plan_add(world, at, kind, side, slot);
    } else {
        sim_plan_add(world, at, kind, side, 0);
    }
}

// Most seeds have few faults at once: so what fails can be understood.
static void draw_faults(struct sim_world *world, struct sim_rng *rng)
{
    struct sim_plan *plan = &world->plan;
    const struct sim_profile *profile = world->options.profile;
    static const unsigned often[] = {0, 100, 300};
    unsigned seldom = often[sim_rng_below(rng, 3)];
    for (int fault = 0; fault < SIM_FAULTS; fault++) {
        unsigned chance = (groups[fault] & profile->always) != 0  ? 600
                          : (groups[fault] & profile->often) != 0 ? seldom
                                                                  : 0;
        plan->on[fault] = sim_rng_chance(rng, chance);
    }
    for (int fault = SIM_LEVELS; fault < SIM_FAULTS; fault++) // no profile is without its own
        if ((groups[fault] & profile->always) != 0 && reverts(fault))
            plan->on[fault] = true;
    for (int fault = 0; fault < SIM_LEVELS; fault++) {
        unsigned level = (unsigned)sim_rng_range(rng, 5, sim_rng_chance(rng, 200) ? 400 : 100);
        plan->level[fault] = plan->on[fault] ? level : 0;
    }
    for (int fault = SIM_LEVELS; fault < SIM_FAULTS; fault++)
        for (uint64_t n = plan->on[fault] ? sim_rng_range(rng, 1, 3) : 0; n > 0; n--)
            draw_event(world, rng, fault);
}

// A side that goes back to before it took another identity has to be paired again by a person: here
// only the other one takes another.
static void draw_identities(struct sim_world *world)
{
    struct sim_rng rng;
    const struct sim_plan *plan = &world->plan;
    if ((world->options.profile->always & SIM_GROUP_IDENTITY) == 0)
        return;
    sim_rng_seed(&rng, world->options.seed, 4);
    bool guest_reverts = plan->on[SIM_REVERT_GUEST_DISK];
    for (uint64_t n = sim_rng_range(&rng, 1, guest_reverts ? 3 : 5); n > 0; n--) {
        uint64_t at = sim_rng_range(&rng, plan->length / 20, plan->length * 19 / 20);
        int side = guest_reverts ? SIM_HOST : (int)sim_rng_below(&rng, SIM_SIDES);
        sim_plan_add(world, at, SIM_ROTATE, side, sim_rng_below(&rng, 3));
    }
    for (uint64_t n = sim_rng_below(&rng, 3); n > 0; n--)
        sim_plan_add(world, sim_rng_range(&rng, plan->length / 20, plan->length * 19 / 20),
                     SIM_REBIND, SIM_GUEST, 0);
}

static size_t planned(const struct sim_plan *plan, int kind)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->event_count; i++)
        count += plan->events[i].kind == kind;
    return count;
}

// In half of the seeds. A VM that goes back to before it was rebound cannot follow another host,
// which has signed for its new id alone, nor one that goes back behind more changes than are told:
// they have to be paired again by a person.
static void draw_moves(struct sim_world *world)
{
    struct sim_rng rng;
    const struct sim_plan *plan = &world->plan;
    bool guest_reverts = plan->on[SIM_REVERT_GUEST_DISK];
    size_t most = KVPBUS_STATEMENTS_MAX;
    if (guest_reverts)
        most -= planned(plan, SIM_REBIND) > 0 ? most : planned(plan, SIM_ROTATE);
    if ((world->options.profile->always & SIM_GROUP_IDENTITY) == 0 || most == 0)
        return;
    sim_rng_seed(&rng, world->options.seed, 6);
    if (sim_rng_chance(&rng, 500))
        return;
    for (uint64_t n = sim_rng_range(&rng, 1, most); n > 0; n--)
        sim_plan_add(world, sim_rng_range(&rng, world->plan.length / 20, world->plan.length),
                     SIM_MOVE, SIM_HOST, 0);
}

// A VM follows only so many other ids at once, which it may have to when it goes back.
static void draw_exchange(struct sim_world *world)
{
    struct sim_rng rng;
    uint64_t length = world->plan.length;
    size_t imports = KVPBUS_FORMER_VMS - planned(&world->plan, SIM_REBIND);
    if ((world->options.profile->always & SIM_GROUP_EXCHANGE) == 0)
        return;
    sim_rng_seed(&rng, world->options.seed, 7);
    for (int kind = SIM_VM_SAVE; kind < SIM_KINDS; kind++)
        for (uint64_t n = sim_rng_below(&rng, kind == SIM_IMPORT ? imports + 1 : 4); n > 0; n--)
            sim_plan_add(world, sim_rng_range(&rng, length / 20, length * 19 / 20), kind, SIM_HOST,
                         sim_rng_below(&rng, 2));
}

static struct sim_range draw_range(struct sim_rng *rng, uint64_t most)
{
    static const uint64_t scale[] = {0, 4, 16, 100};
    uint64_t bound = most * scale[sim_rng_below(rng, 4)] / 100;
    return (struct sim_range){sim_rng_below(rng, bound / 2 + 1), bound};
}

void sim_plan_draw(struct sim_world *world)
{
    struct sim_rng rng;
    sim_rng_seed(&rng, world->options.seed, 2);
    struct sim_timing *timing = &world->timing;
    world->plan.length = sim_rng_range(&rng, 60, 300) * 1000;
    timing->read = draw_range(&rng, 400);
    timing->write = draw_range(&rng, 1500);
    timing->push = draw_range(&rng, 1000);
    timing->job = draw_range(&rng, 60);
    timing->finish = draw_range(&rng, 20);
    timing->notice = draw_range(&rng, 100);
    timing->consume = draw_range(&rng, 200);
    draw_faults(world, &rng);
    draw_identities(world);
    draw_moves(world);
    draw_exchange(world);
    world->value_limit = (unsigned)sim_rng_range(&rng, 512, 1021);
    world->ceiling = (unsigned)sim_rng_range(&rng, 4, 60);
}

// --- asking -------------------------------------------------------------------------------------

unsigned sim_level(const struct sim_world *world, enum sim_fault fault)
{
    return world->phase == SIM_RUN ? world->plan.level[fault] : 0;
}

bool sim_strikes(struct sim_world *world, enum sim_fault fault)
{
    return sim_rng_chance(&world->rng, sim_level(world, fault));
}
