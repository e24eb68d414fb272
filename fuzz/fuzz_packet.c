// SPDX-License-Identifier: Apache-2.0
//
// The input is what the peer may have sealed, once as the plaintext of a data item, once as that of
// a state register; and it is a hello, which is read as it is and again after it was signed. What
// is read has one encoding: written again it has to be the same bytes.
#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "big_endian.h"
#include "hello.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

// docs/protocol.md section 2.1
enum { HEAD = 8, SIGNATURE = 64, CONFIRMATION = KVPBUS_CORE_HASH + SIGNATURE };
static const char core_label[] = "kvpbus 1 hello core";

static uint8_t identity[KVPBUS_IDENTITY_BYTES], secret[KVPBUS_SECRET_BYTES];
static struct kvpbus_own_core own[2]; // a host's and a guest's

static void draw(void *context, uint8_t *bytes, size_t length)
{
    memset(bytes, *(uint8_t *)context, length);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const uint8_t seed[crypto_sign_SEEDBYTES] = {1};
    (void)argc;
    (void)argv;
    if (sodium_init() < 0 || crypto_sign_seed_keypair(identity, secret, seed) != 0)
        return -1;
    for (size_t i = 0; i < 2; i++) {
        uint8_t byte = (uint8_t)(i + 1);
        own[i].core.role = i == 0 ? KVPBUS_ROLE_HOST : KVPBUS_ROLE_GUEST;
        own[i].core.ring_slots = own[i].core.window = 64;
        own[i].core.value_max = KVPBUS_VALUE_MAX;
        memcpy(own[i].core.identity, identity, sizeof identity);
        kvpbus_core_make(&own[i], secret, draw, &byte);
    }
    return 0;
}

// --- packets ---

struct content {
    bool is_sync;
    struct kvpbus_sync sync;
    struct kvpbus_link_packet packet;
};

static bool read_packet(struct content *content, const uint8_t *plain, size_t length)
{
    memset(content, 0, sizeof *content);
    return kvpbus_packet_read(plain, length, &content->is_sync, &content->sync, &content->packet) ==
           KVPBUS_OK;
}

static void write_packet(const struct content *content, struct kvpbus_frame_writer *writer)
{
    const struct kvpbus_link_packet *packet = &content->packet;
    bool fits = true;
    if (content->is_sync)
        fits = kvpbus_frame_sync(writer, &content->sync);
    for (size_t i = 0; i < packet->answer_count; i++)
        fits &= kvpbus_frame_answer(writer, &packet->answers[i]);
    for (size_t i = 0; i < packet->gap_count; i++)
        fits &= kvpbus_frame_gap(writer, &packet->gaps[i]);
    for (size_t i = 0; i < packet->fragment_count; i++)
        fits &= kvpbus_frame_fragment(writer, &packet->fragments[i]) == packet->fragments[i].length;
    assert(fits);
}

static void check_same(const struct content *a, const struct content *b)
{
    const struct kvpbus_link_packet *left = &a->packet, *right = &b->packet;
    assert(a->is_sync == b->is_sync && memcmp(&a->sync, &b->sync, sizeof a->sync) == 0);
    assert(left->gap_count == right->gap_count && left->answer_count == right->answer_count &&
           left->fragment_count == right->fragment_count);
    assert(memcmp(left->gaps, right->gaps, sizeof left->gaps) == 0);
    assert(memcmp(left->answers, right->answers, sizeof left->answers) == 0);
    for (size_t i = 0; i < left->fragment_count; i++) {
        const struct kvpbus_fragment *one = &left->fragments[i], *other = &right->fragments[i];
        assert(one->class_ == other->class_ && one->number == other->number &&
               one->first == other->first && one->total == other->total &&
               one->offset == other->offset && one->length == other->length &&
               memcmp(one->data, other->data, one->length) == 0);
    }
}

// The order of frames of different kinds is not kept; everything else has one form.
static void check_permuted(const uint8_t *a, const uint8_t *b, size_t length)
{
    int counts[256] = {0};
    for (size_t i = 0; i < length; i++) {
        counts[a[i]]++;
        counts[b[i]]--;
    }
    for (size_t i = 0; i < 256; i++)
        assert(counts[i] == 0);
}

// In a packet with less room a fragment says truly how much of it is there.
static void shorter(const struct kvpbus_fragment *fragment, size_t room)
{
    static struct content content;
    struct kvpbus_frame_writer writer = {.limit = room};
    size_t taken = kvpbus_frame_fragment(&writer, fragment);
    if (taken == 0) {
        assert(writer.length == 0);
        return;
    }
    bool readable = read_packet(&content, writer.bytes, writer.length);
    const struct kvpbus_fragment *read = &content.packet.fragments[0];
    assert(readable && content.packet.fragment_count == 1 && read->length == taken &&
           taken <= fragment->length && memcmp(read->data, fragment->data, taken) == 0);
}

static void packet(const uint8_t *plain, size_t length)
{
    static struct content content, again;
    struct kvpbus_frame_writer writer = {.limit = length}, same = {.limit = length};
    if (!read_packet(&content, plain, length))
        return;
    write_packet(&content, &writer);
    assert(writer.length == length);
    check_permuted(writer.bytes, plain, length);
    assert(!content.is_sync || memcmp(writer.bytes, plain, length) == 0);

    bool readable = read_packet(&again, writer.bytes, writer.length);
    assert(readable);
    check_same(&content, &again);
    write_packet(&again, &same);
    assert(same.length == length && memcmp(same.bytes, writer.bytes, length) == 0);
    for (size_t i = 0; i < content.packet.fragment_count; i++)
        shorter(&content.packet.fragments[i], 1 + plain[length - 1] % length);
}

