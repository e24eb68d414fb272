// SPDX-License-Identifier: Apache-2.0
#include "kvpbus/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "utf8.h"

#undef kvpbus_fail // the static analyzer's view of it

const char *kvpbus_error_name(enum kvpbus_error error)
{
    switch (error) {
#define X(name, number, text) \
    case KVPBUS_##name:       \
        return #name;
        KVPBUS_ERROR_MAP(X)
#undef X
    }
    return "UNLISTED";
}

const char *kvpbus_error_text(enum kvpbus_error error)
{
    switch (error) {
#define X(name, number, text) \
    case KVPBUS_##name:       \
        return text;
        KVPBUS_ERROR_MAP(X)
#undef X
    }
    return "an error that is not listed";
}

enum kvpbus_error kvpbus_fail(struct kvpbus_failure *failure, enum kvpbus_error code,
                              const char *format, ...)
{
    if (failure == NULL)
        return code;
    failure->code = code;
    failure->os_code = 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure->detail, sizeof failure->detail, format, arguments);
    va_end(arguments);
    kvpbus_utf8_mend(failure->detail);
    return code;
}

void kvpbus_failure_wrap(struct kvpbus_failure *failure, const char *format, ...)
{
    if (failure == NULL)
        return;
    char context[sizeof failure->detail], detail[sizeof failure->detail];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context, sizeof context, format, arguments);
    va_end(arguments);
    memcpy(detail, failure->detail, sizeof detail);
    // Cut at the end: what is nearest to the cause comes last and is the longest.
    int written =
        snprintf(failure->detail, sizeof failure->detail, "%.100s: %.130s", context, detail);
    (void)written;
    kvpbus_utf8_mend(failure->detail);
}
