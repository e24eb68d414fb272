// SPDX-License-Identifier: Apache-2.0
#include "file.h"

#include <fcntl.h>
#include <io.h>
#include <shlobj.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "file_windows.h"
#include "private_windows.h"
#include "windows_error.h"
#include "windows_text.h"

enum {
    UNIQUE_TRIES = 100,
    QUOTA_EXCEEDED = 1295, // ERROR_DISK_QUOTA_EXCEEDED, which these headers lack
};

#define PROGRAM_DATA "%ProgramData%"

// --- why ---

// The C library keeps what its own calls failed with in the same place.
static bool failed(void)
{
    _doserrno = GetLastError();
    return false;
}

int kvpbus_system_code(void)
{
    return (int)_doserrno;
}

const char *kvpbus_system_text(int code)
{
    static _Thread_local char text[200];
    kvpbus_windows_text((uint32_t)code, text, sizeof text);
    return text;
}

enum kvpbus_error kvpbus_system_error(int code)
{
    switch (code) {
    case ERROR_ACCESS_DENIED:
    case ERROR_WRITE_PROTECT:
    case ERROR_PRIVILEGE_NOT_HELD:
    case ERROR_CANT_ACCESS_FILE:
        return KVPBUS_ACCESS;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
    case QUOTA_EXCEEDED:
        return KVPBUS_NO_SPACE;
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
        return KVPBUS_NOT_FOUND;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS:
        return KVPBUS_EXISTS;
    default:
        return KVPBUS_IO;
    }
}

// --- paths ---

static wchar_t *in_program_data(const wchar_t *rest)
{
    wchar_t *folder = NULL, *path = NULL;
    HRESULT result = SHGetKnownFolderPath(&FOLDERID_ProgramData, KF_FLAG_DEFAULT, NULL, &folder);
    if (SUCCEEDED(result))
        path = malloc((wcslen(folder) + wcslen(rest) + 1) * sizeof *path);
    if (path != NULL)
        wcscat(wcscpy(path, folder), rest);
    else
        SetLastError(SUCCEEDED(result) ? ERROR_NOT_ENOUGH_MEMORY : (DWORD)result);
    CoTaskMemFree(folder);
    return path;
}

wchar_t *kvpbus_wide_path(const char *path)
{
    bool named = strncmp(path, PROGRAM_DATA, strlen(PROGRAM_DATA)) == 0;
    wchar_t *wide = kvpbus_wide(named ? path + strlen(PROGRAM_DATA) : path);
    if (!named || wide == NULL)
        return wide;
    wchar_t *whole = in_program_data(wide);
    free(wide);
    return whole;
}

char *kvpbus_real_path(const char *path)
{
    wchar_t *wide = kvpbus_wide_path(path);
    char *real = wide != NULL ? kvpbus_narrow(wide) : NULL;
    if (real == NULL)
        failed();
    free(wide);
    return real;
}

// --- files ---

static HANDLE open_path(const char *path, DWORD access, DWORD how, DWORD flags, bool private)
{
    SECURITY_ATTRIBUTES attributes;
    HANDLE file = INVALID_HANDLE_VALUE;
    wchar_t *wide = kvpbus_wide_path(path);
    if (wide != NULL && (!private || kvpbus_private_attributes(false, &attributes))) {
        file = CreateFileW(wide, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                           private ? &attributes : NULL, how, flags, NULL);
        if (private)
            kvpbus_private_free(&attributes);
    }
    if (file == INVALID_HANDLE_VALUE)
        failed();
    free(wide);
    return file;
}

// Neither the text mode of the C library, nor children that inherit it.
static int descriptor_of(HANDLE file, int flags)
{
    int descriptor = -1;
    if (file == INVALID_HANDLE_VALUE)
        return -1;
    descriptor = _open_osfhandle((intptr_t)file, flags | _O_BINARY | _O_NOINHERIT);
    if (descriptor < 0)
        CloseHandle(file);
    return descriptor;
}

int kvpbus_file_create(const char *path)
{
    HANDLE file =
        open_path(path, GENERIC_READ | GENERIC_WRITE, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, true);
    return descriptor_of(file, _O_RDWR);
}

