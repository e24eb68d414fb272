// SPDX-License-Identifier: Apache-2.0
//
// What the commands that send a message have in common on their command lines.
#ifndef KVPBUS_MESSAGE_OPTIONS_H
#define KVPBUS_MESSAGE_OPTIONS_H

#include "command.h"

struct message_options {
    struct kvpbus_outgoing message; // begins as kvpbus_outgoing_init made it
    struct kvpbus_header headers[KVPBUS_HEADERS_MAX];
    const char *text, *path;
    uint8_t *body;
};

// For getopt_long's list.
#define MESSAGE_OPTIONS                                                                     \
    {"text", required_argument, NULL, 't'}, {"file", required_argument, NULL, 'f'},         \
        {"header", required_argument, NULL, 'H'}, {"stream", required_argument, NULL, 's'}, \
    {                                                                                       \
        "class", required_argument, NULL, 'c'                                               \
    }

void message_options_init(struct message_options *options);

// True when the option is one of these; *fault says what is wrong with its value, or is left.
bool message_option(struct message_options *options, int option, char *value, const char **fault);

// The words behind the options without a last "-", which stands for a body on standard input.
int message_words(struct message_options *options, int argc, char **argv);

// Reads the body. Without one it is empty where `may_lack`. Returns an exit code.
int message_body(const struct kvpbus_command_context *context, struct message_options *options,
                 bool may_lack);

void message_options_free(struct message_options *options);

#endif
