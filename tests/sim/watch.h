// SPDX-License-Identifier: Apache-2.0
//
// What must hold of everything that is written into a store: only keys of the protocol, values that
// are items, no plaintext, no nonce for two contents.
#ifndef KVPBUS_SIM_WATCH_H
#define KVPBUS_SIM_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvpbus/store.h"

struct sim_side;

struct sim_nonce {
    uint64_t nonce, content; // hashes; nonce 0: free
};

struct sim_watch {
    struct sim_nonce *nonces; // an open hash table
    size_t capacity, count;
};

void sim_watch_free(struct sim_watch *watch);
// A side has read its own store or the peer's.
void sim_watch_read(struct sim_side *side, bool own, const struct kvpbus_scan *scan);
// A side is about to write these.
void sim_watch_write(struct sim_side *side, const struct kvpbus_change *changes, size_t count);
// The number of keys of the protocol stays below its bound.
void sim_watch_store(struct sim_side *side);

#endif
