// SPDX-License-Identifier: Apache-2.0
#include "service_signals.h"

#include <signal.h>

const struct kvpbus_service_signal kvpbus_service_signals[KVPBUS_SERVICE_SIGNALS] = {
    {SIGINT, false}, {SIGTERM, false}, {SIGHUP, true}};

void kvpbus_service_ignore_hang_up(void)
{
    signal(SIGPIPE, SIG_IGN);
}
