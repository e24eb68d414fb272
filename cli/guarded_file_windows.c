// SPDX-License-Identifier: Apache-2.0
#include "guarded_file.h"

#include <aclapi.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "file.h"
#include "file_windows.h"
#include "private_windows.h"
#include "windows_error.h"

// With one of these another's words can come to stand in a file, or another file in its place.
static const DWORD writes = FILE_WRITE_DATA | FILE_APPEND_DATA | FILE_DELETE_CHILD | DELETE |
                            WRITE_DAC | WRITE_OWNER | GENERIC_WRITE | GENERIC_ALL;
static const DWORD reads = FILE_READ_DATA | GENERIC_READ | GENERIC_ALL;

#define MEND "icacls \"%.100s\" /inheritance:r /grant *S-1-5-18:F *S-1-5-32-544:F"

static enum kvpbus_error failed(struct kvpbus_failure *failure, DWORD code, const char *path,
                                const char *what)
{
    enum kvpbus_error error = kvpbus_system_error((int)code);
    if (error != KVPBUS_NOT_FOUND && error != KVPBUS_ACCESS)
        error = KVPBUS_IO;
    return kvpbus_fail_windows(failure, error, code, "cannot %s %.100s", what, path);
}

// --- who may what ---

struct access {
    bool owned;   // by somebody trusted
    DWORD others; // what others may
};

static DWORD granted_to_others(ACL *list)
{
    ACL_SIZE_INFORMATION about;
    DWORD granted = 0;
    if (list == NULL) // everybody may everything
        return GENERIC_ALL;
    if (!GetAclInformation(list, &about, sizeof about, AclSizeInformation))
        return GENERIC_ALL;
    for (DWORD i = 0; i < about.AceCount; i++) {
        ACCESS_ALLOWED_ACE *entry;
        if (!GetAce(list, i, (void **)&entry))
            return GENERIC_ALL;
        if ((entry->Header.AceFlags & INHERIT_ONLY_ACE) != 0 ||
            entry->Header.AceType == ACCESS_DENIED_ACE_TYPE)
            continue;
        if (entry->Header.AceType != ACCESS_ALLOWED_ACE_TYPE)
            return GENERIC_ALL; // it has a condition, or is about something else: none of ours
        if (!kvpbus_private_trusts(&entry->SidStart))
            granted |= entry->Mask;
    }
    return granted;
}

static DWORD look(HANDLE file, struct access *access)
{
    PSID owner = NULL;
    ACL *list = NULL;
    PSECURITY_DESCRIPTOR descriptor = NULL;
    DWORD code = GetSecurityInfo(file, SE_FILE_OBJECT,
                                 OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION, &owner,
                                 NULL, &list, NULL, &descriptor);
    if (code != ERROR_SUCCESS)
        return code;
    access->owned = kvpbus_private_trusts(owner);
    access->others = granted_to_others(list);
    LocalFree(descriptor);
    return ERROR_SUCCESS;
}

