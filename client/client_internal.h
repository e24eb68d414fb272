// SPDX-License-Identifier: Apache-2.0
//
// A client from inside, shared by client.c (its life), client_frames.c (bytes), client_operation.c
// (what is asked), client_event.c (what becomes of it) and client_message.c (a message that comes).
#ifndef KVPBUS_CLIENT_INTERNAL_H
#define KVPBUS_CLIENT_INTERNAL_H

#include "control.pb-c.h"
#include "frame.h"
#include "kvpbus/client.h"
#include "socket.h"

enum client_operation {
    CLIENT_NOTHING,
    CLIENT_SEND,
    CLIENT_REQUEST,
    CLIENT_RECEIVE,
    CLIENT_SIMPLE, // answered by Done
    CLIENT_WITHDRAW,
    CLIENT_SHOW,
    CLIENT_DEAD_LIST,
    CLIENT_DEAD_SHOW,
};

struct kvpbus_client {
    struct kvpbus_socket *socket; // NULL: none
    bool open; // false once the service hung up: what it said before may still be in `bytes`
    char path[KVPBUS_SOCKET_PATH];
    struct kvpbus_frame_reader reader;
    uint8_t bytes[KVPBUS_FRAME_CHUNK]; // received and not yet taken
    size_t start, end;
    uint8_t *out; // to be sent; out_sent of out_length bytes are
    size_t out_sent, out_length, out_size;

    enum client_operation operation;
    bool owed;                            // the service has yet to say something
    bool ended;                           // all that is left is the event DONE
    bool several, wait;                   // of SEND
    char request[KVPBUS_MESSAGE_ID_TEXT]; // of REQUEST: its id
    bool acking;                          // and the reply that came is being acknowledged
    char *dead_peer, *dead_pattern;       // of DEAD_LIST, for the next page; NULL: any
    Kvpbus__Control__Response *response;  // what the last event points into
    size_t next;                          // record or letter of it
    uint64_t count;                       // of SIMPLE
    struct kvpbus_record record;
    struct kvpbus_letter letter;

    Kvpbus__Control__Response *head; // of the message that comes, or came last
    uint8_t *body;
    size_t body_size;
    struct kvpbus_header headers[KVPBUS_HEADERS_MAX];
    struct kvpbus_incoming message;
};

// client_frames.c

// Room for so many bytes at once, where more than one frame is coming.
bool client_make_room(struct kvpbus_client *client, size_t length);
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
enum kvpbus_error client_lost(const struct kvpbus_client *client, struct kvpbus_failure *failure);
// What the service said breaks its protocol: nothing more of it is believed.
enum kvpbus_error client_strange(struct kvpbus_client *client, struct kvpbus_failure *failure);

// client_operation.c

void client_forget_operation(struct kvpbus_client *client);
// Parts of REQUEST and DEAD_LIST that follow the first one.
enum kvpbus_error client_ask_reply(struct kvpbus_client *client, struct kvpbus_failure *failure);
enum kvpbus_error client_ack_reply(struct kvpbus_client *client, struct kvpbus_failure *failure);
enum kvpbus_error client_ask_letters(struct kvpbus_client *client, uint64_t after,
                                     struct kvpbus_failure *failure);

// client_message.c

// Takes the response, which is a Delivery. *whole says whether the message is.
enum kvpbus_error client_message_begin(struct kvpbus_client *client,
                                       Kvpbus__Control__Response *response, bool *whole,
                                       struct kvpbus_failure *failure);
enum kvpbus_error client_message_add(struct kvpbus_client *client,
                                     const Kvpbus__Control__Chunk *chunk, bool *whole,
                                     struct kvpbus_failure *failure);
void client_message_forget(struct kvpbus_client *client);
void client_read_record(struct kvpbus_client *client, const Kvpbus__Control__Record *record);
void client_read_letter(struct kvpbus_client *client, const Kvpbus__Control__DeadLetter *letter);
enum kvpbus_outcome client_outcome(const char *name);

#endif
