// SPDX-License-Identifier: Apache-2.0
//
// The input is a whole sealed bundle; then, because its signature stops nearly every one, it is
// signed as the paired peer would and read again. What is accepted has to survive another sealing.
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "big_endian.h"
#include "bundle_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { PLAIN_MAX = 1 << 20 };

static struct kvpbus_route route = {.recipient = KVPBUS_ROLE_GUEST};
static uint8_t secret[KVPBUS_SECRET_BYTES];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const uint8_t seed[crypto_sign_SEEDBYTES] = {1};
    (void)argc;
    (void)argv;
    return sodium_init() < 0 ? -1 : crypto_sign_seed_keypair(route.sender, secret, seed);
}

static void seal_again(const struct kvpbus_bundle_content *content,
                       const struct kvpbus_bundle_position *position)
{
    size_t count, length, again_count;
    const struct kvpbus_message *messages = kvpbus_bundle_messages(content, &count);
    uint8_t *sealed;
    enum kvpbus_error error = kvpbus_bundle_seal(&route, secret, position, messages, count,
                                                 SIZE_MAX, &sealed, &length, NULL);
    assert(error == KVPBUS_OK);
    struct kvpbus_bundle_content *again = NULL;
    error = kvpbus_bundle_open(&route, sealed, length, PLAIN_MAX, &again, NULL);
    assert(error == KVPBUS_OK);
    const struct kvpbus_message *opened = kvpbus_bundle_messages(again, &again_count);
    assert(again_count == count);
    for (size_t i = 0; i < count; i++)
        assert(opened[i].id.index == messages[i].id.index &&
               strcmp(opened[i].topic, messages[i].topic) == 0 &&
               opened[i].created_ms == messages[i].created_ms &&
               opened[i].body_length == messages[i].body_length);
    kvpbus_bundle_content_free(again);
    free(sealed);
}

static void open_bundle(const uint8_t *sealed, size_t length)
{
    struct kvpbus_bundle_header header;
    struct kvpbus_bundle_content *content = NULL;
    bool readable = kvpbus_bundle_header_read(sealed, length, &header, NULL) == KVPBUS_OK;
    if (kvpbus_bundle_open(&route, sealed, length, PLAIN_MAX, &content, NULL) != KVPBUS_OK)
        return;
    assert(readable);
    seal_again(content, &header.position);
    kvpbus_bundle_content_free(content);
}

// Makes the fields that a fuzzer hardly guesses fit: the packed length and the signature.
static void repair(uint8_t *sealed, size_t length)
{
    const size_t packed_length = length - KVPBUS_BUNDLE_HEADER;
    uint8_t text[KVPBUS_BUNDLE_SIGNED];
    kvpbus_put_be(sealed + 56, packed_length, 4);
    if (sealed[2] == 0)
        kvpbus_put_be(sealed + 52, packed_length, 4);
    kvpbus_bundle_signed(&route, sealed, sealed + KVPBUS_BUNDLE_HEADER, packed_length, text);
    crypto_sign_detached(sealed + KVPBUS_BUNDLE_SIGNED_HEADER, NULL, text, sizeof text, secret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    open_bundle(data, size);
    if (size <= KVPBUS_BUNDLE_HEADER)
        return 0;
    uint8_t *copy = malloc(size);
    assert(copy != NULL);
    memcpy(copy, data, size);
    repair(copy, size);
    open_bundle(copy, size);
    free(copy);
    return 0;
}
