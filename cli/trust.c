// SPDX-License-Identifier: Apache-2.0
#include "trust.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "kvpbus/management.h"

enum { WORD_MAX = 80 };

struct reading {
    const char *path, *next;
    unsigned line;
    char words[2][WORD_MAX]; // the ones of the present line
    size_t count;            // 3: there are more, or one is too long
};

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void take_word(struct reading *reading, const char *word, size_t length)
{
    if (reading->count >= 2 || length >= WORD_MAX) {
        reading->count = 3;
        return;
    }
    memcpy(reading->words[reading->count], word, length);
    reading->words[reading->count++][length] = '\0';
}

// The next line that has words. False: there is none.
static bool next_line(struct reading *reading)
{
    reading->count = 0;
    while (reading->count == 0 && *reading->next != '\0') {
        const char *end = reading->next + strcspn(reading->next, "\n");
        const char *stop = memchr(reading->next, '#', (size_t)(end - reading->next));
        const char *at = reading->next;
        if (stop == NULL)
            stop = end;
        while (at < stop) {
            const char *word = at;
            while (at < stop && !blank(*at))
                at++;
            if (at > word)
                take_word(reading, word, (size_t)(at - word));
            while (at < stop && blank(*at))
                at++;
        }
        reading->line++;
        reading->next = *end == '\n' ? end + 1 : end;
    }
    return reading->count > 0;
}

static enum kvpbus_error read_key(const struct reading *reading, const char *word,
                                  uint8_t identity[KVPBUS_IDENTITY_BYTES],
                                  struct kvpbus_failure *failure)
{
    size_t length = 0;
    const char *end = word;
    bool whole = strlen(word) == (size_t)2 * KVPBUS_IDENTITY_BYTES &&
                 sodium_hex2bin(identity, KVPBUS_IDENTITY_BYTES, word, strlen(word), NULL, &length,
                                &end) == 0 &&
                 *end == '\0' && length == KVPBUS_IDENTITY_BYTES;
    if (!whole)
        return kvpbus_fail(failure, KVPBUS_CONFIG,
                           "%s, line %u has no key: it is 64 hex digits, as 'kvpbus identity "
                           "--public-key' prints it on the other side (not the fingerprint)",
                           reading->path, reading->line);
    if (crypto_core_ed25519_is_valid_point(identity) == 0)
        return kvpbus_fail(failure, KVPBUS_CONFIG,
                           "%s, line %u: this is not the key of anybody; copy it again",
                           reading->path, reading->line);
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_trust_host(const char *path, const char *text,
                                    uint8_t identity[KVPBUS_IDENTITY_BYTES],
                                    struct kvpbus_failure *failure)
{
    struct reading reading = {.path = path, .next = text};
    if (!next_line(&reading))
        return kvpbus_fail(failure, KVPBUS_CONFIG, "%s has no key", path);
    if (reading.count != 1)
        return kvpbus_fail(failure, KVPBUS_CONFIG, "%s, line %u has more than the key of the host",
                           path, reading.line);
    enum kvpbus_error error = read_key(&reading, reading.words[0], identity, failure);
    if (error == KVPBUS_OK && next_line(&reading))
        error = kvpbus_fail(failure, KVPBUS_CONFIG,
                            "%s, line %u: a guest has one host, and this is a second key", path,
                            reading.line);
    return error;
}

static const struct kvpbus_trusted *of_vm(const struct kvpbus_trusted *list, size_t count,
                                          const uint8_t vm[KVPBUS_VM_ID_BYTES])
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(list[i].vm, vm, KVPBUS_VM_ID_BYTES) == 0)
            return &list[i];
    return NULL;
}

static enum kvpbus_error read_guest(const struct reading *reading, struct kvpbus_trusted *list,
                                    size_t *count, struct kvpbus_failure *failure)
{
    struct kvpbus_trusted guest;
    if (reading->count != 2 || !kvpbus_guid_parse(reading->words[0], guest.vm))
        return kvpbus_fail(failure, KVPBUS_CONFIG,
                           "%s, line %u is not the GUID of a VM and a key ('kvpbus vms' shows the "
                           "GUIDs)",
                           reading->path, reading->line);
    enum kvpbus_error error = read_key(reading, reading->words[1], guest.identity, failure);
    if (error != KVPBUS_OK)
        return error;
    const struct kvpbus_trusted *before = of_vm(list, *count, guest.vm);
    if (before != NULL && memcmp(before->identity, guest.identity, sizeof guest.identity) == 0)
        return KVPBUS_OK;
    if (before != NULL)
        return kvpbus_fail(failure, KVPBUS_CONFIG,
                           "%s, line %u gives %s another key than a line before", reading->path,
                           reading->line, reading->words[0]);
    if (*count == KVPBUS_TRUSTED_MAX)
        return kvpbus_fail(failure, KVPBUS_CONFIG, "%s has more than %d VMs", reading->path,
                           KVPBUS_TRUSTED_MAX);
    list[(*count)++] = guest;
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_trust_guests(const char *path, const char *text,
                                      struct kvpbus_trusted **list, size_t *count,
                                      struct kvpbus_failure *failure)
{
    struct reading reading = {.path = path, .next = text};
    enum kvpbus_error error = KVPBUS_OK;
    *count = 0;
    *list = calloc(KVPBUS_TRUSTED_MAX, sizeof **list);
    if (*list == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "%s: out of memory", path);
    while (error == KVPBUS_OK && next_line(&reading))
        error = read_guest(&reading, *list, count, failure);
    if (error == KVPBUS_OK)
        return KVPBUS_OK;
    free(*list);
    *list = NULL;
    *count = 0;
    return error;
}
