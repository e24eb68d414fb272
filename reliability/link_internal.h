// SPDX-License-Identifier: Apache-2.0
//
// What the parts of the link share. Each part has its own struct and its own file:
//   link_handshake.c  cores and sessions      link_receive.c  the peer's store comes in
//   link_send.c       packets and the window  link_store.c    the own store is reconciled
//   link_bundle.c     bundles under way       link.c          life, timers, status
#ifndef KVPBUS_LINK_INTERNAL_H
#define KVPBUS_LINK_INTERNAL_H

#include <assert.h>
#include <string.h>

#include "hello.h"
#include "link.h"
#include "wire.h"

enum {
    DIGEST = 16,
    EVENTS_MAX = 256,
    SEEN_MAX = 2 * KVPBUS_LINK_WINDOW,
    PIECES_MAX = KVPBUS_LINK_FRAMES_MAX,
    CONTROL_RESERVE = 4, // slots and window kept for the class control
    FRAMES_QUEUED_MAX = KVPBUS_LINK_FRAMES_MAX,

    // Milliseconds. The first and least retransmission time covers a peer that polls slowly at
    // rest.
    RTO_FIRST = 5000,
    RTO_MIN = 5000,
    RTO_MAX = 60000,
    HELLO_FIRST = 1000,
    HELLO_MAX = 60000,
    HELLO_REWRITES_MAX =
        5, // then a core that did not come to live is replaced: the peer may have retired it
    COLLECT_IDLE = 2000,
    RETRY_FIRST = 1000,
    RETRY_MAX = 30000,
    CREDIT_ASK = 60000, // what gave credit may have been lost on the way
    REPAIR_FIRST = 1000,
    REPAIR_MAX = 60000,
    OWN_SCAN_EVERY = 30000,
    OWN_SCAN_RETRY = 1000,
    ACTIVE_AFTER = 3000, // polling stays fast for so long after the last news
    TRANSFER_AFTER = 50, // and faster for so long while something is in flight
    CORE_LIFETIME = 24 * 60 * 60 * 1000,

    MISSING_SCANS = 3,       // a register must be absent in so many scans in a row
    GROW_AFTER = 16,         // good writes before a shrunken ring grows by one slot
    BLACK_HOLE_ATTEMPTS = 4, // rewrites of a full item before values are made shorter
    BLACK_HOLE_ANSWERS = 2,  // and so many of them in a row were not taken by a peer that was there
    // Before I stop: cores of the peer that hellos of mine which I did not write have answered. A
    // revert leaves hellos of the life that it undid; without stale scans those answer at most two
    // cores that this life knows: of the checkpoint, and the present one.
    FOREIGN_ANSWERS_MAX = 6,
    FOREIGN_ALONE_MAX = 12, // and such hellos while no peer has shown itself
    PEER_CORES_KEPT = 16,
};

#define CORE_PACKETS_MAX (UINT64_C(1) << 32)
#define NEVER UINT64_MAX

// --- own store ---

enum cell_wish { CELL_LEAVE, CELL_HOLD, CELL_REMOVE };
enum cell_found { FOUND_UNKNOWN, FOUND_NOTHING, FOUND_VALUE };

// One key of my own store: what it should hold and what it holds as far as I know.
struct cell {
    enum cell_wish wish;
    bool dirty;             // with CELL_HOLD: a new value is to be made
    uint8_t wanted[DIGEST]; // of the value made last
    enum cell_found found;
    uint8_t held[DIGEST]; // with FOUND_VALUE
};

enum { CELL_HELLO = 0, CELL_STATE = 1, CELL_SLOT = 2 };

