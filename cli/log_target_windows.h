// SPDX-License-Identifier: Apache-2.0
#ifndef KVPBUS_LOG_TARGET_WINDOWS_H
#define KVPBUS_LOG_TARGET_WINDOWS_H

#include <wchar.h>

// From now on the log goes to the Event Log, from the source of that name. Where that cannot be
// had there is no log: a service has no standard error.
void kvpbus_log_to_events(const wchar_t *source);

#endif
