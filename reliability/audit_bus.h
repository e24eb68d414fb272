// SPDX-License-Identifier: Apache-2.0
//
// The audit of a bus: its owner enters what it knows, and reads what was entered. As in bus.h: the
// loop's thread only, each call is one job.
#ifndef KVPBUS_AUDIT_BUS_H
#define KVPBUS_AUDIT_BUS_H

#include "audit_journal.h"
#include "bus.h"

// `endpoint` NULL: of no peer. With `sign` the head is signed after it.
void kvpbus_bus_audit(struct kvpbus_bus *bus, struct kvpbus_endpoint *endpoint,
                      enum kvpbus_audit_kind kind, const char *detail, bool sign);

// A page of entries, and with `sign` a mark of the head as it is before it is read, else NULL. On
// failure both are NULL. What they point to goes with the call.
typedef void kvpbus_audit_page_fn(void *context, const struct kvpbus_audit_page *page,
                                  const struct kvpbus_audit_mark *mark,
                                  const struct kvpbus_failure *failure);
void kvpbus_bus_audit_read(struct kvpbus_bus *bus, const struct kvpbus_audit_query *query,
                           bool sign, kvpbus_audit_page_fn *callback, void *context);

#endif
