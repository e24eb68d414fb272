// SPDX-License-Identifier: Apache-2.0
//
// One client of the control socket, shared by control_server.c (its connection), control_request.c
// (what it asks), and the files that answer that.
#ifndef KVPBUS_CONTROL_CLIENT_STATE_H
#define KVPBUS_CONTROL_CLIENT_STATE_H

#include "control.pb-c.h"
#include "control_listener.h"
#include "control_server.h"
#include "frame.h"

enum control_request {
    CONTROL_IDLE,
    CONTROL_BUSY,      // a job is under way
    CONTROL_BODY,      // chunks of a message to send
    CONTROL_WAITING,   // for an outcome
    CONTROL_RECEIVING, // for a message
    CONTROL_ANSWERING, // an answer goes out in steps
    CONTROL_IMPORTING, // chunks of the file of a VM that comes from another host
};

#define CONTROL_NO_ID \
    "that is not a message id: 32 hex digits, a dot and a number, as they are shown"

struct control_client;
// Says the next frame of an answer; the last one leaves the client idle. False: there is none now.
typedef bool control_step_fn(struct control_client *client);

enum control_wait { CONTROL_WAIT_QUEUED, CONTROL_WAIT_DELIVERED, CONTROL_WAIT_CONSUMED };

// A peer that a message goes to, or went to.
struct control_target {
    struct control_client *client;
    struct kvpbus_endpoint *endpoint;
    struct kvpbus_message_id id; // once it is queued
    bool open;                   // its outcome is waited for
    bool asking, again;          // a status job is under way; and something changed meanwhile
};

struct control_client {
    uv_pipe_t pipe;
    struct kvpbus_control_server *server; // NULL once the connection is closed
    struct kvpbus_bus *bus;
    struct control_client *next, **link; // in the server's list
    struct kvpbus_frame_reader reader;
    size_t unsent; // bytes that wait to be written
    bool closing;
    bool refused;  // is told why, and dropped then
    unsigned jobs; // callbacks that still name this client

    enum control_request request;
    control_step_fn *step; // with ANSWERING
    struct kvpbus_endpoint *endpoint;
    // SEND, WITHDRAW
    Kvpbus__Control__SendRequest *send; // unpacked, owned
    uint8_t *body;
    size_t body_length;
    struct kvpbus_message_id withdrawn;
    struct control_target *targets;
    size_t target_count, target_next; // of them, those that were given to the bus
    size_t target_open;               // whose outcome is waited for
    size_t copies;                    // of the body, under way to the journal
    bool several;                     // an answer for each, then Done
    bool unsure;                      // the journal did not say
    enum control_wait wait;
    uint64_t told; // bytes of progress said last
    // RECEIVE, DEAD
    int64_t from;          // a peer's row; 0: any
    int64_t reply_ends_ms; // when the request's lifetime ends; 0 unknown, or never
    uint64_t lease_ms;
    int64_t lease; // given to the client and not yet acknowledged; 0 none
    unsigned kinds;
    struct kvpbus_message_id reply_to;  // with `replies`
    char pattern[KVPBUS_TOPIC_MAX + 2]; // one that is too long stays so
    bool any_topic, replies;
    bool now;        // does not wait
    bool leasing;    // a lease job is under way
    bool again;      // and the inbox changed meanwhile
    bool dead_by_id; // one letter is meant
    // The bytes of an answer: of a body, or of figures.
    struct kvpbus_delivery *delivery; // NULL: none
    char *text;                       // NULL: none
    size_t text_length, said;
    // STATUS
    struct kvpbus_endpoint **asked;
    size_t asked_count, asked_done;
    Kvpbus__Control__Peers *peers;
    struct control_backup *backup; // NULL: none
    struct control_move *move;     // NULL: none
};

struct kvpbus_control_server {
    struct control_listener *listener;
    uv_timer_t progress;
    struct kvpbus_service *service;
    struct control_client *clients;
    size_t client_count; // but for those that are refused
};

