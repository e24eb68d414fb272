// SPDX-License-Identifier: Apache-2.0
//
// recv: takes messages out of the inbox and acknowledges each when it has been written out.
#include <getopt.h>
#include <stdio.h>
#include <time.h>

#include "config.h"
#include "message_output.h"

enum { LEASE_MS = 5 * 60 * 1000, ANSWER_WITHIN = 60000 };

struct receiving {
    struct kvpbus_receiving which;
    struct message_output output;
    uint64_t count;     // 0: no limit
    int64_t timeout_ms; // -1: none; of all together
    bool follow;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// The next message, written out and acknowledged. *written false: that failed and has been said.
static enum kvpbus_error take(struct kvpbus_client *client, const struct receiving *receiving,
                              int64_t timeout_ms, bool *written, struct kvpbus_failure *failure)
{
    struct kvpbus_client_event event;
    *written = true;
    enum kvpbus_error error = kvpbus_client_receive(client, &receiving->which, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_client_finish(client, timeout_ms, &event, failure);
    if (error != KVPBUS_OK)
        return error;
    if (event.kind != KVPBUS_CLIENT_MESSAGE)
        return kvpbus_fail(failure, KVPBUS_NOT_FOUND, "no reply to %s comes any more: %s",
                           receiving->which.reply_to,
                           event.reason[0] != '\0' ? event.reason
                                                   : kvpbus_outcome_name(event.outcome));
    *written = message_output_write(&receiving->output, event.message);
    if (!*written) {
        fputs("kvpbus: the message stays in the inbox\n", stderr);
        return KVPBUS_OK;
    }
    error = kvpbus_client_ack(client, event.message->lease, failure);
    return error == KVPBUS_OK ? kvpbus_client_finish(client, ANSWER_WITHIN, NULL, failure) : error;
}

static int run(const struct kvpbus_command_context *context, const struct receiving *receiving)
{
    struct kvpbus_client *client = NULL;
    struct kvpbus_failure failure = {0};
    int64_t deadline = receiving->timeout_ms < 0 ? -1 : now_ms() + receiving->timeout_ms;
    int code = KVPBUS_EXIT_OK;
    if (kvpbus_client_open(context->socket, &client, &failure) != KVPBUS_OK)
        return kvpbus_command_failed(context, &failure);
    for (uint64_t n = 0; receiving->count == 0 || n < receiving->count; n++) {
        int64_t left = deadline < 0 ? -1 : deadline - now_ms();
        bool written;
        enum kvpbus_error error =
            take(client, receiving, deadline >= 0 && left < 0 ? 0 : left, &written, &failure);
        // With --follow the end of the time is the end of the work, not a failure.
        if (error == KVPBUS_TIMEOUT && receiving->follow)
            break;
        if (error != KVPBUS_OK)
            code = kvpbus_command_failed(context, &failure);
        else if (!written)
            code = KVPBUS_EXIT_FAILED;
        if (code != KVPBUS_EXIT_OK)
            break;
    }
    kvpbus_client_close(client);
    return code;
}

static const char *take_option(struct receiving *receiving, int option, const char *value)
{
    uint64_t timeout;
    switch (option) {
    case 't':
        receiving->which.pattern = value;
        break;
    case 'p':
        receiving->which.peer = value;
        break;
    case 'r':
        receiving->which.reply_to = value;
        break;
    case 'n':
        if (!kvpbus_parse_size(value, &receiving->count) || receiving->count == 0)
            return "a count is a number from 1";
        break;
    case 'w':
        if (!kvpbus_parse_duration(value, &timeout) || timeout > INT32_MAX)
            return "a timeout is like 500ms, 10s, 5m or 2h";
        receiving->timeout_ms = (int64_t)timeout;
        break;
    case 'f':
        receiving->follow = true;
        break;
    default:
        receiving->output.directory = value;
        break;
    }
    return NULL;
}

int kvpbus_command_recv(const struct kvpbus_command_context *context, int argc, char **argv)
{
    static const struct option options[] = {
        {"topic", required_argument, NULL, 't'},    {"peer", required_argument, NULL, 'p'},
        {"reply-to", required_argument, NULL, 'r'}, {"count", required_argument, NULL, 'n'},
        {"timeout", required_argument, NULL, 'w'},  {"follow", no_argument, NULL, 'f'},
        {"out", required_argument, NULL, 'o'},      {NULL, 0, NULL, 0},
    };
    struct receiving receiving = {.timeout_ms = -1, .output.json = context->json};
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option == '?' || option == ':')
            return kvpbus_command_bad_option(context, argv, option);
        const char *fault = take_option(&receiving, option, optarg);
        if (fault != NULL)
            return kvpbus_command_usage(context, fault);
    }
    if (optind < argc)
        return kvpbus_command_usage(context, "there are words too many");
    if (receiving.count == 0 && !receiving.follow)
        receiving.count = 1;
    receiving.which.lease_ms = LEASE_MS;
    if (!message_output_begin(&receiving.output))
        return KVPBUS_EXIT_FAILED;
    return run(context, &receiving);
}
