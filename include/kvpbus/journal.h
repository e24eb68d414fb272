// SPDX-License-Identifier: Apache-2.0
//
// The journal: the durable truth of one side, an SQLite file (WAL, synchronous=FULL). It is opened
// here and given to the executor of a bus, whose jobs are all that touches it then; until
// kvpbus_journal_close it belongs to one thread at a time. What the bus says of it stands here too.
#ifndef KVPBUS_JOURNAL_H
#define KVPBUS_JOURNAL_H

#include "kvpbus/identity.h"
#include "kvpbus/message.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    KVPBUS_PEER_NAME_MAX = 255, // bytes of UTF-8 without the NUL; longer is cut
    KVPBUS_REASON_MAX = 240,    // the same
    KVPBUS_FORMER_VMS = 3,      // former ids of a VM that are kept
};

struct kvpbus_journal;

// What one peer may take instead; 0: what holds for all.
struct kvpbus_quota {
    char peer[KVPBUS_PEER_NAME_MAX + 1];      // its name or GUID
    uint64_t outbox_max, inbox_max, bulk_max; // bytes, as below
};

struct kvpbus_journal_options {
    const char *vfs;          // SQLite VFS, NULL: the default
    enum kvpbus_role role;    // of this side
    uint64_t outbox_max;      // bytes of messages without an outcome, per peer; 0: 256 MiB
    uint64_t inbox_max;       // bytes of messages, dead letters, fragments per peer; 0: 256 MiB
    uint64_t total_max;       // bytes of the whole file without its WAL; 0: 8 GiB
    uint64_t control_reserve; // of each of these, kept for class control; 0: 1 MiB
    uint64_t bulk_max;        // bytes of class bulk in the outbox, and in the inbox, of a peer; 0:
                              // three quarters of it, but room for the longest message
    const struct kvpbus_quota *quotas; // of single peers, copied
    size_t quota_count;
    size_t body_max;     // bytes of the longest body; 0: KVPBUS_MESSAGE_DEFAULT_MAX
    uint32_t tries_max;  // leases of one message before it is a dead letter; 0: 10
    uint64_t history_ms; // how long outcomes, ids, dead letters are kept; 0: 7 days
    uint64_t audit_max;  // entries of the audit; 0: a million, one for 2 KiB of total_max
    uint64_t audit_ms;   // how long they are kept; 0: a year
};

// Opens or creates the file (mode 0600) and takes it for this process alone: KVPBUS_JOURNAL_LOCKED
// when another has it. KVPBUS_JOURNAL_DAMAGED, _NEWER, KVPBUS_NO_SPACE, KVPBUS_ACCESS, KVPBUS_IO
// say what they say; KVPBUS_CONFIG: limits that no message fits into; KVPBUS_NOMEM. Leases of the
// process that had it before are ended. `path` and `options` are copied; *journal is NULL after an
// error. Any thread.
enum kvpbus_error kvpbus_journal_open(const char *path,
                                      const struct kvpbus_journal_options *options,
                                      struct kvpbus_journal **journal,
                                      struct kvpbus_failure *failure);
// When no job is under way. NULL: nothing.
void kvpbus_journal_close(struct kvpbus_journal *journal);

// One of these stands for one link: on a host a VM, on a guest the host.
struct kvpbus_peer {
    int64_t id;                     // row id, stable
    uint8_t vm[KVPBUS_VM_ID_BYTES]; // on a guest zeros until it is paired
    char name[KVPBUS_PEER_NAME_MAX + 1];
    bool paired;
    uint8_t identity[KVPBUS_IDENTITY_BYTES]; // pinned, with `paired`
    bool pending;                            // an identity waits for approval
    uint8_t pending_identity[KVPBUS_IDENTITY_BYTES];
    uint8_t timeline[KVPBUS_TIMELINE_BYTES]; // of what I send to it
    bool known;                              // it was paired with me, or met me, as `met`
    uint8_t met[KVPBUS_IDENTITY_BYTES];
    size_t former_count; // VM ids that it had before, newest first
    uint8_t former[KVPBUS_FORMER_VMS][KVPBUS_VM_ID_BYTES];
    bool rebound; // it has not been seen under its present id yet
    bool moved;   // the VM was handed to another host, whose identity is moved_to
    uint8_t moved_to[KVPBUS_IDENTITY_BYTES];
};

