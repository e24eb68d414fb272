// SPDX-License-Identifier: Apache-2.0
//
// The contract of a store: the two sets of key-value items of one VM, seen from one side.
//
// A side writes only its own store and only looks at the peer's. What every implementation keeps,
// and the conformance suite (tests/transport/conformance.h) checks:
//
//  - An item is a register: it stays until its writer changes it.
//  - Only a single item is written atomically. A write of several items may happen in part, and a
//    reader may see any mixture; what became of each item is in its result.
//  - A read is a scan, not a snapshot: an item that is missing may be there the next time.
//  - Keys that do not begin with "<prefix>." are foreign: never returned, never changed.
//  - Calls block (a lock, a management job): what for, and for how long at most, is said where each
//    store is opened. They may be made from any thread; one read_own, one read_peer and one write
//    may be in progress beside each other, never two of a kind, and none when the store is closed.
//    (The memory pair: one thread at a time.)
#ifndef KVPBUS_STORE_H
#define KVPBUS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvpbus/error.h"
#include "kvpbus/platform.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    // Characters of a key and of a value, without the NUL: what a Linux guest's kernel passes on
    // to the host unharmed (fact sheet part 1; the wire fields hold one character more).
    KVPBUS_KEY_MAX = 254,
    KVPBUS_VALUE_MAX = 1022,
    KVPBUS_PREFIX_MAX = 32,
    // Items with our prefix that one read returns; the protocol uses 66. The rest is counted only.
    KVPBUS_SCAN_MAX = 256,
    // Changes in one write: the limit of a management call (fact sheet part 1).
    KVPBUS_CHANGES_MAX = 128,
};

struct kvpbus_item {
    char key[KVPBUS_KEY_MAX + 1];
    char value[KVPBUS_VALUE_MAX + 1];
};

// The items found by one read, owned by whoever initialised it with zeros and called
// kvpbus_scan_free. An item whose key or value is longer than the limits, or is not printable
// ASCII, is not kept but counted in `skipped`. Of records with one key all are kept.
struct kvpbus_scan {
    struct kvpbus_item *items;
    size_t count;
    size_t capacity;
    size_t foreign; // records of other programs
    size_t skipped; // records with our prefix that were not kept
};

// `clear` empties a scan and keeps its memory for the next read; `free` gives that back, and leaves
// zeros. These and kvpbus_scan_add: any thread, one at a time for a scan.
void kvpbus_scan_clear(struct kvpbus_scan *scan);
void kvpbus_scan_free(struct kvpbus_scan *scan);

// Adds a copy of an item, or counts it when it is foreign, over the limits, or one too many.
// Neither string need be terminated. Returns KVPBUS_OK or KVPBUS_NOMEM.
enum kvpbus_error kvpbus_scan_add(struct kvpbus_scan *scan, const char *prefix, const char *key,
                                  size_t key_length, const char *value, size_t value_length);

// One wish: the key is to hold the value, or, with value NULL, not to exist. The strings belong to
// the caller and need live only during the call.
struct kvpbus_change {
    const char *key;
    const char *value;
};

struct kvpbus_store;

struct kvpbus_store_ops {
    const char *kind; // "memory", "pool", "management", "registry"

    // Fill `scan` (cleared first) with the items of this side's own store, or of the peer's.
    // On an error the scan is empty.
    enum kvpbus_error (*read_own)(struct kvpbus_store *store, struct kvpbus_scan *scan,
                                  struct kvpbus_failure *failure);
    enum kvpbus_error (*read_peer)(struct kvpbus_store *store, struct kvpbus_scan *scan,
                                   struct kvpbus_failure *failure);

    // Carries out up to KVPBUS_CHANGES_MAX changes with distinct keys of the prefix, whatever the
    // store holds (an upsert; removing what is not there succeeds). Keys and values are printable
    // ASCII within the limits, values never empty; else KVPBUS_INVALID_ARGUMENT or
    // KVPBUS_TOO_LARGE, and nothing is written. results[i] is the outcome of change i: KVPBUS_OK,
    // KVPBUS_STORE_UNKNOWN (it may or may not have happened: read back), or the reason why it did
    // not. Returns KVPBUS_OK when all did, else the gravest result.
    enum kvpbus_error (*write)(struct kvpbus_store *store, const struct kvpbus_change *changes,
                               size_t count, enum kvpbus_error *results,
                               struct kvpbus_failure *failure);

