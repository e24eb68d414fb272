// SPDX-License-Identifier: Apache-2.0
//
// What inih reads elsewhere. scripts/windows-deps would build it, but Debian's mirrors do not have
// its source. The same lines mean the same, which tests/cli/test_ini_file.c compares.
#include "ini_file.h"

#include <ctype.h>
#include <string.h>

#include "ini_line.h"

enum { NAME_MAX_BYTES = 50 }; // with the NUL; longer names are cut

struct ini {
    kvpbus_ini_fn *visit;
    void *context;
    char section[NAME_MAX_BYTES];
    char name[NAME_MAX_BYTES]; // of the last option in it; "" before one
};

static char *trim(char *text)
{
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

// The first of `wanted`, or of a comment: a semicolon behind a space; else the end.
static char *find(char *text, const char *wanted)
{
    bool space = false;
    for (; *text != '\0' && strchr(wanted, *text) == NULL && !(space && *text == ';'); text++)
        space = isspace((unsigned char)*text) != 0;
    return text;
}

static void keep(char to[NAME_MAX_BYTES], const char *text)
{
    size_t length = strnlen(text, NAME_MAX_BYTES - 1);
    memcpy(to, text, length);
    to[length] = '\0';
}

static bool read_section(struct ini *ini, char *text)
{
    char *end = find(text, "]");
    if (*end != ']')
        return false;
    *end = '\0';
    keep(ini->section, text);
    ini->name[0] = '\0';
    return true;
}

static bool read_option(struct ini *ini, char *text)
{
    char *end = find(text, "=:");
    if (*end != '=' && *end != ':')
        return false;
    *end = '\0';
    char *name = trim(text), *value = end + 1;
    *find(value, "") = '\0';
    keep(ini->name, name);
    return ini->visit(ini->context, ini->section, name, trim(value)) != 0;
}

static bool read_line(struct ini *ini, char *line)
{
    char *text = trim(line);
    if (*text == '\0' || *text == ';' || *text == '#')
        return true;
    // It goes on with the option before it.
    if (ini->name[0] != '\0' && text > line)
        return ini->visit(ini->context, ini->section, ini->name, text) != 0;
    return *text == '[' ? read_section(ini, text + 1) : read_option(ini, text);
}

int kvpbus_ini_read(FILE *file, kvpbus_ini_fn *visit, void *context, bool *too_long)
{
    struct ini ini = {.visit = visit, .context = context};
    char text[KVPBUS_INI_LINE_MAX + 1];
    enum kvpbus_ini_line line;
    int number = 0, wrong = 0;
    while ((line = kvpbus_ini_line(file, number == 0, text)) == KVPBUS_INI_LINE) {
        number++;
        if (!read_line(&ini, text) && wrong == 0)
            wrong = number;
    }
    *too_long = wrong == 0 && line == KVPBUS_INI_TOO_LONG;
    return *too_long ? number + 1 : wrong;
}
