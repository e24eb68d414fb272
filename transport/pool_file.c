// SPDX-License-Identifier: Apache-2.0
#include "pool_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "changes.h"
#include "pool_edit.h"

enum {
    // The daemon locks the file for each item of a batch and leaves it alone only between them.
    PAUSE_FIRST_US = 100,
    PAUSES_SHORT = 50,
    PAUSE_LAST_US = 20000,
    // A file that is replaced again and again while we wait for its lock is given up.
    REOPEN_MAX = 8,
};

enum mode { FOR_READING, FOR_CHANGING, FOR_CREATING };

struct file {
    const struct kvpbus_pool_place *place;
    int folder; // -1: not open
    int fd;     // -1: the pool file is missing
    size_t size;
    struct kvpbus_failure *failure;
};

static enum kvpbus_error error_of(int code)
{
    switch (code) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EISDIR:
    case ENXIO:
        return KVPBUS_STORE_GONE;
    case EACCES:
    case EPERM:
        return KVPBUS_ACCESS;
    case EROFS:
        return KVPBUS_STORE_READ_ONLY;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return KVPBUS_STORE_FULL;
    case ENOMEM:
        return KVPBUS_NOMEM;
    default:
        return KVPBUS_IO;
    }
}

static enum kvpbus_error fail(const struct file *file, enum kvpbus_error error, int code,
                              const char *what)
{
    kvpbus_fail(file->failure, error, "%.120s/%s: %s%s%s", file->place->directory,
                file->place->name, what, code == 0 ? "" : ": ", code == 0 ? "" : strerror(code));
    if (file->failure != NULL)
        file->failure->os_code = code;
    return error;
}

static enum kvpbus_error open_folder(struct file *file)
{
    file->folder = open(file->place->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (file->folder >= 0)
        return KVPBUS_OK;
    int code = errno;
    return fail(file, error_of(code), code, "no folder for the pool file");
}

// O_NONBLOCK keeps a pipe in the file's place from stopping us; plain files ignore it.
static enum kvpbus_error open_file(struct file *file, enum mode mode)
{
    int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    flags |= mode == FOR_READING ? O_RDONLY : O_RDWR;
    file->fd = openat(file->folder, file->place->name, flags);
    bool missing = file->fd < 0 && errno == ENOENT;
    if (missing && mode == FOR_CREATING)
        file->fd = openat(file->folder, file->place->name, flags | O_CREAT, 0644);
    else if (missing)
        return KVPBUS_OK;
    if (file->fd >= 0)
        return KVPBUS_OK;

