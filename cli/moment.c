// SPDX-License-Identifier: Apache-2.0
#include "moment.h"

#include <string.h>
#include <time.h>

void moment_text(int64_t ms, char text[MOMENT_TEXT])
{
    struct tm parts;
    time_t seconds = (time_t)(ms / 1000);
    strcpy(text, "-");
    if (ms > 0 && localtime_r(&seconds, &parts) != NULL)
        strftime(text, MOMENT_TEXT, "%Y-%m-%d %H:%M:%S", &parts);
}
