// SPDX-License-Identifier: Apache-2.0
//
// What the parts of the bus share:
//   bus.c         life, jobs, endpoints, status   bus_link.c     what the link asks of the journal
//   bus_time.c    what is due                     bus_feed.c     what the journal has for the link
//   bus_action.c  reads and writes of the stores  bus_identity.c new and shown identities
//   bus_rebind.c  a VM under another id           bus_move.c     a VM goes to another host
//   bus_message.c what programs ask               bus_consume.c  what consumers ask
//   bus_dead.c    dead letters                    bus_audit.c    what it enters into the audit
//   bus_enroll.c  keys and tokens given beforehand
#ifndef KVPBUS_BUS_INTERNAL_H
#define KVPBUS_BUS_INTERNAL_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "bus.h"
#include "link.h"
#include "rotation.h"

enum {
    ANSWERS_MAX = 64,      // answers that wait for the link; beyond it the session is renewed
    JOB_RETRY = 1000,      // ms before a journal job that failed is tried again
    TIMER_MAX = 60 * 1000, // ms; a clock step delays an expiry by no more
    PRUNE_EVERY = 60 * 60 * 1000, // ms
    PRUNE_ROWS = 200,             // of each kind at once, which other jobs wait for
    PRUNE_AGAIN = 250,            // ms, when there may be more: 800 rows a second of each kind
    POLL_LEAST = 10,              // ms after news; doubling up to poll_fast while none comes
    POLL_TRANSFER = 4,            // so many times as often for a host in the midst of a transfer
    POLL_FAST = 200,
    // A batch of items comes as so many notices; about so many are waited for before a scan, which
    // costs a transaction and a write, but no longer than this.
    NOTICE_ITEMS = 12,
    NOTICE_LEAST = 4, // ms
    NOTICE_MOST = 40,
    NOTICE_ROW = 10,  // notices that are further apart do not belong together
    NOTICE_UNIT = 16, // parts of a ms in which the time between notices is reckoned
    POLL_SLOW_HOST = 2000,
    POLL_SLOW_GUEST = 10000,
    BUNDLE_TARGET = 256 * 1024,
};

#define NEVER UINT64_MAX

struct class_feed {
    bool waiting;                  // something may wait to be sealed or offered
    bool busy;                     // a job is under way
    uint64_t offered;              // highest number offered in this session
    struct kvpbus_sync_class peer; // what the peer held when the session began
};

// What a peer can cause is entered into the audit at a bounded rate, each sort for itself.
enum audit_limit {
    AUDIT_LIMIT_SESSIONS,
    AUDIT_LIMIT_SHOWN,
    AUDIT_LIMIT_ALARMS,
    AUDIT_LIMIT_REVERTS,
    AUDIT_LIMIT_COUNT,
};
struct audit_tokens {
    uint64_t free_at; // when the limit will be full again
    unsigned skipped; // since the last one
};

struct kvpbus_endpoint {
    struct kvpbus_bus *bus;
    struct kvpbus_peer peer;
    struct kvpbus_chain chain; // of a VM that came from another host
    uint8_t pending_vm[KVPBUS_VM_ID_BYTES];
    struct kvpbus_link *link;
    bool suspended;
    unsigned held; // by so many
    bool taken;    // and one of them has his turn
    bool scarce;   // the longest message would not fit in its inbox, and that was said
    const char *why;

    bool reading_peer, reading_own, writing;
    bool noticed;
    uint64_t noticed_at, notice_spacing; // of notices that come in a row, in ms / NOTICE_UNIT
    uint64_t packets;                    // taken from the link so far
    uint64_t poll_at, poll_interval, poll_began;
    bool stuffed; // the peer's store was full of other things than ours when it was read last
    enum kvpbus_error read_error;

    uint8_t offered[KVPBUS_TIMELINE_BYTES]; // the peer's, in the SYNC taken in last
    bool feeding;                           // in a session whose positions were compared
    uint32_t session;
    struct class_feed feeds[KVPBUS_CLASS_COUNT];
    bool gaps_due, gaps_busy;
    bool gaps_more; // there were as many as are asked about at once
    uint64_t expire_at;
    bool expire_busy;
    bool enrolling; // a guest: its cores prove a token
    struct kvpbus_gap_answer answers[ANSWERS_MAX];
    size_t answer_count;
    uint64_t room[KVPBUS_CLASS_COUNT];

    struct audit_tokens audit[AUDIT_LIMIT_COUNT];

