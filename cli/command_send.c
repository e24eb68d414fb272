// SPDX-License-Identifier: Apache-2.0
//
// send: one message to one peer, several or all, and what became of it at each.
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "message_options.h"
#include "program.h"

enum { BAR = 30, FIGURES = 34 }; // columns: of the bar, and of what stands around it at most

struct sending {
    struct message_options options;
    const struct kvpbus_command_context *context;
    int code; // of the first peer that fails
};

// --- what comes back ---

// A line that is longer than the terminal is wide could not be drawn over.
static unsigned bar_width(void)
{
    unsigned columns = kvpbus_terminal_of_error().columns;
    if (columns == 0)
        return BAR;
    return columns >= BAR + FIGURES ? BAR : columns > FIGURES ? columns - FIGURES : 0;
}

static void show_progress(const struct kvpbus_client_event *event)
{
    if (!isatty(STDERR_FILENO) || event->total == 0)
        return;
    unsigned width = bar_width();
    unsigned filled = (unsigned)(event->acknowledged * width / event->total);
    char bar[BAR + 1];
    memset(bar, ' ', width);
    memset(bar, '#', filled);
    bar[width] = '\0';
    fprintf(stderr, "\r[%s] %3u%%  %llu of %llu KiB ", bar,
            (unsigned)(event->acknowledged * 100 / event->total),
            (unsigned long long)(event->acknowledged / 1024),
            (unsigned long long)(event->total / 1024));
}

