// SPDX-License-Identifier: Apache-2.0
#include "topic_match.h"

#include <string.h>

#include "kvpbus/message.h"

static size_t name_length(const char *at)
{
    return strcspn(at, ".");
}

static bool name_valid(const char *name, size_t length)
{
    if (length == 1 && *name == '*')
        return true;
    return length > 0 &&
           length == strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-");
}

bool kvpbus_pattern_valid(const char *pattern)
{
    if (strlen(pattern) > KVPBUS_TOPIC_MAX)
        return false;
    for (;;) {
        size_t length = name_length(pattern);
        if (strcmp(pattern, ">") == 0)
            return true;
        if (!name_valid(pattern, length))
            return false;
        if (pattern[length] == '\0')
            return true;
        pattern += length + 1;
    }
}

bool kvpbus_topic_match(const char *pattern, const char *topic)
{
    for (;;) {
        if (strcmp(pattern, ">") == 0)
            return true;
        size_t wanted = name_length(pattern), length = name_length(topic);
        bool any = wanted == 1 && *pattern == '*';
        if (!any && (wanted != length || memcmp(pattern, topic, length) != 0))
            return false;
        pattern += wanted;
        topic += length;
        if (*pattern == '\0' || *topic == '\0')
            return *pattern == *topic;
        pattern++;
        topic++;
    }
}
