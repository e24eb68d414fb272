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

// identity.key: the seed of the key pair, then the statements of its rotation, newest first.
enum { SEED = crypto_sign_SEEDBYTES, KEY_MAX = SEED + KVPBUS_ROTATION_MAX };

static enum kvpbus_error read_identity(struct kvpbus_state_dir *dir, const char *path, int file,
                                       struct kvpbus_failure *failure)
{
    uint8_t key[KEY_MAX + 1];
    ssize_t length = read(file, key, sizeof key);
    close(file);
    if (length < 0)
        return failed(failure, path, "cannot read");
    if (length < SEED || length > KEY_MAX || (length - SEED) % KVPBUS_STATEMENT_BYTES != 0)
        return kvpbus_fail(failure, KVPBUS_BAD_KEY,
                           "%s is not an identity: restore it from a backup; with a new one every "
                           "peer must be paired again",
                           path);
    crypto_sign_seed_keypair(dir->identity, dir->secret, key);
    dir->rotation.length = (size_t)length - SEED;
    memcpy(dir->rotation.bytes, key + SEED, dir->rotation.length);
    sodium_memzero(key, sizeof key);
    return KVPBUS_OK;
}

static bool sync_folder(const char *path)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = folder >= 0 && fsync(folder) == 0;
    if (folder >= 0)
        close(folder);
    return synced;
}

// Written beside and renamed into place whole, so that a crash leaves no half a key.
static enum kvpbus_error write_identity(const struct kvpbus_state_dir *dir, const char *path,
                                        const uint8_t *key, size_t length,
                                        struct kvpbus_failure *failure)
{
    char fresh[KVPBUS_PATH_MAX + 32];
    snprintf(fresh, sizeof fresh, "%s/identity.new", dir->path);
    unlink(fresh);
    int file = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0)
        return failed(failure, fresh, "cannot create");
    bool written = write(file, key, length) == (ssize_t)length && fsync(file) == 0;
    if (close(file) != 0 || !written || rename(fresh, path) != 0) {
        enum kvpbus_error error = failed(failure, path, "cannot write");
        unlink(fresh);
        return error;
    }
    return sync_folder(dir->path) ? KVPBUS_OK : failed(failure, dir->path, "cannot write");
}

static enum kvpbus_error make_identity(const struct kvpbus_state_dir *dir, const char *path,
                                       struct kvpbus_failure *failure)
{
    uint8_t seed[SEED];
    randombytes_buf(seed, sizeof seed);
    enum kvpbus_error error = write_identity(dir, path, seed, sizeof seed, failure);
    sodium_memzero(seed, sizeof seed);
    return error;
}

enum kvpbus_error kvpbus_state_dir_rotate(struct kvpbus_state_dir *dir, enum kvpbus_role role,
                                          struct kvpbus_failure *failure)
{
    char path[KVPBUS_PATH_MAX + 32];
    uint8_t key[KEY_MAX], identity[KVPBUS_IDENTITY_BYTES], secret[KVPBUS_SECRET_BYTES];
    struct kvpbus_rotation rotation = dir->rotation;
    snprintf(path, sizeof path, "%s/identity.key", dir->path);
    randombytes_buf(key, SEED);
    crypto_sign_seed_keypair(identity, secret, key);
    kvpbus_rotation_add(&rotation, role, NULL, dir->identity, dir->secret, identity);
    memcpy(key + SEED, rotation.bytes, rotation.length);
    enum kvpbus_error error = write_identity(dir, path, key, SEED + rotation.length, failure);
    // What stands there now counts, also when the folder could not be synced.
    int file = error == KVPBUS_OK ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file >= 0) {
        read_identity(dir, path, file, NULL);
    } else if (error == KVPBUS_OK) {
        memcpy(dir->identity, identity, sizeof dir->identity);
        memcpy(dir->secret, secret, sizeof dir->secret);
        dir->rotation = rotation;
    }
    sodium_memzero(key, sizeof key);
    sodium_memzero(secret, sizeof secret);
    return error;
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
