// SPDX-License-Identifier: Apache-2.0
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "config.h"
#include "file.h"
#include "guarded_file.h"
#include "moment.h"
#include "token.h"
#include "words.h"

typedef Kvpbus__Control__Token Token;

enum { TTL_DEFAULT = 24 * 60 * 60 * 1000, FILE_MAX = 4096 };

struct enrolment {
    const char *out;        // NULL: standard output
    const char *token_file; // in a guest
    uint64_t ttl_ms;
    bool replace;
};

// --- on the host ---

// Before the token is asked for: one that cannot be written would be wasted.
static int create(const char *path)
{
    int file = kvpbus_file_create(path);
    if (file < 0)
        fprintf(stderr, "kvpbus: cannot create %s: %s\n", path,
                kvpbus_system_text(kvpbus_system_code()));
    return file;
}

static bool write_token(int file, const char *path, const char *text)
{
    char line[KVPBUS_TOKEN_TEXT + 1];
    int length = snprintf(line, sizeof line, "%s\n", text);
    bool written =
        length > 0 && write(file, line, (unsigned)length) == length && kvpbus_file_sync(file);
    sodium_memzero(line, sizeof line);
    if (!written)
        fprintf(stderr, "kvpbus: cannot write %s: %s\n", path,
                kvpbus_system_text(kvpbus_system_code()));
    return written;
}

static void print_json(const Token *token, const char *out)
{
    json_t *value = json_pack("{s:s, s:s, s:s, s:I, s:s}", "peer", token->peer, "guid", token->guid,
                              "id", token->id, "ends_ms", (json_int_t)token->ends_ms,
                              out != NULL ? "file" : "token", out != NULL ? out : token->token);
    json_dumpf(value, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(value);
}

// On standard error, so that standard output is the token alone.
static void explain(const Token *token, const char *out)
{
    char ends[MOMENT_TEXT];
    moment_text((int64_t)token->ends_ms, ends);
    fprintf(stderr,
            "%s%sThe token pairs %s, once, until %s. It is a secret: put it into the VM "
            "as %s.\n",
            out != NULL ? out : "", out != NULL ? " is written. " : "", token->peer, ends,
            KVPBUS_WORD_TOKEN_PLACE);
}

static int make(const struct kvpbus_command_context *context, const struct enrolment *enrolment,
                const char *vm, int file)
{
    Kvpbus__Control__Request request = KVPBUS__CONTROL__REQUEST__INIT;
    Kvpbus__Control__EnrollRequest enroll = KVPBUS__CONTROL__ENROLL_REQUEST__INIT;
    Kvpbus__Control__Response *response;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_ENROLL;
    request.enroll = &enroll;
    enroll.peer = (char *)vm;
    enroll.ttl_ms = enrolment->ttl_ms;
    enroll.replace = enrolment->replace;
    int code = kvpbus_command_ask(context, &request, &response);
    if (code != KVPBUS_EXIT_OK)
        return code;
    if (response->kind_case != KVPBUS__CONTROL__RESPONSE__KIND_TOKEN) {
        struct kvpbus_failure failure = {.code = KVPBUS_PROTOCOL};
        code = kvpbus_command_failed(context, &failure);
    } else if (file >= 0 && !write_token(file, enrolment->out, response->token->token)) {
        code = KVPBUS_EXIT_FAILED;
    } else if (context->json) {
        print_json(response->token, enrolment->out);
    } else {
        if (file < 0)
            puts(response->token->token);
        if (file >= 0 || isatty(STDOUT_FILENO))
            explain(response->token, enrolment->out);
    }
    kvpbus__control__response__free_unpacked(response, NULL);
    return code;
}

static int make_one(const struct kvpbus_command_context *context, const struct enrolment *enrolment,
                    const char *vm)
{
    int file = -1;
    if (enrolment->out != NULL && (file = create(enrolment->out)) < 0)
        return KVPBUS_EXIT_FAILED;
    int code = make(context, enrolment, vm, file);
    if (file >= 0)
        close(file);
    if (file >= 0 && code != KVPBUS_EXIT_OK)
        kvpbus_file_remove(enrolment->out);
    return code;
}

// --- in a guest ---

static enum kvpbus_error read_input(char **text, size_t *length, struct kvpbus_failure *failure)
{
    *text = calloc(1, FILE_MAX + 1);
    if (*text == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    *length = fread(*text, 1, FILE_MAX, stdin);
    return KVPBUS_OK;
}

static int take(const struct kvpbus_command_context *context, const char *path)
{
    struct kvpbus_failure failure = {0};
    struct kvpbus_token token;
    struct kvpbus_file_id id;
    char *text;
    size_t length;
    bool input = strcmp(path, "-") == 0;
    enum kvpbus_error error =
        input ? read_input(&text, &length, &failure)
              : kvpbus_guarded_read(path, true, FILE_MAX, &text, &length, &id, &failure);
    if (error != KVPBUS_OK)
        return kvpbus_command_failed(context, &failure);
    // What is no token does not leave this process.
    error = kvpbus_token_read(text, length, &token, &failure);
    sodium_memzero(&token, sizeof token);
    int code = error != KVPBUS_OK ? kvpbus_command_failed(context, &failure) : KVPBUS_EXIT_OK;
    Kvpbus__Control__Request request = KVPBUS__CONTROL__REQUEST__INIT;
    Kvpbus__Control__EnrollRequest enroll = KVPBUS__CONTROL__ENROLL_REQUEST__INIT;
    Kvpbus__Control__Response *response;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_ENROLL;
    request.enroll = &enroll;
    enroll.token = text;
    if (code == KVPBUS_EXIT_OK)
        code = kvpbus_command_ask(context, &request, &response);
    kvpbus_guarded_free(text, length);
    if (code != KVPBUS_EXIT_OK)
        return code;
    kvpbus__control__response__free_unpacked(response, NULL);
    if (!input && kvpbus_guarded_remove(path, &id, &failure) != KVPBUS_OK)
        fprintf(stderr, "kvpbus: the token was taken; remove it yourself: %s\n", failure.detail);
    if (context->json)
        puts("{}");
    else
        puts("host is paired; it pairs this VM as soon as it has seen the token's proof ('kvpbus "
             "status' tells)");
    return KVPBUS_EXIT_OK;
}

int kvpbus_command_enroll(const struct kvpbus_command_context *context, int argc, char **argv)
{
    static const struct option options[] = {{"ttl", required_argument, NULL, 't'},
                                            {"out", required_argument, NULL, 'o'},
                                            {"replace", no_argument, NULL, 'r'},
                                            {"token-file", required_argument, NULL, 'f'},
                                            {NULL, 0, NULL, 0}};
    struct enrolment enrolment = {.ttl_ms = TTL_DEFAULT};
    bool of_host = false;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        of_host |= option != 'f';
        if (option == 'o')
            enrolment.out = optarg;
        else if (option == 'r')
            enrolment.replace = true;
        else if (option == 'f')
            enrolment.token_file = optarg;
        else if (option != 't')
            return kvpbus_command_bad_option(context, argv, option);
        else if (!kvpbus_parse_duration(optarg, &enrolment.ttl_ms))
            return kvpbus_command_usage(context, "a duration is as 10m, 2h, 7d");
    }
    if (enrolment.token_file != NULL) {
        if (of_host || optind < argc)
            return kvpbus_command_usage(
                context, "with --token-file nothing else is given: it is for the VM");
        return take(context, enrolment.token_file);
    }
    if (argc - optind != 1)
        return kvpbus_command_usage(context, "name one VM, or in a VM the --token-file");
    return make_one(context, &enrolment, argv[optind]);
}
