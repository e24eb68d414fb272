// SPDX-License-Identifier: Apache-2.0
//
// What of outside stops a service, and what has it read its files again; one source per system.
#ifndef KVPBUS_SERVICE_SIGNALS_H
#define KVPBUS_SERVICE_SIGNALS_H

#include <stdbool.h>

enum { KVPBUS_SERVICE_SIGNALS = 3 };

struct kvpbus_service_signal {
    int number; // as uv_signal_start has it
    bool reloads;
};

extern const struct kvpbus_service_signal kvpbus_service_signals[KVPBUS_SERVICE_SIGNALS];

// A client that hangs up ends nothing.
void kvpbus_service_ignore_hang_up(void);

#endif
