// SPDX-License-Identifier: Apache-2.0
//
// The calls of the journal beside those of kvpbus/journal.h. Every call is synchronous and belongs
// to one thread; none commits by itself: calls go between kvpbus_journal_begin and
// kvpbus_journal_commit, so that an executor can put many into one transaction. After an error
// inside a transaction the caller rolls back and nothing has happened.
//
// One *peer* row stands for one link: on a host a VM, on a guest the host.
//
// Sending: a message is put into the open bundle of its class, which gives it its id. When the link
// can take one, the open bundle is sealed: it gets the next number of (timeline, class), and its
// bytes stay until it is delivered or void. Receiving: fragments are kept until their bundle is
// whole, then it is verified, opened and its messages stand in the inbox, in one transaction with
// the last fragment.
//
// Consuming: a message with `receipt` has its sender told, once, that a consumer acknowledged it or
// that it became a dead letter, by a message of the bus itself, which is sealed when its turn comes
// and taken in by the other journal in place of being put into the inbox. There the first is a mark
// beside the outcome delivered, and the second makes the outcome dead, with the reason.
//
// After KVPBUS_NO_SPACE, _JOURNAL_FULL, _IO or _NOMEM SQLite may have undone the whole transaction:
// then every further call in it fails with the same error, up to the rollback or the commit.
#ifndef KVPBUS_JOURNAL_CALLS_H
#define KVPBUS_JOURNAL_CALLS_H

#include "bundle.h"
#include "kvpbus/journal.h"
#include "token.h"

struct kvpbus_chain;
struct kvpbus_parcel;

enum {
    KVPBUS_EPOCH_BYTES = 16,
    KVPBUS_EPOCHS_KEPT = 64,     // per peer and side; older ones are forgotten
    KVPBUS_BUNDLE_WINDOW = 4,    // bundles of one class in flight: docs/protocol.md section 2.4
    KVPBUS_GAP_INDICES_MAX = 64, // per GAP frame
    KVPBUS_FORMER_MAX = 4,       // earlier timelines that SYNC names
    KVPBUS_MOVE_ID = 16,         // of a VM's way to another host
};

// Whether kvpbus_journal_open would take the options, without a file: KVPBUS_CONFIG, in its words.
enum kvpbus_error kvpbus_journal_check(const struct kvpbus_journal_options *options,
                                       struct kvpbus_failure *failure);

enum kvpbus_error kvpbus_journal_begin(struct kvpbus_journal *journal);
enum kvpbus_error kvpbus_journal_commit(struct kvpbus_journal *journal,
                                        struct kvpbus_failure *failure);
void kvpbus_journal_rollback(struct kvpbus_journal *journal);
// A part of a transaction that can fail alone: savepoint, then release (keep) or undo it.
enum kvpbus_error kvpbus_journal_savepoint(struct kvpbus_journal *journal);
enum kvpbus_error kvpbus_journal_release(struct kvpbus_journal *journal, bool keep);

// What went wrong in the last failed call, for people.
const struct kvpbus_failure *kvpbus_journal_failure(const struct kvpbus_journal *journal);

// --- peers ---

// Finds the peer by VM id, or makes it with a new random timeline. A changed name is stored. A
// guest has one peer, which is found by any id.
enum kvpbus_error kvpbus_journal_peer(struct kvpbus_journal *journal,
                                      const uint8_t vm[KVPBUS_VM_ID_BYTES], const char *name,
                                      struct kvpbus_peer *peer);
enum kvpbus_error kvpbus_journal_peer_get(struct kvpbus_journal *journal, int64_t peer,
                                          struct kvpbus_peer *out);
// All peers; *peers is freed by the caller with free().
enum kvpbus_error kvpbus_journal_peers(struct kvpbus_journal *journal, struct kvpbus_peer **peers,
                                       size_t *count);
enum kvpbus_error kvpbus_journal_pending(struct kvpbus_journal *journal, int64_t peer,
                                         const uint8_t identity[KVPBUS_IDENTITY_BYTES]);
