// SPDX-License-Identifier: Apache-2.0
//
// Instances as XML: what IWbemObjectTextSrc makes of an object, and what a client passes as
// DataItems. Each text is a document of its own.
#ifndef KVPBUS_LAB_WMI_ITEM_TEXT_H
#define KVPBUS_LAB_WMI_ITEM_TEXT_H

#include "cim.h"

enum kvpbus_cim_dtd {
    KVPBUS_CIM_DTD_2_0,     // CIM DTD 2.0
    KVPBUS_CIM_WMI_DTD_2_0, // the same with the origin of the properties
};

// The properties that are visible, in alphabetical order. The caller frees the text; NULL: no
// memory.
char *kvpbus_cim_instance_text(const struct kvpbus_cim_object *object, enum kvpbus_cim_dtd dtd);

struct kvpbus_cim_item {
    char *name, *data; // NULL when the instance has none
    unsigned source;   // 0 when it has none
};

enum kvpbus_cim_item_result {
    KVPBUS_CIM_ITEM_OK,
    KVPBUS_CIM_ITEM_INVALID, // not XML, with a document type, or not an Msvm_KvpExchangeDataItem
    KVPBUS_CIM_ITEM_NOMEM,
};

// On KVPBUS_CIM_ITEM_OK the caller frees with kvpbus_cim_item_clear.
enum kvpbus_cim_item_result kvpbus_cim_item_parse(const char *text, struct kvpbus_cim_item *item);
void kvpbus_cim_item_clear(struct kvpbus_cim_item *item);

#endif
