// SPDX-License-Identifier: Apache-2.0
//
// Characters of UTF-8, and texts that were cut in the middle of one.
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "kvpbus/error.h"
#include "utf8.h"

// The bytes of a code point, written by the table of RFC 3629, section 3.
static size_t encode(uint32_t code, char text[5])
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    size_t length = 4;
    while (length > 1 && code < least[length - 1])
        length--;
    for (size_t i = length; i-- > 1; code >>= 6)
        text[i] = (char)(0x80 | (code & 0x3f));
    text[0] = (char)(lead[length - 1] | code);
    text[length] = '\0';
    return length;
}

Test(utf8, every_code_point_is_one_character)
{
    char text[5];
    for (uint32_t code = 1; code <= 0x10ffff; code++) {
        size_t length = encode(code, text);
        size_t expected = code >= 0xd800 && code <= 0xdfff ? 0 : length;
        cr_assert_eq(kvpbus_utf8_character(text, length), expected, "U+%X", code);
        if (length > 1)
            cr_assert_eq(kvpbus_utf8_character(text, length - 1), 0, "U+%X", code);
    }
}

Test(utf8, what_is_no_character)
{
    static const char *const none[] = {"\x80",
                                       "\xbf",
                                       "\xc0\x80",
                                       "\xc1\xbf",
                                       "\xe0\x9f\xbf",
                                       "\xf0\x8f\xbf\xbf",
                                       "\xf4\x90\x80\x80",
                                       "\xf5\x80\x80\x80",
                                       "\xff",
                                       "\xc3",
                                       "\xc3(",
                                       "\xe2\x82",
                                       "\xf0\x9f\x98"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        cr_assert_eq(kvpbus_utf8_character(none[i], 4), 0, "%zu", i);
}

Test(utf8, a_cut_text_is_mended)
{
    char text[] = "h\xc3\xa4 \xf0\x9f\x98\x80 \xe2\x82";
    kvpbus_utf8_mend(text);
    cr_assert_str_eq(text, "h\xc3\xa4 \xf0\x9f\x98\x80 \?\?");
}

// Whatever a VM or a file is named, the sentence can be written as JSON.
Test(utf8, the_sentence_of_a_failure_is_text)
{
    struct kvpbus_failure failure;
    char name[400];
    for (size_t i = 0; i + 2 < sizeof name; i += 2)
        memcpy(name + i, "\xc3\xa4", 3);
    for (int shift = 0; shift < 2; shift++) {
        kvpbus_fail(&failure, KVPBUS_IO, "%.*s%s", shift, "x", name);
        for (const char *at = failure.detail; *at != '\0';) {
            size_t length = kvpbus_utf8_character(at, 4);
            cr_assert_gt(length, 0);
            at += length;
        }
    }
}
