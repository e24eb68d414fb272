// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state_dir.h"

static enum kvpbus_error failed(struct kvpbus_failure *failure, const char *path, const char *what)
{
    int code = errno;
    enum kvpbus_error error = code == EACCES || code == EPERM    ? KVPBUS_ACCESS
                              : code == ENOSPC || code == EDQUOT ? KVPBUS_NO_SPACE
                                                                 : KVPBUS_IO;
    kvpbus_fail(failure, error, "%s %s: %s", what, path, strerror(code));
    if (failure != NULL)
        failure->os_code = code;
    return error;
}

static enum kvpbus_error take_lock(struct kvpbus_state_dir *dir, struct kvpbus_failure *failure)
{
    char path[KVPBUS_PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/lock", dir->path);
    dir->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (dir->lock < 0)
        return failed(failure, path, "cannot open");
    if (flock(dir->lock, LOCK_EX | LOCK_NB) == 0)
        return KVPBUS_OK;
    return kvpbus_fail(failure, KVPBUS_JOURNAL_LOCKED,
                       "%s is used by another kvpbus service; stop that one, or give this one a "
                       "state folder of its own",
                       dir->path);
}

static enum kvpbus_error read_identity(struct kvpbus_state_dir *dir, const char *path, int file,
                                       struct kvpbus_failure *failure)
{
    uint8_t seed[crypto_sign_SEEDBYTES + 1];
    ssize_t length = read(file, seed, sizeof seed);
    close(file);
    if (length < 0)
        return failed(failure, path, "cannot read");
    if (length != crypto_sign_SEEDBYTES)
        return kvpbus_fail(failure, KVPBUS_BAD_KEY,
                           "%s is not an identity: restore it from a backup; with a new one every "
                           "peer must be paired again",
                           path);
    crypto_sign_seed_keypair(dir->identity, dir->secret, seed);
    sodium_memzero(seed, sizeof seed);
    return KVPBUS_OK;
}

// Written beside and linked into place whole, so that a crash leaves no half a key.
static enum kvpbus_error make_identity(const struct kvpbus_state_dir *dir, const char *path,
                                       struct kvpbus_failure *failure)
{
    char fresh[KVPBUS_PATH_MAX + 32];
    uint8_t seed[crypto_sign_SEEDBYTES];
    snprintf(fresh, sizeof fresh, "%s/identity.new", dir->path);
    unlink(fresh);
    int file = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0)
        return failed(failure, fresh, "cannot create");
    randombytes_buf(seed, sizeof seed);
    bool written = write(file, seed, sizeof seed) == (ssize_t)sizeof seed && fsync(file) == 0;
    sodium_memzero(seed, sizeof seed);
    if (close(file) != 0 || !written || rename(fresh, path) != 0)
        return failed(failure, path, "cannot write");
    return KVPBUS_OK;
}

static enum kvpbus_error load_identity(struct kvpbus_state_dir *dir, struct kvpbus_failure *failure)
{
    char path[KVPBUS_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/identity.key", dir->path);
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0 && errno == ENOENT) {
        enum kvpbus_error error = make_identity(dir, path, failure);
        if (error != KVPBUS_OK)
            return error;
        file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    }
    if (file < 0)
        return failed(failure, path, "cannot open");
    return read_identity(dir, path, file, failure);
}

enum kvpbus_error kvpbus_state_dir_open(const char *path, struct kvpbus_state_dir *dir,
                                        struct kvpbus_failure *failure)
{
    memset(dir, 0, sizeof *dir);
    dir->lock = -1;
    if (strlen(path) >= sizeof dir->path)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "the path of the state folder is longer than %d characters",
                           KVPBUS_PATH_MAX - 1);
    strcpy(dir->path, path);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return failed(failure, path, "cannot create the state folder");
    enum kvpbus_error error = take_lock(dir, failure);
    if (error == KVPBUS_OK)
        error = load_identity(dir, failure);
    if (error != KVPBUS_OK)
        kvpbus_state_dir_close(dir);
    return error;
}

void kvpbus_state_dir_close(struct kvpbus_state_dir *dir)
{
    if (dir->lock >= 0)
        close(dir->lock);
    dir->lock = -1;
    sodium_memzero(dir->secret, sizeof dir->secret);
}
