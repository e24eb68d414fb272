// SPDX-License-Identifier: Apache-2.0
//
// How many processes of one user may wait for notices of changed files. A VM has one agent; a fleet
// on one machine has more than the usual limit of 128, and the agents beyond it would be polling.
#ifndef KVPBUS_BENCH_NOTICE_LIMIT_H
#define KVPBUS_BENCH_NOTICE_LIMIT_H

#include <stddef.h>

// Raises the limit (root may) until this program ends; ends it with 1 when that is not allowed.
void bench_allow_notices(size_t agents);

#endif
