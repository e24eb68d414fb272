// SPDX-License-Identifier: Apache-2.0
#include "wire.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "big_endian.h"

enum { FRAME_SYNC = 0x01, FRAME_GAP = 0x02, FRAME_ANSWER = 0x03, FRAME_FRAGMENT = 0x10 };
enum { FRAGMENT_FIRST = 1, FRAGMENT_TO_END = 2, FRAGMENT_CLASS_SHIFT = 2, FRAGMENT_BITS = 0x0f };
enum { SHORT_ID = 8 };

static uint64_t reverse_bits(uint64_t value)
{
    uint64_t reversed = 0;
    for (int i = 0; i < 64; i++)
        reversed = reversed << 1 | (value >> i & 1);
    return reversed;
}

void kvpbus_state_write(const struct kvpbus_state *state, uint8_t plain[KVPBUS_STATE_PLAIN])
{
    kvpbus_put_be(plain, state->echo, 6);
    kvpbus_put_be(plain + 6, state->cumulative, 6);
    kvpbus_put_be(plain + 12, reverse_bits(state->bitmap), 8);
    plain[20] = state->window;
    plain[21] = state->flags;
    for (size_t i = 0; i < KVPBUS_CLASS_COUNT; i++)
        kvpbus_put_be(plain + 22 + 8 * i, state->credit[i], 8);
    kvpbus_put_be(plain + 46, state->digest, 8);
}

enum kvpbus_error kvpbus_state_read(const uint8_t *plain, size_t length, struct kvpbus_state *state)
{
    if (length < KVPBUS_STATE_PLAIN)
        return KVPBUS_BAD_PACKET;
    state->echo = kvpbus_get_be(plain, 6);
    state->cumulative = kvpbus_get_be(plain + 6, 6);
    state->bitmap = reverse_bits(kvpbus_get_be(plain + 12, 8));
    state->window = plain[20];
    state->flags = plain[21];
    for (size_t i = 0; i < KVPBUS_CLASS_COUNT; i++)
        state->credit[i] = kvpbus_get_be(plain + 22 + 8 * i, 8);
    state->digest = kvpbus_get_be(plain + 46, 8);
    if (state->window < 1 || state->window > KVPBUS_LINK_WINDOW)
        return KVPBUS_BAD_PACKET;
    return KVPBUS_OK;
}

uint64_t kvpbus_packet_digest(const uint8_t key[KVPBUS_KEY_BYTES], uint64_t number,
                              const uint8_t *plain, size_t length)
{
    static const char label[] = "kvpbus 1 packet";
    uint8_t number_bytes[6], hash[crypto_generichash_BYTES_MIN];
    crypto_generichash_state state;
    kvpbus_put_be(number_bytes, number, sizeof number_bytes);
    crypto_generichash_init(&state, key, KVPBUS_KEY_BYTES, sizeof hash);
    crypto_generichash_update(&state, (const uint8_t *)label, sizeof label);
    crypto_generichash_update(&state, number_bytes, sizeof number_bytes);
    crypto_generichash_update(&state, plain, length);
    crypto_generichash_final(&state, hash, sizeof hash);
    return kvpbus_get_be(hash, 8);
}

// --- writing ---

static bool put_bytes(struct kvpbus_frame_writer *writer, const void *bytes, size_t length)
{
    assert(writer->limit <= sizeof writer->bytes && writer->length <= writer->limit);
    if (length > writer->limit - writer->length)
        return false;
    memcpy(writer->bytes + writer->length, bytes, length);
    writer->length += length;
    return true;
}

static bool put_byte(struct kvpbus_frame_writer *writer, unsigned value)
{
    uint8_t byte = (uint8_t)value;
    return put_bytes(writer, &byte, 1);
}

static size_t varint_bytes(uint64_t value, uint8_t bytes[KVPBUS_VARINT_MAX])
{
    size_t length = 0;
    do {
        bytes[length] = (uint8_t)(value & 0x7f);
        value >>= 7;
        if (value != 0)
            bytes[length] |= 0x80;
        length++;
    } while (value != 0);
    return length;
}

static bool put_varint(struct kvpbus_frame_writer *writer, uint64_t value)
{
    uint8_t bytes[KVPBUS_VARINT_MAX];
    size_t length = varint_bytes(value, bytes);
    return put_bytes(writer, bytes, length);
}

