// SPDX-License-Identifier: Apache-2.0
//
// audit verify: goes through the chain of the running service, or of an exported file, and says the
// first entry that does not fit.
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit_text.h"
#include "command.h"
#include "file.h"
#include "kvpbus/identity.h"

typedef Kvpbus__Control__AuditRequest AuditRequest;
typedef Kvpbus__Control__AuditEntries AuditEntries;
typedef Kvpbus__Control__Response Response;

enum {
    LINE_MAX_BYTES = 16384, // no line of an export is nearly as long
};

struct verify {
    struct kvpbus_audit_walk walk;
    enum kvpbus_audit_fault fault;
    uint64_t at;                     // where it does not fit
    struct kvpbus_audit_mark newest; // mark that fits; number 0: none
    struct kvpbus_audit_mark kept;   // --head: number and hash; number 0: none
    bool kept_met;
    uint8_t identity[KVPBUS_AUDIT_KEY]; // that signs now
};

static void fails(struct verify *verify, enum kvpbus_audit_fault fault, uint64_t at)
{
    if (verify->fault != KVPBUS_AUDIT_FITS || fault == KVPBUS_AUDIT_FITS)
        return;
    verify->fault = fault;
    verify->at = fault == KVPBUS_AUDIT_FOREIGN_KEY ? verify->walk.signed_to : at;
}

static void check_mark(struct verify *verify, const struct kvpbus_audit_mark *mark)
{
    fails(verify, kvpbus_audit_walk_mark(&verify->walk, mark), mark->number);
    if (verify->fault == KVPBUS_AUDIT_FITS)
        verify->newest = *mark;
}

static void check_kept(struct verify *verify)
{
    if (verify->kept.number == 0 || verify->kept.number != verify->walk.number)
        return;
    verify->kept_met = true;
    if (memcmp(verify->kept.hash, verify->walk.hash, sizeof verify->kept.hash) != 0)
        fails(verify, KVPBUS_AUDIT_OTHER_HASH, verify->walk.number);
}

static void begin(struct verify *verify, const uint8_t identity[KVPBUS_AUDIT_KEY],
                  const struct kvpbus_audit_mark *base)
{
    memcpy(verify->identity, identity, sizeof verify->identity);
    kvpbus_audit_walk_begin(&verify->walk, identity);
    kvpbus_audit_walk_base(&verify->walk, base->number, base->hash);
    if (base->number > 0)
        check_mark(verify, base);
    check_kept(verify);
}

static void check_entry(struct verify *verify, const struct kvpbus_audit_entry *entry)
{
    if (verify->fault != KVPBUS_AUDIT_FITS)
        return;
    fails(verify, kvpbus_audit_walk_entry(&verify->walk, entry), verify->walk.number + 1);
    if (verify->fault == KVPBUS_AUDIT_FITS)
        check_kept(verify);
}

static void end(struct verify *verify)
{
    fails(verify, kvpbus_audit_walk_end(&verify->walk), verify->walk.begins + 1);
    if (verify->kept.number > verify->walk.number)
        fails(verify, KVPBUS_AUDIT_SHORT, verify->walk.number + 1);
}

// --- what is said ---

static const char *fault_text(enum kvpbus_audit_fault fault)
{
    switch (fault) {
    case KVPBUS_AUDIT_FITS:
        return "it fits";
    case KVPBUS_AUDIT_MISSING:
        return "it is missing, or is not the next one: entries were taken out, put in or moved";
    case KVPBUS_AUDIT_CHANGED:
        return "it was changed, or does not follow the one before it";
    case KVPBUS_AUDIT_BAD_SIGNATURE:
        return "its signature does not verify";
    case KVPBUS_AUDIT_FOREIGN_KEY:
        return "it is signed with a key that is not this side's";
    case KVPBUS_AUDIT_OTHER_HASH:
        return "it is not the one that was signed or kept: the entries were written anew";
    case KVPBUS_AUDIT_SHORT:
        break;
    }
    return "entries are gone at this end, and nothing in the audit tells of it";
}