    uint64_t refused_enrolments;
    char refused_why[KVPBUS_REASON_MAX]; // said last

    struct kvpbus_job *retry; // jobs that failed and are needed
    uint64_t retry_at;
};

struct kvpbus_bus {
    struct kvpbus_bus_options options;
    struct kvpbus_rotation rotation; // of options.identity
    struct kvpbus_executor *executor;
    uint64_t now;
    int64_t wall;
    size_t endpoint_count;
    struct kvpbus_endpoint **endpoints;
    size_t jobs; // submitted and not finished
    uint64_t leases_at, prune_at;
    bool leases_busy, prune_busy, audit_busy;
    bool journal_failing;
};

// A job of the bus; the kinds have their own structs with this at the head. Where `run` is, on the
// journal's thread, `bus` and `endpoint` are the loop's: what a job needs of them it carries, but
// for options that stay as they were (body_max, bundle_target).
struct bus_job {
    struct kvpbus_job job; // first
    enum kvpbus_error (*run)(struct kvpbus_job *job, struct kvpbus_journal *journal);
    struct kvpbus_bus *bus;
    struct kvpbus_endpoint *endpoint; // NULL for jobs of the bus itself
    int64_t peer;                     // the endpoint's
    int64_t wall;                     // when it was submitted
    bool audit_due;                   // the audit's head is to be signed
    uint32_t session;
    void (*finished)(struct bus_job *job); // on the loop's thread; the job is freed afterwards
    void (*dispose)(struct bus_job *job);  // frees what it owns; may be NULL
    bool needed;                           // tried again when the journal fails
    bool of_session;                       // but not once its session is over
};

// What a link is told of earlier lives.
struct bus_memory {
    uint8_t own[KVPBUS_EPOCHS_KEPT][KVPBUS_EPOCH_BYTES];
    uint8_t retired[KVPBUS_EPOCHS_KEPT][KVPBUS_EPOCH_BYTES];
    size_t own_count, retired_count;
    uint64_t room[KVPBUS_CLASS_COUNT];
    struct kvpbus_chain chain;
};

// bus.c
enum kvpbus_error bus_remember(struct kvpbus_journal *journal, int64_t peer,
                               struct bus_memory *memory);
void bus_open_link(struct kvpbus_endpoint *endpoint, const struct bus_memory *memory);
// Those that failed and are needed go to the executor again, in their order.
void bus_retry_jobs(struct kvpbus_endpoint *endpoint);
// Ends the jobs that wait to be tried again for a session.
void bus_end_session_jobs(struct kvpbus_endpoint *endpoint);
// Zeroed memory of `size` for a job, with head filled in. Running out of memory for a few hundred
// bytes ends the program: nothing that was promised is lost by it, the journal has it.
void *bus_job_new(size_t size, struct kvpbus_bus *bus, struct kvpbus_endpoint *endpoint,
                  enum kvpbus_error (*run)(struct kvpbus_job *, struct kvpbus_journal *),
                  void (*finished)(struct bus_job *));
void bus_submit(struct bus_job *job);
void bus_inbox(struct kvpbus_bus *bus, int64_t peer);
void bus_outcome(struct kvpbus_bus *bus, int64_t peer);
void bus_event(struct kvpbus_endpoint *endpoint, enum kvpbus_event event, const char *text);

// bus_time.c
// When a wall-clock time comes, as monotonic time, at most TIMER_MAX ahead; 0 (never) too.
uint64_t bus_timer(const struct kvpbus_bus *bus, int64_t wall_ms);
// Leases are looked through in so many ms at the latest.
void bus_leases_by(struct kvpbus_bus *bus, uint64_t ms);

// bus_message.c
// The words of a job that failed: the journal's own, or those of the check before it.
enum kvpbus_error bus_told(struct kvpbus_job *job, struct kvpbus_journal *journal,
                           enum kvpbus_error error);
// A failed commit, or an error without words, still says something.
const struct kvpbus_failure *bus_failure(struct bus_job *job);

// A peer and a pattern, as a job keeps them. What is too long for a pattern stays so.
struct bus_filter {
    int64_t peer;
    bool any_topic;
    char pattern[KVPBUS_TOPIC_MAX + 2];
};
static inline void bus_filter_set(struct bus_filter *filter, int64_t peer, const char *pattern)
{
    filter->peer = peer;
    filter->any_topic = pattern == NULL;
    snprintf(filter->pattern, sizeof filter->pattern, "%s", pattern != NULL ? pattern : "");
}
static inline const char *bus_filter_pattern(const struct bus_filter *filter)
{
    return filter->any_topic ? NULL : filter->pattern;
}

