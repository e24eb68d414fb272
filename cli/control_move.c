// SPDX-License-Identifier: Apache-2.0
//
// A VM that goes to another host, or comes from one, for a client: the file goes out or comes in
// chunks, as fast as the other end takes them.
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control_client_state.h"
#include "file.h"
#include "kvpbus/identity.h"
#include "words.h"

struct control_move {
    struct control_client *client;
    struct kvpbus_service *service;
    char path[KVPBUS_MOVE_PATH];
    int file;      // -1 none
    uint64_t left; // bytes that are to go or to come
    bool replace;
    char fingerprint[KVPBUS_FINGERPRINT_TEXT + 16];
    uv_fs_t read;
    bool reading;
    uint64_t offset;
    char bytes[KVPBUS_FRAME_CHUNK];
};

void control_move_forget(struct control_client *client)
{
    struct control_move *move = client->move;
    if (move == NULL)
        return;
    if (move->file >= 0)
        close(move->file);
    kvpbus_file_remove(move->path);
    move->service->parcel_under_way = false;
    free(move);
    client->move = NULL;
}

static void refuse(struct control_client *client, enum kvpbus_error code, const char *detail)
{
    control_move_forget(client);
    control_fail(client, code, detail);
}

// One at a time: the files in the state folder have one name.
static struct control_move *begin(struct control_client *client, const char *what)
{
    struct kvpbus_service *service = control_service(client);
    if (!control_is_owner(client)) {
        control_fail(client, KVPBUS_ACCESS,
                     "that says which host a VM trusts: " KVPBUS_WORD_ELEVATED);
        return NULL;
    }
    if (service->parcel_under_way) {
        control_fail(client, KVPBUS_BUSY, "another VM is being moved; try again");
        return NULL;
    }
    struct control_move *move = calloc(1, sizeof *move);
    if (move == NULL) {
        control_fail(client, KVPBUS_NOMEM, "");
        return NULL;
    }
    move->client = client;
    move->service = service;
    move->file = -1;
    kvpbus_move_path(service, what, move->path);
    service->parcel_under_way = true;
    client->move = move;
    return move;
}

// --- export ---

static void on_read(uv_fs_t *read)
{
    struct control_move *move = read->data;
    struct control_client *client = move->client;
    ssize_t length = read->result;
    uv_fs_req_cleanup(read);
    move->reading = false;
    if (!control_returned(client))
        return;
    if (length <= 0) {
        refuse(client, KVPBUS_IO, "what was exported cannot be read; export it again");
        return;
    }
    Kvpbus__Control__Chunk piece = KVPBUS__CONTROL__CHUNK__INIT;
    Kvpbus__Control__Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    piece.data.data = (uint8_t *)move->bytes;
    piece.data.len = (size_t)length;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_CHUNK;
    response.chunk = &piece;
    move->offset += (uint64_t)length;
    move->left -= (uint64_t)length;
    control_respond(client, &response);
    control_go_on(client);
}

// Begins to read the next piece, which is said when it is there.
static bool step(struct control_client *client)
{
    struct control_move *move = client->move;
    if (move->reading)
        return false;
    if (move->left == 0) {
        control_move_forget(client);
        control_done(client);
        return false;
    }
    size_t length = move->left < sizeof move->bytes ? move->left : sizeof move->bytes;
    uv_buf_t buffer = uv_buf_init(move->bytes, (unsigned)length);
    move->read.data = move;
    move->reading = true;
    client->jobs++;
    uv_fs_read(control_service(client)->loop, &move->read, move->file, &buffer, 1,
               (int64_t)move->offset, on_read);
    return false;
}

static void on_exported(void *context, const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    if (!control_returned(client))
        return;
    if (failure->code != KVPBUS_OK) {
        refuse(client, failure->code, failure->detail);
        return;
    }
    struct control_move *move = client->move;
    move->file = kvpbus_file_open(move->path);
    if (move->file < 0 || !kvpbus_file_size(move->path, &move->left)) {
        refuse(client, KVPBUS_IO, "what was exported cannot be read; export it again");
        return;
    }
    Kvpbus__Control__Exported exported = KVPBUS__CONTROL__EXPORTED__INIT;
    Kvpbus__Control__Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    exported.size = move->left;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_EXPORTED;
    response.exported = &exported;
    control_respond(client, &response);
    control_answer(client, step);
}

