// SPDX-License-Identifier: Apache-2.0
//
// How it is done without kvpbus: base64 pieces of 988 characters, not compressed, signed, encrypted
// or made durable; one call adds as many as a call takes, the guest looks twice a second, notes
// that it has them all in an item of its own, for which the host looks twice a second too, and the
// host removes them.
#ifndef KVPBUS_BENCH_BY_HAND_H
#define KVPBUS_BENCH_BY_HAND_H

#include "figures.h"
#include "world.h"

struct bench_figure bench_by_hand(const struct bench_world *world, size_t bytes);

#endif
