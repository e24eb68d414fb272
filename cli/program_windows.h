// SPDX-License-Identifier: Apache-2.0
#ifndef KVPBUS_PROGRAM_WINDOWS_H
#define KVPBUS_PROGRAM_WINDOWS_H

#include <windows.h>

// For the end of a handler of SetConsoleCtrlHandler. Where the console is closed or the user signs
// out, the system ends the process when the handler returns, or after some seconds: then it does
// not return.
void kvpbus_program_linger(DWORD kind);

#endif