static bool put_sync_class(struct kvpbus_frame_writer *writer, const struct kvpbus_sync_class *view)
{
    assert(view->complete_count <= KVPBUS_BUNDLE_WINDOW);
    assert(view->partial_count <= KVPBUS_BUNDLE_WINDOW);
    bool fits = put_varint(writer, view->floor) &&
                put_bytes(writer, view->floor_id, sizeof view->floor_id) &&
                put_varint(writer, view->complete_count);
    for (size_t i = 0; fits && i < view->complete_count; i++)
        fits = put_varint(writer, view->complete[i] - view->floor) &&
               put_bytes(writer, view->complete_id[i], SHORT_ID);
    fits = fits && put_varint(writer, view->partial_count);
    for (size_t i = 0; fits && i < view->partial_count; i++)
        fits = put_varint(writer, view->partial[i] - view->floor) &&
               put_bytes(writer, view->partial_id[i], SHORT_ID) &&
               put_varint(writer, view->partial_prefix[i]);
    return fits;
}

static bool put_former(struct kvpbus_frame_writer *writer, const struct kvpbus_former *former,
                       size_t count)
{
    bool fits = put_varint(writer, count);
    for (size_t i = 0; fits && i < count; i++) {
        fits = put_bytes(writer, former[i].timeline, sizeof former[i].timeline);
        for (size_t class_ = 0; fits && class_ < KVPBUS_CLASS_COUNT; class_++)
            fits = put_varint(writer, former[i].floors[class_]);
    }
    return fits;
}

bool kvpbus_frame_sync(struct kvpbus_frame_writer *writer, const struct kvpbus_sync *sync)
{
    size_t start = writer->length;
    bool fits =
        put_byte(writer, FRAME_SYNC) && put_bytes(writer, sync->timeline, sizeof sync->timeline);
    for (size_t i = 0; fits && i < KVPBUS_CLASS_COUNT; i++)
        fits = put_varint(writer, sync->classes[i].next);
    fits = fits && put_bytes(writer, sync->peer_timeline, sizeof sync->peer_timeline);
    for (size_t i = 0; fits && i < KVPBUS_CLASS_COUNT; i++)
        fits = put_sync_class(writer, &sync->classes[i]);
    size_t former = sync->former_count, end = writer->length;
    assert(former <= KVPBUS_FORMER_MAX);
    while (fits && !put_former(writer, sync->former, former)) { // as many as there is room for
        writer->length = end;
        fits = former-- > 0;
    }
    if (!fits)
        writer->length = start;
    return fits;
}

bool kvpbus_frame_gap(struct kvpbus_frame_writer *writer, const struct kvpbus_gap *gap)
{
    assert(gap->count <= KVPBUS_GAP_INDICES_MAX);
    size_t start = writer->length;
    bool fits = put_byte(writer, FRAME_GAP) && put_byte(writer, gap->class_) &&
                put_varint(writer, gap->number) && put_varint(writer, gap->count);
    for (size_t i = 0; fits && i < gap->count; i++)
        fits = put_varint(writer, gap->indices[i]);
    if (!fits)
        writer->length = start;
    return fits;
}

bool kvpbus_frame_answer(struct kvpbus_frame_writer *writer, const struct kvpbus_gap_answer *answer)
{
    assert(answer->count <= KVPBUS_GAP_INDICES_MAX);
    size_t start = writer->length;
    bool fits = put_byte(writer, FRAME_ANSWER) && put_byte(writer, answer->class_) &&
                put_varint(writer, answer->number) && put_varint(writer, answer->count);
    if (answer->count == 0)
        fits = fits && put_byte(writer, answer->answers[0]);
    for (size_t i = 0; fits && i < answer->count; i++)
        fits = put_varint(writer, answer->indices[i]) && put_byte(writer, answer->answers[i]);
    if (!fits)
        writer->length = start;
    return fits;
}

