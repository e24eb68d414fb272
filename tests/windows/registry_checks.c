// SPDX-License-Identifier: Apache-2.0
//
// registry_checks.exe GROUP: the registry store with what only a registry has: types, spellings,
// views, keys that come and go, access lists, notices. In a place of its own below HKLM\SOFTWARE.
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "check.h"
#include "registry_store.h"

#include <aclapi.h>

#define BASE L"SOFTWARE\\Kvpbus Checks"

enum { LONG_WAIT_MS = 20000, NO_WAIT_MS = 200 };

static const struct kvpbus_registry_place place = {HKEY_LOCAL_MACHINE, BASE, L"Guest", L"External"};
static struct kvpbus_store *store;
static struct kvpbus_scan scan;
static struct kvpbus_failure failure;

// --- the registry, by hand ---

static HKEY key_of(const wchar_t *name, REGSAM view)
{
    wchar_t path[128];
    HKEY key = NULL;
    swprintf(path, 128, name[0] == L'\0' ? L"%ls" : L"%ls\\%ls", BASE, name);
    CHECK(RegCreateKeyExW(HKEY_LOCAL_MACHINE, path, 0, NULL, 0, KEY_ALL_ACCESS | view, NULL, &key,
                          NULL) == ERROR_SUCCESS);
    return key;
}

static void make_key(const wchar_t *name)
{
    RegCloseKey(key_of(name, KEY_WOW64_64KEY));
}

static void delete_key(const wchar_t *name)
{
    HKEY base = key_of(L"", KEY_WOW64_64KEY);
    CHECK(RegDeleteTreeW(base, name) == ERROR_SUCCESS);
    RegCloseKey(base);
}

static void set_raw(const wchar_t *key_name, const wchar_t *name, DWORD type, const void *data,
                    size_t size)
{
    HKEY key = key_of(key_name, KEY_WOW64_64KEY);
    CHECK(RegSetValueExW(key, name, 0, type, data, (DWORD)size) == ERROR_SUCCESS);
    RegCloseKey(key);
}

static void set_text(const wchar_t *key_name, const wchar_t *name, const wchar_t *text)
{
    set_raw(key_name, name, REG_SZ, text, (wcslen(text) + 1) * sizeof *text);
}

static bool holds(const wchar_t *key_name, const wchar_t *name, DWORD type, const void *data,
                  size_t size)
{
    static BYTE found[131072];
    DWORD found_size = sizeof found, found_type;
    HKEY key = key_of(key_name, KEY_WOW64_64KEY);
    LSTATUS status = RegQueryValueExW(key, name, NULL, &found_type, found, &found_size);
    RegCloseKey(key);
    return status == ERROR_SUCCESS && found_type == type && found_size == size &&
           memcmp(found, data, size) == 0;
}

// True when the key has a value that is spelt exactly so.
static bool is_spelt(const wchar_t *key_name, const wchar_t *spelling)
{
    wchar_t name[300];
    bool found = false;
    HKEY key = key_of(key_name, KEY_WOW64_64KEY);
    for (DWORD i = 0; !found; i++) {
        DWORD length = 300;
        if (RegEnumValueW(key, i, name, &length, NULL, NULL, NULL, NULL) != ERROR_SUCCESS)
            break;
        found = wcscmp(name, spelling) == 0;
    }
    RegCloseKey(key);
    return found;
}

// --- the store ---

static void open_store(void)
{
    CHECK(kvpbus_registry_store_open_at(&place, "kvpbus", &store, &failure) == KVPBUS_OK);
    if (store == NULL)
        exit(checks_end());
}

static void begin(void)
{
    make_key(L"Guest");
    make_key(L"External");
    open_store();
}

static enum kvpbus_error write_one(const char *key, const char *value)
{
    const struct kvpbus_change change = {key, value};
    enum kvpbus_error result = KVPBUS_INTERNAL;
    enum kvpbus_error error = store->ops->write(store, &change, 1, &result, &failure);
    CHECK(error == result);
    return error;
}

static void read_own(void)
{
    CHECK(store->ops->read_own(store, &scan, &failure) == KVPBUS_OK);
}

