// SPDX-License-Identifier: Apache-2.0
//
// Two links joined by two stores in memory, with a journal of arrays, for tests of the link alone.
// Time is the test's; every call is carried out at once.
#ifndef KVPBUS_LINK_RIG_H
#define KVPBUS_LINK_RIG_H

#include "link.h"

enum { RIG_BUNDLES = 16, RIG_HOST = 0, RIG_GUEST = 1 };

struct rig_bundle {
    uint8_t *bytes; // NULL: none
    uint32_t total;
    uint8_t *held; // one flag a byte, at the receiver
    bool delivered, offered, complete;
};

struct rig_side {
    struct kvpbus_link *link;
    uint8_t identity[KVPBUS_IDENTITY_BYTES], secret[KVPBUS_SECRET_BYTES];
    struct kvpbus_scan store;                                // what it has written
    struct rig_bundle sent[KVPBUS_CLASS_COUNT][RIG_BUNDLES]; // by number
    struct rig_bundle received[KVPBUS_CLASS_COUNT][RIG_BUNDLES];
    uint64_t next[KVPBUS_CLASS_COUNT];
    uint8_t epochs[KVPBUS_EPOCHS_KEPT][KVPBUS_EPOCH_BYTES];
    size_t epoch_count;
    uint8_t retired[KVPBUS_EPOCHS_KEPT][KVPBUS_EPOCH_BYTES];
    size_t retired_count;
    uint8_t pending[KVPBUS_IDENTITY_BYTES];
    uint8_t pending_epoch[KVPBUS_EPOCH_BYTES];
    uint8_t extensions[KVPBUS_EXTENSIONS_MAX]; // of the pending one
    size_t extensions_length;
    unsigned pendings, rotated, rebound;
    bool has_pending, feeding;
    uint32_t session;
    struct kvpbus_sync peer_sync;
    struct kvpbus_gap_answer last_answer, to_answer;
    bool has_answer, has_gap;
    unsigned writes, items, polls, went_back, alarms, second_writers;
    uint64_t room;
    // Faults
    bool deaf;                      // its polls do not happen
    bool lose_writes;               // they succeed and do nothing
    enum kvpbus_error write_error;  // KVPBUS_OK: none
    size_t cut;                     // values are cut to so many characters; 0: not
    enum kvpbus_error commit_error; // of the journal, for packets
};

struct rig {
    uint64_t now;
    uint64_t poll_ms;
    uint64_t next_poll[2];
    struct rig_side sides[2];
    uint8_t vm[KVPBUS_VM_ID_BYTES];
};

// Both sides started and, with `paired`, pinned to each other.
void rig_start(struct rig *rig, bool paired);
void rig_stop(struct rig *rig);
// A new process on the side: memory is lost, its store and journal stay.
void rig_restart(struct rig *rig, int side);
void rig_pin(struct rig *rig, int side);
// Queues a bundle of `length` random bytes; returns its number.
uint64_t rig_send(struct rig *rig, int side, enum kvpbus_class class_, uint32_t length);
// Lets time pass.
void rig_run(struct rig *rig, uint64_t ms);
// Until both are live, or all that was sent is delivered, or `limit` ms have passed: false then.
bool rig_until_live(struct rig *rig, uint64_t limit);
bool rig_until_delivered(struct rig *rig, uint64_t limit);
enum kvpbus_link_state rig_state(const struct rig *rig, int side);
// The items of a side's store with `kind`.
size_t rig_items(const struct rig *rig, int side, enum kvpbus_key_kind kind);
// Puts an item into a store behind its owner's back; value NULL removes the key.
void rig_put(struct rig *rig, int side, const char *key, const char *value);
const char *rig_get(const struct rig *rig, int side, const char *key);
void rig_wipe(struct rig *rig, int side);

#endif
