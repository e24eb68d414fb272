// SPDX-License-Identifier: Apache-2.0
//
// A named pipe that SYSTEM and Administrators of this machine may use. libuv would make one that
// anybody can read, from other machines too, and has no way to say otherwise: so the instances are
// made and waited for here, and each gets into the loop when a client has come.
#include "control_listener.h"

#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "private_windows.h"
#include "socket_windows.h"
#include "windows_error.h"
#include "windows_text.h"

enum {
    INSTANCES = 4, // that wait for a client at once
    BUFFER = 64 * 1024,
    USER_BYTES = 256,
    NAME_CHARS = 64,
};

struct instance {
    HANDLE pipe; // INVALID_HANDLE_VALUE: none
    OVERLAPPED connect;
    HANDLE wait; // NULL: none is registered
};

struct control_listener {
    uv_async_t wake;
    control_waiting_fn *waiting;
    void *context;
    wchar_t *path;
    struct instance instances[INSTANCES];
    HANDLE taken; // of the client that waits, for control_listener_take
};

// --- instances ---

static void CALLBACK on_connected(PVOID context, BOOLEAN timed_out)
{
    struct control_listener *listener = context;
    (void)timed_out;
    uv_async_send(&listener->wake);
}

static bool make_pipe(struct control_listener *listener, struct instance *instance, bool first)
{
    SECURITY_ATTRIBUTES attributes;
    if (!kvpbus_private_attributes(false, &attributes))
        return false;
    instance->pipe = CreateNamedPipeW(
        listener->path,
        PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | (first ? FILE_FLAG_FIRST_PIPE_INSTANCE : 0),
        PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
        PIPE_UNLIMITED_INSTANCES, BUFFER, BUFFER, 0, &attributes);
    kvpbus_private_free(&attributes);
    return instance->pipe != INVALID_HANDLE_VALUE;
}

// Waits for a client on a pool thread; a client that was faster sets the event as well.
static bool await(struct control_listener *listener, struct instance *instance)
{
    HANDLE event = instance->connect.hEvent;
    instance->connect = (OVERLAPPED){.hEvent = event};
    if (!ConnectNamedPipe(instance->pipe, &instance->connect)) {
        DWORD code = GetLastError();
        // Also when it has come and gone: that is found when it is served.
        if (code == ERROR_PIPE_CONNECTED || code == ERROR_NO_DATA) {
            SetEvent(event);
        } else if (code != ERROR_IO_PENDING) {
            // No call is under way that could be waited for.
            CloseHandle(instance->pipe);
            instance->pipe = INVALID_HANDLE_VALUE;
            SetLastError(code);
            return false;
        }
    }
    return RegisterWaitForSingleObject(&instance->wait, event, on_connected, listener, INFINITE,
                                       WT_EXECUTEONLYONCE);
}

static void end_wait(struct instance *instance)
{
    if (instance->wait != NULL)
        UnregisterWaitEx(instance->wait, INVALID_HANDLE_VALUE);
    instance->wait = NULL;
}

static void drop_pipe(struct instance *instance)
{
    DWORD moved;
    end_wait(instance);
    if (instance->pipe == INVALID_HANDLE_VALUE)
        return;
    CancelIoEx(instance->pipe, &instance->connect);
    GetOverlappedResult(instance->pipe, &instance->connect, &moved, TRUE);
    CloseHandle(instance->pipe);
    instance->pipe = INVALID_HANDLE_VALUE;
}

static bool begin(struct control_listener *listener, struct instance *instance, bool first)
{
    if (make_pipe(listener, instance, first) && await(listener, instance))
        return true;
    DWORD code = GetLastError();
    drop_pipe(instance);
    SetLastError(code);
    return false;
}

static bool has_client(const struct instance *instance)
{
    return instance->pipe != INVALID_HANDLE_VALUE &&
           WaitForSingleObject(instance->connect.hEvent, 0) == WAIT_OBJECT_0;
}

// Another instance is there before this client is served, so that the next one finds it. One that
// cannot be made now is tried again with the next client.
static void on_wake(uv_async_t *wake)
{
    struct control_listener *listener = wake->data;
    for (size_t i = 0; i < INSTANCES; i++) {
        struct instance *instance = &listener->instances[i];
        if (instance->pipe != INVALID_HANDLE_VALUE && !has_client(instance))
            continue;
        HANDLE taken = instance->pipe;
        end_wait(instance);
        instance->pipe = INVALID_HANDLE_VALUE;
        begin(listener, instance, false);
        if (taken == INVALID_HANDLE_VALUE)
            continue;
        listener->taken = taken;
        listener->waiting(listener->context);
        if (listener->taken != INVALID_HANDLE_VALUE)
            CloseHandle(listener->taken);
        listener->taken = INVALID_HANDLE_VALUE;
    }
}

// --- life ---

