// SPDX-License-Identifier: Apache-2.0
//
// A client from inside, shared by client.c (its life), client_frames.c (bytes) and what builds on
// them.
#ifndef KVPBUS_CLIENT_INTERNAL_H
#define KVPBUS_CLIENT_INTERNAL_H

#include "control.pb-c.h"
#include "frame.h"
#include "kvpbus/client.h"
#include "socket.h"

struct kvpbus_client {
    int socket;
    bool open; // false once the service hung up: what it said before may still be in `bytes`
    char path[KVPBUS_SOCKET_PATH];
    struct kvpbus_frame_reader reader;
    uint8_t bytes[KVPBUS_FRAME_CHUNK]; // received and not yet taken
    size_t start, end;
    uint8_t *out; // to be sent; out_sent of out_length bytes are
    size_t out_sent, out_length, out_size;
};

// client_frames.c

// Puts a frame behind what is to be sent.
enum kvpbus_error client_put(struct kvpbus_client *client, const Kvpbus__Control__Request *request,
                             struct kvpbus_failure *failure);
// Sends what the socket takes now.
void client_flush(struct kvpbus_client *client);
// The next response, by `deadline` of kvpbus_socket_now; sends meanwhile. A Failure comes back as
// its error. KVPBUS_TIMEOUT: not yet.
enum kvpbus_error client_take(struct kvpbus_client *client, int64_t deadline,
                              Kvpbus__Control__Response **response, struct kvpbus_failure *failure);
// Forgets what is to be sent and what came.
void client_clear(struct kvpbus_client *client);

#endif
