// SPDX-License-Identifier: Apache-2.0
//
// What is done with the disk and the configuration of a VM that is off: checkpoint, revert, clone,
// import. The disk is the folders kvp (the pool files) and disk (what programs that play the guest
// keep there), the configuration host-items.json and guid.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "folder.h"
#include "lab.h"

static const char *const folders[] = {"kvp", "disk"};
enum { FOLDERS = sizeof folders / sizeof *folders, SUB_MAX = PATH_MAX - 32 };

static enum kvpbus_error must_be_off(const struct kvpbus_lab_vm *vm, const char *action,
                                     struct kvpbus_failure *failure)
{
    if (vm->state == KVPBUS_VM_STATE_OFF && vm->process.process == NULL)
        return KVPBUS_OK;
    return kvpbus_fail(failure, KVPBUS_BUSY, "VM %s is %s: stop it before you %s it", vm->name,
                       kvpbus_vm_state_text(vm->state), action);
}

static enum kvpbus_error copy_disk(const char *from, const char *to, struct kvpbus_failure *failure)
{
    char source[PATH_MAX], target[PATH_MAX];
    enum kvpbus_error error = KVPBUS_OK;
    for (size_t i = 0; i < FOLDERS && error == KVPBUS_OK; i++) {
        snprintf(source, sizeof source, "%.*s/%s", SUB_MAX, from, folders[i]);
        snprintf(target, sizeof target, "%.*s/%s", SUB_MAX, to, folders[i]);
        error = kvpbus_lab_folder_replace(source, target, failure);
    }
    return error;
}

// The folder of a checkpoint, and with `make` those on the way to it.
static enum kvpbus_error checkpoint_path(const struct kvpbus_lab_vm *vm, const char *name,
                                         bool make, char path[PATH_MAX],
                                         struct kvpbus_failure *failure)
{
    if (!kvpbus_lab_name_valid(name))
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "'%.64s' is no name for a checkpoint: letters, digits, . _ -", name);
    if ((size_t)snprintf(path, PATH_MAX, "%s/checkpoint", vm->directory) >= SUB_MAX - 80)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "the path %s is too long", path);
    if (make && mkdir(path, 0755) != 0 && errno != EEXIST)
        return kvpbus_fail(failure, KVPBUS_IO, "cannot make %s: %s", path, strerror(errno));
    snprintf(path + strlen(path), PATH_MAX - strlen(path), "/%s", name);
    if (make && mkdir(path, 0755) != 0 && errno != EEXIST)
        return kvpbus_fail(failure, KVPBUS_IO, "cannot make %s: %s", path, strerror(errno));
    return KVPBUS_OK;
}

static void items_path(const char *folder, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%.*s/host-items.json", SUB_MAX, folder);
}

enum kvpbus_error kvpbus_lab_vm_checkpoint(struct kvpbus_lab_vm *vm, const char *name,
                                           struct kvpbus_failure *failure)
{
    char path[PATH_MAX], items[PATH_MAX];
    enum kvpbus_error error = must_be_off(vm, "checkpoint", failure);
    if (error == KVPBUS_OK)
        error = checkpoint_path(vm, name, true, path, failure);
    if (error == KVPBUS_OK)
        error = copy_disk(vm->directory, path, failure);
    if (error != KVPBUS_OK)
        return error;
    items_path(path, items);
    error = kvpbus_lab_items_save(&vm->host_items, items, failure);
    if (error == KVPBUS_OK)
        kvpbus_lab_checkpoint_add(vm, name);
    return error;
}

// The configuration goes back with the disk, host items included, unless the lab keeps them: what
// a real host does is not known (fact sheet part 2).
enum kvpbus_error kvpbus_lab_vm_revert(struct kvpbus_lab_vm *vm, const char *name,
                                       struct kvpbus_failure *failure)
{
    char path[PATH_MAX], items[PATH_MAX];
    struct stat status;
    enum kvpbus_error error = must_be_off(vm, "revert", failure);
    if (error == KVPBUS_OK)
        error = checkpoint_path(vm, name, false, path, failure);
    if (error == KVPBUS_OK && stat(path, &status) != 0)
        error =
            kvpbus_fail(failure, KVPBUS_VM_UNKNOWN, "VM %s has no checkpoint %s", vm->name, name);
    if (error == KVPBUS_OK)
        error = copy_disk(path, vm->directory, failure);
    if (error != KVPBUS_OK || vm->lab->options.revert_keeps_items)
        return error;
    items_path(path, items);
    error = kvpbus_lab_items_load(&vm->host_items, items, failure);
    vm->host_items_changed = true;
    kvpbus_lab_vm_save_items(vm);
    return error;
}

enum kvpbus_error kvpbus_lab_vm_clone(struct kvpbus_lab_vm *vm, const char *name,
                                      struct kvpbus_failure *failure)
{
    struct kvpbus_lab *lab = vm->lab;
    char path[PATH_MAX], items[PATH_MAX];
    enum kvpbus_error error = must_be_off(vm, "clone", failure);
    if (error != KVPBUS_OK)
        return error;
    if (!kvpbus_lab_name_valid(name))
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "'%.64s' is no name for a VM", name);
    if (lab->vm_count == KVPBUS_LAB_VMS_MAX)
        return kvpbus_fail(failure, KVPBUS_BUSY, "the lab has as many VMs as it can");
    snprintf(path, sizeof path, "%.*s/vm/%s", SUB_MAX - 80, lab->options.directory, name);
    if (mkdir(path, 0755) != 0)
        return kvpbus_fail(failure, errno == EEXIST ? KVPBUS_BUSY : KVPBUS_IO,
                           "cannot make the VM %s: %s", path, strerror(errno));
    error = copy_disk(vm->directory, path, failure);
    items_path(path, items);
    if (error == KVPBUS_OK)
        error = kvpbus_lab_items_save(&vm->host_items, items, failure);
    struct kvpbus_lab_vm *clone = NULL;
    if (error == KVPBUS_OK)
        error = kvpbus_lab_vm_open(lab, name, vm->windows, &clone, failure);
    if (clone != NULL)
        lab->vms[lab->vm_count++] = clone;
    return error;
}

enum kvpbus_error kvpbus_lab_vm_import(struct kvpbus_lab_vm *vm, const char *name,
                                       struct kvpbus_failure *failure)
{
    (void)name;
    enum kvpbus_error error = must_be_off(vm, "import", failure);
    return error == KVPBUS_OK ? kvpbus_lab_vm_new_guid(vm, failure) : error;
}
