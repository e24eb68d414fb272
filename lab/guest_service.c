// SPDX-License-Identifier: Apache-2.0
#include "guest_service.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "text.h"

static bool ask(struct kvpbus_lab_connection *connection, Kvpbus__Lab__GuestOperation operation,
                uint8_t pool, uint32_t index, const struct kvpbus_lab_item *item)
{
    Kvpbus__Lab__Reply reply = KVPBUS__LAB__REPLY__INIT;
    Kvpbus__Lab__GuestRequest request = KVPBUS__LAB__GUEST_REQUEST__INIT;
    Kvpbus__Lab__Item message = KVPBUS__LAB__ITEM__INIT;
    message.key.data = (uint8_t *)item->key;
    message.key.len = strlen(item->key);
    message.value.data = (uint8_t *)item->value;
    message.value.len = strlen(item->value);
    request.operation = operation;
    request.pool = pool;
    request.index = index;
    request.item = &message;
    reply.guest = &request;
    reply.more = true;
    return kvpbus_lab_send(connection, &reply);
}

static struct kvpbus_lab_connection *connection_of(struct kvpbus_lab_device *device)
{
    return (struct kvpbus_lab_connection *)(void *)((char *)device -
                                                    offsetof(struct kvpbus_lab_connection, device));
}

static bool send_request(struct kvpbus_lab_device *device, const struct kvpbus_lab_request *request)
{
    static const Kvpbus__Lab__GuestOperation operations[] = {
        [KVP_OP_SET] = KVPBUS__LAB__GUEST_OPERATION__SET,
        [KVP_OP_DELETE] = KVPBUS__LAB__GUEST_OPERATION__DELETE,
        [KVP_OP_ENUMERATE] = KVPBUS__LAB__GUEST_OPERATION__ENUMERATE,
    };
    return ask(connection_of(device), operations[request->operation], request->pool, request->index,
               &request->item);
}

static void hang_up(struct kvpbus_lab_device *device)
{
    struct kvpbus_lab_connection *connection = connection_of(device);
    connection->guest->service = NULL;
    connection->guest = NULL;
    kvpbus_lab_hang_up(connection);
}

static enum kvpbus_error check(struct kvpbus_lab_vm *vm, const char **why)
{
    *why = "this lab has no such VM";
    if (vm == NULL)
        return KVPBUS_VM_UNKNOWN;
    *why = "the VM has a Linux guest, with a daemon of its own";
    if (!vm->windows)
        return KVPBUS_UNSUPPORTED;
    *why = "the VM does not run, or is without its integration service";
    if (!kvpbus_lab_vm_wants_service(vm))
        return KVPBUS_VM_OFF;
    *why = "the VM has its integration service already";
    return vm->service != NULL ? KVPBUS_EXISTS : KVPBUS_OK;
}

void kvpbus_lab_guest_attach(struct kvpbus_lab_connection *connection,
                             const Kvpbus__Lab__Attach *request)
{
    const char *why;
    struct kvpbus_lab_vm *vm = kvpbus_lab_vm_by_name(connection->lab, request->vm);
    enum kvpbus_error error = check(vm, &why);
    if (error == KVPBUS_OK && connection->guest != NULL) {
        error = KVPBUS_EXISTS;
        why = "this connection has a VM already";
    }
    kvpbus_lab_reply_error(connection, error, error == KVPBUS_OK ? "" : why);
    if (error != KVPBUS_OK || connection->closed)
        return;
    connection->guest = vm;
    connection->device.send = send_request;
    connection->device.drop = hang_up;
    vm->service = connection;
    vm->stats.daemon_starts++;
    kvpbus_lab_driver_attach(&vm->driver, &connection->device);
}

// A text as the line carries it: what is longer than its field is cut.
static bool take(const ProtobufCBinaryData *data, size_t units, char *text, size_t size)
{
    size_t length;
    const char *bytes = data->len > 0 ? (const char *)data->data : "";
    if (memchr(bytes, '\0', data->len) != NULL ||
        !kvpbus_lab_text_fit(bytes, data->len, units, size - 1, &length))
        return false;
    memcpy(text, bytes, length);
    text[length] = '\0';
    return true;
}

void kvpbus_lab_guest_answer(struct kvpbus_lab_connection *connection)
{
    const Kvpbus__Lab__GuestAnswer *answer = connection->request->answer;
    struct kvpbus_lab_vm *vm = connection->guest;
    struct kvpbus_lab_item item;
    uint32_t status = answer->status;
    if (vm == NULL) {
        kvpbus_lab_reply_error(connection, KVPBUS_PROTOCOL, "an answer that nobody waits for");
        return;
    }
    bool has_item = status == HV_S_OK && answer->item != NULL;
    if (has_item &&
        (!take(&answer->item->key, KVPBUS_LAB_KEY_UNITS, item.key, sizeof item.key) ||
         !take(&answer->item->value, KVPBUS_LAB_VALUE_UNITS, item.value, sizeof item.value))) {
        has_item = false;
        status = HV_E_FAIL;
    }
    kvpbus_lab_request_done(connection);
    kvpbus_lab_driver_answer(&vm->driver, status, has_item ? &item : NULL);
}

void kvpbus_lab_guest_closed(struct kvpbus_lab_connection *connection)
{
    kvpbus_lab_driver_drop(&connection->guest->driver);
}

enum kvpbus_error kvpbus_lab_guest_wipe(struct kvpbus_lab_vm *vm, int64_t pool,
                                        struct kvpbus_failure *failure)
{
    static const struct kvpbus_lab_item none;
    if (vm->service == NULL)
        return kvpbus_fail(failure, KVPBUS_STORE_GONE,
                           "VM %s has no integration service that could do it", vm->name);
    if (!ask(vm->service, KVPBUS__LAB__GUEST_OPERATION__WIPE, (uint8_t)pool, 0, &none))
        return kvpbus_fail(failure, KVPBUS_NOMEM, "asking the guest of VM %s", vm->name);
    return KVPBUS_OK;
}
