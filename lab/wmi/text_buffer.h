// SPDX-License-Identifier: Apache-2.0
//
// A text that grows at its end. Failure is remembered and asked for once, when it is finished.
#ifndef KVPBUS_LAB_WMI_TEXT_BUFFER_H
#define KVPBUS_LAB_WMI_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

// Zero-initialised.
struct kvpbus_cim_text {
    char *bytes;
    size_t length, capacity;
    bool failed;
};

void kvpbus_cim_text_add(struct kvpbus_cim_text *text, const char *part);
void kvpbus_cim_text_add_bytes(struct kvpbus_cim_text *text, const char *part, size_t length);

// The finished text, which the caller frees; NULL when memory has failed.
char *kvpbus_cim_text_take(struct kvpbus_cim_text *text);

#endif
