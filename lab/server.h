// SPDX-License-Identifier: Apache-2.0
//
// Connections of the management API, between server.c (bytes and frames) and requests.c (meaning).
#ifndef KVPBUS_LAB_SERVER_H
#define KVPBUS_LAB_SERVER_H

#include "lab.h"
#include "lab.pb-c.h"

enum {
    KVPBUS_LAB_CONNECTIONS_MAX = 128,
    KVPBUS_LAB_REQUEST_MAX = 512 * 1024,
    KVPBUS_LAB_REPLY_MAX = 4 * 1024 * 1024,
    KVPBUS_LAB_GUIDS_MAX = KVPBUS_LAB_VMS_MAX,
};

// What a connection waits for before its request is answered.
enum kvpbus_lab_wait {
    KVPBUS_LAB_WAIT_NOTHING,
    KVPBUS_LAB_WAIT_JOB,
    KVPBUS_LAB_WAIT_VM,
    KVPBUS_LAB_WAIT_READS,
};

struct kvpbus_lab_connection {
    struct kvpbus_lab *lab;
    union {
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } channel;
    uv_timer_t timer; // latency, and the end of waiting for a job
    uint8_t *input;
    size_t input_length, input_capacity;
    Kvpbus__Lab__Request *request; // the one that is being answered
    enum kvpbus_lab_wait wait;
    uint64_t wait_job;
    struct kvpbus_lab_vm *wait_vm;
    struct kvpbus_lab_vm *guest;     // whose integration service it leads to; NULL: a client's
    struct kvpbus_lab_device device; // with `guest`
    size_t reads;                    // outstanding, each of which has a reference to this
    unsigned handles;
    bool closed;
};

// requests.c: how many milliseconds the VMs of connection->request have it wait, by their faults.
uint64_t kvpbus_lab_request_latency(struct kvpbus_lab_connection *connection);

// requests.c: begins to answer connection->request.
void kvpbus_lab_request_begin(struct kvpbus_lab_connection *connection);

// requests.c: what the connection waits for may have come.
void kvpbus_lab_request_job_ended(struct kvpbus_lab_connection *connection);
void kvpbus_lab_request_vm_changed(struct kvpbus_lab_connection *connection);

// server.c: sends a frame, whatever the connection waits for; false when there is no memory.
bool kvpbus_lab_send(struct kvpbus_lab_connection *connection, const Kvpbus__Lab__Reply *reply);

// server.c: the request needs no reply (any more); the next is read.
void kvpbus_lab_request_done(struct kvpbus_lab_connection *connection);

void kvpbus_lab_hang_up(struct kvpbus_lab_connection *connection);

// server.c: sends one frame; with `more` false the request has been answered and the next is read.
void kvpbus_lab_reply(struct kvpbus_lab_connection *connection, Kvpbus__Lab__Reply *reply,
                      bool more);

// server.c: the same with nothing but an outcome.
void kvpbus_lab_reply_error(struct kvpbus_lab_connection *connection, enum kvpbus_error error,
                            const char *detail);

// reply.c: the three replies that have a body.
void kvpbus_lab_reply_vms(struct kvpbus_lab_connection *connection);
void kvpbus_lab_reply_items(struct kvpbus_lab_connection *connection, enum kvpbus_error error,
                            uint32_t index, const struct kvpbus_lab_item *items, size_t count,
                            bool more);
// `vm` NULL: of all VMs.
void kvpbus_lab_reply_stats(struct kvpbus_lab_connection *connection,
                            const struct kvpbus_lab_vm *vm);

// server.c: frees a connection that is closed and that nothing refers to any more.
void kvpbus_lab_connection_release(struct kvpbus_lab_connection *connection);

#endif
