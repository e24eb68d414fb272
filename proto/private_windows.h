// SPDX-License-Identifier: Apache-2.0
//
// Who may use what this process makes: SYSTEM and Administrators, and its user where that is
// neither, as a developer's own.
#ifndef KVPBUS_PRIVATE_WINDOWS_H
#define KVPBUS_PRIVATE_WINDOWS_H

#include <stdbool.h>
#include <windows.h>

// For CreateFile and its like. With `folder` it is inherited by what comes into it. False: why, by
// GetLastError. Freed with kvpbus_private_free.
bool kvpbus_private_attributes(bool folder, SECURITY_ATTRIBUTES *attributes);
void kvpbus_private_free(SECURITY_ATTRIBUTES *attributes);

// Whether an owner, or somebody who is given access, is one of these. NULL is not.
bool kvpbus_private_trusts(PSID who);

#endif
