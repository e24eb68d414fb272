// SPDX-License-Identifier: Apache-2.0
#ifndef KVPBUS_LAB_MANAGEMENT_H
#define KVPBUS_LAB_MANAGEMENT_H

#include "kvpbus/management.h"

// Sets how long a call of the lab's management service may take, its job included; 30 s unless set.
// Before other threads use it.
void kvpbus_lab_management_set_deadline(struct kvpbus_management *management, unsigned ms);

#endif
