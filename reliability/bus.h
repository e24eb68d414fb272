// SPDX-License-Identifier: Apache-2.0
//
// What the programs and the simulator use of the bus beside kvpbus/bus.h.
#ifndef KVPBUS_BUS_CALLS_H
#define KVPBUS_BUS_CALLS_H

#include "journal.h"
#include "kvpbus/bus.h"
#include "parcel.h"
#include "rotation.h"

enum { KVPBUS_MOVE_PATH = 600 };

// How this side's identity followed earlier ones, for the peers that know those; before the first
// endpoint is made.
void kvpbus_bus_follows(struct kvpbus_bus *bus, const struct kvpbus_rotation *rotation);
// This side goes on as another identity, which is durable already.
void kvpbus_bus_rotate(struct kvpbus_bus *bus, const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                       const uint8_t secret[KVPBUS_SECRET_BYTES],
                       const struct kvpbus_rotation *rotation);
// Of the paired peers, one that a further rotation would leave behind: it knows none of the
// identities that the statements would still name. NULL: there is none.
const struct kvpbus_peer *kvpbus_bus_left_behind(const struct kvpbus_bus *bus);

// On a host: the paired peer goes on under the VM id `vm`. From here to the callback it is the
// caller's turn with it, and with the endpoint that has that id, if any.
void kvpbus_bus_rebind(struct kvpbus_endpoint *endpoint, const uint8_t vm[KVPBUS_VM_ID_BYTES],
                       kvpbus_done_fn *callback, void *context);

// On a host: a VM goes to another host, comes back untaken, or comes from another one (parcel.h).
// It is the caller's turn with the endpoint from here to the callback.
struct kvpbus_moving {
    char copy[KVPBUS_MOVE_PATH];         // the VM's part of the journal, of the host that it left
    char sealed[KVPBUS_MOVE_PATH];       // the file for the other host
    uint8_t host[KVPBUS_IDENTITY_BYTES]; // the other one
    bool replace;
};
// Again for the same host it makes the same file again. KVPBUS_EXISTS: for another one.
void kvpbus_bus_export(struct kvpbus_endpoint *endpoint, const struct kvpbus_moving *moving,
                       kvpbus_done_fn *callback, void *context);
void kvpbus_bus_export_undo(struct kvpbus_endpoint *endpoint, const struct kvpbus_moving *moving,
                            kvpbus_done_fn *callback, void *context);
// KVPBUS_BAD_KEY: it is from another host than `host`.
void kvpbus_bus_import(struct kvpbus_endpoint *endpoint, const struct kvpbus_moving *moving,
                       kvpbus_done_fn *callback, void *context);

// The endpoint of a peer row (kvpbus_journal_peer); made at the first call, later ones take over a
// changed name. Loading the row is the caller's job, on the journal's thread.
enum kvpbus_error kvpbus_bus_attach(struct kvpbus_bus *bus, const struct kvpbus_peer *peer,
                                    const uint8_t vm[KVPBUS_VM_ID_BYTES],
                                    struct kvpbus_endpoint **endpoint);

// Another's turn with the stores of the endpoint. While anybody holds it no action is given; when
// it is quiet, with no action under way and nobody's turn, one who holds it may take his turn,
// which the release ends.
void kvpbus_endpoint_hold(struct kvpbus_endpoint *endpoint);
bool kvpbus_endpoint_quiet(const struct kvpbus_endpoint *endpoint);
void kvpbus_endpoint_take(struct kvpbus_endpoint *endpoint);
void kvpbus_endpoint_release(struct kvpbus_endpoint *endpoint);

// True when the peer's store is full of what is not ours, so that reading it takes long: it is
// looked at rarely, and should be read apart from those of other peers.
bool kvpbus_endpoint_stuffed(const struct kvpbus_endpoint *endpoint);

// --- trust that was given beforehand ---

// Pins the key that a file gives, while none is pinned. KVPBUS_BAD_KEY: another one is, and stays.
void kvpbus_bus_trust(struct kvpbus_endpoint *endpoint,
                      const uint8_t identity[KVPBUS_IDENTITY_BYTES], kvpbus_done_fn *callback,
                      void *context);
// On a host: draws a token for the peer that holds for ttl_ms. `token` NULL: the failure says why.
typedef void kvpbus_token_fn(void *context, const struct kvpbus_token *token,
                             const struct kvpbus_failure *failure);
void kvpbus_bus_token_make(struct kvpbus_endpoint *endpoint, uint64_t ttl_ms, bool replaces,
                           kvpbus_token_fn *callback, void *context);
// On a guest: pins the token's host, and proves the token to it until it has pinned this side.
void kvpbus_bus_token_take(struct kvpbus_endpoint *endpoint, const struct kvpbus_token *token,
                           kvpbus_done_fn *callback, void *context);
// Proofs of this peer that were not believed, since start.
uint64_t kvpbus_endpoint_refused_enrolments(const struct kvpbus_endpoint *endpoint);

#endif
