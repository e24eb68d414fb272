// SPDX-License-Identifier: Apache-2.0
//
// store_agent.exe KIND: opens a store and serves its contract over standard input and output
// (agent.proto), so that suites which run on Linux can test it. Kinds: registry, registry-auto,
// and registry-host, the mirror image of the first: it writes what that reads; wmi:VM, a VM's store
// as the host sees it over WMI, and wmi-auto:VM, whose guest may write into Auto;
// lab:127.0.0.1:PORT/VM, the same over the lab's own API. Ends with its input.
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.pb-c.h"
#include "frame.h"
#include "kvpbus/management.h"
#include "registry_store.h"

enum { FRAME_MAX = 1024 * 1024 };

static struct kvpbus_store *store;

// Held while anything is written, and between a notice and its acknowledgement.
static CRITICAL_SECTION output_lock;
static bool notice_told;
static HANDLE acknowledged; // set after each acknowledgement

static void die(const char *why)
{
    fprintf(stderr, "store_agent: %s\n", why);
    exit(3);
}

static bool read_all(uint8_t *bytes, size_t length)
{
    for (size_t got = 0; got < length;) {
        int step = _read(0, bytes + got, (unsigned)(length - got));
        if (step <= 0)
            return false;
        got += (size_t)step;
    }
    return true;
}

static void write_all(const uint8_t *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        int step = _write(1, bytes + done, (unsigned)(length - done));
        if (step <= 0)
            die("nobody reads its output");
        done += (size_t)step;
    }
}

// With the lock held.
static void send_reply(const Agent__AgentReply *reply)
{
    size_t length = agent__agent_reply__get_packed_size(reply);
    uint8_t *bytes = malloc(KVPBUS_FRAME_HEAD + length);
    if (bytes == NULL)
        die("out of memory");
    kvpbus_frame_head(bytes, length);
    agent__agent_reply__pack(reply, bytes + KVPBUS_FRAME_HEAD);
    write_all(bytes, KVPBUS_FRAME_HEAD + length);
    free(bytes);
}

static DWORD WINAPI watch_notices(void *context)
{
    (void)context;
    const HANDLE event = store->ops->notice_fd(store);
    while (WaitForSingleObject(event, INFINITE) == WAIT_OBJECT_0) {
        EnterCriticalSection(&output_lock);
        // It may have been acknowledged before the lock was had.
        bool tell = WaitForSingleObject(event, 0) == WAIT_OBJECT_0;
        if (tell) {
            Agent__AgentReply reply = AGENT__AGENT_REPLY__INIT;
            reply.notice = true;
            notice_told = true;
            send_reply(&reply);
        }
        LeaveCriticalSection(&output_lock);
        if (tell)
            WaitForSingleObject(acknowledged, INFINITE);
    }
    return 0;
}

static void fill_failure(Agent__AgentReply *reply, enum kvpbus_error error,
                         struct kvpbus_failure *failure)
{
    reply->error = error;
    reply->os_code = failure->os_code;
    reply->detail = failure->detail;
}

static void answer(const Agent__AgentReply *reply)
{
    EnterCriticalSection(&output_lock);
    send_reply(reply);
    LeaveCriticalSection(&output_lock);
}

static void read_items(bool own)
{
    struct kvpbus_scan scan = {0};
    struct kvpbus_failure failure = {0};
    Agent__AgentReply reply = AGENT__AGENT_REPLY__INIT;
    enum kvpbus_error error = own ? store->ops->read_own(store, &scan, &failure)
                                  : store->ops->read_peer(store, &scan, &failure);
    Agent__Item *items = calloc(scan.count + 1, sizeof *items);
    Agent__Item **pointers = calloc(scan.count + 1, sizeof *pointers);
    if (items == NULL || pointers == NULL)
        die("out of memory");
    for (size_t i = 0; i < scan.count; i++) {
        agent__item__init(&items[i]);
        items[i].key = scan.items[i].key;
        items[i].value = scan.items[i].value;
        pointers[i] = &items[i];
    }
    fill_failure(&reply, error, &failure);
    reply.n_items = scan.count;
    reply.items = pointers;
    reply.foreign = scan.foreign;
    reply.skipped = scan.skipped;
    answer(&reply);
    free(items);
    free(pointers);
    kvpbus_scan_free(&scan);
}

