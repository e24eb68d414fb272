// SPDX-License-Identifier: Apache-2.0
//
// A state folder that belongs to one process at a time; one source per system.
#ifndef KVPBUS_STATE_LOCK_H
#define KVPBUS_STATE_LOCK_H

#include "state_dir.h"

// Makes the folder, if need be, and takes its lock, which ends with the descriptor *lock; `real` is
// its path as others take it. KVPBUS_JOURNAL_LOCKED: another process has it. KVPBUS_ACCESS: it is
// another user's, or may not be used.
enum kvpbus_error kvpbus_state_lock(const char *path, char real[KVPBUS_PATH_MAX], int *lock,
                                    struct kvpbus_failure *failure);

#define KVPBUS_STATE_IN_USE                                                                        \
    "%s is used by another kvpbus service; stop that one, or give this one a state folder of its " \
    "own"

#endif
