// SPDX-License-Identifier: Apache-2.0
//
// A store that lives in store_agent.exe under Wine, here as any other: suites that know nothing of
// Windows run over it. One call at a time.
#ifndef KVPBUS_TESTS_STORE_PROXY_H
#define KVPBUS_TESTS_STORE_PROXY_H

#include "kvpbus/store.h"
#include "wine_fixture.h"

// Starts the agent and has it open a store of this kind; gives what became of that.
enum kvpbus_error store_proxy_open(const struct wine *wine, const char *kind,
                                   struct kvpbus_store **store, struct kvpbus_failure *failure);

// The registry beside the store: a value of HKLM\SOFTWARE\Microsoft\Virtual Machine\<key>. Both
// return the Win32 code. The types are those of winnt.h.
enum { STORE_PROXY_SZ = 1, STORE_PROXY_BINARY = 3, STORE_PROXY_DWORD = 4 };
int64_t store_proxy_set_value(struct kvpbus_store *store, const char *key, const char *name,
                              uint32_t type, const void *data, size_t size);
// `size` is that of the buffer, and then of the value.
int64_t store_proxy_get_value(struct kvpbus_store *store, const char *key, const char *name,
                              uint32_t *type, void *data, size_t *size);

#endif
