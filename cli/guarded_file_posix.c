// SPDX-License-Identifier: Apache-2.0
#include "guarded_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER_MAX = 512 };

static enum kvpbus_error failed(struct kvpbus_failure *failure, const char *path, const char *what)
{
    int code = errno;
    enum kvpbus_error error = code == ENOENT || code == ENOTDIR                  ? KVPBUS_NOT_FOUND
                              : code == EACCES || code == EPERM || code == EROFS ? KVPBUS_ACCESS
                                                                                 : KVPBUS_IO;
    kvpbus_fail(failure, error, "cannot %s %s: %s", what, path, strerror(code));
    if (failure != NULL)
        failure->os_code = code;
    return error;
}

static bool owner_is_trusted(const struct stat *status)
{
    return status->st_uid == 0 || status->st_uid == geteuid();
}

// Whoever may write the folder can put another file there.
static enum kvpbus_error check_folder(const char *path, struct kvpbus_failure *failure)
{
    char folder[FOLDER_MAX];
    struct stat status;
    const char *end = strrchr(path, '/');
    if (end == NULL)
        strcpy(folder, ".");
    else if (end == path)
        strcpy(folder, "/");
    else
        snprintf(folder, sizeof folder, "%.*s", (int)(end - path), path);
    if (stat(folder, &status) != 0)
        return failed(failure, folder, "look at");
    bool open_to_others =
        (status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0;
    if (owner_is_trusted(&status) && !open_to_others)
        return KVPBUS_OK;
    return kvpbus_fail(
        failure, KVPBUS_ACCESS,
        "%s is not used, because others can write its folder: chmod go-w %s, and let "
        "it belong to root",
        path, folder);
}

static enum kvpbus_error check_file(const char *path, bool secret, const struct stat *status,
                                    size_t max, struct kvpbus_failure *failure)
{
    if (!S_ISREG(status->st_mode))
        return kvpbus_fail(failure, KVPBUS_CONFIG, "%s is not a file", path);
    if (!owner_is_trusted(status))
        return kvpbus_fail(failure, KVPBUS_ACCESS,
                           "%s is not used, because it belongs to user %u: chown root %s", path,
                           (unsigned)status->st_uid, path);
    if ((status->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return kvpbus_fail(failure, KVPBUS_ACCESS,
                           "%s is not used, because others can write it: chmod go-w %s, and look "
                           "what stands in it",
                           path, path);
    if (secret && (status->st_mode & (S_IROTH | S_IXOTH)) != 0)
        return kvpbus_fail(failure, KVPBUS_ACCESS,
                           "%s is not used, because every user can read it: make a new token, and "
                           "write it with mode 0600",
                           path);
    if (status->st_size < 0 || (unsigned long long)status->st_size > max)
        return kvpbus_fail(failure, KVPBUS_CONFIG, "%s is longer than %zu bytes", path, max);
    return KVPBUS_OK;
}

static enum kvpbus_error read_whole(const char *path, int file, size_t max, char **text,
                                    size_t *length, struct kvpbus_failure *failure)
{
    char *bytes = malloc(max + 2);
    size_t count = 0;
    if (bytes == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "%s: out of memory", path);
    for (ssize_t got = 1; got > 0 && count <= max;) {
        got = read(file, bytes + count, max + 1 - count);
        if (got < 0) {
            kvpbus_guarded_free(bytes, count);
            return failed(failure, path, "read");
        }
        count += (size_t)got;
    }
    bytes[count] = '\0';
    if (count <= max && strlen(bytes) == count) {
        *text = bytes;
        *length = count;
        return KVPBUS_OK;
    }
    kvpbus_guarded_free(bytes, count);
    return kvpbus_fail(failure, KVPBUS_CONFIG, "%s is not a text of at most %zu bytes", path, max);
}

enum kvpbus_error kvpbus_guarded_read(const char *path, bool secret, size_t max, char **text,
                                      size_t *length, struct kvpbus_file_id *id,
                                      struct kvpbus_failure *failure)
{
    struct stat status;
    // Not waiting for the writer of a pipe that somebody has put there.
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0)
        return failed(failure, path, "open");
    enum kvpbus_error error = KVPBUS_OK;
    if (fstat(file, &status) != 0)
        error = failed(failure, path, "look at");
    if (error == KVPBUS_OK)
        error = check_file(path, secret, &status, max, failure);
    if (error == KVPBUS_OK)
        error = check_folder(path, failure);
    if (error == KVPBUS_OK)
        error = read_whole(path, file, max, text, length, failure);
    if (error == KVPBUS_OK && id != NULL)
        *id = (struct kvpbus_file_id){status.st_dev, status.st_ino};
    close(file);
    return error;
}

void kvpbus_guarded_free(char *text, size_t length)
{
    sodium_memzero(text, length);
    free(text);
}

enum kvpbus_error kvpbus_guarded_remove(const char *path, const struct kvpbus_file_id *id,
                                        struct kvpbus_failure *failure)
{
    struct stat now;
    if (stat(path, &now) != 0)
        return errno == ENOENT ? KVPBUS_OK : failed(failure, path, "look at");
    if (now.st_dev != id->device || now.st_ino != id->file)
        return KVPBUS_OK; // another one has come meanwhile
    if (unlink(path) != 0 && errno != ENOENT)
        return failed(failure, path, "remove");
    return KVPBUS_OK;
}
