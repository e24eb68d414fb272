// SPDX-License-Identifier: Apache-2.0
//
// Objects made of what the lab answers: the host and its VMs, their Data Exchange components with
// settings and items, what associates them, and jobs.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host_internal.h"

// The Data Exchange service among the devices of every VM.
#define SERVICE_GUID "2A34B1C2-FD73-4043-8A5B-DD2159BC743F"

enum { VMS_MAX = 256, CHECKPOINTS_MAX = 16, DEVICE_TEXT = 128 };

struct vm {
    uint8_t guid[KVPBUS_GUID_BYTES];
    char guid_text[KVPBUS_GUID_TEXT + 1];
    char name[KVPBUS_VM_NAME_MAX + 1];
    enum kvpbus_vm_state state;
    bool exchange_enabled, daemon;
    char checkpoints[CHECKPOINTS_MAX][KVPBUS_GUID_TEXT + 1];
    size_t checkpoint_count;
};

struct vms {
    struct vm of[VMS_MAX];
    size_t count;
    bool failed;
};

static void take_checkpoints(struct vm *vm, const Kvpbus__Lab__Vm *message)
{
    for (size_t i = 0; i < message->n_checkpoints && i < CHECKPOINTS_MAX; i++)
        if (message->checkpoints[i].len == KVPBUS_GUID_BYTES)
            kvpbus_guid_format(message->checkpoints[i].data,
                               vm->checkpoints[vm->checkpoint_count++]);
}

static void on_vms(void *context, const Kvpbus__Lab__Reply *reply)
{
    struct vms *vms = context;
    vms->failed = reply->error != KVPBUS_OK || reply->n_vms > VMS_MAX;
    for (size_t i = 0; !vms->failed && i < reply->n_vms; i++) {
        const Kvpbus__Lab__Vm *message = reply->vms[i];
        struct vm *vm = &vms->of[vms->count++];
        vms->failed = message->guid.len != KVPBUS_GUID_BYTES;
        if (vms->failed)
            return;
        memcpy(vm->guid, message->guid.data, KVPBUS_GUID_BYTES);
        kvpbus_guid_format(vm->guid, vm->guid_text);
        snprintf(vm->name, sizeof vm->name, "%s", message->name);
        vm->state = (enum kvpbus_vm_state)message->state;
        vm->exchange_enabled = message->exchange_enabled;
        vm->daemon = message->daemon;
        take_checkpoints(vm, message);
    }
}

static enum kvpbus_cim_status list_vms(struct kvpbus_cim_host *host, struct vms *vms)
{
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__ListVms list = KVPBUS__LAB__LIST_VMS__INIT;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_LIST;
    request.list = &list;
    vms->count = 0;
    enum kvpbus_cim_status status = kvpbus_cim_ask(host, &request, on_vms, vms, NULL);
    return status == KVPBUS_CIM_OK && vms->failed ? KVPBUS_CIM_FAILED : status;
}

// EnabledState of a VM. The old namespace has numbers of its own for paused and saved.
static unsigned enabled_state(const struct kvpbus_cim_host *host, enum kvpbus_vm_state state)
{
    bool v2 = strstr(kvpbus_cim_host_scope(host)->name_space, "v2") != NULL;
    switch (state) {
    case KVPBUS_VM_STATE_OFF:
        return 3;
    case KVPBUS_VM_STATE_STARTING:
        return v2 ? 10 : 32770;
    case KVPBUS_VM_STATE_PAUSED:
        return v2 ? 9 : 32768;
    case KVPBUS_VM_STATE_SAVED:
        return v2 ? 6 : 32769;
    case KVPBUS_VM_STATE_STOPPING:
        return v2 ? 4 : 32774;
    case KVPBUS_VM_STATE_RUNNING:
    case KVPBUS_VM_STATE_FAILED:
        break;
    }
    return 2;
}

static struct kvpbus_cim_object *new_object(const char *class_name)
{
    return kvpbus_cim_object_new(kvpbus_cim_class_find(class_name));
}

