// SPDX-License-Identifier: Apache-2.0
//
// Any user may make a folder in ProgramData: so one that is there is used only when it belongs to
// those who may use it, and nobody else is let in afterwards.
#include "state_lock.h"

#include <aclapi.h>
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "file.h"
#include "file_windows.h"
#include "private_windows.h"
#include "state_lock_windows.h"
#include "windows_error.h"

static enum kvpbus_error failed(struct kvpbus_failure *failure, DWORD code, const char *path,
                                const char *what)
{
    enum kvpbus_error error = kvpbus_system_error((int)code);
    if (error != KVPBUS_ACCESS && error != KVPBUS_NO_SPACE)
        error = KVPBUS_IO;
    return kvpbus_fail_windows(failure, error, code, "%s %s", what, path);
}

static enum kvpbus_error check_owner(HANDLE folder, const char *path,
                                     struct kvpbus_failure *failure)
{
    PSID owner = NULL;
    PSECURITY_DESCRIPTOR descriptor = NULL;
    DWORD code = GetSecurityInfo(folder, SE_FILE_OBJECT, OWNER_SECURITY_INFORMATION, &owner, NULL,
                                 NULL, NULL, &descriptor);
    if (code != ERROR_SUCCESS)
        return failed(failure, code, path, "cannot look at the state folder");
    bool trusted = kvpbus_private_trusts(owner);
    LocalFree(descriptor);
    if (trusted)
        return KVPBUS_OK;
    return kvpbus_fail(failure, KVPBUS_ACCESS,
                       "the state folder %s belongs to another user; remove it, or give it to "
                       "Administrators",
                       path);
}

static enum kvpbus_error let_in(HANDLE folder, const char *path, struct kvpbus_failure *failure)
{
    SECURITY_ATTRIBUTES attributes;
    BOOL present, by_default;
    ACL *list = NULL;
    if (!kvpbus_private_attributes(true, &attributes))
        return failed(failure, GetLastError(), path, "cannot say who may use the state folder");
    DWORD code = ERROR_INVALID_SECURITY_DESCR;
    if (GetSecurityDescriptorDacl(attributes.lpSecurityDescriptor, &present, &list, &by_default))
        code = SetSecurityInfo(folder, SE_FILE_OBJECT,
                               DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION,
                               NULL, NULL, list, NULL);
    kvpbus_private_free(&attributes);
    return code == ERROR_SUCCESS
               ? KVPBUS_OK
               : failed(failure, code, path, "cannot say who may use the state folder");
}

// Whoever may make a folder here may make a link, to a folder that is none of ours.
static enum kvpbus_error guard(const char *path, struct kvpbus_failure *failure)
{
    BY_HANDLE_FILE_INFORMATION about;
    HANDLE folder = INVALID_HANDLE_VALUE;
    wchar_t *wide = kvpbus_wide_path(path);
    if (wide != NULL)
        folder = CreateFileW(wide, READ_CONTROL | WRITE_DAC | FILE_READ_ATTRIBUTES,
                             FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING,
                             FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT, NULL);
    DWORD code = GetLastError();
    free(wide);
    if (folder == INVALID_HANDLE_VALUE)
        return failed(failure, code, path, "cannot open the state folder");
    enum kvpbus_error error = KVPBUS_OK;
    if (!GetFileInformationByHandle(folder, &about))
        error = failed(failure, GetLastError(), path, "cannot look at the state folder");
    else if (about.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT)
        error = kvpbus_fail(failure, KVPBUS_ACCESS,
                            "the state folder %s is a link; remove it, or name the folder itself",
                            path);
    if (error == KVPBUS_OK)
        error = check_owner(folder, path, failure);
    if (error == KVPBUS_OK)
        error = let_in(folder, path, failure);
    CloseHandle(folder);
    return error;
}

enum kvpbus_error kvpbus_state_parent_make(struct kvpbus_failure *failure)
{
    if (!kvpbus_folder_make(KVPBUS_STATE_PARENT))
        return failed(failure, (DWORD)kvpbus_system_code(), KVPBUS_STATE_PARENT,
                      "cannot create the folder");
    return guard(KVPBUS_STATE_PARENT, failure);
}

// Nobody else opens it while it is open here; whoever has it may remove it.
static enum kvpbus_error take(const char *real, int *lock, struct kvpbus_failure *failure)
{
    char file[KVPBUS_PATH_MAX + 8];
    snprintf(file, sizeof file, "%s\\lock", real);
    wchar_t *wide = kvpbus_wide_path(file);
    HANDLE handle = INVALID_HANDLE_VALUE;
    if (wide != NULL)
        handle = CreateFileW(wide, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_DELETE, NULL,
                             OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
    DWORD code = GetLastError();
    free(wide);
    if (handle != INVALID_HANDLE_VALUE)
        *lock = _open_osfhandle((intptr_t)handle, _O_RDWR | _O_BINARY | _O_NOINHERIT);
    if (*lock >= 0)
        return KVPBUS_OK;
    if (code == ERROR_SHARING_VIOLATION)
        return kvpbus_fail(failure, KVPBUS_JOURNAL_LOCKED, KVPBUS_STATE_IN_USE, real);
    return failed(failure, code, file, "cannot open");
}

enum kvpbus_error kvpbus_state_lock(const char *path, char real[KVPBUS_PATH_MAX], int *lock,
                                    struct kvpbus_failure *failure)
{
    static const char in_parent[] = KVPBUS_STATE_PARENT "\\";
    enum kvpbus_error error = KVPBUS_OK;
    if (strncmp(path, in_parent, strlen(in_parent)) == 0)
        error = kvpbus_state_parent_make(failure);
    if (error != KVPBUS_OK)
        return error;
    if (!kvpbus_folder_make(path))
        return failed(failure, (DWORD)kvpbus_system_code(), path, "cannot create the state folder");
    error = guard(path, failure);
    if (error != KVPBUS_OK)
        return error;
    char *whole = kvpbus_real_path(path);
    bool fits = whole != NULL && strlen(whole) < KVPBUS_PATH_MAX;
    if (fits)
        strcpy(real, whole);
    free(whole);
    return fits ? take(real, lock, failure)
                : kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                              "the path of the state folder is longer than %d characters",
                              KVPBUS_PATH_MAX - 1);
}
