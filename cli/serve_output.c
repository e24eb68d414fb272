// SPDX-License-Identifier: Apache-2.0
#include "serve_program.h"

#include <stdlib.h>
#include <string.h>

bool serve_output_keep(struct serve_result *result, size_t *capacity, size_t max,
                       const uint8_t *bytes, size_t length)
{
    if (length > max - result->length)
        return false;
    if (result->length + length > *capacity) {
        size_t wanted = 2 * (result->length + length);
        uint8_t *grown = realloc(result->output, wanted);
        if (grown == NULL)
            return false;
        result->output = grown;
        *capacity = wanted;
    }
    memcpy(result->output + result->length, bytes, length);
    result->length += length;
    return true;
}