// NULL instead of an object that could not be filled.
static struct kvpbus_cim_object *checked(struct kvpbus_cim_object *object, bool filled)
{
    if (filled)
        return object;
    kvpbus_cim_object_free(object);
    return NULL;
}

static struct kvpbus_cim_object *make_hosting_system(const struct kvpbus_cim_host *host)
{
    const char *server = kvpbus_cim_host_scope(host)->server;
    struct kvpbus_cim_object *object = new_object("Msvm_ComputerSystem");
    return checked(object,
                   object != NULL && kvpbus_cim_set(object, "Caption", "Hosting Computer System") &&
                       kvpbus_cim_set(object, "Description", "Microsoft Hosting Computer System") &&
                       kvpbus_cim_set(object, "ElementName", server) &&
                       kvpbus_cim_set(object, "Name", server) &&
                       kvpbus_cim_append(object, "OperationalStatus", "2"));
}

static struct kvpbus_cim_object *make_vm(const struct kvpbus_cim_host *host, const struct vm *vm)
{
    struct kvpbus_cim_object *object = new_object("Msvm_ComputerSystem");
    bool failed = vm->state == KVPBUS_VM_STATE_FAILED;
    return checked(
        object, object != NULL && kvpbus_cim_set(object, "Caption", "Virtual Machine") &&
                    kvpbus_cim_set(object, "Description", "Microsoft Virtual Computer System") &&
                    kvpbus_cim_set(object, "ElementName", vm->name) &&
                    kvpbus_cim_set(object, "Name", vm->guid_text) &&
                    kvpbus_cim_set_number(object, "EnabledState", enabled_state(host, vm->state)) &&
                    kvpbus_cim_set_number(object, "RequestedState", 12) &&
                    kvpbus_cim_set_number(object, "HealthState", failed ? 25 : 5) &&
                    kvpbus_cim_append(object, "OperationalStatus", failed ? "3" : "2"));
}

static struct kvpbus_cim_object *make_service(const struct kvpbus_cim_host *host)
{
    struct kvpbus_cim_object *object = new_object("Msvm_VirtualSystemManagementService");
    return checked(object, object != NULL && kvpbus_cim_set(object, "SystemName",
                                                            kvpbus_cim_host_scope(host)->server));
}

static void device_id(const char *guid_text, char *text)
{
    snprintf(text, DEVICE_TEXT, "Microsoft:%s\\" SERVICE_GUID, guid_text);
}

// A VM that is off has no devices, only their settings.
static struct kvpbus_cim_object *make_component(const struct vm *vm)
{
    char id[DEVICE_TEXT];
    struct kvpbus_cim_object *object = new_object("Msvm_KvpExchangeComponent");
    device_id(vm->guid_text, id);
    return checked(
        object,
        object != NULL && kvpbus_cim_set(object, "SystemName", vm->guid_text) &&
            kvpbus_cim_set(object, "DeviceID", id) &&
            kvpbus_cim_set(object, "EnabledState", vm->exchange_enabled ? "2" : "3") &&
            kvpbus_cim_append(object, "OperationalStatus", vm->daemon ? "2" : "12") &&
            kvpbus_cim_append(object, "StatusDescriptions", vm->daemon ? "OK" : "No Contact"));
}

// Of the VM, or of a checkpoint of it, by the GUID of either.
static struct kvpbus_cim_object *make_settings(const struct vm *vm, const char *guid_text)
{
    char id[DEVICE_TEXT];
    struct kvpbus_cim_object *object = new_object("Msvm_KvpExchangeComponentSettingData");
    device_id(guid_text, id);
    return checked(object,
                   object != NULL && kvpbus_cim_set(object, "InstanceID", id) &&
                       kvpbus_cim_set(object, "EnabledState", vm->exchange_enabled ? "2" : "3"));
}

// Sets a reference to the path of another object, which it frees.
static bool refer(const struct kvpbus_cim_host *host, struct kvpbus_cim_object *object,
                  const char *property, struct kvpbus_cim_object *target)
{
    char *path = target != NULL ? kvpbus_cim_path(target, kvpbus_cim_host_scope(host)) : NULL;
    bool set = path != NULL && kvpbus_cim_set(object, property, path);
    free(path);
    kvpbus_cim_object_free(target);
    return set;
}

