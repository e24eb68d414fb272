// SPDX-License-Identifier: Apache-2.0
//
// A backup for a client: the journal is copied beside itself while the bus goes on, then the files
// of the state folder that matter go out in chunks, read on pool threads, as fast as the client
// takes them.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control_backup.h"
#include "control_client_state.h"
#include "file.h"
#include "words.h"

enum { TOLD_EVERY = 250 }; // ms

static const char *const names[] = {"identity.key", "journal"};
enum { NAMES = sizeof names / sizeof *names };

struct control_backup {
    struct control_client *client;
    struct kvpbus_service *service;
    char copy[KVPBUS_PATH_MAX + 32]; // of the journal
    uint64_t told_at;
    unsigned file;  // of names, the one that goes out
    int descriptor; // -1 none
    uint64_t offset, left;
    bool reading;
    uv_fs_t read;
    char bytes[KVPBUS_FRAME_CHUNK];
};

#define COPY "backup.part" // in the state folder, while it is made

void kvpbus_backup_clear(const char *state)
{
    char path[KVPBUS_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/" COPY, state);
    kvpbus_file_remove(path);
}

// --- the end ---

void control_backup_forget(struct control_client *client)
{
    struct control_backup *backup = client->backup;
    if (backup == NULL)
        return;
    if (backup->descriptor >= 0)
        close(backup->descriptor);
    kvpbus_file_remove(backup->copy);
    backup->service->backup_under_way = false;
    free(backup);
    client->backup = NULL;
}

static void refuse(struct control_client *client, enum kvpbus_error code, const char *detail)
{
    control_backup_forget(client);
    control_fail(client, code, detail);
}

// --- files ---

static bool open_file(struct control_backup *backup)
{
    struct control_client *client = backup->client;
    char path[KVPBUS_PATH_MAX + 32];
    if (backup->file == NAMES - 1)
        snprintf(path, sizeof path, "%s", backup->copy);
    else
        snprintf(path, sizeof path, "%s/%s", control_service(client)->state.path,
                 names[backup->file]);
    backup->descriptor = kvpbus_file_open(path);
    if (backup->descriptor < 0 || !kvpbus_file_size(path, &backup->left))
        return false;
    backup->offset = 0;
    Kvpbus__Control__BackupFile file = KVPBUS__CONTROL__BACKUP_FILE__INIT;
    Kvpbus__Control__Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    file.name = (char *)names[backup->file];
    file.size = backup->left;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_BACKUP_FILE;
    response.backup_file = &file;
    control_respond(client, &response);
    return true;
}

static void on_read(uv_fs_t *read)
{
    struct control_backup *backup = read->data;
    struct control_client *client = backup->client;
    ssize_t length = read->result;
    uv_fs_req_cleanup(read);
    backup->reading = false;
    if (!control_returned(client))
        return;
    if (length <= 0) {
        refuse(client, KVPBUS_IO, "the copy of the journal cannot be read");
        return;
    }
    Kvpbus__Control__Chunk piece = KVPBUS__CONTROL__CHUNK__INIT;
    Kvpbus__Control__Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    piece.data.data = (uint8_t *)backup->bytes;
    piece.data.len = (size_t)length;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_CHUNK;
    response.chunk = &piece;
    backup->offset += (uint64_t)length;
    backup->left -= (uint64_t)length;
    control_respond(client, &response);
    control_go_on(client);
}

static void read_more(struct control_backup *backup)
{
    struct control_client *client = backup->client;
    size_t length = backup->left < sizeof backup->bytes ? backup->left : sizeof backup->bytes;
    uv_buf_t buffer = uv_buf_init(backup->bytes, (unsigned)length);
    backup->read.data = backup;
    backup->reading = true;
    client->jobs++;
    uv_fs_read(control_service(client)->loop, &backup->read, backup->descriptor, &buffer, 1,
               (int64_t)backup->offset, on_read);
}

// Begins to read the next piece, which is said when it is there.
static bool step(struct control_client *client)
{
    struct control_backup *backup = client->backup;
    if (backup->reading)
        return false;
    while (backup->descriptor < 0 || backup->left == 0) {
        if (backup->descriptor >= 0) {
            close(backup->descriptor);
            backup->descriptor = -1;
            backup->file++;
        }
        if (backup->file == NAMES) {
            kvpbus_log_event(KVPBUS_LOGGED_BACKUP_MADE, NULL, "a backup was made");
            control_backup_forget(client);
            control_done(client);
            return false;
        }
        if (!open_file(backup)) {
            refuse(client, KVPBUS_IO, "a file of the state folder cannot be read");
            return false;
        }
    }
    read_more(backup);
    return false;
}

// --- the copy ---

static void say_copied(struct control_backup *backup, uint64_t done, uint64_t total)
{
    struct control_client *client = backup->client;
    uint64_t now = uv_now(control_service(client)->loop);
    if (now - backup->told_at < TOLD_EVERY)
        return;
    backup->told_at = now;
    Kvpbus__Control__Progress progress = KVPBUS__CONTROL__PROGRESS__INIT;
    Kvpbus__Control__Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    progress.acknowledged = done;
    progress.total = total;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_PROGRESS;
    response.progress = &progress;
    control_respond(client, &response);
}

static bool on_copied(void *context, uint64_t done, uint64_t total,
                      const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    if (failure->code == KVPBUS_OK && done < total) {
        if (!client->closing)
            say_copied(client->backup, done, total);
        return !client->closing;
    }
    if (!control_returned(client))
        return false;
    if (failure->code != KVPBUS_OK) {
        refuse(client, failure->code, failure->detail);
        return false;
    }
    control_answer(client, step);
    return false;
}

void control_backup(struct control_client *client)
{
    struct kvpbus_service *service = control_service(client);
    if (!control_is_owner(client)) {
        control_fail(client, KVPBUS_ACCESS,
                     "a backup has this side's secret key in it: " KVPBUS_WORD_ELEVATED);
        return;
    }
    if (service->backup_under_way) {
        control_fail(client, KVPBUS_BUSY, "another backup is being made; wait until it is done");
        return;
    }
    struct control_backup *backup = calloc(1, sizeof *backup);
    if (backup == NULL) {
        control_fail(client, KVPBUS_NOMEM, "");
        return;
    }
    backup->client = client;
    backup->service = service;
    backup->descriptor = -1;
    service->backup_under_way = true;
    client->backup = backup;
    client->request = CONTROL_BUSY;
    client->jobs++;
    snprintf(backup->copy, sizeof backup->copy, "%s/" COPY, service->state.path);
    kvpbus_bus_backup(service->bus, backup->copy, on_copied, client);
}
