// SPDX-License-Identifier: Apache-2.0
//
// A program's way to the kvpbus service of this machine: send and receive messages, ask and answer.
//
// A client is one connection and has one operation at a time. A function begins an operation and
// never waits; kvpbus_client_next gives what becomes of it, event by event, and the last event is
// always KVPBUS_CLIENT_DONE; kvpbus_client_finish waits for the end alone. So a program that may
// wait writes
//
//     kvpbus_client_send(client, &message, &failure);
//     kvpbus_client_finish(client, 60000, &event, &failure);
//
// and one with a loop of its own polls kvpbus_client_fd for reading, and for writing while
// kvpbus_client_wants_write says so, and then takes events with a timeout of 0 until that gives
// KVPBUS_TIMEOUT.
//
// Threads: a client is used by one thread at a time; different clients do not touch each other.
// Memory: what a caller passes is copied before the function returns. What an event points to stays
// until the next event but DONE is taken or an operation was begun; a received message stays until
// the next one comes. Both end with the client.
// Errors: of a function that begins something, or of an event, is the end of the operation, but for
// KVPBUS_TIMEOUT, after which it goes on, and KVPBUS_BUSY of what begins something, after which the
// one before goes on. After KVPBUS_CLOSED and KVPBUS_PROTOCOL the connection is of no use, and so
// after KVPBUS_BUSY of a first operation, when the service has 64 clients already:
// kvpbus_client_reconnect.
#ifndef KVPBUS_CLIENT_H
#define KVPBUS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvpbus/message.h"
#include "kvpbus/platform.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kvpbus_client;

enum {
    KVPBUS_CLIENT_BODY_MAX = 1 << 30, // bytes of a body; what the service is set to may be less
};

// --- the connection ---

// `path` NULL: KVPBUS_SOCKET, else the default socket of whichever service is there. Waits 5 s at
// most. KVPBUS_NO_DAEMON, KVPBUS_ACCESS, KVPBUS_BUSY, KVPBUS_NOMEM.
enum kvpbus_error kvpbus_client_open(const char *path, struct kvpbus_client **client,
                                     struct kvpbus_failure *failure);

// What is under way may or may not happen. Messages that were received and neither acknowledged nor
// refused come again, to whoever asks: the last one at once, others when their leases end. NULL:
// nothing.
void kvpbus_client_close(struct kvpbus_client *client);

// Close and open in one, with the errors of the latter: after the service was restarted, or to give
// up an operation. The descriptor is another one afterwards.
enum kvpbus_error kvpbus_client_reconnect(struct kvpbus_client *client,
                                          struct kvpbus_failure *failure);

// To be polled, never read or written by others; KVPBUS_NO_NOTICE when reconnecting failed. On
// Windows it is the HANDLE of an event, to be waited for and never set or reset by others: it is
// set while there is something to take, or to write on with.
kvpbus_notice kvpbus_client_fd(const struct kvpbus_client *client);
bool kvpbus_client_wants_write(const struct kvpbus_client *client);

// --- events ---

enum kvpbus_client_event_kind {
    KVPBUS_CLIENT_DONE,     // the operation has ended: count
    KVPBUS_CLIENT_QUEUED,   // it stands in the journal of this side: id, peer
    KVPBUS_CLIENT_REFUSED,  // one of several peers gets nothing: peer, code, reason
    KVPBUS_CLIENT_PROGRESS, // acknowledged, total
    KVPBUS_CLIENT_OUTCOME,  // what became of a message: id, peer, outcome, reason, consumed
    KVPBUS_CLIENT_MESSAGE,  // message
    KVPBUS_CLIENT_RECORD,   // record
    KVPBUS_CLIENT_LETTER,   // letter
};

// A message that was received.
struct kvpbus_incoming {
    int64_t lease; // what it is acknowledged by; 0: it is not leased
    const char *peer, *id, *topic, *stream;
    enum kvpbus_class class_;
    enum kvpbus_kind kind;
    int32_t status;       // of a reply
    const char *reply_to; // of a reply: the id of the request
    int64_t created_ms;   // ms since 1970 by the sender's clock
    uint64_t ttl_ms;      // from then; 0: it has no end
    uint32_t try_;        // 1 at the first time; more: a program had it before and did not finish
    const struct kvpbus_header *headers;
    size_t header_count;
    const uint8_t *body; // a NUL that is not counted stands behind it
    size_t body_length;
};

