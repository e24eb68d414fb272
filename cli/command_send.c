// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "config.h"
#include "frame.h"
#include "kvpbus/message.h"

enum { BODY_MAX = 1 << 30, BAR = 30 };

struct sending {
    Kvpbus__Control__SendRequest request;
    uint8_t *body;
    size_t length;
};

// --- the body ---

static bool read_all(FILE *file, struct sending *sending)
{
    size_t capacity = 0;
    for (;;) {
        if (sending->length == capacity) {
            capacity = capacity == 0 ? 65536 : capacity * 2;
            uint8_t *grown = capacity > BODY_MAX ? NULL : realloc(sending->body, capacity);
            if (grown == NULL) {
                errno = EFBIG;
                return false;
            }
            sending->body = grown;
        }
        size_t got = fread(sending->body + sending->length, 1, capacity - sending->length, file);
        sending->length += got;
        if (got == 0)
            return ferror(file) == 0;
    }
}

static int read_body(const char *text, const char *path, struct sending *sending)
{
    if (text != NULL) {
        sending->length = strlen(text);
        sending->body = malloc(sending->length + 1);
        if (sending->body == NULL)
            return KVPBUS_EXIT_FAILED;
        memcpy(sending->body, text, sending->length);
        return KVPBUS_EXIT_OK;
    }
    bool from_stdin = strcmp(path, "-") == 0;
    FILE *file = from_stdin ? stdin : fopen(path, "rb");
    bool read = file != NULL && read_all(file, sending);
    if (!read)
        fprintf(stderr, "kvpbus: cannot read %s: %s\n", from_stdin ? "standard input" : path,
                strerror(errno));
    if (file != NULL && !from_stdin)
        fclose(file);
    return read ? KVPBUS_EXIT_OK : KVPBUS_EXIT_FAILED;
}

static enum kvpbus_error send_body(struct kvpbus_client *client, const struct sending *sending,
                                   struct kvpbus_failure *failure)
{
    Kvpbus__Control__Request request = KVPBUS__CONTROL__REQUEST__INIT;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_SEND;
    request.send = (Kvpbus__Control__SendRequest *)&sending->request;
    enum kvpbus_error error = kvpbus_control_write(client, &request, failure);
    for (size_t at = 0; error == KVPBUS_OK && at < sending->length; at += KVPBUS_FRAME_CHUNK) {
        size_t left = sending->length - at;
        Kvpbus__Control__Chunk chunk = KVPBUS__CONTROL__CHUNK__INIT;
        chunk.data.data = sending->body + at;
        chunk.data.len = left < KVPBUS_FRAME_CHUNK ? left : KVPBUS_FRAME_CHUNK;
        request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_CHUNK;
        request.chunk = &chunk;
        error = kvpbus_control_write(client, &request, failure);
    }
    return error;
}

// --- what comes back ---

static void show_progress(const Kvpbus__Control__Progress *progress)
{
    if (!isatty(STDERR_FILENO) || progress->total == 0)
        return;
    unsigned filled = (unsigned)(progress->acknowledged * BAR / progress->total);
    char bar[BAR + 1];
    memset(bar, ' ', BAR);
    memset(bar, '#', filled);
    bar[BAR] = '\0';
    fprintf(stderr, "\r[%s] %3u%%  %llu of %llu KiB ", bar,
            (unsigned)(progress->acknowledged * 100 / progress->total),
            (unsigned long long)(progress->acknowledged / 1024),
            (unsigned long long)(progress->total / 1024));
}