static void clear_progress(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static bool several(const struct sending *sending)
{
    return sending->options.message.peer == NULL;
}

// One line of standard output for each peer.
static void say(const struct sending *sending, const struct kvpbus_client_event *event,
                const char *outcome)
{
    if (sending->context->json) {
        const char *peer = several(sending) ? event->peer : sending->options.message.peer;
        json_t *value = json_pack("{s:s, s:s}", "peer", peer, "outcome", outcome);
        if (event->id[0] != '\0')
            json_object_set_new(value, "id", json_string(event->id));
        if (event->reason[0] != '\0')
            json_object_set_new(value, "reason", json_string(event->reason));
        if (event->kind == KVPBUS_CLIENT_REFUSED)
            json_object_set_new(value, "error", json_string(kvpbus_error_name(event->code)));
        json_dumpf(value, stdout, 0);
        putchar('\n');
        json_decref(value);
    } else if (event->kind == KVPBUS_CLIENT_REFUSED) {
        printf("%s: %s: %s\n", event->peer, outcome, event->reason);
    } else if (several(sending)) {
        printf("%s: %s %s%s%s\n", event->peer, outcome, event->id,
               event->reason[0] != '\0' ? ": " : "", event->reason);
    } else {
        printf("%s %s\n", outcome, event->id);
    }
    if (several(sending))
        fflush(stdout);
}

static void say_outcome(struct sending *sending, const struct kvpbus_client_event *event)
{
    bool consumed = event->consumed && event->outcome == KVPBUS_OUTCOME_DELIVERED;
    bool good = sending->options.message.wait == KVPBUS_WAIT_CONSUMED
                    ? consumed
                    : event->outcome == KVPBUS_OUTCOME_DELIVERED;
    clear_progress();
    say(sending, event, consumed ? "consumed" : kvpbus_outcome_name(event->outcome));
    if (!good && !several(sending))
        fprintf(stderr, "kvpbus: the message was not %s: %s\n",
                event->outcome == KVPBUS_OUTCOME_DELIVERED ? "consumed" : "delivered",
                event->reason[0] != '\0' ? event->reason : kvpbus_outcome_name(event->outcome));
    if (!good && sending->code == KVPBUS_EXIT_OK)
        sending->code = KVPBUS_EXIT_NOT_DELIVERED;
}

static void on_event(struct sending *sending, const struct kvpbus_client_event *event)
{
    switch (event->kind) {
    case KVPBUS_CLIENT_QUEUED:
        if (sending->options.message.wait == KVPBUS_WAIT_QUEUED)
            say(sending, event, "queued");
        break;
    case KVPBUS_CLIENT_REFUSED:
        say(sending, event, "refused");
        if (sending->code == KVPBUS_EXIT_OK)
            sending->code = (int)kvpbus_exit_of(event->code);
        break;
    case KVPBUS_CLIENT_PROGRESS:
        show_progress(event);
        break;
    case KVPBUS_CLIENT_OUTCOME:
        say_outcome(sending, event);
        break;
    default:
        break;
    }
}

static int run(struct sending *sending)
{
    struct kvpbus_client *client = NULL;
    struct kvpbus_client_event event;
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error = kvpbus_client_open(sending->context->socket, &client, &failure);
    if (error == KVPBUS_OK)
        error = kvpbus_client_send(client, &sending->options.message, &failure);
    while (error == KVPBUS_OK) {
        error = kvpbus_client_next(client, -1, &event, &failure);
        if (error == KVPBUS_OK && event.kind == KVPBUS_CLIENT_DONE)
            break;
        if (error == KVPBUS_OK)
            on_event(sending, &event);
    }
    kvpbus_client_close(client);
    if (error == KVPBUS_OK)
        return sending->code;
    clear_progress();
    return kvpbus_command_failed(sending->context, &failure);
}

// --- the command ---

static const char *take_option(struct sending *sending, int option, char *value)
{
    static const char *const waits[] = {"queued", "delivered", "consumed"};
    struct kvpbus_outgoing *message = &sending->options.message;
    const char *fault = NULL;
    if (message_option(&sending->options, option, value, &fault))
        return fault;
    switch (option) {
    case 'l':
        if (!kvpbus_parse_duration(value, &message->ttl_ms) || message->ttl_ms == 0)
            return "a lifetime is like 500ms, 10s, 5m, 2h or 1d";
        return NULL;
    case 'a':
        message->all = true;
        return NULL;
    case 'r':
        message->resend = true;
        return NULL;
    default:
        for (size_t i = 0; i < sizeof waits / sizeof *waits; i++)
            if (strcmp(value, waits[i]) == 0) {
                message->wait = (enum kvpbus_wait)i;
                return NULL;
            }
        return "one can wait until it is queued, delivered or consumed";
    }
}

static int parse(struct sending *sending, int argc, char **argv)
{
    static const struct option options[] = {
        MESSAGE_OPTIONS,
        {"ttl", required_argument, NULL, 'l'},
        {"wait", required_argument, NULL, 'w'},
        {"all", no_argument, NULL, 'a'},
        {"resend", no_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    struct kvpbus_outgoing *message = &sending->options.message;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option == '?' || option == ':')
            return kvpbus_command_bad_option(sending->context, argv, option);
        const char *fault = take_option(sending, option, optarg);
        if (fault != NULL)
            return kvpbus_command_usage(sending->context, fault);
    }
    int words = message_words(&sending->options, argc - optind, argv + optind);
    if (message->all ? words != 1 : words < 2)
        return kvpbus_command_usage(sending->context, message->all
                                                          ? "with --all name the topic alone"
                                                          : "name the peer and the topic");
    message->topic = argv[optind + words - 1];
    if (words == 2 && !message->all) {
        message->peer = argv[optind];
    } else if (!message->all) {
        message->peers = (const char *const *)(argv + optind);
        message->peer_count = (size_t)words - 1;
    }
    return message_body(sending->context, &sending->options, false);
}

int kvpbus_command_send(const struct kvpbus_command_context *context, int argc, char **argv)
{
    struct sending sending = {.context = context, .code = KVPBUS_EXIT_OK};
    message_options_init(&sending.options);
    int code = parse(&sending, argc, argv);
    if (code == KVPBUS_EXIT_OK)
        code = run(&sending);
    message_options_free(&sending.options);
    return code;
}
