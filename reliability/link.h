// SPDX-License-Identifier: Apache-2.0
//
// The link to one peer, docs/protocol.md sections 2 and 4: handshake, packets, acknowledgement,
// repair and collection, as sans-I/O code. Items of both stores and a clock go in; changes of the
// own store and events go out. It knows bundles only as numbered byte strings; what is durable is
// the owner's affair: an event that asks for something to be recorded is answered when it is.
//
// One link belongs to one thread. After each call that feeds it the owner takes all events, then
// asks for a write when none is under way. Memory: at most 2 MiB a link, mostly read-ahead and
// packets that wait for the journal.
#ifndef KVPBUS_LINK_H
#define KVPBUS_LINK_H

#include "bundle.h"
#include "item.h"
#include "journal.h"
#include "kvpbus/bus.h"
#include "token.h"

enum {
    KVPBUS_LINK_WINDOW = 64, // packets; the bitmap of the state register
    KVPBUS_LINK_KEYS = 2 + KVPBUS_RING_MAX,
    // Sealed bytes that are read ahead of a bundle, and that one WANT asks for at most: more than a
    // window carries, so that a write has all that may go.
    KVPBUS_LINK_CHUNK = 64 * 1024,
    KVPBUS_LINK_FRAMES_MAX = 16, // frames of each kind that a packet may hold
    KVPBUS_EXTENSIONS_MAX = 388, // bytes of all extensions of a core, their heads included
};

// What a core may say beyond its fixed fields: docs/protocol.md section 2.1.
enum kvpbus_extension {
    KVPBUS_EXTENSION_CERTIFICATE = 1,
    KVPBUS_EXTENSION_ROTATION = 2,
    KVPBUS_EXTENSION_ENROLMENT = 3,
    KVPBUS_EXTENSION_FORMER_VMS = 4,
};

enum kvpbus_link_event_kind {
    // Answer needed:
    KVPBUS_LINK_NEW_EPOCH,  // record `epoch`, then kvpbus_link_epoch_recorded; no hello is shown
                            // before
    KVPBUS_LINK_NEEDS_SYNC, // a session begins: give my SYNC by kvpbus_link_sync_ready
    KVPBUS_LINK_SYNC,       // take in `sync`, then kvpbus_link_sync_done
    KVPBUS_LINK_PACKET,     // commit `packet`, then kvpbus_link_committed
    KVPBUS_LINK_WANT,       // give the bytes of `want` by kvpbus_link_supply
    // To record; no answer:
    KVPBUS_LINK_RETIRED,   // `epoch` of the peer is superseded
    KVPBUS_LINK_AGREED,    // each has found the other's SYNC consistent
    KVPBUS_LINK_DELIVERED, // the bundle `done` is whole in the peer's journal
    KVPBUS_LINK_PENDING,   // an unknown identity `identity` with VM id `vm` and `extensions` asks
                           // for pairing; again when its extensions change
    KVPBUS_LINK_REBOUND,   // on a guest: the host knows it as `vm` now: record it, then _pin
    KVPBUS_LINK_ROTATED,   // the pinned peer goes on as `identity`: record it, then kvpbus_link_pin
    // For people: `text` says it
    KVPBUS_LINK_CHANGED,   // the state changed
    KVPBUS_LINK_ALARM,     // something is wrong that the link cannot mend alone
    KVPBUS_LINK_WENT_BACK, // one of the two sides went back in time; positions are renewed
    KVPBUS_LINK_SECOND_WRITER,
};

// What a packet carried. It belongs to whoever took the event and is freed with free(); the
// fragments point into `plain`.
struct kvpbus_link_packet {
    uint32_t session; // serial of the session at this side, for kvpbus_link_committed
    uint64_t number;
    size_t fragment_count, gap_count, answer_count;
    struct kvpbus_fragment fragments[KVPBUS_LINK_FRAMES_MAX];
    struct kvpbus_gap gaps[KVPBUS_LINK_FRAMES_MAX];
    struct kvpbus_gap_answer answers[KVPBUS_LINK_FRAMES_MAX];
    uint8_t plain[KVPBUS_PLAIN_MAX];
};