// What this side's journal knows of a message.
struct kvpbus_record {
    bool sent; // else received
    const char *peer, *id, *topic, *stream;
    enum kvpbus_class class_;
    uint64_t size; // bytes of the body
    int64_t queued_ms;
    // Of a sent one. Times are ms since 1970; 0: not yet.
    enum kvpbus_outcome outcome;
    const char *reason;
    int64_t settled_ms;
    bool receipt; // it was sent with KVPBUS_WAIT_CONSUMED
    int64_t consumed_ms;
    // Of a received one.
    const char *place; // "waiting", "leased", "consumed", "dead letter"
    uint32_t tries;
};

// A message that no program could consume.
struct kvpbus_letter {
    uint64_t number; // they are listed by it
    const char *peer, *id, *topic, *stream;
    enum kvpbus_class class_;
    uint64_t size; // bytes of all that is stored of it
    uint32_t tries;
    int64_t died_ms;    // ms since 1970
    const char *reason; // of the last try
};

struct kvpbus_client_event {
    enum kvpbus_client_event_kind kind;
    const char *peer, *id; // "" where the kind has none; a peer's name, its GUID if several have it
    enum kvpbus_error code;
    const char *reason; // a sentence, or ""
    enum kvpbus_outcome outcome;
    bool consumed;                // beside KVPBUS_OUTCOME_DELIVERED: a program has acknowledged it
    uint64_t acknowledged, total; // bytes
    uint64_t count;               // of dead letters that were given back or dropped
    const struct kvpbus_incoming *message;
    const struct kvpbus_record *record;
    const struct kvpbus_letter *letter;
};

// The next event. timeout_ms 0: only what is there; -1: without end. KVPBUS_NOT_FOUND: nothing is
// under way.
enum kvpbus_error kvpbus_client_next(struct kvpbus_client *client, int64_t timeout_ms,
                                     struct kvpbus_client_event *event,
                                     struct kvpbus_failure *failure);

// Takes the events up to the end. *last, which may be NULL, is the one before KVPBUS_CLIENT_DONE
// where there is one: KVPBUS_CLIENT_OUTCOME or KVPBUS_CLIENT_QUEUED of a message that was sent,
// KVPBUS_CLIENT_MESSAGE of one that was received. The timeout is for all of them together.
enum kvpbus_error kvpbus_client_finish(struct kvpbus_client *client, int64_t timeout_ms,
                                       struct kvpbus_client_event *last,
                                       struct kvpbus_failure *failure);

// --- sending ---

enum kvpbus_wait {
    KVPBUS_WAIT_QUEUED,    // until it stands in this side's journal
    KVPBUS_WAIT_DELIVERED, // in the peer's
    KVPBUS_WAIT_CONSUMED,  // until a program there acknowledged it
};

// A message and whom it is for: one peer, several, or all that are paired. Begin with
// kvpbus_outgoing_init; NULL stands for "" everywhere.
struct kvpbus_outgoing {
    const char *peer; // a VM's name or GUID, as an event names it; in a guest "host"
    const char *const *peers;
    size_t peer_count;
    bool all;
    const char *topic;  // see kvpbus_topic_valid
    const char *stream; // messages of one stream arrive in order
    enum kvpbus_class class_;
    uint64_t ttl_ms; // it expires unless it is delivered in this time; 0: never
    const struct kvpbus_header *headers;
    size_t header_count; // up to KVPBUS_HEADERS_MAX
    const void *body;
    size_t body_length;
    enum kvpbus_wait wait;
    bool resend; // again after the peer was reverted to a time before the delivery
    // Of a reply: its kind, the id of the request, and 0 or what went wrong.
    enum kvpbus_kind kind;
    const char *reply_to;
    int32_t status;
};

