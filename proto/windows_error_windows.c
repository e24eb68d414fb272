// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <windows.h>

#include "windows_error.h"

enum { TEXT_MAX = 160 };

void kvpbus_windows_text(uint32_t os_code, char *text, size_t size)
{
    const bool hresult = os_code > UINT16_MAX;
    wchar_t wide[TEXT_MAX] = L"";
    char words[3 * TEXT_MAX] = "";
    DWORD length = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS |
                                      FORMAT_MESSAGE_MAX_WIDTH_MASK,
                                  NULL, os_code, 0, wide, TEXT_MAX, NULL);
    while (length > 0 && (wide[length - 1] == L' ' || wide[length - 1] == L'.'))
        length--;
    int bytes =
        WideCharToMultiByte(CP_UTF8, 0, wide, (int)length, words, sizeof words - 1, NULL, NULL);
    words[bytes > 0 ? bytes : 0] = '\0';
    snprintf(text, size, hresult ? "%s%s0x%08lX%s" : "%s%s%lu%s", words,
             words[0] != '\0' ? " (" : "error ", (unsigned long)os_code,
             words[0] != '\0' ? ")" : "");
}

enum kvpbus_error kvpbus_fail_windows(struct kvpbus_failure *failure, enum kvpbus_error code,
                                      uint32_t os_code, const char *format, ...)
{
    char text[TEXT_MAX];
    if (failure == NULL)
        return code;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure->detail, sizeof failure->detail, format, arguments);
    va_end(arguments);
    kvpbus_windows_text(os_code, text, sizeof text);
    size_t length = strlen(failure->detail);
    snprintf(failure->detail + length, sizeof failure->detail - length, ": %s", text);
    failure->code = code;
    failure->os_code = os_code;
    return code;
}
