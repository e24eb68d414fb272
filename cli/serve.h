// SPDX-License-Identifier: Apache-2.0
//
// serve: workers that each take a request, run the program and answer. command_serve.c has the
// command, serve_worker.c a worker.
#ifndef KVPBUS_SERVE_H
#define KVPBUS_SERVE_H

#include "command.h"

enum { SERVE_PARALLEL_MAX = 32 };

struct serve {
    const struct kvpbus_command_context *context;
    const char *topic, *peer; // peer NULL: any
    char *const *argv;
    uint64_t timeout_ms, reply_max, parallel;
    kvpbus_notice stop;  // set when no further request is to be taken
    kvpbus_notice abort; // and when the programs that run are to be ended
};

// Takes requests until `stop`, and makes its connection anew when the service was away. `client`
// is its own from now on. Returns an exit code; what was wrong has been said.
int serve_work(const struct serve *serve, struct kvpbus_client *client);

#endif
