// SPDX-License-Identifier: Apache-2.0
//
// The reader of Windows against the other one, on inih: what the two make of the same text.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "ini_file.h"
#include "ini_line.h"

// The other one, as CMake has it built.
int with_inih(FILE *file, kvpbus_ini_fn *visit, void *context, bool *too_long);

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
    bool too_long[2];
    FILE *file = fmemopen((void *)text, length, "r");
    ours.length = theirs.length = 0;
    ours.text[0] = theirs.text[0] = '\0';
    wrong[0] = kvpbus_ini_read(file, note, &ours, &too_long[0]);
    rewind(file);
    wrong[1] = with_inih(file, note, &theirs, &too_long[1]);
    fclose(file);
    cr_assert_str_eq(ours.text, theirs.text, "of %.*s", (int)length, text);
    cr_assert_eq(wrong[0], wrong[1], "line %d, %d of %.*s", wrong[0], wrong[1], (int)length, text);
    cr_assert_eq(too_long[0], too_long[1], "line %d of %.*s", wrong[0], (int)length, text);
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

Test(ini_file, a_line_that_is_too_long_is_told_by_its_number_and_ends_it)
{
    static char text[4096];
    static struct seen seen;
    bool too_long;
    memset(text, 'x', 3000);
    memcpy(text, "a = 1\n# b\n", 10);
    strcpy(text + 3000, " = 1\na = 2\n");
    same(text, strlen(text));
    FILE *file = fmemopen(text, strlen(text), "r");
    cr_assert_eq(kvpbus_ini_read(file, note, &seen, &too_long), 3);
    cr_assert(too_long);
    cr_assert_str_eq(seen.text, "[] <a> <1>\n");
    fclose(file);
}

Test(ini_file, a_line_of_every_length_is_right_or_too_long)
{
    static struct seen seen;
    for (size_t length = 150; length < 450; length++) {
        char text[512] = "state = ";
        bool too_long;
        memset(text + strlen(text), 'x', length - strlen(text));
        strcpy(text + length, "\nlog = debug\nwrong = 1\n");
        same(text, strlen(text));
        FILE *file = fmemopen(text, strlen(text), "r");
        seen.length = 0;
        cr_assert_eq(kvpbus_ini_read(file, note, &seen, &too_long),
                     length <= KVPBUS_INI_LINE_MAX ? 3 : 1);
        cr_assert_eq(too_long, length > KVPBUS_INI_LINE_MAX, "%zu bytes", length);
        fclose(file);
    }
}

Test(ini_file, a_comment_has_any_length)
{
    static const char *const begins[] = {"#", ";", " \t# a = 1 ", "\xef\xbb\xbf#"};
    static struct seen seen;
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        for (size_t length = 150; length < 900; length++) {
            char text[1024];
            bool too_long;
            size_t begin = strlen(begins[i]);
            memset(text, '=', length);
            memcpy(text, begins[i], begin);
            strcpy(text + length, "\nlog = debug\n");
            same(text, strlen(text));
            FILE *file = fmemopen(text, strlen(text), "r");
            seen.length = 0;
            cr_assert_eq(kvpbus_ini_read(file, note, &seen, &too_long), 0);
            cr_assert_str_eq(seen.text, "[] <log> <debug>\n");
            fclose(file);
        }
}
