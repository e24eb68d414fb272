// SPDX-License-Identifier: Apache-2.0
//
// What the programs and the simulator use of the bus beside kvpbus/bus.h.
#ifndef KVPBUS_BUS_CALLS_H
#define KVPBUS_BUS_CALLS_H

#include "journal.h"
#include "kvpbus/bus.h"

// The endpoint of a peer row (kvpbus_journal_peer); made at the first call, later ones take over a
// changed name. Loading the row is the caller's job, on the journal's thread.
enum kvpbus_error kvpbus_bus_attach(struct kvpbus_bus *bus, const struct kvpbus_peer *peer,
                                    const uint8_t vm[KVPBUS_VM_ID_BYTES],
                                    struct kvpbus_endpoint **endpoint);

// Another's turn with the stores of the endpoint: while held no action is given; quiet says when
// none is under way.
void kvpbus_endpoint_hold(struct kvpbus_endpoint *endpoint, bool held);
bool kvpbus_endpoint_quiet(const struct kvpbus_endpoint *endpoint);

// True when the peer's store is full of what is not ours, so that reading it takes long: it is
// looked at rarely, and should be read apart from those of other peers.
bool kvpbus_endpoint_stuffed(const struct kvpbus_endpoint *endpoint);

#endif
