// SPDX-License-Identifier: Apache-2.0
//
// The system calls the handler on a thread of its own; both bells are events.
#include "serve_stop.h"

#include <stdio.h>
#include <windows.h>

#include "program_windows.h"

static HANDLE stop_bell, abort_bell, look;

static BOOL WINAPI on_end(DWORD kind)
{
    if (WaitForSingleObject(stop_bell, 0) == WAIT_OBJECT_0) {
        SetEvent(abort_bell);
    } else {
        SetEvent(stop_bell);
        fputs("kvpbus: what runs is finished; once more ends it\n", stderr);
    }
    kvpbus_program_linger(kind);
    return TRUE;
}

bool serve_stop_begin(kvpbus_notice *stop, kvpbus_notice *abort)
{
    *stop = stop_bell = CreateEventW(NULL, TRUE, FALSE, NULL);
    *abort = abort_bell = CreateEventW(NULL, TRUE, FALSE, NULL);
    look = CreateEventW(NULL, FALSE, FALSE, NULL);
    if (stop_bell != NULL && abort_bell != NULL && look != NULL &&
        SetConsoleCtrlHandler(on_end, TRUE))
        return true;
    fprintf(stderr, "kvpbus: cannot wait for Ctrl-C: error %lu\n", GetLastError());
    return false;
}

void serve_stop_now(void)
{
    SetEvent(stop_bell);
}

void serve_stop_look(void)
{
    SetEvent(look);
}

void serve_stop_wait(unsigned (*running)(void))
{
    while (running() > 0)
        WaitForSingleObject(look, INFINITE);
}

bool serve_is_set(kvpbus_notice notice, kvpbus_notice other, int timeout_ms)
{
    HANDLE wait[] = {notice, other};
    DWORD count = other != KVPBUS_NO_NOTICE ? 2 : 1;
    return WaitForMultipleObjects(count, wait, FALSE,
                                  timeout_ms < 0 ? INFINITE : (DWORD)timeout_ms) == WAIT_OBJECT_0;
}
