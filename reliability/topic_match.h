// SPDX-License-Identifier: Apache-2.0
//
// Patterns over topics: names joined by dots, where `*` stands for exactly one name and `>`, only
// as the last name, for one or more. Pure; any thread.
#ifndef KVPBUS_TOPIC_MATCH_H
#define KVPBUS_TOPIC_MATCH_H

#include <stdbool.h>

// A pattern is a topic in which whole names may be `*`, and the last one `>`.
bool kvpbus_pattern_valid(const char *pattern);
// What to say of one that is not.
#define KVPBUS_PATTERN_RULES                                                                     \
    "that is not a pattern: up to 200 bytes of names joined by single dots, where * stands for " \
    "one "                                                                                       \
    "whole name and >, only at the end, for one or more"

// Both must be valid.
bool kvpbus_topic_match(const char *pattern, const char *topic);

#endif
