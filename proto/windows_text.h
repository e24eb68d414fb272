// SPDX-License-Identifier: Apache-2.0
//
// Text between kvpbus, where it is UTF-8, and Windows, where it is UTF-16. Only built there.
#ifndef KVPBUS_WINDOWS_TEXT_H
#define KVPBUS_WINDOWS_TEXT_H

#include <wchar.h>

// Freed by the caller. NULL: no memory, or it is no valid text; GetLastError says which.
wchar_t *kvpbus_wide(const char *text);
char *kvpbus_narrow(const wchar_t *text);
// One line of which CommandLineToArgv makes these words again; they end with NULL.
wchar_t *kvpbus_wide_line(char *const *words);

#endif