// Pins exactly this identity, and on a guest the VM id with it. Another identity than the one
// pinned before begins anew: new timeline, nothing received remembered, what is queued stays
// queued. The same identity goes on where it was, also after kvpbus_journal_unpin.
enum kvpbus_error kvpbus_journal_pin(struct kvpbus_journal *journal, int64_t peer,
                                     const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                                     const uint8_t vm[KVPBUS_VM_ID_BYTES]);
enum kvpbus_error kvpbus_journal_unpin(struct kvpbus_journal *journal, int64_t peer);

// The peer, pinned as `from`, goes on as `to`; nothing begins anew but unfinished bundles, which
// come again from their first byte. Does nothing when another identity is pinned.
enum kvpbus_error kvpbus_journal_follow(struct kvpbus_journal *journal, int64_t peer,
                                        const uint8_t from[KVPBUS_IDENTITY_BYTES],
                                        const uint8_t to[KVPBUS_IDENTITY_BYTES]);
// I go on as `identity`: what is under way and was signed by another one, or for another VM id, is
// signed again. To be called in a session whose SYNC was taken in, and before anything is offered
// in it: so it is certain that the peer has nothing of what is changed.
enum kvpbus_error kvpbus_journal_signer(struct kvpbus_journal *journal, int64_t peer,
                                        const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                                        const uint8_t secret[KVPBUS_SECRET_BYTES]);
// The peer knows me as `identity` now: kvpbus_peer.met.
enum kvpbus_error kvpbus_journal_met(struct kvpbus_journal *journal, int64_t peer,
                                     const uint8_t identity[KVPBUS_IDENTITY_BYTES]);
// The same for a peer that was paired just now, while I am `identity`, unless it has met me since.
enum kvpbus_error kvpbus_journal_introduced(struct kvpbus_journal *journal, int64_t peer,
                                            const uint8_t identity[KVPBUS_IDENTITY_BYTES]);

// Trust that was given beforehand: pins when none is pinned. KVPBUS_BAD_KEY: another one is, which
// stays.
enum kvpbus_error kvpbus_journal_trust(struct kvpbus_journal *journal, int64_t peer,
                                       const uint8_t identity[KVPBUS_IDENTITY_BYTES]);

// --- enrolment tokens ---
// On a host: keeps what proves a token that was made for the peer, and withdraws an open one. With
// `replaces` it may take the place of a paired identity; without, KVPBUS_EXISTS when there is one.
enum kvpbus_error kvpbus_journal_token_make(struct kvpbus_journal *journal, int64_t peer,
                                            const struct kvpbus_token *token, bool replaces);
// Extension 3 of a hello, and whose hello it is.
struct kvpbus_proof {
    uint8_t bytes[KVPBUS_PROOF_BYTES];
    uint8_t identity[KVPBUS_IDENTITY_BYTES];
    uint8_t epoch[KVPBUS_EPOCH_BYTES];
};
// On a host: uses the token up and pins the identity for the peer, both or none. KVPBUS_BAD_TOKEN:
// refused; the failure says why.
enum kvpbus_error kvpbus_journal_enroll(struct kvpbus_journal *journal, int64_t peer,
                                        const struct kvpbus_proof *proof, int64_t now_ms);
// On a guest: pins the token's host and VM id, and keeps the token until it is done.
// KVPBUS_EXISTS: it was taken before; KVPBUS_BAD_KEY: another host is pinned, which stays.
enum kvpbus_error kvpbus_journal_token_take(struct kvpbus_journal *journal, int64_t peer,
                                            const struct kvpbus_token *token);
// The one that is to be proven.
enum kvpbus_error kvpbus_journal_token_open(struct kvpbus_journal *journal, int64_t peer,
                                            bool *open, struct kvpbus_token *token);
// The host has pinned this side: the secret goes.
enum kvpbus_error kvpbus_journal_token_done(struct kvpbus_journal *journal, int64_t peer);

// On a host: the paired peer goes on under the VM id `vm`; nothing begins anew but unfinished
// bundles, as above. A row that has that id, which must not be paired, takes the peer's id and
// name: *other is its, 0 there is none. KVPBUS_EXISTS, KVPBUS_UNPAIRED.
enum kvpbus_error kvpbus_journal_rebind(struct kvpbus_journal *journal, int64_t peer,
                                        const uint8_t vm[KVPBUS_VM_ID_BYTES], int64_t *other);
