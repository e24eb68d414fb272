// SPDX-License-Identifier: Apache-2.0
//
// wmi_server.exe OPTIONS: opens the management service over WMI and serves it by the protocol of
// kvpbus-lab (proto/lab.proto) at a port of the loopback, so that what tests the lab's own client
// on Linux tests the WMI client too. Says "port N" when it can be reached, or "error N: why". Ends
// with its input, and then says what of COM is still held. Options: --host NAME, --user NAME
// --password WORD, --v1, --auto, --deadline MS.
#include <winsock2.h>
// After winsock2.h.
#include <windows.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "kvpbus/management.h"
#include "lab.pb-c.h"
#include "provider_count.h"
#include "wmi_management.h"

enum { REQUEST_MAX = 512 * 1024, GUIDS_MAX = 256, ITEMS_MAX = 256 };

static struct kvpbus_management *management;

static void die(const char *why)
{
    printf("error 0: %s\n", why);
    exit(3);
}

// --- replies ---

static bool send_reply(SOCKET channel, const Kvpbus__Lab__Reply *reply)
{
    size_t length = kvpbus__lab__reply__get_packed_size(reply), done = 0;
    uint8_t *bytes = malloc(KVPBUS_FRAME_HEAD + length);
    if (bytes == NULL)
        die("out of memory");
    kvpbus_frame_head(bytes, length);
    kvpbus__lab__reply__pack(reply, bytes + KVPBUS_FRAME_HEAD);
    length += KVPBUS_FRAME_HEAD;
    while (done < length) {
        int step = send(channel, (const char *)bytes + done, (int)(length - done), 0);
        if (step <= 0)
            break;
        done += (size_t)step;
    }
    free(bytes);
    return done == length;
}

static bool reply_error(SOCKET channel, enum kvpbus_error error,
                        const struct kvpbus_failure *failure)
{
    Kvpbus__Lab__Reply reply = KVPBUS__LAB__REPLY__INIT;
    reply.error = error;
    reply.detail = (char *)failure->detail;
    return send_reply(channel, &reply);
}

static bool list(SOCKET channel)
{
    struct kvpbus_failure failure = {0};
    struct kvpbus_vm *vms;
    size_t count;
    enum kvpbus_error error = management->ops->list(management, &vms, &count, &failure);
    if (error != KVPBUS_OK)
        return reply_error(channel, error, &failure);
    Kvpbus__Lab__Reply reply = KVPBUS__LAB__REPLY__INIT;
    Kvpbus__Lab__Vm *messages = calloc(count + 1, sizeof *messages);
    reply.vms = calloc(count + 1, sizeof *reply.vms);
    if (messages == NULL || reply.vms == NULL)
        die("out of memory");
    for (size_t i = 0; i < count; i++) {
        kvpbus__lab__vm__init(&messages[i]);
        messages[i].guid.data = vms[i].guid;
        messages[i].guid.len = KVPBUS_GUID_BYTES;
        messages[i].name = vms[i].name;
        messages[i].state = vms[i].state;
        messages[i].exchange_enabled = vms[i].exchange_enabled;
        reply.vms[i] = &messages[i];
    }
    reply.n_vms = count;
    bool sent = send_reply(channel, &reply);
    free(reply.vms);
    free(messages);
    free(vms);
    return sent;
}

static bool reply_scan(SOCKET channel, enum kvpbus_error error, size_t index, bool more,
                       const struct kvpbus_scan *scan)
{
    Kvpbus__Lab__Reply reply = KVPBUS__LAB__REPLY__INIT;
    Kvpbus__Lab__Item *messages = calloc(scan->count + 1, sizeof *messages);
    reply.items = calloc(scan->count + 1, sizeof *reply.items);
    if (messages == NULL || reply.items == NULL)
        die("out of memory");
    for (size_t i = 0; i < scan->count; i++) {
        kvpbus__lab__item__init(&messages[i]);
        messages[i].key.data = (uint8_t *)scan->items[i].key;
        messages[i].key.len = strlen(scan->items[i].key);
        messages[i].value.data = (uint8_t *)scan->items[i].value;
        messages[i].value.len = strlen(scan->items[i].value);
        reply.items[i] = &messages[i];
    }
    reply.error = error;
    reply.index = (uint32_t)index;
    reply.more = more;
    reply.n_items = scan->count;
    bool sent = send_reply(channel, &reply);
    free(reply.items);
    free(messages);
    return sent;
}

