// SPDX-License-Identifier: Apache-2.0
//
// The faults that a VM can be told to have, and how often each still strikes.
#ifndef KVPBUS_LAB_FAULT_H
#define KVPBUS_LAB_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvpbus/error.h"

enum kvpbus_lab_fault_value {
    KVPBUS_LAB_VALUE_NONE,
    KVPBUS_LAB_VALUE_NEEDED,
};

// name, word on the command line, does it take a value, least and greatest value, what it does
#define KVPBUS_LAB_FAULT_MAP(X)                                                                   \
    X(LOST_JOB, "lost-job", NONE, 0, 0, "a job is accepted, does nothing and never ends")         \
    X(SILENT_JOB, "silent-job", NONE, 0, 0, "a job does its work and never ends")                 \
    X(HALF_BATCH, "half-batch", NONE, 0, 0, "a job does the first half of its items, then fails") \
    X(NO_EFFECT, "no-effect", NONE, 0, 0, "a job reports success and does nothing")               \
    X(NOT_DELIVERED, "not-delivered", NONE, 0, 0,                                                 \
      "a job reports success, but the guest gets nothing")                                        \
    X(CUT_VALUE, "cut-value", NEEDED, 1, 1022, "values are cut to N characters, both ways")       \
    X(WIPE_POOL, "wipe-pool", NEEDED, 0, 4, "pool file N is emptied, once, now")                  \
    X(WIPE_AT_BOOT, "wipe-at-boot", NEEDED, 0, 4, "pool file N is emptied at each start")         \
    X(DAEMON_ABSENT, "daemon-absent", NONE, 0, 0, "the guest's KVP daemon does not run")          \
    X(LATENCY, "latency", NEEDED, 0, 600000, "each request takes N milliseconds more")            \
    X(JOB_LATENCY, "job-latency", NEEDED, 0, 600000, "each job starts N milliseconds late")       \
    X(ERROR, "error", NEEDED, 1, 65535, "Add, Modify and Remove return N")                        \
    X(STALE_READ, "stale-read", NONE, 0, 0, "a read of the guest gives the result before it")     \
    X(PARTIAL_READ, "partial-read", NONE, 0, 0, "a read of the guest gives one half, in turn")    \
    X(TOO_MANY, "too-many", NONE, 0, 0, "Add finds the limit of items reached")                   \
    X(DISABLE_EXCHANGE, "disable-exchange", NONE, 0, 0, "Data Exchange is switched off")          \
    X(ENABLE_EXCHANGE, "enable-exchange", NONE, 0, 0, "Data Exchange is switched on again")       \
    X(CLEAR, "clear", NONE, 0, 0, "ends all faults of the VM")

enum kvpbus_lab_fault {
#define X(name, word, value, least, most, text) KVPBUS_LAB_FAULT_##name,
    KVPBUS_LAB_FAULT_MAP(X)
#undef X
        KVPBUS_LAB_FAULT_COUNT
};

struct kvpbus_lab_faults {
    struct {
        bool active;
        bool counted;       // it ends after `remaining` strikes
        uint32_t remaining; // with counted
        int64_t value;
    } of[KVPBUS_LAB_FAULT_COUNT];
};

// Finds a fault by its word and checks its value. On an error the failure lists what there is.
enum kvpbus_error kvpbus_lab_fault_parse(const char *word, bool has_value, int64_t value,
                                         enum kvpbus_lab_fault *fault,
                                         struct kvpbus_failure *failure);

// Puts a fault in force for `count` strikes, 0 until it is cleared.
void kvpbus_lab_fault_set(struct kvpbus_lab_faults *faults, enum kvpbus_lab_fault fault,
                          int64_t value, uint32_t count);

void kvpbus_lab_fault_clear(struct kvpbus_lab_faults *faults);

// True when the fault is in force; nothing is counted.
bool kvpbus_lab_fault_active(const struct kvpbus_lab_faults *faults, enum kvpbus_lab_fault fault);

// True when the fault is in force, which counts as one strike; its value goes to *value unless
// NULL.
bool kvpbus_lab_fault_strikes(struct kvpbus_lab_faults *faults, enum kvpbus_lab_fault fault,
                              int64_t *value);

// "cut-value 100, 3 times" into `text`, or nothing when the fault is not in force.
void kvpbus_lab_fault_describe(const struct kvpbus_lab_faults *faults, enum kvpbus_lab_fault fault,
                               char *text, size_t size);

// One line for each fault, for --help.
const char *kvpbus_lab_fault_help(void);

#endif