// bus_consume.c
// There may be more room in inboxes.
void bus_room_made(struct kvpbus_bus *bus);
// The room that is left for a peer's messages; it is an alarm when it gets scarce.
void bus_room(struct kvpbus_endpoint *endpoint, const uint64_t room[KVPBUS_CLASS_COUNT]);

// bus_link.c
// Carries out everything that the link asks for now.
void bus_drain(struct kvpbus_endpoint *endpoint);
// The error; the job has the journal's words for it.
enum kvpbus_error bus_noted(struct kvpbus_job *job, struct kvpbus_journal *journal,
                            enum kvpbus_error error);

// bus_identity.c
// The statements that the endpoint's cores show.
void bus_statements(const struct kvpbus_endpoint *endpoint, struct kvpbus_rotation *joined);
// The link is told whom the row of the peer has pinned.
void bus_pinned(struct kvpbus_endpoint *endpoint);
// What the link has found out: an identity that is not the pinned one, one that the pinned one has
// signed, another id of this VM.
void bus_take_pending(struct kvpbus_endpoint *endpoint, const struct kvpbus_link_event *event);
void bus_follow(struct kvpbus_endpoint *endpoint, const struct kvpbus_link_event *event);
void bus_go_on_as(struct kvpbus_endpoint *endpoint, const struct kvpbus_link_event *event);

// bus_enroll.c
// The proof that a stranger's hello carries; false: none, or one that nobody here can judge.
bool bus_proof(const struct kvpbus_endpoint *endpoint, const struct kvpbus_link_event *event,
               struct kvpbus_proof *proof);
void bus_enrolment_refused(struct kvpbus_endpoint *endpoint, const struct kvpbus_failure *why);
// The cores of a guest prove this token from now on.
void bus_prove(struct kvpbus_endpoint *endpoint, const struct kvpbus_token *token);
// The peer has confirmed my core, so it has pinned me.
void bus_confirmed(struct kvpbus_endpoint *endpoint);

// bus_rebind.c
// The link is made anew for a row that is another one now.
void bus_move_link(struct kvpbus_endpoint *endpoint, const struct kvpbus_peer *peer,
                   const struct bus_memory *memory);

// bus_feed.c
void feed_begin(struct kvpbus_endpoint *endpoint, const struct kvpbus_sync *sync);
void feed_end(struct kvpbus_endpoint *endpoint);
void feed_queued(struct kvpbus_endpoint *endpoint, enum kvpbus_class class_, uint64_t ttl_ms);
// Receipts became due for this peer, 0 none, -1 several.
void feed_receipts(struct kvpbus_bus *bus, int64_t peer);
void feed_answer(struct kvpbus_endpoint *endpoint, const struct kvpbus_gap_answer *answer);
// The peer's answer to a gap of mine has been taken in.
void feed_answered(struct kvpbus_endpoint *endpoint, const struct kvpbus_gap_answer *answer);
// Something of the class is done: another number may be opened.
void feed_again(struct kvpbus_endpoint *endpoint, enum kvpbus_class class_);
void feed_run(struct kvpbus_endpoint *endpoint);
uint64_t feed_deadline(const struct kvpbus_endpoint *endpoint);

// bus_audit.c
// Signs when the identity is another one, whatever is under way: so that the chain tells of it.
void bus_audit_key(struct kvpbus_bus *bus);
void bus_audit_sign(struct kvpbus_bus *bus);
// False: there have been too many of this sort. `detail`: the text, and how many were left out.
bool bus_audit_limit(struct kvpbus_endpoint *endpoint, enum audit_limit sort, const char *text,
                     char detail[KVPBUS_AUDIT_DETAIL_MAX + 1]);
// The same in two steps, where only the journal finds out whether there is something to enter.
bool bus_audit_may(const struct kvpbus_endpoint *endpoint, enum audit_limit sort, const char *text,
                   char detail[KVPBUS_AUDIT_DETAIL_MAX + 1]);
void bus_audit_count(struct kvpbus_endpoint *endpoint, enum audit_limit sort, bool entered);
void bus_audit_alarm(struct kvpbus_endpoint *endpoint, enum kvpbus_audit_kind kind,
                     const char *text);
// What the link says of itself.
void bus_audit_event(struct kvpbus_endpoint *endpoint, enum kvpbus_link_event_kind kind,
                     const char *text);

#endif
