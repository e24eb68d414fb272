// SPDX-License-Identifier: Apache-2.0
//
// A message written out for people, for pipes, as JSON, or into a file.
#ifndef KVPBUS_MESSAGE_OUTPUT_H
#define KVPBUS_MESSAGE_OUTPUT_H

#include "command.h"

struct message_output {
    bool json;
    const char *directory; // bodies go into files there, named by the message's id; NULL: not
    bool bare;             // the body alone, also on a terminal
    bool exact;            // to a pipe it goes as it is, without an end of line of its own
};

// Makes the directory. False: it has been said why not.
bool message_output_begin(const struct message_output *output);

// All of it is out when this returns true; else it has been said what failed.
bool message_output_write(const struct message_output *output,
                          const struct kvpbus_incoming *message);

// "event", "request", "reply", "last reply".
const char *message_kind_name(enum kvpbus_kind kind);

#endif