static void read_peer(void)
{
    CHECK(store->ops->read_peer(store, &scan, &failure) == KVPBUS_OK);
}

static const char *value_of(const char *key)
{
    for (size_t i = 0; i < scan.count; i++)
        if (strcmp(scan.items[i].key, key) == 0)
            return scan.items[i].value;
    return "(none)";
}

static bool noticed(DWORD wait_ms)
{
    return WaitForSingleObject(store->ops->notice_fd(store), wait_ms) == WAIT_OBJECT_0;
}

// --- types and lengths ---

static void check_types(void)
{
    static const BYTE bytes[5] = {1, 2, 3, 4, 5};
    const DWORD number = 7;
    begin();
    set_raw(L"External", L"kvpbus.00", REG_DWORD, &number, sizeof number);
    set_raw(L"External", L"kvpbus.01", REG_BINARY, bytes, sizeof bytes);
    set_raw(L"External", L"kvpbus.02", REG_EXPAND_SZ, L"a", 2 * sizeof(wchar_t));
    set_raw(L"External", L"kvpbus.03", REG_MULTI_SZ, L"a\0", 3 * sizeof(wchar_t));
    set_raw(L"External", L"kvpbus.04", REG_NONE, NULL, 0);
    set_raw(L"External", L"other", REG_DWORD, &number, sizeof number);
    set_text(L"External", L"", L"the key's default value");
    set_text(L"External", L"kvpbus.05", L"whole");
    read_peer();
    CHECK(scan.count == 1 && scan.skipped == 5 && scan.foreign == 2);
    CHECK(strcmp(value_of("kvpbus.05"), "whole") == 0);
    CHECK(holds(L"External", L"kvpbus.00", REG_DWORD, &number, sizeof number));
    CHECK(holds(L"External", L"other", REG_DWORD, &number, sizeof number));
    // A value of another type under a key of ours is in its place, and is replaced.
    set_raw(L"Guest", L"kvpbus.h", REG_DWORD, &number, sizeof number);
    CHECK(write_one("kvpbus.h", "text") == KVPBUS_OK);
    CHECK(holds(L"Guest", L"kvpbus.h", REG_SZ, L"text", 5 * sizeof(wchar_t)));
}

static void check_lengths(void)
{
    static wchar_t text[40000], name[600];
    wmemset(text, L'v', 39999);
    set_raw(L"External", L"kvpbus.10", REG_SZ, L"abcd", 3 * sizeof(wchar_t));   // no NUL
    set_raw(L"External", L"kvpbus.11", REG_SZ, L"abcd", 5);                     // half a character
    set_raw(L"External", L"kvpbus.12", REG_SZ, L"ab\0cd", 6 * sizeof(wchar_t)); // ends at the first
    set_raw(L"External", L"kvpbus.13", REG_SZ, L"", 0);
    set_raw(L"External", L"kvpbus.14", REG_SZ, L"", sizeof(wchar_t));
    set_raw(L"External", L"kvpbus.15", REG_SZ, text, 1022 * sizeof *text); // full, and no NUL
    set_text(L"External", L"kvpbus.16", L"\x00e4");
    set_text(L"External", L"other long", text);
    set_text(L"External", L"kvpbus.17", text);
    text[1023] = L'\0';
    set_text(L"External", L"kvpbus.18", text);
    text[1022] = L'\0';
    set_text(L"External", L"kvpbus.19", text);
    wcscpy(name, L"kvpbus.");
    wmemset(name + 7, L'n', 248);
    set_text(L"External", name, L"255 characters");
    name[254] = L'\0';
    set_text(L"External", name, L"254 characters");
    read_peer();
    CHECK(scan.count == 5); // with the one of check_types
    CHECK(strcmp(value_of("kvpbus.12"), "ab") == 0);
    CHECK(strcmp(value_of("kvpbus.14"), "") == 0);
    CHECK(strlen(value_of("kvpbus.19")) == KVPBUS_VALUE_MAX);
    CHECK(scan.skipped == 5 + 8 && scan.foreign == 3);
}