// One event in class normal, without end, and nothing is waited for.
void kvpbus_outgoing_init(struct kvpbus_outgoing *message, const char *peer, const char *topic,
                          const void *body, size_t length);

// To one peer: QUEUED, then unless nothing is waited for any number of PROGRESS, and OUTCOME. To
// several: QUEUED or REFUSED of each, then an OUTCOME of each that was queued. The client holds a
// copy of the body until the socket has taken it.
enum kvpbus_error kvpbus_client_send(struct kvpbus_client *client,
                                     const struct kvpbus_outgoing *message,
                                     struct kvpbus_failure *failure);

// Sends to one peer and gathers the replies: QUEUED, MESSAGE for each, the last of them of kind
// KVPBUS_KIND_LAST_REPLY; or OUTCOME when no reply can come any more. ttl_ms, which has to be
// given, is the time for all of that. A reply is consumed when it has been given. Whoever has
// enough replies may begin something else.
enum kvpbus_error kvpbus_client_request(struct kvpbus_client *client,
                                        const struct kvpbus_outgoing *message,
                                        struct kvpbus_failure *failure);

// --- receiving ---

// Which messages; zeros: events and requests of any topic and peer.
struct kvpbus_receiving {
    const char *pattern; // of the topic: * stands for one name, a last > for one or more
    const char *peer;
    uint32_t kinds;       // bits 1 << kind
    const char *reply_to; // only replies to the request with this id; `kinds` is not looked at
    uint64_t lease_ms;    // 0: what the service is configured to, 60 s unless it says otherwise
    bool now;             // KVPBUS_NOT_FOUND at once when none waits
};

// MESSAGE, when there is one. It is leased: until it is acknowledged, refused or its lease ends, no
// other of its stream is given to anybody, and unless it is acknowledged it comes again. With
// reply_to: OUTCOME of the request when no reply can come any more.
enum kvpbus_error kvpbus_client_receive(struct kvpbus_client *client,
                                        const struct kvpbus_receiving *which,
                                        struct kvpbus_failure *failure);

// It is done with, and is never given again.
enum kvpbus_error kvpbus_client_ack(struct kvpbus_client *client, int64_t lease,
                                    struct kvpbus_failure *failure);

// It is given again after a while, or when `dead` goes to the dead letters at once. The reason,
// which may be NULL, is kept with it.
enum kvpbus_error kvpbus_client_nack(struct kvpbus_client *client, int64_t lease, uint64_t delay_ms,
                                     const char *reason, bool dead, struct kvpbus_failure *failure);

// The lease ends so long after now; lease_ms as of kvpbus_receiving.
enum kvpbus_error kvpbus_client_extend(struct kvpbus_client *client, int64_t lease,
                                       uint64_t lease_ms, struct kvpbus_failure *failure);

// --- afterwards ---

// Takes back a message that has not been delivered. With `wait` OUTCOME comes when it is known
// whether it was: expired, when it was in time. Without: KVPBUS_EXISTS when its outcome is known.
enum kvpbus_error kvpbus_client_withdraw(struct kvpbus_client *client, const char *id, bool wait,
                                         struct kvpbus_failure *failure);

// RECORD, of a message sent or received, as long as its history is kept. KVPBUS_NOT_FOUND.
enum kvpbus_error kvpbus_client_show(struct kvpbus_client *client, const char *id,
                                     struct kvpbus_failure *failure);

enum kvpbus_dead_verb {
    KVPBUS_DEAD_LIST,  // LETTER for each
    KVPBUS_DEAD_SHOW,  // LETTER and MESSAGE, without a lease
    KVPBUS_DEAD_RETRY, // back to the inbox
    KVPBUS_DEAD_DROP,  // away
};

// The dead letters of a peer or topic pattern, NULL: any; or the one with this id. RETRY and DROP
// of more than that one want `all`.
struct kvpbus_dead_query {
    const char *peer, *pattern, *id;
    bool all;
};

enum kvpbus_error kvpbus_client_dead(struct kvpbus_client *client, enum kvpbus_dead_verb verb,
                                     const struct kvpbus_dead_query *query,
                                     struct kvpbus_failure *failure);

#ifdef __cplusplus
}
#endif

#endif
