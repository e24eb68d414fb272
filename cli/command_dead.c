// SPDX-License-Identifier: Apache-2.0
//
// dead: messages that no program could consume. They are looked at, given back, or dropped.
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "message_output.h"
#include "moment.h"

enum { ANSWER_WITHIN = 60000 };

struct burying {
    const struct kvpbus_command_context *context;
    struct kvpbus_client *client;
    enum kvpbus_dead_verb verb;
    struct kvpbus_dead_query query;
    struct message_output output;
    size_t listed;
};

// --- list ---

static void print_letter(struct burying *burying, const struct kvpbus_letter *letter)
{
    char died[MOMENT_TEXT];
    moment_text(letter->died_ms, died);
    if (burying->context->json) {
        json_t *value = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:i, s:I, s:s}", "peer",
                                  letter->peer, "id", letter->id, "topic", letter->topic, "stream",
                                  letter->stream, "class", kvpbus_class_name(letter->class_),
                                  "size", (json_int_t)letter->size, "tries", (int)letter->tries,
                                  "died_ms", (json_int_t)letter->died_ms, "reason", letter->reason);
        json_dumpf(value, stdout, 0);
        putchar('\n');
        json_decref(value);
        return;
    }
    printf("%s  %s  %s  %llu bytes kept, %u %s, died %s\n  %s\n", letter->id, letter->peer,
           letter->topic, (unsigned long long)letter->size, letter->tries,
           letter->tries == 1 ? "try" : "tries", died,
           letter->reason[0] != '\0' ? letter->reason : "no reason was given");
}

static enum kvpbus_error list(struct burying *burying, struct kvpbus_failure *failure)
{
    struct kvpbus_client_event event;
    enum kvpbus_error error =
        kvpbus_client_dead(burying->client, KVPBUS_DEAD_LIST, &burying->query, failure);
    while (error == KVPBUS_OK) {
        error = kvpbus_client_next(burying->client, ANSWER_WITHIN, &event, failure);
        if (error != KVPBUS_OK || event.kind != KVPBUS_CLIENT_LETTER)
            break;
        print_letter(burying, event.letter);
        burying->listed++;
    }
    return error;
}

// --- one or many ---

static enum kvpbus_error show(struct burying *burying, struct kvpbus_failure *failure)
{
    struct kvpbus_client_event event;
    enum kvpbus_error error =
        kvpbus_client_dead(burying->client, KVPBUS_DEAD_SHOW, &burying->query, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_client_finish(burying->client, ANSWER_WITHIN, &event, failure);
    if (error == KVPBUS_OK && event.kind == KVPBUS_CLIENT_MESSAGE &&
        !message_output_write(&burying->output, event.message))
        return kvpbus_fail(failure, KVPBUS_IO, "the dead letter stays where it is");
    return error;
}

static enum kvpbus_error change(struct burying *burying, struct kvpbus_failure *failure)
{
    struct kvpbus_client_event last = {.count = 0};
    enum kvpbus_error error =
        kvpbus_client_dead(burying->client, burying->verb, &burying->query, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_client_finish(burying->client, ANSWER_WITHIN, &last, failure);
    if (error != KVPBUS_OK)
        return error;
    bool retry = burying->verb == KVPBUS_DEAD_RETRY;
    unsigned long long count = last.count;
    if (burying->context->json)
        printf("{\"count\": %llu}\n", count);
    else if (retry)
        printf("%llu back in the inbox\n", count);
    else
        printf("%llu dropped\n", count);
    return KVPBUS_OK;
}

// --- the command ---

static bool parse_verb(const char *word, enum kvpbus_dead_verb *verb)
{
    static const char *const verbs[] = {"list", "show", "retry", "drop"};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(word, verbs[i]) == 0) {
            *verb = (enum kvpbus_dead_verb)i;
            return true;
        }
    return false;
}

static const char *parse_words(struct burying *burying, int argc, char **argv)
{
    struct kvpbus_dead_query *query = &burying->query;
    if (argc == 0 || !parse_verb(argv[0], &burying->verb))
        return "say what to do: list, show, retry or drop";
    if (argc > 2)
        return "there are words too many";
    if (argc == 2)
        query->id = argv[1];
    if (burying->verb == KVPBUS_DEAD_SHOW && query->id == NULL)
        return "name the dead letter by its id, as 'kvpbus dead list' prints it";
    bool many = query->all || query->peer != NULL || query->pattern != NULL;
    if (burying->verb >= KVPBUS_DEAD_RETRY && (query->id != NULL) == many)
        return "name one dead letter by its id, or give --all, --peer or --topic";
    query->all = many;
    return NULL;
}

static int run(struct burying *burying)
{
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error =
        kvpbus_client_open(burying->context->socket, &burying->client, &failure);
    if (error != KVPBUS_OK)
        return kvpbus_command_failed(burying->context, &failure);
    if (burying->verb == KVPBUS_DEAD_LIST)
        error = list(burying, &failure);
    else if (burying->verb == KVPBUS_DEAD_SHOW)
        error = show(burying, &failure);
    else
        error = change(burying, &failure);
    kvpbus_client_close(burying->client);
    if (error != KVPBUS_OK)
        return kvpbus_command_failed(burying->context, &failure);
    if (burying->verb == KVPBUS_DEAD_LIST && burying->listed == 0 && !burying->context->json)
        puts("there are no dead letters");
    return KVPBUS_EXIT_OK;
}

int kvpbus_command_dead(const struct kvpbus_command_context *context, int argc, char **argv)
{
    static const struct option options[] = {
        {"peer", required_argument, NULL, 'p'},
        {"topic", required_argument, NULL, 't'},
        {"all", no_argument, NULL, 'a'},
        {"out", required_argument, NULL, 'o'},
        {NULL, 0, NULL, 0},
    };
    struct burying burying = {.context = context,
                              .output = {.json = context->json, .bare = true, .exact = true}};
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option == 'p')
            burying.query.peer = optarg;
        else if (option == 't')
            burying.query.pattern = optarg;
        else if (option == 'a')
            burying.query.all = true;
        else if (option == 'o')
            burying.output.directory = optarg;
        else
            return kvpbus_command_bad_option(context, argv, option);
    }
    const char *fault = parse_words(&burying, argc - optind, argv + optind);
    if (fault != NULL)
        return kvpbus_command_usage(context, fault);
    if (!message_output_begin(&burying.output))
        return KVPBUS_EXIT_FAILED;
    return run(&burying);
}