static void state(const uint8_t *plain, size_t length)
{
    struct kvpbus_state state;
    uint8_t again[KVPBUS_STATE_PLAIN];
    if (kvpbus_state_read(plain, length, &state) != KVPBUS_OK)
        return;
    kvpbus_state_write(&state, again);
    assert(memcmp(again, plain, sizeof again) == 0);
}

// --- hellos ---

// By the table in the documentation, not by the code that is tested.
static void check_core(const struct kvpbus_core *core, const uint8_t *bytes, size_t length)
{
    uint8_t again[KVPBUS_CORE_MIN] = {core->version_min, core->version_max, (uint8_t)core->role,
                                      bytes[3]};
    memcpy(again + 4, core->identity, 32);
    memcpy(again + 36, core->ephemeral, 32);
    memcpy(again + 68, core->epoch, 16);
    memcpy(again + 84, core->nonce, 16);
    memcpy(again + 100, core->vm, 16);
    again[116] = core->ring_slots;
    again[117] = core->window;
    kvpbus_put_be(again + 118, core->value_max, 2);
    kvpbus_put_be(again + 120, core->bundle_max, 4);
    assert((bytes[3] & 1) == 1 && memcmp(again, bytes, sizeof again) == 0);
    size_t at = sizeof again;
    bool met[256] = {false};
    while (at + 3 <= length) {
        const uint8_t *found = NULL;
        size_t size = (size_t)kvpbus_get_be(bytes + at + 1, 2), found_size = 0;
        bool there =
            kvpbus_core_extension(core, (enum kvpbus_extension)bytes[at], &found, &found_size);
        assert(there && (met[bytes[at]] || (found_size == size &&
                                            found == core->extensions + (at + 3 - sizeof again))));
        met[bytes[at]] = true;
        at += 3 + size;
    }
    assert(at == length && core->extensions_length == length - sizeof again);
    assert(memcmp(core->extensions, bytes + sizeof again, core->extensions_length) == 0);
}

// My answer to it, and what comes of a session with it.
static void answer(const struct kvpbus_hello *hello)
{
    const struct kvpbus_own_core *mine = &own[hello->core.role == KVPBUS_ROLE_HOST ? 1 : 0];
    uint8_t bytes[KVPBUS_ITEM_MAX];
    struct kvpbus_hello back;
    struct kvpbus_session_keys keys;
    size_t length = kvpbus_hello_write(mine, secret, &hello->core, false, hello->attempt, bytes);
    enum kvpbus_error error = kvpbus_hello_read(bytes, length, &back);
    assert(error == KVPBUS_OK && back.attempt == hello->attempt);
    assert(memcmp(back.confirmed, hello->core.hash, KVPBUS_CORE_HASH) == 0);
    error = kvpbus_session_derive(mine, &hello->core, &keys);
    assert(error == KVPBUS_OK || error == KVPBUS_BAD_KEY);
}

static bool hello(const uint8_t *bytes, size_t length)
{
    struct kvpbus_hello hello;
    if (kvpbus_hello_read(bytes, length, &hello) != KVPBUS_OK)
        return false;
    check_core(&hello.core, bytes + HEAD, (size_t)kvpbus_get_be(bytes + 6, 2));
    if (kvpbus_hello_verify(bytes, length, &hello) != KVPBUS_OK)
        return false;
    answer(&hello);
    return true;
}

// Makes the fields that a fuzzer hardly guesses fit, then changes one bit of what is signed.
static void signed_hello(const uint8_t *data, size_t size)
{
    uint8_t bytes[KVPBUS_ITEM_MAX], text[sizeof core_label + KVPBUS_CORE_MAX];
    size_t rest = HEAD + SIGNATURE + ((data[1] & KVPBUS_HELLO_CONFIRMS) != 0 ? CONFIRMATION : 0);
    if (size < rest + KVPBUS_CORE_MIN || size > rest + KVPBUS_CORE_MAX)
        return;
    size_t core = size - rest;
    memcpy(bytes, data, size);
    kvpbus_put_be(bytes + 6, core, 2);
    memcpy(bytes + HEAD + 4, identity, sizeof identity);
    memcpy(text, core_label, sizeof core_label);
    memcpy(text + sizeof core_label, bytes + HEAD, core);
    crypto_sign_detached(bytes + HEAD + core, NULL, text, sizeof core_label + core, secret);
    struct kvpbus_hello read;
    bool parses = kvpbus_hello_read(bytes, size, &read) == KVPBUS_OK;
    bool believed = hello(bytes, size);
    assert(parses == believed);
    bytes[HEAD + data[2] % (core + SIGNATURE)] ^= (uint8_t)(1 << (data[3] & 7));
    believed = hello(bytes, size);
    assert(!believed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 1 && size <= KVPBUS_PLAIN_MAX) {
        packet(data, size);
        state(data, size);
    }
    if (size >= HEAD && size <= KVPBUS_ITEM_MAX) {
        hello(data, size);
        signed_hello(data, size);
    }
    return 0;
}
