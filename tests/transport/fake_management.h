// SPDX-License-Identifier: Apache-2.0
//
// A management service in memory with one VM, which can be told to fail in each way that the real
// one is known to, and which counts what it is asked for.
#ifndef KVPBUS_TESTS_FAKE_MANAGEMENT_H
#define KVPBUS_TESTS_FAKE_MANAGEMENT_H

#include "kvpbus/management.h"

enum { FAKE_ITEMS_MAX = 512 };

enum fake_fault_kind {
    FAKE_NO_FAULT,
    FAKE_RETURN,       // the method returns `code`
    FAKE_JOB,          // a job ends in `state` with `code` and `hresult` after `applied` items
    FAKE_NO_EFFECT,    // success, and nothing was done
    FAKE_TIMEOUT,      // no answer, after `applied` items
    FAKE_DISCONNECTED, // the call cannot be made
};

struct fake_fault {
    enum fake_fault_kind kind;
    unsigned skip;  // calls before it
    unsigned times; // calls that it hits
    uint32_t code;
    enum kvpbus_job_state state;
    int64_t hresult;
    size_t applied;
};

struct fake_items {
    struct kvpbus_item items[FAKE_ITEMS_MAX];
    size_t count;
};

struct fake_management {
    struct kvpbus_management head;
    struct kvpbus_vm vm;
    struct fake_items host;
    struct fake_items guest;
    const char *oversized; // key of a host item whose value is over our limits, or NULL
    size_t limit;          // items; beyond, Add fails and the VM is in the failed state
    uint32_t modify_missing;
    uint32_t remove_missing;
    bool direct; // methods return the result themselves instead of a job
    struct fake_fault fault;
    enum kvpbus_error guest_result;
    enum kvpbus_error read_host_error;
    bool vm_absent;

    unsigned calls[3]; // by enum kvpbus_operation
    unsigned reads;    // of the host items
    unsigned lists;
    size_t last_count[3]; // items in the last call of each kind
    char order[16];       // 'A', 'M', 'R' for each call, the first 15
};

void fake_management_make(struct fake_management *fake);

// Sets an item from outside, or removes it (value NULL). Any key.
void fake_set(struct fake_items *items, const char *key, const char *value);
const char *fake_get(const struct fake_items *items, const char *key);

#endif
