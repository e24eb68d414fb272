// SPDX-License-Identifier: Apache-2.0
#ifndef KVPBUS_LOG_TARGET_H
#define KVPBUS_LOG_TARGET_H

#include <stdbool.h>

// Standard error is systemd's journal.
bool kvpbus_log_to_journal(void);

#endif
