// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <windows.h>

#include "doctor_probe.h"

// As it is in the registry, since GetVersionEx tells what a program's manifest wants to hear.
static void value_of(const wchar_t *name, char *text, int size)
{
    wchar_t wide[64];
    DWORD bytes = sizeof wide;
    text[0] = '\0';
    if (RegGetValueW(HKEY_LOCAL_MACHINE, L"SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion", name,
                     RRF_RT_REG_SZ | RRF_SUBKEY_WOW6464KEY, NULL, wide, &bytes) == ERROR_SUCCESS)
        WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, size, NULL, NULL);
}

void doctor_system(char text[DOCTOR_SYSTEM_TEXT])
{
    char product[96], build[32];
    value_of(L"ProductName", product, sizeof product);
    value_of(L"CurrentBuildNumber", build, sizeof build);
    snprintf(text, DOCTOR_SYSTEM_TEXT, "%.90s build %.30s",
             product[0] != '\0' ? product : "Windows", build[0] != '\0' ? build : "unknown");
}
