// SPDX-License-Identifier: Apache-2.0
//
// A store's notices on a loop: what the store gives to wait for, waited for.
#ifndef KVPBUS_STORE_NOTICE_H
#define KVPBUS_STORE_NOTICE_H

#include <uv.h>

#include "kvpbus/store.h"

struct kvpbus_store_notice;

// On the loop's thread, when the notice has been acknowledged: the peer's store may have changed.
typedef void kvpbus_store_notice_fn(void *context);

// Watches the store, which must outlive it. NULL when it gives no notices, or they cannot be waited
// for: it is to be polled. Does not keep the loop alive.
struct kvpbus_store_notice *kvpbus_store_notice_watch(uv_loop_t *loop, struct kvpbus_store *store,
                                                      kvpbus_store_notice_fn *changed,
                                                      void *context);

// Ends it; the memory goes when the loop runs once more. NULL: nothing.
void kvpbus_store_notice_end(struct kvpbus_store_notice *notice);

#endif
