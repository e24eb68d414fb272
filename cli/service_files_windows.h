// SPDX-License-Identifier: Apache-2.0
//
// What an installation puts into the folder of both services, %ProgramData%\kvpbus, and what its
// removal takes away.
#ifndef KVPBUS_SERVICE_FILES_WINDOWS_H
#define KVPBUS_SERVICE_FILES_WINDOWS_H

#include <stdbool.h>

#include "service_main.h"

// Whom the service trusts from its first start on. What is NULL or "" is left as it is.
struct kvpbus_service_files {
    const char *trust_key; // the host's public key; on a host a line of GUID and key
    const char *trust_key_file;
    const char *token_file;
};

bool kvpbus_service_gives_trust(const struct kvpbus_service_files *files);

// Makes the folder, for SYSTEM and Administrators alone, and what of the files is given. All are
// read first: when one is refused nothing is made.
enum kvpbus_error kvpbus_service_put_files(const struct kvpbus_service_defaults *defaults,
                                           const struct kvpbus_service_files *files,
                                           struct kvpbus_failure *failure);

// Removes this service's state, configuration and files of trust from there, and the folder when it
// is empty then. KVPBUS_JOURNAL_LOCKED: the service runs. KVPBUS_ACCESS: the folder is another
// user's, and nothing was removed.
enum kvpbus_error kvpbus_service_purge(const struct kvpbus_service_defaults *defaults,
                                       struct kvpbus_failure *failure);

#endif
