// SPDX-License-Identifier: Apache-2.0
//
// The items of VMs, as arrays of embedded instances.
#include <stdlib.h>
#include <string.h>

#include "host_internal.h"
#include "item_text.h"

enum { VMS_MAX = 256 };

// Source of an item.
enum { FROM_HOST = 0, FROM_GUEST = 1, FROM_GUEST_SYSTEM = 2 };

struct reading {
    struct kvpbus_cim_object *objects[VMS_MAX];
    uint8_t guids[VMS_MAX][KVPBUS_GUID_BYTES];
    size_t count;
    const char *property;
    unsigned source;
    bool no_memory;
};

static char *copy_bytes(const ProtobufCBinaryData *data)
{
    char *text = malloc(data->len + 1);
    if (text == NULL)
        return NULL;
    if (data->len > 0)
        memcpy(text, data->data, data->len);
    text[data->len] = '\0';
    return text;
}

static char *item_text(const Kvpbus__Lab__Item *item, unsigned source)
{
    struct kvpbus_cim_object *object =
        kvpbus_cim_object_new(kvpbus_cim_class_find("Msvm_KvpExchangeDataItem"));
    char *key = copy_bytes(&item->key), *value = copy_bytes(&item->value);
    char *text = NULL;
    if (object != NULL && key != NULL && value != NULL && kvpbus_cim_set(object, "Name", key) &&
        kvpbus_cim_set(object, "Data", value) && kvpbus_cim_set_number(object, "Source", source))
        text = kvpbus_cim_instance_text(object, KVPBUS_CIM_DTD_2_0);
    free(key);
    free(value);
    kvpbus_cim_object_free(object);
    return text;
}

// The items of one VM. Where there is nothing to be read the array is null.
static void on_items(void *context, const Kvpbus__Lab__Reply *reply)
{
    struct reading *reading = context;
    if (reply->error == KVPBUS_NOMEM)
        reading->no_memory = true;
    if (reply->error != KVPBUS_OK || reply->index >= reading->count)
        return;
    struct kvpbus_cim_object *object = reading->objects[reply->index];
    kvpbus_cim_set_empty(object, reading->property);
    for (size_t i = 0; i < reply->n_items && i < KVPBUS_CIM_ELEMENTS_MAX; i++) {
        char *text = item_text(reply->items[i], reading->source);
        if (text == NULL || !kvpbus_cim_append(object, reading->property, text))
            reading->no_memory = true;
        free(text);
    }
}

static enum kvpbus_cim_status read_guests(struct kvpbus_cim_host *host, struct reading *reading)
{
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__ReadGuest read = KVPBUS__LAB__READ_GUEST__INIT;
    ProtobufCBinaryData guids[VMS_MAX];
    for (size_t i = 0; i < reading->count; i++) {
        guids[i].data = reading->guids[i];
        guids[i].len = KVPBUS_GUID_BYTES;
    }
    read.guids = guids;
    read.n_guids = reading->count;
    read.intrinsic = reading->source == FROM_GUEST_SYSTEM;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_READ_GUEST;
    request.read_guest = &read;
    return kvpbus_cim_ask(host, &request, on_items, reading, NULL);
}

static enum kvpbus_cim_status read_host(struct kvpbus_cim_host *host, struct reading *one)
{
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__ReadHost read = KVPBUS__LAB__READ_HOST__INIT;
    read.guid.data = one->guids[0];
    read.guid.len = KVPBUS_GUID_BYTES;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_READ_HOST;
    request.read_host = &read;
    return kvpbus_cim_ask(host, &request, on_items, one, NULL);
}

// The VM that an object belongs to, by its name or by "Microsoft:GUID\…".
static bool guid_of(const struct kvpbus_cim_object *object, uint8_t *guid)
{
    static const char prefix[] = "Microsoft:";
    char text[KVPBUS_GUID_TEXT + 1] = "";
    int name = kvpbus_cim_property_find(object->class, "SystemName");
    int index = name >= 0 ? name : kvpbus_cim_property_find(object->class, "InstanceID");
    const char *value = object->values[index].texts[0];
    if (name < 0)
        value += sizeof prefix - 1;
    memcpy(text, value, KVPBUS_GUID_TEXT);
    return kvpbus_guid_parse(text, guid);
}

static bool wants(const struct kvpbus_cim_object *object, const char *property)
{
    int index = kvpbus_cim_property_find(object->class, property);
    return index >= 0 && (object->visible >> index & 1) != 0;
}

// The guests' items of all objects are one request.
static enum kvpbus_cim_status fill(struct kvpbus_cim_host *host, struct kvpbus_cim_list *list,
                                   struct reading *reading, const char *property, unsigned source)
{
    enum kvpbus_cim_status status = KVPBUS_CIM_OK;
    bool guests = source != FROM_HOST;
    reading->property = property;
    reading->source = source;
    reading->count = 0;
    for (size_t i = 0; status == KVPBUS_CIM_OK && i < list->count; i++) {
        struct kvpbus_cim_object *object = list->objects[i];
        if (!wants(object, reading->property) || reading->count == VMS_MAX ||
            !guid_of(object, reading->guids[reading->count]))
            continue;
        reading->objects[reading->count++] = object;
        if (guests)
            continue;
        status = read_host(host, reading);
        reading->count = 0;
    }
    if (guests && reading->count > 0)
        status = read_guests(host, reading);
    return status == KVPBUS_CIM_OK && reading->no_memory ? KVPBUS_CIM_NOMEM : status;
}

enum kvpbus_cim_status kvpbus_cim_fill_items(struct kvpbus_cim_host *host,
                                             struct kvpbus_cim_list *list)
{
    struct reading *reading = calloc(1, sizeof *reading);
    if (reading == NULL)
        return KVPBUS_CIM_NOMEM;
    enum kvpbus_cim_status status = fill(host, list, reading, "GuestExchangeItems", FROM_GUEST);
    if (status == KVPBUS_CIM_OK)
        status = fill(host, list, reading, "GuestIntrinsicExchangeItems", FROM_GUEST_SYSTEM);
    if (status == KVPBUS_CIM_OK)
        status = fill(host, list, reading, "HostExchangeItems", FROM_HOST);
    free(reading);
    return status;
}
