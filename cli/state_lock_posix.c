// SPDX-License-Identifier: Apache-2.0
#include "state_lock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "file.h"

static enum kvpbus_error failed(struct kvpbus_failure *failure, const char *path, const char *what)
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

enum kvpbus_error kvpbus_state_lock(const char *path, char real[KVPBUS_PATH_MAX], int *lock,
                                    struct kvpbus_failure *failure)
{
    char file[KVPBUS_PATH_MAX + 8];
    strcpy(real, path);
    if (!kvpbus_folder_make(path))
        return failed(failure, path, "cannot create the state folder");
    snprintf(file, sizeof file, "%s/lock", path);
    *lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*lock < 0)
        return failed(failure, file, "cannot open");
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0)
        return KVPBUS_OK;
    return kvpbus_fail(failure, KVPBUS_JOURNAL_LOCKED, KVPBUS_STATE_IN_USE, path);
}
