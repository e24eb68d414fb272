// SPDX-License-Identifier: Apache-2.0
//
// A simulated world: a host and a guest with the real bus, link and journal, two stores between
// them, a clock, an application on each side, and faults. All of it depends on the seed alone. One
// thread, and one world at a time.
//   world.c     life, clock, phases     side.c      a side's process and its life
//   faults.c    the plan of a seed      executor.c  the journal's jobs
//   events.c    what happens            consumer.c  the application that takes messages
//   revert.c    checkpoints             workload.c  the application that sends
//   channel.c   reads and writes        checker.c   what must hold of messages
//   calls.c     requests and replies    watch.c     what must hold of the stores
//   move.c      another host            exchange.c  Data Exchange and the guest's daemon
//   intruders.c what others write
#ifndef KVPBUS_SIM_WORLD_H
#define KVPBUS_SIM_WORLD_H

#include "arena.h"
#include "bus.h"
#include "calls.h"
#include "checker.h"
#include "faults.h"
#include "item.h"
#include "rng.h"
#include "sim_disk.h"
#include "sim_store.h"
#include "watch.h"

enum { SIM_HOST = 0, SIM_GUEST = 1, SIM_SIDES = 2 };
enum { SIM_ACTIONS = 3, SIM_CONSUMERS = 2, SIM_CHECKPOINTS = 2 };

#define SIM_NEVER UINT64_MAX
#define SIM_PREFIX "kvpbus"

// Ranges of milliseconds.
struct sim_range {
    uint64_t low, high;
};
struct sim_timing {
    struct sim_range read, write, push, job, finish, notice, consume;
};

struct sim_options {
    uint64_t seed;
    const struct sim_profile *profile;
    bool trace;         // print it
    bool quiet;         // no messages of its own and no faults: for measuring
    size_t message_max; // of each side, bytes; 0: drawn
};

enum sim_phase { SIM_RUN, SIM_DRAIN, SIM_IDLE, SIM_DONE };

// A read or write that is under way. Lives in the arena of its side.
struct sim_action {
    bool active, carried_out;
    uint64_t at, report_at; // by the side's clock
    struct kvpbus_action action;
    enum kvpbus_error results[KVPBUS_CHANGES_MAX];
};

enum sim_consumer_state { SIM_CONSUMER_IDLE, SIM_LEASING, SIM_HOLDING, SIM_ACKING };

struct sim_consumer {
    struct sim_process *process;
    enum sim_consumer_state state;
    bool again; // something came while a lease was asked for
    int64_t lease;
    struct sim_message *message; // or
    struct sim_call *call;       // a request, with its id
    struct kvpbus_message_id request;
    uint64_t until;
};

// Who looks after dead letters.
struct sim_operator {
    bool busy;
    uint64_t at;
};

// A running program of one side, in its arena; pointers into it die with it.
struct sim_process {
    struct kvpbus_executor executor; // first
    struct sim_side *side;
    struct kvpbus_journal *journal;
    struct kvpbus_bus *bus;
    struct kvpbus_endpoint *endpoint;
    int64_t peer;
    struct kvpbus_job *queued, **queued_end;     // wait for the journal
    struct kvpbus_job *finished, **finished_end; // committed, their callbacks wait
    uint64_t run_at, finish_at;
    struct sim_action actions[SIM_ACTIONS]; // by kind
    struct sim_consumer consumers[SIM_CONSUMERS];
    struct sim_caller callers[SIM_CALLERS];
    unsigned calls_asked; // requests and replies that are being queued
    struct sim_operator dead_letters;
    uint64_t notice_at;
    bool outcomes_changed;
};

struct sim_counters {
    uint64_t writes, items, removed, reads_peer, reads_own, data_items, data_chars;
    uint64_t calls; // of the management service, which adds, changes and removes apart
    uint64_t news;  // reads of the peer's store that found it other than the one before
};

struct sim_side {
    struct sim_world *world;
    int index;
    enum kvpbus_role role;
    uint8_t identity[KVPBUS_IDENTITY_BYTES];
    uint8_t secret[KVPBUS_SECRET_BYTES];
    struct kvpbus_rotation rotation;
    struct sim_arena *arena;
    struct sim_disk disk;
    struct sim_rng random;       // what the programs draw from
    struct sim_process *process; // NULL: not running
    uint64_t start_at;           // SIM_NEVER: it is running, or is not to
    bool machine_on, paused;
    bool saved; // likewise, and its devices begin anew
    uint64_t paused_since;
    bool suspended;      // a host that knows that the VM is off
    bool consumer_stops; // for a while
    uint64_t behind;     // what its clock has not counted, ms
    uint64_t last_read;  // a hash of what the peer's store showed
    size_t neighbours;   // records of other programs in its store
    int64_t wall_offset;
    unsigned starts, reverts;
    struct sim_counters counters;
};

// What items pass through on their way between host and guest.
struct sim_exchange {
    bool daemon_gone, shows_nothing; // instead of failing
    bool off, keeps;                 // the host takes items and sends them later
    bool imported;                   // the VM goes by another id already, which is this one
    uint8_t vm[KVPBUS_VM_ID_BYTES];
};

struct sim_checkpoint; // revert.c