// On a guest: the host knows it under another id now. Does nothing unless it was paired as `from`.
enum kvpbus_error kvpbus_journal_rebound(struct kvpbus_journal *journal, int64_t peer,
                                         const uint8_t from[KVPBUS_VM_ID_BYTES],
                                         const uint8_t to[KVPBUS_VM_ID_BYTES]);

// Epochs of my own cores (written before the core is shown) and retired ones of the peer.
enum kvpbus_error kvpbus_journal_epoch_add(struct kvpbus_journal *journal, int64_t peer, bool mine,
                                           const uint8_t epoch[KVPBUS_EPOCH_BYTES]);
// Newest first, at most KVPBUS_EPOCHS_KEPT.
enum kvpbus_error kvpbus_journal_epochs(struct kvpbus_journal *journal, int64_t peer, bool mine,
                                        uint8_t (*epochs)[KVPBUS_EPOCH_BYTES], size_t *count);

// --- sending ---
// Queues a copy and sets message->id (and created_ms to now_ms). KVPBUS_JOURNAL_FULL or
// KVPBUS_QUOTA when there is no room: nothing is ever dropped for it. What kvpbus_message_check
// refuses is refused. `resend_on_revert`: after the peer was reverted to before the delivery, send
// it again, as long as the history keeps it: delivered bundles with such messages are kept up to a
// quarter of outbox_max, the newest.
enum kvpbus_error kvpbus_journal_queue(struct kvpbus_journal *journal, int64_t peer,
                                       struct kvpbus_message *message, bool resend_on_revert,
                                       int64_t now_ms);

// True when messages of the class wait in an open bundle.
enum kvpbus_error kvpbus_journal_waiting(struct kvpbus_journal *journal, int64_t peer,
                                         enum kvpbus_class class_, bool *waiting);

struct kvpbus_sealed {
    enum kvpbus_class class_;
    uint64_t number;
    uint8_t id[KVPBUS_BUNDLE_ID_BYTES];
    uint32_t length; // of the sealed bytes
    bool void_;      // all its messages expired or were withdrawn: a GAP goes out instead
    bool delivered;  // the peer has it whole, but a lower number is still open
};

// Seals what waits in the class, up to bundle_target bytes of plain text (always at least one
// message), under the next number. What is left of an open bundle is sealed later under the same
// id. KVPBUS_NOT_FOUND when nothing waits, KVPBUS_BUSY when KVPBUS_BUNDLE_WINDOW numbers are open.
// Expired messages are left out and get their outcome, also with KVPBUS_NOT_FOUND.
enum kvpbus_error kvpbus_journal_seal(struct kvpbus_journal *journal, int64_t peer,
                                      enum kvpbus_class class_, size_t bundle_target,
                                      const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                                      const uint8_t secret[KVPBUS_SECRET_BYTES], int64_t now_ms,
                                      struct kvpbus_sealed *sealed);

// Bundles of the class that are numbered and not done, ascending; at most KVPBUS_BUNDLE_WINDOW.
enum kvpbus_error kvpbus_journal_open_bundles(struct kvpbus_journal *journal, int64_t peer,
                                              enum kvpbus_class class_,
                                              struct kvpbus_sealed *bundles, size_t *count);

// `length` sealed bytes from `offset`, which must lie inside. KVPBUS_NOT_FOUND: no such bundle.
enum kvpbus_error kvpbus_journal_read_sealed(struct kvpbus_journal *journal, int64_t peer,
                                             enum kvpbus_class class_, uint64_t number,
                                             uint32_t offset, uint8_t *bytes, size_t length);

// The peer has the whole bundle in its journal: its pending messages are delivered, but for those
// whose gap is not answered yet. `number` is of the present timeline: a caller must not come with
// one of a session before kvpbus_journal_sync_apply. KVPBUS_NOT_FOUND: no such bundle.
enum kvpbus_error kvpbus_journal_delivered(struct kvpbus_journal *journal, int64_t peer,
                                           enum kvpbus_class class_, uint64_t number);

