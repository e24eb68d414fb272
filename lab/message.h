// SPDX-License-Identifier: Apache-2.0
//
// Requests as messages of a Linux guest's kernel to its daemon and back, cut as hv_utils cuts them.
#ifndef KVPBUS_LAB_MESSAGE_H
#define KVPBUS_LAB_MESSAGE_H

#include "driver.h"

void kvpbus_lab_message_make(struct hv_kvp_msg *message, const struct kvpbus_lab_request *request);

// The item in the answer to an enumeration. False when it is not UTF-8.
bool kvpbus_lab_message_item(const struct hv_kvp_msg *message, struct kvpbus_lab_item *item);

#endif
