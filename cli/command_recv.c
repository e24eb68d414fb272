// SPDX-License-Identifier: Apache-2.0
//
// recv: takes messages out of the inbox and acknowledges each when it has been written out.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "config.h"

enum { LEASE_MS = 5 * 60 * 1000 };

struct receiving {
    const char *topic, *out;
    uint64_t count;     // 0: no limit
    int64_t timeout_ms; // -1: none; of the wait for each message
    bool follow;
};

struct received {
    Kvpbus__Control__Response *head; // with the delivery
    uint8_t *body;
    size_t length;
};

// --- writing out ---
// The file appears whole under its name or not at all.
static bool write_file(const char *directory, const struct received *message)
{
    char path[1024], fresh[1100];
    const char *id = message->head->delivery->id;
    snprintf(path, sizeof path, "%s/%s", directory, id);
    snprintf(fresh, sizeof fresh, "%s.part", path);
    int file = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0)
        return false;
    size_t written = 0;
    while (written < message->length) {
        ssize_t got = write(file, message->body + written, message->length - written);
        if (got < 0 && errno != EINTR)
            break;
        written += got > 0 ? (size_t)got : 0;
    }
    bool whole = written == message->length && fsync(file) == 0;
    whole &= close(file) == 0;
    return whole && rename(fresh, path) == 0;
}

static bool write_json(const struct received *message, const char *directory)
{
    const Kvpbus__Control__Delivery *delivery = message->head->delivery;
    json_t *value =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:i}", "peer", delivery->peer, "id",
                  delivery->id, "topic", delivery->topic, "stream", delivery->stream, "class",
                  delivery->class_, "created_ms", (json_int_t)delivery->created_ms, "length",
                  (json_int_t)message->length, "try", (int)delivery->try_);
    if (directory != NULL) {
        json_object_set_new(value, "file", json_string(delivery->id));
    } else {
        // NULL when it is not UTF-8.
        json_t *text = json_stringn((const char *)message->body, message->length);
        if (text != NULL) {
            json_object_set_new(value, "text", text);
        } else {
            size_t size =
                sodium_base64_ENCODED_LEN(message->length, sodium_base64_VARIANT_ORIGINAL);
            char *encoded = malloc(size);
            if (encoded != NULL) {
                sodium_bin2base64(encoded, size, message->body, message->length,
                                  sodium_base64_VARIANT_ORIGINAL);
                json_object_set_new(value, "base64", json_string(encoded));
            }
            free(encoded);
        }
    }
    bool written = json_dumpf(value, stdout, 0) == 0 && putchar('\n') != EOF;
    json_decref(value);
    return written;
}

static bool write_out(const struct kvpbus_command_context *context,
                      const struct receiving *receiving, const struct received *message)
{
    const Kvpbus__Control__Delivery *delivery = message->head->delivery;
    if (receiving->out != NULL && !write_file(receiving->out, message)) {
        fprintf(stderr, "kvpbus: cannot write into %s: %s; the message stays in the inbox\n",
                receiving->out, strerror(errno));
        return false;
    }
    bool written = true;
    if (context->json)
        written = write_json(message, receiving->out);
    else if (receiving->out != NULL)
        written = printf("%s  %s  %zu bytes  %s\n", delivery->peer, delivery->topic,
                         message->length, delivery->id) > 0;
    else if (isatty(STDOUT_FILENO))
        written = printf("%s  %s  ", delivery->peer, delivery->topic) > 0;
    if (!context->json && receiving->out == NULL) {
        written &= fwrite(message->body, 1, message->length, stdout) == message->length;
        if (message->length == 0 || message->body[message->length - 1] != '\n')
            written &= putchar('\n') != EOF;
    }
    if (!written || fflush(stdout) != 0) {
        fprintf(stderr, "kvpbus: cannot write the output: %s; the message stays in the inbox\n",
                strerror(errno));
        return false;
    }
    return true;
}

// --- taking ---

