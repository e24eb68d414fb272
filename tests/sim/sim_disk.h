// SPDX-License-Identifier: Apache-2.0
//
// A disk in memory, with an SQLite VFS over it. What was written and not synced is lost at a loss
// of power, sector by sector as chance will have it; the disk can be full or broken, and the
// machine can die at its n-th write. One thread.
#ifndef KVPBUS_SIM_DISK_H
#define KVPBUS_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rng.h"

enum {
    SIM_SECTOR = 512,
    SIM_FILES_MAX = 8,
    SIM_FILE_NAME = 48,
};

struct sim_file {
    char name[SIM_FILE_NAME]; // "" for a temporary one
    bool used;
    size_t size, synced_size, capacity;
    uint8_t *now;    // what a reader sees
    uint8_t *synced; // what survives a loss of power for certain
    uint8_t *dirty;  // a byte for each sector: 1 when the two may differ
};

struct sim_disk {
    struct sim_file files[SIM_FILES_MAX];
    struct sim_rng *rng;     // for faults
    unsigned full_permille;  // of the writes that would make a file longer fail
    unsigned error_permille; // of all writes and syncs fail
    uint64_t crash_in;       // the machine dies at that many writes and syncs from now; 0 never
    bool dead;               // it has died: nothing is written any more
    uint64_t writes, syncs, failures;
};

// Registers the VFS "sim" and makes it SQLite's default. Once, after sim_arena_setup.
void sim_vfs_setup(void);
// The disk that files are opened on from now on, and what SQLite draws its random numbers from.
void sim_vfs_use(struct sim_disk *disk, struct sim_rng *random);

// Forgets all files. The disk began as zeros.
void sim_disk_clear(struct sim_disk *disk);
// An empty file; all are forgotten but this one; this one is.
void sim_disk_add(struct sim_disk *disk, const char *name);
void sim_disk_keep(struct sim_disk *disk, const char *name);
void sim_disk_remove(struct sim_disk *disk, const char *name);
// The machine starts again. With `power_lost` each sector written since the last sync is there or
// not; otherwise only the process died, and the operating system kept what it wrote.
void sim_disk_restart(struct sim_disk *disk, bool power_lost, struct sim_rng *rng);
// Makes `to` (zeros, or a disk) hold the same files. Open files stay open across it.
void sim_disk_copy(struct sim_disk *to, const struct sim_disk *from);

#endif
