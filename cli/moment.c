// SPDX-License-Identifier: Apache-2.0
#include "moment.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void moment_text(int64_t ms, char text[MOMENT_TEXT])
{
    struct tm parts;
    time_t seconds = (time_t)(ms / 1000);
    strcpy(text, "-");
    if (ms > 0 && gmtime_r(&seconds, &parts) != NULL)
        strftime(text, MOMENT_TEXT, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

bool moment_parse(const char *text, int64_t *ms)
{
    int year, month, day, hour = 0, minute = 0, second = 0, length = 0;
    if (sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &length) != 3)
        return false;
    text += length;
    if (*text == 'T' || *text == ' ') {
        const char *end = *text == 'T' ? "Z" : "";
        if (sscanf(text + 1, "%2d:%2d:%2d%n", &hour, &minute, &second, &length) != 3)
            return false;
        text += 1 + length;
        if (strcmp(text, end) != 0)
            return false;
    } else if (*text != '\0') {
        return false;
    }
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in(year, month) ||
        hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
        return false;
    int64_t days = day - 1;
    for (int before = 1970; before < year; before++)
        days += 337 + days_in(before, 2);
    for (int before = 1; before < month; before++)
        days += days_in(year, before);
    *ms = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000;
    return true;
}
