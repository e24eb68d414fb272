// SPDX-License-Identifier: Apache-2.0
//
// What CreateProcess takes. All are freed by the caller; NULL: why, by GetLastError.
#ifndef KVPBUS_SERVE_COMMAND_WINDOWS_H
#define KVPBUS_SERVE_COMMAND_WINDOWS_H

#include <wchar.h>

// The file of a program that is named as in a prompt, the current folder last.
wchar_t *serve_command_find(const char *name);
// One block of "NAME=value".
wchar_t *serve_command_environment(char *const *environment);

#endif
