// SPDX-License-Identifier: Apache-2.0
//
// What a program does first, and what it has from its terminal; one source per system.
#ifndef KVPBUS_PROGRAM_H
#define KVPBUS_PROGRAM_H

#include <stdbool.h>

// The first thing in main. On Windows: libraries are looked for in System32 alone, the words of the
// command line become UTF-8, input and output go through as they are, and a console shows UTF-8.
void kvpbus_program_begin(int *argc, char ***argv);

struct kvpbus_terminal {
    unsigned columns, rows; // 0: not known
};

// Of standard error, or of standard output.
struct kvpbus_terminal kvpbus_terminal_of_error(void);
struct kvpbus_terminal kvpbus_terminal_of_output(void);

// From now on Ctrl-C and the like end nothing by themselves: kvpbus_program_ended says that they
// came.
void kvpbus_program_end_gently(void);
bool kvpbus_program_ended(void);
// So long, or until they come.
void kvpbus_program_pause(unsigned ms);

#endif
