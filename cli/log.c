// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static enum kvpbus_log_level limit = KVPBUS_LOG_INFO;
static bool to_journal;

void kvpbus_log_setup(enum kvpbus_log_level level)
{
    limit = level;
    to_journal = getenv("JOURNAL_STREAM") != NULL;
}

void kvpbus_log(enum kvpbus_log_level level, const char *format, ...)
{
    static const struct {
        int priority;
        const char *name;
    } levels[] = {{3, "error"}, {4, "warning"}, {6, "info"}, {7, "debug"}};
    char text[512], line[640];
    if (level > limit)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (to_journal) {
        snprintf(line, sizeof line, "<%d>%s\n", levels[level].priority, text);
    } else {
        char stamp[32];
        time_t now = time(NULL);
        struct tm parts;
        gmtime_r(&now, &parts);
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &parts);
        snprintf(line, sizeof line, "%s %s: %s\n", stamp, levels[level].name, text);
    }
    fputs(line, stderr); // one write a line
}
