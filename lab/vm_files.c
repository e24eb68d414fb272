// SPDX-License-Identifier: Apache-2.0
//
// What a VM keeps in DIR/vm/NAME: identity, boot id, host items, pool files, the daemon's log.
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lab.h"

static enum kvpbus_error make_folder(const char *path, struct kvpbus_failure *failure)
{
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        return kvpbus_fail(failure, KVPBUS_IO, "cannot make the folder %s: %s", path,
                           strerror(errno));
    return KVPBUS_OK;
}

static enum kvpbus_error join(char *path, const char *folder, const char *name,
                              struct kvpbus_failure *failure)
{
    if ((size_t)snprintf(path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "the path of %s is too long", name);
    return KVPBUS_OK;
}

static enum kvpbus_error write_line(const char *path, const char *line,
                                    struct kvpbus_failure *failure)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool written = fd >= 0 && dprintf(fd, "%s\n", line) > 0;
    int error = errno;
    if (fd >= 0)
        close(fd);
    if (!written)
        return kvpbus_fail(failure, KVPBUS_IO, "cannot write %s: %s", path, strerror(error));
    return KVPBUS_OK;
}

// A random GUID of version 4.
static void make_guid(uint8_t guid[KVPBUS_GUID_BYTES])
{
    randombytes_buf(guid, KVPBUS_GUID_BYTES);
    guid[6] = (uint8_t)((guid[6] & 0x0f) | 0x40);
    guid[8] = (uint8_t)((guid[8] & 0x3f) | 0x80);
}

enum kvpbus_error kvpbus_lab_vm_new_guid(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure)
{
    char path[PATH_MAX], text[KVPBUS_GUID_TEXT + 1];
    enum kvpbus_error error = join(path, vm->directory, "guid", failure);
    if (error != KVPBUS_OK)
        return error;
    make_guid(vm->guid);
    kvpbus_guid_format(vm->guid, text);
    return write_line(path, text, failure);
}

bool kvpbus_lab_name_valid(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > KVPBUS_LAB_NAME_MAX || !isalnum((unsigned char)name[0]))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)name[i]) && strchr("._-", name[i]) == NULL)
            return false;
    return true;
}

// The GUID belongs to the folder: a VM keeps it when the lab is started again.
static enum kvpbus_error find_guid(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure)
{
    char path[PATH_MAX], text[64] = "";
    enum kvpbus_error error = join(path, vm->directory, "guid", failure);
    if (error != KVPBUS_OK)
        return error;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return kvpbus_lab_vm_new_guid(vm, failure);
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (!kvpbus_guid_parse(text, vm->guid))
        return kvpbus_fail(failure, KVPBUS_CONFIG, "%s holds no GUID: correct or remove it", path);
    return KVPBUS_OK;
}

static enum kvpbus_error name_paths(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure)
{
    static const struct {
        size_t offset;
        const char *name;
    } paths[] = {
        {offsetof(struct kvpbus_lab_vm, pools), "kvp"},
        {offsetof(struct kvpbus_lab_vm, device), "device.sock"},
        {offsetof(struct kvpbus_lab_vm, log), "daemon.log"},
        {offsetof(struct kvpbus_lab_vm, items_file), "host-items.json"},
    };
    enum kvpbus_error error = KVPBUS_OK;
    for (size_t i = 0; i < sizeof paths / sizeof *paths && error == KVPBUS_OK; i++)
        error = join((char *)vm + paths[i].offset, vm->directory, paths[i].name, failure);
    if (error == KVPBUS_OK && strlen(vm->device) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "the path %s is too long for a socket: choose a shorter folder",
                           vm->device);
    return error;
}

enum kvpbus_error kvpbus_lab_vm_prepare(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure)
{
    char vms[PATH_MAX], disk[PATH_MAX];
    enum kvpbus_error error = join(vms, vm->lab->options.directory, "vm", failure);
    if (error == KVPBUS_OK)
        error = make_folder(vms, failure);
    if (error == KVPBUS_OK)
        error = join(vm->directory, vms, vm->name, failure);
    if (error == KVPBUS_OK)
        error = make_folder(vm->directory, failure);
    if (error == KVPBUS_OK)
        error = name_paths(vm, failure);
    if (error == KVPBUS_OK)
        error = make_folder(vm->pools, failure);
    if (error == KVPBUS_OK)
        error = join(disk, vm->directory, "disk", failure);
    if (error == KVPBUS_OK)
        error = make_folder(disk, failure);
    if (error == KVPBUS_OK)
        error = find_guid(vm, failure);
    return error;
}

enum kvpbus_error kvpbus_lab_vm_new_boot(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure)
{
    uint8_t id[KVPBUS_GUID_BYTES];
    char path[PATH_MAX];
    make_guid(id);
    kvpbus_guid_format(id, vm->boot_id);
    enum kvpbus_error error = join(path, vm->directory, "boot-id", failure);
    return error == KVPBUS_OK ? write_line(path, vm->boot_id, failure) : error;
}

void kvpbus_lab_vm_save_items(struct kvpbus_lab_vm *vm)
{
    struct kvpbus_failure failure;
    if (!vm->host_items_changed)
        return;
    if (kvpbus_lab_items_save(&vm->host_items, vm->items_file, &failure) != KVPBUS_OK)
        kvpbus_lab_log(vm, "%s", failure.detail);
    else
        vm->host_items_changed = false;
}
