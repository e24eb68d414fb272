// SPDX-License-Identifier: Apache-2.0
//
// What can go wrong, which of it a seed switches on, and when it happens.
#ifndef KVPBUS_SIM_FAULTS_H
#define KVPBUS_SIM_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_side;
struct sim_world;

// X(name, group, text). The first ones have a level, the chance of each operation in 1000; the
// others are events that happen a few times.
#define SIM_LEVEL_MAP(X)                                                             \
    X(STALE, LOSSY, "a scan shows a former content")                                 \
    X(PARTIAL, LOSSY, "a scan misses items")                                         \
    X(TORN, LOSSY, "a scan mixes two contents")                                      \
    X(DUPLICATE, LOSSY, "a scan shows a key twice")                                  \
    X(READ_FAILS, LOSSY, "a scan fails")                                             \
    X(NO_EFFECT, LOSSY, "a write reports success and does nothing")                  \
    X(HALF_BATCH, LOSSY, "a write happens in part")                                  \
    X(UNKNOWN, LOSSY, "what became of a write is not known")                         \
    X(LATE, LOSSY, "a write happens long after its time-out")                        \
    X(BUSY, LOSSY, "the store is busy")                                              \
    X(SLOW, LOSSY, "an operation takes seconds")                                     \
    X(CUT, LOSSY, "a value is stored cut")                                           \
    X(LOST_NOTICE, LOSSY, "a notice of a change is lost")                            \
    X(SLOW_JOURNAL, LOSSY, "the journal takes seconds")                              \
    X(LONG_CUT, LIMITS, "every value beyond a length is cut")                        \
    X(CEILING, LIMITS, "the store takes only so many items, then fails")             \
    X(SMALL_INBOX, LIMITS, "the journal takes little more than the longest message") \
    X(SLOW_CONSUMER, LIMITS, "the consumer takes seconds for a message")             \
    X(LAZY_CONSUMER, LIMITS, "the consumer refuses messages or forgets them")

#define SIM_EVENT_MAP(X)                                                         \
    X(WIPE_SEEN, WIPE, "pool 0 is wiped")                                        \
    X(WIPE_OWN, WIPE, "a side's own store is wiped")                             \
    X(COME_BACK, WIPE, "former items come back")                                 \
    X(KILL, CRASH, "a process is killed")                                        \
    X(POWER, CRASH, "a machine loses power")                                     \
    X(CRASH_AT_WRITE, CRASH, "a machine dies at a write of the journal")         \
    X(DISK_FULL, DISK, "a disk is full for a while")                             \
    X(DISK_FAILS, DISK, "a disk fails for a while")                              \
    X(REVERT_GUEST_DISK, REVERT_DISK, "the guest's disk goes back")              \
    X(REVERT_GUEST_MEMORY, REVERT_MEMORY, "the guest goes back, memory and all") \
    X(RESTORE_HOST, HOST_RESTORE, "the host's journal is restored")              \
    X(REVERT_HOST_MEMORY, HOST_MEMORY, "the host goes back, memory and all")     \
    X(REPLAY, HOSTILE, "former items are put into the stores")                   \
    X(STRANGER, HOSTILE, "items of other identities and VMs are put there")      \
    X(GARBAGE, HOSTILE, "items of noise are put there")                          \
    X(SECOND_WRITER, HOSTILE, "another program writes with the same identity")   \
    X(VM_OFF, LIFE, "the VM is off for a while")                                 \
    X(VM_PAUSE, LIFE, "the VM is paused for a while")                            \
    X(VM_REBOOT, LIFE, "the VM reboots")                                         \
    X(CLOCK, LIFE, "a wall clock steps")                                         \
    X(CONSUMER_STOPS, LIMITS, "a consumer stops for a while")

// Drawn apart, and by the profiles alone that are made for them: so the others stay as they are.
#define SIM_IDENTITY_MAP(X)                                    \
    X(ROTATE, IDENTITY, "a side goes on as another identity")  \
    X(REBIND, IDENTITY, "the VM is imported under another id") \
    X(MOVE, IDENTITY, "the VM goes to another host")

