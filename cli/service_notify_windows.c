// SPDX-License-Identifier: Apache-2.0
//
// The service manager of Windows starts the service on a thread of its own, sends what is asked of
// it to another one, and is told of each state. A service that is wrong in a way that a new start
// may mend ends without a word, which the manager counts as a failure: it starts it again.
#include "service_notify.h"

#include <stdlib.h>
#include <windows.h>

#include "exit_code.h"
#include "log_target_windows.h"
#include "service.h"
#include "service_manager_windows.h"
#include "state_lock_windows.h"
#include "windows_error.h"
#include "windows_text.h"

enum {
    START_HINT = 60000, // ms that opening a store and a journal may take
};

struct kvpbus_notifier {
    struct kvpbus_service *service;
    uv_async_t stop;
};

static struct {
    SRWLOCK lock;
    const char *program;
    wchar_t *name; // the same
    int argc;
    char **argv;
    kvpbus_service_run_fn *run;
    SERVICE_STATUS_HANDLE handle; // NULL: not under the manager
    SERVICE_STATUS status;
    struct kvpbus_notifier *notifier; // while the service runs
    DWORD stop_hint;
    bool nothing_to_do;
} manager = {.lock = SRWLOCK_INIT};

// With the lock. After SERVICE_STOPPED nothing may be told any more.
static void tell_manager(DWORD state, DWORD hint)
{
    if (manager.handle == NULL || manager.status.dwCurrentState == SERVICE_STOPPED)
        return;
    manager.status.dwCurrentState = state;
    manager.status.dwWaitHint = hint;
    manager.status.dwCheckPoint = hint != 0 ? manager.status.dwCheckPoint + 1 : 0;
    manager.status.dwControlsAccepted =
        state == SERVICE_RUNNING ? SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_PRESHUTDOWN : 0;
    SetServiceStatus(manager.handle, &manager.status);
}

static void tell_stopped(int code)
{
    AcquireSRWLockExclusive(&manager.lock);
    manager.status.dwWin32ExitCode = code != 0 ? ERROR_SERVICE_SPECIFIC_ERROR : NO_ERROR;
    manager.status.dwServiceSpecificExitCode = (DWORD)code;
    tell_manager(SERVICE_STOPPED, 0);
    ReleaseSRWLockExclusive(&manager.lock);
}

// --- under the manager ---

static DWORD WINAPI on_control(DWORD control, DWORD event, void *data, void *context)
{
    (void)event;
    (void)data;
    (void)context;
    if (control == SERVICE_CONTROL_INTERROGATE)
        return NO_ERROR;
    if (control != SERVICE_CONTROL_STOP && control != SERVICE_CONTROL_PRESHUTDOWN)
        return ERROR_CALL_NOT_IMPLEMENTED;
    AcquireSRWLockExclusive(&manager.lock);
    if (manager.notifier != NULL) {
        tell_manager(SERVICE_STOP_PENDING, manager.stop_hint);
        uv_async_send(&manager.notifier->stop);
    }
    ReleaseSRWLockExclusive(&manager.lock);
    return NO_ERROR;
}

// A user who logs off ends no service.
static BOOL WINAPI on_log_off(DWORD kind)
{
    return kind == CTRL_LOGOFF_EVENT || kind == CTRL_SHUTDOWN_EVENT;
}

// A wrong configuration, a damaged identity or journal, and a machine that is none of Hyper-V's
// stay what they are.
static bool may_mend(int code)
{
    return code != KVPBUS_EXIT_OK && code != KVPBUS_EXIT_USAGE && code != KVPBUS_EXIT_UNPAIRED &&
           code != KVPBUS_EXIT_NOT_HYPERV && code != KVPBUS_EXIT_JOURNAL;
}

// Any user may have made the folder: no file in it is read before it is known to be ours.
static int run_guarded(void)
{
    struct kvpbus_failure failure = {0};
    return kvpbus_state_parent_make(&failure) == KVPBUS_OK
               ? manager.run(manager.argc, manager.argv)
               : kvpbus_service_failed(manager.program, &failure);
}

