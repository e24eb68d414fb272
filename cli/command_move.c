// SPDX-License-Identifier: Apache-2.0
//
// export: a VM goes to another host; import: it comes there.
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "file.h"
#include "frame.h"
#include "kvpbus/identity.h"
#include "kvpbus/management.h"
#include "parcel.h"

enum { ANSWER_WITHIN = 120 * 1000 }; // ms

typedef Kvpbus__Control__Request Request;
typedef Kvpbus__Control__Response Response;

static enum kvpbus_error failed(const char *path, struct kvpbus_failure *failure)
{
    int number = kvpbus_system_code();
    return kvpbus_fail(failure, kvpbus_system_error(number), "%.180s: %s", path,
                       kvpbus_system_text(number));
}

static int say(const struct kvpbus_command_context *context, const char *name, const char *value,
               const char *text)
{
    if (!context->json) {
        puts(text);
        return KVPBUS_EXIT_OK;
    }
    json_t *said = json_pack("{s:s}", name, value);
    json_dumpf(said, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(said);
    return KVPBUS_EXIT_OK;
}

// --- export ---

static enum kvpbus_error write_bytes(int file, const char *path, const ProtobufCBinaryData *data,
                                     struct kvpbus_failure *failure)
{
    for (size_t at = 0; at < data->len;) {
        ssize_t written = write(file, data->data + at, (unsigned)(data->len - at));
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return failed(path, failure);
        at += (size_t)written;
    }
    return KVPBUS_OK;
}

static enum kvpbus_error take(struct kvpbus_client *client, int file, const char *path,
                              struct kvpbus_failure *failure)
{
    uint64_t size = 0, came = 0;
    bool done = false;
    while (!done) {
        Response *response = NULL;
        enum kvpbus_error error = kvpbus_control_read(client, ANSWER_WITHIN, &response, failure);
        if (error != KVPBUS_OK)
            return error;
        if (response->kind_case == KVPBUS__CONTROL__RESPONSE__KIND_EXPORTED) {
            size = response->exported->size;
        } else if (response->kind_case == KVPBUS__CONTROL__RESPONSE__KIND_CHUNK) {
            error = write_bytes(file, path, &response->chunk->data, failure);
            came += response->chunk->data.len;
        } else if (response->kind_case == KVPBUS__CONTROL__RESPONSE__KIND_DONE) {
            done = true;
        } else {
            error = kvpbus_fail(failure, KVPBUS_PROTOCOL, "the answer is not what was asked for");
        }
        kvpbus__control__response__free_unpacked(response, NULL);
        if (error != KVPBUS_OK)
            return error;
    }
    if (size == 0 || came != size)
        return kvpbus_fail(failure, KVPBUS_PROTOCOL, "the service sent a part of the file only");
    return kvpbus_file_sync(file) ? KVPBUS_OK : failed(path, failure);
}

static enum kvpbus_error export_to(const struct kvpbus_command_context *context,
                                   const Request *request, const char *path,
                                   struct kvpbus_failure *failure)
{
    struct kvpbus_client *client = NULL;
    int file = kvpbus_file_create(path);
    if (file < 0) {
        int number = kvpbus_system_code();
        return kvpbus_fail(failure, kvpbus_system_error(number),
                           "cannot make %.120s: %s; name a file that is not there yet", path,
                           kvpbus_system_text(number));
    }
    enum kvpbus_error error = kvpbus_client_open(context->socket, &client, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_control_write(client, request, failure);
    if (error == KVPBUS_OK)
        error = take(client, file, path, failure);
    kvpbus_client_close(client);
    if (close(file) != 0 && error == KVPBUS_OK)
        error = failed(path, failure);
    if (error != KVPBUS_OK)
        kvpbus_file_remove(path);
    return error;
}

static int undo(const struct kvpbus_command_context *context, const Request *request)
{
    Response *response;
    char text[KVPBUS_PEER_NAME_MAX + 64];
    int code = kvpbus_command_ask(context, request, &response);
    if (code != KVPBUS_EXIT_OK)
        return code;
    kvpbus__control__response__free_unpacked(response, NULL);
    snprintf(text, sizeof text, "%s is served by this host again", request->export->peer);
    return say(context, "peer", request->export->peer, text);
}

int kvpbus_command_export(const struct kvpbus_command_context *context, int argc, char **argv)
{
    static const struct option options[] = {{"for", required_argument, NULL, 'f'},
                                            {"undo", no_argument, NULL, 'u'},
                                            {NULL, 0, NULL, 0}};
    struct kvpbus_failure failure = {0};
    Request request = KVPBUS__CONTROL__REQUEST__INIT;
    Kvpbus__Control__ExportRequest wanted = KVPBUS__CONTROL__EXPORT_REQUEST__INIT;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option == 'f')
            wanted.key = optarg;
        else if (option == 'u')
            wanted.undo = true;
        else
            return kvpbus_command_bad_option(context, argv, option);
    }
    if (wanted.undo && (argc - optind != 1 || wanted.key[0] != '\0'))
        return kvpbus_command_usage(context, "name one VM, and --undo alone");
    if (!wanted.undo && argc - optind != 2)
        return kvpbus_command_usage(context, "name one VM and a file that is to be made");
    if (!wanted.undo && wanted.key[0] == '\0')
        return kvpbus_command_usage(context, "say with --for which host it is for: the key that "
                                             "'kvpbus identity --public-key' prints there");
    wanted.peer = argv[optind];
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_EXPORT;
    request.export = &wanted;
    if (wanted.undo)
        return undo(context, &request);
    const char *path = argv[optind + 1];
    char text[4096];
    if (export_to(context, &request, path, &failure) != KVPBUS_OK)
        return kvpbus_command_failed(context, &failure);
    snprintf(text, sizeof text,
             "%s is served here no more; on the other host: kvpbus import %.3000s", wanted.peer,
             path);
    return say(context, "file", path, text);
}

