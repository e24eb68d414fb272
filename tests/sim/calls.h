// SPDX-License-Identifier: Apache-2.0
//
// Requests and their replies: a few programs on each side that ask the other one, and wait for what
// it says. Some seeds have them.
#ifndef KVPBUS_SIM_CALLS_H
#define KVPBUS_SIM_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "kvpbus/message.h"

struct sim_process;
struct sim_side;
struct sim_world;
struct kvpbus_delivery;

enum { SIM_CALLS = 16, SIM_CALLERS = 2 }; // of a side

enum sim_call_state {
    SIM_CALL_UNSENT,
    SIM_CALL_SUBMITTED,
    SIM_CALL_OPEN,
    SIM_CALL_ANSWERED, // its last reply was taken
    SIM_CALL_OVER,     // the journal said that no reply can come
    SIM_CALL_LOST,     // not taken, or a crash hid whether it was
};

struct sim_call {
    int side; // that asks
    unsigned serial;
    uint64_t send_at, ttl_ms;
    unsigned replies;
    enum sim_call_state state;
    struct kvpbus_message_id id;
    unsigned servings;      // how often a server began to reply
    unsigned serving, part; // of the reply acknowledged last
};

struct sim_calls {
    bool on;
    struct sim_call calls[2][SIM_CALLS];
    unsigned messages[2]; // requests and replies that a side wanted to send
    unsigned answered, over;
};

// A program that asks; it dies with its process, and the next one goes on with its calls.
struct sim_caller {
    struct sim_process *process;
    struct sim_call *call;
    bool busy; // a job is under way
    bool look; // the inbox may have something
    uint64_t look_at;
    int64_t lease;
    unsigned serving, part; // of the reply that is held
    bool last;
};

void sim_calls_draw(struct sim_world *world);
void sim_callers_start(struct sim_process *process);
void sim_callers_wake(struct sim_process *process);
void sim_callers_turn(struct sim_process *process);
uint64_t sim_callers_deadline(const struct sim_process *process);
bool sim_calls_over(const struct sim_world *world);
// What was under way on this side is lost.
void sim_calls_crash(struct sim_world *world, int side);

// The consumer of `side` was given a request; NULL when it is none that was sent.
struct sim_call *sim_call_check(struct sim_world *world, int side,
                                const struct kvpbus_delivery *delivery);
// Replies to it, under the id that it came with.
void sim_call_serve(struct sim_process *process, struct sim_call *call,
                    const struct kvpbus_message_id *id);

#endif