static void check_many(void)
{
    enum { MANY = 16384 + 100 };
    wchar_t name[32];
    HKEY key = key_of(L"Guest", KEY_WOW64_64KEY);
    LSTATUS status = ERROR_SUCCESS;
    for (int i = 0; i < MANY && status == ERROR_SUCCESS; i++) {
        swprintf(name, 32, L"foreign %d", i);
        status = RegSetValueExW(key, name, 0, REG_SZ, (const BYTE *)L"", 2);
    }
    CHECK(status == ERROR_SUCCESS);
    RegCloseKey(key);
    read_own();
    CHECK(scan.count <= 1 && scan.count + scan.foreign == MANY + 1);
    CHECK(write_one("kvpbus.h", "among many") == KVPBUS_OK);
    CHECK(holds(L"Guest", L"kvpbus.h", REG_SZ, L"among many", 11 * sizeof(wchar_t)));
}

static void values(void)
{
    check_types();
    check_lengths();
    check_many();
}

// --- names ---

static void names(void)
{
    begin();
    // The host's guest service keeps the spelling that somebody else made a value with.
    set_text(L"External", L"KVPBUS.H", L"shouted");
    set_text(L"External", L"Kvpbusx.h", L"foreign");
    read_peer();
    CHECK(scan.count == 1 && scan.foreign == 1);
    CHECK(strcmp(value_of("kvpbus.h"), "shouted") == 0);

    set_text(L"Guest", L"KVPBUS.00", L"in the way");
    read_own();
    CHECK(scan.count == 0 && scan.foreign == 1);
    CHECK(write_one("kvpbus.00", "ours") == KVPBUS_OK);
    CHECK(is_spelt(L"Guest", L"kvpbus.00") && !is_spelt(L"Guest", L"KVPBUS.00"));
    read_own();
    CHECK(scan.count == 1 && strcmp(value_of("kvpbus.00"), "ours") == 0);

    // Two spellings in one write, of which one is to go.
    set_text(L"Guest", L"kvpbus.S", L"spelt wrongly");
    const struct kvpbus_change both[] = {{"kvpbus.s", "right"}, {"kvpbus.S", NULL}};
    enum kvpbus_error results[2];
    CHECK(store->ops->write(store, both, 2, results, &failure) == KVPBUS_OK);
    CHECK(is_spelt(L"Guest", L"kvpbus.s") && !is_spelt(L"Guest", L"kvpbus.S"));
    read_own();
    CHECK(strcmp(value_of("kvpbus.s"), "right") == 0);

    // What 32-bit programs write is in another place.
    HKEY key = key_of(L"External", KEY_WOW64_32KEY);
    CHECK(RegSetValueExW(key, L"kvpbus.32", 0, REG_SZ, (const BYTE *)L"x", 4) == ERROR_SUCCESS);
    RegCloseKey(key);
    read_peer();
    CHECK(strcmp(value_of("kvpbus.32"), "(none)") == 0);
}

// --- keys that are missing, come and go ---

static void missing_base(void)
{
    struct kvpbus_store *none = NULL;
    CHECK(kvpbus_registry_store_open(KVPBUS_REGISTRY_GUEST, "kvpbus", &none, &failure) ==
          KVPBUS_NOT_HYPERV);
    CHECK(none == NULL && failure.os_code == ERROR_FILE_NOT_FOUND);
    CHECK(strstr(failure.detail, "not a Hyper-V guest") != NULL);
    CHECK(strstr(failure.detail, "SOFTWARE\\Microsoft\\Virtual Machine") != NULL);
    CHECK(strstr(failure.detail, "(2)") != NULL);
    CHECK(kvpbus_registry_store_open(KVPBUS_REGISTRY_GUEST, "Bad prefix", &none, &failure) ==
          KVPBUS_INVALID_ARGUMENT);
}

