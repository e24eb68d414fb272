// SPDX-License-Identifier: Apache-2.0
#include "windows_text.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>

wchar_t *kvpbus_wide(const char *text)
{
    int length = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    wchar_t *wide = length > 0 ? malloc((size_t)length * sizeof *wide) : NULL;
    if (length > 0 && wide == NULL)
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
    if (wide != NULL)
        MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, length);
    return wide;
}

char *kvpbus_narrow(const wchar_t *text)
{
    int length = WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, text, -1, NULL, 0, NULL, NULL);
    char *narrow = length > 0 ? malloc((size_t)length) : NULL;
    if (length > 0 && narrow == NULL)
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
    if (narrow != NULL)
        WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, text, -1, narrow, length, NULL, NULL);
    return narrow;
}

// A quote gets a backslash, and each backslash that stands before a quote another one.
static size_t quote(const char *word, char *out)
{
    size_t at = 0, backslashes = 0;
    out[at++] = '"';
    for (; *word != '\0'; word++) {
        for (size_t i = 0; *word == '"' && i <= backslashes; i++)
            out[at++] = '\\';
        backslashes = *word == '\\' ? backslashes + 1 : 0;
        out[at++] = *word;
    }
    for (size_t i = 0; i < backslashes; i++)
        out[at++] = '\\';
    out[at++] = '"';
    return at;
}

wchar_t *kvpbus_wide_line(char *const *words)
{
    size_t size = 1, at = 0;
    for (size_t i = 0; words[i] != NULL; i++)
        size += 2 * strlen(words[i]) + 3;
    char *line = malloc(size);
    if (line == NULL) {
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
        return NULL;
    }
    for (size_t i = 0; words[i] != NULL; i++) {
        if (i > 0)
            line[at++] = ' ';
        at += quote(words[i], line + at);
    }
    line[at] = '\0';
    wchar_t *wide = kvpbus_wide(line);
    DWORD code = GetLastError();
    free(line);
    SetLastError(code);
    return wide;
}
