// SPDX-License-Identifier: Apache-2.0
//
// The input is a configuration file. What is read keeps its bounds; what is not, is said.
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t warnings;

static void warn(const char *text)
{
    assert(strncmp(text, "file: ", 6) == 0);
    warnings++;
}

static void check(const struct kvpbus_service_arguments *read)
{
    assert(memchr(read->state, '\0', sizeof read->state) != NULL);
    assert(memchr(read->store, '\0', sizeof read->store) != NULL);
    assert(memchr(read->socket, '\0', sizeof read->socket) != NULL);
    assert(read->prefix[0] == '\0' || kvpbus_prefix_valid(read->prefix));
    assert(read->options.ring_slots <= 64 && read->options.body_max <= UINT64_C(1) << 30);
    assert(read->log <= KVPBUS_LOG_DEBUG && read->log_format <= KVPBUS_LOG_JSON);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kvpbus_service_arguments read;
    struct kvpbus_failure failure = {0};
    size_t unknown;
    if (size == 0)
        return 0;
    FILE *file = fmemopen((void *)data, size, "r");
    if (file == NULL)
        return 0;
    memset(&read, 0, sizeof read);
    warnings = 0;
    enum kvpbus_error error =
        kvpbus_config_read_stream(file, "file", &read, warn, &unknown, &failure);
    fclose(file);
    assert(error == failure.code && (error == KVPBUS_OK) == (failure.detail[0] == '\0'));
    assert(unknown >= warnings && unknown <= warnings + 1);
    check(&read);
    return 0;
}