static void clear_progress(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static void say(const struct kvpbus_command_context *context, const char *id, const char *outcome)
{
    if (context->json) {
        json_t *value = json_pack("{s:s, s:s}", "id", id, "outcome", outcome);
        json_dumpf(value, stdout, 0);
        putchar('\n');
        json_decref(value);
    } else {
        printf("%s %s\n", outcome, id);
    }
}

static int say_outcome(const struct kvpbus_command_context *context,
                       const Kvpbus__Control__Outcome *outcome)
{
    clear_progress();
    say(context, outcome->id, outcome->outcome);
    if (strcmp(outcome->outcome, "delivered") == 0)
        return KVPBUS_EXIT_OK;
    fprintf(stderr, "kvpbus: the message was not delivered: %s\n",
            outcome->reason[0] != '\0' ? outcome->reason : outcome->outcome);
    return KVPBUS_EXIT_NOT_DELIVERED;
}

static int wait_for_outcome(const struct kvpbus_command_context *context,
                            struct kvpbus_client *client, bool wait)
{
    struct kvpbus_failure failure = {0};
    for (;;) {
        Kvpbus__Control__Response *response;
        if (kvpbus_control_read(client, -1, &response, &failure) != KVPBUS_OK) {
            clear_progress();
            return kvpbus_command_failed(context, &failure);
        }
        int code = -1;
        switch (response->kind_case) {
        case KVPBUS__CONTROL__RESPONSE__KIND_QUEUED:
            if (!wait) {
                say(context, response->queued->id, "queued");
                code = KVPBUS_EXIT_OK;
            }
            break;
        case KVPBUS__CONTROL__RESPONSE__KIND_PROGRESS:
            show_progress(response->progress);
            break;
        case KVPBUS__CONTROL__RESPONSE__KIND_OUTCOME:
            code = say_outcome(context, response->outcome);
            break;
        default:
            failure.code = KVPBUS_PROTOCOL;
            code = kvpbus_command_failed(context, &failure);
        }
        kvpbus__control__response__free_unpacked(response, NULL);
        if (code >= 0)
            return code;
    }
}

// --- the command ---

static int parse(const struct kvpbus_command_context *context, int argc, char **argv,
                 struct sending *sending)
{
    static const struct option options[] = {
        {"text", required_argument, NULL, 't'},
        {"file", required_argument, NULL, 'f'},
        {"stream", required_argument, NULL, 's'},
        {"class", required_argument, NULL, 'c'},
        {"ttl", required_argument, NULL, 'l'},
        {"wait", required_argument, NULL, 'w'},
        {NULL, 0, NULL, 0},
    };
    const char *text = NULL, *path = NULL;
    enum kvpbus_class class_ = KVPBUS_CLASS_NORMAL;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        switch (option) {
        case 't':
            text = optarg;
            break;
        case 'f':
            path = optarg;
            break;
        case 's':
            sending->request.stream = optarg;
            break;
        case 'c':
            if (!kvpbus_class_parse(optarg, &class_))
                return kvpbus_command_usage(context, "a class is control, normal or bulk");
            break;
        case 'l':
            if (!kvpbus_parse_duration(optarg, &sending->request.ttl_ms) ||
                sending->request.ttl_ms == 0)
                return kvpbus_command_usage(context, "a lifetime is like 500ms, 10s, 5m, 2h or 1d");
            break;
        case 'w':
            if (strcmp(optarg, "queued") != 0 && strcmp(optarg, "delivered") != 0)
                return kvpbus_command_usage(context, "one can wait for queued or delivered");
            sending->request.wait = strcmp(optarg, "delivered") == 0;
            break;
        default:
            return kvpbus_command_bad_option(context, argv, option);
        }
    }
    if (argc - optind == 3 && strcmp(argv[optind + 2], "-") == 0 && path == NULL) {
        path = "-";
        argc--;
    }
    if (argc - optind != 2)
        return kvpbus_command_usage(context, "name the peer and the topic");
    if ((text != NULL) == (path != NULL))
        return kvpbus_command_usage(context, "give the body once: --text, --file or -");
    sending->request.peer = argv[optind];
    sending->request.topic = argv[optind + 1];
    sending->request.class_ = (uint32_t)class_;
    int code = read_body(text, path, sending);
    sending->request.body_length = sending->length;
    return code;
}

int kvpbus_command_send(const struct kvpbus_command_context *context, int argc, char **argv)
{
    struct sending sending = {.request = KVPBUS__CONTROL__SEND_REQUEST__INIT};
    struct kvpbus_client *client = NULL;
    struct kvpbus_failure failure = {0};
    int code = parse(context, argc, argv, &sending);
    if (code == KVPBUS_EXIT_OK) {
        if (kvpbus_client_open(context->socket, &client, &failure) != KVPBUS_OK ||
            send_body(client, &sending, &failure) != KVPBUS_OK)
            code = kvpbus_command_failed(context, &failure);
        else
            code = wait_for_outcome(context, client, sending.request.wait > 0);
    }
    kvpbus_client_close(client);
    free(sending.body);
    return code;
}
