// SPDX-License-Identifier: Apache-2.0
#include "changes.h"

#include <string.h>

// A text of 1 to `max` printable characters?
static enum kvpbus_error check_text(const char *text, size_t max)
{
    size_t length = strnlen(text, max + 1);
    if (length == 0)
        return KVPBUS_INVALID_ARGUMENT;
    if (length > max)
        return KVPBUS_TOO_LARGE;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < ' ' || text[i] > '~')
            return KVPBUS_INVALID_ARGUMENT;
    }
    return KVPBUS_OK;
}

static enum kvpbus_error check_change(const char *prefix, const struct kvpbus_change *change,
                                      struct kvpbus_failure *failure)
{
    size_t prefix_length = strlen(prefix);
    if (strncmp(change->key, prefix, prefix_length) != 0 || change->key[prefix_length] != '.')
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "key does not begin with \"%s.\"",
                           prefix);
    enum kvpbus_error error = check_text(change->key, KVPBUS_KEY_MAX);
    if (error != KVPBUS_OK)
        return kvpbus_fail(failure, error, "a key has 1 to %d printable characters",
                           KVPBUS_KEY_MAX);
    if (change->value == NULL)
        return KVPBUS_OK;
    error = check_text(change->value, KVPBUS_VALUE_MAX);
    if (error != KVPBUS_OK)
        return kvpbus_fail(failure, error, "%.40s: a value has 1 to %d printable characters",
                           change->key, KVPBUS_VALUE_MAX);
    return KVPBUS_OK;
}

static enum kvpbus_error check_all(const char *prefix, const struct kvpbus_change *changes,
                                   size_t count, struct kvpbus_failure *failure)
{
    if (count > KVPBUS_CHANGES_MAX)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "%zu changes in one write, limit %d",
                           count, KVPBUS_CHANGES_MAX);
    for (size_t i = 0; i < count; i++) {
        enum kvpbus_error error = check_change(prefix, &changes[i], failure);
        if (error != KVPBUS_OK)
            return error;
        for (size_t j = 0; j < i; j++) {
            if (strcmp(changes[i].key, changes[j].key) == 0)
                return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "%.40s: twice in one write",
                                   changes[i].key);
        }
    }
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_changes_check(const char *prefix, const struct kvpbus_change *changes,
                                       size_t count, enum kvpbus_error *results,
                                       struct kvpbus_failure *failure)
{
    enum kvpbus_error error = check_all(prefix, changes, count, failure);
    if (error != KVPBUS_OK)
        kvpbus_changes_set_all(results, count < KVPBUS_CHANGES_MAX ? count : KVPBUS_CHANGES_MAX,
                               error);
    return error;
}

static unsigned gravity(enum kvpbus_error error)
{
    static const enum kvpbus_error light_first[] = {
        KVPBUS_OK,         KVPBUS_STORE_UNKNOWN, KVPBUS_STORE_REJECTED, KVPBUS_STORE_TOO_MANY,
        KVPBUS_STORE_FULL, KVPBUS_STORE_BUSY,
    };
    unsigned listed = sizeof(light_first) / sizeof(light_first[0]);
    for (unsigned i = 0; i < listed; i++) {
        if (light_first[i] == error)
            return i;
    }
    return listed;
}

enum kvpbus_error kvpbus_changes_gravest(const enum kvpbus_error *results, size_t count)
{
    enum kvpbus_error gravest = KVPBUS_OK;
    for (size_t i = 0; i < count; i++) {
        if (gravity(results[i]) > gravity(gravest))
            gravest = results[i];
    }
    return gravest;
}

void kvpbus_changes_set_all(enum kvpbus_error *results, size_t count, enum kvpbus_error outcome)
{
    for (size_t i = 0; i < count; i++)
        results[i] = outcome;
}
