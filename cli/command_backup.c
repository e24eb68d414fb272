// SPDX-License-Identifier: Apache-2.0
//
// backup: a state folder as it was at one moment, taken from the running service.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "file.h"
#include "program.h"
#include "words.h"

enum { ANSWER_WITHIN = 120 * 1000, LOOK_EVERY = 250, PATH = 4096 }; // ms

// The folder is made beside the wanted one and gets its name when all is there.
struct target {
    const char *folder;
    char fresh[PATH];
    char open_name[PATH + 64];
    int file;               // -1 none
    uint64_t bytes, wanted; // of all files, as far as they are known
    bool shows;
};

static enum kvpbus_error failed(const char *path, struct kvpbus_failure *failure)
{
    int number = kvpbus_system_code();
    enum kvpbus_error code = kvpbus_system_error(number);
    if (code != KVPBUS_NO_SPACE && code != KVPBUS_ACCESS)
        code = KVPBUS_IO;
    return kvpbus_fail(failure, code, "cannot write %s: %s", path, kvpbus_system_text(number));
}

// --- the folder ---

static enum kvpbus_error begin(struct target *target, struct kvpbus_failure *failure)
{
    size_t length = strlen(target->folder);
    while (length > 1 && strchr(KVPBUS_WORD_SEPARATORS, target->folder[length - 1]) != NULL)
        length--;
    if (length + 16 > sizeof target->fresh)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "the path of the folder is too long");
    if (kvpbus_file_exists(target->folder))
        return kvpbus_fail(failure, KVPBUS_EXISTS,
                           "%s is there already; name a folder that is to be made", target->folder);
    snprintf(target->fresh, sizeof target->fresh, "%.*s.XXXXXX", (int)length, target->folder);
    if (kvpbus_folder_make_unique(target->fresh)) // private
        return KVPBUS_OK;
    enum kvpbus_error error = failed(target->folder, failure);
    target->fresh[0] = '\0';
    return error;
}

static enum kvpbus_error close_file(struct target *target, struct kvpbus_failure *failure)
{
    int file = target->file;
    target->file = -1;
    if (file < 0)
        return KVPBUS_OK;
    bool synced = kvpbus_file_sync(file);
    return close(file) == 0 && synced ? KVPBUS_OK : failed(target->open_name, failure);
}

static enum kvpbus_error open_file(struct target *target, const char *name, uint64_t size,
                                   struct kvpbus_failure *failure)
{
    if (name[0] == '.' || name[0] == '\0' || strlen(name) > 32 || strchr(name, '/') != NULL)
        return kvpbus_fail(failure, KVPBUS_PROTOCOL, "the service names a file that cannot be");
    snprintf(target->open_name, sizeof target->open_name, "%s/%s", target->fresh, name);
    target->file = kvpbus_file_create(target->open_name);
    target->wanted += size;
    return target->file >= 0 ? KVPBUS_OK : failed(target->open_name, failure);
}

static enum kvpbus_error write_bytes(struct target *target, const ProtobufCBinaryData *data,
                                     struct kvpbus_failure *failure)
{
    if (target->file < 0)
        return kvpbus_fail(failure, KVPBUS_PROTOCOL, "the answer is not what was asked for");
    for (size_t at = 0; at < data->len;) {
        ssize_t written = write(target->file, data->data + at, (unsigned)(data->len - at));
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return failed(target->open_name, failure);
        at += (size_t)written;
    }
    target->bytes += data->len;
    return KVPBUS_OK;
}

static enum kvpbus_error finish(struct target *target, struct kvpbus_failure *failure)
{
    enum kvpbus_error error = close_file(target, failure);
    if (error == KVPBUS_OK && target->bytes != target->wanted)
        error = kvpbus_fail(failure, KVPBUS_PROTOCOL, "the service sent a part of the backup only");
    if (error == KVPBUS_OK && !kvpbus_folder_sync(target->fresh))
        error = failed(target->fresh, failure);
    if (error == KVPBUS_OK && !kvpbus_file_replace(target->fresh, target->folder))
        error = failed(target->folder, failure);
    return error;
}

static void remove_all(struct target *target)
{
    static const char *const names[] = {"identity.key", "journal"};
    char path[PATH + 64];
    if (target->file >= 0)
        close(target->file);
    if (target->fresh[0] == '\0')
        return;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", target->fresh, names[i]);
        kvpbus_file_remove(path);
    }
    kvpbus_folder_remove(target->fresh);
}

