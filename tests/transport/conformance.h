// SPDX-License-Identifier: Apache-2.0
//
// The contract of include/kvpbus/store.h as a suite that runs over a store of any kind. Call it
// from a Criterion test; it asserts, and leaves the store without items of its own.
#ifndef KVPBUS_TESTS_CONFORMANCE_H
#define KVPBUS_TESTS_CONFORMANCE_H

#include "kvpbus/store.h"

struct conformance {
    struct kvpbus_store *store; // empty, with the prefix "kvpbus"
    void *context;
    // Makes the peer's item `key` hold `value`, or, with NULL, not exist.
    void (*put_peer)(void *context, const char *key, const char *value);
    // Makes an item that is not ours in the store's own side, by other means than the store. NULL
    // when the kind has no such items.
    void (*plant_foreign)(void *context, const char *key, const char *value);
    // True when that item is still there, unchanged.
    bool (*foreign_intact)(void *context, const char *key, const char *value);
    unsigned random_steps; // length of the random walk; 0: 200
};

void conformance_run(const struct conformance *suite);

#endif