static void keys(void)
{
    missing_base();
    make_key(L"");
    open_store();
    read_own();
    CHECK(scan.count == 0);
    read_peer();
    CHECK(scan.count == 0);
    CHECK(write_one("kvpbus.h", NULL) == KVPBUS_OK);
    HKEY own = NULL;
    CHECK(RegOpenKeyExW(HKEY_LOCAL_MACHINE, BASE L"\\Guest", 0, KEY_READ | KEY_WOW64_64KEY, &own) ==
          ERROR_FILE_NOT_FOUND);
    CHECK(write_one("kvpbus.h", "first") == KVPBUS_OK);
    read_own();
    CHECK(strcmp(value_of("kvpbus.h"), "first") == 0);
    store->ops->acknowledge_notice(store); // of the own key, which was made beside the peer's

    make_key(L"External");
    CHECK(noticed(LONG_WAIT_MS));
    store->ops->acknowledge_notice(store);
    set_text(L"External", L"kvpbus.h", L"new");
    CHECK(noticed(LONG_WAIT_MS));
    store->ops->acknowledge_notice(store);
    read_peer();
    CHECK(strcmp(value_of("kvpbus.h"), "new") == 0);

    // Removed and made again, as when Data Exchange is switched off and on: found at a read.
    delete_key(L"External");
    store->ops->acknowledge_notice(store);
    read_peer();
    CHECK(scan.count == 0);
    make_key(L"External");
    read_peer();
    store->ops->acknowledge_notice(store);
    set_text(L"External", L"kvpbus.h", L"back");
    CHECK(noticed(LONG_WAIT_MS));

    CHECK(RegDeleteTreeW(HKEY_LOCAL_MACHINE, BASE) == ERROR_SUCCESS);
    CHECK(store->ops->read_own(store, &scan, &failure) == KVPBUS_STORE_GONE);
    CHECK(failure.os_code == ERROR_FILE_NOT_FOUND && scan.count == 0);
    CHECK(store->ops->read_peer(store, &scan, &failure) == KVPBUS_STORE_GONE);
    CHECK(write_one("kvpbus.h", "lost") == KVPBUS_STORE_GONE);
    store->ops->acknowledge_notice(store);
    begin();
    CHECK(write_one("kvpbus.h", "anew") == KVPBUS_OK);
}

// --- access ---

// Nobody may use the rights on the key from now on.
static void deny(const wchar_t *name, DWORD rights)
{
    static wchar_t everyone[] = L"EVERYONE";
    EXPLICIT_ACCESSW entries[2] = {{.grfAccessPermissions = rights,
                                    .grfAccessMode = DENY_ACCESS,
                                    .grfInheritance = NO_INHERITANCE},
                                   {.grfAccessPermissions = KEY_ALL_ACCESS,
                                    .grfAccessMode = SET_ACCESS,
                                    .grfInheritance = NO_INHERITANCE}};
    ACL *list = NULL;
    for (int i = 0; i < 2; i++) {
        entries[i].Trustee.TrusteeForm = TRUSTEE_IS_NAME;
        entries[i].Trustee.ptstrName = everyone;
    }
    SECURITY_DESCRIPTOR descriptor;
    CHECK(SetEntriesInAclW(2, entries, NULL, &list) == ERROR_SUCCESS);
    CHECK(InitializeSecurityDescriptor(&descriptor, SECURITY_DESCRIPTOR_REVISION) != 0);
    CHECK(SetSecurityDescriptorDacl(&descriptor, TRUE, list, FALSE) != 0);
    HKEY key = key_of(name, KEY_WOW64_64KEY);
    CHECK(RegSetKeySecurity(key, DACL_SECURITY_INFORMATION, &descriptor) == ERROR_SUCCESS);
    RegCloseKey(key);
    LocalFree(list);
}

static void expect_no_access(void)
{
    struct kvpbus_store *none = NULL;
    CHECK(kvpbus_registry_store_open_at(&place, "kvpbus", &none, &failure) == KVPBUS_ACCESS);
    CHECK(none == NULL && failure.os_code == ERROR_ACCESS_DENIED);
    CHECK(strstr(failure.detail, "administrator") != NULL);
    CHECK(strstr(failure.detail, "(5)") != NULL);
}

static void access(void)
{
    begin();
    deny(L"Guest", KEY_SET_VALUE);
    CHECK(write_one("kvpbus.h", "no") == KVPBUS_ACCESS);
    CHECK(failure.os_code == ERROR_ACCESS_DENIED);
    read_own();
    expect_no_access();
    make_key(L"External");
    deny(L"External", KEY_QUERY_VALUE);
    CHECK(store->ops->read_peer(store, &scan, &failure) == KVPBUS_ACCESS);
    deny(L"", KEY_QUERY_VALUE);
    expect_no_access();
}

