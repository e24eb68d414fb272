// SPDX-License-Identifier: Apache-2.0
#include "ctl.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "lab.h"

// Takes the reference.
static bool dump(json_t *root)
{
    bool written = root != NULL && json_dumpf(root, stdout, JSON_INDENT(2)) == 0;
    json_decref(root);
    return written && putchar('\n') != EOF && fflush(stdout) == 0;
}

static void format_guid(const Kvpbus__Lab__Vm *vm, char text[KVPBUS_GUID_TEXT + 1])
{
    text[0] = '\0';
    if (vm->guid.len == KVPBUS_GUID_BYTES)
        kvpbus_guid_format(vm->guid.data, text);
}

static json_t *vm_to_json(const Kvpbus__Lab__Vm *vm)
{
    char guid[KVPBUS_GUID_TEXT + 1];
    format_guid(vm, guid);
    json_t *faults = json_array();
    for (size_t i = 0; i < vm->n_faults; i++)
        json_array_append_new(faults, json_string(vm->faults[i]));
    return json_pack("{s:s, s:s, s:s, s:b, s:b, s:i, s:s, s:o}", "name", vm->name, "guid", guid,
                     "state", kvpbus_vm_state_text(vm->state), "exchange_enabled",
                     vm->exchange_enabled, "daemon", vm->daemon, "host_items", (int)vm->host_items,
                     "boot_id", vm->boot_id, "faults", faults);
}

static void print_vm(const Kvpbus__Lab__Vm *vm, int width)
{
    char guid[KVPBUS_GUID_TEXT + 1];
    format_guid(vm, guid);
    printf("%-*s  %-36s  %-8s  %-8s  %-7s  %5u ", width, vm->name, guid,
           kvpbus_vm_state_text(vm->state), vm->exchange_enabled ? "on" : "off",
           vm->daemon ? "running" : "absent", (unsigned)vm->host_items);
    for (size_t i = 0; i < vm->n_faults; i++)
        printf("%s %s", i > 0 ? ";" : "", vm->faults[i]);
    if (vm->n_faults == 0)
        fputs(" -", stdout);
    putchar('\n');
}

bool kvpbus_lab_print_vms(const Kvpbus__Lab__Reply *reply, bool json)
{
    if (json) {
        json_t *vms = json_array();
        for (size_t i = 0; i < reply->n_vms; i++)
            json_array_append_new(vms, vm_to_json(reply->vms[i]));
        return dump(json_pack("{s:o}", "vms", vms));
    }
    size_t width = strlen("NAME");
    for (size_t i = 0; i < reply->n_vms; i++)
        width = strlen(reply->vms[i]->name) > width ? strlen(reply->vms[i]->name) : width;
    printf("%-*s  %-36s  %-8s  %-8s  %-7s  %5s  %s\n", (int)width, "NAME", "GUID", "STATE",
           "EXCHANGE", "DAEMON", "ITEMS", "FAULTS");
    for (size_t i = 0; i < reply->n_vms; i++)
        print_vm(reply->vms[i], (int)width);
    return fflush(stdout) == 0;
}

static json_t *stats_to_json(const Kvpbus__Lab__Stats *stats)
{
    json_t *object = json_object();
    for (size_t i = 0; i < stats->n_counters; i++)
        json_object_set_new(object, stats->counters[i]->name,
                            json_integer((json_int_t)stats->counters[i]->value));
    return object;
}

bool kvpbus_lab_print_stats(const Kvpbus__Lab__Reply *reply, bool json)
{
    if (json) {
        json_t *vms = json_object();
        for (size_t i = 0; i < reply->n_stats; i++)
            json_object_set_new(vms, reply->stats[i]->vm, stats_to_json(reply->stats[i]));
        return dump(json_pack("{s:o}", "vms", vms));
    }
    for (size_t i = 0; i < reply->n_stats; i++) {
        printf("%s\n", reply->stats[i]->vm);
        for (size_t j = 0; j < reply->stats[i]->n_counters; j++)
            printf("  %-20s %12" PRIu64 "\n", reply->stats[i]->counters[j]->name,
                   reply->stats[i]->counters[j]->value);
    }
    return fflush(stdout) == 0;
}

bool kvpbus_lab_print_done(const char *vm, const char *what, bool json)
{
    if (json)
        return dump(json_pack("{s:s, s:s}", "vm", vm, "result", what));
    printf("%s: %s\n", vm, what);
    return fflush(stdout) == 0;
}
