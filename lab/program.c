// SPDX-License-Identifier: Apache-2.0
#include "program.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int kvpbus_lab_usage_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("kvpbus-lab: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("; see --help\n", stderr);
    va_end(arguments);
    return KVPBUS_LAB_EXIT_USAGE;
}

int kvpbus_lab_report(const struct kvpbus_failure *failure)
{
    const char *text =
        failure->detail[0] != '\0' ? failure->detail : kvpbus_error_text(failure->code);
    fprintf(stderr, "kvpbus-lab: %s\n", text);
    switch (failure->code) {
    case KVPBUS_INVALID_ARGUMENT:
        return KVPBUS_LAB_EXIT_USAGE;
    case KVPBUS_STORE_GONE:
    case KVPBUS_CLOSED:
        return KVPBUS_LAB_EXIT_NO_LAB;
    case KVPBUS_VM_UNKNOWN:
        return KVPBUS_LAB_EXIT_UNKNOWN_VM;
    case KVPBUS_TIMEOUT:
        return KVPBUS_LAB_EXIT_TIMEOUT;
    case KVPBUS_VM_OFF:
    case KVPBUS_BUSY:
        return KVPBUS_LAB_EXIT_REFUSED;
    case KVPBUS_EXISTS:
        return KVPBUS_LAB_EXIT_RUNNING;
    case KVPBUS_UNSUPPORTED:
        return KVPBUS_LAB_EXIT_MACHINE;
    default:
        return KVPBUS_LAB_EXIT_FAILURE;
    }
}

bool kvpbus_lab_parse_number(const char *text, uint32_t least, uint32_t most, uint32_t *number)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || value < least || value > most)
        return false;
    *number = (uint32_t)value;
    return true;
}
