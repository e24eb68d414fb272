// SPDX-License-Identifier: Apache-2.0
//
// What the installers have done by the program that they install. Of a program itself Windows
// Installer would only say that it has failed: here its own words get into the installer's log and
// before people. And how its service was before.
#include <stdbool.h>
#include <stdio.h>
#include <windows.h>

#include <msi.h> // wants windows.h before it
#include <msiquery.h>

enum {
    LINE_CHARS = 4096,
    SAID_BYTES = 4096, // what is behind is not kept
};

struct program {
    wchar_t line[LINE_CHARS];
    wchar_t said[SAID_BYTES + 1];
    DWORD code;
};

static void tell(MSIHANDLE install, INSTALLMESSAGE kind, const wchar_t *text)
{
    MSIHANDLE record = MsiCreateRecord(1);
    if (record == 0)
        return;
    MsiRecordSetStringW(record, 0, L"[1]");
    MsiRecordSetStringW(record, 1, text);
    MsiProcessMessage(install, kind, record);
    MsiCloseHandle(record);
}

// Reads to the end, so that the program never waits for its reader.
static void listen(HANDLE from, wchar_t *said)
{
    char kept[SAID_BYTES], more[512];
    DWORD length = 0, got;
    while (ReadFile(from, length < sizeof kept ? kept + length : more,
                    length < sizeof kept ? (DWORD)sizeof kept - length : (DWORD)sizeof more, &got,
                    NULL) &&
           got > 0)
        if (length < sizeof kept)
            length += got;
    while (length > 0 && (kept[length - 1] == '\n' || kept[length - 1] == '\r'))
        length--;
    int chars = MultiByteToWideChar(CP_UTF8, 0, kept, (int)length, said, SAID_BYTES);
    said[chars] = L'\0';
}

static bool start(struct program *program, HANDLE output, PROCESS_INFORMATION *process)
{
    STARTUPINFOW how = {
        .cb = sizeof how,
        .dwFlags = STARTF_USESTDHANDLES,
        .hStdOutput = output,
        .hStdError = output,
    };
    return CreateProcessW(NULL, program->line, NULL, NULL, TRUE, CREATE_NO_WINDOW, NULL, NULL, &how,
                          process);
}

// It ends by itself: what it waits for, a service's start or stop, it waits for within a bound.
static DWORD run(struct program *program)
{
    SECURITY_ATTRIBUTES inherited = {.nLength = sizeof inherited, .bInheritHandle = TRUE};
    PROCESS_INFORMATION process;
    HANDLE from, to;
    if (!CreatePipe(&from, &to, &inherited, 0))
        return GetLastError();
    SetHandleInformation(from, HANDLE_FLAG_INHERIT, 0);
    DWORD code = start(program, to, &process) ? ERROR_SUCCESS : GetLastError();
    CloseHandle(to);
    if (code == ERROR_SUCCESS) {
        listen(from, program->said);
        WaitForSingleObject(process.hProcess, INFINITE);
        if (!GetExitCodeProcess(process.hProcess, &program->code))
            code = GetLastError();
        CloseHandle(process.hThread);
        CloseHandle(process.hProcess);
    }
    CloseHandle(from);
    return code;
}

// The command line is the action's data. False: it failed, which was told as `kind`.
static bool run_told(MSIHANDLE install, INSTALLMESSAGE kind)
{
    static struct program program; // one at a time: each action is a process of its own
    wchar_t text[LINE_CHARS + 100];
    DWORD length = LINE_CHARS;
    DWORD code = MsiGetPropertyW(install, L"CustomActionData", program.line, &length);
    if (code == ERROR_SUCCESS) {
        swprintf(text, LINE_CHARS + 100, L"kvpbus: %ls", program.line);
        tell(install, INSTALLMESSAGE_INFO, text);
        code = run(&program);
    }
    if (code != ERROR_SUCCESS) {
        swprintf(text, LINE_CHARS + 100, L"kvpbus: cannot be run: error %lu: %ls",
                 (unsigned long)code, program.line);
        tell(install, kind, text);
        return false;
    }
    if (program.said[0] == L'\0')
        swprintf(program.said, SAID_BYTES, L"kvpbus: it ended with %lu",
                 (unsigned long)program.code);
    tell(install, program.code == 0 ? INSTALLMESSAGE_INFO : kind, program.said);
    return program.code == 0;
}

__declspec(dllexport) UINT __stdcall LookAtService(MSIHANDLE install);
__declspec(dllexport) UINT __stdcall RunProgram(MSIHANDLE install);
__declspec(dllexport) UINT __stdcall TryProgram(MSIHANDLE install);

// Before anything is done: what it finds decides what is undone. One that is not registered sets
// nothing.
UINT __stdcall LookAtService(MSIHANDLE install)
{
    wchar_t name[64];
    DWORD length = sizeof name / sizeof *name;
    SERVICE_STATUS status;
    UINT code = MsiGetPropertyW(install, L"ServiceName", name, &length);
    if (code != ERROR_SUCCESS)
        return ERROR_INSTALL_FAILURE;
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
    SC_HANDLE service = manager != NULL ? OpenServiceW(manager, name, SERVICE_QUERY_STATUS) : NULL;
    if (service != NULL && QueryServiceStatus(service, &status)) {
        bool runs = status.dwCurrentState == SERVICE_RUNNING ||
                    status.dwCurrentState == SERVICE_START_PENDING;
        code = MsiSetPropertyW(install, L"ServiceState", runs ? L"running" : L"stopped");
    }
    if (service != NULL)
        CloseServiceHandle(service);
    if (manager != NULL)
        CloseServiceHandle(manager);
    return code == ERROR_SUCCESS ? ERROR_SUCCESS : ERROR_INSTALL_FAILURE;
}

// The installation fails with it.
UINT __stdcall RunProgram(MSIHANDLE install)
{
    return run_told(install, INSTALLMESSAGE_ERROR) ? ERROR_SUCCESS : ERROR_INSTALL_FAILURE;
}

// The installation goes on without it.
UINT __stdcall TryProgram(MSIHANDLE install)
{
    run_told(install, INSTALLMESSAGE_WARNING);
    return ERROR_SUCCESS;
}
