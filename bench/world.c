// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void connect_lab(struct bench_world *world)
{
    char socket[96];
    struct kvpbus_failure failure;
    struct kvpbus_vm *vms;
    size_t count;
    snprintf(socket, sizeof socket, "%s/lab/host.sock", world->programs.directory);
    if (kvpbus_lab_management_open(socket, &world->management, &failure) != KVPBUS_OK ||
        world->management->ops->list(world->management, &vms, &count, &failure) != KVPBUS_OK)
        bench_die("%s", failure.detail);
    for (size_t i = 0; i < count; i++)
        if (strcmp(vms[i].name, BENCH_VM_BARE) == 0)
            memcpy(world->bare, vms[i].guid, sizeof world->bare);
    free(vms);
}

bool bench_at(const struct bench_world *world, bool host, const char *const *words, char *output,
              size_t size)
{
    return bench_kvpbus(&world->programs, host ? "host.ctl" : "agent.ctl", words, output, size);
}

void bench_world_start(struct bench_world *world, const char *build)
{
    static const char agent_store[] = "pool:lab/vm/" BENCH_VM_BUS "/kvp";
    static const char *const lab[] = {"run",  "lab",         "--vm", BENCH_VM_BUS,
                                      "--vm", BENCH_VM_BARE, NULL};
    static const char *const host[] = {"--store",  "lab:lab/host.sock", "--state", "host",
                                       "--socket", "host.ctl",          NULL};
    static const char *const agent[] = {"--store",  agent_store, "--state", "agent",
                                        "--socket", "agent.ctl", NULL};
    static const char *const identity[] = {"identity", NULL};
    static const char *const status[] = {"--json", "status", NULL};
    struct bench_programs *programs = &world->programs;
    bench_programs_begin(programs, build);
    bench_start_lab(programs, lab);
    connect_lab(world);
    bench_start(programs, "host/kvpbus-host", "host.log", host);
    bench_start(programs, "guest/kvpbus-guest", "agent.log", agent);
    bench_await(programs, "host.ctl", identity, NULL);
    bench_await(programs, "agent.ctl", identity, NULL);
    bench_pair(programs, "host.ctl", BENCH_VM_BUS, "agent.ctl");
    bench_await(programs, "host.ctl", status, "\"live\"");
    bench_await(programs, "agent.ctl", status, "\"live\"");
}

void bench_world_stop(struct bench_world *world)
{
    world->management->ops->close(world->management);
    bench_programs_end();
}
