// SPDX-License-Identifier: Apache-2.0
#include "ini_file.h"

#include <assert.h>
#include <ini.h>

#include "ini_line.h"

struct lines {
    FILE *file;
    int number;
    bool too_long; // the last one
};

// A longer line than it has room for inih takes for two.
static char *next_line(char *text, int size, void *context)
{
    struct lines *lines = context;
    assert(size > KVPBUS_INI_LINE_MAX + 1);
    if (lines->too_long)
        return NULL;
    enum kvpbus_ini_line line = kvpbus_ini_line(lines->file, lines->number == 0, text);
    lines->number += line != KVPBUS_INI_END;
    lines->too_long = line == KVPBUS_INI_TOO_LONG;
    return line == KVPBUS_INI_LINE ? text : NULL;
}

int kvpbus_ini_read(FILE *file, kvpbus_ini_fn *visit, void *context, bool *too_long)
{
    struct lines lines = {.file = file};
    int wrong = ini_parse_stream(next_line, &lines, visit, context);
    *too_long = wrong == 0 && lines.too_long;
    return *too_long ? lines.number : wrong;
}
