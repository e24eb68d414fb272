// SPDX-License-Identifier: Apache-2.0
//
// The text of one embedded instance of Msvm_KvpExchangeDataItem, as WMI passes items in and out:
// each element of GuestExchangeItems, HostExchangeItems or DataItems is such a document of its own.
// Pure. Any thread.
#ifndef KVPBUS_KVP_ITEM_TEXT_H
#define KVPBUS_KVP_ITEM_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "kvpbus/store.h"

// A document beyond one of these is refused. They leave room for the longest item that the schema
// allows with every character written as a reference, and bound memory and time: the time grows
// with the length alone, since there are no entities to be expanded.
enum {
    KVPBUS_ITEM_TEXT_MAX = 65536, // bytes of UTF-8
    KVPBUS_ITEM_TEXT_DEPTH = 8,
    KVPBUS_ITEM_TEXT_ELEMENTS = 256,
};

enum {
    KVPBUS_ITEM_NAME_ROOM = 1024,
    KVPBUS_ITEM_DATA_ROOM = 4096,
    // What kvpbus_item_text_write makes of a key and a value of these lengths has room in it.
    KVPBUS_ITEM_TEXT_ROOM = 32768,
};

// What an item says. A property without a VALUE is null, one with an empty VALUE is the empty
// string: `name_set` and `data_set` tell them apart.
struct kvpbus_item_text {
    bool name_set, data_set;
    size_t name_length, data_length; // of the whole; what has no room below is only counted
    char name[KVPBUS_ITEM_NAME_ROOM];
    char data[KVPBUS_ITEM_DATA_ROOM];
};

// Reads a document in UTF-8, whatever encoding it declares. Entities, numeric references and CDATA
// are text like any other; attributes come in any order; other properties are passed over. A
// document type is refused, and with it every entity of one's own. KVPBUS_BAD_ITEM when it is not
// such an instance, KVPBUS_TOO_LARGE when it is longer than is read, KVPBUS_NOMEM.
enum kvpbus_error kvpbus_item_text_parse(const char *text, size_t length,
                                         struct kvpbus_item_text *item,
                                         struct kvpbus_failure *failure);

// Adds the item of a document to a scan, as kvpbus_scan_add does. One that cannot be read may be
// ours and is counted in `skipped`, as is one of ours without data. KVPBUS_OK or KVPBUS_NOMEM.
enum kvpbus_error kvpbus_item_text_scan(struct kvpbus_scan *scan, const char *prefix,
                                        const char *text, size_t length);

// Writes the document of an item of the host (Source 0), in the form that
// IWbemObjectTextSrc::GetText gives it, with a NUL. Returns its length, or 0 when it has no room or
// holds what XML cannot.
size_t kvpbus_item_text_write(const char *key, const char *value, char *text, size_t size);

#endif