static bool read_guest(SOCKET channel, const Kvpbus__Lab__ReadGuest *request)
{
    size_t count = request->n_guids;
    struct kvpbus_scan *scans = calloc(GUIDS_MAX, sizeof *scans);
    enum kvpbus_error results[GUIDS_MAX];
    struct kvpbus_failure failure = {0};
    if (scans == NULL || count == 0 || count > GUIDS_MAX)
        die("a read of too many VMs");
    uint8_t(*own)[KVPBUS_GUID_BYTES] = calloc(count, sizeof *own);
    for (size_t i = 0; own != NULL && i < count; i++)
        memcpy(own[i], request->guids[i].data, KVPBUS_GUID_BYTES);
    enum kvpbus_error error =
        management->ops->read_guest(management, "kvpbus", (const uint8_t(*)[KVPBUS_GUID_BYTES])own,
                                    count, scans, results, &failure);
    bool sent = true;
    if (error != KVPBUS_OK)
        sent = reply_error(channel, error, &failure);
    for (size_t i = 0; error == KVPBUS_OK && sent && i < count; i++)
        sent = reply_scan(channel, results[i], i, i + 1 < count, &scans[i]);
    for (size_t i = 0; i < count; i++)
        kvpbus_scan_free(&scans[i]);
    free(scans);
    free(own);
    return sent;
}

static bool read_host(SOCKET channel, const Kvpbus__Lab__ReadHost *request)
{
    struct kvpbus_scan scan = {0};
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error =
        management->ops->read_host(management, "kvpbus", request->guid.data, &scan, &failure);
    bool sent = error == KVPBUS_OK ? reply_scan(channel, error, 0, false, &scan)
                                   : reply_error(channel, error, &failure);
    kvpbus_scan_free(&scan);
    return sent;
}

static char *text_of(const ProtobufCBinaryData *data)
{
    char *text = calloc(data->len + 1, 1);
    if (text == NULL)
        die("out of memory");
    memcpy(text, data->data, data->len);
    return text;
}

// The answer comes when the job has ended, so that its number need not be asked for.
static bool call(SOCKET channel, const Kvpbus__Lab__Call *request)
{
    struct kvpbus_change changes[ITEMS_MAX];
    struct kvpbus_call_result result = {0};
    struct kvpbus_failure failure = {0};
    if (request->n_items > ITEMS_MAX)
        die("a call with too many items");
    for (size_t i = 0; i < request->n_items; i++)
        changes[i] = (struct kvpbus_change){text_of(&request->items[i]->key),
                                            text_of(&request->items[i]->value)};
    enum kvpbus_error error =
        management->ops->call(management, (enum kvpbus_operation)request->operation,
                              request->guid.data, changes, request->n_items, &result, &failure);
    for (size_t i = 0; i < request->n_items; i++) {
        free((char *)changes[i].key);
        free((char *)changes[i].value);
    }
    if (error != KVPBUS_OK)
        return reply_error(channel, error, &failure);
    Kvpbus__Lab__Reply reply = KVPBUS__LAB__REPLY__INIT;
    Kvpbus__Lab__Outcome outcome = KVPBUS__LAB__OUTCOME__INIT;
    outcome.return_value = result.return_value;
    outcome.job = result.had_job;
    outcome.job_state = result.job_state;
    outcome.error_code = result.error_code;
    outcome.hresult = result.hresult;
    outcome.description = result.description;
    reply.outcome = &outcome;
    return send_reply(channel, &reply);
}

static bool stats(SOCKET channel)
{
    Kvpbus__Lab__Reply reply = KVPBUS__LAB__REPLY__INIT;
    Kvpbus__Lab__Stats message = KVPBUS__LAB__STATS__INIT, *messages[] = {&message};
    Kvpbus__Lab__Counter counters[2] = {KVPBUS__LAB__COUNTER__INIT, KVPBUS__LAB__COUNTER__INIT};
    Kvpbus__Lab__Counter *pointers[] = {&counters[0], &counters[1]};
    counters[0].name = (char *)"held";
    counters[0].value = (uint64_t)kvpbus_wmi_held();
    counters[1].name = (char *)"objects";
    counters[1].value = (uint64_t)provider_objects();
    message.n_counters = 2;
    message.counters = pointers;
    reply.n_stats = 1;
    reply.stats = messages;
    return send_reply(channel, &reply);
}

// --- requests ---

