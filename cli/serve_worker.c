// SPDX-License-Identifier: Apache-2.0
//
// A worker of serve: receives a request, runs the program, sends the reply, acknowledges. The
// request is acknowledged last, so that one that was cut off comes again.
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "serve.h"
#include "serve_program.h"
#include "serve_stop.h"

enum {
    LEASE = 60000, // ms, extended while the program runs
    EXTEND_EVERY = 20000,
    ANSWER_WITHIN = 30000,
    AWAY = 1000,        // ms between looks for a service that went away
    AGAIN_AFTER = 5000, // ms until a request whose reply was refused is run again
    STATUS_TIMED_OUT = 124,
    STATUS_NOT_STARTED = 127, // as a shell has them
    VARIABLES = 4,
};

struct work {
    const struct serve *serve;
    struct kvpbus_client *client;
    struct kvpbus_failure failure;
    int64_t lease;
    enum kvpbus_error said; // of a service that is away
};

static bool stopping(const struct serve *serve)
{
    return serve_is_set(serve->stop, KVPBUS_NO_NOTICE, 0);
}

// --- the program's surroundings ---

struct surroundings {
    char text[VARIABLES][512];
    char **list; // NULL: no memory
};

static void surround(struct surroundings *with, const struct serve *serve,
                     const struct kvpbus_incoming *request)
{
    const char *variables[VARIABLES + 1] = {with->text[0], with->text[1], with->text[2]};
    snprintf(with->text[0], sizeof with->text[0], "KVPBUS_PEER=%s", request->peer);
    snprintf(with->text[1], sizeof with->text[1], "KVPBUS_TOPIC=%s", request->topic);
    snprintf(with->text[2], sizeof with->text[2], "KVPBUS_ID=%s", request->id);
    // So that the program can use kvpbus itself.
    if (serve->context->socket != NULL) {
        snprintf(with->text[3], sizeof with->text[3], "KVPBUS_SOCKET=%s", serve->context->socket);
        variables[3] = with->text[3];
    }
    with->list = serve_environment(variables);
}

// --- one request ---

static bool finish(struct work *work, enum kvpbus_error begun)
{
    return begun == KVPBUS_OK &&
           kvpbus_client_finish(work->client, ANSWER_WITHIN, NULL, &work->failure) == KVPBUS_OK;
}

// The lease is lost when it ended all the same: then the program's work is nobody's.
static bool extend(void *context)
{
    struct work *work = context;
    return finish(work, kvpbus_client_extend(work->client, work->lease, LEASE, &work->failure));
}

// Whoever was unpaired since it asked gets nothing done; that the service does not say so now is no
// reason to give the request up.
static enum kvpbus_error look_at_sender(struct work *work, const char *peer, bool *paired)
{
    Kvpbus__Control__Peers *peers;
    *paired = false;
    if (peer[0] == '\0') // it was unpaired, and is gone from this host
        return KVPBUS_OK;
    enum kvpbus_error error =
        kvpbus_control_peers(work->client, peer, 1, ANSWER_WITHIN, &peers, &work->failure);
    if (error != KVPBUS_OK)
        return error;
    *paired = peers->peers[0]->paired;
    kvpbus__control__peers__free_unpacked(peers, NULL);
    return KVPBUS_OK;
}

static void refuse(struct work *work, const char *why, bool dead)
{
    finish(work, kvpbus_client_nack(work->client, work->lease, dead ? 0 : AGAIN_AFTER, why, dead,
                                    &work->failure));
}

static void run(struct work *work, const struct kvpbus_incoming *request,
                struct serve_result *result)
{
    struct surroundings with = {.list = NULL};
    surround(&with, work->serve, request);
    if (with.list == NULL) {
        *result = (struct serve_result){.end = SERVE_ABORTED}; // no memory: it comes again
        return;
    }
    struct serve_program program = {
        .argv = work->serve->argv,
        .environment = with.list,
        .input = request->body,
        .input_length = request->body_length,
        .output_max = (size_t)work->serve->reply_max,
        .timeout_ms = work->serve->timeout_ms,
        .stop = work->serve->abort,
        .tick = extend,
        .context = work,
        .tick_ms = EXTEND_EVERY,
    };
    serve_program_run(&program, result);
    serve_environment_free(with.list);
}

// What the asker is told of a run.
static int32_t describe(const struct serve *serve, const struct serve_result *result, char *text,
                        size_t size)
{
    text[0] = '\0';
    switch (result->end) {
    case SERVE_NOT_STARTED:
        snprintf(text, size, "kvpbus serve: cannot start %s: %s\n", serve->argv[0],
                 kvpbus_system_text(result->status));
        return STATUS_NOT_STARTED;
    case SERVE_TIMED_OUT:
        snprintf(text, size, "kvpbus serve: %s took longer than %" PRIu64 " ms\n", serve->argv[0],
                 serve->timeout_ms);
        return STATUS_TIMED_OUT;
    case SERVE_TOO_LARGE:
        snprintf(text, size, "kvpbus serve: the reply is larger than %" PRIu64 " bytes\n",
                 serve->reply_max);
        return KVPBUS_EXIT_FAILED;
    default:
        return result->status;
    }
}