// Which of the two settings a component has: its own, or with a checkpoint those of that.
static struct kvpbus_cim_object *make_association(const struct kvpbus_cim_host *host,
                                                  const struct kvpbus_cim_class *class,
                                                  const struct vm *vm, const char *settings)
{
    struct kvpbus_cim_object *object = kvpbus_cim_object_new(class);
    bool device = kvpbus_cim_class_is(class, "Msvm_SystemDevice");
    bool filled = object != NULL &&
                  (device ? refer(host, object, "GroupComponent", make_vm(host, vm)) &&
                                refer(host, object, "PartComponent", make_component(vm))
                          : refer(host, object, "ManagedElement", make_component(vm)) &&
                                refer(host, object, "SettingData", make_settings(vm, settings)));
    if (filled && kvpbus_cim_property_find(class, "IsCurrent") >= 0)
        filled = kvpbus_cim_set(object, "IsCurrent", "2"); // it is not
    return checked(object, filled);
}

static bool make_all_settings(const struct vm *vm, struct kvpbus_cim_list *list)
{
    bool made = kvpbus_cim_list_add(list, make_settings(vm, vm->guid_text));
    for (size_t i = 0; made && i < vm->checkpoint_count; i++)
        made = kvpbus_cim_list_add(list, make_settings(vm, vm->checkpoints[i]));
    return made;
}

static bool make_checkpoint_associations(const struct kvpbus_cim_host *host,
                                         const struct kvpbus_cim_class *class, const struct vm *vm,
                                         struct kvpbus_cim_list *list)
{
    bool made = true;
    for (size_t i = 0; made && i < vm->checkpoint_count; i++)
        made = kvpbus_cim_list_add(list, make_association(host, class, vm, vm->checkpoints[i]));
    return made;
}

static bool make_of_vm(const struct kvpbus_cim_host *host, const struct kvpbus_cim_class *class,
                       const struct vm *vm, struct kvpbus_cim_list *list)
{
    if (kvpbus_cim_class_is(class, "Msvm_ComputerSystem"))
        return kvpbus_cim_list_add(list, make_vm(host, vm));
    if (kvpbus_cim_class_is(class, "Msvm_KvpExchangeComponentSettingData"))
        return make_all_settings(vm, list);
    if (vm->state == KVPBUS_VM_STATE_OFF)
        return true;
    if (kvpbus_cim_class_is(class, "Msvm_KvpExchangeComponent"))
        return kvpbus_cim_list_add(list, make_component(vm));
    if (kvpbus_cim_class_is(class, "Msvm_ElementSettingData"))
        return make_checkpoint_associations(host, class, vm, list);
    if (class->association)
        return kvpbus_cim_list_add(list, make_association(host, class, vm, vm->guid_text));
    return true;
}

enum kvpbus_cim_status kvpbus_cim_make_instances(struct kvpbus_cim_host *host,
                                                 const struct kvpbus_cim_class *class,
                                                 struct kvpbus_cim_list *list)
{
    struct vms *vms = calloc(1, sizeof *vms);
    if (vms == NULL)
        return KVPBUS_CIM_NOMEM;
    enum kvpbus_cim_status status = list_vms(host, vms);
    bool made = true;
    if (status == KVPBUS_CIM_HIDDEN) {
        free(vms);
        return KVPBUS_CIM_OK;
    }
    if (status == KVPBUS_CIM_OK && kvpbus_cim_class_is(class, "Msvm_ComputerSystem"))
        made = kvpbus_cim_list_add(list, make_hosting_system(host));
    if (status == KVPBUS_CIM_OK &&
        kvpbus_cim_class_is(class, "Msvm_VirtualSystemManagementService"))
        made = kvpbus_cim_list_add(list, make_service(host));
    for (size_t i = 0; status == KVPBUS_CIM_OK && made && i < vms->count; i++)
        made = make_of_vm(host, class, &vms->of[i], list);
    free(vms);
    return made ? status : KVPBUS_CIM_NOMEM;
}
