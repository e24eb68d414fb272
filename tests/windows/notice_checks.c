// SPDX-License-Identifier: Apache-2.0
//
// notice_checks.exe: a registry store's notices on a loop of libuv.
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "registry_store.h"
#include "store_notice.h"

#define BASE L"SOFTWARE\\Kvpbus Notices"

enum { LAST = 400, GUARD_MS = 20000 };

static const struct kvpbus_registry_place place = {HKEY_LOCAL_MACHINE, BASE, L"Guest", L"External"};
static uv_loop_t loop;
static struct kvpbus_store *store;
static unsigned notices;
static bool seen; // the last value

static HKEY make_key(const wchar_t *path)
{
    HKEY key = NULL;
    CHECK(RegCreateKeyExW(HKEY_LOCAL_MACHINE, path, 0, NULL, 0, KEY_ALL_ACCESS | KEY_WOW64_64KEY,
                          NULL, &key, NULL) == ERROR_SUCCESS);
    return key;
}

static void set_number(HKEY key, int number)
{
    wchar_t text[16];
    int length = swprintf(text, 16, L"%d", number);
    RegSetValueExW(key, L"kvpbus.s", 0, REG_SZ, (const BYTE *)text, (DWORD)(2 * length + 2));
}

static DWORD WINAPI write_all(void *context)
{
    for (int i = 1; i <= LAST; i++) {
        set_number(context, i);
        if (i % 10 == 0)
            Sleep(1);
    }
    return 0;
}

static void on_notice(void *context)
{
    struct kvpbus_scan scan = {0};
    char last[16];
    notices++;
    snprintf(last, sizeof last, "%d", LAST);
    CHECK(context == &loop);
    CHECK(store->ops->read_peer(store, &scan, NULL) == KVPBUS_OK);
    seen = scan.count == 1 && strcmp(scan.items[0].value, last) == 0;
    kvpbus_scan_free(&scan);
    if (seen)
        uv_stop(&loop);
}

static void on_guard(uv_timer_t *timer)
{
    (void)timer;
    uv_stop(&loop);
}

// Runs the loop until the last value was seen, or, should that not come, for a while.
static void run_loop(void)
{
    uv_timer_t guard;
    CHECK(uv_timer_init(&loop, &guard) == 0);
    uv_timer_start(&guard, on_guard, GUARD_MS, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&guard, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void check_without_notices(void)
{
    struct kvpbus_store *host, *guest;
    CHECK(kvpbus_memory_store_pair("kvpbus", &host, &guest) == KVPBUS_OK);
    CHECK(kvpbus_store_notice_watch(&loop, guest, on_notice, &loop) == NULL);
    kvpbus_store_notice_end(NULL);
    kvpbus_store_close(host);
    kvpbus_store_close(guest);
}

int main(void)
{
    CHECK(uv_loop_init(&loop) == 0);
    check_without_notices();
    RegCloseKey(make_key(BASE L"\\Guest"));
    HKEY key = make_key(BASE L"\\External");
    if (kvpbus_registry_store_open_at(&place, "kvpbus", &store, NULL) != KVPBUS_OK)
        return 3;
    struct kvpbus_store_notice *notice = kvpbus_store_notice_watch(&loop, store, on_notice, &loop);
    CHECK(notice != NULL);
    CHECK(uv_run(&loop, UV_RUN_DEFAULT) == 0); // it does not keep the loop alive

    HANDLE writer = CreateThread(NULL, 0, write_all, key, 0, NULL);
    run_loop();
    CHECK(seen && notices > 0 && notices <= LAST + 1);
    WaitForSingleObject(writer, INFINITE);
    CloseHandle(writer);

    // Ended with a notice under way, it gives none.
    set_number(key, 0);
    unsigned before = notices;
    kvpbus_store_notice_end(notice);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(notices == before);
    CHECK(uv_loop_close(&loop) == 0);
    kvpbus_store_close(store);
    RegCloseKey(key);
    return checks_end();
}
