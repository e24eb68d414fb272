// SPDX-License-Identifier: Apache-2.0
//
// The input is what a client writes to the control socket of a real service with one paired peer,
// before it hangs up. The service drops the client and goes on.
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control_client_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char folder[] = "/tmp/kvpbus-fuzz-XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static struct kvpbus_service service;
static bool paired;

static void remove_folder(void)
{
    static const char *const names[] = {
        "state/journal", "state/journal-wal", "state/identity.key", "state/lock", "state",
        "socket"};
    char path[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
    rmdir(folder);
}

static struct kvpbus_store *own, *other;

static struct kvpbus_store *store(void *program, const struct kvpbus_endpoint *endpoint)
{
    (void)program;
    (void)endpoint;
    return own;
}

static void on_paired(void *context, const struct kvpbus_failure *failure)
{
    (void)context;
    assert(failure->code == KVPBUS_OK);
    paired = true;
}

static void on_added(void *context, struct kvpbus_endpoint *endpoint,
                     const struct kvpbus_failure *result)
{
    static const uint8_t identity[KVPBUS_IDENTITY_BYTES] = {7};
    (void)context;
    assert(result->code == KVPBUS_OK);
    kvpbus_endpoint_suspend(endpoint, true, "a fuzzer");
    kvpbus_bus_pin(endpoint, identity, on_paired, NULL);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const struct kvpbus_service_ops ops = {.store = store};
    static const uint8_t vm[KVPBUS_VM_ID_BYTES] = {1};
    static char state[64];
    struct kvpbus_failure failure = {0};
    (void)argc;
    (void)argv;
    if (mkdtemp(folder) == NULL || kvpbus_memory_store_pair("kvpbus", &own, &other) != KVPBUS_OK)
        return -1;
    atexit(remove_folder);
    snprintf(state, sizeof state, "%s/state", folder);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    struct kvpbus_service_options options = {
        .role = KVPBUS_ROLE_HOST, .program = "fuzz", .state = state, .socket = address.sun_path};
    kvpbus_log_setup(KVPBUS_LOG_ERROR, KVPBUS_LOG_TEXT);
    if (kvpbus_service_open(&service, &options, &ops, NULL, &failure) != KVPBUS_OK)
        return -1;
    kvpbus_service_add_peer(&service, vm, "web", on_added, NULL);
    while (!paired)
        uv_run(service.loop, UV_RUN_ONCE);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0 || size > 64 * 1024) // fits the socket's buffer
        return 0;
    if (connect(client, (struct sockaddr *)&address, sizeof address) != 0)
        abort();
    uv_run(service.loop, UV_RUN_ONCE); // accepts
    ssize_t sent = send(client, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
    shutdown(client, SHUT_WR);
    do
        uv_run(service.loop, UV_RUN_ONCE);
    while (service.control->client_count > 0);
    close(client);
    return 0;
}
