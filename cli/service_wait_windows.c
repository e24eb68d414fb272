// SPDX-License-Identifier: Apache-2.0
//
// A service that is registered: having it started and stopped, and waiting for that.
#include "service_wait_windows.h"

#include <stdlib.h>

#include "service_install_windows.h"
#include "windows_error.h"
#include "windows_text.h"
#include "words.h"

enum {
    LOOK_EVERY = 100,         // ms
    START_WITHIN = 60 * 1000, // what a service asks for at most (service_notify_windows.c)
    STOP_WITHIN = 310 * 1000,
};

enum kvpbus_error kvpbus_service_manager_failed(struct kvpbus_failure *failure, DWORD code,
                                                const char *what, const char *name)
{
    if (code == ERROR_ACCESS_DENIED)
        return kvpbus_fail_windows(failure, KVPBUS_ACCESS, code,
                                   "cannot %s the service %s; " KVPBUS_WORD_ELEVATED, what, name);
    if (code == ERROR_SERVICE_MARKED_FOR_DELETE)
        return kvpbus_fail_windows(failure, KVPBUS_BUSY, code,
                                   "the service %s is being removed; close what shows it (the "
                                   "services console) and try again",
                                   name);
    return kvpbus_fail_windows(failure, KVPBUS_IO, code, "cannot %s the service %s", what, name);
}

enum kvpbus_error kvpbus_service_open_registered(const char *name, DWORD access, SC_HANDLE *service,
                                                 struct kvpbus_failure *failure)
{
    wchar_t *wide = kvpbus_wide(name);
    SC_HANDLE manager = wide != NULL ? OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT) : NULL;
    *service = manager != NULL ? OpenServiceW(manager, wide, access) : NULL;
    DWORD code = GetLastError();
    if (manager != NULL)
        CloseServiceHandle(manager);
    free(wide);
    if (*service != NULL)
        return KVPBUS_OK;
    if (code == ERROR_SERVICE_DOES_NOT_EXIST)
        return kvpbus_fail_windows(failure, KVPBUS_NOT_FOUND, code,
                                   "there is no service %s; '%s service install' registers it",
                                   name, name);
    return kvpbus_service_manager_failed(failure, code, "open", name);
}

static bool look(SC_HANDLE service, SERVICE_STATUS_PROCESS *status)
{
    DWORD length;
    return QueryServiceStatusEx(service, SC_STATUS_PROCESS_INFO, (BYTE *)status, sizeof *status,
                                &length);
}

// Until the service is in neither of two states that it leaves by itself.
static enum kvpbus_error await(SC_HANDLE service, const char *name, DWORD one, DWORD other,
                               DWORD within, SERVICE_STATUS_PROCESS *status,
                               struct kvpbus_failure *failure)
{
    for (DWORD waited = 0; waited <= within; waited += LOOK_EVERY) {
        if (!look(service, status))
            return kvpbus_service_manager_failed(failure, GetLastError(), "look at", name);
        if (status->dwCurrentState != one && status->dwCurrentState != other)
            return KVPBUS_OK;
        Sleep(LOOK_EVERY);
    }
    return kvpbus_fail(failure, KVPBUS_TIMEOUT,
                       "the service %s is still busy with it; what it does stands in the Event Log",
                       name);
}

static enum kvpbus_error judge_start(const SERVICE_STATUS_PROCESS *status, const char *name,
                                     struct kvpbus_failure *failure)
{
    if (status->dwCurrentState == SERVICE_RUNNING)
        return KVPBUS_OK;
    if (status->dwWin32ExitCode == NO_ERROR)
        return kvpbus_fail(failure, KVPBUS_CLOSED,
                           "the service %s ended at once, for there is nothing for it on this "
                           "machine; why stands in the Event Log, log Application, source %s",
                           name, name);
    if (status->dwWin32ExitCode == ERROR_SERVICE_SPECIFIC_ERROR)
        return kvpbus_fail(failure, KVPBUS_CLOSED,
                           "the service %s ended at once with %lu; why stands in the Event Log, "
                           "log Application, source %s",
                           name, (unsigned long)status->dwServiceSpecificExitCode, name);
    return kvpbus_fail_windows(failure, KVPBUS_CLOSED, status->dwWin32ExitCode,
                               "the service %s ended at once; why stands in the Event Log, log "
                               "Application, source %s",
                               name, name);
}

