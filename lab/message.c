// SPDX-License-Identifier: Apache-2.0
//
// Items in and out of the driver's messages, with the limits that the driver applies.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "driver.h"
#include "text.h"

enum {
    // What hv_utils lets through to the daemon (bytes of UTF-8) and to the host (UTF-16 units):
    // fact sheet part 1.
    TO_GUEST_KEY = HV_KVP_EXCHANGE_MAX_KEY_SIZE - 1,
    TO_GUEST_VALUE = HV_KVP_EXCHANGE_MAX_VALUE_SIZE - 1,
    TO_HOST_KEY_UNITS = 254,
    TO_HOST_VALUE_UNITS = 1022,
};

// Copies the text and its NUL, cut to `limit` bytes, and returns the size with the NUL.
static uint32_t put(uint8_t *field, const char *text, size_t limit)
{
    size_t length;
    if (!kvpbus_lab_text_fit(text, strlen(text), SIZE_MAX, limit, &length))
        length = 0;
    memcpy(field, text, length);
    field[length] = '\0';
    return (uint32_t)(length + 1);
}

void kvpbus_lab_request_set(struct kvpbus_lab_request *request, uint8_t pool, const char *key,
                            const char *value)
{
    memset(&request->message, 0, sizeof request->message);
    request->message.kvp_hdr.operation = KVP_OP_SET;
    request->message.kvp_hdr.pool = pool;
    struct hv_kvp_exchg_msg_value *data = &request->message.body.kvp_set.data;
    data->value_type = REG_SZ;
    data->key_size = put(data->key, key, TO_GUEST_KEY);
    data->value_size = put(data->value, value, TO_GUEST_VALUE);
}

void kvpbus_lab_request_delete(struct kvpbus_lab_request *request, uint8_t pool, const char *key)
{
    memset(&request->message, 0, sizeof request->message);
    request->message.kvp_hdr.operation = KVP_OP_DELETE;
    request->message.kvp_hdr.pool = pool;
    request->message.body.kvp_delete.key_size =
        put(request->message.body.kvp_delete.key, key, TO_GUEST_KEY);
}

void kvpbus_lab_request_enumerate(struct kvpbus_lab_request *request, uint8_t pool, uint32_t index)
{
    // Only what the daemon reads of it is cleared: a scan sends this many times.
    memset(&request->message.kvp_hdr, 0, sizeof request->message.kvp_hdr);
    request->message.kvp_hdr.operation = KVP_OP_ENUMERATE;
    request->message.kvp_hdr.pool = pool;
    request->message.body.kvp_enum_data.index = index;
}

// The text of a field up to its first NUL, or to its end when it has none.
static bool take(const uint8_t *field, size_t size, size_t units, char *text)
{
    size_t length = strnlen((const char *)field, size);
    size_t kept;
    if (!kvpbus_lab_text_fit((const char *)field, length, units, SIZE_MAX, &kept))
        return false;
    memcpy(text, field, kept);
    text[kept] = '\0';
    return true;
}

bool kvpbus_lab_request_item(const struct kvpbus_lab_request *request, struct kvpbus_lab_item *item)
{
    static_assert(KVPBUS_LAB_KEY_BYTES >= HV_KVP_EXCHANGE_MAX_KEY_SIZE, "a key fits");
    static_assert(KVPBUS_LAB_VALUE_BYTES >= HV_KVP_EXCHANGE_MAX_VALUE_SIZE, "a value fits");
    const struct hv_kvp_exchg_msg_value *data = &request->message.body.kvp_enum_data.data;
    return take(data->key, sizeof data->key, TO_HOST_KEY_UNITS, item->key) &&
           take(data->value, sizeof data->value, TO_HOST_VALUE_UNITS, item->value);
}
