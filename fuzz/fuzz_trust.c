// SPDX-License-Identifier: Apache-2.0
//
// The input is the text of a file of trusted keys, of a guest and of a host.
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return sodium_init() < 0 ? -1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t identity[KVPBUS_IDENTITY_BYTES];
    struct kvpbus_failure failure = {0};
    struct kvpbus_trusted *list;
    size_t count;
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    enum kvpbus_error error = kvpbus_trust_host("file", text, identity, &failure);
    assert(error == failure.code && (error == KVPBUS_OK) == (failure.detail[0] == '\0'));
    memset(&failure, 0, sizeof failure);
    error = kvpbus_trust_guests("file", text, &list, &count, &failure);
    assert(error == failure.code && (error == KVPBUS_OK) == (list != NULL));
    for (size_t i = 1; i < count; i++)
        assert(memcmp(list[i - 1].vm, list[i].vm, sizeof list[i].vm) != 0);
    free(list);
    free(text);
    return 0;
}
