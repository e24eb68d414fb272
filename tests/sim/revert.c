// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints of a side: its disk, and what its machine keeps of the stores; with memory also its
// process, to the byte. What the world knows about the side's messages goes back with it.
#include <stdlib.h>

#include "world.h"

struct sim_checkpoint {
    uint64_t taken, own_time;
    int64_t wall_offset;
    struct sim_disk disk;
    struct sim_rng random;
    struct sim_memory *memory; // NULL: it was not running
    struct sim_process *process;
    struct sim_table pool_0, pool_1, configuration;
    struct sim_knowledge knowledge;
};

void sim_checkpoint_free(struct sim_checkpoint *checkpoint)
{
    if (checkpoint == NULL)
        return;
    sim_disk_clear(&checkpoint->disk);
    sim_memory_free(checkpoint->memory);
    sim_table_clear(&checkpoint->pool_0);
    sim_table_clear(&checkpoint->pool_1);
    sim_table_clear(&checkpoint->configuration);
    free(checkpoint);
}

void sim_checkpoint_take(struct sim_side *side, size_t slot)
{
    struct sim_world *world = side->world;
    struct sim_checkpoint **place = &world->checkpoints[side->index][slot];
    if (side->paused)
        return;
    sim_checkpoint_free(*place);
    struct sim_checkpoint *made = *place = calloc(1, sizeof *made);
    if (made == NULL)
        abort();
    sim_trace(world, side->index, "checkpoint %zu", slot);
    made->taken = world->now;
    made->own_time = sim_side_now(side);
    made->wall_offset = side->wall_offset;
    made->random = side->random;
    made->process = side->process;
    sim_disk_copy(&made->disk, &side->disk);
    if (side->process != NULL)
        made->memory = sim_arena_save(side->arena);
    sim_table_copy(&made->pool_0, &world->channels[SIM_HOST].seen);
    sim_table_copy(&made->pool_1, &world->channels[SIM_GUEST].own);
    sim_table_copy(&made->configuration, &world->channels[SIM_HOST].own);
    sim_check_save(world, side->index, &made->knowledge);
}

// The guest's pools are files on its disk; the host's items belong to the VM's configuration, which
// may or may not go back with a checkpoint or a backup.
static void revert_stores(struct sim_side *side, const struct sim_checkpoint *checkpoint)
{
    struct sim_world *world = side->world;
    struct sim_channel *to_guest = &world->channels[SIM_HOST];
    if (side->index == SIM_GUEST) {
        sim_table_copy(&world->channels[SIM_GUEST].own, &checkpoint->pool_1);
        sim_table_copy(&to_guest->seen, &checkpoint->pool_0);
        sim_channel_remember(&world->channels[SIM_GUEST]);
    }
    if (sim_rng_chance(&world->rng, 500)) {
        sim_trace(world, SIM_HOST, "the configuration goes back");
        sim_table_copy(&to_guest->own, &checkpoint->configuration);
    }
    if (side->index == SIM_GUEST && sim_rng_chance(&world->rng, 500))
        sim_channel_push_all(to_guest, world->now + 100, world->now + 5000, &world->rng);
}

static void revert_memory(struct sim_side *side, const struct sim_checkpoint *checkpoint)
{
    struct sim_world *world = side->world;
    sim_arena_restore(side->arena, checkpoint->memory);
    side->process = checkpoint->process;
    side->start_at = SIM_NEVER;
    side->behind = world->now - checkpoint->own_time;
    // What it was about to queue it queues once more, under other ids.
    world->calls.messages[side->index] += side->process->calls_asked;
    // The kernel of a VM that notices its revert draws fresh randomness; an old one does not.
    if (sim_rng_chance(&world->rng, 250))
        side->random = checkpoint->random;
}

void sim_checkpoint_revert(struct sim_side *side, size_t slot, bool memory)
{
    struct sim_world *world = side->world;
    const struct sim_checkpoint *checkpoint = world->checkpoints[side->index][slot];
    if (checkpoint == NULL || side->paused || (side->index == SIM_GUEST && !side->machine_on))
        return;
    memory = memory && checkpoint->memory != NULL;
    sim_trace(world, side->index, "goes back to checkpoint %zu of %llu, %s memory", slot,
              (unsigned long long)checkpoint->taken, memory ? "with its" : "without");
    side->reverts++;
    side->process = NULL; // whatever it did not finish is gone without a trace
    sim_arena_reset(side->arena);
    sim_disk_copy(&side->disk, &checkpoint->disk);
    side->disk.dead = false;
    side->disk.crash_in = 0;
    sim_check_restore(world, side->index, &checkpoint->knowledge);
    sim_calls_crash(world, side->index);
    if (memory) {
        revert_memory(side, checkpoint);
    } else {
        sim_disk_restart(&side->disk, sim_rng_chance(&world->rng, 500), &world->rng);
        sim_check_crash(world, side->index);
        side->start_at = world->now + sim_rng_range(&world->rng, 500, 10000);
    }
    revert_stores(side, checkpoint);
    if (sim_rng_chance(&world->rng, 500)) // its clock is not set at once
        side->wall_offset = checkpoint->wall_offset - (int64_t)(world->now - checkpoint->taken);
}
