// SPDX-License-Identifier: Apache-2.0
//
// Times for people, in UTC as in the log and the audit: "2026-11-26T10:05:36Z"; and what people
// write.
#ifndef KVPBUS_MOMENT_H
#define KVPBUS_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

enum { MOMENT_TEXT = 32 };

// ms since 1970; 0 is "-".
void moment_text(int64_t ms, char text[MOMENT_TEXT]);

// 2026-11-26, "2026-11-26 10:05:36" or 2026-11-26T10:05:36Z, from 1970 on.
bool moment_parse(const char *text, int64_t *ms);

#endif
