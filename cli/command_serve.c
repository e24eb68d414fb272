// SPDX-License-Identifier: Apache-2.0
//
// serve: answers requests of a topic with a program, until Ctrl-C or SIGTERM. What is being served
// then is finished; a second signal ends it, and it comes again.
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "serve.h"
#include "serve_stop.h"
#include "topic_match.h"

enum { TIMEOUT = 60000 };

struct worker {
    const struct serve *serve;
    struct kvpbus_client *client;
    pthread_t thread;
    int code;
};

static atomic_uint running; // workers

static void *work(void *argument)
{
    struct worker *worker = argument;
    worker->code = serve_work(worker->serve, worker->client);
    atomic_fetch_sub(&running, 1);
    serve_stop_look();
    return NULL;
}

static unsigned count_running(void)
{
    return atomic_load(&running);
}

static int start(struct worker *worker, const struct serve *serve)
{
    struct kvpbus_failure failure = {0};
    *worker = (struct worker){.serve = serve, .code = KVPBUS_EXIT_OK};
    if (kvpbus_client_open(serve->context->socket, &worker->client, &failure) != KVPBUS_OK)
        return kvpbus_command_failed(serve->context, &failure);
    atomic_fetch_add(&running, 1);
    if (pthread_create(&worker->thread, NULL, work, worker) == 0)
        return KVPBUS_EXIT_OK;
    atomic_fetch_sub(&running, 1);
    kvpbus_client_close(worker->client);
    fputs("kvpbus: cannot start a thread\n", stderr);
    return KVPBUS_EXIT_FAILED;
}

static int run(struct serve *serve)
{
    struct worker workers[SERVE_PARALLEL_MAX];
    uint64_t started = 0;
    int code = KVPBUS_EXIT_OK;
    if (!serve_stop_begin(&serve->stop, &serve->abort))
        return KVPBUS_EXIT_FAILED;
    while (started < serve->parallel && code == KVPBUS_EXIT_OK) {
        code = start(&workers[started], serve);
        started += code == KVPBUS_EXIT_OK;
    }
    if (code != KVPBUS_EXIT_OK)
        serve_stop_now();
    else
        fprintf(stderr, "kvpbus: serving %s; Ctrl-C ends it\n", serve->topic);
    serve_stop_wait(count_running);
    for (uint64_t i = 0; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
        if (code == KVPBUS_EXIT_OK)
            code = workers[i].code;
    }
    return code;
}

// --- the command ---

static const char *take_option(struct serve *serve, int option, const char *value)
{
    switch (option) {
    case 'p':
        serve->peer = value;
        return NULL;
    case 'w':
        if (!kvpbus_parse_duration(value, &serve->timeout_ms) || serve->timeout_ms == 0 ||
            serve->timeout_ms > INT32_MAX)
            return "a timeout is like 500ms, 10s, 5m or 2h";
        return NULL;
    case 'n':
        if (!kvpbus_parse_size(value, &serve->parallel) || serve->parallel == 0 ||
            serve->parallel > SERVE_PARALLEL_MAX)
            return "from 1 to 32 can run in parallel";
        return NULL;
    default:
        if (!kvpbus_parse_size(value, &serve->reply_max) || serve->reply_max == 0 ||
            serve->reply_max > KVPBUS_CLIENT_BODY_MAX)
            return "a size is like 500k or 16M, at most 1024M";
        return NULL;
    }
}

int kvpbus_command_serve(const struct kvpbus_command_context *context, int argc, char **argv)
{
    static const struct option options[] = {
        {"peer", required_argument, NULL, 'p'},
        {"timeout", required_argument, NULL, 'w'},
        {"parallel", required_argument, NULL, 'n'},
        {"max-reply", required_argument, NULL, 'm'},
        {NULL, 0, NULL, 0},
    };
    struct serve serve = {.context = context,
                          .timeout_ms = TIMEOUT,
                          .reply_max = KVPBUS_MESSAGE_DEFAULT_MAX,
                          .parallel = 1};
    int own = argc;
    for (int i = 1; i < argc && own == argc; i++)
        if (strcmp(argv[i], "--") == 0)
            own = i;
    if (own + 1 >= argc)
        return kvpbus_command_usage(context, "name the program behind --");
    // The program's words are none of ours.
    for (int option; (option = getopt_long(own, argv, ":", options, NULL)) != -1;) {
        if (option == '?' || option == ':')
            return kvpbus_command_bad_option(context, argv, option);
        const char *fault = take_option(&serve, option, optarg);
        if (fault != NULL)
            return kvpbus_command_usage(context, fault);
    }
    if (own - optind != 1)
        return kvpbus_command_usage(context, "name one topic before --");
    serve.topic = argv[optind];
    if (!kvpbus_pattern_valid(serve.topic))
        return kvpbus_command_usage(context, KVPBUS_PATTERN_RULES);
    serve.argv = argv + own + 1;
    return run(&serve);
}