static int report(const struct kvpbus_command_context *context, const struct verify *verify)
{
    char head[2 * KVPBUS_AUDIT_HASH + 1], fingerprint[KVPBUS_FINGERPRINT_TEXT], time_text[32];
    const struct kvpbus_audit_walk *walk = &verify->walk;
    bool fits = verify->fault == KVPBUS_AUDIT_FITS;
    bool too_old = fits && verify->kept.number > 0 && !verify->kept_met;
    sodium_bin2hex(head, sizeof head, walk->hash, sizeof walk->hash);
    kvpbus_fingerprint(verify->identity, fingerprint);
    kvpbus_audit_time(verify->newest.time_ms, time_text);
    if (context->json) {
        json_t *value =
            json_pack("{s:b, s:I, s:I, s:I, s:s, s:s}", "fits", (int)fits, "first",
                      (json_int_t)(walk->begins + 1), "last", (json_int_t)walk->number, "signed",
                      (json_int_t)verify->newest.number, "hash", head, "fingerprint", fingerprint);
        if (!fits) {
            json_object_set_new(value, "fault_at", json_integer((json_int_t)verify->at));
            json_object_set_new(value, "fault", json_string(fault_text(verify->fault)));
        }
        json_dumpf(value, stdout, JSON_INDENT(2));
        json_decref(value);
        putchar('\n');
    } else if (fits) {
        printf("the audit fits: entries %" PRIu64 " to %" PRIu64, walk->begins + 1, walk->number);
        if (verify->newest.number > 0)
            printf(", signed up to %" PRIu64 " at %s by %s", verify->newest.number, time_text,
                   fingerprint);
        printf("\nkeep this for --head, at another place: %" PRIu64 ":%s\n", walk->number, head);
    } else {
        fprintf(stderr, "kvpbus: the audit does not fit at entry %" PRIu64 ": %s\n", verify->at,
                fault_text(verify->fault));
    }
    if (too_old)
        fprintf(stderr, "kvpbus: the head to compare with is older than what is kept\n");
    return fits && !too_old ? KVPBUS_EXIT_OK : KVPBUS_EXIT_FAILED;
}

// --- of the service ---

static enum kvpbus_error check_page(struct verify *verify, const AuditEntries *page,
                                    struct kvpbus_failure *failure)
{
    size_t marks = 0;
    for (size_t i = 0; i < page->n_entries && verify->fault == KVPBUS_AUDIT_FITS; i++) {
        struct kvpbus_audit_entry entry;
        struct kvpbus_audit_mark mark;
        if (!kvpbus_audit_take_entry(page->entries[i], &entry))
            return kvpbus_fail(failure, KVPBUS_PROTOCOL, "the service sent what is no entry");
        check_entry(verify, &entry);
        for (; marks < page->n_marks && page->marks[marks]->number <= entry.number; marks++) {
            if (!kvpbus_audit_take_mark(page->marks[marks], &mark))
                return kvpbus_fail(failure, KVPBUS_PROTOCOL, "the service sent what is no mark");
            if (verify->fault == KVPBUS_AUDIT_FITS && mark.number == entry.number)
                check_mark(verify, &mark);
        }
    }
    return KVPBUS_OK;
}

static enum kvpbus_error verify_service(struct kvpbus_client *client, struct verify *verify,
                                        struct kvpbus_failure *failure)
{
    AuditRequest request = KVPBUS__CONTROL__AUDIT_REQUEST__INIT;
    request.sign = true;
    uint64_t last = 0;
    do {
        Response *response;
        enum kvpbus_error error = kvpbus_audit_ask(client, &request, &response, failure);
        if (error != KVPBUS_OK)
            return error;
        const AuditEntries *page = response->audit_entries;
        struct kvpbus_audit_mark base;
        if (!kvpbus_audit_take_mark(page->begin, &base))
            error = kvpbus_fail(failure, KVPBUS_PROTOCOL, "the service sent what is no mark");
        if (error == KVPBUS_OK && request.sign) {
            begin(verify, page->identity.data, &base);
            last = page->head;
        }
        if (error == KVPBUS_OK)
            error = check_page(verify, page, failure);
        request.after = page->next;
        request.sign = false;
        kvpbus__control__response__free_unpacked(response, NULL);
        if (error != KVPBUS_OK)
            return error;
    } while (request.after < last && verify->fault == KVPBUS_AUDIT_FITS);
    if (verify->walk.number < last)
        fails(verify, KVPBUS_AUDIT_MISSING, verify->walk.number + 1);
    end(verify);
    return KVPBUS_OK;
}

// --- of a file ---

static bool is_key(const char *key, const uint8_t identity[KVPBUS_AUDIT_KEY])
{
    uint8_t bytes[KVPBUS_AUDIT_KEY];
    size_t length;
    if (sodium_hex2bin(bytes, sizeof bytes, key, strlen(key), NULL, &length, NULL) == 0 &&
        length == sizeof bytes)
        return memcmp(bytes, identity, sizeof bytes) == 0;
    return kvpbus_fingerprint_matches(identity, key);
}

static enum kvpbus_error bad_line(const char *path, size_t line, struct kvpbus_failure *failure)
{
    return kvpbus_fail(failure, KVPBUS_BAD_PACKET,
                       "%.120s, line %zu: this is no line of an exported audit", path, line);
}

// The last line has the mark, whose key is asked for before anything is believed.
static enum kvpbus_error find_end(FILE *file, const char *path, struct kvpbus_audit_mark *mark,
                                  struct kvpbus_failure *failure)
{
    char text[LINE_MAX_BYTES] = "";
    while (fgets(text, sizeof text, file) != NULL)
        ;
    json_t *last = json_loads(text, 0, NULL);
    bool found = kvpbus_audit_mark_parse(json_object_get(last, "mark"), mark);
    json_decref(last);
    rewind(file);
    return found ? KVPBUS_OK
                 : kvpbus_fail(failure, KVPBUS_BAD_PACKET,
                               "%.120s does not end with a signature: it was cut off, or is no "
                               "exported audit",
                               path);
}

