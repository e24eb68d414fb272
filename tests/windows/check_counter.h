// SPDX-License-Identifier: Apache-2.0
//
// A check that waits for what another thread counts.
#ifndef KVPBUS_TESTS_CHECK_COUNTER_H
#define KVPBUS_TESTS_CHECK_COUNTER_H

#include <windows.h>

#include "check.h"

static inline void check_counter(volatile LONG *counter, LONG value)
{
    for (int i = 0; i < 3000 && InterlockedCompareExchange(counter, 0, 0) != value; i++)
        Sleep(10);
    CHECK(*counter == value);
}

#endif
