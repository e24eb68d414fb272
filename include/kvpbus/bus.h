// SPDX-License-Identifier: Apache-2.0
//
// The bus of one side: its journal and one link per peer, joined. It does no I/O of its own and has
// no clock: the owner (kvpbus-host, kvpbus-guest, or a program that embeds it, see
// examples/embed.c) carries out store actions and journal jobs and says what time it is.
//
// Threads: everything here belongs to one thread, the loop's. Only kvpbus_jobs_run is called on the
// journal's, which may be the same, and store calls may be made anywhere. Callbacks come on the
// loop's thread, out of kvpbus_job_finish and what reports actions and time; from within one every
// function may be called but kvpbus_bus_close.
//
// Memory: strings, messages, filters and ids that are passed are copied before the call returns,
// but where it is said that they are kept. What a callback is given (ids, letters, records, status,
// counts, awaited, failures) ends with the callback, but for an endpoint, which stays until the bus
// is closed, and a delivery, which the receiver frees. `context` is given back and never looked at.
//
// To begin: kvpbus_journal_open, an executor for it, kvpbus_bus_open, kvpbus_bus_tick,
// kvpbus_bus_add for each peer. To end: no more actions are taken; when kvpbus_bus_busy says that
// nothing is under way, kvpbus_bus_close, then kvpbus_journal_close. A process that is killed
// instead loses nothing that was accepted.
//
// A turn of the owner's loop:
//   1. for each peer, while kvpbus_bus_action gives one: carry it out (READ_PEER, READ_OWN, WRITE)
//      and report it with kvpbus_bus_read_done or kvpbus_bus_write_done; several may be under way
//      for a peer, one of each kind;
//   2. journal jobs that the executor finished: kvpbus_job_finish;
//   3. sleep until kvpbus_bus_deadline, a finished action or job, or a change notice
//      (kvpbus_bus_notice); then kvpbus_bus_tick.
#ifndef KVPBUS_BUS_H
#define KVPBUS_BUS_H

#include "kvpbus/journal.h"
#include "kvpbus/store.h"

