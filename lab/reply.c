// SPDX-License-Identifier: Apache-2.0
//
// Replies with lists in them. The protobuf structures only point to what the VMs hold.
#include <stdlib.h>
#include <string.h>

#include "server.h"

enum {
#define X(name) STAT_##name,
    KVPBUS_LAB_STATS_MAP(X)
#undef X
        STATS
};

enum { FAULT_TEXT = 64 };

struct vm_entry {
    Kvpbus__Lab__Vm message;
    char texts[KVPBUS_LAB_FAULT_COUNT][FAULT_TEXT];
    char *faults[KVPBUS_LAB_FAULT_COUNT];
    uint8_t guids[KVPBUS_LAB_CHECKPOINTS_MAX][KVPBUS_GUID_BYTES];
    ProtobufCBinaryData checkpoints[KVPBUS_LAB_CHECKPOINTS_MAX];
};

static void fill_vm(struct vm_entry *entry, struct kvpbus_lab_vm *vm)
{
    Kvpbus__Lab__Vm *message = &entry->message;
    kvpbus__lab__vm__init(message);
    message->guid.data = vm->guid;
    message->guid.len = sizeof vm->guid;
    const char *same = vm->lab->options.same_name;
    message->name = same != NULL ? (char *)same : vm->name;
    message->state = vm->state;
    message->exchange_enabled = vm->exchange_enabled;
    message->boot_id = vm->boot_id;
    message->daemon = kvpbus_lab_driver_connected(&vm->driver);
    message->host_items = (uint32_t)vm->host_items.count;
    message->faults = entry->faults;
    message->checkpoints = entry->checkpoints;
    message->n_checkpoints = vm->checkpoint_count;
    for (size_t i = 0; i < vm->checkpoint_count; i++) {
        kvpbus_lab_checkpoint_guid(vm, i, entry->guids[i]);
        entry->checkpoints[i].data = entry->guids[i];
        entry->checkpoints[i].len = sizeof entry->guids[i];
    }
    for (size_t i = 0; i < KVPBUS_LAB_FAULT_COUNT; i++) {
        char *text = entry->texts[message->n_faults];
        kvpbus_lab_fault_describe(&vm->faults, (enum kvpbus_lab_fault)i, text, FAULT_TEXT);
        if (text[0] != '\0')
            entry->faults[message->n_faults++] = text;
    }
}

void kvpbus_lab_reply_vms(struct kvpbus_lab_connection *connection)
{
    struct kvpbus_lab *lab = connection->lab;
    Kvpbus__Lab__Reply reply = KVPBUS__LAB__REPLY__INIT;
    Kvpbus__Lab__Vm *pointers[KVPBUS_LAB_VMS_MAX];
    struct vm_entry *entries = calloc(lab->vm_count, sizeof *entries);
    if (entries == NULL) {
        kvpbus_lab_reply_error(connection, KVPBUS_NOMEM, "listing the VMs");
        return;
    }
    for (size_t i = 0; i < lab->vm_count; i++) {
        fill_vm(&entries[i], lab->vms[i]);
        pointers[i] = &entries[i].message;
    }
    reply.n_vms = lab->vm_count;
    reply.vms = pointers;
    kvpbus_lab_reply(connection, &reply, false);
    free(entries);
}

void kvpbus_lab_reply_items(struct kvpbus_lab_connection *connection, enum kvpbus_error error,
                            uint32_t index, const struct kvpbus_lab_item *items, size_t count,
                            bool more)
{
    Kvpbus__Lab__Reply reply = KVPBUS__LAB__REPLY__INIT;
    Kvpbus__Lab__Item *messages = calloc(count + 1, sizeof *messages);
    Kvpbus__Lab__Item **pointers = calloc(count + 1, sizeof *pointers);
    reply.error = (uint32_t)error;
    reply.index = index;
    if (messages == NULL || pointers == NULL) {
        reply.error = KVPBUS_NOMEM;
        count = 0;
    }
    for (size_t i = 0; i < count; i++) {
        kvpbus__lab__item__init(&messages[i]);
        messages[i].key.data = (uint8_t *)items[i].key;
        messages[i].key.len = strlen(items[i].key);
        messages[i].value.data = (uint8_t *)items[i].value;
        messages[i].value.len = strlen(items[i].value);
        pointers[i] = &messages[i];
    }
    reply.n_items = count;
    reply.items = pointers;
    kvpbus_lab_reply(connection, &reply, more);
    free(messages);
    free(pointers);
}

struct stats_entry {
    Kvpbus__Lab__Stats message;
    Kvpbus__Lab__Counter counters[STATS];
    Kvpbus__Lab__Counter *pointers[STATS];
};

static void fill_stats(struct stats_entry *entry, struct kvpbus_lab_vm *vm)
{
    static const char *const names[STATS] = {
#define X(name) #name,
        KVPBUS_LAB_STATS_MAP(X)
#undef X
    };
    const uint64_t values[STATS] = {
#define X(name) vm->stats.name,
        KVPBUS_LAB_STATS_MAP(X)
#undef X
    };
    kvpbus__lab__stats__init(&entry->message);
    entry->message.vm = vm->name;
    for (size_t i = 0; i < STATS; i++) {
        kvpbus__lab__counter__init(&entry->counters[i]);
        entry->counters[i].name = (char *)names[i];
        entry->counters[i].value = values[i];
        entry->pointers[i] = &entry->counters[i];
    }
    entry->message.n_counters = STATS;
    entry->message.counters = entry->pointers;
}

void kvpbus_lab_reply_stats(struct kvpbus_lab_connection *connection,
                            const struct kvpbus_lab_vm *vm)
{
    struct kvpbus_lab *lab = connection->lab;
    Kvpbus__Lab__Reply reply = KVPBUS__LAB__REPLY__INIT;
    Kvpbus__Lab__Stats *pointers[KVPBUS_LAB_VMS_MAX];
    struct stats_entry *entries = calloc(lab->vm_count, sizeof *entries);
    if (entries == NULL) {
        kvpbus_lab_reply_error(connection, KVPBUS_NOMEM, "the counters");
        return;
    }
    for (size_t i = 0; i < lab->vm_count; i++) {
        if (vm != NULL && vm != lab->vms[i])
            continue;
        fill_stats(&entries[i], lab->vms[i]);
        pointers[reply.n_stats++] = &entries[i].message;
    }
    reply.stats = pointers;
    kvpbus_lab_reply(connection, &reply, false);
    free(entries);
}