// --- notices ---

enum { BURST = 3000 };

static DWORD WINAPI write_burst(void *context)
{
    wchar_t text[16];
    HKEY key = context;
    for (int i = 1; i <= BURST; i++) {
        int length = swprintf(text, 16, L"%d", i);
        RegSetValueExW(key, L"kvpbus.s", 0, REG_SZ, (const BYTE *)text, (DWORD)(2 * length + 2));
        if (i % 500 == 0)
            Sleep(1);
    }
    return 0;
}

// Whatever is written while a notice is acknowledged and read: the last of it is always seen.
static void check_burst(void)
{
    HKEY key = key_of(L"External", KEY_WOW64_64KEY);
    HANDLE writer = CreateThread(NULL, 0, write_burst, key, 0, NULL);
    char last[16];
    bool seen = false;
    snprintf(last, sizeof last, "%d", BURST);
    CHECK(writer != NULL);
    while (!seen && noticed(LONG_WAIT_MS)) {
        store->ops->acknowledge_notice(store);
        read_peer();
        seen = strcmp(value_of("kvpbus.s"), last) == 0;
    }
    CHECK(seen);
    WaitForSingleObject(writer, INFINITE);
    CloseHandle(writer);
    RegCloseKey(key);
}

static DWORD WINAPI acknowledge(void *context)
{
    store->ops->acknowledge_notice(context);
    return 0;
}

// The thread that sets a watch may end before it fires.
static void check_threads(void)
{
    set_text(L"External", L"kvpbus.h", L"a");
    CHECK(noticed(LONG_WAIT_MS));
    HANDLE thread = CreateThread(NULL, 0, acknowledge, store, 0, NULL);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    CHECK(!noticed(NO_WAIT_MS));
    set_text(L"External", L"kvpbus.h", L"b");
    CHECK(noticed(LONG_WAIT_MS));
    store->ops->acknowledge_notice(store);
}

// Items stay whole for who reads them while values come and go around them.
static void check_churn(void)
{
    HKEY key = key_of(L"External", KEY_WOW64_64KEY);
    HANDLE writer = CreateThread(NULL, 0, write_burst, key, 0, NULL);
    wchar_t name[32];
    for (int i = 0; i < 300; i++) {
        swprintf(name, 32, L"kvpbus.%02d", i % 10);
        RegSetValueExW(key, name, 0, REG_SZ, (const BYTE *)L"short", 12);
        if (i % 3 == 0)
            RegDeleteValueW(key, name);
        read_peer();
        for (size_t j = 0; j < scan.count; j++)
            if (strcmp(scan.items[j].key, "kvpbus.s") != 0 && strlen(scan.items[j].key) == 9)
                CHECK(strcmp(scan.items[j].value, "short") == 0);
    }
    WaitForSingleObject(writer, INFINITE);
    CloseHandle(writer);
    RegCloseKey(key);
}

static void check_handles(void)
{
    DWORD before = 0, after = 0;
    CHECK(GetProcessHandleCount(GetCurrentProcess(), &before) != 0);
    for (int i = 0; i < 500; i++) {
        store->ops->acknowledge_notice(store);
        read_peer();
        read_own();
        CHECK(write_one("kvpbus.h", i % 2 == 0 ? "even" : "odd") == KVPBUS_OK);
    }
    CHECK(GetProcessHandleCount(GetCurrentProcess(), &after) != 0);
    CHECK(after <= before + 2);
}

static void notices(void)
{
    begin();
    CHECK(!noticed(0));
    check_burst();
    store->ops->acknowledge_notice(store);
    check_threads();
    check_churn();
    check_handles();
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } groups[] = {{"values", values},
                  {"names", names},
                  {"keys", keys},
                  {"access", access},
                  {"notices", notices}};
    for (size_t i = 0; argc == 2 && i < sizeof groups / sizeof *groups; i++) {
        if (strcmp(argv[1], groups[i].name) != 0)
            continue;
        groups[i].run();
        kvpbus_store_close(store);
        kvpbus_scan_free(&scan);
        return checks_end();
    }
    puts("takes the name of a group");
    return 2;
}
