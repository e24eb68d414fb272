// SPDX-License-Identifier: Apache-2.0
//
// One KVP pool file of a Linux guest, shared with the integration daemon and other programs. A call
// opens the file, takes both kinds of lock that those programs use, reads or edits in place, and
// closes it. The functions keep nothing between calls and may be used from any thread.
#ifndef KVPBUS_POOL_FILE_H
#define KVPBUS_POOL_FILE_H

#include "kvpbus/store.h"

enum { KVPBUS_POOL_LOCK_WAIT_MS = 5000 };

struct kvpbus_pool_place {
    const char *directory;
    const char *name;
    unsigned lock_wait_ms; // the longest wait for locks
};

// Errors of both: KVPBUS_STORE_GONE: the folder is missing, or something else than a plain file
// stands in the file's place; KVPBUS_STORE_BUSY: no lock in time; KVPBUS_ACCESS; KVPBUS_IO;
// KVPBUS_NOMEM.

// Fills `scan`, cleared first, with the items of the prefix. A missing file has none.
enum kvpbus_error kvpbus_pool_file_read(const struct kvpbus_pool_place *place, const char *prefix,
                                        struct kvpbus_scan *scan, struct kvpbus_failure *failure);

// As the `write` of a store. Creates the file when it is missing and something is to be put.
// Further errors: KVPBUS_STORE_READ_ONLY; KVPBUS_STORE_FULL: no space on the disk, and the file is
// as before but for the changes that succeeded; KVPBUS_STORE_TOO_MANY: see pool_edit.h.
enum kvpbus_error kvpbus_pool_file_write(const struct kvpbus_pool_place *place, const char *prefix,
                                         const struct kvpbus_change *changes, size_t count,
                                         enum kvpbus_error *results,
                                         struct kvpbus_failure *failure);

#endif
