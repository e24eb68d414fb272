// SPDX-License-Identifier: Apache-2.0
//
// The line between the host and the KVP service in one VM: one service at a time, one request in
// flight, requests in order of arrival, E_FAIL after 30 s without an answer. What carries the
// requests is a device: daemon_line.c to a Linux guest's hv_kvp_daemon, guest_service.c to the
// stand-in for a Windows guest's integration service.
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
// 0x80004005 when it did not answer, answered what is no text, or was lost on the way.
struct kvpbus_lab_request {
    uint8_t operation; // KVP_OP_SET, KVP_OP_DELETE, KVP_OP_ENUMERATE
    uint8_t pool;
    uint32_t index;
    struct kvpbus_lab_item item; // of an enumeration the answer's, with status 0
    void (*done)(struct kvpbus_lab_request *request, uint32_t status);
    void *context;
    struct kvpbus_lab_request *next;
};

// A value that cannot be said on this line: the enumeration goes on behind it.
#define KVPBUS_LAB_NOT_SUPPORTED UINT32_C(0x80070032)

// The guest's service has come; it is gone. Called on the loop.
struct kvpbus_lab_driver_events {
    void (*connected)(void *context);
    void (*lost)(void *context);
    void *context;
};

struct kvpbus_lab_device {
    // Sends a request, whose answer comes by kvpbus_lab_driver_answer. False: the service is lost.
    bool (*send)(struct kvpbus_lab_device *device, const struct kvpbus_lab_request *request);
    // Hangs up; the driver does not know it any more.
    void (*drop)(struct kvpbus_lab_device *device);
};

struct kvpbus_lab_driver {
    struct kvpbus_lab_driver_events events;
    struct kvpbus_lab_device *device;
    struct kvpbus_lab_request *head, *tail;
    bool in_flight; // the head has been sent
    bool frozen;
    unsigned stale; // answers to come that nobody waits for any more
    uv_timer_t *timer;
};

enum kvpbus_error kvpbus_lab_driver_open(struct kvpbus_lab_driver *driver, uv_loop_t *loop,
                                         struct kvpbus_lab_driver_events events,
                                         struct kvpbus_failure *failure);

// Fails what waits, drops the service and releases everything; the loop must run once more.
void kvpbus_lab_driver_close(struct kvpbus_lab_driver *driver);

// A service has come. False when there is one already.
bool kvpbus_lab_driver_attach(struct kvpbus_lab_driver *driver, struct kvpbus_lab_device *device);

// The answer to the request in flight; `item` for an enumeration with status 0, else NULL. Such an
// enumeration without one has failed.
void kvpbus_lab_driver_answer(struct kvpbus_lab_driver *driver, uint32_t status,
                              const struct kvpbus_lab_item *item);

// Fails what waits and drops the service, which is lost or has broken the line's rules.
void kvpbus_lab_driver_drop(struct kvpbus_lab_driver *driver);

// The same when the VM has stopped: a frozen driver thaws.
void kvpbus_lab_driver_reset(struct kvpbus_lab_driver *driver);

bool kvpbus_lab_driver_connected(const struct kvpbus_lab_driver *driver);

// True when a request has been sent and not answered.
bool kvpbus_lab_driver_busy(const struct kvpbus_lab_driver *driver);

// Queues a request. Returns false, without calling `done`, when no service is connected.
bool kvpbus_lab_driver_submit(struct kvpbus_lab_driver *driver, struct kvpbus_lab_request *request);

// The VM stands still: nothing is sent and no time passes.
void kvpbus_lab_driver_freeze(struct kvpbus_lab_driver *driver, bool frozen);

// Fill a request; both texts are within the limits of items.h.
void kvpbus_lab_request_set(struct kvpbus_lab_request *request, uint8_t pool, const char *key,
                            const char *value);
void kvpbus_lab_request_delete(struct kvpbus_lab_request *request, uint8_t pool, const char *key);
void kvpbus_lab_request_enumerate(struct kvpbus_lab_request *request, uint8_t pool, uint32_t index);

#endif
