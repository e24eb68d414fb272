// SPDX-License-Identifier: Apache-2.0
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

int kvpbus_file_create(const char *path)
{
    return open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
}

int kvpbus_file_open(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

FILE *kvpbus_file_stream(const char *path, const char *mode)
{
    char not_inherited[8];
    snprintf(not_inherited, sizeof not_inherited, "%se", mode);
    return fopen(path, not_inherited);
}

bool kvpbus_file_sync(int file)
{
    return fsync(file) == 0;
}

bool kvpbus_file_sync_data(int file)
{
    return fdatasync(file) == 0;
}

bool kvpbus_file_size(const char *path, uint64_t *size)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return false;
    *size = (uint64_t)status.st_size;
    return true;
}

bool kvpbus_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool kvpbus_file_remove(const char *path)
{
    return unlink(path) == 0;
}

bool kvpbus_file_replace(const char *from, const char *to)
{
    return rename(from, to) == 0;
}

char *kvpbus_real_path(const char *path)
{
    return strdup(path);
}

bool kvpbus_folder_make(const char *path)
{
    return mkdir(path, S_IRWXU) == 0 || errno == EEXIST;
}

bool kvpbus_folder_make_unique(char *path)
{
    return mkdtemp(path) != NULL;
}

bool kvpbus_folder_remove(const char *path)
{
    return rmdir(path) == 0;
}

bool kvpbus_folder_sync(const char *path)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = folder >= 0 && fsync(folder) == 0;
    int code = errno;
    if (folder >= 0)
        close(folder);
    errno = code;
    return synced;
}

bool kvpbus_folder_free(const char *path, uint64_t *bytes)
{
    struct statvfs disk;
    if (statvfs(path, &disk) != 0)
        return false;
    *bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    return true;
}

int kvpbus_system_code(void)
{
    return errno;
}

const char *kvpbus_system_text(int code)
{
    return strerror(code);
}

enum kvpbus_error kvpbus_system_error(int code)
{
    switch (code) {
    case EACCES:
    case EPERM:
    case EROFS:
        return KVPBUS_ACCESS;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return KVPBUS_NO_SPACE;
    case ENOENT:
        return KVPBUS_NOT_FOUND;
    case EEXIST:
        return KVPBUS_EXISTS;
    default:
        return KVPBUS_IO;
    }
}