static void on_moved(void *context, const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    if (!control_returned(client))
        return;
    if (failure->code != KVPBUS_OK) {
        refuse(client, failure->code, failure->detail);
        return;
    }
    control_move_forget(client);
    control_done(client);
}

void control_export(struct control_client *client, const Kvpbus__Control__ExportRequest *request)
{
    struct kvpbus_service *service = control_service(client);
    uint8_t key[KVPBUS_IDENTITY_BYTES], box[crypto_box_PUBLICKEYBYTES];
    size_t length = 0;
    const char *end = NULL;
    struct kvpbus_endpoint *endpoint = control_named(client, request->peer);
    if (endpoint == NULL)
        return;
    bool valid = sodium_hex2bin(key, sizeof key, request->key, strlen(request->key), NULL, &length,
                                &end) == 0 &&
                 *end == '\0' && length == sizeof key &&
                 crypto_sign_ed25519_pk_to_curve25519(box, key) == 0;
    if (!valid && !request->undo) {
        control_fail(client, KVPBUS_BAD_KEY,
                     "that is not the key of a host: 64 hex digits, which 'kvpbus identity "
                     "--public-key' prints there");
        return;
    }
    if (valid && memcmp(key, service->state.identity, sizeof key) == 0) {
        control_fail(client, KVPBUS_BAD_KEY, "that is the key of this host; give the other one's");
        return;
    }
    if (begin(client, "export") == NULL)
        return;
    client->request = CONTROL_BUSY;
    client->jobs++;
    if (request->undo)
        kvpbus_service_export_undo(service, endpoint, on_moved, client);
    else
        kvpbus_service_export(service, endpoint, key, on_exported, client);
}

// --- import ---

static void whole(struct control_client *client)
{
    struct control_move *move = client->move;
    struct kvpbus_parcel parcel;
    struct kvpbus_failure failure = {0};
    bool closed = close(move->file) == 0;
    move->file = -1;
    if (!closed)
        kvpbus_fail(&failure, KVPBUS_IO, "the file cannot be kept: %s",
                    kvpbus_system_text(kvpbus_system_code()));
    else if (kvpbus_parcel_read(move->path, &parcel, &failure) == KVPBUS_OK &&
             !kvpbus_fingerprint_matches(parcel.from, move->fingerprint))
        kvpbus_fail(&failure, KVPBUS_BAD_KEY,
                    "the file is from another host than the one whose fingerprint you gave");
    if (failure.code != KVPBUS_OK) {
        refuse(client, failure.code, failure.detail);
        return;
    }
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_service_import(control_service(client), &parcel, move->replace, on_moved, client);
}

void control_import(struct control_client *client, const Kvpbus__Control__ImportRequest *request)
{
    if (control_service(client)->options.role != KVPBUS_ROLE_HOST) {
        control_fail(client, KVPBUS_UNSUPPORTED, "that is done on the host, not in a VM");
        return;
    }
    struct control_move *move = begin(client, "import");
    if (move == NULL)
        return;
    kvpbus_file_remove(move->path);
    move->file = kvpbus_file_create(move->path);
    if (move->file < 0) {
        refuse(client, KVPBUS_IO, "the state folder cannot be written");
        return;
    }
    move->left = request->size;
    move->replace = request->replace;
    snprintf(move->fingerprint, sizeof move->fingerprint, "%s", request->fingerprint);
    client->request = CONTROL_IMPORTING;
    if (move->left == 0)
        whole(client);
}

void control_import_chunk(struct control_client *client, const Kvpbus__Control__Chunk *chunk)
{
    struct control_move *move = client->move;
    if (chunk->data.len > move->left) {
        refuse(client, KVPBUS_PROTOCOL, "");
        return;
    }
    for (size_t at = 0; at < chunk->data.len;) {
        ssize_t written =
            write(move->file, chunk->data.data + at, (unsigned)(chunk->data.len - at));
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            refuse(client,
                   kvpbus_system_error(kvpbus_system_code()) == KVPBUS_NO_SPACE ? KVPBUS_NO_SPACE
                                                                                : KVPBUS_IO,
                   "the state folder cannot take the file");
            return;
        }
        at += (size_t)written;
    }
    move->left -= chunk->data.len;
    if (move->left == 0)
        whole(client);
}
