// SPDX-License-Identifier: Apache-2.0
//
// Windows has no sd_notify: nobody asks.
#include <stddef.h>

#include "service_notify.h"

struct kvpbus_notifier *kvpbus_notifier_start(struct kvpbus_service *service)
{
    (void)service;
    return NULL;
}

void kvpbus_notifier_stopping(struct kvpbus_notifier *notifier)
{
    (void)notifier;
}

void kvpbus_notify_nothing_to_do(void)
{
}

void kvpbus_notifier_close(struct kvpbus_notifier *notifier)
{
    (void)notifier;
}