    // What becomes ready when the peer's store may have changed (kvpbus/platform.h), or
    // KVPBUS_NO_NOTICE: poll. It belongs to the store. `acknowledge_notice` makes it quiet again
    // and is called before the read that it announces, so that no change falls between.
    // Neither waits.
    kvpbus_notice (*notice_fd)(struct kvpbus_store *store);
    void (*acknowledge_notice)(struct kvpbus_store *store);

    void (*close)(struct kvpbus_store *store); // and frees it
};

// The head of every implementation's own struct.
struct kvpbus_store {
    const struct kvpbus_store_ops *ops;
    char prefix[KVPBUS_PREFIX_MAX + 1];
};

// NULL: nothing.
static inline void kvpbus_store_close(struct kvpbus_store *store)
{
    if (store != NULL)
        store->ops->close(store);
}

// True when the text is 1 to KVPBUS_PREFIX_MAX characters of [a-z0-9]. Any thread.
bool kvpbus_prefix_valid(const char *prefix);

// Opening a store, here and in kvpbus/management.h: any thread; strings are copied; a prefix that
// is not valid gives KVPBUS_INVALID_ARGUMENT, and no memory KVPBUS_NOMEM; *store is set with
// KVPBUS_OK alone, and ended with kvpbus_store_close.

// Two stores in memory joined back to back: what one side writes the other sees. Both sides hold
// the pair; it is freed with the second close. Not for use from two threads at once. Calls wait for
// nothing.
enum kvpbus_error kvpbus_memory_store_pair(const char *prefix, struct kvpbus_store **host,
                                           struct kvpbus_store **guest);

// On Linux only. The pool files of a Linux guest: `directory`/.kvp_pool_0 is read, .kvp_pool_1 is
// written. A missing file is an empty store and is created at the first write. While the folder is
// missing, calls give KVPBUS_STORE_GONE; opening succeeds all the same. A call waits for the locks
// of other programs up to 5 s, then KVPBUS_STORE_BUSY, and for nothing else but the disk. Only the
// first 4 MiB of a pool file are used: the records beyond are counted as foreign, and a new key
// that has no room before them gives KVPBUS_STORE_TOO_MANY. Further errors: KVPBUS_ACCESS,
// KVPBUS_IO, KVPBUS_NOMEM; of a write also KVPBUS_STORE_READ_ONLY, KVPBUS_STORE_FULL.
enum kvpbus_error kvpbus_pool_store_open(const char *directory, const char *prefix,
                                         struct kvpbus_store **store,
                                         struct kvpbus_failure *failure);

// Which key of a Windows guest's registry the guest's items are put into.
enum kvpbus_registry_outgoing {
    KVPBUS_REGISTRY_GUEST, // the key for programs; the host reads GuestExchangeItems
    // Beside what the integration service says of the system; the host reads
    // GuestIntrinsicExchangeItems. For hosts that look nowhere else.
    KVPBUS_REGISTRY_AUTO,
};

// On Windows only. The registry of a Windows guest: values of the keys External, which is read, and
// Guest or Auto, which is written, of HKLM\SOFTWARE\Microsoft\Virtual Machine in the 64-bit view.
// Opening tells what is wrong with the machine: KVPBUS_NOT_HYPERV without that key, KVPBUS_ACCESS
// when it may not be read or written; a key below it that is missing is an empty store, and the own
// one is created at the first write. When they are gone later calls give KVPBUS_STORE_GONE.
//  - An item is a value of type REG_SZ with its NUL; the text ends at the first. Others with our
//    prefix are skipped.
//  - To Windows names that differ in case are one. A peer's key is given in small letters; a value
//    that is there under an own key in another spelling is replaced with it.
//  - At most 16,384 values of a key are looked at; those beyond are counted as foreign.
//  - A call has no deadline: it waits for nothing but the registry functions of Windows.
//  - Further errors: KVPBUS_ACCESS, KVPBUS_IO, KVPBUS_NOMEM; of a write also KVPBUS_STORE_FULL,
//    KVPBUS_STORE_READ_ONLY.
enum kvpbus_error kvpbus_registry_store_open(enum kvpbus_registry_outgoing outgoing,
                                             const char *prefix, struct kvpbus_store **store,
                                             struct kvpbus_failure *failure);

#ifdef __cplusplus
}
#endif

#endif
