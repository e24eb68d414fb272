// SPDX-License-Identifier: Apache-2.0
#include "program.h"

#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

#include <shellapi.h> // wants windows.h before it

#include "program_windows.h"
#include "windows_text.h"

// Before any library but those that the program names is loaded.
static void restrict_libraries(void)
{
    SetDefaultDllDirectories(LOAD_LIBRARY_SEARCH_SYSTEM32);
    SetDllDirectoryW(L"");
    SetSearchPathMode(BASE_SEARCH_PATH_ENABLE_SAFE_SEARCHMODE | BASE_SEARCH_PATH_PERMANENT);
}

// Of the console that this process writes to, not of what it is redirected to.
static void show_utf8(void)
{
    static const DWORD outputs[] = {STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        HANDLE output = GetStdHandle(outputs[i]);
        DWORD mode;
        if (!GetConsoleMode(output, &mode))
            continue;
        SetConsoleOutputCP(CP_UTF8);
        SetConsoleMode(output, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
    }
}

void kvpbus_program_begin(int *argc, char ***argv)
{
    restrict_libraries();
    show_utf8();
    _setmode(STDIN_FILENO, _O_BINARY);
    _setmode(STDOUT_FILENO, _O_BINARY);
    _setmode(STDERR_FILENO, _O_BINARY);
    setvbuf(stderr, NULL, _IONBF, 0); // what is redirected would be kept back
    int count;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);
    char **words = wide != NULL ? calloc((size_t)count + 1, sizeof *words) : NULL;
    bool all = words != NULL;
    for (int i = 0; all && i < count; i++)
        all = (words[i] = kvpbus_narrow(wide[i])) != NULL;
    if (!all) {
        fputs("kvpbus: the words of the command line are not text\n", stderr);
        exit(EXIT_FAILURE);
    }
    LocalFree(wide);
    *argc = count;
    *argv = words;
}

static struct kvpbus_terminal terminal_of(DWORD which)
{
    CONSOLE_SCREEN_BUFFER_INFO about;
    if (!GetConsoleScreenBufferInfo(GetStdHandle(which), &about))
        return (struct kvpbus_terminal){0, 0};
    return (struct kvpbus_terminal){
        (unsigned)(about.srWindow.Right - about.srWindow.Left + 1),
        (unsigned)(about.srWindow.Bottom - about.srWindow.Top + 1),
    };
}

struct kvpbus_terminal kvpbus_terminal_of_error(void)
{
    return terminal_of(STD_ERROR_HANDLE);
}

struct kvpbus_terminal kvpbus_terminal_of_output(void)
{
    return terminal_of(STD_OUTPUT_HANDLE);
}

// --- the wish to end ---

static HANDLE ended;

void kvpbus_program_linger(DWORD kind)
{
    if (kind != CTRL_C_EVENT && kind != CTRL_BREAK_EVENT)
        Sleep(INFINITE);
}

static BOOL WINAPI on_end(DWORD kind)
{
    SetEvent(ended);
    kvpbus_program_linger(kind);
    return TRUE;
}

void kvpbus_program_end_gently(void)
{
    ended = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (ended != NULL)
        SetConsoleCtrlHandler(on_end, TRUE);
}

bool kvpbus_program_ended(void)
{
    return ended != NULL && WaitForSingleObject(ended, 0) == WAIT_OBJECT_0;
}

void kvpbus_program_pause(unsigned ms)
{
    if (ended != NULL)
        WaitForSingleObject(ended, ms);
    else
        Sleep(ms);
}
