// SPDX-License-Identifier: Apache-2.0
//
// How serve is stopped: Ctrl-C and the like once, to finish what runs, and once more, to end that;
// one source per system.
#ifndef KVPBUS_SERVE_STOP_H
#define KVPBUS_SERVE_STOP_H

#include <stdbool.h>

#include "kvpbus/platform.h"

// From now on they do this; before any worker begins. They begin to be set then: `stop` with the
// first, `abort` with the second. False: it cannot be had; says why.
bool serve_stop_begin(kvpbus_notice *stop, kvpbus_notice *abort);
// As if the first had come; the second follows by itself.
void serve_stop_now(void);
// Returns when `running` says 0, which is looked at whenever serve_stop_look was called.
void serve_stop_wait(unsigned (*running)(void));
// Any thread.
void serve_stop_look(void);

// True: `notice` is set, at once or within the time (-1: without end). A set `other`, which may be
// KVPBUS_NO_NOTICE, ends the wait.
bool serve_is_set(kvpbus_notice notice, kvpbus_notice other, int timeout_ms);

#endif
