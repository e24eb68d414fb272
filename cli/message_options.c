// SPDX-License-Identifier: Apache-2.0
#include "message_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

void message_options_init(struct message_options *options)
{
    *options = (struct message_options){0};
    kvpbus_outgoing_init(&options->message, NULL, NULL, NULL, 0);
    options->message.headers = options->headers;
}

void message_options_free(struct message_options *options)
{
    free(options->body);
    options->body = NULL;
}

static const char *add_header(struct message_options *options, char *value)
{
    char *sign = strchr(value, '=');
    if (sign == NULL || sign == value)
        return "a header is NAME=VALUE";
    if (options->message.header_count == KVPBUS_HEADERS_MAX)
        return "a message has at most 32 headers";
    *sign = '\0';
    options->headers[options->message.header_count++] =
        (struct kvpbus_header){.name = value, .value = sign + 1};
    return NULL;
}

bool message_option(struct message_options *options, int option, char *value, const char **fault)
{
    const char *wrong = NULL;
    switch (option) {
    case 't':
        options->text = value;
        break;
    case 'f':
        options->path = value;
        break;
    case 'H':
        wrong = add_header(options, value);
        break;
    case 's':
        options->message.stream = value;
        break;
    case 'c':
        if (!kvpbus_class_parse(value, &options->message.class_))
            wrong = "a class is control, normal or bulk";
        break;
    default:
        return false;
    }
    if (wrong != NULL)
        *fault = wrong;
    return true;
}

int message_words(struct message_options *options, int argc, char **argv)
{
    if (argc == 0 || options->path != NULL || strcmp(argv[argc - 1], "-") != 0)
        return argc;
    options->path = "-";
    return argc - 1;
}

// NULL, or why not.
static const char *read_all(FILE *file, struct message_options *options)
{
    size_t capacity = 0, length = 0;
    for (;;) {
        if (length == capacity) {
            capacity = capacity == 0 ? 65536 : capacity * 2;
            uint8_t *grown =
                length >= KVPBUS_CLIENT_BODY_MAX ? NULL : realloc(options->body, capacity);
            if (grown == NULL)
                return strerror(EFBIG);
            options->body = grown;
        }
        size_t got = fread(options->body + length, 1, capacity - length, file);
        length += got;
        options->message.body_length = length;
        if (got == 0)
            return ferror(file) ? kvpbus_system_text(kvpbus_system_code()) : NULL;
    }
}

int message_body(const struct kvpbus_command_context *context, struct message_options *options,
                 bool may_lack)
{
    const char *path = options->path;
    if (options->text == NULL && path == NULL && may_lack)
        return KVPBUS_EXIT_OK;
    if ((options->text != NULL) == (path != NULL))
        return kvpbus_command_usage(context, "give the body once: --text, --file or -");
    if (options->text != NULL) {
        options->message.body = options->text;
        options->message.body_length = strlen(options->text);
        return KVPBUS_EXIT_OK;
    }
    bool from_stdin = strcmp(path, "-") == 0;
    FILE *file = from_stdin ? stdin : kvpbus_file_stream(path, "rb");
    const char *why =
        file != NULL ? read_all(file, options) : kvpbus_system_text(kvpbus_system_code());
    if (why != NULL)
        fprintf(stderr, "kvpbus: cannot read %s: %s\n", from_stdin ? "standard input" : path, why);
    if (file != NULL && !from_stdin)
        fclose(file);
    options->message.body = options->body;
    return why == NULL ? KVPBUS_EXIT_OK : KVPBUS_EXIT_FAILED;
}