static enum kvpbus_error check_line(struct verify *verify, const struct kvpbus_audit_mark *mark,
                                    const json_t *value, const char *path, size_t line,
                                    struct kvpbus_failure *failure)
{
    struct kvpbus_audit_entry entry;
    struct kvpbus_audit_mark base;
    if (line == 1) {
        if (!kvpbus_audit_mark_parse(json_object_get(value, "base"), &base))
            return bad_line(path, line, failure);
        begin(verify, mark->identity, &base);
    } else if (json_object_get(value, "mark") == NULL) {
        if (!kvpbus_audit_entry_parse(value, &entry))
            return bad_line(path, line, failure);
        check_entry(verify, &entry);
    } else if (verify->fault == KVPBUS_AUDIT_FITS) {
        if (mark->number < verify->walk.number)
            fails(verify, KVPBUS_AUDIT_SHORT, mark->number + 1);
        else
            check_mark(verify, mark);
    }
    return KVPBUS_OK;
}

static enum kvpbus_error verify_file(FILE *file, const char *path, const char *key,
                                     struct verify *verify, struct kvpbus_failure *failure)
{
    struct kvpbus_audit_mark mark;
    char text[LINE_MAX_BYTES];
    size_t line = 0;
    enum kvpbus_error error = find_end(file, path, &mark, failure);
    if (error == KVPBUS_OK && key != NULL && !is_key(key, mark.identity))
        error = kvpbus_fail(failure, KVPBUS_BAD_KEY, "%.120s is signed with another key than that",
                            path);
    while (error == KVPBUS_OK && fgets(text, sizeof text, file) != NULL) {
        json_t *value = json_loads(text, 0, NULL);
        line++;
        error = json_is_object(value) ? check_line(verify, &mark, value, path, line, failure)
                                      : bad_line(path, line, failure);
        json_decref(value);
    }
    if (error == KVPBUS_OK && line > 0)
        end(verify);
    return error;
}

// --- the command ---

static bool parse_head(const char *text, struct kvpbus_audit_mark *kept)
{
    char *rest;
    size_t length;
    errno = 0;
    kept->number = strtoull(text, &rest, 10);
    return errno == 0 && rest != text && *rest == ':' && kept->number > 0 && text[0] != '-' &&
           sodium_hex2bin(kept->hash, sizeof kept->hash, rest + 1, strlen(rest + 1), NULL, &length,
                          NULL) == 0 &&
           length == sizeof kept->hash;
}

static int run_verify(const struct kvpbus_command_context *context, const char *path,
                      const char *key, struct verify *verify)
{
    struct kvpbus_failure failure = {0};
    struct kvpbus_client *client = NULL;
    FILE *file = NULL;
    enum kvpbus_error error = KVPBUS_OK;
    if (path == NULL) {
        error = kvpbus_client_open(context->socket, &client, &failure);
        if (error == KVPBUS_OK)
            error = verify_service(client, verify, &failure);
        kvpbus_client_close(client);
    } else if ((file = kvpbus_file_stream(path, "r")) == NULL) {
        error = kvpbus_fail(&failure, KVPBUS_IO, "%.120s: %s", path,
                            kvpbus_system_text(kvpbus_system_code()));
    } else {
        error = verify_file(file, path, key, verify, &failure);
        fclose(file);
    }
    if (error != KVPBUS_OK)
        return kvpbus_command_failed(context, &failure);
    int code = report(context, verify);
    if (code == KVPBUS_EXIT_OK && path != NULL && key == NULL && !context->json)
        puts("compare the fingerprint with 'kvpbus identity' on the machine it is from, or give "
             "--key");
    return code;
}

int kvpbus_command_audit_verify(const struct kvpbus_command_context *context, int argc, char **argv)
{
    static const struct option options[] = {
        {"key", required_argument, NULL, 'k'},
        {"head", required_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static struct verify verify;
    const char *key = NULL;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option == 'k')
            key = optarg;
        else if (option != 'h')
            return kvpbus_command_bad_option(context, argv, option);
        else if (!parse_head(optarg, &verify.kept))
            return kvpbus_command_usage(context, "--head takes NUMBER:HASH as verify prints it");
    }
    if (argc - optind > 1)
        return kvpbus_command_usage(context, "there are words too many");
    if (key != NULL && optind == argc)
        return kvpbus_command_usage(context, "--key is for a file; the service has its own key");
    if (sodium_init() < 0)
        return KVPBUS_EXIT_FAILED;
    return run_verify(context, argv[optind], key, &verify);
}
