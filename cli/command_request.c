// SPDX-License-Identifier: Apache-2.0
//
// request: asks a peer and prints what it answers. reply: answers a request that recv has shown.
#include <getopt.h>
#include <stdio.h>

#include "config.h"
#include "message_options.h"
#include "message_output.h"

enum { ANSWER_WITHIN = 60000, DEADLINE = 30000, MARGIN = 5000, STATUS_MAX = 255 };

struct requesting {
    struct message_options options;
    struct message_output output;
    uint64_t count; // of replies; 0: up to the last one
};

// A reply's status is 0 or what went wrong there, as a program's exit code is.
static int exit_of_status(int32_t status)
{
    return status >= 0 && status <= STATUS_MAX ? status : KVPBUS_EXIT_FAILED;
}

static int no_reply(const struct kvpbus_client_event *event)
{
    if (event->outcome == KVPBUS_OUTCOME_EXPIRED) {
        fputs("kvpbus: no reply came in time; is 'kvpbus serve' running there?\n", stderr);
        return KVPBUS_EXIT_TIMEOUT;
    }
    fprintf(stderr, "kvpbus: no reply comes any more: %s\n",
            event->reason[0] != '\0' ? event->reason : kvpbus_outcome_name(event->outcome));
    return KVPBUS_EXIT_NOT_DELIVERED;
}

static enum kvpbus_error gather(struct kvpbus_client *client, struct requesting *requesting,
                                int *code, struct kvpbus_failure *failure)
{
    struct kvpbus_client_event event;
    // The service says when the time is over; it is not waited for much longer than that.
    int64_t timeout = (int64_t)requesting->options.message.ttl_ms + MARGIN;
    for (uint64_t n = 0;;) {
        enum kvpbus_error error = kvpbus_client_next(client, timeout, &event, failure);
        if (error != KVPBUS_OK || event.kind == KVPBUS_CLIENT_DONE)
            return error;
        if (event.kind == KVPBUS_CLIENT_OUTCOME)
            *code = no_reply(&event);
        if (event.kind != KVPBUS_CLIENT_MESSAGE)
            continue;
        // Several replies are told apart by the ends of their lines.
        if (event.message->kind == KVPBUS_KIND_REPLY)
            requesting->output.exact = false;
        *code = exit_of_status(event.message->status);
        if (!message_output_write(&requesting->output, event.message))
            *code = KVPBUS_EXIT_FAILED;
        else if (++n != requesting->count)
            continue;
        return KVPBUS_OK;
    }
}

static const char *take_option(struct requesting *requesting, int option, char *value)
{
    const char *fault = NULL;
    if (message_option(&requesting->options, option, value, &fault))
        return fault;
    if (option == 'o')
        requesting->output.directory = value;
    else if (option == 'n' &&
             (!kvpbus_parse_size(value, &requesting->count) || requesting->count == 0))
        return "a count is a number from 1";
    else if (option == 'w' && (!kvpbus_parse_duration(value, &requesting->options.message.ttl_ms) ||
                               requesting->options.message.ttl_ms == 0 ||
                               requesting->options.message.ttl_ms > INT32_MAX))
        return "a timeout is like 500ms, 10s, 5m or 2h";
    return NULL;
}

static int run(const struct kvpbus_command_context *context, struct requesting *requesting)
{
    struct kvpbus_client *client = NULL;
    struct kvpbus_failure failure = {0};
    int code = KVPBUS_EXIT_OK;
    enum kvpbus_error error = kvpbus_client_open(context->socket, &client, &failure);
    if (error == KVPBUS_OK)
        error = kvpbus_client_request(client, &requesting->options.message, &failure);
    if (error == KVPBUS_OK)
        error = gather(client, requesting, &code, &failure);
    kvpbus_client_close(client);
    return error == KVPBUS_OK ? code : kvpbus_command_failed(context, &failure);
}