static void say(const struct serve *serve, const struct kvpbus_incoming *request, int32_t status,
                size_t length, const char *text)
{
    if (serve->context->json) {
        json_t *value =
            json_pack("{s:s, s:s, s:s, s:i, s:I}", "peer", request->peer, "topic", request->topic,
                      "id", request->id, "status", (int)status, "length", (json_int_t)length);
        char *line = json_dumps(value, 0);
        json_decref(value);
        if (line != NULL)
            puts(line);
        free(line);
    } else {
        printf("%s  %s  %s  status %d, %zu bytes\n", request->peer, request->topic, request->id,
               status, length);
    }
    fflush(stdout);
    if (text[0] != '\0')
        fputs(text, stderr);
}

static bool reply(struct work *work, const struct kvpbus_incoming *request,
                  const struct serve_result *result)
{
    struct kvpbus_outgoing message;
    char text[512];
    int32_t status = describe(work->serve, result, text, sizeof text);
    bool told = text[0] != '\0';
    kvpbus_outgoing_init(&message, request->peer, request->topic,
                         told ? (const uint8_t *)text : result->output,
                         told ? strlen(text) : result->length);
    message.kind = KVPBUS_KIND_LAST_REPLY;
    message.reply_to = request->id;
    message.status = status;
    message.stream = request->stream;
    message.class_ = request->class_;
    message.ttl_ms = request->ttl_ms;
    bool sent = finish(work, kvpbus_client_send(work->client, &message, &work->failure));
    if (sent)
        say(work->serve, request, status, message.body_length, text);
    return sent;
}

// The service's word that something is not possible, as against one that is away, or has too many
// clients for now.
static bool refused(const struct work *work)
{
    return work->failure.code != KVPBUS_CLOSED && work->failure.code != KVPBUS_PROTOCOL &&
           work->failure.code != KVPBUS_TIMEOUT && work->failure.code != KVPBUS_BUSY;
}

// Room is made with time, and a name that is not known or not the only one is another one when the
// request is given out again; nothing else changes.
static bool may_change(enum kvpbus_error error)
{
    return error == KVPBUS_QUOTA || error == KVPBUS_JOURNAL_FULL || error == KVPBUS_VM_UNKNOWN ||
           error == KVPBUS_VM_AMBIGUOUS;
}

static void serve_one(struct work *work, const struct kvpbus_incoming *request)
{
    struct serve_result result;
    char why[sizeof work->failure.detail];
    bool paired = false;
    work->lease = request->lease;
    if (look_at_sender(work, request->peer, &paired) != KVPBUS_OK) {
        strcpy(why, work->failure.detail);
        refuse(work, why, false);
        return;
    }
    if (!paired) {
        refuse(work, "its sender is no longer paired", true);
        return;
    }
    run(work, request, &result);
    if (result.end == SERVE_ABORTED) {
        refuse(work, "the program was stopped", false);
    } else if (reply(work, request, &result)) {
        finish(work, kvpbus_client_ack(work->client, work->lease, &work->failure));
    } else if (refused(work)) {
        strcpy(why, work->failure.detail);
        fprintf(stderr, "kvpbus: the reply to %s was refused: %s\n", request->id, why);
        refuse(work, why, !may_change(work->failure.code));
    }
    free(result.output);
}

// --- the worker ---

// KVPBUS_TIMEOUT: it is to stop.
static enum kvpbus_error take(struct work *work, struct kvpbus_client_event *event)
{
    struct kvpbus_receiving which = {
        .pattern = work->serve->topic,
        .peer = work->serve->peer,
        .kinds = 1u << KVPBUS_KIND_REQUEST,
        .lease_ms = LEASE,
    };
    enum kvpbus_error error = kvpbus_client_receive(work->client, &which, &work->failure);
    while (error == KVPBUS_OK) {
        error = kvpbus_client_next(work->client, 0, event, &work->failure);
        if (error != KVPBUS_TIMEOUT)
            return error;
        if (serve_is_set(work->serve->stop, kvpbus_client_fd(work->client), -1))
            return KVPBUS_TIMEOUT;
        error = KVPBUS_OK;
    }
    return error;
}

static bool reconnect(struct work *work)
{
    if (work->failure.code != work->said)
        fprintf(stderr, "kvpbus: %s; it is looked for again\n", work->failure.detail);
    work->said = work->failure.code;
    while (kvpbus_client_reconnect(work->client, &work->failure) != KVPBUS_OK)
        if (serve_is_set(work->serve->stop, KVPBUS_NO_NOTICE, AWAY))
            return false;
    return true;
}

int serve_work(const struct serve *serve, struct kvpbus_client *client)
{
    struct work work = {.serve = serve, .client = client};
    struct kvpbus_client_event event;
    int code = KVPBUS_EXIT_OK;
    while (code == KVPBUS_EXIT_OK && !stopping(serve)) {
        enum kvpbus_error error = take(&work, &event);
        if (error == KVPBUS_TIMEOUT)
            break;
        if (error == KVPBUS_OK)
            work.said = KVPBUS_OK;
        if (error == KVPBUS_OK && event.kind == KVPBUS_CLIENT_MESSAGE)
            serve_one(&work, event.message);
        else if (error != KVPBUS_OK && refused(&work))
            code = kvpbus_command_failed(serve->context, &work.failure);
        else if (error != KVPBUS_OK && !serve_is_set(serve->stop, KVPBUS_NO_NOTICE, AWAY) &&
                 !reconnect(&work))
            break;
    }
    kvpbus_client_close(client);
    return code;
}