struct kvpbus_link_want {
    uint32_t session;
    enum kvpbus_class class_;
    uint64_t number;
    uint32_t offset;
    uint32_t length;
};

struct kvpbus_link_event {
    enum kvpbus_link_event_kind kind;
    uint32_t session;
    uint8_t epoch[KVPBUS_EPOCH_BYTES];
    uint8_t identity[KVPBUS_IDENTITY_BYTES];
    uint8_t vm[KVPBUS_VM_ID_BYTES];
    union { // each event has one of them at most
        struct kvpbus_sync sync;
        struct {
            size_t length;
            uint8_t bytes[KVPBUS_EXTENSIONS_MAX]; // for kvpbus_extension_find
        } extensions;
    };
    struct kvpbus_link_packet *packet; // with KVPBUS_LINK_PACKET, for the taker to free
    struct kvpbus_link_want want;
    struct {
        enum kvpbus_class class_;
        uint64_t number;
    } done;
    char text[160];
};

struct kvpbus_link_options {
    enum kvpbus_role role;
    const char *prefix;
    uint8_t identity[KVPBUS_IDENTITY_BYTES];
    uint8_t secret[KVPBUS_SECRET_BYTES];
    uint8_t vm[KVPBUS_VM_ID_BYTES]; // host: the GUID; guest: the one it was paired under, or zeros
    uint32_t ring_slots;            // 1 to KVPBUS_RING_MAX
    uint32_t value_max;             // characters that I write at most, KVPBUS_VALUE_MIN to _MAX
    uint32_t bundle_max;            // longest sealed bundle that I accept, bytes
    const uint8_t (*own_epochs)[KVPBUS_EPOCH_BYTES];
    size_t own_epoch_count;
    const uint8_t (*retired_epochs)[KVPBUS_EPOCH_BYTES];
    size_t retired_epoch_count;
    void (*random)(void *context, uint8_t *bytes, size_t length);
    void *random_context;
};

struct kvpbus_link;

// NULL: out of memory. Options are copied. `now` is monotonic milliseconds everywhere.
struct kvpbus_link *kvpbus_link_new(const struct kvpbus_link_options *options, uint64_t now);
void kvpbus_link_free(struct kvpbus_link *link);

// --- pairing and life ---
// The peer's pinned identity, or NULL: none. On a guest `vm` is the VM id it was pinned with.
void kvpbus_link_pin(struct kvpbus_link *link, const uint8_t *identity,
                     const uint8_t vm[KVPBUS_VM_ID_BYTES], uint64_t now);
// Sets an extension of my cores, or takes it away (`bytes` NULL). When that changes something a new
// core is made. KVPBUS_TOO_LARGE: no room for it; nothing has changed.
enum kvpbus_error kvpbus_link_extend(struct kvpbus_link *link, enum kvpbus_extension type,
                                     const uint8_t *bytes, size_t length, uint64_t now);
// This side goes on as another identity; `statements` say so to the peer (rotation.h), NULL: none.
void kvpbus_link_rotate(struct kvpbus_link *link, const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                        const uint8_t secret[KVPBUS_SECRET_BYTES], const uint8_t *statements,
                        size_t length, uint64_t now);
// On a guest: each of my cores proves this token, by an extension that is bound to the core's
// epoch; NULL: the next ones do not. A new core is made for a token. KVPBUS_TOO_LARGE: no room for
// it.
enum kvpbus_error kvpbus_link_enroll(struct kvpbus_link *link, const struct kvpbus_token *token,
                                     uint64_t now);
void kvpbus_link_suspend(struct kvpbus_link *link, bool suspended, uint64_t now);

// --- feed ---