    int code = errno;
    if (code == ELOOP)
        return fail(file, KVPBUS_STORE_GONE, code, "a symbolic link stands in its place");
    if (code == EISDIR)
        return fail(file, KVPBUS_STORE_GONE, code, "a folder stands in its place");
    if (missing && code == EACCES)
        return fail(file, KVPBUS_STORE_READ_ONLY, code, "cannot create it");
    return fail(file, error_of(code), code, "cannot open it");
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// flock is what cloud-init and others take, the POSIX kind what the daemon takes; they do not
// exclude each other. The open-file-description variant of the latter does not vanish when another
// thread closes the same file. Neither is held while waiting for the other, so that a program that
// takes them in the other order cannot meet us in a deadlock. Returns 0 or an errno.
static int try_lock(int fd, bool exclusive)
{
    struct flock range = {
        .l_type = exclusive ? F_WRLCK : F_RDLCK,
        .l_whence = SEEK_SET,
    };
    if (flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0)
        return errno;
    if (fcntl(fd, F_OFD_SETLK, &range) == 0)
        return 0;
    int code = errno;
    flock(fd, LOCK_UN);
    return code;
}

static enum kvpbus_error lock(struct file *file, bool exclusive, int64_t deadline)
{
    long pause_us = PAUSE_FIRST_US;
    for (int tries = 1;; tries++) {
        int code = try_lock(file->fd, exclusive);
        if (code == 0)
            return KVPBUS_OK;
        if (code != EWOULDBLOCK && code != EACCES && code != EINTR)
            return fail(file, KVPBUS_IO, code, "cannot lock it");
        if (now_ms() >= deadline)
            return fail(file, KVPBUS_STORE_BUSY, 0, "another program keeps it locked");
        struct timespec pause = {.tv_nsec = pause_us * 1000};
        nanosleep(&pause, NULL);
        if (tries >= PAUSES_SHORT)
            pause_us = pause_us * 2 < PAUSE_LAST_US ? pause_us * 2 : PAUSE_LAST_US;
    }
}

// Another program may have put a new file in the place of the one that we waited for.
static bool still_in_place(const struct file *file, const struct stat *mine)
{
    struct stat named;
    return fstatat(file->folder, file->place->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           named.st_dev == mine->st_dev && named.st_ino == mine->st_ino;
}

static enum kvpbus_error open_locked(struct file *file, enum mode mode)
{
    int64_t deadline = now_ms() + file->place->lock_wait_ms;
    enum kvpbus_error error = open_folder(file);
    for (int i = 0; i < REOPEN_MAX && error == KVPBUS_OK; i++) {
        struct stat status;
        error = open_file(file, mode);
        if (error != KVPBUS_OK || file->fd < 0)
            return error;
        if (fstat(file->fd, &status) != 0)
            return fail(file, KVPBUS_IO, errno, "cannot look at it");
        if (!S_ISREG(status.st_mode))
            return fail(file, KVPBUS_STORE_GONE, 0, "it is not a plain file");
        error = lock(file, mode != FOR_READING, deadline);
        if (error != KVPBUS_OK)
            return error;
        if (fstat(file->fd, &status) == 0 && still_in_place(file, &status)) {
            file->size = (size_t)status.st_size;
            return KVPBUS_OK;
        }
        close(file->fd);
        file->fd = -1;
    }
    return error != KVPBUS_OK
               ? error
               : fail(file, KVPBUS_STORE_BUSY, 0, "it is being replaced all the time");
}

// The locks go with the descriptor.
static void close_file(struct file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    if (file->folder >= 0)
        close(file->folder);
}

static enum kvpbus_error read_image(struct file *file, size_t extra,
                                    struct kvpbus_pool_image *image)
{
    size_t records = file->size / KVPBUS_POOL_RECORD_BYTES;
    image->cut = records > KVPBUS_POOL_RECORDS_MAX;
    if (image->cut)
        records = KVPBUS_POOL_RECORDS_MAX;
    image->capacity = records + extra;
    if (image->capacity > KVPBUS_POOL_RECORDS_MAX)
        image->capacity = KVPBUS_POOL_RECORDS_MAX;
    image->bytes = malloc(image->capacity * KVPBUS_POOL_RECORD_BYTES + 1);
    if (image->bytes == NULL)
        return fail(file, KVPBUS_NOMEM, 0, "cannot read it");

    size_t want = records * KVPBUS_POOL_RECORD_BYTES;
    size_t have = 0;
    while (have < want) {
        ssize_t got = pread(file->fd, image->bytes + have, want - have, (off_t)have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(file, KVPBUS_IO, errno, "cannot read it");
        if (got == 0)
            break; // cut by a program that takes no lock
        have += (size_t)got;
    }
    image->count = have / KVPBUS_POOL_RECORD_BYTES;
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_pool_file_read(const struct kvpbus_pool_place *place, const char *prefix,
                                        struct kvpbus_scan *scan, struct kvpbus_failure *failure)
{
    struct file file = {.place = place, .folder = -1, .fd = -1, .failure = failure};
    struct kvpbus_pool_image image = {0};
    kvpbus_scan_clear(scan);
    enum kvpbus_error error = open_locked(&file, FOR_READING);
    if (error == KVPBUS_OK && file.fd >= 0)
        error = read_image(&file, 0, &image);
    size_t records = file.size / KVPBUS_POOL_RECORD_BYTES;
    close_file(&file);
    if (error == KVPBUS_OK) {
        error = kvpbus_pool_scan(&image, prefix, scan);
        if (error != KVPBUS_OK)
            fail(&file, error, 0, "cannot list it");
    }
    if (error != KVPBUS_OK)
        kvpbus_scan_clear(scan);
    else if (image.cut)
        scan->foreign += records - image.count;
    free(image.bytes);
    return error;
}

// Returns 0 or an errno.
static int write_fully(int fd, size_t offset, const uint8_t *bytes, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t wrote = pwrite(fd, bytes + done, length - done, (off_t)(offset + done));
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return errno;
        if (wrote == 0)
            return ENOSPC;
        done += (size_t)wrote;
    }
    return 0;
}

// A program without a lock may have cut or lengthened the file since we looked; then our picture of
// it is wrong, and writing on would harm its records or put empty ones before ours.
static enum kvpbus_error check_size(const struct file *file)
{
    struct stat status;
    if (fstat(file->fd, &status) != 0)
        return fail(file, KVPBUS_IO, errno, "cannot look at it");
    if ((size_t)status.st_size != file->size)
        return fail(file, KVPBUS_STORE_BUSY, 0, "another program changed it without a lock");
    return KVPBUS_OK;
}

static enum kvpbus_error overwrite(void *context, size_t offset, const uint8_t *bytes,
                                   size_t length)
{
    const struct file *file = context;
    enum kvpbus_error error = check_size(file);
    if (error != KVPBUS_OK)
        return error;
    assert(offset + length <= file->size);
    int code = write_fully(file->fd, offset, bytes, length);
    return code == 0 ? KVPBUS_OK : fail(file, error_of(code), code, "cannot write it");
}

static enum kvpbus_error append(void *context, size_t offset, const uint8_t *record)
{
    struct file *file = context;
    enum kvpbus_error error = check_size(file);
    if (error != KVPBUS_OK)
        return error;
    int code = write_fully(file->fd, offset, record, KVPBUS_POOL_RECORD_BYTES);
    if (code == 0) {
        file->size = offset + KVPBUS_POOL_RECORD_BYTES;
        return KVPBUS_OK;
    }
    // What is left when this fails too is part of a record at the end, which no reader looks at.
    if (ftruncate(file->fd, (off_t)offset) == 0)
        file->size = offset;
    return fail(file, error_of(code), code, "cannot lengthen it");
}

static enum kvpbus_error truncate_file(void *context, size_t length)
{
    struct file *file = context;
    enum kvpbus_error error = check_size(file);
    if (error != KVPBUS_OK)
        return error;
    if (ftruncate(file->fd, (off_t)length) != 0) {
        int code = errno;
        return fail(file, error_of(code), code, "cannot shorten it");
    }
    file->size = length;
    return KVPBUS_OK;
}

static bool only_removes(const struct kvpbus_change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (changes[i].value != NULL)
            return false;
    }
    return true;
}

enum kvpbus_error kvpbus_pool_file_write(const struct kvpbus_pool_place *place, const char *prefix,
                                         const struct kvpbus_change *changes, size_t count,
                                         enum kvpbus_error *results, struct kvpbus_failure *failure)
{
    enum kvpbus_error error = kvpbus_changes_check(prefix, changes, count, results, failure);
    if (error != KVPBUS_OK || count == 0)
        return error;
    struct file file = {.place = place, .folder = -1, .fd = -1, .failure = failure};
    struct kvpbus_pool_image image = {0};
    bool removes = only_removes(changes, count);
    error = open_locked(&file, removes ? FOR_CHANGING : FOR_CREATING);
    if (error == KVPBUS_OK && file.fd >= 0)
        error = read_image(&file, removes ? 0 : count, &image);
    kvpbus_changes_set_all(results, count, error);
    if (error == KVPBUS_OK && file.fd >= 0) {
        const struct kvpbus_pool_sink sink = {
            .context = &file,
            .overwrite = overwrite,
            .append = append,
            .truncate = truncate_file,
        };
        kvpbus_pool_edit(&image, prefix, changes, count, &sink, results);
        error = kvpbus_changes_gravest(results, count);
        if (error == KVPBUS_STORE_TOO_MANY)
            fail(&file, error, 0, "it is full of records of other programs; remove them");
    }
    close_file(&file);
    free(image.bytes);
    return error;
}
