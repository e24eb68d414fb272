// SPDX-License-Identifier: Apache-2.0
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 16 };

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    // The folder itself stays: a daemon's namespace may be mounted from it later.
    return walk->level == 0 ? 0 : remove(path);
}

static bool copy_file(const char *from, const char *to, const struct stat *status)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, status->st_mode & 0777);
    off_t left = status->st_size;
    bool copied = in >= 0 && out >= 0;
    while (copied && left > 0) {
        ssize_t done = sendfile(out, in, NULL, (size_t)left);
        copied = done > 0;
        left -= done;
    }
    int error = errno;
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    errno = error;
    return copied;
}

static bool copy_folder(const char *from, const char *to, int depth);

static bool copy_entry(const char *from, const char *to, const char *name, int depth)
{
    char source[PATH_MAX], target[PATH_MAX];
    struct stat status;
    if ((size_t)snprintf(source, sizeof source, "%s/%s", from, name) >= sizeof source ||
        (size_t)snprintf(target, sizeof target, "%s/%s", to, name) >= sizeof target) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (lstat(source, &status) != 0)
        return false;
    if (S_ISREG(status.st_mode))
        return copy_file(source, target, &status);
    if (!S_ISDIR(status.st_mode))
        return true;
    return mkdir(target, status.st_mode & 0777) == 0 && copy_folder(source, target, depth + 1);
}

static bool copy_folder(const char *from, const char *to, int depth)
{
    DIR *folder = depth < DEPTH_MAX ? opendir(from) : NULL;
    bool copied = folder != NULL;
    const struct dirent *entry;
    while (copied && (entry = readdir(folder)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            copied = copy_entry(from, to, entry->d_name, depth);
    int error = errno;
    if (folder != NULL)
        closedir(folder);
    errno = error;
    return copied;
}

enum kvpbus_error kvpbus_lab_folder_replace(const char *from, const char *to,
                                            struct kvpbus_failure *failure)
{
    if ((mkdir(to, 0755) == 0 || errno == EEXIST) &&
        nftw(to, remove_entry, DEPTH_MAX, FTW_DEPTH | FTW_PHYS) == 0 && copy_folder(from, to, 0))
        return KVPBUS_OK;
    return kvpbus_fail(failure, KVPBUS_IO, "cannot copy %s to %s: %s", from, to, strerror(errno));
}