int kvpbus_file_open(const char *path)
{
    BY_HANDLE_FILE_INFORMATION about;
    HANDLE file = open_path(path, GENERIC_READ, OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT, false);
    if (file == INVALID_HANDLE_VALUE)
        return -1;
    bool link = GetFileInformationByHandle(file, &about) &&
                (about.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0;
    if (!link)
        return descriptor_of(file, _O_RDONLY);
    CloseHandle(file);
    _doserrno = ERROR_CANT_ACCESS_FILE;
    return -1;
}

FILE *kvpbus_file_stream(const char *path, const char *mode)
{
    bool reads = mode[0] == 'r';
    HANDLE file = open_path(path, reads ? GENERIC_READ : GENERIC_WRITE,
                            reads ? OPEN_EXISTING : CREATE_NEW, FILE_ATTRIBUTE_NORMAL, false);
    int descriptor = descriptor_of(file, reads ? _O_RDONLY : _O_WRONLY);
    FILE *stream = descriptor >= 0 ? _fdopen(descriptor, reads ? "rb" : "wb") : NULL;
    if (descriptor >= 0 && stream == NULL)
        close(descriptor);
    return stream;
}

bool kvpbus_file_sync(int file)
{
    return FlushFileBuffers((HANDLE)_get_osfhandle(file)) || failed();
}

bool kvpbus_file_sync_data(int file)
{
    return kvpbus_file_sync(file);
}

bool kvpbus_file_size(const char *path, uint64_t *size)
{
    WIN32_FILE_ATTRIBUTE_DATA about;
    wchar_t *wide = kvpbus_wide_path(path);
    bool known = wide != NULL && GetFileAttributesExW(wide, GetFileExInfoStandard, &about);
    if (known)
        *size = (uint64_t)about.nFileSizeHigh << 32 | about.nFileSizeLow;
    else
        failed();
    free(wide);
    return known;
}

// What a call with one path gave, which it has failed by then.
static bool ended(wchar_t *wide, bool worked)
{
    if (!worked)
        failed();
    free(wide);
    return worked;
}

bool kvpbus_file_exists(const char *path)
{
    wchar_t *wide = kvpbus_wide_path(path);
    return ended(wide, wide != NULL && GetFileAttributesW(wide) != INVALID_FILE_ATTRIBUTES);
}

bool kvpbus_file_remove(const char *path)
{
    wchar_t *wide = kvpbus_wide_path(path);
    return ended(wide, wide != NULL && DeleteFileW(wide));
}

bool kvpbus_file_replace(const char *from, const char *to)
{
    wchar_t *old = kvpbus_wide_path(from), *fresh = kvpbus_wide_path(to);
    bool worked = old != NULL && fresh != NULL &&
                  MoveFileExW(old, fresh, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH);
    free(fresh);
    return ended(old, worked);
}

// --- folders ---

static bool make_folder(const char *path)
{
    SECURITY_ATTRIBUTES attributes;
    wchar_t *wide = kvpbus_wide_path(path);
    bool worked = wide != NULL && kvpbus_private_attributes(true, &attributes);
    if (worked) {
        worked = CreateDirectoryW(wide, &attributes);
        kvpbus_private_free(&attributes);
    }
    return ended(wide, worked);
}

bool kvpbus_folder_make(const char *path)
{
    return make_folder(path) || _doserrno == ERROR_ALREADY_EXISTS;
}

bool kvpbus_folder_make_unique(char *path)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    char *end = path + strlen(path) - 6;
    for (int tries = 0; tries < UNIQUE_TRIES; tries++) {
        for (size_t i = 0; i < 6; i++)
            end[i] = letters[randombytes_uniform(sizeof letters - 1)];
        if (make_folder(path))
            return true;
        if (_doserrno != ERROR_ALREADY_EXISTS)
            break;
    }
    return false;
}

bool kvpbus_folder_remove(const char *path)
{
    wchar_t *wide = kvpbus_wide_path(path);
    return ended(wide, wide != NULL && RemoveDirectoryW(wide));
}

// Names are in the file system's own journal, and kvpbus_file_replace waits for that.
bool kvpbus_folder_sync(const char *path)
{
    (void)path;
    return true;
}

bool kvpbus_folder_free(const char *path, uint64_t *bytes)
{
    ULARGE_INTEGER unused;
    wchar_t *wide = kvpbus_wide_path(path);
    bool known = wide != NULL && GetDiskFreeSpaceExW(wide, &unused, NULL, NULL);
    if (known)
        *bytes = unused.QuadPart;
    return ended(wide, known);
}
