// SPDX-License-Identifier: Apache-2.0
//
// The input is the text of an embedded instance. What is read of it is written and read again; and
// the input itself is written as the value of an item and comes back as it was.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kvp_item_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_ascii(const char *text)
{
    while (*text > 0 && *text < 127)
        text++;
    return *text == '\0';
}

static void round_trip(const char *key, const char *value)
{
    char text[KVPBUS_ITEM_TEXT_ROOM];
    struct kvpbus_item_text item;
    size_t length = kvpbus_item_text_write(key, value, text, sizeof text);
    assert(length < sizeof text);
    if (length == 0 || !is_ascii(key) || !is_ascii(value))
        return;
    enum kvpbus_error error = kvpbus_item_text_parse(text, length, &item, NULL);
    assert(error == KVPBUS_OK);
    assert(item.name_set && item.data_set);
    assert(item.name_length == strlen(key));
    assert(memcmp(item.name, key, item.name_length) == 0);
    assert(item.data_length == strlen(value));
    assert(memcmp(item.data, value, item.data_length) == 0);
}

static void write_back(const struct kvpbus_item_text *item)
{
    char key[KVPBUS_KEY_MAX + 1], value[KVPBUS_VALUE_MAX + 1];
    if (item->name_length > KVPBUS_KEY_MAX || item->data_length > KVPBUS_VALUE_MAX)
        return;
    memcpy(key, item->name, item->name_length);
    key[item->name_length] = '\0';
    memcpy(value, item->data, item->data_length);
    value[item->data_length] = '\0';
    round_trip(key, value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kvpbus_item_text item;
    struct kvpbus_failure failure = {0};
    struct kvpbus_scan scan = {0};
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    enum kvpbus_error error = kvpbus_item_text_parse(text, size, &item, &failure);
    assert(error == failure.code);
    assert(error == KVPBUS_OK || error == KVPBUS_BAD_ITEM || error == KVPBUS_TOO_LARGE);
    assert(item.name_set || item.name_length == 0);
    assert(item.data_set || item.data_length == 0);
    if (error == KVPBUS_OK)
        write_back(&item);
    error = kvpbus_item_text_scan(&scan, "kvpbus", text, size);
    assert(error == KVPBUS_OK && scan.count + scan.foreign + scan.skipped == 1);
    kvpbus_scan_free(&scan);
    if (strlen(text) <= KVPBUS_VALUE_MAX)
        round_trip("kvpbus.0", text);
    free(text);
    return 0;
}