#ifdef __cplusplus
extern "C" {
#endif

// --- the journal's work ---

// One piece of it. An executor takes jobs on the loop's thread, joins those that wait by `next`,
// gives them to kvpbus_jobs_run on the journal's thread, and hands each back to the loop's, which
// calls kvpbus_job_finish: all in the order in which they were submitted. The more jobs are run
// together, the fewer times the disk is waited for.
struct kvpbus_job {
    enum kvpbus_error (*run)(struct kvpbus_job *job, struct kvpbus_journal *journal);
    enum kvpbus_error (*after)(struct kvpbus_job *job, struct kvpbus_journal *journal);
    void (*done)(struct kvpbus_job *job); // on the loop's thread; frees the job
    enum kvpbus_error result;             // of run, or of the commit
    struct kvpbus_failure failure;
    struct kvpbus_job *next; // for the executor's queue
};
// On the journal's thread: all in one transaction, with a savepoint around each, so that an error
// undoes that job alone. With a failed commit every job gets that error, which is returned. Then,
// for jobs that have it and did not fail, what comes after the transaction; `run` or `after` may be
// NULL.
enum kvpbus_error kvpbus_jobs_run(struct kvpbus_job *first, struct kvpbus_journal *journal);
static inline void kvpbus_job_finish(struct kvpbus_job *job)
{
    job->done(job);
}

struct kvpbus_executor {
    void (*submit)(struct kvpbus_executor *executor, struct kvpbus_job *job);
};

// The executor for a program that has no thread for the journal: jobs wait until
// kvpbus_inline_run, which runs and finishes them on the caller's thread, that of the loop. Each
// such call waits for the disk once. The fields are the library's.
struct kvpbus_inline {
    struct kvpbus_executor executor; // for kvpbus_bus_open
    struct kvpbus_journal *journal;
    struct kvpbus_job *first, **last;
};
// Keeps `journal`; *jobs stays where it is until the bus is closed.
void kvpbus_inline_init(struct kvpbus_inline *jobs, struct kvpbus_journal *journal);
// False: nothing waits now. True: what was finished led to more, to be run before the loop sleeps.
bool kvpbus_inline_run(struct kvpbus_inline *jobs);

// --- the bus ---

struct kvpbus_bus;
struct kvpbus_endpoint; // one peer of the bus: its link and what is under way

enum kvpbus_event {
    KVPBUS_EVENT_CHANGED,       // the state of the link
    KVPBUS_EVENT_PENDING,       // an unknown identity asks to be paired
    KVPBUS_EVENT_ALARM,         // something is wrong that the link cannot mend alone
    KVPBUS_EVENT_WENT_BACK,     // one of the two sides went back in time; positions are renewed
    KVPBUS_EVENT_SECOND_WRITER, // the link has stopped: another program uses identity or prefix
    KVPBUS_EVENT_REBOUND,       // the VM has another id, by the word of the host's operator
    KVPBUS_EVENT_ROTATED,       // the peer has another identity, which its former one has signed
};

// What the bus tells its owner; any may be NULL. Called on the loop's thread, never from within a
// call that the owner made for the same endpoint except where said.
struct kvpbus_bus_listener {
    void *context;
    // Messages are new in the inbox, or came back to it.
    void (*inbox)(void *context, int64_t peer);
    // Outcomes of sent messages changed.
    void (*outcome)(void *context, int64_t peer);
    // The link changed its state, or a pairing waits; for log, status and audit. `text` says in
    // words what happened.
    void (*event)(void *context, int64_t peer, enum kvpbus_event event, const char *text);
};

struct kvpbus_bus_options {
    enum kvpbus_role role;
    const char *prefix; // of the keys, kept until the bus is closed; NULL: "kvpbus"
    uint8_t identity[KVPBUS_IDENTITY_BYTES];
    uint8_t secret[KVPBUS_SECRET_BYTES];
    uint32_t ring_slots;   // of the ring, 1 to 64; 0: 64
    uint32_t value_max;    // characters of an item, 512 to KVPBUS_VALUE_MAX; 0: that
    size_t bundle_target;  // bytes of plain text that a bundle of small messages is filled to; 0:
                           // 256 KiB
    size_t body_max;       // bytes; 0: KVPBUS_MESSAGE_DEFAULT_MAX
    uint32_t poll_fast_ms; // between polls while something is in flight; 0: 200
    uint32_t poll_slow_ms; // at rest; 0: 2000 on a host, 10000 on a guest that has change notices
    void (*random)(void *context, uint8_t *bytes, size_t length); // NULL: libsodium
    void *random_context;
    struct kvpbus_bus_listener listener;
};

// Keeps `executor` until the bus is closed; the options are copied. KVPBUS_INVALID_ARGUMENT:
// prefix, ring_slots or value_max; KVPBUS_NOMEM; KVPBUS_INTERNAL: libsodium cannot start. Where a
// later call has no memory for its job, the process is aborted: nothing that was accepted is lost
// by that.
enum kvpbus_error kvpbus_bus_open(const struct kvpbus_bus_options *options,
                                  struct kvpbus_executor *executor, struct kvpbus_bus **bus);
// Only when no job and no action is under way (kvpbus_bus_busy). All endpoints end. NULL: nothing.
void kvpbus_bus_close(struct kvpbus_bus *bus);
bool kvpbus_bus_busy(const struct kvpbus_bus *bus);

// From now on, and for the looks that are planned; 0 as in the options.
void kvpbus_bus_polling(struct kvpbus_bus *bus, uint32_t fast_ms, uint32_t slow_ms);

// --- time: monotonic milliseconds for timers, wall clock for what is written in messages ---

// now_ms never goes back; wall_ms, since 1970, may be set.
void kvpbus_bus_tick(struct kvpbus_bus *bus, uint64_t now_ms, int64_t wall_ms);
// When the next tick or action is due, as of now_ms; UINT64_MAX never.
uint64_t kvpbus_bus_deadline(const struct kvpbus_bus *bus);

// --- peers ---

// Makes the peer known and gives it its endpoint, which stays until the bus is closed; the same one
// when it has one already. On a host `vm` is the GUID of the VM, KVPBUS_VM_ID_BYTES; a guest has
// one peer, its host, and `vm` is NULL. A name is cut at KVPBUS_PEER_NAME_MAX bytes. `callback` may
// be NULL. KVPBUS_TOO_LARGE: more than KVPBUS_PEERS_MAX peers; else an error of the journal.
enum { KVPBUS_PEERS_MAX = 4096 };
typedef void kvpbus_added_fn(void *context, struct kvpbus_endpoint *endpoint,
                             const struct kvpbus_failure *failure); // endpoint NULL: an error
void kvpbus_bus_add(struct kvpbus_bus *bus, const uint8_t *vm, const char *name,
                    kvpbus_added_fn *callback, void *context);
// By the id of kvpbus_endpoint_peer; NULL: none.
struct kvpbus_endpoint *kvpbus_bus_find(const struct kvpbus_bus *bus, int64_t peer);
// While suspended (the VM is off, paused, or its Data Exchange switched off) no timer runs, nothing
// is polled and nothing is written; `why`, or NULL, is a short text for status, kept until the next
// such call or the end of the bus.
void kvpbus_endpoint_suspend(struct kvpbus_endpoint *endpoint, bool suspended, const char *why);

// --- actions ---

enum kvpbus_action_kind { KVPBUS_ACTION_READ_PEER, KVPBUS_ACTION_READ_OWN, KVPBUS_ACTION_WRITE };
struct kvpbus_action {
    enum kvpbus_action_kind kind;
    struct kvpbus_endpoint *endpoint;
    // With WRITE; keys and values belong to the endpoint until the action is reported done.
    const struct kvpbus_change *changes;
    size_t count;
};
// The next thing to carry out for this endpoint, now; false when there is none. One of each kind
// can be under way.
bool kvpbus_bus_action(struct kvpbus_endpoint *endpoint, struct kvpbus_action *action);
// What the store has given, looked at before the call returns: `scan` with KVPBUS_OK; results[i] of
// each change; `failure` may be NULL.
void kvpbus_bus_read_done(struct kvpbus_endpoint *endpoint, enum kvpbus_action_kind kind,
                          enum kvpbus_error error, const struct kvpbus_scan *scan,
                          const struct kvpbus_failure *failure);
void kvpbus_bus_write_done(struct kvpbus_endpoint *endpoint, const enum kvpbus_error *results,
                           const struct kvpbus_failure *failure);
// For a loop that may wait for a store, as long as is said where that is opened (kvpbus/store.h,
// kvpbus/management.h): makes the call, one, and reports it.
void kvpbus_action_carry_out(const struct kvpbus_action *action, struct kvpbus_store *store);
// The peer's store may have changed: read it at the next turn.
void kvpbus_bus_notice(struct kvpbus_endpoint *endpoint);

// --- messages ---
// All of these submit a job; the callback comes on the loop's thread with what came of it. It may
// be NULL where it is a kvpbus_queued_fn or a kvpbus_done_fn.
typedef void kvpbus_queued_fn(void *context, const struct kvpbus_message_id *id,
                              const struct kvpbus_failure *failure); // id NULL: refused
void kvpbus_bus_send(struct kvpbus_endpoint *endpoint, const struct kvpbus_message *message,
                     bool resend_on_revert, kvpbus_queued_fn *callback, void *context);

// delivery NULL: none now (code KVPBUS_NOT_FOUND) or an error; then, of a filter with reply_to,
// `awaited` says whether one can still come, and is NULL otherwise. Else the message is the
// caller's for lease_ms, unless that is extended.
typedef void kvpbus_lease_fn(void *context, struct kvpbus_delivery *delivery,
                             const struct kvpbus_awaited *awaited,
                             const struct kvpbus_failure *failure);
void kvpbus_bus_lease(struct kvpbus_bus *bus, const struct kvpbus_filter *filter, uint64_t lease_ms,
                      kvpbus_lease_fn *callback, void *context);

// KVPBUS_NOT_FOUND: that lease has ended. A reason, which may be NULL, is cut at KVPBUS_REASON_MAX
// bytes. `nack`: the message comes again after delay_ms, or is a dead letter when it was leased as
// often as it may be (tries_max of the journal); `reject`: it is one now; `extend`: the lease ends
// lease_ms after now.
typedef void kvpbus_done_fn(void *context,
                            const struct kvpbus_failure *failure); // code KVPBUS_OK: done
void kvpbus_bus_ack(struct kvpbus_bus *bus, int64_t lease, kvpbus_done_fn *callback, void *context);
void kvpbus_bus_nack(struct kvpbus_bus *bus, int64_t lease, uint64_t delay_ms, const char *reason,
                     kvpbus_done_fn *callback, void *context);
void kvpbus_bus_reject(struct kvpbus_bus *bus, int64_t lease, const char *reason,
                       kvpbus_done_fn *callback, void *context);
void kvpbus_bus_extend(struct kvpbus_bus *bus, int64_t lease, uint64_t lease_ms,
                       kvpbus_done_fn *callback, void *context);

// Dead letters: a page of those with a number above `after`; the first that matches, whole; or what
// was asked done to all that match, `count` of them, also when an error has ended it.
enum { KVPBUS_DEAD_PAGE = 64 };
typedef void kvpbus_dead_list_fn(void *context, const struct kvpbus_dead_letter *letters,
                                 size_t count, bool more, const struct kvpbus_failure *failure);
void kvpbus_bus_dead_list(struct kvpbus_bus *bus, const struct kvpbus_dead_filter *filter,
                          int64_t after, kvpbus_dead_list_fn *callback, void *context);
typedef void kvpbus_dead_get_fn(void *context, struct kvpbus_delivery *delivery,
                                const struct kvpbus_failure *failure);
void kvpbus_bus_dead_get(struct kvpbus_bus *bus, const struct kvpbus_dead_filter *filter,
                         kvpbus_dead_get_fn *callback, void *context);
typedef void kvpbus_dead_done_fn(void *context, size_t count, const struct kvpbus_failure *failure);
void kvpbus_bus_dead_retry(struct kvpbus_bus *bus, const struct kvpbus_dead_filter *filter,
                           kvpbus_dead_done_fn *callback, void *context);
void kvpbus_bus_dead_drop(struct kvpbus_bus *bus, const struct kvpbus_dead_filter *filter,
                          kvpbus_dead_done_fn *callback, void *context);

// Of a message that was sent to this peer. `status` NULL: KVPBUS_NOT_FOUND, or an error.
typedef void kvpbus_status_fn(void *context, const struct kvpbus_message_status *status,
                              const struct kvpbus_failure *failure);
void kvpbus_bus_message_status(struct kvpbus_endpoint *endpoint, const struct kvpbus_message_id *id,
                               kvpbus_status_fn *callback, void *context);

// Takes a message back that is not delivered yet, whoever it was sent to. Its outcome comes as
// every outcome does, at once or when the peer has said whether it had it; KVPBUS_EXISTS: it has
// one already. `endpoint` NULL, with KVPBUS_NOT_FOUND: there is no such message of this side.
typedef void kvpbus_withdrawn_fn(void *context, struct kvpbus_endpoint *endpoint,
                                 const struct kvpbus_failure *failure);
void kvpbus_bus_withdraw(struct kvpbus_bus *bus, const struct kvpbus_message_id *id,
                         kvpbus_withdrawn_fn *callback, void *context);

// Everything that is known of a message, sent or received: as long as the history keeps it. At most
// two records: after reverts an id may stand for two. count 0: KVPBUS_NOT_FOUND, or an error.
typedef void kvpbus_show_fn(void *context, const struct kvpbus_message_record *records,
                            size_t count, const struct kvpbus_failure *failure);
void kvpbus_bus_show(struct kvpbus_bus *bus, const struct kvpbus_message_id *id,
                     kvpbus_show_fn *callback, void *context);

// `counts` NULL: an error.
typedef void kvpbus_counts_fn(void *context, const struct kvpbus_journal_counts *counts,
                              const struct kvpbus_failure *failure);
void kvpbus_bus_counts(struct kvpbus_endpoint *endpoint, kvpbus_counts_fn *callback, void *context);

// Pins the identity that waits for approval when `fingerprint` (kvpbus_fingerprint) matches it, or
// a given one; or forgets the one that is pinned. KVPBUS_UNPAIRED: none waits; KVPBUS_BAD_KEY: it
// has another fingerprint.
void kvpbus_bus_pair(struct kvpbus_endpoint *endpoint, const char *fingerprint,
                     kvpbus_done_fn *callback, void *context);
void kvpbus_bus_pin(struct kvpbus_endpoint *endpoint, const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                    kvpbus_done_fn *callback, void *context);
void kvpbus_bus_unpair(struct kvpbus_endpoint *endpoint, kvpbus_done_fn *callback, void *context);

// Copies the journal to a new file (mode 0600), about 1 MiB at a time while the bus goes on; the
// copy is the journal at the moment of its end. Told again and again, with failure->code KVPBUS_OK
// and done < total (bytes), until done == total: the copy is whole and durable, or an error:
// nothing of it is left. The callback's false gives up. KVPBUS_BUSY: one at a time. A side that
// goes on from the copy has gone back in time, and its peers see that; with the copy belongs the
// identity.
typedef bool kvpbus_backup_fn(void *context, uint64_t done, uint64_t total,
                              const struct kvpbus_failure *failure);
void kvpbus_bus_backup(struct kvpbus_bus *bus, const char *path, kvpbus_backup_fn *callback,
                       void *context);

// --- asking, without the journal ---

enum kvpbus_link_state {
    KVPBUS_LINK_ALONE,    // no hello of a peer is there
    KVPBUS_LINK_UNPAIRED, // a peer is there, but no identity is pinned, or another one
    KVPBUS_LINK_GREETING, // hellos are being exchanged
    KVPBUS_LINK_PROVING,  // both confirmed; nothing under the session's keys was opened yet
    KVPBUS_LINK_SYNCING,  // live; positions are being exchanged
    KVPBUS_LINK_LIVE,
    KVPBUS_LINK_SUSPENDED, // the owner said that nothing can be done now
    KVPBUS_LINK_STOPPED,   // a second writer uses this identity or prefix: an error for people
};
// "live", …. Static. Any thread.
const char *kvpbus_link_state_name(enum kvpbus_link_state state);

enum { KVPBUS_LINK_PROGRESS_MAX = 12 }; // bundles of all classes in flight

struct kvpbus_link_progress {
    enum kvpbus_class class_;
    uint64_t number;              // of the bundle, in its class
    uint32_t total, acknowledged; // bytes
};
struct kvpbus_link_status {
    enum kvpbus_link_state state;
    char why[160];               // in words: what it does, or why it waits
    uint64_t sent, acknowledged; // packets of this session, numbers
    uint64_t received;           // c of what I acknowledge
    uint32_t in_flight, ring_limit, ring_slots, value_max;
    uint64_t rewrites; // items written again, since start
    uint64_t items_written, data_items_written, data_chars_written, writes; // since start
    uint64_t bad_items;     // values of the peer that were not believed, since start
    uint64_t round_trip_ms; // smoothed, 0 not known
    size_t progress_count;
    struct kvpbus_link_progress progress[KVPBUS_LINK_PROGRESS_MAX];
};
// The endpoint's own, which changes as the bus goes on. The status is a copy.
const struct kvpbus_peer *kvpbus_endpoint_peer(const struct kvpbus_endpoint *endpoint);
void kvpbus_endpoint_status(const struct kvpbus_endpoint *endpoint,
                            struct kvpbus_link_status *status);

#ifdef __cplusplus
}
#endif

#endif
