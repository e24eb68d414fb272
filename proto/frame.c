// SPDX-License-Identifier: Apache-2.0
#include "frame.h"

#include <string.h>

#include "big_endian.h"

void kvpbus_frame_head(uint8_t head[KVPBUS_FRAME_HEAD], size_t length)
{
    kvpbus_put_be(head, length, KVPBUS_FRAME_HEAD);
}

static size_t take(struct kvpbus_frame_reader *reader, const uint8_t *bytes, size_t length,
                   size_t wanted)
{
    size_t missing = wanted - reader->length;
    size_t taken = length < missing ? length : missing;
    memcpy(reader->bytes + reader->length, bytes, taken);
    reader->length += taken;
    return taken;
}

enum kvpbus_error kvpbus_frame_take(struct kvpbus_frame_reader *reader, const uint8_t *bytes,
                                    size_t length, size_t *taken, const uint8_t **frame,
                                    size_t *frame_length)
{
    *frame = NULL;
    *taken = 0;
    if (reader->length < KVPBUS_FRAME_HEAD)
        *taken = take(reader, bytes, length, KVPBUS_FRAME_HEAD);
    if (reader->length < KVPBUS_FRAME_HEAD)
        return KVPBUS_OK;
    size_t body = (size_t)kvpbus_get_be(reader->bytes, KVPBUS_FRAME_HEAD);
    if (body == 0 || body > KVPBUS_FRAME_MAX)
        return KVPBUS_PROTOCOL;
    *taken += take(reader, bytes + *taken, length - *taken, KVPBUS_FRAME_HEAD + body);
    if (reader->length == KVPBUS_FRAME_HEAD + body) {
        *frame = reader->bytes + KVPBUS_FRAME_HEAD;
        *frame_length = body;
    }
    return KVPBUS_OK;
}

void kvpbus_frame_next(struct kvpbus_frame_reader *reader)
{
    reader->length = 0;
}
