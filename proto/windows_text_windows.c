// SPDX-License-Identifier: Apache-2.0
#include "windows_text.h"

#include <stdlib.h>
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
