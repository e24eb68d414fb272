// SPDX-License-Identifier: Apache-2.0
//
// A program in the VM beta that has the key of beta's agent and the project's own codecs, and uses
// them for what no agent would send. Everything asserts.
#ifndef KVPBUS_TESTS_IMPOSTOR_H
#define KVPBUS_TESTS_IMPOSTOR_H

#include "bundle_fixture.h"
#include "world.h"

struct impostor;

// Takes the place of beta's agent, which has been paired and is stopped.
struct impostor *impostor_new(const struct world *world);
void impostor_free(struct impostor *impostor);

// The next bundle of the class normal, to be sealed or forged; its number counts up.
const struct bundle_fixture *impostor_next(struct impostor *impostor);
// Sends its sealed bytes, and waits until the host has acknowledged all of them.
void impostor_send(struct impostor *impostor, const uint8_t *sealed, size_t length);
// Waits until the host has refused the last one.
void impostor_await_refusal(struct impostor *impostor);

// Puts a fresh hello into beta's pool: identity and signature by beta's key, or by the one of
// `seed`. The `length` bytes at `at` of its core are overwritten before it is signed.
void impostor_hello(struct impostor *impostor, const uint8_t *seed, size_t at, const void *bytes,
                    size_t length);
// Puts a value under a key into beta's pool.
void impostor_write(struct impostor *impostor, const char *key, const char *value);

#endif
