// SPDX-License-Identifier: Apache-2.0
//
// Where the log goes; one source per system.
#ifndef KVPBUS_LOG_TARGET_H
#define KVPBUS_LOG_TARGET_H

#include "log.h"

enum kvpbus_log_target {
    KVPBUS_LOG_STREAM,  // standard error
    KVPBUS_LOG_JOURNAL, // standard error, which is systemd's journal
    KVPBUS_LOG_EVENTS,  // Windows' Event Log
};

enum kvpbus_log_target kvpbus_log_target(void);

// A line without its end, when the target is KVPBUS_LOG_EVENTS.
void kvpbus_log_report(enum kvpbus_log_level level, enum kvpbus_log_event event, const char *line);

#endif
