// SPDX-License-Identifier: Apache-2.0
//
// audit list and export; verify is in command_audit_verify.c.
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit_text.h"
#include "command.h"
#include "config.h"
#include "file.h"
#include "moment.h"
#include "program.h"

enum {
    FOLLOW_EVERY = 500, // ms
    FOLLOW_FIRST = 10,  // entries that --follow begins with
};

typedef Kvpbus__Control__AuditRequest AuditRequest;
typedef Kvpbus__Control__AuditEntries AuditEntries;
typedef Kvpbus__Control__Response Response;

// --- list ---

static bool parse_since(const char *text, int64_t *since_ms)
{
    uint64_t ago;
    if (!kvpbus_parse_duration(text, &ago) || ago >= INT64_MAX / 2)
        return moment_parse(text, since_ms);
    int64_t now = (int64_t)time(NULL) * 1000;
    *since_ms = (int64_t)ago < now ? now - (int64_t)ago : 0;
    return true;
}

static void say_kind(const char *word, const char *text)
{
    fprintf(stderr, "  %-14s %s\n", word, text);
}

static int parse_kind(const struct kvpbus_command_context *context, const char *word,
                      AuditRequest *request)
{
    uint16_t kind;
    if (kvpbus_audit_word_parse(word, &kind)) {
        request->kind = kind;
        return KVPBUS_EXIT_OK;
    }
    char fault[96];
    snprintf(fault, sizeof fault, "there is no kind '%.40s'; those there are stand below", word);
    int code = kvpbus_command_usage(context, fault);
    kvpbus_audit_each(say_kind);
    return code;
}

static void print_entry(const struct kvpbus_command_context *context,
                        const struct kvpbus_audit_entry *entry, const char *name)
{
    char time_text[32], spare[16];
    if (context->json) {
        json_t *value = kvpbus_audit_entry_json(entry, name);
        json_dumpf(value, stdout, JSON_COMPACT);
        json_decref(value);
        putchar('\n');
        return;
    }
    kvpbus_audit_time(entry->time_ms, time_text);
    printf("%6" PRIu64 "  %s  %-13s  %-12s  %s\n", entry->number, time_text,
           kvpbus_audit_word(entry->kind, spare), name[0] != '\0' ? name : "-", entry->detail);
}

static enum kvpbus_error print_page(const struct kvpbus_command_context *context,
                                    const AuditEntries *page, struct kvpbus_failure *failure)
{
    for (size_t i = 0; i < page->n_entries; i++) {
        struct kvpbus_audit_entry entry;
        if (!kvpbus_audit_take_entry(page->entries[i], &entry))
            return kvpbus_fail(failure, KVPBUS_PROTOCOL, "the service sent what is no entry");
        print_entry(context, &entry, page->entries[i]->name);
    }
    return KVPBUS_OK;
}

static enum kvpbus_error latest(struct kvpbus_client *client, AuditRequest *request,
                                struct kvpbus_failure *failure)
{
    Response *response;
    AuditRequest end = KVPBUS__CONTROL__AUDIT_REQUEST__INIT;
    end.after = INT64_MAX;
    enum kvpbus_error error = kvpbus_audit_ask(client, &end, &response, failure);
    if (error != KVPBUS_OK)
        return error;
    uint64_t head = response->audit_entries->head;
    request->after = head > FOLLOW_FIRST ? head - FOLLOW_FIRST : 0;
    kvpbus__control__response__free_unpacked(response, NULL);
    return KVPBUS_OK;
}

static enum kvpbus_error list(const struct kvpbus_command_context *context,
                              struct kvpbus_client *client, AuditRequest *request, bool follow,
                              struct kvpbus_failure *failure)
{
    enum kvpbus_error error = KVPBUS_OK;
    if (follow && request->since_ms == 0)
        error = latest(client, request, failure);
    for (bool more = true; error == KVPBUS_OK && more;) {
        Response *response;
        error = kvpbus_audit_ask(client, request, &response, failure);
        if (error != KVPBUS_OK)
            return error;
        const AuditEntries *page = response->audit_entries;
        error = print_page(context, page, failure);
        bool end = page->next >= page->head;
        request->after = page->next;
        kvpbus__control__response__free_unpacked(response, NULL);
        if (fflush(stdout) != 0)
            return kvpbus_fail(failure, KVPBUS_IO, "cannot write the output");
        more = !end || follow;
        if (end && follow)
            kvpbus_program_pause(FOLLOW_EVERY);
    }
    return error;
}

static int command_list(const struct kvpbus_command_context *context, int argc, char **argv)
{
    static const struct option options[] = {{"since", required_argument, NULL, 's'},
                                            {"peer", required_argument, NULL, 'p'},
                                            {"kind", required_argument, NULL, 'k'},
                                            {"follow", no_argument, NULL, 'f'},
                                            {NULL, 0, NULL, 0}};
    AuditRequest request = KVPBUS__CONTROL__AUDIT_REQUEST__INIT;
    bool follow = false;
    int code = KVPBUS_EXIT_OK;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option == 's' && !parse_since(optarg, &request.since_ms))
            return kvpbus_command_usage(
                context, "--since takes 1h, 2d, or a time as 2026-01-31 or 2026-01-31T12:00:00Z");
        if (option == 'k' && (code = parse_kind(context, optarg, &request)) != KVPBUS_EXIT_OK)
            return code;
        if (option == 'p')
            request.peer = optarg;
        if (option == 'f')
            follow = true;
        if (strchr("spkf", option) == NULL)
            return kvpbus_command_bad_option(context, argv, option);
    }
    if (optind < argc)
        return kvpbus_command_usage(context, "there are words too many");
    struct kvpbus_client *client = NULL;
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error = kvpbus_client_open(context->socket, &client, &failure);
    if (error == KVPBUS_OK)
        error = list(context, client, &request, follow, &failure);
    kvpbus_client_close(client);
    return error == KVPBUS_OK ? KVPBUS_EXIT_OK : kvpbus_command_failed(context, &failure);
}

