// SPDX-License-Identifier: Apache-2.0
#include "arena.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    ALIGN = 16,
    SMALL_MAX = 512, // payload sizes up to here have a class each ALIGN bytes
    SMALL_CLASSES = SMALL_MAX / ALIGN,
    CLASSES = SMALL_CLASSES + 4 * 20, // then four for each doubling
    TRACES = 64,                      // bytes of freed memory that are overwritten
};

struct block {
    size_t size; // of the payload
    size_t class_;
};
static_assert(sizeof(struct block) == ALIGN, "payloads are aligned");

struct free_block {
    struct free_block *next;
};

// Everything that says what is allocated lies in the arena itself and is saved with it.
struct sim_arena {
    size_t size, used;
    struct free_block *unused[CLASSES];
    _Alignas(ALIGN) uint8_t bytes[];
};

struct sim_memory {
    size_t length;
    uint8_t bytes[];
};

static struct sim_arena *current;

// The arenas of the program, to know whose a pointer is.
static struct sim_arena *arenas[8];

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);
char *__wrap_strdup(const char *text);

static void die(const char *what)
{
    fprintf(stderr, "kvpbus-sim: %s\n", what);
    abort();
}

// --- allocation ---------------------------------------------------------------------------------

static size_t class_of(size_t size, size_t *rounded)
{
    if (size <= SMALL_MAX) {
        size_t class_ = size == 0 ? 0 : (size - 1) / ALIGN;
        *rounded = (class_ + 1) * ALIGN;
        return class_;
    }
    size_t class_ = SMALL_CLASSES, step = SMALL_MAX / 4, bound = SMALL_MAX;
    for (;; step *= 2)
        for (int quarter = 0; quarter < 4; quarter++, class_++) {
            bound += step;
            if (size <= bound) {
                *rounded = bound;
                return class_;
            }
        }
}

static void *take(struct sim_arena *arena, size_t size)
{
    size_t rounded, class_ = class_of(size, &rounded);
    if (class_ >= CLASSES)
        return NULL;
    struct free_block *reused = arena->unused[class_];
    struct block *block;
    if (reused != NULL) {
        arena->unused[class_] = reused->next;
        block = (struct block *)reused - 1;
    } else {
        if (arena->size - arena->used < sizeof *block + rounded)
            die("a side used up its memory");
        block = (struct block *)(void *)(arena->bytes + arena->used);
        arena->used += sizeof *block + rounded;
    }
    *block = (struct block){.size = size, .class_ = class_};
    return block + 1;
}

static struct sim_arena *owner(const void *memory)
{
    for (size_t i = 0; i < sizeof arenas / sizeof *arenas; i++)
        if (arenas[i] != NULL && (uintptr_t)memory > (uintptr_t)arenas[i] &&
            (uintptr_t)memory < (uintptr_t)arenas[i] + sizeof *arenas[i] + arenas[i]->size)
            return arenas[i];
    return NULL;
}

static void give_back(struct sim_arena *arena, void *memory)
{
    struct block *block = (struct block *)memory - 1;
    assert(block->class_ < CLASSES && (uint8_t *)memory < arena->bytes + arena->used);
    // Whoever reads it afterwards finds nonsense.
    memset(memory, 0xdd, block->size < TRACES ? block->size : TRACES);
    struct free_block *unused = memory;
    unused->next = arena->unused[block->class_];
    arena->unused[block->class_] = unused;
    block->class_ = CLASSES; // freed twice: the assertion above
}

void *__wrap_malloc(size_t size)
{
    return current != NULL ? take(current, size) : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    if (current == NULL)
        return __real_calloc(count, size);
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    void *memory = take(current, count * size);
    return memory != NULL ? memset(memory, 0, count * size) : NULL;
}

void __wrap_free(void *memory)
{
    struct sim_arena *arena = memory != NULL ? owner(memory) : NULL;
    if (arena != NULL)
        give_back(arena, memory);
    else
        __real_free(memory);
}

