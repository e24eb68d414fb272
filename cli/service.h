// SPDX-License-Identifier: Apache-2.0
//
// What both services share: the loop, the bus on it, the journal's thread, the store calls on pool
// threads and the control socket. A program gives the stores; everything here belongs to the loop's
// thread.
#ifndef KVPBUS_SERVICE_H
#define KVPBUS_SERVICE_H

#include <uv.h>

#include "bus.h"
#include "journal_thread.h"
#include "kvpbus/management.h"
#include "log.h"
#include "service_signals.h"
#include "state_dir.h"

struct kvpbus_control_server;
struct kvpbus_metrics_server;
struct kvpbus_service;
struct kvpbus_service_trust;

enum {
    KVPBUS_STOP_WITHIN = 20000, // ms
    KVPBUS_STOP_MARGIN = 10000, // ms that a service manager is asked for beyond
};

struct kvpbus_service_options {
    enum kvpbus_role role;
    const char *program;                                   // for messages
    const char *state;                                     // folder
    const char *socket;                                    // path of the control socket
    const char *prefix;                                    // NULL: default
    uint32_t ring_slots;                                   // 0: default
    uint32_t poll_fast_ms, poll_slow_ms;                   // 0: default
    uint64_t body_max, outbox_max, inbox_max, journal_max; // bytes; 0: default
    uint64_t control_reserve, bulk_max;                    // bytes; 0: default
    const struct kvpbus_quota *quotas;                     // of single VMs
    size_t quota_count;
    uint32_t tries_max, history_ms; // 0: default
    uint32_t audit_max, audit_days; // 0: default
    uint32_t lease_ms;              // 0: 60 s
    const char *metrics;            // where they are served; NULL: nowhere
    uint32_t stop_within_ms;        // 0: 20 s
    const char *trust_file;         // keys of the host, of the guests on a host; NULL: none
    const char *token_file;         // of a guest; NULL: none
    void (*reload)(struct kvpbus_service *service); // at SIGHUP; NULL: nothing
};

// A store that calls are made on, one of each kind at a time.
struct kvpbus_service_ops {
    // The one of an endpoint; the service makes calls on it on pool threads.
    struct kvpbus_store *(*store)(void *program, const struct kvpbus_endpoint *endpoint);
    // Carries out the READ_PEER actions of a turn; NULL: each by its own store. Calls
    // kvpbus_service_tick, then answers each endpoint with kvpbus_bus_read_done.
    void (*read_peers)(void *program, struct kvpbus_endpoint **endpoints, size_t count);
    // Endpoints have other VM ids than before, or are there for VMs that the program has not seen.
    // NULL: that never happens.
    void (*rebound)(void *program);
};

struct kvpbus_service {
    uv_loop_t *loop;
    const struct kvpbus_service_ops *ops;
    void *program;
    struct kvpbus_service_options options;
    struct kvpbus_state_dir state;
    struct kvpbus_journal_thread *journal;
    struct kvpbus_bus *bus;
    struct kvpbus_control_server *control;
    struct kvpbus_service_trust *trust;
    struct kvpbus_metrics_server *metrics; // NULL: none
    int64_t began_ms;                      // wall clock
    struct kvpbus_endpoint **endpoints;    // in the order in which they were added
    size_t endpoint_count;
    uv_timer_t timer;
    uv_prepare_t prepare; // a turn before each wait
    uv_signal_t signals[KVPBUS_SERVICE_SIGNALS];
    bool stopping;
    size_t calls;                 // store calls under way
    struct both_call *held_calls; // that wait for an endpoint to be quiet
    struct rebind_call *rebind;   // under way; NULL: none
    struct move_call *move;       // the same
    // A client has begun what has a file in the state folder, and its last callback has not come,
    // be the client gone or not.
    bool backup_under_way, parcel_under_way;
};

// Whether a service could begin with these, as far as they tell by themselves. KVPBUS_CONFIG,
// KVPBUS_INVALID_ARGUMENT. kvpbus_service_open begins with it.
enum kvpbus_error kvpbus_service_check(const struct kvpbus_service_options *options,
                                       struct kvpbus_failure *failure);

// Opens state folder, journal, bus and control socket. The peers that the journal knows, of a guest
// the host, of a host the VMs that are paired, have their endpoints then. On an error everything is
// closed again.
enum kvpbus_error kvpbus_service_open(struct kvpbus_service *service,
                                      const struct kvpbus_service_options *options,
                                      const struct kvpbus_service_ops *ops, void *program,
                                      struct kvpbus_failure *failure);