// A message given to a consumer; freed with kvpbus_delivery_free, on any thread and also after the
// bus is closed. NULL: nothing.
struct kvpbus_delivery {
    int64_t lease; // token for _ack and _nack; a later lease has another
    int64_t peer;
    uint32_t try_;                 // 1 the first time
    struct kvpbus_message message; // with everything it points to
};
void kvpbus_delivery_free(struct kvpbus_delivery *delivery);

// Which messages a consumer wants; what does not match is passed over and holds nothing up. All
// zeros: every event and request.
struct kvpbus_filter {
    int64_t peer;        // 0: any
    const char *pattern; // NULL: any topic; `*` stands for one name, a last `>` for one or more
    unsigned kinds;      // 1 << enum kvpbus_kind, of events and requests; 0: both
    // Only replies to this request of mine, whatever `kinds` says. NULL: no replies.
    const struct kvpbus_message_id *reply_to;
};

// What can still come for a request of mine.
struct kvpbus_awaited {
    bool over; // no reply any more, because of the rest
    // KVPBUS_OUTCOME_DELIVERED: the last reply was taken. _EXPIRED: the lifetime is over, whether
    // the request was delivered or not. _UNKNOWN: a revert, or there is no such request.
    enum kvpbus_outcome outcome;
    char reason[KVPBUS_REASON_MAX + 1];
    int64_t ends_ms; // of its lifetime, by this side's clock; 0: none
};

struct kvpbus_dead_filter {
    int64_t peer;                       // 0: any
    const char *pattern;                // NULL: any topic
    const struct kvpbus_message_id *id; // NULL: any
};
struct kvpbus_dead_letter {
    int64_t number; // ascending with the time of death
    int64_t peer;
    struct kvpbus_message_id id;
    char topic[KVPBUS_TOPIC_MAX + 1], stream[KVPBUS_STREAM_MAX + 1];
    enum kvpbus_class class_;
    uint64_t size;   // bytes of all that is stored of it
    uint32_t tries;  // leases that it had
    int64_t died_ms; // ms since 1970 by this side's clock
    char reason[KVPBUS_REASON_MAX + 1];
};

struct kvpbus_message_status {
    enum kvpbus_outcome outcome;
    char reason[KVPBUS_REASON_MAX + 1];
    uint32_t length; // bytes of the sealed bundle it travels in, 0 while it is open
    bool consumed;   // its receipt came: a consumer of the peer has acknowledged it
};

// Where a received message is.
enum kvpbus_place {
    KVPBUS_PLACE_WAITING,
    KVPBUS_PLACE_LEASED,
    KVPBUS_PLACE_CONSUMED,
    KVPBUS_PLACE_DEAD_LETTER,
    KVPBUS_PLACE_DROPPED, // nobody wanted it any more
};
// "waiting", "leased", "consumed", "dead letter", "dropped". Static. Any thread.
const char *kvpbus_place_name(enum kvpbus_place place);

// What is known of a message, sent or received; times in ms since 1970 by this side's clock, 0 not
// yet.
struct kvpbus_message_record {
    bool sent; // else received
    int64_t peer;
    struct kvpbus_message_id id;
    char topic[KVPBUS_TOPIC_MAX + 1], stream[KVPBUS_STREAM_MAX + 1];
    enum kvpbus_class class_;
    uint64_t size;    // bytes of the body
    int64_t begun_ms; // queued, or come
    int64_t settled_ms;
    enum kvpbus_outcome outcome; // of one that was sent
    char reason[KVPBUS_REASON_MAX + 1];
    bool receipt;            // one was asked for
    int64_t consumed_ms;     // acknowledged by a consumer: here or, as its receipt says, there
    enum kvpbus_place place; // of one that was received
    uint32_t tries;          // leases that it had
};

struct kvpbus_journal_counts {
    uint64_t queued, queued_bytes;              // messages without an outcome
    uint64_t inbox, inbox_bytes;                // not yet acknowledged by a consumer
    uint64_t delivered, expired, dead, unknown; // outcomes in the history
    uint64_t received; // messages ever committed in this journal from this peer
    uint64_t dead_letters;
    bool receipts; // the peer has still to be told of some
};

#ifdef __cplusplus
}
#endif

#endif
