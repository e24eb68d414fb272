// SPDX-License-Identifier: Apache-2.0
//
// The other end of a client: a test plays the service, in one thread, because a client never waits
// unless it is told to. Everything asserts.
#ifndef KVPBUS_TESTS_FAKE_SERVICE_H
#define KVPBUS_TESTS_FAKE_SERVICE_H

#include "control.pb-c.h"
#include "kvpbus/client.h"

typedef Kvpbus__Control__Request Request;
typedef Kvpbus__Control__Response Response;

extern struct kvpbus_client *client;
extern struct kvpbus_failure failure;
extern struct kvpbus_client_event event;
extern char fake_path[64];

// A client that is connected; and the end of all.
void fake_begin(void);
void fake_end(void);

// Takes the connection of a client that was made anew.
void fake_accept(void);
void fake_hang_up(void);

// What the client has written next. Freed by the next call.
const Request *fake_hears(void);
// Writes bytes, or a response in a frame.
void fake_writes(const void *bytes, size_t length);
void fake_says(const Response *response);
void fake_done(void);
void fake_done_with(uint64_t count);
void fake_fails(enum kvpbus_error code, const char *detail);
void fake_queued(const char *id, const char *peer);
void fake_progress(uint64_t acknowledged, uint64_t total);
void fake_outcome(const char *id, const char *outcome, const char *reason, bool consumed);
void fake_delivers(int64_t lease, const char *id, uint32_t kind, const char *body);

// The next event is there and of this kind.
void fake_event(enum kvpbus_client_event_kind kind);
// The operation ends with this error.
void fake_error(enum kvpbus_error error);

#endif
