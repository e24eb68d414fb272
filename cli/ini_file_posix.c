// SPDX-License-Identifier: Apache-2.0
#include "ini_file.h"

#include <ini.h>

int kvpbus_ini_read(FILE *file, kvpbus_ini_fn *visit, void *context)
{
    return ini_parse_file(file, visit, context);
}
