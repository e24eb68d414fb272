// SPDX-License-Identifier: Apache-2.0
#include "ini_line.h"

#include <ctype.h>
#include <string.h>

static bool is_comment(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    return *text == ';' || *text == '#';
}

enum kvpbus_ini_line kvpbus_ini_line(FILE *file, bool first, char line[KVPBUS_INI_LINE_MAX + 1])
{
    size_t length = 0;
    int next;
    while ((next = getc(file)) != EOF && next != '\n') {
        if (length < KVPBUS_INI_LINE_MAX) {
            line[length++] = (char)next;
            line[length] = '\0';
        } else if (!is_comment(line)) {
            return KVPBUS_INI_TOO_LONG;
        }
        if (first && length == 3 && strcmp(line, "\xef\xbb\xbf") == 0) {
            length = 0;
            first = false;
        }
    }
    line[length] = '\0';
    return next == EOF && length == 0 ? KVPBUS_INI_END : KVPBUS_INI_LINE;
}
