// SPDX-License-Identifier: Apache-2.0
#include "kvpbus/management.h"

const char *kvpbus_return_text(uint32_t code)
{
    switch (code) {
#define X(name, number, text) \
    case number:              \
        return text;
        KVPBUS_RETURN_MAP(X)
#undef X
    default:
        return "unlisted code";
    }
}
