// SPDX-License-Identifier: Apache-2.0
#include "service_place.h"

#include <stddef.h>

// A pipe has no folder.
void kvpbus_service_make_socket_folder(const char *socket)
{
    (void)socket;
}

// Secrets come as files in ProgramData.
const char *kvpbus_service_credential(void)
{
    return NULL;
}
