// SPDX-License-Identifier: Apache-2.0
//
// The records of a KVP pool file and how a batch of changes is worked into them: pure, over an
// image in memory and a sink that takes the writes in the order in which they must reach the file.
//
// A pool file is an array of records without a header: 512 bytes of key and 2048 of value, each
// ended by a NUL behind which anything may stand. The files belong to several programs, so an edit
// keeps each record that is not ours: byte for byte, in its order, and intact in the file after
// every single write of the sink and after any part of one that ends at a multiple of 512 bytes.
#ifndef KVPBUS_POOL_EDIT_H
#define KVPBUS_POOL_EDIT_H

#include "kvpbus/store.h"

enum {
    KVPBUS_POOL_KEY_BYTES = 512,
    KVPBUS_POOL_VALUE_BYTES = 2048,
    KVPBUS_POOL_RECORD_BYTES = KVPBUS_POOL_KEY_BYTES + KVPBUS_POOL_VALUE_BYTES,
    // Records of one file that are looked at; a file may be longer.
    KVPBUS_POOL_RECORDS_MAX = 4 * 1024 * 1024 / KVPBUS_POOL_RECORD_BYTES,
};

// The whole records at the start of a file. The bytes belong to whoever made the image.
struct kvpbus_pool_image {
    uint8_t *bytes;
    size_t count;    // records
    size_t capacity; // records that `bytes` has room for, at most KVPBUS_POOL_RECORDS_MAX
    bool cut;        // the file has records behind these: its end cannot be moved
};

// Where an edit goes. Each function returns KVPBUS_OK when everything has been written.
struct kvpbus_pool_sink {
    void *context;
    // Overwrites existing bytes. KVPBUS_STORE_BUSY: nothing was written; other errors: a part may.
    enum kvpbus_error (*overwrite)(void *context, size_t offset, const uint8_t *bytes,
                                   size_t length);
    // Adds one record at `offset`, which is the end of the last whole record. When it fails, the
    // file is as it was but for a trailing part of a record.
    enum kvpbus_error (*append)(void *context, size_t offset, const uint8_t *record);
    // Ends the file at `length`.
    enum kvpbus_error (*truncate)(void *context, size_t length);
};

// Adds the image's records to a scan. Returns KVPBUS_OK or KVPBUS_NOMEM.
enum kvpbus_error kvpbus_pool_scan(const struct kvpbus_pool_image *image, const char *prefix,
                                   struct kvpbus_scan *scan);

// Carries out changes that kvpbus_changes_check has passed. The image follows what was written.
// Of several records with a key of the batch the first is kept and the others are removed.
// results[i]: KVPBUS_OK; KVPBUS_STORE_TOO_MANY: no room in the image, or a removal in a cut one;
// KVPBUS_STORE_UNKNOWN: overwriting its record failed half-way; otherwise what the sink returned.
void kvpbus_pool_edit(struct kvpbus_pool_image *image, const char *prefix,
                      const struct kvpbus_change *changes, size_t count,
                      const struct kvpbus_pool_sink *sink, enum kvpbus_error *results);

#endif