// Messages whose lifetime has ended: those in open bundles expire at once, those in sealed ones
// become gaps. *next_ms: when the next one ends, 0 never. A message that a revert has touched
// becomes KVPBUS_OUTCOME_UNKNOWN instead: it may have been delivered in what was undone.
enum kvpbus_error kvpbus_journal_expire(struct kvpbus_journal *journal, int64_t peer,
                                        int64_t now_ms, int64_t *next_ms);
// As if its lifetime had ended now; a gap of it goes out with the next kvpbus_journal_gaps.
// KVPBUS_NOT_FOUND: unknown or no longer pending.
enum kvpbus_error kvpbus_journal_withdraw(struct kvpbus_journal *journal, int64_t peer,
                                          const struct kvpbus_message_id *id);

struct kvpbus_gap {
    enum kvpbus_class class_;
    uint64_t number;
    size_t count; // 0: the whole bundle
    uint16_t indices[KVPBUS_GAP_INDICES_MAX];
};
// Gaps that are not answered yet, the first `max` of them; asking again is harmless. After answers
// have come there may be more.
enum kvpbus_error kvpbus_journal_gaps(struct kvpbus_journal *journal, int64_t peer,
                                      struct kvpbus_gap *gaps, size_t max, size_t *count);

enum kvpbus_answer { KVPBUS_ANSWER_HAD = 1, KVPBUS_ANSWER_VOID = 2, KVPBUS_ANSWER_REFUSED = 3 };
struct kvpbus_gap_answer {
    enum kvpbus_class class_;
    uint64_t number;
    size_t count; // 0: the whole bundle, answers[0] for all
    uint16_t indices[KVPBUS_GAP_INDICES_MAX];
    enum kvpbus_answer answers[KVPBUS_GAP_INDICES_MAX];
};
// HAD: delivered. VOID: expired. REFUSED: dead, also what counted as delivered by the
// acknowledgement of its packets. A whole bundle that is answered is done. KVPBUS_BAD_PACKET: an
// answer that fits no question of this side; the session is to be renewed.
enum kvpbus_error kvpbus_journal_gap_answered(struct kvpbus_journal *journal, int64_t peer,
                                              const struct kvpbus_gap_answer *answer);

// --- positions: the SYNC frame ---
// The ids here are prints: BLAKE2b-16 of the bundle's header as sealed (its first 8 bytes where
// they are short), zeros for a bundle that is void: after a revert one bundle id may stand for two
// contents, and a number for two bundles. Into the first 8 bytes of floor_id a digest is mixed
// (XOR) of all that is void in this timeline and class, so that a revert of one side cannot hide
// it: the XOR, over each void message, of the first 8 bytes of BLAKE2b-16(number (8) || index (2)),
// with index 0xffff and no others for a bundle that is void as a whole. With floor 0 it stands
// alone.
struct kvpbus_sync_class {
    uint64_t next;  // sender's: the number that the next bundle gets
    uint64_t floor; // receiver's: all numbers up to it are done
    uint8_t floor_id[KVPBUS_BUNDLE_ID_BYTES];
    size_t complete_count;
    uint64_t complete[KVPBUS_BUNDLE_WINDOW];
    uint8_t complete_id[KVPBUS_BUNDLE_WINDOW][8];
    size_t partial_count;
    uint64_t partial[KVPBUS_BUNDLE_WINDOW];
    uint8_t partial_id[KVPBUS_BUNDLE_WINDOW][8];
    uint32_t
        partial_prefix[KVPBUS_BUNDLE_WINDOW]; // bytes held from the start, a whole header at least
};
struct kvpbus_sync {
    uint8_t timeline[KVPBUS_TIMELINE_BYTES];      // of what the sender of SYNC sends
    uint8_t peer_timeline[KVPBUS_TIMELINE_BYTES]; // as it knows the other's; zeros: none
    struct kvpbus_sync_class classes[KVPBUS_CLASS_COUNT];
    // Those of the other's timelines that it took before peer_timeline, newest first, for a sender
    // that no longer knows that one.
    size_t former_count;
    struct kvpbus_former {
        uint8_t timeline[KVPBUS_TIMELINE_BYTES];
        uint64_t floors[KVPBUS_CLASS_COUNT];
    } former[KVPBUS_FORMER_MAX];
};

