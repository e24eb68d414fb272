// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>

#include "topic_match.h"

Test(topic_match, a_pattern_without_wildcards_is_the_topic)
{
    cr_assert(kvpbus_topic_match("a.b", "a.b"));
    cr_assert_not(kvpbus_topic_match("a.b", "a.c"));
    cr_assert_not(kvpbus_topic_match("a.b", "a"));
    cr_assert_not(kvpbus_topic_match("a", "a.b"));
    cr_assert_not(kvpbus_topic_match("ab", "abc"));
}

Test(topic_match, a_star_is_one_name)
{
    cr_assert(kvpbus_topic_match("*", "a"));
    cr_assert(kvpbus_topic_match("a.*.c", "a.b.c"));
    cr_assert_not(kvpbus_topic_match("*", "a.b"));
    cr_assert_not(kvpbus_topic_match("a.*", "a"));
    cr_assert_not(kvpbus_topic_match("a.*", "a.b.c"));
}

Test(topic_match, a_last_arrow_is_one_or_more)
{
    cr_assert(kvpbus_topic_match(">", "a.b"));
    cr_assert(kvpbus_topic_match("a.>", "a.b"));
    cr_assert(kvpbus_topic_match("a.>", "a.b.c"));
    cr_assert_not(kvpbus_topic_match("a.>", "a"));
    cr_assert_not(kvpbus_topic_match("a.>", "b.a"));
}

Test(topic_match, what_is_no_pattern)
{
    const char *const good[] = {"a", "*", ">", "a.*.>", "A-_9.b"};
    const char *const bad[] = {"", ".", "a.", ".a", "a..b", ">.a", "a*", "*a", "a b", "a.>b"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert(kvpbus_pattern_valid(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(kvpbus_pattern_valid(bad[i]), "%s", bad[i]);
}
