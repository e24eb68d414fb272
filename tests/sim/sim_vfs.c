// SPDX-License-Identifier: Apache-2.0
//
// The disk as SQLite sees it. With an exclusive lock the WAL needs no shared memory, so version 1
// of the interface is enough.
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_disk_internal.h"

struct handle {
    sqlite3_file base; // first
    struct sim_disk *disk;
    struct sim_file *file;
    bool temporary;
};

static struct sim_disk *disk_now;
static struct sim_rng *random_now;

void sim_vfs_use(struct sim_disk *disk, struct sim_rng *random)
{
    disk_now = disk;
    random_now = random;
}

// --- faults -------------------------------------------------------------------------------------

// True when this operation does not happen; the one at which the machine dies may happen in part.
static bool dies(struct sim_disk *disk)
{
    if (disk->dead)
        return true;
    if (disk->crash_in == 0 || --disk->crash_in > 0)
        return false;
    disk->dead = true;
    return true;
}

static bool fails(struct sim_disk *disk, unsigned permille)
{
    if (permille == 0 || !sim_rng_chance(disk->rng, permille))
        return false;
    disk->failures++;
    return true;
}

// --- files --------------------------------------------------------------------------------------

static int file_close(sqlite3_file *base)
{
    struct handle *handle = (struct handle *)base;
    if (handle->temporary)
        sim_file_clear(handle->file);
    return SQLITE_OK;
}

static int file_read(sqlite3_file *base, void *bytes, int length, sqlite3_int64 offset)
{
    const struct sim_file *file = ((struct handle *)base)->file;
    size_t wanted = (size_t)length, from = (size_t)offset;
    size_t there = from < file->size ? file->size - from : 0;
    size_t part = wanted < there ? wanted : there;
    if (part > 0)
        memcpy(bytes, file->now + from, part);
    memset((uint8_t *)bytes + part, 0, wanted - part);
    return part == wanted ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *base, const void *bytes, int length, sqlite3_int64 offset)
{
    struct handle *handle = (struct handle *)base;
    struct sim_disk *disk = handle->disk;
    size_t size = (size_t)length, from = (size_t)offset;
    bool was_dead = disk->dead;
    if (dies(disk)) {
        size_t part = was_dead ? 0 : (size_t)sim_rng_below(disk->rng, size + 1);
        if (part > 0)
            sim_file_write(handle->file, bytes, part, from);
        return SQLITE_IOERR_WRITE;
    }
    if (fails(disk, disk->error_permille))
        return SQLITE_IOERR_WRITE;
    if (from + size > handle->file->size && fails(disk, disk->full_permille))
        return SQLITE_FULL;
    disk->writes++;
    sim_file_write(handle->file, bytes, size, from);
    return SQLITE_OK;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct handle *handle = (struct handle *)base;
    if (dies(handle->disk) || fails(handle->disk, handle->disk->error_permille))
        return SQLITE_IOERR_TRUNCATE;
    sim_file_truncate(handle->file, (size_t)size);
    return SQLITE_OK;
}

static int file_sync(sqlite3_file *base, int flags)
{
    struct handle *handle = (struct handle *)base;
    (void)flags;
    if (dies(handle->disk) || fails(handle->disk, handle->disk->error_permille))
        return SQLITE_IOERR_FSYNC;
    handle->disk->syncs++;
    sim_file_sync(handle->file);
    return SQLITE_OK;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *size)
{
    *size = (sqlite3_int64)((struct handle *)base)->file->size;
    return SQLITE_OK;
}

static int file_lock(sqlite3_file *base, int level)
{
    (void)base;
    (void)level;
    return SQLITE_OK;
}

static int file_reserved(sqlite3_file *base, int *reserved)
{
    (void)base;
    *reserved = 0;
    return SQLITE_OK;
}

static int file_control(sqlite3_file *base, int operation, void *argument)
{
    (void)base;
    (void)operation;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int file_sector(sqlite3_file *base)
{
    (void)base;
    return SIM_SECTOR;
}

static int file_characteristics(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE; // as SQLite assumes of the files of Linux
}

static const sqlite3_io_methods io = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_lock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_characteristics,
};

// --- folder -------------------------------------------------------------------------------------

static struct sim_file *find(struct sim_disk *disk, const char *name)
{
    for (size_t i = 0; name != NULL && i < SIM_FILES_MAX; i++)
        if (disk->files[i].used && strcmp(disk->files[i].name, name) == 0)
            return &disk->files[i];
    return NULL;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *out)
{
    struct handle *handle = (struct handle *)base;
    (void)vfs;
    base->pMethods = NULL;
    struct sim_file *file = find(disk_now, name);
    if (file == NULL && (flags & SQLITE_OPEN_CREATE) != 0 && !dies(disk_now))
        file = sim_file_new(disk_now, name);
    if (file == NULL)
        return SQLITE_CANTOPEN;
    handle->disk = disk_now;
    handle->file = file;
    handle->temporary = name == NULL;
    base->pMethods = &io;
    if (out != NULL)
        *out = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    (void)sync;
    if (dies(disk_now))
        return SQLITE_IOERR_DELETE;
    struct sim_file *file = find(disk_now, name);
    if (file == NULL)
        return SQLITE_IOERR_DELETE_NOENT;
    sim_file_clear(file);
    return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *result)
{
    (void)vfs;
    (void)flags;
    *result = find(disk_now, name) != NULL;
    return SQLITE_OK;
}

static int vfs_full_name(sqlite3_vfs *vfs, const char *name, int length, char *out)
{
    (void)vfs;
    snprintf(out, (size_t)length, "%s", name);
    return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *vfs, int length, char *bytes)
{
    (void)vfs;
    sim_rng_bytes(random_now, bytes, (size_t)length);
    return length;
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    return microseconds;
}

static int vfs_time(sqlite3_vfs *vfs, double *time)
{
    (void)vfs;
    *time = 2460000.5; // no statement of the journal asks SQLite for the time
    return SQLITE_OK;
}

void sim_vfs_setup(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 1,
        .szOsFile = sizeof(struct handle),
        .mxPathname = SIM_FILE_NAME - 8, // a suffix is added for the WAL
        .zName = "sim",
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_name,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
    };
    if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK)
        abort();
}
