// SPDX-License-Identifier: Apache-2.0
//
// Lines "name = value" in sections, as kvpbus.conf(5) has them.
#ifndef KVPBUS_INI_FILE_H
#define KVPBUS_INI_FILE_H

#include <stdbool.h>
#include <stdio.h>

// 0: the line is wrong.
typedef int kvpbus_ini_fn(void *context, const char *section, const char *name, const char *value);

// Visits every option; the number of the first line that is wrong, or 0. *too_long: it is a line of
// more than KVPBUS_INI_LINE_MAX bytes, behind which nothing is read.
int kvpbus_ini_read(FILE *file, kvpbus_ini_fn *visit, void *context, bool *too_long);

#endif
