// SPDX-License-Identifier: Apache-2.0
#include "state_dir.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "file.h"
#include "state_lock.h"

enum kvpbus_error kvpbus_state_failed(struct kvpbus_failure *failure, const char *path,
                                      const char *what)
{
    int code = kvpbus_system_code();
    enum kvpbus_error error = kvpbus_system_error(code);
    if (error != KVPBUS_ACCESS && error != KVPBUS_NO_SPACE)
        error = KVPBUS_IO;
    kvpbus_fail(failure, error, "%s %s: %s", what, path, kvpbus_system_text(code));
    if (failure != NULL)
        failure->os_code = code;
    return error;
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
        return kvpbus_state_failed(failure, path, "cannot read");
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

// Written beside and renamed into place whole, so that a crash leaves no half a key.
static enum kvpbus_error write_identity(const struct kvpbus_state_dir *dir, const char *path,
                                        const uint8_t *key, size_t length,
                                        struct kvpbus_failure *failure)
{
    char fresh[KVPBUS_PATH_MAX + 32];
    snprintf(fresh, sizeof fresh, "%s/identity.new", dir->path);
    kvpbus_file_remove(fresh);
    int file = kvpbus_file_create(fresh);
    if (file < 0)
        return kvpbus_state_failed(failure, fresh, "cannot create");
    bool written = write(file, key, (unsigned)length) == (ssize_t)length && kvpbus_file_sync(file);
    if (close(file) != 0 || !written || !kvpbus_file_replace(fresh, path)) {
        enum kvpbus_error error = kvpbus_state_failed(failure, path, "cannot write");
        kvpbus_file_remove(fresh);
        return error;
    }
    return kvpbus_folder_sync(dir->path) ? KVPBUS_OK
                                         : kvpbus_state_failed(failure, dir->path, "cannot write");
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
    int file = error == KVPBUS_OK ? -1 : kvpbus_file_open(path);
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
    int file = kvpbus_file_open(path);
    if (file < 0 && kvpbus_system_error(kvpbus_system_code()) == KVPBUS_NOT_FOUND) {
        enum kvpbus_error error = make_identity(dir, path, failure);
        if (error != KVPBUS_OK)
            return error;
        file = kvpbus_file_open(path);
    }
    if (file < 0)
        return kvpbus_state_failed(failure, path, "cannot open");
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
    enum kvpbus_error error = kvpbus_state_lock(path, dir->path, &dir->lock, failure);
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

enum kvpbus_error kvpbus_state_remove(const char *path, kvpbus_removed_fn *removed,
                                      struct kvpbus_failure *failure)
{
    if (kvpbus_file_remove(path)) {
        if (removed != NULL)
            removed(path);
    } else if (kvpbus_system_error(kvpbus_system_code()) != KVPBUS_NOT_FOUND) {
        return kvpbus_state_failed(failure, path, "cannot remove");
    }
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_state_empty(const char *real, kvpbus_removed_fn *removed,
                                     struct kvpbus_failure *failure)
{
    char path[2 * KVPBUS_PATH_MAX];
    uv_fs_t names;
    uv_dirent_t entry;
    int listed = uv_fs_scandir(NULL, &names, real, 0, NULL);
    if (listed < 0) {
        uv_fs_req_cleanup(&names);
        return kvpbus_fail(failure, listed == UV_EACCES ? KVPBUS_ACCESS : KVPBUS_IO,
                           "cannot list %s: %s", real, uv_strerror(listed));
    }
    enum kvpbus_error error = KVPBUS_OK;
    while (error == KVPBUS_OK && uv_fs_scandir_next(&names, &entry) != UV_EOF) {
        if (strcmp(entry.name, "lock") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", real, entry.name);
        error = kvpbus_state_remove(path, removed, failure);
    }
    uv_fs_req_cleanup(&names);
    snprintf(path, sizeof path, "%s/lock", real);
    return error == KVPBUS_OK ? kvpbus_state_remove(path, removed, failure) : error;
}
