// SPDX-License-Identifier: Apache-2.0
//
// The input is the text of an enrolment token; what is taken has one form only.
#include <assert.h>
#include <ctype.h>
#include <sodium.h>
#include <string.h>

#include "token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return sodium_init() < 0 ? -1 : 0;
}

static void round_trip(const uint8_t *data, size_t size)
{
    struct kvpbus_token token, again;
    char text[KVPBUS_TOKEN_TEXT];
    memset(&token, 0, sizeof token);
    memcpy(&token, data, size < sizeof token ? size : sizeof token);
    kvpbus_token_write(&token, text);
    assert(kvpbus_token_read(text, strlen(text), &again, NULL) == KVPBUS_OK);
    assert(memcmp(&token, &again, sizeof token) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kvpbus_token token;
    struct kvpbus_failure failure = {0};
    char text[KVPBUS_TOKEN_TEXT];
    round_trip(data, size);
    enum kvpbus_error error = kvpbus_token_read((const char *)data, size, &token, &failure);
    assert(failure.code == error);
    if (error != KVPBUS_OK)
        return 0;
    while (size > 0 && isspace(data[0])) {
        data++;
        size--;
    }
    kvpbus_token_write(&token, text);
    assert(size >= KVPBUS_TOKEN_CHARACTERS && memcmp(text, data, KVPBUS_TOKEN_CHARACTERS) == 0);
    return 0;
}