// My SYNC for this peer. Fragments that lie behind a hole are dropped: the peer goes on from the
// prefixes. From here on nothing of an older session may be committed.
enum kvpbus_error kvpbus_journal_sync_make(struct kvpbus_journal *journal, int64_t peer,
                                           struct kvpbus_sync *sync);

enum kvpbus_sync_verdict {
    KVPBUS_SYNC_CONSISTENT,    // go on from here
    KVPBUS_SYNC_I_WENT_BACK,   // the peer holds more of my timeline than I do, or other content
    KVPBUS_SYNC_PEER_WENT_BACK // the peer holds less than it had acknowledged
};
// Takes in the peer's SYNC. As receiver: a timeline that is new here is noted, and begins at zero
// once the peer has judged my SYNC: with kvpbus_journal_agreed, or its first fragment or gap;
// unfinished bundles of the former one are dropped then, whole ones stay. As sender: what the peer
// holds is delivered. When either side went back, my direction begins a new timeline: all that is
// queued keeps its ids and order and waits to be sealed again; deliveries that the peer forgot
// become KVPBUS_OUTCOME_UNKNOWN, or pending again where resend_on_revert was asked. `forced`: begin
// a new timeline whatever the numbers say. After a verdict other than CONSISTENT the session must
// be renewed. `note`: what the audit's entry of a revert says besides; NULL: none is made.
// KVPBUS_BAD_PACKET: nonsense.
enum kvpbus_error kvpbus_journal_sync_apply(struct kvpbus_journal *journal, int64_t peer,
                                            const struct kvpbus_sync *sync, bool forced,
                                            int64_t now_ms, const char *note,
                                            enum kvpbus_sync_verdict *verdict);

// The peer has found my SYNC consistent with its timeline `timeline`: nothing more comes in the
// former one, and what waits there behind a hole may go to consumers. Does nothing when another
// SYNC has been taken in since.
enum kvpbus_error kvpbus_journal_agreed(struct kvpbus_journal *journal, int64_t peer,
                                        const uint8_t timeline[KVPBUS_TIMELINE_BYTES]);

// --- receiving ---

struct kvpbus_fragment {
    enum kvpbus_class class_;
    uint64_t number;
    bool first;
    uint32_t total;  // sealed length, with `first`
    uint32_t offset; // 0 with `first`
    const uint8_t *data;
    size_t length;
};
struct kvpbus_fragment_result {
    bool complete;   // the bundle is done now, its messages are in the inbox (or it was refused)
    bool duplicate;  // nothing new: bytes, bundle or id were there before
    size_t messages; // new in the inbox
    bool receipts;   // outcomes of this side's messages changed
    bool refused; // it does not verify or breaks a limit: an answer REFUSED for the whole bundle is
                  // due
    bool fork;    // with KVPBUS_BAD_PACKET: this position was used for another bundle before
};
// Keeps a fragment. These end the session, and nothing of the fragment is kept:
//   KVPBUS_BAD_PACKET  it contradicts what is known (outside the window of numbers, beyond the
//                      total, another total); a fork too: SYNC then finds out who went back, and
//                      the bundle comes again under another number, so that it is never dropped
//   KVPBUS_CREDIT      far more than there was credit for
// These do not: KVPBUS_QUOTA, KVPBUS_JOURNAL_FULL, KVPBUS_NO_SPACE and the like: the fragment is
// acceptable when there is room again.
enum kvpbus_error kvpbus_journal_fragment(struct kvpbus_journal *journal, int64_t peer,
                                          const struct kvpbus_fragment *fragment, int64_t now_ms,
                                          struct kvpbus_fragment_result *result);

// Arbitrates a gap of the peer and gives the answer to send.
enum kvpbus_error kvpbus_journal_gap(struct kvpbus_journal *journal, int64_t peer,
                                     const struct kvpbus_gap *gap, int64_t now_ms,
                                     struct kvpbus_gap_answer *answer);

