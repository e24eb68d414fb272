// SPDX-License-Identifier: Apache-2.0
//
// Ctrl-C, Ctrl-Break and the console's closing, which libuv calls SIGHUP, stop. Windows has no
// signal that would say "read your files again": files of trusted keys are looked at anyway, the
// configuration is read at the start.
#include "service_signals.h"

#include <uv.h>

const struct kvpbus_service_signal kvpbus_service_signals[KVPBUS_SERVICE_SIGNALS] = {
    {SIGINT, false}, {SIGBREAK, false}, {SIGHUP, false}};

void kvpbus_service_ignore_hang_up(void)
{
}
