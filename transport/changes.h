// SPDX-License-Identifier: Apache-2.0
//
// What every store does with a batch of changes before and after carrying it out.
#ifndef KVPBUS_CHANGES_H
#define KVPBUS_CHANGES_H

#include "kvpbus/store.h"

// KVPBUS_OK when the batch keeps the contract of `write`: 0 to KVPBUS_CHANGES_MAX changes, distinct
// keys of the prefix, everything printable and within the limits. Otherwise the error, which is
// also put into each of results (as far as KVPBUS_CHANGES_MAX). Any thread.
enum kvpbus_error kvpbus_changes_check(const char *prefix, const struct kvpbus_change *changes,
                                       size_t count, enum kvpbus_error *results,
                                       struct kvpbus_failure *failure);

// The gravest of the results: one that concerns the whole store goes before one that concerns an
// item, and a refusal before an unknown outcome. KVPBUS_OK when all are. Any thread.
enum kvpbus_error kvpbus_changes_gravest(const enum kvpbus_error *results, size_t count);

// Puts one outcome into all results.
void kvpbus_changes_set_all(enum kvpbus_error *results, size_t count, enum kvpbus_error outcome);

#endif