void *__wrap_realloc(void *memory, size_t size)
{
    struct sim_arena *arena = memory != NULL ? owner(memory) : current;
    if (arena == NULL)
        return __real_realloc(memory, size);
    void *grown = take(arena, size);
    if (grown == NULL || memory == NULL)
        return grown;
    size_t old = ((struct block *)memory - 1)->size;
    memcpy(grown, memory, old < size ? old : size);
    give_back(arena, memory);
    return grown;
}

char *__wrap_strdup(const char *text)
{
    char *copy = __wrap_malloc(strlen(text) + 1);
    return copy != NULL ? strcpy(copy, text) : NULL;
}

// --- arenas -------------------------------------------------------------------------------------

struct sim_arena *sim_arena_new(size_t size)
{
    struct sim_arena *arena = mmap(NULL, sizeof *arena + size, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED)
        die("no address space");
    arena->size = size;
    for (size_t i = 0; i < sizeof arenas / sizeof *arenas; i++)
        if (arenas[i] == NULL)
            return arenas[i] = arena;
    die("too many arenas");
    return NULL;
}

void sim_arena_free(struct sim_arena *arena)
{
    if (arena == NULL)
        return;
    for (size_t i = 0; i < sizeof arenas / sizeof *arenas; i++)
        if (arenas[i] == arena)
            arenas[i] = NULL;
    munmap(arena, sizeof *arena + arena->size);
}

void sim_arena_reset(struct sim_arena *arena)
{
    arena->used = 0;
    memset(arena->unused, 0, sizeof arena->unused);
}

struct sim_arena *sim_arena_enter(struct sim_arena *arena)
{
    struct sim_arena *before = current;
    current = arena;
    return before;
}

struct sim_memory *sim_arena_save(const struct sim_arena *arena)
{
    size_t length = sizeof *arena + arena->used;
    struct sim_memory *memory = __real_malloc(sizeof *memory + length);
    if (memory == NULL)
        die("out of memory");
    memory->length = length;
    memcpy(memory->bytes, arena, length);
    return memory;
}

void sim_arena_restore(struct sim_arena *arena, const struct sim_memory *memory)
{
    memcpy(arena, memory->bytes, memory->length);
}

void sim_memory_free(struct sim_memory *memory)
{
    __real_free(memory);
}

// --- SQLite -------------------------------------------------------------------------------------

static void *sqlite_malloc(int size)
{
    struct block *block = __wrap_malloc(sizeof *block + (size_t)size);
    if (block == NULL)
        return NULL;
    block->size = (size_t)size;
    return block + 1;
}

static void sqlite_free(void *memory)
{
    if (memory != NULL)
        __wrap_free((struct block *)memory - 1);
}

static void *sqlite_realloc(void *memory, int size)
{
    struct block *block = __wrap_realloc((struct block *)memory - 1, sizeof *block + (size_t)size);
    if (block == NULL)
        return NULL;
    block->size = (size_t)size;
    return block + 1;
}

static int sqlite_size(void *memory)
{
    return memory != NULL ? (int)((struct block *)memory - 1)->size : 0;
}

static int sqlite_roundup(int size)
{
    return (size + 7) & ~7;
}

static int sqlite_init(void *context)
{
    (void)context;
    return SQLITE_OK;
}

static void sqlite_shutdown(void *context)
{
    (void)context;
}

void sim_arena_setup(void)
{
    static const sqlite3_mem_methods methods = {
        sqlite_malloc,  sqlite_free, sqlite_realloc,  sqlite_size,
        sqlite_roundup, sqlite_init, sqlite_shutdown, NULL,
    };
    static bool done;
    if (done)
        return;
    done = true;
    // With memory management SQLite keeps one list of the pages of all connections.
    if (sqlite3_compileoption_used("ENABLE_MEMORY_MANAGEMENT"))
        die("this SQLite shares its page cache between connections");
    if (sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK)
        die("SQLite does not take its configuration");
}
