// SPDX-License-Identifier: Apache-2.0
//
// The checkpoints of a VM as clients of the management API see them: each has settings of its own,
// host items included, under a GUID that is not the VM's.
#include <dirent.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "lab.h"

void kvpbus_lab_checkpoint_add(struct kvpbus_lab_vm *vm, const char *name)
{
    for (size_t i = 0; i < vm->checkpoint_count; i++)
        if (strcmp(vm->checkpoints[i], name) == 0)
            return;
    if (vm->checkpoint_count == KVPBUS_LAB_CHECKPOINTS_MAX || !kvpbus_lab_name_valid(name))
        return;
    snprintf(vm->checkpoints[vm->checkpoint_count++], sizeof *vm->checkpoints, "%s", name);
}

void kvpbus_lab_checkpoints_find(struct kvpbus_lab_vm *vm)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/checkpoint", vm->directory);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        kvpbus_lab_checkpoint_add(vm, entry->d_name);
    closedir(folder);
}

// Follows from the VM's GUID and the name: it is the same whenever it is asked for.
void kvpbus_lab_checkpoint_guid(const struct kvpbus_lab_vm *vm, size_t index, uint8_t *guid)
{
    const char *name = vm->checkpoints[index];
    crypto_generichash(guid, KVPBUS_GUID_BYTES, (const uint8_t *)name, strlen(name), vm->guid,
                       sizeof vm->guid);
}

static bool find(const struct kvpbus_lab *lab, const uint8_t *guid, size_t length,
                 const struct kvpbus_lab_vm **vm, size_t *index)
{
    uint8_t own[KVPBUS_GUID_BYTES];
    if (length != sizeof own)
        return false;
    for (size_t i = 0; i < lab->vm_count; i++) {
        for (size_t j = 0; j < lab->vms[i]->checkpoint_count; j++) {
            kvpbus_lab_checkpoint_guid(lab->vms[i], j, own);
            if (memcmp(own, guid, sizeof own) != 0)
                continue;
            *vm = lab->vms[i];
            *index = j;
            return true;
        }
    }
    return false;
}

enum kvpbus_error kvpbus_lab_checkpoint_items(const struct kvpbus_lab *lab, const uint8_t *guid,
                                              size_t length, struct kvpbus_lab_items *items,
                                              struct kvpbus_failure *failure)
{
    const struct kvpbus_lab_vm *vm;
    char path[PATH_MAX + 128];
    size_t index;
    if (!find(lab, guid, length, &vm, &index))
        return kvpbus_fail(failure, KVPBUS_VM_UNKNOWN, "this lab has no such VM");
    snprintf(path, sizeof path, "%s/checkpoint/%s/host-items.json", vm->directory,
             vm->checkpoints[index]);
    items->limit = KVPBUS_LAB_ITEMS_MAX;
    return kvpbus_lab_items_load(items, path, failure);
}
