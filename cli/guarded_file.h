// SPDX-License-Identifier: Apache-2.0
//
// Files that say whom to trust. Nothing of one is believed that another user could have written.
#ifndef KVPBUS_GUARDED_FILE_H
#define KVPBUS_GUARDED_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvpbus/error.h"

// Which file it was.
struct kvpbus_file_id {
    uint64_t device, file;
};

// Reads a file of at most `max` bytes whole; *text ends with a NUL and is freed with
// kvpbus_guarded_free. KVPBUS_NOT_FOUND: there is none. KVPBUS_ACCESS: it may not be read, or it or
// its folder can be written by others than root (on Windows SYSTEM and Administrators) and this
// user, or, with `secret`, read by others. KVPBUS_CONFIG: not a file, too long, or with a NUL. `id`
// may be NULL.
enum kvpbus_error kvpbus_guarded_read(const char *path, bool secret, size_t max, char **text,
                                      size_t *length, struct kvpbus_file_id *id,
                                      struct kvpbus_failure *failure);
void kvpbus_guarded_free(char *text, size_t length);

// Removes the file if it still is the one that was read.
enum kvpbus_error kvpbus_guarded_remove(const char *path, const struct kvpbus_file_id *id,
                                        struct kvpbus_failure *failure);

#endif