struct own_store {
    struct cell cells[KVPBUS_LINK_KEYS];
    uint64_t last_scan, scan_after; // not before, after one that failed
    bool scanned;                   // once since start
    bool scan_wanted, writing;
    bool hello_written; // mine has been accepted by the store since start
    enum kvpbus_error last_error;
    size_t change_count;
    struct kvpbus_change changes[KVPBUS_LINK_KEYS];
    uint8_t change_cell[KVPBUS_LINK_KEYS]; // KVPBUS_LINK_KEYS: a key that is not one of the cells
    uint8_t change_digest[KVPBUS_LINK_KEYS][DIGEST];
    char stray[KVPBUS_KEY_MAX + 1]; // a key of my prefix that is not the protocol's; "" none
    char (*keys)[KVPBUS_PREFIX_MAX + 8];
    char (*values)[KVPBUS_VALUE_MAX + 1];
    uint64_t write_after; // not before, after a failed write
    uint64_t retry;       // the present delay
    uint64_t repair_after, repair_delay;
    unsigned good_writes;
    unsigned foreign_answer_count, foreign_alone;
    uint8_t foreign_answers[FOREIGN_ANSWERS_MAX][KVPBUS_CORE_HASH]; // what they answered
    uint8_t foreign_epoch[KVPBUS_EPOCH_BYTES];
};

// --- handshake ---

struct handshake {
    struct kvpbus_own_core own;
    bool recorded;    // the epoch is in the journal
    bool used;        // the core has been in a live session
    uint64_t made;    // when
    uint32_t attempt; // of my hello register

    bool has_peer; // `peer` is a verified core of the pinned identity
    struct kvpbus_core peer;
    uint8_t peer_cores[PEER_CORES_KEPT][KVPBUS_CORE_HASH]; // the latest, in turns
    unsigned peer_core_next;
    bool peer_confirms; // it confirmed my present core
    bool proven;        // an item under the session's keys was opened: the session is live
    bool keyed;         // `keys` are of own and peer

    uint8_t last_digest[DIGEST]; // of the hello value looked at last
    bool shows_peer;             // that one showed the peer's present core
    bool peer_seen;              // some valid hello is there, whoever's
    bool stranger;               // the present one is not of the pinned identity
    uint8_t pending[DIGEST];     // of the identity and extensions that were told last
    bool has_pending;
    bool rebound;      // the host knows me under another id, which waits to be recorded
    bool has_follower; // the peer goes on as `follower`, which waits to be recorded
    uint8_t follower[KVPBUS_IDENTITY_BYTES];
    uint64_t rewrite_at, rewrite_delay;
    uint64_t look_again; // no hello of a stranger is looked at before
    unsigned rewrites;   // of the present core

    uint8_t met[KVPBUS_EPOCH_BYTES]; // the peer's epoch in the last live session; zeros: none
    uint8_t own_epochs[KVPBUS_EPOCHS_KEPT][KVPBUS_EPOCH_BYTES];
    size_t own_epoch_count;
    uint8_t retired[KVPBUS_EPOCHS_KEPT][KVPBUS_EPOCH_BYTES];
    size_t retired_count;
};

// --- session ---

struct piece {
    enum kvpbus_class class_;
    uint64_t number;
    uint32_t bytes;
};

struct sent_packet {
    uint64_t number; // 0: free
    bool acknowledged;
    uint32_t attempt;
    int slot;     // -1: none now
    bool written; // the present attempt was accepted by the store
    uint64_t first_written, last_written;
    uint64_t asked;        // version of my state that asks for an answer beside an attempt; 0: none
    unsigned answered;     // attempts in a row that the peer answered so, and did not acknowledge
    uint64_t write_serial; // which write call carried it last
    uint64_t digest;       // kvpbus_packet_digest
    size_t length;
    size_t piece_count;
    struct piece pieces[PIECES_MAX];
    uint8_t plain[KVPBUS_PLAIN_MAX];
};

struct outgoing {
    enum kvpbus_class class_;
    uint64_t number;
    uint32_t total, sent, acknowledged;
    bool begun; // FIRST was sent in this session, or the peer held a part
    uint32_t buffer_start, buffer_length, wanted_to;
    uint8_t buffer[KVPBUS_LINK_CHUNK];
};