// What a start by hand has of words of its own (sc start NAME WORD...) is not looked at.
static void WINAPI service_main(DWORD count, wchar_t **words)
{
    (void)count;
    (void)words;
    manager.handle = RegisterServiceCtrlHandlerExW(manager.name, on_control, NULL);
    if (manager.handle == NULL)
        ExitProcess(KVPBUS_EXIT_FAILED); // the manager sees a service that has failed
    SetConsoleCtrlHandler(on_log_off, TRUE);
    manager.status.dwServiceType = SERVICE_WIN32_OWN_PROCESS;
    AcquireSRWLockExclusive(&manager.lock);
    tell_manager(SERVICE_START_PENDING, START_HINT);
    ReleaseSRWLockExclusive(&manager.lock);
    int code = run_guarded();
    if (may_mend(code))
        ExitProcess((UINT)code);
    tell_stopped(manager.nothing_to_do ? KVPBUS_EXIT_OK : code);
}

enum kvpbus_error kvpbus_service_dispatch(const char *name, int argc, char **argv,
                                          kvpbus_service_run_fn *run,
                                          struct kvpbus_failure *failure)
{
    manager.name = kvpbus_wide(name);
    if (manager.name == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    manager.program = name;
    manager.argc = argc;
    manager.argv = argv;
    manager.run = run;
    const SERVICE_TABLE_ENTRYW table[] = {{manager.name, service_main}, {NULL, NULL}};
    kvpbus_log_to_events(manager.name);
    kvpbus_log_setup(KVPBUS_LOG_INFO, KVPBUS_LOG_TEXT);
    if (StartServiceCtrlDispatcherW(table))
        return KVPBUS_OK;
    return kvpbus_fail_windows(failure, KVPBUS_UNSUPPORTED, GetLastError(),
                               "'service run' is for the service manager; '%s service start' has "
                               "it start the service, and %s alone runs it here",
                               name, name);
}

// --- what the service tells ---

static void on_stop(uv_async_t *async)
{
    struct kvpbus_service *service = ((struct kvpbus_notifier *)async->data)->service;
    if (service->stopping)
        return;
    kvpbus_log_event(KVPBUS_LOGGED_STOPPING, NULL, "stopping");
    kvpbus_service_stop(service);
}

struct kvpbus_notifier *kvpbus_notifier_start(struct kvpbus_service *service)
{
    struct kvpbus_notifier *notifier = manager.handle != NULL ? calloc(1, sizeof *notifier) : NULL;
    if (notifier == NULL)
        return NULL;
    notifier->service = service;
    uv_async_init(service->loop, &notifier->stop, on_stop);
    notifier->stop.data = notifier;
    uv_unref((uv_handle_t *)&notifier->stop);
    AcquireSRWLockExclusive(&manager.lock);
    manager.notifier = notifier;
    manager.stop_hint = kvpbus_service_stops_within(service) + KVPBUS_STOP_MARGIN;
    tell_manager(SERVICE_RUNNING, 0);
    ReleaseSRWLockExclusive(&manager.lock);
    return notifier;
}

void kvpbus_notifier_stopping(struct kvpbus_notifier *notifier)
{
    if (notifier == NULL)
        return;
    AcquireSRWLockExclusive(&manager.lock);
    tell_manager(SERVICE_STOP_PENDING, manager.stop_hint);
    ReleaseSRWLockExclusive(&manager.lock);
}

void kvpbus_notify_nothing_to_do(void)
{
    manager.nothing_to_do = true;
}

void kvpbus_notify_cut_short(void)
{
    tell_stopped(KVPBUS_EXIT_FAILED);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void kvpbus_notifier_close(struct kvpbus_notifier *notifier)
{
    if (notifier == NULL)
        return;
    AcquireSRWLockExclusive(&manager.lock);
    manager.notifier = NULL;
    ReleaseSRWLockExclusive(&manager.lock);
    uv_close((uv_handle_t *)&notifier->stop, on_closed);
}
