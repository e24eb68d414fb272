// SPDX-License-Identifier: Apache-2.0
//
// Goes through all of a journal's audit.
#ifndef KVPBUS_TESTS_AUDIT_CHECK_H
#define KVPBUS_TESTS_AUDIT_CHECK_H

#include "audit_journal.h"

// In a transaction of its own. *at: the number at which it does not fit, else the last one.
enum kvpbus_audit_fault audit_check(struct kvpbus_journal *journal,
                                    const uint8_t identity[KVPBUS_IDENTITY_BYTES], uint64_t *at);

#endif
