// SPDX-License-Identifier: Apache-2.0
#include "service_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "file.h"
#include "paths.h"
#include "state_dir.h"

// The unit has it made by RuntimeDirectory=.
void kvpbus_service_make_socket_folder(const char *socket)
{
    char folder[KVPBUS_PATH_MAX];
    const char *end = strrchr(socket, '/');
    snprintf(folder, sizeof folder, "%.*s", (int)(end - socket), socket);
    (void)mkdir(folder, 0755);
}

// systemd hands secrets over as files of a folder that is the service's alone.
const char *kvpbus_service_credential(void)
{
    static char path[KVPBUS_PATH_MAX];
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (folder == NULL ||
        snprintf(path, sizeof path, "%s/" KVPBUS_ENROLL_CREDENTIAL, folder) >= (int)sizeof path)
        return NULL;
    return kvpbus_file_exists(path) ? path : NULL;
}
