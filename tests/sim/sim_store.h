// SPDX-License-Identifier: Apache-2.0
//
// What the stores of one VM hold, as tables of keys and values. A channel is one direction: the
// writer's own store and what the peer sees of it. On the way from the host those are two places,
// the VM's configuration and pool 0 in the guest, and each item is pushed from one to the other
// alone and late; on the way from the guest both are pool 1. One thread.
#ifndef KVPBUS_SIM_STORE_H
#define KVPBUS_SIM_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rng.h"

enum {
    SIM_KEY = 32,
    SIM_ITEMS_MAX = 192,
    SIM_HISTORY = 8,   // former contents that a stale scan may show
    SIM_ARCHIVE = 256, // values that were written once and may come back
    SIM_LATE_MAX = 160,
};

struct sim_value; // shared text

struct sim_entry {
    char key[SIM_KEY];
    struct sim_value *value;
};

struct sim_table {
    size_t count;
    struct sim_entry entries[SIM_ITEMS_MAX];
};

const char *sim_table_get(const struct sim_table *table, const char *key);
const char *sim_entry_text(const struct sim_entry *entry);
// NULL removes. False: the table is full.
bool sim_table_put(struct sim_table *table, const char *key, const char *value);
void sim_table_clear(struct sim_table *table);
void sim_table_copy(struct sim_table *to, const struct sim_table *from);

struct sim_push {
    char key[SIM_KEY];
    uint64_t due;
};

// A change that a service carries out long after it gave up waiting for it.
struct sim_late {
    struct sim_entry entry; // value NULL: remove
    uint64_t due;
};

struct sim_channel {
    bool pushed; // the peer sees a copy
    struct sim_table own, seen;
    struct sim_table history[SIM_HISTORY];
    size_t history_count, history_next;
    struct sim_push pushes[SIM_ITEMS_MAX];
    size_t push_count;
    struct sim_late late[SIM_LATE_MAX];
    size_t late_count;
    struct sim_entry archive[SIM_ARCHIVE];
    size_t archive_count;
    bool failed; // too many items: no new key before some are removed
};

void sim_channel_clear(struct sim_channel *channel);
// What the peer sees now.
struct sim_table *sim_channel_seen(struct sim_channel *channel);
// Keeps what the peer sees now for stale scans.
void sim_channel_remember(struct sim_channel *channel);
// Changes the own store; a copy is pushed at `due`, UINT64_MAX: not by this change.
void sim_channel_put(struct sim_channel *channel, const char *key, const char *value, uint64_t due);
// Pushes everything of the own store again, each item at a time of its own.
void sim_channel_push_all(struct sim_channel *channel, uint64_t from, uint64_t to,
                          struct sim_rng *rng);
// What is not pushed yet is not pushed.
void sim_channel_push_none(struct sim_channel *channel);
// Carries out the pushes and late changes that are due. True: the peer sees something new.
bool sim_channel_turn(struct sim_channel *channel, uint64_t now);
uint64_t sim_channel_deadline(const struct sim_channel *channel);
void sim_channel_late(struct sim_channel *channel, const char *key, const char *value,
                      uint64_t due);
// Some value that was written once; NULL when none was.
const struct sim_entry *sim_channel_archived(const struct sim_channel *channel,
                                             struct sim_rng *rng);

#endif
