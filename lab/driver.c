// SPDX-License-Identifier: Apache-2.0
#include "driver.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_TIMEOUT_MS = 30000 };

static void send_next(struct kvpbus_lab_driver *driver);

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

// Takes the first request off the queue and tells its owner, who may submit it again at once.
static void finish_head(struct kvpbus_lab_driver *driver, uint32_t status)
{
    struct kvpbus_lab_request *request = driver->head;
    assert(request != NULL);
    driver->head = request->next;
    if (driver->head == NULL)
        driver->tail = NULL;
    driver->in_flight = false;
    uv_timer_stop(driver->timer);
    request->next = NULL;
    request->done(request, status);
}

void kvpbus_lab_driver_drop(struct kvpbus_lab_driver *driver)
{
    struct kvpbus_lab_device *device = driver->device;
    if (device == NULL)
        return;
    driver->device = NULL;
    driver->stale = 0;
    device->drop(device);
    // Nothing new can be queued meanwhile, since no service is connected.
    while (driver->head != NULL)
        finish_head(driver, HV_E_FAIL);
    driver->events.lost(driver->events.context);
}

static void on_timeout(uv_timer_t *timer)
{
    struct kvpbus_lab_driver *driver = timer->data;
    assert(driver->in_flight);
    driver->stale++;
    finish_head(driver, HV_E_FAIL);
    send_next(driver);
}

static void send_next(struct kvpbus_lab_driver *driver)
{
    if (driver->in_flight || driver->frozen || driver->head == NULL || driver->device == NULL)
        return;
    if (!driver->device->send(driver->device, driver->head)) {
        kvpbus_lab_driver_drop(driver);
        return;
    }
    driver->in_flight = true;
    uv_timer_start(driver->timer, on_timeout, ANSWER_TIMEOUT_MS, 0);
}

bool kvpbus_lab_driver_attach(struct kvpbus_lab_driver *driver, struct kvpbus_lab_device *device)
{
    if (driver->device != NULL)
        return false;
    driver->device = device;
    driver->events.connected(driver->events.context);
    return true;
}

void kvpbus_lab_driver_answer(struct kvpbus_lab_driver *driver, uint32_t status,
                              const struct kvpbus_lab_item *item)
{
    if (driver->stale > 0) {
        driver->stale--;
        return;
    }
    if (!driver->in_flight)
        return;
    if (item != NULL)
        driver->head->item = *item;
    else if (driver->head->operation == KVP_OP_ENUMERATE && status == HV_S_OK)
        status = HV_E_FAIL;
    finish_head(driver, status);
    send_next(driver);
}

enum kvpbus_error kvpbus_lab_driver_open(struct kvpbus_lab_driver *driver, uv_loop_t *loop,
                                         struct kvpbus_lab_driver_events events,
                                         struct kvpbus_failure *failure)
{
    *driver = (struct kvpbus_lab_driver){.events = events};
    uv_timer_t *timer = calloc(1, sizeof *timer);
    if (timer == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "a VM's line to its guest");
    uv_timer_init(loop, timer);
    timer->data = driver;
    driver->timer = timer;
    return KVPBUS_OK;
}

void kvpbus_lab_driver_close(struct kvpbus_lab_driver *driver)
{
    if (driver->timer == NULL)
        return;
    kvpbus_lab_driver_drop(driver);
    uv_close((uv_handle_t *)driver->timer, free_handle);
    driver->timer = NULL;
}

void kvpbus_lab_driver_reset(struct kvpbus_lab_driver *driver)
{
    kvpbus_lab_driver_drop(driver);
    driver->frozen = false;
}

bool kvpbus_lab_driver_connected(const struct kvpbus_lab_driver *driver)
{
    return driver->device != NULL;
}

bool kvpbus_lab_driver_busy(const struct kvpbus_lab_driver *driver)
{
    return driver->in_flight;
}

bool kvpbus_lab_driver_submit(struct kvpbus_lab_driver *driver, struct kvpbus_lab_request *request)
{
    assert(request->next == NULL && request->done != NULL && request != driver->tail);
    if (!kvpbus_lab_driver_connected(driver))
        return false;
    if (driver->tail != NULL)
        driver->tail->next = request;
    else
        driver->head = request;
    driver->tail = request;
    send_next(driver);
    return true;
}

void kvpbus_lab_driver_freeze(struct kvpbus_lab_driver *driver, bool frozen)
{
    driver->frozen = frozen;
    if (frozen)
        uv_timer_stop(driver->timer);
    else if (driver->in_flight)
        uv_timer_start(driver->timer, on_timeout, ANSWER_TIMEOUT_MS, 0);
    else
        send_next(driver);
}

static void fill(struct kvpbus_lab_request *request, uint8_t operation, uint8_t pool,
                 const char *key, const char *value)
{
    size_t key_length = strlen(key), value_length = strlen(value);
    assert(key_length <= KVPBUS_LAB_KEY_BYTES && value_length <= KVPBUS_LAB_VALUE_BYTES);
    request->operation = operation;
    request->pool = pool;
    request->index = 0;
    memcpy(request->item.key, key, key_length + 1);
    memcpy(request->item.value, value, value_length + 1);
}

void kvpbus_lab_request_set(struct kvpbus_lab_request *request, uint8_t pool, const char *key,
                            const char *value)
{
    fill(request, KVP_OP_SET, pool, key, value);
}

void kvpbus_lab_request_delete(struct kvpbus_lab_request *request, uint8_t pool, const char *key)
{
    fill(request, KVP_OP_DELETE, pool, key, "");
}

void kvpbus_lab_request_enumerate(struct kvpbus_lab_request *request, uint8_t pool, uint32_t index)
{
    fill(request, KVP_OP_ENUMERATE, pool, "", "");
    request->index = index;
}
