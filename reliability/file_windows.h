// SPDX-License-Identifier: Apache-2.0
//
// Paths as Windows takes them, for the other files of Windows.
#ifndef KVPBUS_FILE_WINDOWS_H
#define KVPBUS_FILE_WINDOWS_H

#include <wchar.h>

// With a leading %ProgramData% as the folder that it is. Freed by the caller. NULL: why, by
// GetLastError.
wchar_t *kvpbus_wide_path(const char *path);

#endif