// Free bytes of the peer's inbox for a class, after what is held and reserved for unfinished
// bundles; not more than what is left of total_max.
enum kvpbus_error kvpbus_journal_room(struct kvpbus_journal *journal, int64_t peer,
                                      uint64_t room[KVPBUS_CLASS_COUNT]);

// --- consuming ---

// Leases the next message, class control first, else the oldest, in stream order and one lease at a
// time per (peer, class, stream); replies are apart from the events and requests of their stream,
// and those to each request from each other. A request whose lifetime is over by this side's clock,
// reckoned from its arrival, is not given out. KVPBUS_NOT_FOUND: none now: one may come with the
// next fragment, gap, acknowledgement or the time of kvpbus_journal_leases_end.
// KVPBUS_BAD_TOPIC, KVPBUS_INVALID_ARGUMENT: the filter is none. *delivery is freed with
// kvpbus_delivery_free.
enum kvpbus_error kvpbus_journal_lease(struct kvpbus_journal *journal,
                                       const struct kvpbus_filter *filter, uint64_t lease_ms,
                                       int64_t now_ms, struct kvpbus_delivery **delivery);
// KVPBUS_NOT_FOUND, also of the next three: that lease has ended.
enum kvpbus_error kvpbus_journal_ack(struct kvpbus_journal *journal, int64_t lease);
// The message comes back after delay_ms, or is a dead letter after tries_max leases.
enum kvpbus_error kvpbus_journal_nack(struct kvpbus_journal *journal, int64_t lease,
                                      uint64_t delay_ms, const char *reason, int64_t now_ms);
// The message is a dead letter at once.
enum kvpbus_error kvpbus_journal_reject(struct kvpbus_journal *journal, int64_t lease,
                                        const char *reason, int64_t now_ms);
// The lease ends lease_ms from now.
enum kvpbus_error kvpbus_journal_extend(struct kvpbus_journal *journal, int64_t lease,
                                        uint64_t lease_ms, int64_t now_ms);
// Leases that ran out come back; requests and replies whose time is over are dropped. *next_ms: the
// next time that one does, or a delay ends; 0 never.
enum kvpbus_error kvpbus_journal_leases_end(struct kvpbus_journal *journal, int64_t now_ms,
                                            int64_t *next_ms);

// To be asked after kvpbus_journal_lease has found no reply. peer 0: any. KVPBUS_INVALID_ARGUMENT:
// the message is no request.
enum kvpbus_error kvpbus_journal_awaited(struct kvpbus_journal *journal, int64_t peer,
                                         const struct kvpbus_message_id *request, int64_t now_ms,
                                         struct kvpbus_awaited *awaited);

// --- dead letters ---

// Those that match, ascending, with a number beyond `after`; `more`: there are more than `max`.
enum kvpbus_error kvpbus_journal_dead_list(struct kvpbus_journal *journal,
                                           const struct kvpbus_dead_filter *filter, int64_t after,
                                           struct kvpbus_dead_letter *letters, size_t max,
                                           size_t *count, bool *more);
// The first one that matches, whole, with lease 0 and `try_` the leases that it had.
// KVPBUS_NOT_FOUND.
enum kvpbus_error kvpbus_journal_dead_get(struct kvpbus_journal *journal,
                                          const struct kvpbus_dead_filter *filter,
                                          struct kvpbus_delivery **delivery);
// How far a call for many has come; zeros at the beginning.
struct kvpbus_dead_walk {
    int64_t after, last; // numbers
    size_t count;        // so far
    bool more;           // call again
};
// Those that match, at most `max` in a call, go back into the inbox with no tries counted, each to
// where it stood in its stream: before all that came after it and still waits; what was consumed
// meanwhile was consumed before it. A request is given out whatever its lifetime. Or they are
// dropped. That there is none is no error.
enum kvpbus_error kvpbus_journal_dead_retry(struct kvpbus_journal *journal,
                                            const struct kvpbus_dead_filter *filter, int64_t now_ms,
                                            size_t max, struct kvpbus_dead_walk *walk);
enum kvpbus_error kvpbus_journal_dead_drop(struct kvpbus_journal *journal,
                                           const struct kvpbus_dead_filter *filter, size_t max,
                                           struct kvpbus_dead_walk *walk);

