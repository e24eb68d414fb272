// SPDX-License-Identifier: Apache-2.0
//
// The real programs together, for one test: a lab with the VMs alpha and beta, the host's service,
// the agents in the VMs, and the kvpbus command. Everything asserts.
#ifndef KVPBUS_TESTS_WORLD_H
#define KVPBUS_TESTS_WORLD_H

#include "lab_fixture.h"

enum world_side { WORLD_HOST, WORLD_ALPHA, WORLD_BETA, WORLD_SIDES };

struct world {
    struct lab lab;
    pid_t pids[WORLD_SIDES]; // 0: the service does not run
};

// Starts the lab; no service yet. `options` as of lab_start.
void world_begin(struct world *world, const char *options);
// The same, and the host's service and alpha's agent run and are paired.
void world_begin_paired(struct world *world);
// Writes DIR/host.conf, which the host's service reads when it starts.
void world_configure_host(const struct world *world, const char *text);
// Kills what still runs, also those whose numbers are in DIR/*.pid, and removes the folder.
void world_end(struct world *world);

// Starts the side's service and waits until it answers. Its log is DIR/<side>.log.
void world_start(struct world *world, enum world_side side);
// SIGTERM: it has to end with 0. SIGKILL: it is gone.
void world_stop(struct world *world, enum world_side side, int signal);

// Pins the identity of `peer` at `side` by its fingerprint, as soon as it shows itself there.
void world_trust(const struct world *world, enum world_side side, enum world_side peer);
// Pairs the host and a VM's agent by fingerprint, on both sides, and waits until the link is live.
void world_pair(struct world *world, enum world_side vm);

// Runs `kvpbus` with the words of a shell, on the side's socket, at most 60 s. Both output streams
// are in world_output(). Returns the exit code.
int world_kvpbus(const struct world *world, enum world_side side, const char *words, ...)
    __attribute__((format(printf, 3, 4)));
// The same, and it has to end with 0.
void world_ok(const struct world *world, enum world_side side, const char *words, ...)
    __attribute__((format(printf, 3, 4)));

// Runs a shell command, at most 60 s, in the lab's folder, where HOST, GUEST and KVPBUS are the
// programs, and UNSHARE makes namespaces, whoever runs the test. Returns the exit code.
int world_shell(const struct world *world, const char *command, ...)
    __attribute__((format(printf, 2, 3)));

// Ends the test as skipped on a machine where this shell command fails.
void world_skip_unless(const struct world *world, const char *command);

// What the last of these printed, without the last line's end.
const char *world_output(void);

// Waits until `kvpbus --json status [PEER]` on the side says this, at most `seconds`.
void world_await(const struct world *world, enum world_side side, const char *peer,
                 const char *text, unsigned seconds);

// Alpha's link carries messages both ways.
void world_alpha_works(const struct world *world);

// Waits until a line of the side's log says this of the peer, at most 60 s: a stuffed store is
// looked at rarely.
void world_logged(const struct world *world, enum world_side side, const char *peer,
                  const char *words);

#endif
