// SPDX-License-Identifier: Apache-2.0
//
// The file in which a VM's part of a host's journal goes to another host: signed by the host that
// it leaves, sealed for the one that it goes to. docs/protocol.md section 7. Any thread.
#ifndef KVPBUS_PARCEL_H
#define KVPBUS_PARCEL_H

#include "journal.h"
#include "rotation.h"

struct kvpbus_parcel {
    uint8_t from[KVPBUS_IDENTITY_BYTES], to[KVPBUS_IDENTITY_BYTES];
    uint8_t id[KVPBUS_MOVE_ID];
    uint8_t vm[KVPBUS_VM_ID_BYTES];
    char name[KVPBUS_PEER_NAME_MAX + 1];
    struct kvpbus_rotation rotation; // from what the VM has pinned down to `to`
};

// Seals the file `plain` into a new file `sealed` (mode 0600), in pieces; `secret` is of `from`.
enum kvpbus_error kvpbus_parcel_seal(const char *plain, const char *sealed,
                                     const struct kvpbus_parcel *parcel,
                                     const uint8_t secret[KVPBUS_SECRET_BYTES],
                                     struct kvpbus_failure *failure);

// Whose it is and for whom, when its sender has signed that. KVPBUS_INVALID_ARGUMENT: it is no such
// file, or of another version; KVPBUS_BAD_SIGNATURE: it was changed.
enum kvpbus_error kvpbus_parcel_read(const char *sealed, struct kvpbus_parcel *parcel,
                                     struct kvpbus_failure *failure);

// The same, and what is in it into a new file `plain` (mode 0600), which after an error is not
// there. KVPBUS_BAD_KEY: it is for another host.
enum kvpbus_error kvpbus_parcel_open(const char *sealed, const char *plain,
                                     const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                                     const uint8_t secret[KVPBUS_SECRET_BYTES],
                                     struct kvpbus_parcel *parcel, struct kvpbus_failure *failure);

#endif
