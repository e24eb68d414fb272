// SPDX-License-Identifier: Apache-2.0
//
// An event is waited for on a thread of the system's pool, once at a time: after each notice the
// loop acknowledges it and has the next one waited for, so that no notice is given twice.
#include <stdlib.h>

#include "store_notice.h"

struct kvpbus_store_notice {
    uv_async_t wake;
    HANDLE wait; // NULL: none is registered
    struct kvpbus_store *store;
    kvpbus_store_notice_fn *changed;
    void *context;
};

static void CALLBACK on_event(PVOID context, BOOLEAN timed_out)
{
    struct kvpbus_store_notice *notice = context;
    (void)timed_out;
    uv_async_send(&notice->wake);
}

static bool wait_for_next(struct kvpbus_store_notice *notice)
{
    HANDLE event = notice->store->ops->notice_fd(notice->store);
    return RegisterWaitForSingleObject(&notice->wait, event, on_event, notice, INFINITE,
                                       WT_EXECUTEONLYONCE) != 0;
}

// When it has returned, on_event does not run any more.
static void end_wait(struct kvpbus_store_notice *notice)
{
    if (notice->wait != NULL)
        UnregisterWaitEx(notice->wait, INVALID_HANDLE_VALUE);
    notice->wait = NULL;
}

static void on_wake(uv_async_t *wake)
{
    struct kvpbus_store_notice *notice = wake->data;
    end_wait(notice);
    notice->store->ops->acknowledge_notice(notice->store);
    // Should no wait be had, the store is polled from now on.
    (void)wait_for_next(notice);
    notice->changed(notice->context);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

struct kvpbus_store_notice *kvpbus_store_notice_watch(uv_loop_t *loop, struct kvpbus_store *store,
                                                      kvpbus_store_notice_fn *changed,
                                                      void *context)
{
    struct kvpbus_store_notice *notice =
        store->ops->notice_fd(store) != KVPBUS_NO_NOTICE ? calloc(1, sizeof *notice) : NULL;
    if (notice == NULL || uv_async_init(loop, &notice->wake, on_wake) != 0) {
        free(notice);
        return NULL;
    }
    notice->store = store;
    notice->changed = changed;
    notice->context = context;
    notice->wake.data = notice;
    uv_unref((uv_handle_t *)&notice->wake);
    if (!wait_for_next(notice)) {
        uv_close((uv_handle_t *)&notice->wake, on_closed);
        return NULL;
    }
    return notice;
}

void kvpbus_store_notice_end(struct kvpbus_store_notice *notice)
{
    if (notice == NULL)
        return;
    end_wait(notice);
    uv_close((uv_handle_t *)&notice->wake, on_closed);
}
