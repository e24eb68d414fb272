// SPDX-License-Identifier: Apache-2.0
#include "service_install_windows.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include <shellapi.h> // wants windows.h before it

#include "file.h"
#include "service_wait_windows.h"
#include "windows_error.h"
#include "windows_text.h"

enum {
    PATH_CHARS = 1024,
    CONFIG_BYTES = 8 * 1024, // what QueryServiceConfig gives at most
    RESTART_SOON = 5000,     // ms
    RESTART_LATER = 60000,
    FAILURES_FORGOTTEN = 86400,    // s
    SHUTDOWN_TIMEOUT = 310 * 1000, // ms; longer than the longest stop_within
};

static const wchar_t event_sources[] =
    L"SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application";

// --- the source of events ---

static DWORD put_source(const wchar_t *name, const wchar_t *program)
{
    static const DWORD types =
        EVENTLOG_ERROR_TYPE | EVENTLOG_WARNING_TYPE | EVENTLOG_INFORMATION_TYPE;
    HKEY sources, source;
    DWORD code = (DWORD)RegCreateKeyExW(HKEY_LOCAL_MACHINE, event_sources, 0, NULL, 0,
                                        KEY_CREATE_SUB_KEY | KEY_WOW64_64KEY, NULL, &sources, NULL);
    if (code != ERROR_SUCCESS)
        return code;
    code = (DWORD)RegCreateKeyExW(sources, name, 0, NULL, 0, KEY_SET_VALUE | KEY_WOW64_64KEY, NULL,
                                  &source, NULL);
    RegCloseKey(sources);
    if (code != ERROR_SUCCESS)
        return code;
    code =
        (DWORD)RegSetValueExW(source, L"EventMessageFile", 0, REG_EXPAND_SZ, (const BYTE *)program,
                              (DWORD)((wcslen(program) + 1) * sizeof *program));
    if (code == ERROR_SUCCESS)
        code = (DWORD)RegSetValueExW(source, L"TypesSupported", 0, REG_DWORD, (const BYTE *)&types,
                                     sizeof types);
    RegCloseKey(source);
    return code;
}

static void remove_source(const wchar_t *name)
{
    HKEY sources;
    if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, event_sources, 0, KEY_READ | KEY_WOW64_64KEY, &sources) !=
        ERROR_SUCCESS)
        return;
    RegDeleteKeyExW(sources, name, KEY_WOW64_64KEY, 0);
    RegCloseKey(sources);
}

// --- its command line ---

static void free_options(char **options)
{
    for (size_t i = 0; options != NULL && options[i] != NULL; i++)
        free(options[i]);
    free(options);
}

// What stands behind `service run` in a service's command line. NULL: GetLastError says why.
static char **options_in(const wchar_t *command)
{
    int count = 0;
    wchar_t **words = CommandLineToArgvW(command, &count);
    if (words == NULL)
        return NULL;
    char **options = calloc((size_t)count + 1, sizeof *options);
    for (int i = 3; options != NULL && i < count; i++)
        if ((options[i - 3] = kvpbus_narrow(words[i])) == NULL) {
            free_options(options);
            options = NULL;
        }
    LocalFree(words);
    if (options == NULL)
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
    return options;
}

static char **options_of(SC_HANDLE service)
{
    BYTE bytes[CONFIG_BYTES] __attribute__((aligned(8)));
    QUERY_SERVICE_CONFIGW *config = (QUERY_SERVICE_CONFIGW *)(void *)bytes;
    DWORD length;
    return QueryServiceConfigW(service, config, sizeof bytes, &length)
               ? options_in(config->lpBinaryPathName)
               : NULL;
}