static void free_listener(struct control_listener *listener)
{
    for (size_t i = 0; i < INSTANCES; i++)
        if (listener->instances[i].connect.hEvent != NULL)
            CloseHandle(listener->instances[i].connect.hEvent);
    free(listener->path);
    free(listener);
}

static void on_closed(uv_handle_t *handle)
{
    free_listener(handle->data);
}

static struct control_listener *make(const char *path)
{
    struct control_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL)
        return NULL;
    bool made = (listener->path = kvpbus_wide(path)) != NULL;
    listener->taken = INVALID_HANDLE_VALUE;
    for (size_t i = 0; i < INSTANCES; i++) {
        listener->instances[i].pipe = INVALID_HANDLE_VALUE;
        listener->instances[i].connect.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL);
        made &= listener->instances[i].connect.hEvent != NULL;
    }
    if (made)
        return listener;
    free_listener(listener);
    return NULL;
}

enum kvpbus_error control_listener_check(const char *path, struct kvpbus_failure *failure)
{
    return kvpbus_pipe_check(path, failure);
}

enum kvpbus_error control_listener_open(uv_loop_t *loop, const char *path,
                                        control_waiting_fn *waiting, void *context,
                                        struct control_listener **out,
                                        struct kvpbus_failure *failure)
{
    enum kvpbus_error error = control_listener_check(path, failure);
    if (error != KVPBUS_OK)
        return error;
    struct control_listener *listener = make(path);
    if (listener == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    if (uv_async_init(loop, &listener->wake, on_wake) != 0) {
        free_listener(listener);
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    }
    listener->waiting = waiting;
    listener->context = context;
    listener->wake.data = listener;
    for (size_t i = 0; i < INSTANCES; i++)
        if (!begin(listener, &listener->instances[i], i == 0)) {
            DWORD code = GetLastError();
            control_listener_close(listener);
            return kvpbus_fail_windows(
                failure, code == ERROR_ACCESS_DENIED ? KVPBUS_ACCESS : KVPBUS_IO, code,
                "cannot listen on the pipe %s; does another program have it?", path);
        }
    *out = listener;
    return KVPBUS_OK;
}

int control_listener_take(struct control_listener *listener, uv_pipe_t *pipe)
{
    int file = _open_osfhandle((intptr_t)listener->taken, _O_RDWR | _O_BINARY | _O_NOINHERIT);
    if (file < 0)
        return UV_EMFILE;
    listener->taken = INVALID_HANDLE_VALUE;
    int status = uv_pipe_open(pipe, file);
    if (status != 0)
        close(file);
    return status;
}

void control_listener_close(struct control_listener *listener)
{
    for (size_t i = 0; i < INSTANCES; i++)
        drop_pipe(&listener->instances[i]);
    uv_close((uv_handle_t *)&listener->wake, on_closed);
}

// --- who it is ---

static bool name_of(HANDLE token, char text[CONTROL_USER_TEXT], bool *owner)
{
    BYTE bytes[USER_BYTES] __attribute__((aligned(8)));
    wchar_t name[NAME_CHARS], domain[NAME_CHARS];
    DWORD length, name_length = NAME_CHARS, domain_length = NAME_CHARS;
    SID_NAME_USE use;
    if (!GetTokenInformation(token, TokenUser, bytes, sizeof bytes, &length))
        return false;
    PSID user = ((TOKEN_USER *)(void *)bytes)->User.Sid;
    BYTE administrators[SECURITY_MAX_SID_SIZE];
    DWORD size = sizeof administrators;
    BOOL member = FALSE;
    *owner = kvpbus_private_trusts(user) ||
             (CreateWellKnownSid(WinBuiltinAdministratorsSid, NULL, administrators, &size) &&
              CheckTokenMembership(token, administrators, &member) && member);
    if (!LookupAccountSidW(NULL, user, name, &name_length, domain, &domain_length, &use)) {
        snprintf(text, CONTROL_USER_TEXT, "an account without a name");
        return true;
    }
    char *account = kvpbus_narrow(name), *machine = kvpbus_narrow(domain);
    if (account != NULL && machine != NULL)
        snprintf(text, CONTROL_USER_TEXT, "%.20s\\%.24s", machine, account);
    bool named = account != NULL && machine != NULL;
    free(account);
    free(machine);
    return named;
}

// This thread is the client for a moment; it only looks at itself.
bool control_listener_user(const uv_pipe_t *pipe, char text[CONTROL_USER_TEXT], bool *owner)
{
    uv_os_fd_t handle;
    HANDLE token;
    if (uv_fileno((const uv_handle_t *)pipe, &handle) != 0 || !ImpersonateNamedPipeClient(handle))
        return false;
    bool opened = OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &token);
    if (!RevertToSelf())
        abort(); // nothing more may be done in another's name
    if (!opened)
        return false;
    bool known = name_of(token, text, owner);
    CloseHandle(token);
    return known;
}
