// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stdio.h>

#include "lab.h"

void kvpbus_lab_log(const struct kvpbus_lab_vm *vm, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (vm != NULL)
        fprintf(stderr, "kvpbus-lab: VM %s: %s\n", vm->name, text);
    else
        fprintf(stderr, "kvpbus-lab: %s\n", text);
}