// NULL: GetLastError says why.
static wchar_t *command_of(const wchar_t *program, char *const *options)
{
    size_t count = 0;
    while (options != NULL && options[count] != NULL)
        count++;
    char *path = kvpbus_narrow(program);
    char **words = calloc(count + 4, sizeof *words);
    wchar_t *line = NULL;
    SetLastError(ERROR_NOT_ENOUGH_MEMORY);
    if (path != NULL && words != NULL) {
        words[0] = path;
        words[1] = (char *)"service";
        words[2] = (char *)"run";
        for (size_t i = 0; i < count; i++)
            words[3 + i] = options[i];
        line = kvpbus_wide_line(words);
    }
    DWORD code = GetLastError();
    free(words);
    free(path);
    SetLastError(code);
    return line;
}

// --- how it runs ---

// Wine knows few of these levels; Windows has had all of them since long before those it is built
// for.
static bool set_level(SC_HANDLE service, DWORD level, void *info)
{
    return ChangeServiceConfig2W(service, level, info) || GetLastError() == ERROR_INVALID_LEVEL;
}

static bool describe(SC_HANDLE service, const struct kvpbus_service_about *about)
{
    wchar_t *says = kvpbus_wide(about->says);
    SERVICE_DESCRIPTIONW description = {.lpDescription = says};
    bool set = says != NULL && set_level(service, SERVICE_CONFIG_DESCRIPTION, &description);
    free(says);
    return set;
}

// Of the privileges of its account it keeps two: to pass through folders, and to ask who its pipe's
// clients are.
static bool restrict_rights(SC_HANDLE service)
{
    static wchar_t privileges[] = L"SeChangeNotifyPrivilege\0SeImpersonatePrivilege\0";
    SERVICE_REQUIRED_PRIVILEGES_INFOW needed = {.pmszRequiredPrivileges = privileges};
    SERVICE_SID_INFO sid = {.dwServiceSidType = SERVICE_SID_TYPE_UNRESTRICTED};
    return set_level(service, SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO, &needed) &&
           set_level(service, SERVICE_CONFIG_SERVICE_SID_INFO, &sid);
}

static bool set_ends(SC_HANDLE service)
{
    SC_ACTION actions[] = {{SC_ACTION_RESTART, RESTART_SOON},
                           {SC_ACTION_RESTART, RESTART_SOON},
                           {SC_ACTION_RESTART, RESTART_LATER}};
    SERVICE_FAILURE_ACTIONSW recovery = {.dwResetPeriod = FAILURES_FORGOTTEN,
                                         .cActions = sizeof actions / sizeof *actions,
                                         .lpsaActions = actions};
    SERVICE_PRESHUTDOWN_INFO shutdown = {.dwPreshutdownTimeout = SHUTDOWN_TIMEOUT};
    return set_level(service, SERVICE_CONFIG_FAILURE_ACTIONS, &recovery) &&
           set_level(service, SERVICE_CONFIG_PRESHUTDOWN_INFO, &shutdown);
}

static bool configure(SC_HANDLE service, const struct kvpbus_service_about *about, bool fresh)
{
    SERVICE_DELAYED_AUTO_START_INFO delayed = {.fDelayedAutostart = about->late};
    if (fresh && !set_level(service, SERVICE_CONFIG_DELAYED_AUTO_START_INFO, &delayed))
        return false;
    return describe(service, about) && restrict_rights(service) && set_ends(service);
}

// --- registering ---

static SC_HANDLE create(SC_HANDLE manager, const wchar_t *name,
                        const struct kvpbus_service_about *about, const wchar_t *command)
{
    wchar_t *title = kvpbus_wide(about->title);
    SC_HANDLE service = NULL;
    if (title != NULL)
        service = CreateServiceW(manager, name, title, SERVICE_ALL_ACCESS,
                                 SERVICE_WIN32_OWN_PROCESS, SERVICE_AUTO_START,
                                 SERVICE_ERROR_NORMAL, command, NULL, NULL, NULL, NULL, NULL);
    DWORD code = GetLastError();
    free(title);
    SetLastError(code);
    return service;
}