void kvpbus_link_tick(struct kvpbus_link *link, uint64_t now);
uint64_t kvpbus_link_deadline(const struct kvpbus_link *link); // UINT64_MAX: none
void kvpbus_link_scan_peer(struct kvpbus_link *link, const struct kvpbus_scan *scan, uint64_t now);
// A read of the own store; one that overlapped a write is to be dropped by the owner.
void kvpbus_link_scan_own(struct kvpbus_link *link, const struct kvpbus_scan *scan, uint64_t now);
// That read failed; it is wanted again after a while.
void kvpbus_link_own_scan_failed(struct kvpbus_link *link, uint64_t now);
bool kvpbus_link_wants_own_scan(const struct kvpbus_link *link);
// True while something is in flight or expected, so that polling should be fast.
bool kvpbus_link_active(const struct kvpbus_link *link, uint64_t now);
// True in the midst of a transfer: the sooner an acknowledgement is seen, the sooner it goes on.
bool kvpbus_link_transfers(const struct kvpbus_link *link, uint64_t now);
// When something new came from the peer last.
uint64_t kvpbus_link_news(const struct kvpbus_link *link);

// --- write ---
// The changes that bring the own store to what it should hold now; 0: none. Strings belong to the
// link until kvpbus_link_write_done, which must follow before the next call.
size_t kvpbus_link_write(struct kvpbus_link *link, const struct kvpbus_change **changes,
                         uint64_t now);
void kvpbus_link_write_done(struct kvpbus_link *link, const enum kvpbus_error *results,
                            uint64_t now);

// --- events and their answers ---

bool kvpbus_link_next_event(struct kvpbus_link *link, struct kvpbus_link_event *event);
void kvpbus_link_epoch_recorded(struct kvpbus_link *link, const uint8_t epoch[KVPBUS_EPOCH_BYTES],
                                uint64_t now);
void kvpbus_link_sync_ready(struct kvpbus_link *link, uint32_t session,
                            const struct kvpbus_sync *sync, uint64_t now);
// `consistent` false: a new session is begun.
void kvpbus_link_sync_done(struct kvpbus_link *link, uint32_t session, bool consistent,
                           uint64_t now);
void kvpbus_link_committed(struct kvpbus_link *link, uint32_t session, uint64_t number,
                           uint64_t now);
// The packet could not be committed: `fatal` when it breaks the protocol (a new session is begun),
// else it is tried again with a later scan.
void kvpbus_link_refused(struct kvpbus_link *link, uint32_t session, uint64_t number, bool fatal,
                         uint64_t now);
// The session cannot go on; a new one is begun.
void kvpbus_link_renew(struct kvpbus_link *link, const char *why, uint64_t now);
// Free bytes of the inbox; the base of the credit that I give.
void kvpbus_link_room(struct kvpbus_link *link, const uint64_t room[KVPBUS_CLASS_COUNT]);

// --- what is to be sent, in a session after sync_done ---
// True when another bundle of the class may be offered: fewer than KVPBUS_BUNDLE_WINDOW are under
// way, and what is under way is nearly sent.
bool kvpbus_link_accepts(const struct kvpbus_link *link, enum kvpbus_class class_);
// A sealed bundle; the peer holds its first `held` bytes. `data` are its bytes from `held`, up to
// KVPBUS_LINK_CHUNK (or to its end); the rest comes through WANT. KVPBUS_BUSY: the class is full.
// KVPBUS_NOMEM.
enum kvpbus_error kvpbus_link_offer(struct kvpbus_link *link, const struct kvpbus_sealed *bundle,
                                    uint32_t held, const uint8_t *data, size_t length);
enum kvpbus_error kvpbus_link_supply(struct kvpbus_link *link, const struct kvpbus_link_want *want,
                                     const uint8_t *data);
// True when kvpbus_link_gap would take one now.
bool kvpbus_link_takes_gap(const struct kvpbus_link *link);
// Queued for the next packet; at most KVPBUS_LINK_FRAMES_MAX wait, else KVPBUS_BUSY. A whole-bundle
// gap stops sending the bundle's bytes.
enum kvpbus_error kvpbus_link_gap(struct kvpbus_link *link, const struct kvpbus_gap *gap);
// The peer has answered for the whole bundle: no more of its bytes are sent.
void kvpbus_link_answered(struct kvpbus_link *link, enum kvpbus_class class_, uint64_t number);
enum kvpbus_error kvpbus_link_answer(struct kvpbus_link *link,
                                     const struct kvpbus_gap_answer *answer);

// --- status ---

void kvpbus_link_status(const struct kvpbus_link *link, struct kvpbus_link_status *status);

#endif
