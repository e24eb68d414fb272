// SPDX-License-Identifier: Apache-2.0
//
// The disk: files, what of them is synced, and what a crash leaves.
#include "sim_disk.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "sim_disk_internal.h"

static size_t sectors(size_t size)
{
    return (size + SIM_SECTOR - 1) / SIM_SECTOR;
}

static void *resize(void *memory, size_t from, size_t to)
{
    // Files outlive the process that writes them: never in its arena.
    struct sim_arena *arena = sim_arena_enter(NULL);
    uint8_t *grown = realloc(memory, to);
    sim_arena_enter(arena);
    if (grown == NULL)
        abort();
    memset(grown + from, 0, to - from);
    return grown;
}

static void reserve(struct sim_file *file, size_t size)
{
    if (size <= file->capacity)
        return;
    size_t capacity = file->capacity == 0 ? 64 * 1024 : file->capacity;
    while (capacity < size)
        capacity *= 2;
    file->now = resize(file->now, file->capacity, capacity);
    file->synced = resize(file->synced, file->capacity, capacity);
    file->dirty = resize(file->dirty, sectors(file->capacity), sectors(capacity));
    file->capacity = capacity;
}

struct sim_file *sim_file_new(struct sim_disk *disk, const char *name)
{
    for (size_t i = 0; i < SIM_FILES_MAX; i++) {
        struct sim_file *file = &disk->files[i];
        if (file->used)
            continue;
        file->used = true;
        snprintf(file->name, sizeof file->name, "%s", name != NULL ? name : "");
        return file;
    }
    return NULL;
}

void sim_file_clear(struct sim_file *file)
{
    free(file->now);
    free(file->synced);
    free(file->dirty);
    memset(file, 0, sizeof *file);
}

void sim_file_write(struct sim_file *file, const void *bytes, size_t length, size_t offset)
{
    reserve(file, offset + length);
    memcpy(file->now + offset, bytes, length);
    if (offset + length > file->size)
        file->size = offset + length;
    for (size_t i = offset / SIM_SECTOR; i < sectors(offset + length); i++)
        file->dirty[i] = 1;
}

void sim_file_truncate(struct sim_file *file, size_t size)
{
    reserve(file, size);
    if (size < file->size) {
        memset(file->now + size, 0, file->size - size);
        for (size_t i = size / SIM_SECTOR; i < sectors(file->size); i++)
            file->dirty[i] = 1;
    }
    file->size = size;
}

// Whichever of the two contents a sector is to keep.
static void settle(struct sim_file *file, size_t sector, bool keep_new)
{
    size_t offset = sector * SIM_SECTOR;
    if (keep_new)
        memcpy(file->synced + offset, file->now + offset, SIM_SECTOR);
    else
        memcpy(file->now + offset, file->synced + offset, SIM_SECTOR);
    file->dirty[sector] = 0;
}

static size_t longest(const struct sim_file *file)
{
    return file->size > file->synced_size ? file->size : file->synced_size;
}

void sim_file_sync(struct sim_file *file)
{
    for (size_t i = 0; i < sectors(longest(file)); i++)
        if (file->dirty[i])
            settle(file, i, true);
    file->synced_size = file->size;
}

static void lose(struct sim_file *file, struct sim_rng *rng)
{
    size_t most = longest(file);
    if (sim_rng_chance(rng, 500))
        file->size = file->synced_size;
    // All or nothing happen as well, and often.
    static const unsigned kept[] = {0, 500, 900, 1000};
    unsigned permille = kept[sim_rng_below(rng, 4)];
    for (size_t i = 0; i < sectors(most); i++)
        if (file->dirty[i])
            settle(file, i, sim_rng_chance(rng, permille));
    if (file->size < most) {
        memset(file->now + file->size, 0, most - file->size);
        memset(file->synced + file->size, 0, most - file->size);
    }
    file->synced_size = file->size;
}

void sim_disk_restart(struct sim_disk *disk, bool power_lost, struct sim_rng *rng)
{
    for (size_t i = 0; i < SIM_FILES_MAX; i++) {
        struct sim_file *file = &disk->files[i];
        if (file->used && file->name[0] == '\0')
            sim_file_clear(file);
        else if (file->used && power_lost)
            lose(file, rng);
    }
    disk->dead = false;
    disk->crash_in = 0;
}

void sim_disk_clear(struct sim_disk *disk)
{
    for (size_t i = 0; i < SIM_FILES_MAX; i++)
        sim_file_clear(&disk->files[i]);
}

void sim_disk_add(struct sim_disk *disk, const char *name)
{
    if (sim_file_new(disk, name) == NULL)
        abort();
}

void sim_disk_keep(struct sim_disk *disk, const char *name)
{
    for (size_t i = 0; i < SIM_FILES_MAX; i++)
        if (strcmp(disk->files[i].name, name) != 0)
            sim_file_clear(&disk->files[i]);
}

void sim_disk_remove(struct sim_disk *disk, const char *name)
{
    for (size_t i = 0; i < SIM_FILES_MAX; i++)
        if (strcmp(disk->files[i].name, name) == 0)
            sim_file_clear(&disk->files[i]);
}

static void copy_file(struct sim_file *to, const struct sim_file *from)
{
    struct sim_file copy = *from;
    reserve(to, from->capacity > 0 ? longest(from) : 0);
    copy.now = to->now;
    copy.synced = to->synced;
    copy.dirty = to->dirty;
    copy.capacity = to->capacity;
    size_t length = longest(from) > longest(to) ? longest(from) : longest(to);
    // What lies behind a file's end is zeros in both.
    size_t held = length < from->capacity ? length : from->capacity;
    if (length > 0) {
        memset(to->now, 0, length);
        memset(to->synced, 0, length);
        memset(to->dirty, 0, sectors(length));
    }
    if (held > 0) {
        memcpy(to->now, from->now, held);
        memcpy(to->synced, from->synced, held);
        memcpy(to->dirty, from->dirty, sectors(held));
    }
    *to = copy;
}

void sim_disk_copy(struct sim_disk *to, const struct sim_disk *from)
{
    for (size_t i = 0; i < SIM_FILES_MAX; i++)
        copy_file(&to->files[i], &from->files[i]);
}