static bool serve(SOCKET channel, const Kvpbus__Lab__Request *request)
{
    const struct kvpbus_failure unknown = {.detail = "not a request of the management service"};
    switch (request->kind_case) {
    case KVPBUS__LAB__REQUEST__KIND_LIST:
        return list(channel);
    case KVPBUS__LAB__REQUEST__KIND_READ_GUEST:
        return read_guest(channel, request->read_guest);
    case KVPBUS__LAB__REQUEST__KIND_READ_HOST:
        return read_host(channel, request->read_host);
    case KVPBUS__LAB__REQUEST__KIND_CALL:
        return call(channel, request->call);
    case KVPBUS__LAB__REQUEST__KIND_STATS:
        return stats(channel);
    default:
        return reply_error(channel, KVPBUS_UNSUPPORTED, &unknown);
    }
}

static bool receive(SOCKET channel, uint8_t *bytes, size_t length)
{
    for (size_t got = 0; got < length;) {
        int step = recv(channel, (char *)bytes + got, (int)(length - got), 0);
        if (step <= 0)
            return false;
        got += (size_t)step;
    }
    return true;
}

static DWORD WINAPI serve_connection(void *context)
{
    SOCKET channel = (SOCKET)(uintptr_t)context;
    uint8_t head[KVPBUS_FRAME_HEAD];
    bool healthy = true;
    while (healthy && receive(channel, head, sizeof head)) {
        size_t length =
            (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | (size_t)head[3];
        uint8_t *bytes = length <= REQUEST_MAX ? malloc(length + 1) : NULL;
        Kvpbus__Lab__Request *request = NULL;
        if (bytes != NULL && receive(channel, bytes, length))
            request = kvpbus__lab__request__unpack(NULL, length, bytes);
        free(bytes);
        healthy = request != NULL && serve(channel, request);
        kvpbus__lab__request__free_unpacked(request, NULL);
    }
    closesocket(channel);
    return 0;
}

static DWORD WINAPI accept_connections(void *context)
{
    SOCKET listener = (SOCKET)(uintptr_t)context;
    for (;;) {
        SOCKET channel = accept(listener, NULL, NULL);
        if (channel == INVALID_SOCKET)
            return 0;
        BOOL on = TRUE;
        setsockopt(channel, IPPROTO_TCP, TCP_NODELAY, (const char *)&on, sizeof on);
        HANDLE thread =
            CreateThread(NULL, 0, serve_connection, (void *)(uintptr_t)channel, 0, NULL);
        if (thread == NULL)
            die("no thread");
        CloseHandle(thread);
    }
}

// --- the program ---

static SOCKET listen_on_loopback(unsigned *port)
{
    WSADATA data;
    struct sockaddr_in address = {.sin_family = AF_INET};
    int size = sizeof address;
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0)
        die("no Winsock");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SOCKET listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 16) != 0 || getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        die("no port");
    *port = ntohs(address.sin_port);
    return listener;
}

static void take_options(int argc, char **argv, struct kvpbus_wmi_options *options)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--v1") == 0) {
            options->old_namespace = true;
            continue;
        }
        if (strcmp(argv[i], "--auto") == 0) {
            options->guest_auto = true;
            continue;
        }
        if (strcmp(argv[i], "--host") == 0)
            options->host = value;
        else if (strcmp(argv[i], "--user") == 0)
            options->user = value;
        else if (strcmp(argv[i], "--password") == 0)
            options->password = value;
        else if (strcmp(argv[i], "--deadline") == 0)
            options->deadline_ms = (unsigned)strtoul(value, NULL, 10);
        else
            die("no such option");
        i++;
    }
}

int main(int argc, char **argv)
{
    struct kvpbus_wmi_options options = {0};
    struct kvpbus_failure failure = {0};
    unsigned port;
    take_options(argc, argv, &options);
    enum kvpbus_error error = kvpbus_wmi_management_open(&options, &management, &failure);
    if (error != KVPBUS_OK) {
        printf("error %d: %s\nheld %ld objects %ld\n", (int)error, failure.detail,
               kvpbus_wmi_held(), provider_objects());
        return 1;
    }
    SOCKET listener = listen_on_loopback(&port);
    if (CreateThread(NULL, 0, accept_connections, (void *)(uintptr_t)listener, 0, NULL) == NULL)
        die("no thread");
    printf("port %u\n", port);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    closesocket(listener);
    management->ops->close(management);
    printf("held %ld objects %ld\n", kvpbus_wmi_held(), provider_objects_settled(0));
    return 0;
}