static enum kvpbus_error put_service(SC_HANDLE manager, const wchar_t *name,
                                     const struct kvpbus_service_about *about,
                                     const wchar_t *program, char *const *options,
                                     struct kvpbus_failure *failure)
{
    SC_HANDLE service = OpenServiceW(manager, name, SERVICE_ALL_ACCESS);
    bool fresh = service == NULL && GetLastError() == ERROR_SERVICE_DOES_NOT_EXIST;
    if (service == NULL && !fresh)
        return kvpbus_service_manager_failed(failure, GetLastError(), "open", about->name);
    bool keeps = !fresh && options == NULL;
    char **kept = keeps ? options_of(service) : NULL;
    wchar_t *command = NULL;
    if (!keeps || kept != NULL)
        command = command_of(program, keeps ? kept : options);
    if (fresh && command != NULL)
        service = create(manager, name, about, command);
    bool set = service != NULL && command != NULL &&
               (fresh || ChangeServiceConfigW(service, SERVICE_NO_CHANGE, SERVICE_NO_CHANGE,
                                              SERVICE_NO_CHANGE, command, NULL, NULL, NULL, NULL,
                                              NULL, NULL));
    set = set && configure(service, about, fresh);
    DWORD code = GetLastError();
    free_options(kept);
    if (!set && fresh && service != NULL)
        DeleteService(service);
    if (service != NULL)
        CloseServiceHandle(service);
    free(command);
    return set ? KVPBUS_OK : kvpbus_service_manager_failed(failure, code, "register", about->name);
}

static enum kvpbus_error open_manager(SC_HANDLE *manager, const char *name,
                                      struct kvpbus_failure *failure)
{
    *manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT | SC_MANAGER_CREATE_SERVICE);
    return *manager != NULL
               ? KVPBUS_OK
               : kvpbus_service_manager_failed(failure, GetLastError(), "register", name);
}

enum kvpbus_error kvpbus_service_may_install(const char *name, struct kvpbus_failure *failure)
{
    SC_HANDLE manager;
    enum kvpbus_error error = open_manager(&manager, name, failure);
    if (error == KVPBUS_OK)
        CloseServiceHandle(manager);
    return error;
}

enum kvpbus_error kvpbus_service_install(const struct kvpbus_service_about *about,
                                         char *const *options, struct kvpbus_failure *failure)
{
    wchar_t program[PATH_CHARS];
    DWORD length = GetModuleFileNameW(NULL, program, PATH_CHARS);
    if (length == 0 || length == PATH_CHARS)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "the path of this program is too long");
    wchar_t *name = kvpbus_wide(about->name);
    if (name == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    SC_HANDLE manager;
    enum kvpbus_error error = open_manager(&manager, about->name, failure);
    if (error == KVPBUS_OK) {
        error = put_service(manager, name, about, program, options, failure);
        CloseServiceHandle(manager);
    }
    DWORD code = error == KVPBUS_OK ? put_source(name, program) : ERROR_SUCCESS;
    free(name);
    return code == ERROR_SUCCESS
               ? error
               : kvpbus_service_manager_failed(failure, code, "register the source of events of",
                                               about->name);
}

enum kvpbus_error kvpbus_service_uninstall(const struct kvpbus_service_about *about,
                                           struct kvpbus_failure *failure)
{
    wchar_t *name = kvpbus_wide(about->name);
    if (name == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    SC_HANDLE service;
    enum kvpbus_error error = kvpbus_service_have_stopped(about->name, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_service_open_registered(about->name, DELETE, &service, failure);
    if (error == KVPBUS_OK) {
        if (!DeleteService(service))
            error = kvpbus_service_manager_failed(failure, GetLastError(), "remove", about->name);
        CloseServiceHandle(service);
    }
    if (error == KVPBUS_OK || error == KVPBUS_NOT_FOUND)
        remove_source(name);
    free(name);
    return error;
}
