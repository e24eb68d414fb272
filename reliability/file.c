// SPDX-License-Identifier: Apache-2.0
//
// What is the same on both systems.
#include "file.h"

#include <stdio.h>
#include <string.h>

void kvpbus_file_folder(const char *path, char *folder, size_t size)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        snprintf(folder, size, ".");
    else
        snprintf(folder, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

bool kvpbus_file_sync_name(const char *path)
{
    char folder[KVPBUS_FOLDER_ROOM];
    kvpbus_file_folder(path, folder, sizeof folder);
    return kvpbus_folder_sync(folder);
}
