// SPDX-License-Identifier: Apache-2.0
//
// A named pipe with overlapped calls: one read is always under way, into a buffer of its own, and a
// write goes out of one. Both set the one event that a program waits for.
#include "socket.h"

#include <aclapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "paths.h"
#include "private_windows.h"
#include "socket_windows.h"
#include "windows_error.h"
#include "windows_text.h"

enum { CONNECT_WITHIN = 5000, BUFFER = 64 * 1024, WAIT_MAX = 1000 * 1000 * 1000 }; // ms, bytes

static const char local_pipe[] = "\\\\.\\pipe\\";

struct kvpbus_socket {
    HANDLE pipe, event;
    OVERLAPPED read, write;
    bool reading, writing; // a call is under way, or its result has not been taken
    bool gone;
    size_t start, end; // of what was read and not yet taken
    uint8_t in[BUFFER], out[BUFFER];
};

// --- which pipe ---

enum kvpbus_error kvpbus_pipe_check(const char *path, struct kvpbus_failure *failure)
{
    if (strlen(path) >= KVPBUS_SOCKET_PATH)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "the pipe's name %.60s... is longer than %d characters", path,
                           KVPBUS_SOCKET_PATH - 1);
    if (strncmp(path, local_pipe, strlen(local_pipe)) != 0 || path[strlen(local_pipe)] == '\0')
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "%s is not a pipe of this machine: \\\\.\\pipe\\ and a name", path);
    return KVPBUS_OK;
}

static bool is_there(const char *path)
{
    wchar_t *wide = kvpbus_wide(path);
    bool there = wide != NULL && (WaitNamedPipeW(wide, 1) || GetLastError() == ERROR_SEM_TIMEOUT);
    free(wide);
    return there;
}

const char *kvpbus_socket_find(void)
{
    static const char *const defaults[] = {KVPBUS_HOST_SOCKET, KVPBUS_GUEST_SOCKET};
    static char named[KVPBUS_SOCKET_PATH + 1]; // longer than what is refused
    wchar_t wide[KVPBUS_SOCKET_PATH] = L"";
    if (GetEnvironmentVariableW(L"KVPBUS_SOCKET", wide, KVPBUS_SOCKET_PATH) > 0) {
        WideCharToMultiByte(CP_UTF8, 0, wide, -1, named, sizeof named - 1, NULL, NULL);
        return named;
    }
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (is_there(defaults[i]))
            return defaults[i];
    return NULL;
}

// --- connecting ---

static enum kvpbus_error refused(const char *path, DWORD code, struct kvpbus_failure *failure)
{
    if (code == ERROR_ACCESS_DENIED)
        return kvpbus_fail_windows(failure, KVPBUS_ACCESS, code,
                                   "you may not use the service at %s; use an elevated prompt "
                                   "(run as administrator)",
                                   path);
    if (code == ERROR_SEM_TIMEOUT || code == ERROR_PIPE_BUSY)
        return kvpbus_fail_windows(failure, KVPBUS_BUSY, code,
                                   "the service at %s takes no connection; does it hang? see its "
                                   "log",
                                   path);
    return kvpbus_fail_windows(failure, KVPBUS_NO_DAEMON, code,
                               "no kvpbus service answers at %s; start it ('kvpbus doctor' says "
                               "what is missing), or name another pipe with --socket",
                               path);
}

// The server learns who this is and cannot act in this user's name.
static HANDLE connect_pipe(const wchar_t *path)
{
    int64_t end = kvpbus_socket_now() + CONNECT_WITHIN;
    for (;;) {
        HANDLE pipe = CreateFileW(
            path, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
            FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, NULL);
        int64_t left = end - kvpbus_socket_now();
        if (pipe != INVALID_HANDLE_VALUE || GetLastError() != ERROR_PIPE_BUSY || left <= 0)
            return pipe;
        WaitNamedPipeW(path, (DWORD)left);
    }
}

// Any user can make a pipe of that name while no service runs. Windows gives every pipe an owner;
// Wine says of none who it is.
static bool is_services_own(HANDLE pipe)
{
    PSID owner = NULL;
    PSECURITY_DESCRIPTOR descriptor = NULL;
    if (GetSecurityInfo(pipe, SE_KERNEL_OBJECT, OWNER_SECURITY_INFORMATION, &owner, NULL, NULL,
                        NULL, &descriptor) != ERROR_SUCCESS)
        return false;
    bool own = owner == NULL || kvpbus_private_trusts(owner);
    LocalFree(descriptor);
    return own;
}

static void begin_read(struct kvpbus_socket *socket)
{
    socket->read = (OVERLAPPED){.hEvent = socket->event};
    socket->reading = ReadFile(socket->pipe, socket->in, BUFFER, NULL, &socket->read) ||
                      GetLastError() == ERROR_IO_PENDING;
    socket->gone |= !socket->reading;
}

