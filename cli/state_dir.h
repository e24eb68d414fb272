// SPDX-License-Identifier: Apache-2.0
//
// The state folder of a service: its lock, its identity, its journal. Private, as file.h has it.
#ifndef KVPBUS_STATE_DIR_H
#define KVPBUS_STATE_DIR_H

#include "rotation.h"

enum { KVPBUS_PATH_MAX = 512 };

struct kvpbus_state_dir {
    char path[KVPBUS_PATH_MAX];
    int lock; // descriptor; -1 none
    uint8_t identity[KVPBUS_IDENTITY_BYTES];
    uint8_t secret[KVPBUS_SECRET_BYTES];
    struct kvpbus_rotation rotation; // how this identity followed earlier ones
};

// Makes the folder if need be, takes its lock for this process (KVPBUS_JOURNAL_LOCKED when another
// has it) and reads the identity, or draws one at the first start.
enum kvpbus_error kvpbus_state_dir_open(const char *path, struct kvpbus_state_dir *dir,
                                        struct kvpbus_failure *failure);
// Draws a new identity and replaces the old one, which signs that it is its successor and is gone
// then. A crash leaves the one or the other.
enum kvpbus_error kvpbus_state_dir_rotate(struct kvpbus_state_dir *dir, enum kvpbus_role role,
                                          struct kvpbus_failure *failure);
void kvpbus_state_dir_close(struct kvpbus_state_dir *dir);

// Told of each file that has gone; NULL: nobody is.
typedef void kvpbus_removed_fn(const char *path);
// A file that is not there is no error.
enum kvpbus_error kvpbus_state_remove(const char *path, kvpbus_removed_fn *removed,
                                      struct kvpbus_failure *failure);
// Removes all files of a folder, by the path that kvpbus_state_lock has given. Its lock, which is
// to be held, goes last: nobody else begins in there meanwhile.
enum kvpbus_error kvpbus_state_empty(const char *real, kvpbus_removed_fn *removed,
                                     struct kvpbus_failure *failure);

// "WHAT PATH: why", of the system call that has just failed; returns its error.
enum kvpbus_error kvpbus_state_failed(struct kvpbus_failure *failure, const char *path,
                                      const char *what);

#endif