size_t kvpbus_frame_fragment(struct kvpbus_frame_writer *writer,
                             const struct kvpbus_fragment *fragment)
{
    assert(fragment->length > 0 && fragment->first == (fragment->offset == 0));
    uint8_t head[1 + 2 * KVPBUS_VARINT_MAX];
    size_t head_length = 1;
    unsigned type = FRAME_FRAGMENT | (unsigned)fragment->class_ << FRAGMENT_CLASS_SHIFT;
    if (fragment->first)
        type |= FRAGMENT_FIRST;
    head_length += varint_bytes(fragment->number, head + head_length);
    head_length +=
        varint_bytes(fragment->first ? fragment->total : fragment->offset, head + head_length);

    size_t room = writer->limit - writer->length;
    if (room <= head_length)
        return 0;
    if (fragment->length >= room - head_length) {
        head[0] = (uint8_t)(type | FRAGMENT_TO_END);
        put_bytes(writer, head, head_length);
        size_t taken = writer->limit - writer->length;
        put_bytes(writer, fragment->data, taken);
        return taken;
    }

    // Shorter than the packet: its length is said, unless that leaves no room for all of it; then
    // the last bytes go into the next packet.
    uint8_t length_bytes[KVPBUS_VARINT_MAX];
    size_t taken = fragment->length;
    size_t length_length = varint_bytes(taken, length_bytes);
    if (head_length + length_length + taken > room) {
        if (taken == 1)
            return 0;
        taken--;
        length_length = varint_bytes(taken, length_bytes);
    }
    if (head_length + length_length + taken > room)
        return 0;
    head[0] = (uint8_t)type;
    put_bytes(writer, head, head_length);
    put_bytes(writer, length_bytes, length_length);
    put_bytes(writer, fragment->data, taken);
    return taken;
}

// --- reading ---

struct reader {
    const uint8_t *at;
    size_t left;
};

static bool get_bytes(struct reader *reader, void *to, size_t length)
{
    if (length > reader->left)
        return false;
    memcpy(to, reader->at, length);
    reader->at += length;
    reader->left -= length;
    return true;
}

static bool get_varint(struct reader *reader, uint64_t max, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && reader->left > 0; shift += 7) {
        uint8_t byte = *reader->at++;
        reader->left--;
        if (shift == 63 && byte > 1)
            return false;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return *value <= max && (byte != 0 || shift == 0);
    }
    return false;
}

static bool get_class(struct reader *reader, enum kvpbus_class *class_)
{
    uint8_t byte;
    if (!get_bytes(reader, &byte, 1) || byte >= KVPBUS_CLASS_COUNT)
        return false;
    *class_ = (enum kvpbus_class)byte;
    return true;
}

static bool get_number(struct reader *reader, uint64_t *number)
{
    return get_varint(reader, INT64_MAX, number) && *number > 0;
}

static bool get_sync_class(struct reader *reader, struct kvpbus_sync_class *view)
{
    uint64_t count, value;
    if (!get_varint(reader, INT64_MAX - KVPBUS_BUNDLE_WINDOW, &view->floor) ||
        !get_bytes(reader, view->floor_id, sizeof view->floor_id) ||
        !get_varint(reader, KVPBUS_BUNDLE_WINDOW, &count))
        return false;
    view->complete_count = (size_t)count;
    for (size_t i = 0; i < view->complete_count; i++) {
        if (!get_varint(reader, KVPBUS_BUNDLE_WINDOW, &value) || value == 0 ||
            !get_bytes(reader, view->complete_id[i], SHORT_ID))
            return false;
        view->complete[i] = view->floor + value;
    }
    if (!get_varint(reader, KVPBUS_BUNDLE_WINDOW, &count))
        return false;
    view->partial_count = (size_t)count;
    for (size_t i = 0; i < view->partial_count; i++) {
        uint64_t prefix;
        if (!get_varint(reader, KVPBUS_BUNDLE_WINDOW, &value) || value == 0 ||
            !get_bytes(reader, view->partial_id[i], SHORT_ID) ||
            !get_varint(reader, UINT32_MAX, &prefix))
            return false;
        view->partial[i] = view->floor + value;
        view->partial_prefix[i] = (uint32_t)prefix;
    }
    return true;
}

static bool get_sync(struct reader *reader, struct kvpbus_sync *sync)
{
    memset(sync, 0, sizeof *sync);
    if (!get_bytes(reader, sync->timeline, sizeof sync->timeline))
        return false;
    for (size_t i = 0; i < KVPBUS_CLASS_COUNT; i++)
        if (!get_number(reader, &sync->classes[i].next))
            return false;
    if (!get_bytes(reader, sync->peer_timeline, sizeof sync->peer_timeline))
        return false;
    for (size_t i = 0; i < KVPBUS_CLASS_COUNT; i++)
        if (!get_sync_class(reader, &sync->classes[i]))
            return false;
    uint64_t count;
    if (!get_varint(reader, KVPBUS_FORMER_MAX, &count))
        return false;
    sync->former_count = (size_t)count;
    for (size_t i = 0; i < sync->former_count; i++) {
        struct kvpbus_former *former = &sync->former[i];
        if (!get_bytes(reader, former->timeline, sizeof former->timeline))
            return false;
        for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
            if (!get_varint(reader, INT64_MAX, &former->floors[class_]))
                return false;
    }
    return true;
}

