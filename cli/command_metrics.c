// SPDX-License-Identifier: Apache-2.0
//
// metrics: the figures of the service and its peers, as Prometheus gets them.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

enum { ANSWER_WITHIN = 30000, VALUE_MAX = 1024 };

// name="value",… up to the closing brace; false when it is something else.
static bool read_labels(const char **at, json_t *labels)
{
    while (**at != '}') {
        char name[64], value[VALUE_MAX];
        size_t length = strcspn(*at, "=");
        if (length >= sizeof name || (*at)[length] != '=' || (*at)[length + 1] != '"')
            return false;
        snprintf(name, sizeof name, "%.*s", (int)length, *at);
        *at += length + 2;
        length = 0;
        for (; **at != '"'; ++*at) {
            if (**at == '\\')
                ++*at;
            if (**at == '\0' || length + 1 == sizeof value)
                return false;
            value[length++] = **at;
        }
        value[length] = '\0';
        json_object_set_new(labels, name, json_string(value));
        if (*++*at == ',')
            ++*at;
    }
    ++*at;
    return true;
}

// One line of the text: a sample, or a comment, which is left out.
static bool add_sample(json_t *samples, const char *line)
{
    size_t length = strcspn(line, "{ ");
    if (line[0] == '#')
        return true;
    json_t *labels = json_object(), *sample = NULL;
    const char *at = line + length;
    bool good = *at != '\0';
    if (good && *at == '{') {
        at++;
        good = read_labels(&at, labels);
    }
    if (good)
        sample = json_pack("{s:s#, s:O, s:f}", "name", line, (int)length, "labels", labels, "value",
                           strtod(at, NULL));
    json_decref(labels);
    return sample != NULL && json_array_append_new(samples, sample) == 0;
}

static bool add_samples(json_t *samples, char *text)
{
    for (char *line = text, *next; line != NULL; line = next) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        if (line[0] != '\0' && !add_sample(samples, line))
            return false;
    }
    return true;
}

static enum kvpbus_error take(struct kvpbus_client *client, json_t *samples,
                              struct kvpbus_failure *failure)
{
    bool more = true;
    while (more) {
        Kvpbus__Control__Response *response;
        enum kvpbus_error error = kvpbus_control_read(client, ANSWER_WITHIN, &response, failure);
        if (error != KVPBUS_OK)
            return error;
        bool good = response->kind_case == KVPBUS__CONTROL__RESPONSE__KIND_TEXT;
        if (good && samples != NULL)
            good = add_samples(samples, response->text->text);
        else if (good)
            fputs(response->text->text, stdout);
        more = good && response->text->more;
        kvpbus__control__response__free_unpacked(response, NULL);
        if (!good)
            return kvpbus_fail(failure, KVPBUS_PROTOCOL, "the answer is not what was asked for");
    }
    return KVPBUS_OK;
}

int kvpbus_command_metrics(const struct kvpbus_command_context *context, int argc, char **argv)
{
    Kvpbus__Control__Request request = KVPBUS__CONTROL__REQUEST__INIT;
    Kvpbus__Control__MetricsRequest metrics = KVPBUS__CONTROL__METRICS_REQUEST__INIT;
    struct kvpbus_client *client = NULL;
    struct kvpbus_failure failure = {0};
    json_t *samples = context->json ? json_array() : NULL;
    (void)argv;
    if (argc > 1) {
        json_decref(samples);
        return kvpbus_command_usage(context, "there are words too many");
    }
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_METRICS;
    request.metrics = &metrics;
    enum kvpbus_error error = kvpbus_client_open(context->socket, &client, &failure);
    if (error == KVPBUS_OK)
        error = kvpbus_control_write(client, &request, &failure);
    if (error == KVPBUS_OK)
        error = take(client, samples, &failure);
    if (error == KVPBUS_OK && samples != NULL) {
        json_dumpf(samples, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(samples);
    kvpbus_client_close(client);
    return error == KVPBUS_OK ? KVPBUS_EXIT_OK : kvpbus_command_failed(context, &failure);
}