// --- import ---

// Shows whose it is and asks; only on a terminal.
static bool approved(const struct kvpbus_parcel *parcel, const char *fingerprint)
{
    char answer[16], guid[KVPBUS_GUID_TEXT + 1];
    kvpbus_guid_format(parcel->vm, guid);
    printf("The VM %s was exported by the host with the fingerprint\n\n    %s\n\n"
           "Compare it with what 'kvpbus identity' prints there. The same? [y/N] ",
           guid, fingerprint);
    fflush(stdout);
    return fgets(answer, sizeof answer, stdin) != NULL &&
           (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0);
}

static enum kvpbus_error give(struct kvpbus_client *client, int file, uint64_t size,
                              const char *path, struct kvpbus_failure *failure)
{
    static uint8_t bytes[KVPBUS_FRAME_CHUNK];
    enum kvpbus_error error = KVPBUS_OK;
    while (error == KVPBUS_OK && size > 0) {
        Request request = KVPBUS__CONTROL__REQUEST__INIT;
        Kvpbus__Control__Chunk chunk = KVPBUS__CONTROL__CHUNK__INIT;
        ssize_t length = read(file, bytes, size < sizeof bytes ? (unsigned)size : sizeof bytes);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            return length < 0 ? failed(path, failure)
                              : kvpbus_fail(failure, KVPBUS_IO, "%.180s became shorter", path);
        chunk.data = (ProtobufCBinaryData){(size_t)length, bytes};
        request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_CHUNK;
        request.chunk = &chunk;
        error = kvpbus_control_write(client, &request, failure);
        size -= (uint64_t)length;
    }
    return error;
}

static enum kvpbus_error import_from(struct kvpbus_client *client,
                                     Kvpbus__Control__ImportRequest *wanted, const char *path,
                                     struct kvpbus_failure *failure)
{
    Request request = KVPBUS__CONTROL__REQUEST__INIT;
    Response *response = NULL;
    FILE *stream = kvpbus_file_stream(path, "rb");
    if (stream == NULL)
        return failed(path, failure);
    enum kvpbus_error error =
        kvpbus_file_size(path, &wanted->size) ? KVPBUS_OK : failed(path, failure);
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_IMPORT;
    request.import = wanted;
    if (error == KVPBUS_OK)
        error = kvpbus_control_write(client, &request, failure);
    if (error == KVPBUS_OK)
        error = give(client, fileno(stream), wanted->size, path, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_control_read(client, ANSWER_WITHIN, &response, failure);
    if (response != NULL)
        kvpbus__control__response__free_unpacked(response, NULL);
    fclose(stream);
    return error;
}

static int import_file(const struct kvpbus_command_context *context, struct kvpbus_client *client,
                       const Kvpbus__Control__ImportRequest *wanted, const char *path)
{
    Kvpbus__Control__ImportRequest request = *wanted;
    struct kvpbus_failure failure = {0};
    struct kvpbus_parcel parcel;
    char fingerprint[KVPBUS_FINGERPRINT_TEXT], guid[KVPBUS_GUID_TEXT + 1], text[128];
    if (kvpbus_parcel_read(path, &parcel, &failure) != KVPBUS_OK)
        return kvpbus_command_failed(context, &failure);
    kvpbus_fingerprint(parcel.from, fingerprint);
    kvpbus_guid_format(parcel.vm, guid);
    if (request.fingerprint[0] == '\0') {
        if (!approved(&parcel, fingerprint)) {
            fputs("kvpbus: not imported\n", stderr);
            return KVPBUS_EXIT_UNPAIRED;
        }
        request.fingerprint = fingerprint;
    }
    if (import_from(client, &request, path, &failure) != KVPBUS_OK)
        return kvpbus_command_failed(context, &failure);
    snprintf(text, sizeof text, "%s is served by this host now; its agent follows by itself", guid);
    return say(context, "guid", guid, text);
}

int kvpbus_command_import(const struct kvpbus_command_context *context, int argc, char **argv)
{
    static const struct option options[] = {{"fingerprint", required_argument, NULL, 'f'},
                                            {"replace", no_argument, NULL, 'r'},
                                            {NULL, 0, NULL, 0}};
    struct kvpbus_failure failure = {0};
    struct kvpbus_client *client = NULL;
    Kvpbus__Control__ImportRequest wanted = KVPBUS__CONTROL__IMPORT_REQUEST__INIT;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option == 'f')
            wanted.fingerprint = optarg;
        else if (option == 'r')
            wanted.replace = true;
        else
            return kvpbus_command_bad_option(context, argv, option);
    }
    if (argc - optind != 1)
        return kvpbus_command_usage(context, "name one file that 'kvpbus export' made");
    if (wanted.fingerprint[0] == '\0' && (!isatty(STDIN_FILENO) || context->json))
        return kvpbus_command_usage(context,
                                    "without a terminal the fingerprint must be given, from "
                                    "'kvpbus identity' on the host that exported it");
    if (kvpbus_client_open(context->socket, &client, &failure) != KVPBUS_OK)
        return kvpbus_command_failed(context, &failure);
    int code = import_file(context, client, &wanted, argv[optind]);
    kvpbus_client_close(client);
    return code;
}
