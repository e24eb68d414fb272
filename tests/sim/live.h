// SPDX-License-Identifier: Apache-2.0
//
// A world without faults and workload of its own, for tests that measure or ask: on a channel that
// takes as long as the lab's.
#ifndef KVPBUS_SIM_LIVE_H
#define KVPBUS_SIM_LIVE_H

#include "world.h"

enum { LIVE_MINUTE = 60 * 1000, LIVE_HOUR = 60 * LIVE_MINUTE };

// Not begun yet: what is to be otherwise can be set.
struct sim_world *live_world(void);
// Goes on until both sides are live and at rest.
void live_begin(struct sim_world *world);
void live_wait(struct sim_world *world, uint64_t ms);
// Goes on until `done` says so, within an hour.
void live_until(struct sim_world *world, bool (*done)(void *context), void *context);
enum kvpbus_link_state live_state(struct sim_world *world, int side);

// A message of class normal that `side` sends after a while. The body is kept by reference.
struct sim_message *live_queue(struct sim_world *world, int side, uint64_t delay, const void *body,
                               size_t length);
// Goes on until all that this side sent is delivered and it knows that.
void live_deliver(struct sim_world *world, int side);

#endif