// --- the service's answers ---

static void show(const struct target *target, const char *what, uint64_t done, uint64_t total)
{
    if (target->shows && total > 0)
        fprintf(stderr, "\r%s: %3u %%\033[K", what, (unsigned)(done * 100 / total));
}

static enum kvpbus_error next_response(struct kvpbus_client *client,
                                       Kvpbus__Control__Response **response,
                                       struct kvpbus_failure *failure)
{
    for (int waited = 0; waited < ANSWER_WITHIN; waited += LOOK_EVERY) {
        if (kvpbus_program_ended())
            return kvpbus_fail(failure, KVPBUS_CLOSED, "the backup was given up");
        enum kvpbus_error error = kvpbus_control_read(client, LOOK_EVERY, response, failure);
        if (error != KVPBUS_TIMEOUT)
            return error;
    }
    return KVPBUS_TIMEOUT;
}

static enum kvpbus_error take(struct kvpbus_client *client, struct target *target,
                              struct kvpbus_failure *failure)
{
    enum kvpbus_error error = KVPBUS_OK;
    bool done = false;
    while (error == KVPBUS_OK && !done) {
        Kvpbus__Control__Response *response = NULL;
        error = next_response(client, &response, failure);
        if (error != KVPBUS_OK)
            return error;
        switch (response->kind_case) {
        case KVPBUS__CONTROL__RESPONSE__KIND_PROGRESS:
            show(target, "copying", response->progress->acknowledged, response->progress->total);
            break;
        case KVPBUS__CONTROL__RESPONSE__KIND_BACKUP_FILE:
            error = close_file(target, failure);
            if (error == KVPBUS_OK)
                error = open_file(target, response->backup_file->name, response->backup_file->size,
                                  failure);
            break;
        case KVPBUS__CONTROL__RESPONSE__KIND_CHUNK:
            error = write_bytes(target, &response->chunk->data, failure);
            show(target, "writing", target->bytes, target->wanted);
            break;
        case KVPBUS__CONTROL__RESPONSE__KIND_DONE:
            done = true;
            break;
        default:
            error = kvpbus_fail(failure, KVPBUS_PROTOCOL, "the answer is not what was asked for");
        }
        kvpbus__control__response__free_unpacked(response, NULL);
    }
    return error == KVPBUS_OK ? finish(target, failure) : error;
}

static enum kvpbus_error make(const struct kvpbus_command_context *context, struct target *target,
                              struct kvpbus_failure *failure)
{
    Kvpbus__Control__Request request = KVPBUS__CONTROL__REQUEST__INIT;
    Kvpbus__Control__BackupRequest backup = KVPBUS__CONTROL__BACKUP_REQUEST__INIT;
    struct kvpbus_client *client = NULL;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_BACKUP;
    request.backup = &backup;
    enum kvpbus_error error = begin(target, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_client_open(context->socket, &client, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_control_write(client, &request, failure);
    if (error == KVPBUS_OK)
        error = take(client, target, failure);
    kvpbus_client_close(client);
    if (error != KVPBUS_OK)
        remove_all(target);
    if (target->shows)
        fputs("\r\033[K", stderr);
    return error;
}

int kvpbus_command_backup(const struct kvpbus_command_context *context, int argc, char **argv)
{
    struct target target = {.file = -1, .shows = !context->json && isatty(STDERR_FILENO)};
    struct kvpbus_failure failure = {0};
    if (argc != 2 || argv[1][0] == '-' || argv[1][0] == '\0')
        return kvpbus_command_usage(context, "name one folder that is to be made");
    target.folder = argv[1];
    kvpbus_program_end_gently();
    if (make(context, &target, &failure) != KVPBUS_OK)
        return kvpbus_command_failed(context, &failure);
    if (context->json) {
        json_t *said =
            json_pack("{s:s, s:I}", "folder", target.folder, "bytes", (json_int_t)target.bytes);
        json_dumpf(said, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(said);
    } else {
        printf("%s: %llu bytes; keep it as secret as the key that is in it\n", target.folder,
               (unsigned long long)target.bytes);
    }
    return KVPBUS_EXIT_OK;
}
