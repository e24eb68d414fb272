// SPDX-License-Identifier: Apache-2.0
#include "message.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

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

static void make_set(struct hv_kvp_msg *message, const struct kvpbus_lab_item *item)
{
    struct hv_kvp_exchg_msg_value *data = &message->body.kvp_set.data;
    memset(&message->body, 0, sizeof message->body);
    data->value_type = REG_SZ;
    data->key_size = put(data->key, item->key, TO_GUEST_KEY);
    data->value_size = put(data->value, item->value, TO_GUEST_VALUE);
}

void kvpbus_lab_message_make(struct hv_kvp_msg *message, const struct kvpbus_lab_request *request)
{
    memset(&message->kvp_hdr, 0, sizeof message->kvp_hdr);
    message->kvp_hdr.operation = request->operation;
    message->kvp_hdr.pool = request->pool;
    switch (request->operation) {
    case KVP_OP_SET:
        make_set(message, &request->item);
        break;
    case KVP_OP_DELETE:
        memset(&message->body, 0, sizeof message->body);
        message->body.kvp_delete.key_size =
            put(message->body.kvp_delete.key, request->item.key, TO_GUEST_KEY);
        break;
    default:
        // Only what the daemon reads of it: a scan sends this many times.
        message->body.kvp_enum_data.index = request->index;
        break;
    }
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

bool kvpbus_lab_message_item(const struct hv_kvp_msg *message, struct kvpbus_lab_item *item)
{
    static_assert(KVPBUS_LAB_KEY_BYTES >= HV_KVP_EXCHANGE_MAX_KEY_SIZE, "a key fits");
    static_assert(KVPBUS_LAB_VALUE_BYTES >= HV_KVP_EXCHANGE_MAX_VALUE_SIZE, "a value fits");
    const struct hv_kvp_exchg_msg_value *data = &message->body.kvp_enum_data.data;
    return take(data->key, sizeof data->key, TO_HOST_KEY_UNITS, item->key) &&
           take(data->value, sizeof data->value, TO_HOST_VALUE_UNITS, item->value);
}