static enum kvpbus_error take_body(struct kvpbus_client *client, struct received *message,
                                   struct kvpbus_failure *failure)
{
    size_t total = (size_t)message->head->delivery->body_length;
    message->body = malloc(total + 1);
    if (message->body == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    while (message->length < total) {
        Kvpbus__Control__Response *response;
        enum kvpbus_error error = kvpbus_control_read(client, 60000, &response, failure);
        if (error != KVPBUS_OK)
            return error;
        bool fits = response->kind_case == KVPBUS__CONTROL__RESPONSE__KIND_CHUNK &&
                    response->chunk->data.len <= total - message->length;
        if (fits) {
            memcpy(message->body + message->length, response->chunk->data.data,
                   response->chunk->data.len);
            message->length += response->chunk->data.len;
        }
        kvpbus__control__response__free_unpacked(response, NULL);
        if (!fits)
            return kvpbus_fail(failure, KVPBUS_PROTOCOL, "the service broke its protocol");
    }
    return KVPBUS_OK;
}

static enum kvpbus_error take(struct kvpbus_client *client, const struct receiving *receiving,
                              int64_t timeout_ms, struct received *message,
                              struct kvpbus_failure *failure)
{
    Kvpbus__Control__Request request = KVPBUS__CONTROL__REQUEST__INIT;
    Kvpbus__Control__ReceiveRequest receive = KVPBUS__CONTROL__RECEIVE_REQUEST__INIT;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_RECEIVE;
    request.receive = &receive;
    if (receiving->topic != NULL)
        receive.pattern = (char *)receiving->topic;
    receive.lease_ms = LEASE_MS;
    enum kvpbus_error error = kvpbus_control_write(client, &request, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_control_read(client, timeout_ms, &message->head, failure);
    if (error != KVPBUS_OK)
        return error;
    if (message->head->kind_case != KVPBUS__CONTROL__RESPONSE__KIND_DELIVERY)
        return kvpbus_fail(failure, KVPBUS_PROTOCOL, "the service broke its protocol");
    return take_body(client, message, failure);
}

static enum kvpbus_error acknowledge(struct kvpbus_client *client, int64_t lease,
                                     struct kvpbus_failure *failure)
{
    Kvpbus__Control__Request request = KVPBUS__CONTROL__REQUEST__INIT;
    Kvpbus__Control__AckRequest ack = KVPBUS__CONTROL__ACK_REQUEST__INIT;
    Kvpbus__Control__Response *response;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_ACK;
    request.ack = &ack;
    ack.lease = lease;
    enum kvpbus_error error = kvpbus_control_write(client, &request, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_control_read(client, 60000, &response, failure);
    if (error == KVPBUS_OK)
        kvpbus__control__response__free_unpacked(response, NULL);
    return error;
}

static void forget(struct received *message)
{
    if (message->head != NULL)
        kvpbus__control__response__free_unpacked(message->head, NULL);
    free(message->body);
    *message = (struct received){0};
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
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
        struct received message = {0};
        int64_t left = deadline < 0 ? -1 : deadline - now_ms();
        enum kvpbus_error error =
            take(client, receiving, deadline >= 0 && left < 0 ? 0 : left, &message, &failure);
        bool written = error == KVPBUS_OK && write_out(context, receiving, &message);
        if (written)
            error = acknowledge(client, message.head->delivery->lease, &failure);
        forget(&message);
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

int kvpbus_command_recv(const struct kvpbus_command_context *context, int argc, char **argv)
{
    static const struct option options[] = {
        {"topic", required_argument, NULL, 't'},   {"count", required_argument, NULL, 'n'},
        {"timeout", required_argument, NULL, 'w'}, {"follow", no_argument, NULL, 'f'},
        {"out", required_argument, NULL, 'o'},     {NULL, 0, NULL, 0},
    };
    struct receiving receiving = {.timeout_ms = -1};
    uint64_t timeout;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        switch (option) {
        case 't':
            receiving.topic = optarg;
            break;
        case 'n':
            if (!kvpbus_parse_size(optarg, &receiving.count) || receiving.count == 0)
                return kvpbus_command_usage(context, "a count is a number from 1");
            break;
        case 'w':
            if (!kvpbus_parse_duration(optarg, &timeout) || timeout > INT32_MAX)
                return kvpbus_command_usage(context, "a timeout is like 500ms, 10s, 5m or 2h");
            receiving.timeout_ms = (int64_t)timeout;
            break;
        case 'f':
            receiving.follow = true;
            break;
        case 'o':
            receiving.out = optarg;
            break;
        default:
            return kvpbus_command_bad_option(context, argv, option);
        }
    }
    if (optind < argc)
        return kvpbus_command_usage(context, "there are words too many");
    if (receiving.count == 0 && !receiving.follow)
        receiving.count = 1;
    if (receiving.out != NULL && mkdir(receiving.out, 0700) != 0 && errno != EEXIST) {
        fprintf(stderr, "kvpbus: cannot create %s: %s\n", receiving.out, strerror(errno));
        return KVPBUS_EXIT_FAILED;
    }
    return run(context, &receiving);
}
