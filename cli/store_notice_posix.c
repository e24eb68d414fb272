// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "store_notice.h"

struct kvpbus_store_notice {
    uv_poll_t poll;
    struct kvpbus_store *store;
    kvpbus_store_notice_fn *changed;
    void *context;
};

static void on_notice(uv_poll_t *poll, int status, int events)
{
    struct kvpbus_store_notice *notice = poll->data;
    (void)status;
    (void)events;
    notice->store->ops->acknowledge_notice(notice->store);
    notice->changed(notice->context);
}

struct kvpbus_store_notice *kvpbus_store_notice_watch(uv_loop_t *loop, struct kvpbus_store *store,
                                                      kvpbus_store_notice_fn *changed,
                                                      void *context)
{
    kvpbus_notice descriptor = store->ops->notice_fd(store);
    struct kvpbus_store_notice *notice =
        descriptor != KVPBUS_NO_NOTICE ? calloc(1, sizeof *notice) : NULL;
    if (notice == NULL)
        return NULL;
    if (uv_poll_init(loop, &notice->poll, descriptor) != 0) {
        free(notice);
        return NULL;
    }
    notice->store = store;
    notice->changed = changed;
    notice->context = context;
    notice->poll.data = notice;
    uv_unref((uv_handle_t *)&notice->poll);
    uv_poll_start(&notice->poll, UV_READABLE, on_notice);
    return notice;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void kvpbus_store_notice_end(struct kvpbus_store_notice *notice)
{
    if (notice != NULL)
        uv_close((uv_handle_t *)&notice->poll, on_closed);
}
