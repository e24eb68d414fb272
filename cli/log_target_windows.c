// SPDX-License-Identifier: Apache-2.0
#include "log_target.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "log_target_windows.h"
#include "windows_text.h"

enum { LINE_MAX_BYTES = 2048 };

static bool reporting;
static HANDLE events;

void kvpbus_log_to_events(const wchar_t *source)
{
    reporting = true;
    events = RegisterEventSourceW(NULL, source);
}

enum kvpbus_log_target kvpbus_log_target(void)
{
    return reporting ? KVPBUS_LOG_EVENTS : KVPBUS_LOG_STREAM;
}

// Whoever shows an event puts something in the place of "%1", also where it stands in the text that
// was itself put in.
static void copy_plain(char plain[LINE_MAX_BYTES], const char *line)
{
    size_t at = 0;
    for (; *line != '\0' && at < LINE_MAX_BYTES - 2; line++) {
        plain[at++] = *line;
        if (line[0] == '%' && isdigit((unsigned char)line[1]))
            plain[at++] = ' ';
    }
    plain[at] = '\0';
}

void kvpbus_log_report(enum kvpbus_log_level level, enum kvpbus_log_event event, const char *line)
{
    static const WORD types[] = {EVENTLOG_ERROR_TYPE, EVENTLOG_WARNING_TYPE,
                                 EVENTLOG_INFORMATION_TYPE, EVENTLOG_INFORMATION_TYPE};
    char plain[LINE_MAX_BYTES];
    copy_plain(plain, line);
    wchar_t *wide = kvpbus_wide(plain);
    const wchar_t *strings[] = {wide};
    if (wide != NULL && events != NULL)
        ReportEventW(events, types[level], 0, (DWORD)event, NULL, 1, 0, strings, NULL);
    free(wide);
}
