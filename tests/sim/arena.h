// SPDX-License-Identifier: Apache-2.0
//
// The memory of one side's process. While an arena is entered, every malloc of the code under test
// (the linker's --wrap) and of SQLite comes out of it, so that a process can be killed without
// freeing anything, and its whole memory saved and put back, as a checkpoint of a VM does. An arena
// lies at one address for the life of the program, so that pointers into it stay right. One thread.
#ifndef KVPBUS_SIM_ARENA_H
#define KVPBUS_SIM_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct sim_arena;

// Once, before SQLite is used: gives it the arenas as memory, and no mutexes. Ends the program when
// this SQLite cannot be run so.
void sim_arena_setup(void);

// Address space of `size` bytes; ends the program when there is none.
struct sim_arena *sim_arena_new(size_t size);
void sim_arena_free(struct sim_arena *arena);
// Everything allocated in it is gone.
void sim_arena_reset(struct sim_arena *arena);

// Allocations come from this arena until the next call; NULL: from the ordinary heap. Returns the
// one before.
struct sim_arena *sim_arena_enter(struct sim_arena *arena);

// A copy of the arena's content; freed with free() on the ordinary heap.
struct sim_memory;
struct sim_memory *sim_arena_save(const struct sim_arena *arena);
void sim_arena_restore(struct sim_arena *arena, const struct sim_memory *memory);
void sim_memory_free(struct sim_memory *memory);

#endif
