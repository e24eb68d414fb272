// SPDX-License-Identifier: Apache-2.0
//
// The kernel's side of the KVP service of one VM: hv_utils between the host's vmbus messages and
// the guest's hv_kvp_daemon. One daemon at a time, one request in flight, requests in order of
// arrival, E_FAIL after 30 s without an answer.
#ifndef KVPBUS_LAB_DRIVER_H
#define KVPBUS_LAB_DRIVER_H

#include <linux/hyperv.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "items.h"
#include "kvpbus/error.h"

// A request belongs to whoever submits it, who keeps it until `done` is called. `done` runs on the
// loop and may submit again. `status` is 0, the guest's error (0x80070103 for "no such item"), or
// 0x80004005 when it did not answer or was lost on the way.
struct kvpbus_lab_request {
    struct hv_kvp_msg message; // the request, then the guest's answer
    void (*done)(struct kvpbus_lab_request *request, uint32_t status);
    void *context;
    struct kvpbus_lab_request *next;
};

// The guest's daemon has registered; it is gone. Called on the loop.
struct kvpbus_lab_driver_events {
    void (*connected)(void *context);
    void (*lost)(void *context);
    void *context;
};

struct kvpbus_lab_device; // the connection to one daemon

struct kvpbus_lab_driver {
    uv_loop_t *loop;
    struct kvpbus_lab_driver_events events;
    int listener;
    uv_poll_t *listener_poll;
    struct kvpbus_lab_device *device;
    struct kvpbus_lab_request *head, *tail;
    bool in_flight; // the head has been sent
    bool frozen;
    unsigned stale; // answers to come that nobody waits for any more
    uv_timer_t *timer;
};

// Listens on the socket that the device shim connects to.
enum kvpbus_error kvpbus_lab_driver_open(struct kvpbus_lab_driver *driver, uv_loop_t *loop,
                                         const char *socket_path,
                                         struct kvpbus_lab_driver_events events,
                                         struct kvpbus_failure *failure);

// Fails what waits, drops the daemon and releases everything; the loop must run once more.
void kvpbus_lab_driver_close(struct kvpbus_lab_driver *driver);

// Fails what waits and drops the daemon, which has ended; a frozen driver thaws.
void kvpbus_lab_driver_reset(struct kvpbus_lab_driver *driver);

// A daemon has registered.
bool kvpbus_lab_driver_connected(const struct kvpbus_lab_driver *driver);

// True when a request has been sent and not answered.
bool kvpbus_lab_driver_busy(const struct kvpbus_lab_driver *driver);

// Queues a request. Returns false, without calling `done`, when no daemon is connected.
bool kvpbus_lab_driver_submit(struct kvpbus_lab_driver *driver, struct kvpbus_lab_request *request);

// The VM stands still: nothing is sent and no time passes.
void kvpbus_lab_driver_freeze(struct kvpbus_lab_driver *driver, bool frozen);

// Fill a request's message. Texts longer than the driver passes on are cut as it cuts them.
void kvpbus_lab_request_set(struct kvpbus_lab_request *request, uint8_t pool, const char *key,
                            const char *value);
void kvpbus_lab_request_delete(struct kvpbus_lab_request *request, uint8_t pool, const char *key);
void kvpbus_lab_request_enumerate(struct kvpbus_lab_request *request, uint8_t pool, uint32_t index);

// The item in the answer to an enumeration, cut as the driver cuts it. False when it is not UTF-8.
bool kvpbus_lab_request_item(const struct kvpbus_lab_request *request,
                             struct kvpbus_lab_item *item);

#endif
