// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <windows.h>

#include "utf8.h"
#include "windows_error.h"

enum {
    WORDS_MAX = 512,  // characters of a system's text; in some languages they are long
    DETAIL_TEXT = 160 // bytes of it, with its code, in a failure
};

void kvpbus_windows_text(uint32_t os_code, char *text, size_t size)
{
    const bool hresult = os_code > UINT16_MAX;
    wchar_t wide[WORDS_MAX] = L"";
    char words[3 * WORDS_MAX + 1], code[16];
    DWORD length = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS |
                                      FORMAT_MESSAGE_MAX_WIDTH_MASK,
                                  NULL, os_code, 0, wide, WORDS_MAX, NULL);
    while (length > 0 && (wide[length - 1] == L' ' || wide[length - 1] == L'.'))
        length--;
    int bytes =
        WideCharToMultiByte(CP_UTF8, 0, wide, (int)length, words, sizeof words - 1, NULL, NULL);
    words[bytes > 0 ? bytes : 0] = '\0';
    snprintf(code, sizeof code, hresult ? "0x%08lX" : "%lu", (unsigned long)os_code);
    // What does not fit is cut from the words, never from the code.
    size_t around = strlen(code) + sizeof " ()";
    if (words[0] == '\0')
        snprintf(text, size, "error %s", code);
    else
        snprintf(text, size, "%.*s (%s)", size > around ? (int)(size - around) : 0, words, code);
    kvpbus_utf8_mend(text);
}

enum kvpbus_error kvpbus_fail_windows(struct kvpbus_failure *failure, enum kvpbus_error code,
                                      uint32_t os_code, const char *format, ...)
{
    char what[sizeof failure->detail], text[DETAIL_TEXT];
    if (failure == NULL)
        return code;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    kvpbus_windows_text(os_code, text, sizeof text);
    kvpbus_fail(failure, code, "%.*s: %s",
                (int)(sizeof failure->detail - sizeof ": " - strlen(text)), what, text);
    failure->os_code = os_code;
    return code;
}
