// SPDX-License-Identifier: Apache-2.0
//
// event_checks PROGRAM: whoever shows an event finds its text in the program's table of messages.
#include <windows.h>

#include "check.h"
#include "log_event.h"
#include "windows_text.h"

static bool has_text(HMODULE program, DWORD id)
{
    wchar_t text[64] = L"";
    wchar_t *words[] = {(wchar_t *)L"what happened"};
    DWORD length = FormatMessageW(FORMAT_MESSAGE_FROM_HMODULE | FORMAT_MESSAGE_ARGUMENT_ARRAY,
                                  program, id, 0, text, 64, (va_list *)(void *)words);
    return length > 0 && wcsncmp(text, words[0], wcslen(words[0])) == 0;
}

int main(int argc, char **argv)
{
    static const DWORD ids[] = {
#define X(name, id, level) id,
        KVPBUS_LOG_EVENT_MAP(X)
#undef X
    };
    wchar_t *path = argc == 2 ? kvpbus_wide(argv[1]) : NULL;
    HMODULE program = path != NULL ? LoadLibraryExW(path, NULL, LOAD_LIBRARY_AS_DATAFILE) : NULL;
    CHECK(program != NULL);
    for (size_t i = 0; program != NULL && i < sizeof ids / sizeof *ids; i++)
        CHECK(has_text(program, ids[i]));
    CHECK(program == NULL || !has_text(program, 65535));
    return checks_end();
}