// Runs until SIGINT or SIGTERM, or kvpbus_service_stop; then ends what is under way and closes all.
// After stop_within_ms, or a second signal, the process ends at once with KVPBUS_EXIT_FAILED: what
// was accepted is in the journal.
void kvpbus_service_run(struct kvpbus_service *service);
void kvpbus_service_stop(struct kvpbus_service *service);
// In ms, as configured.
uint32_t kvpbus_service_stops_within(const struct kvpbus_service *service);

// Makes a VM's row and its endpoint; `added` is told of it on the loop's thread, or with NULL why
// not.
typedef void kvpbus_service_added_fn(void *context, struct kvpbus_endpoint *endpoint,
                                     const struct kvpbus_failure *failure);
void kvpbus_service_add_peer(struct kvpbus_service *service, const uint8_t vm[KVPBUS_VM_ID_BYTES],
                             const char *name, kvpbus_service_added_fn *added, void *context);
struct kvpbus_endpoint *kvpbus_service_find(const struct kvpbus_service *service, const char *peer,
                                            struct kvpbus_failure *failure);
// By what the peer is found: its name, or, where that finds nothing or several, its GUID. NULL is
// named "". The text is the endpoint's, or in `guid`.
const char *kvpbus_service_name(const struct kvpbus_service *service,
                                const struct kvpbus_endpoint *endpoint,
                                char guid[KVPBUS_GUID_TEXT + 1]);

// This side takes a new identity, which the present one signs; the peers follow by themselves.
// Without `force` KVPBUS_BUSY when a paired peer would be left behind.
enum kvpbus_error kvpbus_service_rotate(struct kvpbus_service *service, bool force,
                                        struct kvpbus_failure *failure);

// On a host: the peer goes on under the VM id `vm`. KVPBUS_BUSY while its VM is here, unless
// `force`.
void kvpbus_service_rebind(struct kvpbus_service *service, struct kvpbus_endpoint *endpoint,
                           const uint8_t vm[KVPBUS_VM_ID_BYTES], bool force,
                           kvpbus_done_fn *callback, void *context);

// On a host: a VM's part of the journal goes into the file that kvpbus_move_path names for the host
// with this key, and the VM is served here no more. KVPBUS_BUSY while it runs here.
void kvpbus_service_export(struct kvpbus_service *service, struct kvpbus_endpoint *endpoint,
                           const uint8_t host[KVPBUS_IDENTITY_BYTES], kvpbus_done_fn *callback,
                           void *context);
// It is served here again: no other host has taken it.
void kvpbus_service_export_undo(struct kvpbus_service *service, struct kvpbus_endpoint *endpoint,
                                kvpbus_done_fn *callback, void *context);
// What such a file from the host with the key `host` has is served here.
void kvpbus_service_import(struct kvpbus_service *service, const struct kvpbus_parcel *parcel,
                           bool replace, kvpbus_done_fn *callback, void *context);
// The files of a move in the state folder; `what`: "export" the one that goes out, "import" the one
// that came.
void kvpbus_move_path(const struct kvpbus_service *service, const char *what,
                      char path[KVPBUS_MOVE_PATH]);
// Removes what a move that did not end has left.
void kvpbus_move_clear(const char *state);
void kvpbus_service_start_move(struct kvpbus_service *service);

// For the loop: begins what kvpbus_service_rebind has put off until its turn has come.
void kvpbus_service_start_rebind(struct kvpbus_service *service);

// For the loop: begins the store calls that are due, and those for kvpbus_service_read_both that
// have waited for others to end.
void kvpbus_service_take_actions(struct kvpbus_service *service);
void kvpbus_service_start_held(struct kvpbus_service *service);

// Both stores of an endpoint, read on a pool thread; for `kvpbus items`.
typedef void kvpbus_both_fn(void *context, const struct kvpbus_scan *own,
                            const struct kvpbus_scan *peer, const struct kvpbus_failure *failure);
void kvpbus_service_read_both(struct kvpbus_service *service, struct kvpbus_endpoint *endpoint,
                              kvpbus_both_fn *callback, void *context);

// Tells the bus what time it is. To be called before anything is reported to it: the loop may have
// slept since its last turn.
void kvpbus_service_tick(struct kvpbus_service *service);

#endif
