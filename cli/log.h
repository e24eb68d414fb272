// SPDX-License-Identifier: Apache-2.0
//
// The log: a line a thing that happened, on stderr, or in Windows' Event Log; never a payload,
// topic or key.
#ifndef KVPBUS_LOG_H
#define KVPBUS_LOG_H

#include "kvpbus/error.h"
#include "log_event.h"

enum kvpbus_log_level { KVPBUS_LOG_ERROR, KVPBUS_LOG_WARNING, KVPBUS_LOG_INFO, KVPBUS_LOG_DEBUG };
enum kvpbus_log_format { KVPBUS_LOG_TEXT, KVPBUS_LOG_JSON };

// Lines above the level are left out. When stderr is systemd's journal (JOURNAL_STREAM names it),
// lines begin with "<3>" to "<7>" as sd-daemon(3) has it, and text has no time, which the journal
// knows. The Event Log has its own form whatever the format.
void kvpbus_log_setup(enum kvpbus_log_level level, enum kvpbus_log_format format);
void kvpbus_log(enum kvpbus_log_level level, const char *format, ...) KVPBUS_PRINTF(2, 3);
// Of what has a number, which says the level too; `peer` may be NULL.
void kvpbus_log_event(enum kvpbus_log_event event, const char *peer, const char *format, ...)
    KVPBUS_PRINTF(3, 4);

#endif