// control_server.c
void control_respond(struct control_client *client, const Kvpbus__Control__Response *response);
void control_fail(struct control_client *client, enum kvpbus_error code, const char *detail);
void control_done(struct control_client *client);
// Done, of so many things.
void control_done_with(struct control_client *client, uint64_t count);
void control_drop(struct control_client *client);
// An answer of many frames, as fast as the client takes them: `step` is called until it has none or
// enough wait for the client, and again when it has taken something.
void control_answer(struct control_client *client, control_step_fn *step);
// There is more to say: after a step that had none.
void control_go_on(struct control_client *client);
// A callback came back; frees the client when it was closed meanwhile. False: it is gone.
bool control_returned(struct control_client *client);

// control_request.c
void control_request(struct control_client *client, const uint8_t *frame, size_t length);
struct kvpbus_service *control_service(const struct control_client *client);
// The endpoint that a request names, or NULL and a failure to the client.
struct kvpbus_endpoint *control_named(struct control_client *client, const char *peer);
// The answer to a request that has no other result.
void control_on_done(void *context, const struct kvpbus_failure *failure);
// Frees what the client's request left.
void control_forget(struct control_client *client);

// control_peers.c
void control_pair(struct control_client *client, const Kvpbus__Control__PairRequest *request);
void control_unpair(struct control_client *client, const Kvpbus__Control__UnpairRequest *request);
void control_status(struct control_client *client, const Kvpbus__Control__StatusRequest *request);
void control_items(struct control_client *client, const Kvpbus__Control__ItemsRequest *request);

// control_identity.c
void control_identity(struct control_client *client);
void control_rebind(struct control_client *client, const Kvpbus__Control__RebindRequest *request);
void control_rotate(struct control_client *client, const Kvpbus__Control__RotateRequest *request);

// control_backup.c
void control_backup(struct control_client *client);
void control_backup_forget(struct control_client *client);

// control_metrics.c
void control_metrics(struct control_client *client);

// control_enroll.c
void control_enroll(struct control_client *client, const Kvpbus__Control__EnrollRequest *request);

// control_send.c
void control_send(struct control_client *client, Kvpbus__Control__Request *request);
void control_chunk(struct control_client *client, const Kvpbus__Control__Chunk *chunk);

// control_outcome.c
// The only target; NULL: no memory.
struct control_target *control_target_one(struct control_client *client,
                                          struct kvpbus_endpoint *endpoint);
// The outcomes of open targets are waited for and said.
void control_await(struct control_client *client);
// Those of this peer may have changed; 0: of any.
void control_look_for_outcome(struct control_client *client, int64_t peer);
void control_say_progress(struct control_client *client);
void control_withdraw(struct control_client *client,
                      const Kvpbus__Control__WithdrawRequest *request);
void control_show(struct control_client *client, const Kvpbus__Control__ShowRequest *request);

// control_move.c
void control_export(struct control_client *client, const Kvpbus__Control__ExportRequest *request);
void control_import(struct control_client *client, const Kvpbus__Control__ImportRequest *request);
void control_import_chunk(struct control_client *client, const Kvpbus__Control__Chunk *chunk);
void control_move_forget(struct control_client *client);

// control_receive.c
void control_receive(struct control_client *client, const Kvpbus__Control__ReceiveRequest *request);
void control_ack(struct control_client *client, const Kvpbus__Control__AckRequest *request);
void control_nack(struct control_client *client, const Kvpbus__Control__NackRequest *request);
void control_extend(struct control_client *client, const Kvpbus__Control__ExtendRequest *request);
// Takes the delivery, and frees it when all of it has been said.
void control_say_delivery(struct control_client *client, struct kvpbus_delivery *delivery);
void control_look_for_message(struct control_client *client);
// Of a client that waits for replies: looks when the request's lifetime is over.
void control_look_for_reply(struct control_client *client);

// control_dead.c
void control_dead(struct control_client *client, const Kvpbus__Control__DeadRequest *request);

// control_audit.c
// May have this side's secrets, and say whom it trusts.
bool control_is_owner(const struct control_client *client);
void control_audit(struct control_client *client, const Kvpbus__Control__AuditRequest *request);
// Enters who asks, when it is something that only an administrator does.
void control_audit_asked(struct control_client *client, const Kvpbus__Control__Request *request);

#endif
