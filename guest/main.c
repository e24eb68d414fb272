// SPDX-License-Identifier: Apache-2.0
//
// kvpbus-guest: the agent in a VM. One peer, the host; one store: pool files, or on
// Windows the registry.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exit_code.h"
#include "generalize.h"
#include "guest_store.h"
#include "paths.h"
#include "program.h"
#include "service_control.h"
#include "service_notify.h"
#include "store_notice.h"

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

static const struct kvpbus_service_defaults defaults = {
    .role = KVPBUS_ROLE_GUEST,
    .program = "kvpbus-guest",
    .summary = "The kvpbus agent in a VM: exchanges messages with the Hyper-V host, without a "
               "network.",
    .store_help = kvpbus_guest_store_help,
    .config = KVPBUS_GUEST_CONFIG,
    .state = KVPBUS_GUEST_STATE,
    .socket = KVPBUS_GUEST_SOCKET,
    .examples = kvpbus_guest_examples,
    .check_store = kvpbus_guest_store_check,
};

static int run(int argc, char **argv)
{
    static const struct kvpbus_service_ops ops = {.store = store_of};
    static struct guest guest;
    struct kvpbus_service_arguments arguments;
    struct kvpbus_failure failure = {0};
    int code = kvpbus_service_arguments(argc, argv, &defaults, &arguments);
    if (code >= 0)
        return code;
    const char *prefix = arguments.options.prefix != NULL ? arguments.options.prefix : "kvpbus";
    if (kvpbus_guest_store_open(arguments.store, prefix, &guest.store, &failure) != KVPBUS_OK) {
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
        kvpbus_log_event(KVPBUS_LOGGED_NO_NOTICE, NULL,
                         "the store gives no notice of changes; it is polled");
    kvpbus_log_event(KVPBUS_LOGGED_STARTED, NULL,
                     "started; the kvpbus command reaches this agent at %s", arguments.socket);
    kvpbus_service_run(&guest.service);
    kvpbus_store_notice_end(guest.notice);
    uv_run(guest.service.loop, UV_RUN_DEFAULT);
    kvpbus_store_close(guest.store);
    return KVPBUS_EXIT_OK;
}

int main(int argc, char **argv)
{
    kvpbus_program_begin(&argc, &argv);
    if (argc > 1 && strcmp(argv[1], "generalize") == 0)
        return kvpbus_generalize(argc - 1, argv + 1);
    return kvpbus_service_control(argc, argv, &defaults, run);
}
