// SPDX-License-Identifier: Apache-2.0
//
// The figures of a service and its peers in Prometheus's text format. No payload, no topic.
#ifndef KVPBUS_METRICS_H
#define KVPBUS_METRICS_H

#include "service.h"

// Gathers the figures and gives their text, freed by the receiver with free(), on the loop's
// thread: at once when there is no peer, else when the journal has counted.
typedef void kvpbus_metrics_fn(void *context, char *text, size_t length);
void kvpbus_metrics_gather(struct kvpbus_service *service, kvpbus_metrics_fn *callback,
                           void *context);

#endif
