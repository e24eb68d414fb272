// SPDX-License-Identifier: Apache-2.0
//
// docs/windows.md lists the events of cli/log_event.h, all of them and no others.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

static const struct {
    unsigned id;
    enum kvpbus_log_level level;
} events[] = {
#define X(name, id, level) {id, KVPBUS_LOG_##level},
    KVPBUS_LOG_EVENT_MAP(X)
#undef X
};

enum { EVENTS = sizeof events / sizeof *events, LINE = 256 };

// As the Event Log has them, which knows no details.
static const char *const levels[] = {
    [KVPBUS_LOG_ERROR] = "error",
    [KVPBUS_LOG_WARNING] = "warning",
    [KVPBUS_LOG_INFO] = "information",
    [KVPBUS_LOG_DEBUG] = "information",
};

Test(log_event, ids_rise)
{
    for (size_t i = 1; i < EVENTS; i++)
        cr_assert_gt(events[i].id, events[i - 1].id);
}

Test(log_event, the_manual_has_a_line_for_each_in_order)
{
    char line[LINE], level[16], meaning[LINE], mend[LINE];
    bool inside = false;
    size_t at = 0;
    FILE *manual = fopen(KVPBUS_SOURCE_DIR "/docs/windows.md", "r");
    cr_assert_not_null(manual);
    while (fgets(line, sizeof line, manual) != NULL) {
        unsigned id;
        inside = (inside && line[0] == '|') || strncmp(line, "| id | level |", 14) == 0;
        if (!inside || sscanf(line, "| %u", &id) != 1)
            continue;
        cr_assert_lt(at, EVENTS, "there is no event %u", id);
        cr_assert_eq(id, events[at].id, "event %u stands in the place of %u", id, events[at].id);
        cr_assert_eq(sscanf(line, "| %*u | %15[a-z] | %[^|] | %[^|] |", level, meaning, mend), 3,
                     "%s", line);
        cr_assert_str_eq(level, levels[events[at].level], "%s", line);
        at++;
    }
    fclose(manual);
    cr_assert_eq(at, EVENTS, "the line of event %u is missing", at < EVENTS ? events[at].id : 0);
}