static void write_items(const Agent__AgentRequest *request)
{
    enum { ROOM = KVPBUS_CHANGES_MAX + 1 };
    struct kvpbus_change changes[ROOM];
    enum kvpbus_error results[ROOM] = {KVPBUS_OK};
    uint32_t numbers[ROOM];
    struct kvpbus_failure failure = {0};
    Agent__AgentReply reply = AGENT__AGENT_REPLY__INIT;
    if (request->n_changes > ROOM)
        die("more changes than a test has");
    for (size_t i = 0; i < request->n_changes; i++) {
        const Agent__Change *change = request->changes[i];
        changes[i] = (struct kvpbus_change){change->key, change->remove ? NULL : change->value};
    }
    enum kvpbus_error error =
        store->ops->write(store, changes, request->n_changes, results, &failure);
    for (size_t i = 0; i < request->n_changes; i++)
        numbers[i] = results[i];
    fill_failure(&reply, error, &failure);
    reply.n_results = request->n_changes;
    reply.results = numbers;
    answer(&reply);
}

static void acknowledge(void)
{
    Agent__AgentReply reply = AGENT__AGENT_REPLY__INIT;
    EnterCriticalSection(&output_lock);
    store->ops->acknowledge_notice(store);
    if (notice_told)
        SetEvent(acknowledged);
    notice_told = false;
    send_reply(&reply);
    LeaveCriticalSection(&output_lock);
}

// --- the registry itself ---

static HKEY open_key(const char *name)
{
    wchar_t path[512], wide[64];
    HKEY key;
    if (MultiByteToWideChar(CP_UTF8, 0, name, -1, wide, 64) == 0)
        die("a key's name is too long");
    swprintf(path, 512, L"%ls\\%ls", KVPBUS_REGISTRY_BASE, wide);
    if (RegCreateKeyExW(HKEY_LOCAL_MACHINE, path, 0, NULL, 0, KEY_ALL_ACCESS | KEY_WOW64_64KEY,
                        NULL, &key, NULL) != ERROR_SUCCESS)
        die("a key cannot be made");
    return key;
}

static void set_value(const Agent__Value *value)
{
    static wchar_t name[16384];
    Agent__AgentReply reply = AGENT__AGENT_REPLY__INIT;
    HKEY key = open_key(value->key);
    if (MultiByteToWideChar(CP_UTF8, 0, value->name, -1, name, 16384) == 0)
        die("a name is too long");
    reply.os_code =
        RegSetValueExW(key, name, 0, value->type, value->data.data, (DWORD)value->data.len);
    RegCloseKey(key);
    answer(&reply);
}

static void get_value(const Agent__Value *value)
{
    static wchar_t name[16384];
    static uint8_t data[65536];
    DWORD size = sizeof data, type;
    Agent__AgentReply reply = AGENT__AGENT_REPLY__INIT;
    Agent__Value found = AGENT__VALUE__INIT;
    HKEY key = open_key(value->key);
    if (MultiByteToWideChar(CP_UTF8, 0, value->name, -1, name, 16384) == 0)
        die("a name is too long");
    reply.os_code = RegQueryValueExW(key, name, NULL, &type, data, &size);
    RegCloseKey(key);
    if (reply.os_code == ERROR_SUCCESS) {
        found.type = type;
        found.data.data = data;
        found.data.len = size;
        reply.value = &found;
    }
    answer(&reply);
}

static void serve(const Agent__AgentRequest *request)
{
    switch (request->operation) {
    case AGENT__OPERATION__READ_OWN:
        read_items(true);
        break;
    case AGENT__OPERATION__READ_PEER:
        read_items(false);
        break;
    case AGENT__OPERATION__WRITE:
        write_items(request);
        break;
    case AGENT__OPERATION__ACKNOWLEDGE:
        acknowledge();
        break;
    case AGENT__OPERATION__SET_VALUE:
        set_value(request->value);
        break;
    case AGENT__OPERATION__GET_VALUE:
        get_value(request->value);
        break;
    default:
        die("no such operation");
    }
}