// --- export ---

struct export
{
    FILE *file;
    struct kvpbus_audit_mark end;
    uint64_t last;
};

static bool put(FILE *file, json_t *value)
{
    bool done =
        value != NULL && json_dumpf(value, file, JSON_COMPACT) == 0 && fputc('\n', file) != EOF;
    json_decref(value);
    return done;
}

static enum kvpbus_error cannot_write(struct kvpbus_failure *failure)
{
    return kvpbus_fail(failure, KVPBUS_IO, "cannot write the file; is the disk full?");
}

static enum kvpbus_error export_begin(struct export *export, const AuditEntries *page,
                                      struct kvpbus_failure *failure)
{
    struct kvpbus_audit_mark base;
    if (page->newest == NULL || !kvpbus_audit_take_mark(page->newest, &export->end) ||
        !kvpbus_audit_take_mark(page->begin, &base))
        return kvpbus_fail(failure, KVPBUS_PROTOCOL, "the service sent what is no signature");
    export->last = base.number;
    return put(export->file,
               json_pack("{s:i, s:o}", "kvpbus_audit", 1, "base", kvpbus_audit_mark_json(&base)))
               ? KVPBUS_OK
               : cannot_write(failure);
}

static enum kvpbus_error export_page(struct export *export, const AuditEntries *page,
                                     struct kvpbus_failure *failure)
{
    for (size_t i = 0; i < page->n_entries && export->last < export->end.number; i++) {
        struct kvpbus_audit_entry entry;
        if (!kvpbus_audit_take_entry(page->entries[i], &entry))
            return kvpbus_fail(failure, KVPBUS_PROTOCOL, "the service sent what is no entry");
        if (!put(export->file, kvpbus_audit_entry_json(&entry, NULL)))
            return cannot_write(failure);
        export->last = entry.number;
    }
    return KVPBUS_OK;
}

static enum kvpbus_error export_all(struct kvpbus_client *client, struct export *export,
                                    struct kvpbus_failure *failure)
{
    AuditRequest request = KVPBUS__CONTROL__AUDIT_REQUEST__INIT;
    request.sign = true;
    do {
        Response *response;
        enum kvpbus_error error = kvpbus_audit_ask(client, &request, &response, failure);
        if (error != KVPBUS_OK)
            return error;
        const AuditEntries *page = response->audit_entries;
        if (request.sign)
            error = export_begin(export, page, failure);
        if (error == KVPBUS_OK)
            error = export_page(export, page, failure);
        request.after = page->next;
        request.sign = false;
        kvpbus__control__response__free_unpacked(response, NULL);
        if (error != KVPBUS_OK)
            return error;
        if (isatty(STDERR_FILENO))
            fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " ", export->last, export->end.number);
    } while (request.after < export->end.number);
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    return put(export->file, json_pack("{s:o}", "mark", kvpbus_audit_mark_json(&export->end)))
               ? KVPBUS_OK
               : cannot_write(failure);
}

static int command_export(const struct kvpbus_command_context *context, int argc, char **argv)
{
    if (argc != 2 || argv[1][0] == '-')
        return kvpbus_command_usage(context, "name one file to export to");
    struct kvpbus_client *client = NULL;
    struct kvpbus_failure failure = {0};
    struct export export = {.file = NULL};
    enum kvpbus_error error = kvpbus_client_open(context->socket, &client, &failure);
    if (error == KVPBUS_OK && (export.file = kvpbus_file_stream(argv[1], "wx")) == NULL)
        error = kvpbus_fail(&failure, KVPBUS_IO, "%.120s cannot be made; is it there already?",
                            argv[1]);
    if (error == KVPBUS_OK)
        error = export_all(client, &export, &failure);
    if (export.file != NULL && fclose(export.file) != 0 && error == KVPBUS_OK)
        error = cannot_write(&failure);
    kvpbus_client_close(client);
    if (error != KVPBUS_OK) {
        if (export.file != NULL)
            kvpbus_file_remove(argv[1]);
        return kvpbus_command_failed(context, &failure);
    }
    if (context->json)
        put(stdout, json_pack("{s:s, s:I}", "file", argv[1], "last", (json_int_t) export.last));
    else
        printf("%s has the audit up to entry %" PRIu64 ", signed\n", argv[1], export.last);
    return KVPBUS_EXIT_OK;
}

int kvpbus_command_audit(const struct kvpbus_command_context *context, int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "list") == 0)
        return command_list(context, argc - 1, argv + 1);
    if (strcmp(verb, "verify") == 0)
        return kvpbus_command_audit_verify(context, argc - 1, argv + 1);
    if (strcmp(verb, "export") == 0)
        return command_export(context, argc - 1, argv + 1);
    return kvpbus_command_usage(context, "say list, verify or export");
}
