// SPDX-License-Identifier: Apache-2.0
#ifndef KVPBUS_MESSAGE_COPY_H
#define KVPBUS_MESSAGE_COPY_H

#include "kvpbus/message.h"

// A copy with everything that it points to in one block of memory, freed with free(); NULL: out of
// memory.
struct kvpbus_message *kvpbus_message_copy(const struct kvpbus_message *message);

#endif
