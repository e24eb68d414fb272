// SPDX-License-Identifier: Apache-2.0
#ifndef KVPBUS_BENCH_MESSAGE_H
#define KVPBUS_BENCH_MESSAGE_H

#include "figures.h"
#include "world.h"

// Sends one message of random bytes and waits until it is delivered; then takes it out of the inbox
// at the other side and compares, which is not measured.
struct bench_figure bench_message(const struct bench_world *world, bool to_guest, size_t bytes);

#endif
