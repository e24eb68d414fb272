// SPDX-License-Identifier: Apache-2.0
//
// What must hold of messages: exactly once, in stream order, within a timeline; what was not sent
// does not come; outcomes are true and final. A revert takes back what a side knew, and with it
// what is expected of it.
#ifndef KVPBUS_SIM_CHECKER_H
#define KVPBUS_SIM_CHECKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvpbus/message.h"

struct sim_world;
struct kvpbus_delivery;

enum {
    SIM_MESSAGES_MAX = 512, // of one side
    SIM_STREAMS = 4,
    SIM_LANES = SIM_STREAMS * KVPBUS_CLASS_COUNT,
};

// Stands in every topic and body that is long enough, and must never be read in a store.
#define SIM_MARKER "pLaInTeXtMaRkEr"

enum sim_sent_state {
    SIM_UNSENT,
    SIM_SUBMITTED,
    SIM_ACCEPTED,
    SIM_REFUSED,  // for certain
    SIM_MAYBE,    // a crash or a failed disk hid whether it was taken
    SIM_FORGOTTEN // taken in a life that a revert undid
};

// What the sending side knows.
struct sim_sent {
    enum sim_sent_state state;
    struct kvpbus_message_id id;
    enum kvpbus_outcome outcome; // as the journal said last
    bool consumed;               // likewise
};

enum sim_ack { SIM_NOT_ACKED, SIM_ACK_ASKED, SIM_ACK_MAYBE, SIM_ACKED };

// What happened on the receiving side.
struct sim_got {
    bool seen;
    bool set_aside; // a consumer wanted it among the dead letters
    enum sim_ack ack;
};

struct sim_message {
    struct sim_world *world;
    int side; // that sends it
    unsigned serial;
    enum kvpbus_class class_;
    unsigned stream;
    size_t length;
    uint64_t ttl_ms;
    bool resend, compressible, receipt;
    const uint8_t *body; // NULL: drawn from serial and side
    uint64_t send_at;
    struct sim_sent sent;
    struct sim_got got;
};

// Messages of one stream as they came to the consumer.
struct sim_lane {
    struct sim_message *last;
    unsigned runs; // rising sequences so far, less one
};

// What one side knows, for a checkpoint.
struct sim_knowledge {
    struct sim_sent sent[SIM_MESSAGES_MAX];
    struct sim_got got[SIM_MESSAGES_MAX]; // of the peer's messages
    struct sim_lane lanes[SIM_LANES];
    unsigned reverts; // of both sides, when it was taken
};

struct sim_checker {
    struct sim_message messages[2][SIM_MESSAGES_MAX]; // by sender
    size_t count[2];
    size_t next[2];                      // the first one that was not sent yet
    struct sim_lane lanes[2][SIM_LANES]; // by receiver
    uint64_t delivered, redelivered, expired, unknown, consumed, dead;
};

const char *sim_stream_name(unsigned stream);
// The body, into `bytes` of message->length.
void sim_message_body(const struct sim_message *message, uint8_t *bytes);
void sim_message_topic(const struct sim_message *message, char *topic);

void sim_check_queued(struct sim_message *message, const struct kvpbus_message_id *id,
                      const struct kvpbus_failure *failure);
// The consumer of `side` was given this; NULL when it is nothing that was sent.
struct sim_message *sim_check_delivery(struct sim_world *world, int side,
                                       const struct kvpbus_delivery *delivery);
// True while a message of this side is being queued.
bool sim_check_submitted(const struct sim_world *world, int side);
// The side lost what was under way.
void sim_check_crash(struct sim_world *world, int side);
// Asks the side's journal what became of its messages.
void sim_check_outcomes(struct sim_world *world, int side);
// After everything is drained.
void sim_check_end(struct sim_world *world);

void sim_check_save(const struct sim_world *world, int side, struct sim_knowledge *knowledge);
void sim_check_restore(struct sim_world *world, int side, const struct sim_knowledge *knowledge);

#endif
