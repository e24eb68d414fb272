// SPDX-License-Identifier: Apache-2.0
//
// What a VM's part of the lab has done since the lab was started.
#ifndef KVPBUS_LAB_STATS_H
#define KVPBUS_LAB_STATS_H

#include <stdint.h>

#define KVPBUS_LAB_STATS_MAP(X)                                                            \
    X(calls_add) /* Add calls, refused ones included */                                    \
    X(calls_modify)                                                                        \
    X(calls_remove)                                                                        \
    X(reads_guest) /* reads of the guest's items; a query of several VMs counts at each */ \
    X(queries)     /* those of them that name this VM first: their sum counts queries */   \
    X(reads_host)                                                                          \
    X(items_added) /* host items */                                                        \
    X(items_modified)                                                                      \
    X(items_removed)                                                                       \
    X(value_bytes) /* of the values added and modified */                                  \
    X(jobs_completed)                                                                      \
    X(jobs_failed)                                                                         \
    X(jobs_lost)                                                                           \
    X(guest_sets) /* requests that the guest's daemon has answered */                      \
    X(guest_deletes)                                                                       \
    X(guest_enumerations)                                                                  \
    X(guest_items_read)                                                                    \
    X(guest_bytes_read) /* of the values read */                                           \
    X(starts)                                                                              \
    X(daemon_starts)

struct kvpbus_lab_stats {
#define X(name) uint64_t name;
    KVPBUS_LAB_STATS_MAP(X)
#undef X
};

#endif
