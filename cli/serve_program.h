// SPDX-License-Identifier: Apache-2.0
//
// One run of a program: bytes to its standard input, its standard output kept up to a bound. No
// shell is involved. Any thread; SIGPIPE has to be ignored.
#ifndef KVPBUS_SERVE_PROGRAM_H
#define KVPBUS_SERVE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum serve_end {
    SERVE_EXITED,
    SERVE_NOT_STARTED, // status is an errno
    SERVE_TIMED_OUT,
    SERVE_TOO_LARGE, // more output than max
    SERVE_ABORTED,   // `tick` wanted that
};

struct serve_program {
    char *const *argv;
    char *const *environment;
    const uint8_t *input;
    size_t input_length;
    size_t output_max;
    uint64_t timeout_ms;
    int stop; // a descriptor: when it can be read, the program is ended; -1: none
    // Called every tick_ms while it runs; false ends the program.
    bool (*tick)(void *context);
    void *context;
    uint64_t tick_ms;
};

struct serve_result {
    enum serve_end end;
    int status;      // its exit code, 128 and the signal that ended it, or an errno
    uint8_t *output; // freed by the caller; NULL when it is empty
    size_t length;
};

// Its process group is ended with it: SIGTERM, and SIGKILL five seconds later.
void serve_program_run(const struct serve_program *program, struct serve_result *result);

#endif