int kvpbus_command_request(const struct kvpbus_command_context *context, int argc, char **argv)
{
    static const struct option options[] = {
        MESSAGE_OPTIONS,
        {"timeout", required_argument, NULL, 'w'},
        {"count", required_argument, NULL, 'n'},
        {"out", required_argument, NULL, 'o'},
        {NULL, 0, NULL, 0},
    };
    struct requesting requesting = {.output = {.json = context->json, .bare = true, .exact = true}};
    message_options_init(&requesting.options);
    requesting.options.message.ttl_ms = DEADLINE;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option == '?' || option == ':')
            return kvpbus_command_bad_option(context, argv, option);
        const char *fault = take_option(&requesting, option, optarg);
        if (fault != NULL)
            return kvpbus_command_usage(context, fault);
    }
    if (message_words(&requesting.options, argc - optind, argv + optind) != 2)
        return kvpbus_command_usage(context, "name the peer and the topic");
    requesting.options.message.peer = argv[optind];
    requesting.options.message.topic = argv[optind + 1];
    int code = message_body(context, &requesting.options, true);
    if (code == KVPBUS_EXIT_OK && !message_output_begin(&requesting.output))
        code = KVPBUS_EXIT_FAILED;
    if (code == KVPBUS_EXIT_OK)
        code = run(context, &requesting);
    message_options_free(&requesting.options);
    return code;
}

// --- reply ---

static const char *take_reply_option(struct message_options *options, int option, char *value)
{
    const char *fault = NULL;
    uint64_t status;
    if (message_option(options, option, value, &fault))
        return fault;
    if (option == 'm') {
        options->message.kind = KVPBUS_KIND_REPLY;
        return NULL;
    }
    if (!kvpbus_parse_size(value, &status) || status > STATUS_MAX)
        return "a status is a number from 0 to 255";
    options->message.status = (int32_t)status;
    return NULL;
}

static int send_reply(const struct kvpbus_command_context *context,
                      const struct kvpbus_outgoing *message)
{
    struct kvpbus_client *client = NULL;
    struct kvpbus_client_event event = {.id = ""};
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error = kvpbus_client_open(context->socket, &client, &failure);
    if (error == KVPBUS_OK)
        error = kvpbus_client_send(client, message, &failure);
    if (error == KVPBUS_OK)
        error = kvpbus_client_finish(client, ANSWER_WITHIN, &event, &failure);
    if (error == KVPBUS_OK && context->json)
        printf("{\"id\": \"%s\", \"outcome\": \"queued\"}\n", event.id);
    else if (error == KVPBUS_OK)
        printf("queued %s\n", event.id);
    kvpbus_client_close(client);
    return error == KVPBUS_OK ? KVPBUS_EXIT_OK : kvpbus_command_failed(context, &failure);
}

int kvpbus_command_reply(const struct kvpbus_command_context *context, int argc, char **argv)
{
    static const struct option options[] = {
        MESSAGE_OPTIONS,
        {"status", required_argument, NULL, 'S'},
        {"more", no_argument, NULL, 'm'},
        {NULL, 0, NULL, 0},
    };
    struct message_options reply;
    struct kvpbus_message_id id;
    message_options_init(&reply);
    reply.message.kind = KVPBUS_KIND_LAST_REPLY;
    reply.message.topic = "reply";
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option == '?' || option == ':')
            return kvpbus_command_bad_option(context, argv, option);
        const char *fault = take_reply_option(&reply, option, optarg);
        if (fault != NULL)
            return kvpbus_command_usage(context, fault);
    }
    if (message_words(&reply, argc - optind, argv + optind) != 2)
        return kvpbus_command_usage(context, "name the peer and the request's id");
    reply.message.peer = argv[optind];
    reply.message.reply_to = argv[optind + 1];
    if (!kvpbus_message_id_parse(reply.message.reply_to, &id))
        return kvpbus_command_usage(context, "the id of a request is as 'recv' shows it");
    int code = message_body(context, &reply, true);
    if (code == KVPBUS_EXIT_OK)
        code = send_reply(context, &reply.message);
    message_options_free(&reply);
    return code;
}