static bool get_gap(struct reader *reader, struct kvpbus_gap *gap)
{
    uint64_t count, index;
    if (!get_class(reader, &gap->class_) || !get_number(reader, &gap->number) ||
        !get_varint(reader, KVPBUS_GAP_INDICES_MAX, &count))
        return false;
    gap->count = (size_t)count;
    for (size_t i = 0; i < gap->count; i++) {
        if (!get_varint(reader, UINT16_MAX, &index))
            return false;
        gap->indices[i] = (uint16_t)index;
    }
    return true;
}

static bool get_answer_byte(struct reader *reader, enum kvpbus_answer *answer)
{
    uint8_t byte;
    if (!get_bytes(reader, &byte, 1) || byte < KVPBUS_ANSWER_HAD || byte > KVPBUS_ANSWER_REFUSED)
        return false;
    *answer = (enum kvpbus_answer)byte;
    return true;
}

static bool get_answer(struct reader *reader, struct kvpbus_gap_answer *answer)
{
    uint64_t count, index;
    if (!get_class(reader, &answer->class_) || !get_number(reader, &answer->number) ||
        !get_varint(reader, KVPBUS_GAP_INDICES_MAX, &count))
        return false;
    answer->count = (size_t)count;
    if (answer->count == 0)
        return get_answer_byte(reader, &answer->answers[0]);
    for (size_t i = 0; i < answer->count; i++) {
        if (!get_varint(reader, UINT16_MAX, &index) ||
            !get_answer_byte(reader, &answer->answers[i]))
            return false;
        answer->indices[i] = (uint16_t)index;
    }
    return true;
}

static bool get_fragment(struct reader *reader, unsigned bits, struct kvpbus_fragment *fragment)
{
    unsigned class_ = bits >> FRAGMENT_CLASS_SHIFT;
    uint64_t place, length = 0;
    if (class_ >= KVPBUS_CLASS_COUNT || !get_number(reader, &fragment->number) ||
        !get_varint(reader, UINT32_MAX, &place) || place == 0)
        return false;
    fragment->class_ = (enum kvpbus_class)class_;
    fragment->first = (bits & FRAGMENT_FIRST) != 0;
    fragment->total = fragment->first ? (uint32_t)place : 0;
    fragment->offset = fragment->first ? 0 : (uint32_t)place;
    if ((bits & FRAGMENT_TO_END) != 0)
        length = reader->left;
    else if (!get_varint(reader, reader->left, &length) || length > reader->left)
        return false;
    if (length == 0 || length > UINT32_MAX - fragment->offset)
        return false;
    fragment->data = reader->at;
    fragment->length = (size_t)length;
    reader->at += length;
    reader->left -= (size_t)length;
    return true;
}

static bool get_frame(struct reader *reader, unsigned type, struct kvpbus_link_packet *packet)
{
    if (type == FRAME_GAP)
        return packet->gap_count < KVPBUS_LINK_FRAMES_MAX &&
               get_gap(reader, &packet->gaps[packet->gap_count++]);
    if (type == FRAME_ANSWER)
        return packet->answer_count < KVPBUS_LINK_FRAMES_MAX &&
               get_answer(reader, &packet->answers[packet->answer_count++]);
    if ((type & ~(unsigned)FRAGMENT_BITS) == FRAME_FRAGMENT)
        return packet->fragment_count < KVPBUS_LINK_FRAMES_MAX &&
               get_fragment(reader, type & FRAGMENT_BITS,
                            &packet->fragments[packet->fragment_count++]);
    return false;
}

enum kvpbus_error kvpbus_packet_read(const uint8_t *plain, size_t length, bool *is_sync,
                                     struct kvpbus_sync *sync, struct kvpbus_link_packet *packet)
{
    struct reader reader = {plain, length};
    packet->fragment_count = packet->gap_count = packet->answer_count = 0;
    *is_sync = length > 0 && plain[0] == FRAME_SYNC;
    if (*is_sync) {
        reader.at++;
        reader.left--;
        return get_sync(&reader, sync) && reader.left == 0 ? KVPBUS_OK : KVPBUS_BAD_PACKET;
    }
    if (length == 0)
        return KVPBUS_BAD_PACKET;
    while (reader.left > 0) {
        unsigned type = *reader.at++;
        reader.left--;
        if (!get_frame(&reader, type, packet))
            return KVPBUS_BAD_PACKET;
    }
    return KVPBUS_OK;
}