struct sender {
    uint64_t next;       // number of the next packet
    uint64_t cumulative; // the peer's c
    uint64_t digest;     // XOR over the packets up to cumulative
    unsigned window;     // the peer's
    uint64_t credit[KVPBUS_CLASS_COUNT], begun[KVPBUS_CLASS_COUNT];
    unsigned ring_limit;
    struct sent_packet packets[KVPBUS_LINK_WINDOW]; // number % window
    uint64_t in_slot[KVPBUS_RING_MAX];              // packet that took the slot last
    struct outgoing *bundles[KVPBUS_CLASS_COUNT][KVPBUS_BUNDLE_WINDOW];
    unsigned turn[KVPBUS_CLASS_COUNT]; // whose turn it is in a class
    struct kvpbus_gap gaps[FRAMES_QUEUED_MAX];
    size_t gap_count;
    struct kvpbus_gap_answer answers[FRAMES_QUEUED_MAX];
    size_t answer_count;
    bool sync_waiting; // `sync` is to go out as packet 1
    struct kvpbus_sync sync;
    uint64_t srtt, rttvar;
    unsigned backoff;
    uint64_t write_serial;
    uint64_t idle_since; // everything acknowledged since; NEVER: something is under way
};

struct seen_packet {
    uint64_t number;
    uint32_t attempt;
    uint8_t digest[DIGEST]; // of the plaintext
};

// A packet that the owner is committing.
struct pending_packet {
    uint64_t number; // 0: free
    uint64_t digest;
    uint64_t begun[KVPBUS_CLASS_COUNT]; // sealed bytes of the bundles that it begins
};

struct receiver {
    uint64_t cumulative, bitmap;
    uint64_t digest; // XOR over every packet that is committed
    struct seen_packet seen[SEEN_MAX];
    struct pending_packet pending[KVPBUS_LINK_WINDOW];
    uint64_t version;      // of my state register, last written
    uint64_t peer_version; // highest opened
    uint64_t peer_echo;    // in that
    bool peer_cannot_commit, cannot_commit;
    uint8_t peer_state_digest[DIGEST];
    uint64_t room[KVPBUS_CLASS_COUNT], begun[KVPBUS_CLASS_COUNT], told[KVPBUS_CLASS_COUNT];
    unsigned hello_absent, state_absent; // scans in a row
    uint64_t missing_again, missing_delay;
    bool say_hello_missing, say_state_missing;
    uint64_t credit_ask; // when credit that I wait for is asked for; NEVER: I do not wait
    bool say_credit_missing;
    bool said_damaged, said_noise;                // to people, once a session
    uint8_t slot_digest[KVPBUS_RING_MAX][DIGEST]; // of values that need not be looked at again
};

struct kvpbus_link {
    struct kvpbus_link_options options;
    char prefix[KVPBUS_PREFIX_MAX + 1];
    uint64_t now;
    bool paired;
    uint8_t pinned[KVPBUS_IDENTITY_BYTES];
    uint8_t pinned_vm[KVPBUS_VM_ID_BYTES]; // on a guest; zeros: any
    bool suspended, stopped;
    enum kvpbus_link_state reported;
    uint32_t session; // serial, counts sessions since start
    bool synced;      // both SYNCs are taken in
    bool own_sync_done, peer_sync_done;
    uint32_t value_max;                        // may shrink: a black hole
    uint8_t extensions[KVPBUS_EXTENSIONS_MAX]; // of my cores
    size_t extensions_length;
    bool enrolling; // with `token`, for which `extensions` keeps a place
    struct kvpbus_token token;
    uint64_t last_news;

    struct handshake handshake;
    struct kvpbus_session_keys keys;
    struct sender sender;
    struct receiver receiver;
    struct own_store store;

