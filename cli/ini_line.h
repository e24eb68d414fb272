// SPDX-License-Identifier: Apache-2.0
//
// The lines of a configuration file. A comment may have any length, and is cut.
#ifndef KVPBUS_INI_LINE_H
#define KVPBUS_INI_LINE_H

#include <stdbool.h>
#include <stdio.h>

// Bytes of another line. inih, as Debian builds it, has room for one more, and from its release 59
// on takes a line that fills its room for one that goes on.
enum { KVPBUS_INI_LINE_MAX = 198 };

enum kvpbus_ini_line {
    KVPBUS_INI_LINE,
    KVPBUS_INI_END,
    KVPBUS_INI_TOO_LONG, // its rest is not read
};

// Without the end of the line, and the first one without a byte order mark, as Windows' editors put
// it.
enum kvpbus_ini_line kvpbus_ini_line(FILE *file, bool first, char line[KVPBUS_INI_LINE_MAX + 1]);

#endif
