// SPDX-License-Identifier: Apache-2.0
//
// A temporary folder with pool files, and verbs for looking at them and damaging them, by plain
// file operations that share no code with the store.
#ifndef KVPBUS_TESTS_POOL_FIXTURE_H
#define KVPBUS_TESTS_POOL_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { POOL_RECORD = 2560, POOL_KEY = 512 };

struct pool_fixture {
    char folder[64];
    char own[96];  // the file that the guest writes
    char peer[96]; // the file that the host's items arrive in
};

void pool_fixture_make(struct pool_fixture *fixture);
void pool_fixture_remove(struct pool_fixture *fixture);

// A record as the daemon leaves it: random bytes behind each NUL.
void pool_record(uint8_t record[POOL_RECORD], const char *key, const char *value, unsigned seed);

// Adds a record at the end, as a program that appends does.
void pool_append(const char *path, const char *key, const char *value, unsigned seed);
void pool_append_bytes(const char *path, const void *bytes, size_t length);

// The whole file; the caller frees it.
uint8_t *pool_bytes(const char *path, size_t *length);
off_t pool_size(const char *path);

// Record i of the file: is it byte for byte the one of pool_record?
bool pool_holds(const char *path, size_t index, const char *key, const char *value, unsigned seed);

// What the daemon does for one item that the host sets or removes (value NULL): lock, rewrite the
// whole file, close.
void pool_daemon_set(const char *path, const char *key, const char *value);

enum pool_lock { POOL_LOCK_FLOCK, POOL_LOCK_POSIX };
// A child that takes the lock, tells so, and holds it until it is killed. Returns its pid.
pid_t pool_hold_lock(const char *path, enum pool_lock kind);
void pool_release(pid_t holder);

#endif