    struct kvpbus_link_event events[EVENTS_MAX];
    size_t event_head, event_count;
    struct kvpbus_link_status counters; // only its counts are used
    char trouble[160];                  // the last alarm, for status
};

// link.c
struct kvpbus_link_event *link_event(struct kvpbus_link *link, enum kvpbus_link_event_kind kind);
void link_say(struct kvpbus_link *link, enum kvpbus_link_event_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void link_digest(const void *bytes, size_t length, uint8_t digest[DIGEST]);
void link_report_state(struct kvpbus_link *link);
// One of the two SYNCs is settled; the session carries bundles when both are.
void link_agree(struct kvpbus_link *link);
static inline bool link_live(const struct kvpbus_link *link)
{
    return link->handshake.proven;
}

// link_handshake.c
bool core_in(uint8_t (*hashes)[KVPBUS_CORE_HASH], size_t count, const uint8_t *hash);
void handshake_start(struct kvpbus_link *link);
void handshake_new_core(struct kvpbus_link *link);
// The present session is given up and a new core made; the peer will follow.
void handshake_renew(struct kvpbus_link *link, enum kvpbus_link_event_kind kind, const char *why);
// True when the value shows the present core of the peer, after it was looked at.
bool handshake_hello(struct kvpbus_link *link, const char *value);
void handshake_proven(struct kvpbus_link *link);
void handshake_tick(struct kvpbus_link *link);
uint64_t handshake_deadline(const struct kvpbus_link *link);
bool handshake_own_epoch(const struct kvpbus_link *link, const uint8_t *epoch);
size_t handshake_value(struct kvpbus_link *link, uint8_t bytes[KVPBUS_ITEM_MAX]);

// link_send.c
void sender_reset(struct kvpbus_link *link);
void sender_free(struct kvpbus_link *link);
void sender_fill(struct kvpbus_link *link);
// False: the state does not fit what I sent, or takes back what it had acknowledged.
bool sender_fits(struct kvpbus_link *link, const struct kvpbus_state *state);
void sender_state(struct kvpbus_link *link, const struct kvpbus_state *state);
void sender_tick(struct kvpbus_link *link);
uint64_t sender_deadline(const struct kvpbus_link *link);
void sender_written(struct kvpbus_link *link, unsigned slot);
void sender_shrink(struct kvpbus_link *link, bool to_one);
struct sent_packet *sender_in_slot(struct kvpbus_link *link, unsigned slot);
size_t sender_in_flight(const struct kvpbus_link *link);
bool sender_idle(const struct kvpbus_link *link);
// A packet is written again and again: whether the peer is there at all is asked.
bool sender_asks(const struct kvpbus_link *link);

// link_bundle.c
bool bundle_next(struct kvpbus_link *link, enum kvpbus_class class_,
                 struct kvpbus_fragment *fragment, struct outgoing **from);
// Asks for the bytes that the next window may take.
void bundle_read_ahead(struct kvpbus_link *link);
// True while a bundle could begin but for the peer's credit.
bool bundle_waits_for_credit(const struct kvpbus_link *link);
void bundle_sent(struct kvpbus_link *link, struct outgoing *bundle, size_t bytes);
void bundle_acknowledged(struct kvpbus_link *link, const struct piece *piece);
void bundle_forget_all(struct kvpbus_link *link);

// link_receive.c
void receiver_reset(struct kvpbus_link *link);
void receiver_state_plain(struct kvpbus_link *link, uint8_t plain[KVPBUS_STATE_PLAIN]);
void receiver_tick(struct kvpbus_link *link);
uint64_t receiver_deadline(const struct kvpbus_link *link);

// link_store.c
void store_dirty(struct kvpbus_link *link, unsigned cell);
void store_wish(struct kvpbus_link *link, unsigned cell, enum cell_wish wish);
void store_start(struct kvpbus_link *link);
uint64_t store_deadline(const struct kvpbus_link *link);
void store_free(struct kvpbus_link *link);

#endif
