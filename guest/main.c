// SPDX-License-Identifier: Apache-2.0
//
// kvpbus-guest: the agent in a VM. One peer, the host; one store, the pool files.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exit_code.h"
#include "generalize.h"
#include "paths.h"
#include "service_main.h"
#include "service_notify.h"
#include "store_notice.h"

static const char installed_pool[] = "/var/lib/hyperv";
// The device, and the same in a sandbox that has no devices.
static const char kvp_device[] = "/dev/vmbus/hv_kvp";
static const char kvp_device_known[] = "/sys/devices/virtual/misc/vmbus!hv_kvp";

struct guest {
    struct kvpbus_service service;
    struct kvpbus_store *store;
    struct kvpbus_store_notice *notice; // NULL: the store is polled
};

static struct kvpbus_store *store_of(void *program, const struct kvpbus_endpoint *endpoint)
{
    (void)endpoint;
    return ((struct guest *)program)->store;
}

static void on_notice(void *context)
{
    struct guest *guest = context;
    if (guest->service.stopping)
        return;
    kvpbus_service_tick(&guest->service);
    kvpbus_bus_notice(guest->service.endpoints[0]);
}

static enum kvpbus_error open_store(struct guest *guest,
                                    const struct kvpbus_service_arguments *arguments,
                                    struct kvpbus_failure *failure)
{
    static const char pool[] = "pool:";
    const char *prefix = arguments->options.prefix != NULL ? arguments->options.prefix : "kvpbus";
    const char *directory = installed_pool;
    if (arguments->store[0] != '\0') {
        if (strncmp(arguments->store, pool, strlen(pool)) != 0)
            return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                               "'%s' is not a store of a guest; it is pool: and the folder of the "
                               "pool files",
                               arguments->store);
        directory = arguments->store + strlen(pool);
    } else if (access(kvp_device, F_OK) != 0 && access(kvp_device_known, F_OK) != 0) {
        return kvpbus_fail(failure, KVPBUS_NOT_HYPERV,
                           "this machine is not a Hyper-V guest with Data Exchange (there is no "
                           "%s); nothing to do",
                           kvp_device);
    }
    return kvpbus_pool_store_open(directory, prefix, &guest->store, failure);
}

int main(int argc, char **argv)
{
    static const struct kvpbus_service_defaults defaults = {
        .role = KVPBUS_ROLE_GUEST,
        .program = "kvpbus-guest",
        .summary = "The kvpbus agent in a VM: exchanges messages with the Hyper-V host, without a "
                   "network.",
        .store_help = "pool:DIR, the folder of the KVP pool files (default pool:/var/lib/hyperv)",
        .config = KVPBUS_GUEST_CONFIG,
        .state = KVPBUS_GUEST_STATE,
        .socket = KVPBUS_GUEST_SOCKET,
        .examples = "On an installed machine nothing need be given. In the lab:\n"
                    "  kvpbus-guest --store pool:lab/vm/web/kvp --state guest-state --socket "
                    "guest.sock\n"
                    "Before an image is made of this machine: kvpbus-guest generalize --help\n",
    };
    static const struct kvpbus_service_ops ops = {.store = store_of};
    static struct guest guest;
    struct kvpbus_service_arguments arguments;
    struct kvpbus_failure failure = {0};
    if (argc > 1 && strcmp(argv[1], "generalize") == 0)
        return kvpbus_generalize(argc - 1, argv + 1);
    int code = kvpbus_service_arguments(argc, argv, &defaults, &arguments);
    if (code >= 0)
        return code;
    if (open_store(&guest, &arguments, &failure) != KVPBUS_OK) {
        if (failure.code == KVPBUS_NOT_HYPERV)
            kvpbus_notify_nothing_to_do();
        return kvpbus_service_failed(defaults.program, &failure);
    }
    if (kvpbus_service_open(&guest.service, &arguments.options, &ops, &guest, &failure) !=
        KVPBUS_OK) {
        kvpbus_store_close(guest.store);
        return kvpbus_service_failed(defaults.program, &failure);
    }
    guest.notice = kvpbus_store_notice_watch(guest.service.loop, guest.store, on_notice, &guest);
    if (guest.notice == NULL)
        kvpbus_log(KVPBUS_LOG_WARNING, "the store gives no notice of changes; it is polled");
    kvpbus_log(KVPBUS_LOG_INFO, "started; the kvpbus command reaches this agent at %s",
               arguments.socket);
    kvpbus_service_run(&guest.service);
    kvpbus_store_notice_end(guest.notice);
    uv_run(guest.service.loop, UV_RUN_DEFAULT);
    kvpbus_store_close(guest.store);
    return KVPBUS_EXIT_OK;
}
