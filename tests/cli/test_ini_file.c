// SPDX-License-Identifier: Apache-2.0
//
// The reader of Windows against inih: what the two make of the same text.
#include <criterion/criterion.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "ini_file.h"

struct seen {
    char text[65536];
    size_t length;
};

static int note(void *context, const char *section, const char *name, const char *value)
{
    struct seen *seen = context;
    seen->length += (size_t)snprintf(seen->text + seen->length, sizeof seen->text - seen->length,
                                     "[%s] <%s> <%s>\n", section, name, value);
    cr_assert_lt(seen->length, sizeof seen->text);
    return strcmp(name, "wrong") != 0;
}

static void same(const char *text, size_t length)
{
    static struct seen ours, theirs;
    int wrong[2];
    FILE *file = fmemopen((void *)text, length, "r");
    ours.length = theirs.length = 0;
    ours.text[0] = theirs.text[0] = '\0';
    wrong[0] = kvpbus_ini_read(file, note, &ours);
    rewind(file);
    wrong[1] = ini_parse_file(file, note, &theirs);
    fclose(file);
    cr_assert_str_eq(ours.text, theirs.text, "of %.*s", (int)length, text);
    cr_assert_eq(wrong[0], wrong[1], "line %d, %d of %.*s", wrong[0], wrong[1], (int)length, text);
}

Test(ini_file, what_is_written_by_hand)
{
    static const char *const texts[] = {
        "[kvpbus]\nstate = /a\n  /b\n[kvp\nx\n",
        "\xef\xbb\xbf[kvpbus]\nlog=debug\n",
        "[kvpbus]\r\nlog = debug\r\n# a\r\n; b\r\n\r\nstate: C:\\x ; behind\r\n",
        "a=1\n[s]\n=2\nb=\n c\n[t ;x]\n[u ] v = 3\nw;x=4 ;5\nwrong=6\nx",
        "[a]\nb = c;d ; e\n  f ; g\n[]\n: x\n[",
        "a\n = b\n\t\n  \nname = v\n ; comment\n  more\n[s]\n  x = y\n",
        "",
        "\n\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i][0] != '\0')
            same(texts[i], strlen(texts[i]));
}

Test(ini_file, what_nobody_writes)
{
    static const char alphabet[] = "ab= :;#[]\n\n\n\r\t\"\xef\xbb\xbf";
    unsigned state = 1;
    for (int run = 0; run < 20000; run++) {
        char text[160];
        state = state * 1103515245 + 12345;
        size_t length = 1 + (state >> 16) % (sizeof text - 1);
        for (size_t i = 0; i < length; i++) {
            state = state * 1103515245 + 12345;
            text[i] = alphabet[(state >> 16) % (sizeof alphabet - 1)];
        }
        same(text, length);
    }
}

Test(ini_file, a_line_that_is_too_long_is_wrong_and_the_next_one_is_read)
{
    static char text[4096];
    static struct seen seen;
    memset(text, 'x', 3000);
    strcpy(text + 3000, " = 1\na = 2\n");
    FILE *file = fmemopen(text, strlen(text), "r");
    cr_assert_eq(kvpbus_ini_read(file, note, &seen), 1);
    cr_assert_str_eq(seen.text, "[] <a> <2>\n");
    fclose(file);
}

// inih takes what is too long in pieces, so only what is right is the same.
Test(ini_file, lines_of_every_length_are_right_or_wrong_as_for_inih)
{
    static struct seen seen;
    size_t right = 0;
    for (size_t length = 150; length < 450; length++) {
        char text[512] = "state = ";
        memset(text + strlen(text), 'x', length - strlen(text));
        strcpy(text + length, "\nlog = debug\n");
        FILE *file = fmemopen(text, strlen(text), "r");
        seen.length = 0;
        bool ours = kvpbus_ini_read(file, note, &seen) == 0;
        rewind(file);
        cr_assert_eq(ini_parse_file(file, note, &seen) == 0, ours, "%zu bytes", length);
        fclose(file);
        right += ours ? 1 : 0;
        if (ours)
            same(text, strlen(text));
    }
    cr_assert_eq(right, 199 - 150 + 1);
}
