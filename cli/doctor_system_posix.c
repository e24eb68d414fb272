// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <sys/utsname.h>

#include "doctor_probe.h"

void doctor_system(char text[DOCTOR_SYSTEM_TEXT])
{
    struct utsname system;
    if (uname(&system) == 0)
        snprintf(text, DOCTOR_SYSTEM_TEXT, "%.40s %.70s %.40s", system.sysname, system.release,
                 system.machine);
    else
        snprintf(text, DOCTOR_SYSTEM_TEXT, "a system that does not say what it is");
}