static enum kvpbus_error wrap(HANDLE pipe, struct kvpbus_socket **out,
                              struct kvpbus_failure *failure)
{
    struct kvpbus_socket *socket = calloc(1, sizeof *socket);
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (socket == NULL || event == NULL) {
        free(socket);
        if (event != NULL)
            CloseHandle(event);
        CloseHandle(pipe);
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    }
    socket->pipe = pipe;
    socket->event = event;
    begin_read(socket);
    if (socket->gone)
        SetEvent(event);
    *out = socket;
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_socket_open(const char *path, struct kvpbus_socket **out,
                                     struct kvpbus_failure *failure)
{
    enum kvpbus_error error = kvpbus_pipe_check(path, failure);
    if (error != KVPBUS_OK)
        return error;
    wchar_t *wide = kvpbus_wide(path);
    if (wide == NULL)
        return kvpbus_fail_windows(failure, KVPBUS_INVALID_ARGUMENT, GetLastError(), "%s", path);
    HANDLE pipe = connect_pipe(wide);
    DWORD code = GetLastError();
    free(wide);
    if (pipe == INVALID_HANDLE_VALUE)
        return refused(path, code, failure);
    if (!is_services_own(pipe)) {
        CloseHandle(pipe);
        return kvpbus_fail(failure, KVPBUS_ACCESS,
                           "%s is not a service's: it belongs to neither SYSTEM nor the "
                           "administrators nor you",
                           path);
    }
    return wrap(pipe, out, failure);
}

static void cancel(struct kvpbus_socket *socket, OVERLAPPED *call)
{
    CancelIoEx(socket->pipe, call);
    // Not by its event, which is the other call's too and may be set.
    while (!HasOverlappedIoCompleted(call))
        Sleep(1);
}

void kvpbus_socket_close(struct kvpbus_socket *socket)
{
    if (socket->reading)
        cancel(socket, &socket->read);
    if (socket->writing)
        cancel(socket, &socket->write);
    CloseHandle(socket->pipe);
    CloseHandle(socket->event);
    free(socket);
}

kvpbus_notice kvpbus_socket_notice(const struct kvpbus_socket *socket)
{
    return socket->event;
}

// --- bytes ---

// A call that begins resets the event, which then says nothing of the other one.
static void show_state(struct kvpbus_socket *socket)
{
    ResetEvent(socket->event);
    if (socket->gone || socket->start < socket->end ||
        (socket->reading && HasOverlappedIoCompleted(&socket->read)) ||
        (socket->writing && HasOverlappedIoCompleted(&socket->write)))
        SetEvent(socket->event);
}

static void take_write(struct kvpbus_socket *socket)
{
    DWORD moved;
    if (!socket->writing || !HasOverlappedIoCompleted(&socket->write))
        return;
    socket->writing = false;
    socket->gone |= !GetOverlappedResult(socket->pipe, &socket->write, &moved, FALSE);
}

ptrdiff_t kvpbus_socket_write(struct kvpbus_socket *socket, const uint8_t *bytes, size_t length)
{
    take_write(socket);
    if (socket->writing || socket->gone) {
        show_state(socket);
        return socket->gone ? -1 : 0;
    }
    size_t taken = length < BUFFER ? length : BUFFER;
    memcpy(socket->out, bytes, taken);
    socket->write = (OVERLAPPED){.hEvent = socket->event};
    socket->writing = WriteFile(socket->pipe, socket->out, (DWORD)taken, NULL, &socket->write) ||
                      GetLastError() == ERROR_IO_PENDING;
    socket->gone |= !socket->writing;
    show_state(socket);
    return socket->gone ? -1 : (ptrdiff_t)taken;
}

ptrdiff_t kvpbus_socket_read(struct kvpbus_socket *socket, uint8_t *bytes, size_t size)
{
    DWORD got = 0;
    take_write(socket);
    if (socket->reading && HasOverlappedIoCompleted(&socket->read)) {
        socket->reading = false;
        bool read = GetOverlappedResult(socket->pipe, &socket->read, &got, FALSE);
        socket->start = 0;
        socket->end = got;
        socket->gone |= !read;
    }
    size_t taken = socket->end - socket->start;
    if (taken > size)
        taken = size;
    memcpy(bytes, socket->in + socket->start, taken);
    socket->start += taken;
    if (socket->start == socket->end && !socket->reading && !socket->gone)
        begin_read(socket);
    show_state(socket);
    return taken > 0 ? (ptrdiff_t)taken : socket->gone ? -1 : 0;
}

int64_t kvpbus_socket_now(void)
{
    return (int64_t)GetTickCount64();
}

bool kvpbus_socket_wait(struct kvpbus_socket *socket, bool write, int64_t deadline)
{
    // The event tells of a write that ends, but a read in between may have taken that.
    if (write && !socket->writing)
        return true;
    for (;;) {
        int64_t left = deadline < 0 ? WAIT_MAX : deadline - kvpbus_socket_now();
        if (left < 0)
            left = 0;
        if (left > WAIT_MAX)
            left = WAIT_MAX;
        if (WaitForSingleObject(socket->event, (DWORD)left) == WAIT_OBJECT_0)
            return true;
        if (left == 0)
            return false;
    }
}
