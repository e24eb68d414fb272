// SPDX-License-Identifier: Apache-2.0
//
// Errors of Windows in the words of Windows. Only built there.
#ifndef KVPBUS_WINDOWS_ERROR_H
#define KVPBUS_WINDOWS_ERROR_H

#include <stddef.h>
#include <stdint.h>

#include "kvpbus/error.h"

// The system's text for a Win32 error code or HRESULT, as UTF-8 and without the line's end:
// "Access denied. (5)", "… (0x800706BA)"; a code that it has no text for stands alone.
void kvpbus_windows_text(uint32_t os_code, char *text, size_t size);

// kvpbus_fail with os_code, and the system's text behind the sentence.
enum kvpbus_error kvpbus_fail_windows(struct kvpbus_failure *failure, enum kvpbus_error code,
                                      uint32_t os_code, const char *format, ...)
    KVPBUS_PRINTF(4, 5);

#endif