// Likewise.
#define SIM_EXCHANGE_MAP(X)                                                    \
    X(VM_SAVE, EXCHANGE, "the VM is saved for a while")                        \
    X(DAEMON_STOPS, EXCHANGE, "the guest's daemon is absent for a while")      \
    X(DAEMON_LATE, EXCHANGE, "the VM reboots, and the guest's daemon is late") \
    X(EXCHANGE_OFF, EXCHANGE, "Data Exchange is switched off for a while")     \
    X(IMPORT, EXCHANGE, "the VM is imported under another id, which the host is told late")

enum sim_fault {
#define X(name, group, text) SIM_##name,
    SIM_LEVEL_MAP(X) SIM_LEVELS,
    SIM_BEFORE_EVENTS = SIM_LEVELS - 1,
    SIM_EVENT_MAP(X) SIM_FAULTS,
    SIM_BEFORE_IDENTITY = SIM_FAULTS - 1,
    SIM_IDENTITY_MAP(X) SIM_EXCHANGE_MAP(X) SIM_KINDS,
#undef X
};

enum sim_group {
    SIM_GROUP_LOSSY = 1 << 0,
    SIM_GROUP_WIPE = 1 << 1,
    SIM_GROUP_CRASH = 1 << 2,
    SIM_GROUP_DISK = 1 << 3,
    SIM_GROUP_REVERT_DISK = 1 << 4,
    SIM_GROUP_REVERT_MEMORY = 1 << 5,
    SIM_GROUP_HOST_RESTORE = 1 << 6,
    SIM_GROUP_HOST_MEMORY = 1 << 7,
    SIM_GROUP_HOSTILE = 1 << 8,
    SIM_GROUP_LIMITS = 1 << 9,
    SIM_GROUP_LIFE = 1 << 10,
    SIM_GROUP_IDENTITY = 1 << 11,
    SIM_GROUP_EXCHANGE = 1 << 12,
};

// A seed chooses among the first ones, and this number stays: so each seed remains what it is.
enum { SIM_PROFILES_CHOSEN = 13 };

struct sim_profile {
    const char *name;
    unsigned always; // groups whose faults are likely
    unsigned often;  // groups whose faults are switched on now and then
};
const struct sim_profile *sim_profile_find(const char *name);
size_t sim_profile_count(void);
const struct sim_profile *sim_profile_at(size_t index);
// The one that a seed chooses.
const struct sim_profile *sim_profile_of(uint64_t seed);

// What happens after a while when a fault began.
enum sim_follow_up {
    SIM_DISK_WELL = SIM_KINDS,
    SIM_CHECKPOINT,
    SIM_WRITE_AS_SECOND,
    SIM_VM_ON,
    SIM_VM_RESUME,
    SIM_VM_NOTICED,
    SIM_DAEMON_STARTS,
    SIM_EXCHANGE_ON,
    SIM_IMPORT_TOLD,
    SIM_CONSUMER_GOES,
};

enum { SIM_EVENTS_MAX = 128 };

struct sim_event {
    uint64_t at;
    int kind; // enum sim_fault or enum sim_follow_up
    int side;
    uint64_t argument;
};

struct sim_plan {
    bool on[SIM_FAULTS];
    unsigned level[SIM_LEVELS];
    uint64_t length; // the time in which faults happen, ms
    struct sim_event events[SIM_EVENTS_MAX];
    size_t event_count; // still to come, in no order
};

// Draws the plan of a world from its seed.
void sim_plan_draw(struct sim_world *world);
void sim_plan_add(struct sim_world *world, uint64_t at, int kind, int side, uint64_t argument);
// The level of a fault now: 0 after the world is healed.
unsigned sim_level(const struct sim_world *world, enum sim_fault fault);
// True when the fault strikes at this operation.
bool sim_strikes(struct sim_world *world, enum sim_fault fault);
// A time that far from now.
uint64_t sim_soon(struct sim_world *world, uint64_t low, uint64_t high);
// Carries out the events that are due.
void sim_events_turn(struct sim_world *world);
uint64_t sim_events_deadline(const struct sim_world *world);
// Ends all faults: both machines run, with good disks and clocks.
void sim_heal(struct sim_world *world);
// A side that found a second writer, which may come a while after the second one has ended, is
// started again by a person.
void sim_restart_stopped(struct sim_side *side);

#endif
