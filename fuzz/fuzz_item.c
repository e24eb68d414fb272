// SPDX-License-Identifier: Apache-2.0
//
// The input is a value of the store, and the contents of an item that has to come back.
#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "item.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct kvpbus_item_keys keys;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    // The keys of the golden items, which are in the corpus.
    for (uint8_t i = 0; i < KVPBUS_KEY_BYTES; i++) {
        keys.session[i] = i;
        keys.aead[i] = (uint8_t)(0x40 + i);
        keys.siv[i] = (uint8_t)(0x80 + i);
    }
    return sodium_init() < 0 ? -1 : 0;
}

static void read_value(const char *value)
{
    uint8_t bytes[KVPBUS_ITEM_MAX], plain[KVPBUS_PLAIN_MAX];
    size_t length, plain_length;
    enum kvpbus_item_type type;
    struct kvpbus_item_head head;
    unsigned slot;
    kvpbus_key_parse("kvpbus", value, &slot);
    if (kvpbus_item_decode(value, bytes, &length) != KVPBUS_OK)
        return;
    char again[KVPBUS_VALUE_MAX + 1];
    kvpbus_item_encode(bytes, length, again);
    assert(strcmp(value, again) == 0);
    if (kvpbus_item_type(bytes, length, &type) != KVPBUS_OK)
        return;
    bool has_head = kvpbus_item_head_read(bytes, length, &head) == KVPBUS_OK;
    bool opens = kvpbus_item_open(&keys, bytes, length, &head, plain, &plain_length) == KVPBUS_OK;
    assert(has_head || !opens);
}

static void round_trip(const uint8_t *data, size_t size)
{
    char value[KVPBUS_VALUE_MAX + 1];
    uint8_t bytes[KVPBUS_ITEM_MAX], plain[KVPBUS_PLAIN_MAX];
    size_t length, plain_length;
    struct kvpbus_item_head head;
    kvpbus_item_seal(&keys, KVPBUS_ITEM_DATA, data[0] + 1U, (uint32_t)size, data, size, value);
    assert(kvpbus_item_decode(value, bytes, &length) == KVPBUS_OK);
    assert(kvpbus_item_open(&keys, bytes, length, &head, plain, &plain_length) == KVPBUS_OK);
    assert(plain_length == size && memcmp(plain, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char value[KVPBUS_VALUE_MAX + 3] = {0};
    memcpy(value, data, size < sizeof value - 1 ? size : sizeof value - 1);
    read_value(value);
    if (size >= 1 && size <= KVPBUS_PLAIN_MAX)
        round_trip(data, size);
    return 0;
}