enum kvpbus_error kvpbus_service_have_started(const char *name, struct kvpbus_failure *failure)
{
    SC_HANDLE service;
    SERVICE_STATUS_PROCESS status;
    enum kvpbus_error error = kvpbus_service_open_registered(
        name, SERVICE_START | SERVICE_QUERY_STATUS, &service, failure);
    if (error != KVPBUS_OK)
        return error;
    // One that is stopping takes no orders.
    error = await(service, name, SERVICE_STOP_PENDING, SERVICE_STOP_PENDING, STOP_WITHIN, &status,
                  failure);
    if (error == KVPBUS_OK && !StartServiceW(service, 0, NULL) &&
        GetLastError() != ERROR_SERVICE_ALREADY_RUNNING)
        error = kvpbus_service_manager_failed(failure, GetLastError(), "start", name);
    if (error == KVPBUS_OK)
        error = await(service, name, SERVICE_START_PENDING, SERVICE_START_PENDING, START_WITHIN,
                      &status, failure);
    if (error == KVPBUS_OK)
        error = judge_start(&status, name, failure);
    CloseServiceHandle(service);
    return error;
}

enum kvpbus_error kvpbus_service_have_stopped(const char *name, struct kvpbus_failure *failure)
{
    SC_HANDLE service;
    SERVICE_STATUS ignored;
    SERVICE_STATUS_PROCESS status;
    enum kvpbus_error error = kvpbus_service_open_registered(
        name, SERVICE_STOP | SERVICE_QUERY_STATUS, &service, failure);
    if (error != KVPBUS_OK)
        return error;
    // One that is starting takes no orders yet.
    error = await(service, name, SERVICE_START_PENDING, SERVICE_START_PENDING, START_WITHIN,
                  &status, failure);
    if (error == KVPBUS_OK && status.dwCurrentState == SERVICE_RUNNING &&
        !ControlService(service, SERVICE_CONTROL_STOP, &ignored) &&
        GetLastError() != ERROR_SERVICE_NOT_ACTIVE &&       // it has ended meanwhile,
        GetLastError() != ERROR_SERVICE_CANNOT_ACCEPT_CTRL) // or stops or starts just now
        error = kvpbus_service_manager_failed(failure, GetLastError(), "stop", name);
    if (error == KVPBUS_OK)
        error = await(service, name, SERVICE_RUNNING, SERVICE_STOP_PENDING, STOP_WITHIN, &status,
                      failure);
    if (error == KVPBUS_OK && status.dwCurrentState != SERVICE_STOPPED)
        error = kvpbus_fail(failure, KVPBUS_BUSY,
                            "the service %s was started again meanwhile; stop it once more", name);
    CloseServiceHandle(service);
    return error;
}

enum kvpbus_error kvpbus_service_state(const char *name, const char **state,
                                       struct kvpbus_failure *failure)
{
    SC_HANDLE service;
    SERVICE_STATUS_PROCESS status;
    enum kvpbus_error error =
        kvpbus_service_open_registered(name, SERVICE_QUERY_STATUS, &service, failure);
    if (error != KVPBUS_OK)
        return error;
    if (!look(service, &status))
        error = kvpbus_service_manager_failed(failure, GetLastError(), "look at", name);
    CloseServiceHandle(service);
    if (error != KVPBUS_OK)
        return error;
    *state = status.dwCurrentState == SERVICE_RUNNING         ? "running"
             : status.dwCurrentState == SERVICE_START_PENDING ? "starting"
             : status.dwCurrentState == SERVICE_STOP_PENDING  ? "stopping"
                                                              : "stopped";
    return KVPBUS_OK;
}