// Whoever may write the folder can put another file there.
static enum kvpbus_error check_folder(const char *path, struct kvpbus_failure *failure)
{
    struct access access;
    wchar_t *folder = kvpbus_wide_path(path), *end = folder;
    if (folder == NULL)
        return failed(failure, GetLastError(), path, "name");
    for (wchar_t *at = folder; *at != L'\0'; at++)
        if (*at == L'/' || *at == L'\\')
            end = at;
    if (end == folder)
        wcscpy(folder, L".");
    else
        end[end[-1] == L':' ? 1 : 0] = L'\0'; // of a file in C:\ that is C:\ itself
    HANDLE handle = CreateFileW(folder, READ_CONTROL, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                                OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
    DWORD code = handle == INVALID_HANDLE_VALUE ? GetLastError() : look(handle, &access);
    if (handle != INVALID_HANDLE_VALUE)
        CloseHandle(handle);
    free(folder);
    if (code != ERROR_SUCCESS)
        return failed(failure, code, path, "look at the folder of");
    if (access.owned && (access.others & writes) == 0)
        return KVPBUS_OK;
    return kvpbus_fail(failure, KVPBUS_ACCESS,
                       "%.100s is not used, because others can write its folder; give that to "
                       "SYSTEM and Administrators alone (icacls)",
                       path);
}

static enum kvpbus_error check_file(const char *path, HANDLE file, bool secret, size_t max,
                                    struct kvpbus_failure *failure)
{
    struct access access;
    LARGE_INTEGER size;
    if (GetFileType(file) != FILE_TYPE_DISK || !GetFileSizeEx(file, &size))
        return kvpbus_fail(failure, KVPBUS_CONFIG, "%.100s is not a file", path);
    DWORD code = look(file, &access);
    if (code != ERROR_SUCCESS)
        return failed(failure, code, path, "look at");
    if (!access.owned)
        return kvpbus_fail(failure, KVPBUS_ACCESS,
                           "%.100s is not used, because it belongs to another user; give it to "
                           "Administrators (icacls /setowner)",
                           path);
    if ((access.others & writes) != 0)
        return kvpbus_fail(failure, KVPBUS_ACCESS,
                           "%.100s is not used, because others can write it; look what stands in "
                           "it, then: " MEND,
                           path, path);
    if (secret && (access.others & reads) != 0)
        return kvpbus_fail(failure, KVPBUS_ACCESS,
                           "%.100s is not used, because others can read it; make a new token, and "
                           "keep it from them: " MEND,
                           path, path);
    if ((uint64_t)size.QuadPart > max)
        return kvpbus_fail(failure, KVPBUS_CONFIG, "%.100s is longer than %zu bytes", path, max);
    return KVPBUS_OK;
}

// --- reading ---

static enum kvpbus_error read_whole(const char *path, HANDLE file, size_t max, char **text,
                                    size_t *length, struct kvpbus_failure *failure)
{
    char *bytes = malloc(max + 2);
    size_t count = 0;
    if (bytes == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "%.100s: out of memory", path);
    for (DWORD got = 1; got > 0 && count <= max; count += got)
        if (!ReadFile(file, bytes + count, (DWORD)(max + 1 - count), &got, NULL)) {
            DWORD code = GetLastError();
            kvpbus_guarded_free(bytes, count);
            return failed(failure, code, path, "read");
        }
    bytes[count] = '\0';
    if (count <= max && strlen(bytes) == count) {
        *text = bytes;
        *length = count;
        return KVPBUS_OK;
    }
    kvpbus_guarded_free(bytes, count);
    return kvpbus_fail(failure, KVPBUS_CONFIG, "%.100s is not a text of at most %zu bytes", path,
                       max);
}

static HANDLE open_file(const char *path, DWORD access)
{
    wchar_t *wide = kvpbus_wide_path(path);
    HANDLE file = INVALID_HANDLE_VALUE;
    if (wide != NULL)
        file = CreateFileW(wide, access, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL, OPEN_EXISTING,
                           FILE_ATTRIBUTE_NORMAL, NULL);
    DWORD code = GetLastError();
    free(wide);
    SetLastError(code);
    return file;
}

static bool identify(HANDLE file, struct kvpbus_file_id *id)
{
    BY_HANDLE_FILE_INFORMATION about;
    if (!GetFileInformationByHandle(file, &about))
        return false;
    id->device = about.dwVolumeSerialNumber;
    id->file = (uint64_t)about.nFileIndexHigh << 32 | about.nFileIndexLow;
    return true;
}

enum kvpbus_error kvpbus_guarded_read(const char *path, bool secret, size_t max, char **text,
                                      size_t *length, struct kvpbus_file_id *id,
                                      struct kvpbus_failure *failure)
{
    HANDLE file = open_file(path, GENERIC_READ);
    if (file == INVALID_HANDLE_VALUE)
        return failed(failure, GetLastError(), path, "open");
    enum kvpbus_error error = check_file(path, file, secret, max, failure);
    if (error == KVPBUS_OK)
        error = check_folder(path, failure);
    if (error == KVPBUS_OK && id != NULL && !identify(file, id))
        error = failed(failure, GetLastError(), path, "look at");
    if (error == KVPBUS_OK)
        error = read_whole(path, file, max, text, length, failure);
    CloseHandle(file);
    return error;
}

void kvpbus_guarded_free(char *text, size_t length)
{
    sodium_memzero(text, length);
    free(text);
}

// By the handle that was looked at, so that no other file is removed.
enum kvpbus_error kvpbus_guarded_remove(const char *path, const struct kvpbus_file_id *id,
                                        struct kvpbus_failure *failure)
{
    struct kvpbus_file_id now = {0};
    FILE_DISPOSITION_INFO removed = {.DeleteFile = TRUE};
    HANDLE file = open_file(path, GENERIC_READ | DELETE);
    if (file == INVALID_HANDLE_VALUE)
        return kvpbus_system_error((int)GetLastError()) == KVPBUS_NOT_FOUND
                   ? KVPBUS_OK
                   : failed(failure, GetLastError(), path, "look at");
    enum kvpbus_error error = KVPBUS_OK;
    bool same = identify(file, &now) && now.device == id->device && now.file == id->file;
    if (same && !SetFileInformationByHandle(file, FileDispositionInfo, &removed, sizeof removed))
        error = failed(failure, GetLastError(), path, "remove");
    CloseHandle(file);
    return error;
}
