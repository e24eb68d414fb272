// SPDX-License-Identifier: Apache-2.0
#ifndef KVPBUS_STATE_LOCK_WINDOWS_H
#define KVPBUS_STATE_LOCK_WINDOWS_H

#include "kvpbus/error.h"

// The folder of both services.
#define KVPBUS_STATE_PARENT "%ProgramData%\\kvpbus"

// Makes it, if need be. KVPBUS_ACCESS: it is another user's. Nobody but SYSTEM and Administrators
// is let in afterwards.
enum kvpbus_error kvpbus_state_parent_make(struct kvpbus_failure *failure);

#endif
