// SPDX-License-Identifier: Apache-2.0
//
// The VM goes to another host, and its part of the journal with it, as 'kvpbus export' and
// 'kvpbus import' do it; the file is not sealed on its way. From then on the host's side of the
// world is that other host.
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "parcel.h"
#include "world.h"

#define MOVED_FILE "/tmp/kvpbus-sim-XXXXXX"

// The VM's row, when it goes under its present id.
static enum kvpbus_error find_row(struct sim_world *world, struct kvpbus_journal *journal,
                                  struct kvpbus_peer *row)
{
    struct kvpbus_peer *peers;
    size_t count;
    enum kvpbus_error error = kvpbus_journal_peers(journal, &peers, &count);
    if (error != KVPBUS_OK)
        return error;
    if (count == 1 && peers->paired && memcmp(peers->vm, world->vm, sizeof world->vm) == 0)
        *row = *peers;
    else
        error = KVPBUS_NOT_FOUND;
    free(peers);
    return error;
}

// What the VM is shown of who serves it now.
static enum kvpbus_error make_parcel(struct sim_side *host, struct kvpbus_journal *journal,
                                     const struct kvpbus_peer *row, struct kvpbus_parcel *parcel)
{
    struct sim_world *world = host->world;
    struct kvpbus_chain chain;
    enum kvpbus_error error = kvpbus_journal_chain(journal, row->id, &chain);
    if (error != KVPBUS_OK)
        return error;
    kvpbus_rotation_join(&host->rotation, host->identity, &chain, &parcel->rotation);
    if (row->known && kvpbus_rotation_forgets(&parcel->rotation, host->identity, row->met))
        return KVPBUS_BUSY;
    kvpbus_rotation_add(&parcel->rotation, KVPBUS_ROLE_HOST, world->vm, host->identity,
                        host->secret, parcel->to);
    memcpy(parcel->from, host->identity, sizeof parcel->from);
    memcpy(parcel->vm, world->vm, sizeof parcel->vm);
    sim_rng_bytes(&world->rng, parcel->id, sizeof parcel->id);
    return KVPBUS_OK;
}

static enum kvpbus_error leave(struct sim_side *host, const char *path,
                               struct kvpbus_parcel *parcel)
{
    struct kvpbus_failure failure = {0};
    struct kvpbus_journal *journal;
    struct kvpbus_peer row;
    enum kvpbus_error error = sim_journal_open(host, &journal, &failure);
    if (error != KVPBUS_OK)
        return error;
    error = find_row(host->world, journal, &row);
    if (error == KVPBUS_OK)
        error = make_parcel(host, journal, &row, parcel);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_move_out(journal, row.id, path, parcel->to, parcel->id);
    if (error != KVPBUS_OK)
        sim_trace(host->world, SIM_HOST, "%s", kvpbus_journal_failure(journal)->detail);
    kvpbus_journal_close(journal);
    return error;
}

static enum kvpbus_error add_row(struct kvpbus_journal *journal, const uint8_t *vm,
                                 struct kvpbus_peer *row)
{
    enum kvpbus_error error = kvpbus_journal_begin(journal);
    if (error != KVPBUS_OK)
        return error;
    error = kvpbus_journal_peer(journal, vm, "peer", row);
    if (error == KVPBUS_OK)
        return kvpbus_journal_commit(journal, NULL);
    kvpbus_journal_rollback(journal);
    return error;
}

static enum kvpbus_error arrive(struct sim_side *host, const char *path,
                                const struct kvpbus_parcel *parcel)
{
    struct kvpbus_failure failure = {0};
    struct kvpbus_journal *journal;
    struct kvpbus_peer row;
    enum kvpbus_error error = sim_journal_open(host, &journal, &failure);
    if (error != KVPBUS_OK)
        return error;
    error = add_row(journal, parcel->vm, &row);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_move_in(journal, row.id, path, parcel, false, sim_side_wall(host));
    if (error != KVPBUS_OK)
        sim_trace(host->world, SIM_HOST, "%s", kvpbus_journal_failure(journal)->detail);
    kvpbus_journal_close(journal);
    return error;
}

// The other host's disk has nothing but the file.
static void become_another(struct sim_side *host, const struct kvpbus_parcel *parcel,
                           const uint8_t secret[KVPBUS_SECRET_BYTES], const char *path)
{
    struct sim_world *world = host->world;
    for (size_t i = 0; i < SIM_CHECKPOINTS; i++) {
        sim_checkpoint_free(world->checkpoints[SIM_HOST][i]);
        world->checkpoints[SIM_HOST][i] = NULL;
    }
    sim_disk_keep(&host->disk, path);
    memcpy(host->identity, parcel->to, sizeof host->identity);
    memcpy(host->secret, secret, sizeof host->secret);
    host->rotation = (struct kvpbus_rotation){0};
}

static enum kvpbus_error move(struct sim_side *host, const char *path)
{
    struct sim_world *world = host->world;
    struct kvpbus_parcel parcel = {.name = "peer"};
    uint8_t seed[crypto_sign_SEEDBYTES], secret[KVPBUS_SECRET_BYTES];
    sim_rng_bytes(&world->rng, seed, sizeof seed);
    crypto_sign_seed_keypair(parcel.to, secret, seed);
    sim_disk_add(&host->disk, path);
    enum kvpbus_error error = leave(host, path, &parcel);
    if (error != KVPBUS_OK) {
        sim_disk_remove(&host->disk, path);
        return error;
    }
    become_another(host, &parcel, secret, path);
    error = arrive(host, path, &parcel);
    sim_disk_remove(&host->disk, path);
    return error;
}

void sim_move(struct sim_world *world)
{
    struct sim_side *host = &world->sides[SIM_HOST];
    char path[] = MOVED_FILE;
    if (!sim_side_ready(host))
        return;
    int file = mkstemp(path); // the journal makes this one too, and fills the one on the disk
    if (file < 0)
        abort();
    close(file);
    sim_trace(world, SIM_HOST, "the VM goes to another host");
    sim_side_kill(host, false, world->now + sim_rng_range(&world->rng, 500, 20000),
                  "the VM is served elsewhere");
    struct sim_arena *before = sim_side_enter(host);
    enum kvpbus_error error = move(host, path);
    sim_side_leave(before);
    sim_arena_reset(host->arena);
    unlink(path);
    // A VM that its host knows under another id still, or whose agent would not follow, stays.
    if (error != KVPBUS_OK && error != KVPBUS_NOT_FOUND && error != KVPBUS_BUSY)
        sim_fail(world, "the VM cannot be moved: %s", kvpbus_error_name(error));
}