// The peer that receipts have become due for since the last call, 0 none, -1 several: something of
// class control can be sealed for it.
int64_t kvpbus_journal_receipts_due(struct kvpbus_journal *journal);

// --- asking ---

enum kvpbus_error kvpbus_journal_status(struct kvpbus_journal *journal, int64_t peer,
                                        const struct kvpbus_message_id *id,
                                        struct kvpbus_message_status *status);

// Everything known of the id; at least one record, or KVPBUS_NOT_FOUND. After reverts an id may
// stand for more than one.
enum kvpbus_error kvpbus_journal_show(struct kvpbus_journal *journal,
                                      const struct kvpbus_message_id *id,
                                      struct kvpbus_message_record *records, size_t max,
                                      size_t *count);
// The peer that a message was sent to. KVPBUS_NOT_FOUND.
enum kvpbus_error kvpbus_journal_sent_to(struct kvpbus_journal *journal,
                                         const struct kvpbus_message_id *id, int64_t *peer);

enum kvpbus_error kvpbus_journal_counts(struct kvpbus_journal *journal, int64_t peer,
                                        struct kvpbus_journal_counts *counts);

// Forgets outcomes, what came, bundle ids, streams and dead letters older than history_ms; `max`
// rows of each kind a call at most. *more: of some kind it forgot that many, there may be others.
enum kvpbus_error kvpbus_journal_prune(struct kvpbus_journal *journal, int64_t now_ms, size_t max,
                                       bool *more);

// --- a copy while the journal is in use; outside of transactions ---

// Begins to copy to a new file (mode 0600). One copy at a time, else KVPBUS_BUSY; KVPBUS_NO_SPACE
// when the disk would not hold it and what the journal may still need.
enum kvpbus_error kvpbus_journal_backup_begin(struct kvpbus_journal *journal, const char *path);
// Copies up to `pages` pages.
struct kvpbus_backup_state {
    uint64_t done, total; // bytes
    bool whole;           // no step is left
};
enum kvpbus_error kvpbus_journal_backup_step(struct kvpbus_journal *journal, int pages,
                                             struct kvpbus_backup_state *state);
// `keep`: after the last step, the copy is made durable. Else, and after an error, it is removed.
enum kvpbus_error kvpbus_journal_backup_end(struct kvpbus_journal *journal, bool keep);

// --- a VM goes to another host; outside of transactions ---

// The VM's part of the journal goes into a new file, then out of the journal, and the row says to
// which host; between a crash the file may be there and the VM not moved. KVPBUS_UNPAIRED;
// KVPBUS_BUSY: its agent has not seen yet that it was rebound.
enum kvpbus_error kvpbus_journal_move_out(struct kvpbus_journal *journal, int64_t peer,
                                          const char *path, const uint8_t to[KVPBUS_IDENTITY_BYTES],
                                          const uint8_t move[KVPBUS_MOVE_ID]);
// It comes back out of the file: nobody took it. KVPBUS_INVALID_ARGUMENT: it was not moved.
enum kvpbus_error kvpbus_journal_move_back(struct kvpbus_journal *journal, int64_t peer,
                                           const char *path);
// What came from another host, as `parcel` says, takes the place of the row. KVPBUS_EXISTS: it came
// before, or, without `replace`, the row has something that would be lost.
enum kvpbus_error kvpbus_journal_move_in(struct kvpbus_journal *journal, int64_t peer,
                                         const char *path, const struct kvpbus_parcel *parcel,
                                         bool replace, int64_t now_ms);
// The move of a VM that was handed over. KVPBUS_NOT_FOUND: it was not.
enum kvpbus_error kvpbus_journal_moved(struct kvpbus_journal *journal, int64_t peer,
                                       uint8_t to[KVPBUS_IDENTITY_BYTES],
                                       uint8_t move[KVPBUS_MOVE_ID]);
// What leads a VM that came from another host to me; length 0: it did not.
enum kvpbus_error kvpbus_journal_chain(struct kvpbus_journal *journal, int64_t peer,
                                       struct kvpbus_chain *chain);

#endif
