// SPDX-License-Identifier: Apache-2.0
//
// kvpbus-host: one per Hyper-V host, serves all its VMs.
#include <stdio.h>

#include "exit_code.h"
#include "host_management.h"
#include "paths.h"
#include "program.h"
#include "service_control.h"
#include "vms.h"

static const struct kvpbus_service_defaults defaults = {
    .role = KVPBUS_ROLE_HOST,
    .program = "kvpbus-host",
    .summary = "The kvpbus service of a Hyper-V host: exchanges messages with its VMs, without "
               "a network.",
    .store_help = kvpbus_host_store_help,
    .config = KVPBUS_HOST_CONFIG,
    .state = KVPBUS_HOST_STATE,
    .socket = KVPBUS_HOST_SOCKET,
    .examples = kvpbus_host_examples,
    .check_store = kvpbus_host_management_check,
};

static int run(int argc, char **argv)
{
    static const struct kvpbus_service_ops ops = {
        .store = kvpbus_vms_store,
        .read_peers = kvpbus_vms_read,
        .rebound = kvpbus_vms_rebound,
    };
    static struct kvpbus_service service;
    struct kvpbus_service_arguments arguments;
    struct kvpbus_management *management;
    struct kvpbus_failure failure = {0};
    if (kvpbus_host_management_take(&argc, argv, &failure) != KVPBUS_OK)
        return kvpbus_service_failed(defaults.program, &failure);
    int code = kvpbus_service_arguments(argc, argv, &defaults, &arguments);
    if (code >= 0)
        return code;
    // A write that waits for a stuck job keeps a thread; other VMs must find one.
    uv_os_setenv("UV_THREADPOOL_SIZE", "32");
    if (kvpbus_host_management_open(arguments.store, &management, &failure) != KVPBUS_OK)
        return kvpbus_service_failed(defaults.program, &failure);
    const char *prefix = arguments.options.prefix != NULL ? arguments.options.prefix : "kvpbus";
    struct kvpbus_vms *vms = kvpbus_vms_new(management, prefix);
    if (kvpbus_service_open(&service, &arguments.options, &ops, vms, &failure) != KVPBUS_OK) {
        management->ops->close(management);
        return kvpbus_service_failed(defaults.program, &failure);
    }
    kvpbus_vms_start(vms, &service);
    kvpbus_log_event(KVPBUS_LOGGED_STARTED, NULL,
                     "started; the kvpbus command reaches this service at %s", arguments.socket);
    kvpbus_service_run(&service);
    kvpbus_vms_free(vms);
    management->ops->close(management);
    return KVPBUS_EXIT_OK;
}

int main(int argc, char **argv)
{
    kvpbus_program_begin(&argc, &argv);
    return kvpbus_service_control(argc, argv, &defaults, run);
}
