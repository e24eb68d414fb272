// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>
#include <string.h>

#include "kvpbus/message.h"

static char *filled(char *text, char c, size_t length)
{
    memset(text, c, length);
    text[length] = '\0';
    return text;
}

Test(message, topics)
{
    char text[KVPBUS_TOPIC_MAX + 2];
    static const char *const good[] = {"a", "vm.power", "A-1.b_2.3", "--._"};
    static const char *const bad[] = {"",    ".",   ".a",  "a.",       "a..b", "a b",  "a*",
                                      "a/b", "a\n", "a.>", "\xc3\xa4", "a.b.", "a\x7f"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert(kvpbus_topic_valid(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(kvpbus_topic_valid(bad[i]), "%s", bad[i]);
    cr_assert(kvpbus_topic_valid(filled(text, 'x', KVPBUS_TOPIC_MAX)));
    cr_assert_not(kvpbus_topic_valid(filled(text, 'x', KVPBUS_TOPIC_MAX + 1)));
}

Test(message, streams)
{
    char text[KVPBUS_STREAM_MAX + 2];
    static const char *const good[] = {"", "a", "order/17#!~"};
    static const char *const bad[] = {" ", "a b", "a\t", "\x7f", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert(kvpbus_stream_valid(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(kvpbus_stream_valid(bad[i]), "%s", bad[i]);
    cr_assert(kvpbus_stream_valid(filled(text, 'x', KVPBUS_STREAM_MAX)));
    cr_assert_not(kvpbus_stream_valid(filled(text, 'x', KVPBUS_STREAM_MAX + 1)));
}

static enum kvpbus_error check(const struct kvpbus_message *message)
{
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error = kvpbus_message_check(message, 100, &failure);
    cr_assert_eq(failure.code, error);
    cr_assert_eq(failure.detail[0] == '\0', error == KVPBUS_OK);
    return error;
}

Test(message, check_names_what_is_wrong)
{
    const struct kvpbus_message good = {.topic = "a.b", .body_length = 100};
    struct kvpbus_message message = good;
    cr_assert_eq(check(&message), KVPBUS_OK);
    message.topic = NULL;
    cr_assert_eq(check(&message), KVPBUS_BAD_TOPIC);
    message.topic = "a..b";
    cr_assert_eq(check(&message), KVPBUS_BAD_TOPIC);
    message = good;
    message.stream = "a b";
    cr_assert_eq(check(&message), KVPBUS_BAD_STREAM);
    message = good;
    message.class_ = KVPBUS_CLASS_COUNT;
    cr_assert_eq(check(&message), KVPBUS_INVALID_ARGUMENT);
    message = good;
    message.kind = (enum kvpbus_kind)(KVPBUS_KIND_RECEIPT + 1);
    cr_assert_eq(check(&message), KVPBUS_INVALID_ARGUMENT);
    message.kind = (enum kvpbus_kind) - 1;
    cr_assert_eq(check(&message), KVPBUS_INVALID_ARGUMENT);
    message = good;
    message.correlation_length = KVPBUS_CORRELATION_MAX + 1;
    cr_assert_eq(check(&message), KVPBUS_INVALID_ARGUMENT);
    message = good;
    message.body_length = 101;
    cr_assert_eq(check(&message), KVPBUS_TOO_LARGE);
}

static enum kvpbus_error check_header(const char *name, const char *value)
{
    const struct kvpbus_header header = {name, value};
    const struct kvpbus_message message = {.topic = "a", .headers = &header, .header_count = 1};
    return check(&message);
}

Test(message, headers)
{
    char name[KVPBUS_HEADER_NAME_MAX + 2], value[KVPBUS_HEADER_VALUE_MAX + 2];
    cr_assert_eq(check_header("content-type", ""), KVPBUS_OK);
    cr_assert_eq(check_header("", "x"), KVPBUS_INVALID_ARGUMENT);
    cr_assert_eq(check_header("a b", "x"), KVPBUS_INVALID_ARGUMENT);
    cr_assert_eq(check_header("\xc3\xa4", "x"), KVPBUS_INVALID_ARGUMENT);
    cr_assert_eq(check_header(filled(name, 'n', KVPBUS_HEADER_NAME_MAX), "x"), KVPBUS_OK);
    cr_assert_eq(check_header(filled(name, 'n', KVPBUS_HEADER_NAME_MAX + 1), "x"),
                 KVPBUS_INVALID_ARGUMENT);
    cr_assert_eq(check_header("n", filled(value, 'v', KVPBUS_HEADER_VALUE_MAX)), KVPBUS_OK);
    cr_assert_eq(check_header("n", filled(value, 'v', KVPBUS_HEADER_VALUE_MAX + 1)),
                 KVPBUS_INVALID_ARGUMENT);

    struct kvpbus_header many[KVPBUS_HEADERS_MAX + 1];
    for (size_t i = 0; i < KVPBUS_HEADERS_MAX + 1; i++)
        many[i] = (struct kvpbus_header){"n", "v"};
    struct kvpbus_message message = {
        .topic = "a", .headers = many, .header_count = KVPBUS_HEADERS_MAX};
    cr_assert_eq(check(&message), KVPBUS_OK);
    message.header_count++;
    cr_assert_eq(check(&message), KVPBUS_INVALID_ARGUMENT);
}

Test(message, header_values_are_utf8_without_controls)
{
    static const char *const good[] = {"plain text",       "\xc3\xbc",     "\xe2\x9c\x93",
                                       "\xf0\x9f\x9a\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x01",
                                      "tab\t",
                                      "\x7f",
                                      "\x1b[2J",
                                      "\x80",
                                      "\xc3",
                                      "\xc3(",
                                      "\xc0\xaf",
                                      "\xe0\x9f\xbf",
                                      "\xe2\x9c",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert_eq(check_header("n", good[i]), KVPBUS_OK, "%zu", i);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(check_header("n", bad[i]), KVPBUS_INVALID_ARGUMENT, "%zu", i);
}

Test(message, ids_as_text)
{
    struct kvpbus_message_id id = {.index = 65535}, back = {.index = 1};
    for (size_t i = 0; i < sizeof id.bundle; i++)
        id.bundle[i] = (uint8_t)(i * 0x11);
    char text[KVPBUS_MESSAGE_ID_TEXT];
    kvpbus_message_id_format(&id, text);
    cr_assert_str_eq(text, "00112233445566778899aabbccddeeff.65535");
    cr_assert(kvpbus_message_id_parse(text, &back));
    cr_assert_eq(memcmp(&id, &back, sizeof id), 0);
    id.index = 0;
    kvpbus_message_id_format(&id, text);
    cr_assert_str_eq(text, "00112233445566778899aabbccddeeff.0");
    cr_assert(kvpbus_message_id_parse(text, &back));
    cr_assert_eq(back.index, 0);
}

Test(message, only_one_text_for_an_id)
{
    static const char *const bad[] = {"",
                                      "00112233445566778899aabbccddeeff",
                                      "00112233445566778899aabbccddeeff.",
                                      "00112233445566778899aabbccddeeff.01",
                                      "00112233445566778899aabbccddeeff.65536",
                                      "00112233445566778899aabbccddeeff.99999999999999999999",
                                      "00112233445566778899aabbccddeeff.1x",
                                      "00112233445566778899aabbccddeeff.-1",
                                      "00112233445566778899aabbccddeeff:1",
                                      "00112233445566778899AABBCCDDEEFF.1",
                                      "0011223344556677889.1"};
    struct kvpbus_message_id id = {.index = 77};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(kvpbus_message_id_parse(bad[i], &id), "%s", bad[i]);
    cr_assert_eq(id.index, 77);
}

Test(message, names)
{
    for (int i = 0; i < KVPBUS_CLASS_COUNT; i++) {
        enum kvpbus_class parsed = KVPBUS_CLASS_COUNT;
        cr_assert(kvpbus_class_parse(kvpbus_class_name((enum kvpbus_class)i), &parsed));
        cr_assert_eq((int)parsed, i);
    }
    enum kvpbus_class untouched = KVPBUS_CLASS_BULK;
    cr_assert_not(kvpbus_class_parse("Control", &untouched));
    cr_assert_eq(untouched, KVPBUS_CLASS_BULK);
    cr_assert_str_eq(kvpbus_class_name(KVPBUS_CLASS_BULK), "bulk");
    cr_assert_str_eq(kvpbus_outcome_name(KVPBUS_OUTCOME_PENDING), "pending");
    cr_assert_str_eq(kvpbus_outcome_name(KVPBUS_OUTCOME_DELIVERED), "delivered");
    cr_assert_str_eq(kvpbus_outcome_name(KVPBUS_OUTCOME_EXPIRED), "expired");
    cr_assert_str_eq(kvpbus_outcome_name(KVPBUS_OUTCOME_DEAD), "dead");
    cr_assert_str_eq(kvpbus_outcome_name(KVPBUS_OUTCOME_UNKNOWN), "unknown");
    cr_assert_str_eq(kvpbus_outcome_name((enum kvpbus_outcome)99), "unlisted");
}
