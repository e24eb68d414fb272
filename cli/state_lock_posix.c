// SPDX-License-Identifier: Apache-2.0
#include "state_lock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "file.h"

enum kvpbus_error kvpbus_state_lock(const char *path, char real[KVPBUS_PATH_MAX], int *lock,
                                    struct kvpbus_failure *failure)
{
    char file[KVPBUS_PATH_MAX + 8];
    strcpy(real, path);
    if (!kvpbus_folder_make(path))
        return kvpbus_state_failed(failure, path, "cannot create the state folder");
    snprintf(file, sizeof file, "%s/lock", path);
    *lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*lock < 0)
        return kvpbus_state_failed(failure, file, "cannot open");
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0)
        return KVPBUS_OK;
    return kvpbus_fail(failure, KVPBUS_JOURNAL_LOCKED, KVPBUS_STATE_IN_USE, path);
}
