// SPDX-License-Identifier: Apache-2.0
//
// One run of a program: bytes to its standard input, its standard output kept up to a bound. No
// shell is involved. Any thread; SIGPIPE has to be ignored.
#ifndef KVPBUS_SERVE_PROGRAM_H
#define KVPBUS_SERVE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvpbus/platform.h"

enum serve_end {
    SERVE_EXITED,
    SERVE_NOT_STARTED, // status is why, as kvpbus_system_text has it
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
    kvpbus_notice stop; // when it is set, the program is ended; KVPBUS_NO_NOTICE: none
    // Called every tick_ms while it runs; false ends the program.
    bool (*tick)(void *context);
    void *context;
    uint64_t tick_ms;
};

struct serve_result {
    enum serve_end end;
    int status;      // its exit code, 128 and the signal that ended it, or why it did not start
    uint8_t *output; // freed by the caller; NULL when it is empty
    size_t length;
};

// What it has started is ended with it: SIGTERM to its process group, and SIGKILL five seconds
// later; on Windows Ctrl-Break to its console, and five seconds later its job is ended.
void serve_program_run(const struct serve_program *program, struct serve_result *result);

// Adds to the output, which has room for `capacity` bytes. False: it would be more than `max`, or
// there is no memory.
bool serve_output_keep(struct serve_result *result, size_t *capacity, size_t max,
                       const uint8_t *bytes, size_t length);

// The environment of this process, with `variables` ("NAME=value", up to a NULL) in the place of
// those of their names; NULL: no memory. The variables must outlive it.
char **serve_environment(const char *const *variables);
void serve_environment_free(char **environment);

#endif
