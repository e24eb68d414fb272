// SPDX-License-Identifier: Apache-2.0
#include "packing.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

enum { LEVEL = 6 };

static_assert(sizeof(uInt) >= sizeof(uint32_t), "lengths go to zlib in one piece");

static voidpf allocate(voidpf opaque, uInt items, uInt size)
{
    (void)opaque;
    return calloc(items, size);
}

static void release(voidpf opaque, voidpf block)
{
    (void)opaque;
    free(block);
}

enum kvpbus_error kvpbus_deflate(const uint8_t *plain, size_t length, uint8_t *packed, size_t room,
                                 size_t *packed_length)
{
    assert(length <= UINT32_MAX && room <= UINT32_MAX);
    z_stream stream = {.zalloc = allocate, .zfree = release};
    if (deflateInit(&stream, LEVEL) != Z_OK)
        return KVPBUS_NOMEM;
    stream.next_in = (z_const Bytef *)plain;
    stream.avail_in = (uInt)length;
    stream.next_out = packed;
    stream.avail_out = (uInt)room;
    bool done = deflate(&stream, Z_FINISH) == Z_STREAM_END;
    *packed_length = done ? room - stream.avail_out : 0;
    deflateEnd(&stream);
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_inflate(const uint8_t *packed, size_t packed_length, uint8_t *plain,
                                 size_t length)
{
    assert(length <= UINT32_MAX && packed_length <= UINT32_MAX);
    z_stream stream = {.zalloc = allocate,
                       .zfree = release,
                       .next_in = (z_const Bytef *)packed,
                       .avail_in = (uInt)packed_length};
    if (inflateInit(&stream) != Z_OK)
        return KVPBUS_NOMEM;
    stream.next_out = plain;
    stream.avail_out = (uInt)length;
    int result = inflate(&stream, Z_FINISH);
    bool exact = result == Z_STREAM_END && stream.avail_in == 0 && stream.avail_out == 0;
    inflateEnd(&stream);
    if (result == Z_MEM_ERROR)
        return KVPBUS_NOMEM;
    return exact ? KVPBUS_OK : KVPBUS_BAD_BUNDLE;
}
