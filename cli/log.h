// SPDX-License-Identifier: Apache-2.0
//
// The log: a line a thing that happened, on stderr; never a payload, topic or key.
#ifndef KVPBUS_LOG_H
#define KVPBUS_LOG_H

enum kvpbus_log_level { KVPBUS_LOG_ERROR, KVPBUS_LOG_WARNING, KVPBUS_LOG_INFO, KVPBUS_LOG_DEBUG };

// Lines above the level are left out. When stderr goes to the journal (JOURNAL_STREAM is set),
// lines begin with "<3>" to "<7>" as sd-daemon(3) has it, otherwise with the time.
void kvpbus_log_setup(enum kvpbus_log_level level);
void kvpbus_log(enum kvpbus_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
