// SPDX-License-Identifier: Apache-2.0
//
// A user name and a password for another Hyper-V host.
#ifndef KVPBUS_CREDENTIALS_H
#define KVPBUS_CREDENTIALS_H

#include "kvpbus/error.h"

enum { KVPBUS_CREDENTIAL_MAX = 255 }; // bytes of each

struct kvpbus_credentials {
    char user[KVPBUS_CREDENTIAL_MAX + 1]; // "DOMAIN\user" or "user@domain"
    char password[KVPBUS_CREDENTIAL_MAX + 1];
};

// From the text of a file: the user name on the first line, the password on the second, and nothing
// behind it. KVPBUS_CONFIG with what is wrong, never with what stands there.
enum kvpbus_error kvpbus_credentials_parse(const char *path, const char *text,
                                           struct kvpbus_credentials *credentials,
                                           struct kvpbus_failure *failure);

#endif