struct sim_world {
    struct sim_options options;
    struct sim_rng rng, work_rng, consumer_rng;
    struct sim_timing timing;
    struct sim_plan plan;
    uint64_t now;
    enum sim_phase phase;
    uint64_t phase_end;
    uint64_t looked_at;
    struct sim_side sides[SIM_SIDES];
    struct sim_channel channels[SIM_SIDES]; // by writer
    struct sim_checkpoint *checkpoints[SIM_SIDES][SIM_CHECKPOINTS];
    struct sim_checker checker;
    struct sim_calls calls;
    struct sim_watch watch;
    uint8_t vm[KVPBUS_VM_ID_BYTES];
    unsigned value_limit, ceiling, same_time;
    struct sim_exchange exchange;
    uint64_t steps;
    uint64_t hash; // of the trace
    bool second_writer;
    bool failed;
    char failure[512];
};

// --- world.c ---
// Once in a program, before any world.
void sim_setup(void);
struct sim_world *sim_world_new(const struct sim_options *options);
void sim_world_free(struct sim_world *world);
// All phases of a seed. False: something did not hold; world->failure says what.
bool sim_world_run(struct sim_world *world);
// The world goes on until `done` says so or the time has come; for measuring. False: time is up.
bool sim_world_until(struct sim_world *world, uint64_t limit, bool (*done)(void *context),
                     void *context);
// Something that must hold does not. Only the first one is kept.
void sim_fail(struct sim_world *world, const char *format, ...) KVPBUS_PRINTF(2, 3);
// One line of the trace.
void sim_trace(struct sim_world *world, int side, const char *format, ...) KVPBUS_PRINTF(3, 4);
uint64_t sim_draw(struct sim_world *world, struct sim_range range);

// --- side.c ---
void sim_side_init(struct sim_world *world, int index);
void sim_side_start(struct sim_side *side);
// As a start of it does; between sim_side_enter and sim_side_leave.
enum kvpbus_error sim_journal_open(struct sim_side *side, struct kvpbus_journal **journal,
                                   struct kvpbus_failure *failure);
// Everything that is due on this side; its deadline in the world's time.
void sim_side_turn(struct sim_side *side);
uint64_t sim_side_deadline(const struct sim_side *side);
// The process ends at once; it starts again at `again`.
void sim_side_kill(struct sim_side *side, bool power_lost, uint64_t again, const char *why);
// The machine died at a write: true when it did, and it is dead then.
bool sim_side_died(struct sim_side *side);
void sim_side_suspend(struct sim_side *side, bool suspended);
uint64_t sim_side_now(const struct sim_side *side);
int64_t sim_side_wall(const struct sim_side *side);
// Code of the side runs between these two; they nest.
struct sim_arena *sim_side_enter(struct sim_side *side);
void sim_side_leave(struct sim_arena *before);
struct sim_side *sim_side_running(void);
bool sim_side_ready(const struct sim_side *side);

// --- executor.c ---
void sim_executor_init(struct sim_process *process);
// False: the machine died meanwhile.
bool sim_executor_run(struct sim_process *process);
void sim_executor_finish(struct sim_process *process);

// --- consumer.c ---
void sim_consumer_wake(struct sim_process *process);
void sim_consumers_turn(struct sim_process *process);
uint64_t sim_consumers_deadline(const struct sim_process *process);

// --- channel.c ---
enum kvpbus_error sim_read(struct sim_side *side, bool own, struct kvpbus_scan *scan);
void sim_write(struct sim_side *side, const struct kvpbus_change *changes, size_t count,
               enum kvpbus_error *results);
// Some of the changes of a write whose program died.
void sim_write_abandoned(struct sim_side *side, const struct kvpbus_change *changes, size_t count);
void sim_channels_turn(struct sim_world *world);
// Somebody else puts a value where the peer of `writer` reads it, or into the writer's own store.
void sim_intrude(struct sim_world *world, int writer, bool own, const char *key, const char *value);

// --- intruders.c ---
void sim_intrusion(struct sim_world *world, const struct sim_event *event);
// The guest is shown a hello in which its host calls it by this id.
void sim_host_calls_vm(struct sim_world *world, const uint8_t *vm);

// --- exchange.c ---
// Items pass between host and guest now.
bool sim_exchange_works(const struct sim_world *world);
// What a read of the guest's store fails with; *nothing: it succeeds, and shows no items.
enum kvpbus_error sim_exchange_read(const struct sim_world *world, bool *nothing);
// What a write of the host fails with, which keeps the first `*kept` changes all the same.
enum kvpbus_error sim_exchange_write(struct sim_world *world, size_t count, size_t *kept);
void sim_exchange_event(struct sim_world *world, const struct sim_event *event);
void sim_exchange_heal(struct sim_world *world);

// --- revert.c ---
void sim_checkpoint_take(struct sim_side *side, size_t slot);
void sim_checkpoint_revert(struct sim_side *side, size_t slot, bool memory);
void sim_checkpoint_free(struct sim_checkpoint *checkpoint);

// --- move.c ---
// The VM goes to another host, with its part of the journal.
void sim_move(struct sim_world *world);

// --- workload.c ---
void sim_workload_draw(struct sim_world *world);
void sim_workload_turn(struct sim_world *world);
uint64_t sim_workload_deadline(const struct sim_world *world);
bool sim_workload_over(const struct sim_world *world);
// Sends message `index` of this side now.
void sim_send(struct sim_side *side, struct sim_message *message);

#endif
