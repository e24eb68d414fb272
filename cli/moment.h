// SPDX-License-Identifier: Apache-2.0
//
// A time for people: "2026-11-26 10:05:36", local.
#ifndef KVPBUS_MOMENT_H
#define KVPBUS_MOMENT_H

#include <stdint.h>

enum { MOMENT_TEXT = 32 };

// ms since 1970; 0 is "-".
void moment_text(int64_t ms, char text[MOMENT_TEXT]);

#endif