static Agent__AgentRequest *next_request(void)
{
    uint8_t head[KVPBUS_FRAME_HEAD];
    static uint8_t bytes[FRAME_MAX];
    if (!read_all(head, sizeof head))
        return NULL;
    size_t length =
        (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | (size_t)head[3];
    if (length > FRAME_MAX || !read_all(bytes, length))
        die("a request that is too long or cut");
    Agent__AgentRequest *request = agent__agent_request__unpack(NULL, length, bytes);
    if (request == NULL)
        die("no request");
    return request;
}

// The management service is there until the process ends.
static enum kvpbus_error open_vm(struct kvpbus_management *management, const char *vm,
                                 struct kvpbus_failure *failure)
{
    struct kvpbus_vm found;
    enum kvpbus_error error = kvpbus_management_find(management, vm, &found, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_management_store_open(management, found.guid, "kvpbus", &store);
    return error;
}

static enum kvpbus_error open_wmi(const char *vm, bool guest_auto, struct kvpbus_failure *failure)
{
    const struct kvpbus_wmi_options options = {.guest_auto = guest_auto};
    struct kvpbus_management *management;
    enum kvpbus_error error = kvpbus_wmi_management_open(&options, &management, failure);
    return error == KVPBUS_OK ? open_vm(management, vm, failure) : error;
}

static enum kvpbus_error open_lab(const char *place, struct kvpbus_failure *failure)
{
    char address[64];
    struct kvpbus_management *management;
    snprintf(address, sizeof address, "%s", place);
    char *vm = strchr(address, '/');
    if (vm == NULL)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "there is no VM in %s", place);
    *vm++ = '\0';
    enum kvpbus_error error = kvpbus_lab_management_open(address, &management, failure);
    return error == KVPBUS_OK ? open_vm(management, vm, failure) : error;
}

static enum kvpbus_error open_store(const char *kind, struct kvpbus_failure *failure)
{
    const struct kvpbus_registry_place host = {HKEY_LOCAL_MACHINE, KVPBUS_REGISTRY_BASE,
                                               L"External", L"Guest"};
    if (strcmp(kind, "registry") == 0)
        return kvpbus_registry_store_open(KVPBUS_REGISTRY_GUEST, "kvpbus", &store, failure);
    if (strcmp(kind, "registry-auto") == 0)
        return kvpbus_registry_store_open(KVPBUS_REGISTRY_AUTO, "kvpbus", &store, failure);
    if (strcmp(kind, "registry-host") == 0)
        return kvpbus_registry_store_open_at(&host, "kvpbus", &store, failure);
    if (strncmp(kind, "wmi:", 4) == 0)
        return open_wmi(kind + 4, false, failure);
    if (strncmp(kind, "wmi-auto:", 9) == 0)
        return open_wmi(kind + 9, true, failure);
    if (strncmp(kind, "lab:", 4) == 0)
        return open_lab(kind + 4, failure);
    return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "there is no kind %s", kind);
}

int main(int argc, char **argv)
{
    struct kvpbus_failure failure = {0};
    Agent__AgentReply opened = AGENT__AGENT_REPLY__INIT;
    Agent__AgentRequest *request;
    if (argc != 2)
        die("takes the kind of store");
    _setmode(0, _O_BINARY);
    _setmode(1, _O_BINARY);
    InitializeCriticalSection(&output_lock);
    acknowledged = CreateEventW(NULL, FALSE, FALSE, NULL);
    fill_failure(&opened, open_store(argv[1], &failure), &failure);
    opened.has_notice = store != NULL && store->ops->notice_fd(store) != KVPBUS_NO_NOTICE;
    answer(&opened);
    if (store == NULL)
        return 1;
    if (opened.has_notice && CreateThread(NULL, 0, watch_notices, NULL, 0, NULL) == NULL)
        die("no thread");
    while ((request = next_request()) != NULL) {
        serve(request);
        agent__agent_request__free_unpacked(request, NULL);
    }
    // The thread that watches has the store until the process ends.
    return 0;
}
