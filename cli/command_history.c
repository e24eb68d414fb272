// SPDX-License-Identifier: Apache-2.0
//
// What can be done with a message later, by its id: withdraw and show.
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "moment.h"

enum { ANSWER_WITHIN = 30000 };

// --- withdraw ---

static int say_withdrawn(const struct kvpbus_command_context *context, const char *id,
                         const struct kvpbus_client_event *event)
{
    bool known = event->kind == KVPBUS_CLIENT_OUTCOME;
    bool withdrawn = !known || event->outcome == KVPBUS_OUTCOME_EXPIRED;
    const char *outcome = known ? kvpbus_outcome_name(event->outcome) : "pending";
    if (context->json) {
        json_t *value =
            json_pack("{s:s, s:s, s:s}", "id", id, "outcome", outcome, "reason", event->reason);
        json_dumpf(value, stdout, 0);
        putchar('\n');
        json_decref(value);
    } else if (!known) {
        printf("being withdrawn %s\n", id);
    } else {
        printf("%s %s\n", withdrawn ? "withdrawn" : outcome, id);
    }
    if (withdrawn)
        return KVPBUS_EXIT_OK;
    fprintf(stderr, "kvpbus: it is too late: the message is %s\n", outcome);
    return KVPBUS_EXIT_NOT_DELIVERED;
}

int kvpbus_command_withdraw(const struct kvpbus_command_context *context, int argc, char **argv)
{
    static const struct option options[] = {{"wait", no_argument, NULL, 'w'}, {NULL, 0, NULL, 0}};
    struct kvpbus_client *client = NULL;
    struct kvpbus_client_event event;
    struct kvpbus_failure failure = {0};
    bool wait = false;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option != 'w')
            return kvpbus_command_bad_option(context, argv, option);
        wait = true;
    }
    if (argc - optind != 1)
        return kvpbus_command_usage(context, "name the message by its id, as 'send' printed it");
    enum kvpbus_error error = kvpbus_client_open(context->socket, &client, &failure);
    if (error == KVPBUS_OK)
        error = kvpbus_client_withdraw(client, argv[optind], wait, &failure);
    if (error == KVPBUS_OK)
        error = kvpbus_client_finish(client, wait ? -1 : ANSWER_WITHIN, &event, &failure);
    int code = error == KVPBUS_OK ? say_withdrawn(context, argv[optind], &event)
                                  : kvpbus_command_failed(context, &failure);
    if (error == KVPBUS_EXISTS) // what became of it is known already
        code = KVPBUS_EXIT_NOT_DELIVERED;
    kvpbus_client_close(client);
    return code;
}

// --- show ---

static json_t *to_json(const struct kvpbus_record *record)
{
    json_t *value =
        json_pack("{s:b, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "sent", (int)record->sent, "peer",
                  record->peer, "id", record->id, "topic", record->topic, "stream", record->stream,
                  "class", kvpbus_class_name(record->class_), "size", (json_int_t)record->size,
                  "queued_ms", (json_int_t)record->queued_ms);
    json_t *more =
        record->sent
            ? json_pack("{s:s, s:s, s:I, s:b, s:I}", "outcome",
                        kvpbus_outcome_name(record->outcome), "reason", record->reason,
                        "settled_ms", (json_int_t)record->settled_ms, "receipt",
                        (int)record->receipt, "consumed_ms", (json_int_t)record->consumed_ms)
            : json_pack("{s:s, s:i}", "place", record->place, "tries", (int)record->tries);
    json_object_update(value, more);
    json_decref(more);
    return value;
}

static void print(const struct kvpbus_record *record)
{
    char queued[MOMENT_TEXT], settled[MOMENT_TEXT], consumed[MOMENT_TEXT];
    moment_text(record->queued_ms, queued);
    moment_text(record->settled_ms, settled);
    moment_text(record->consumed_ms, consumed);
    printf("%s %s\n", record->sent ? "sent to" : "received from", record->peer);
    if (record->topic[0] != '\0')
        printf("  topic:    %s\n", record->topic);
    if (record->stream[0] != '\0')
        printf("  stream:   %s\n", record->stream);
    printf("  class:    %s\n  size:     %llu bytes\n", kvpbus_class_name(record->class_),
           (unsigned long long)record->size);
    if (record->queued_ms != 0)
        printf("  queued:   %s\n", queued);
    if (!record->sent) {
        printf("  place:    %s", record->place);
        if (record->tries > 0)
            printf(", after %u %s", record->tries, record->tries == 1 ? "try" : "tries");
        putchar('\n');
        return;
    }
    printf("  outcome:  %s%s%s%s%s\n", kvpbus_outcome_name(record->outcome),
           record->settled_ms != 0 ? " " : "", record->settled_ms != 0 ? settled : "",
           record->reason[0] != '\0' ? ": " : "", record->reason);
    if (record->receipt)
        printf("  consumed: %s\n", record->consumed_ms != 0 ? consumed : "not yet");
}

int kvpbus_command_show(const struct kvpbus_command_context *context, int argc, char **argv)
{
    struct kvpbus_client *client = NULL;
    struct kvpbus_client_event event;
    struct kvpbus_failure failure = {0};
    if (argc != 2)
        return kvpbus_command_usage(context, "name the message by its id, as 'send' printed it");
    json_t *list = json_array();
    enum kvpbus_error error = kvpbus_client_open(context->socket, &client, &failure);
    if (error == KVPBUS_OK)
        error = kvpbus_client_show(client, argv[1], &failure);
    while (error == KVPBUS_OK) {
        error = kvpbus_client_next(client, ANSWER_WITHIN, &event, &failure);
        if (error != KVPBUS_OK || event.kind != KVPBUS_CLIENT_RECORD)
            break;
        if (context->json)
            json_array_append_new(list, to_json(event.record));
        else
            print(event.record);
    }
    kvpbus_client_close(client);
    if (error == KVPBUS_OK && context->json) {
        json_dumpf(list, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(list);
    return error == KVPBUS_OK ? KVPBUS_EXIT_OK : kvpbus_command_failed(context, &failure);
}
