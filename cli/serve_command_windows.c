// SPDX-License-Identifier: Apache-2.0
#include "serve_command_windows.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "serve_program.h"
#include "windows_text.h"

wchar_t *serve_command_find(const char *name)
{
    wchar_t *wide = kvpbus_wide(name), *path = NULL;
    DWORD length = wide != NULL ? SearchPathW(NULL, wide, L".exe", 0, NULL, NULL) : 0;
    if (length > 0)
        path = malloc((length + 1) * sizeof *path);
    if (path != NULL)
        SearchPathW(NULL, wide, L".exe", length + 1, path, NULL);
    DWORD code = GetLastError();
    free(wide);
    SetLastError(code);
    return path;
}

wchar_t *serve_command_environment(char *const *environment)
{
    size_t size = 2, at = 0;
    for (size_t i = 0; environment[i] != NULL; i++)
        size += strlen(environment[i]) + 1; // as many wide ones at most
    wchar_t *block = malloc(size * sizeof *block);
    if (block == NULL) {
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
        return NULL;
    }
    for (size_t i = 0; environment[i] != NULL; i++) {
        int length =
            MultiByteToWideChar(CP_UTF8, 0, environment[i], -1, block + at, (int)(size - at - 1));
        at += length > 0 ? (size_t)length : 0;
    }
    if (at == 0)
        block[at++] = L'\0';
    block[at] = L'\0';
    return block;
}

// --- the environment of this process ---

static bool same_name(const char *one, const char *other)
{
    size_t length = strcspn(one, "=");
    return length == strcspn(other, "=") && _strnicmp(one, other, length) == 0;
}

static bool replaced(const char *entry, const char *const *variables)
{
    for (size_t i = 0; variables[i] != NULL; i++)
        if (same_name(entry, variables[i]))
            return true;
    return false;
}

void serve_environment_free(char **environment)
{
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i++)
        free(environment[i]);
    free(environment);
}

static char **merge(const wchar_t *block, const char *const *variables)
{
    size_t count = 0, most = 1;
    for (size_t i = 0; variables[i] != NULL; i++)
        most++;
    for (const wchar_t *entry = block; *entry != L'\0'; entry += wcslen(entry) + 1)
        most++;
    char **list = calloc(most, sizeof *list);
    bool whole = list != NULL;
    for (size_t i = 0; whole && variables[i] != NULL; i++)
        whole = (list[count++] = strdup(variables[i])) != NULL;
    for (const wchar_t *entry = block; whole && *entry != L'\0'; entry += wcslen(entry) + 1) {
        char *narrow = kvpbus_narrow(entry);
        if (narrow != NULL && !replaced(narrow, variables))
            list[count++] = narrow;
        else
            free(narrow);
    }
    if (whole)
        return list;
    serve_environment_free(list);
    return NULL;
}

char **serve_environment(const char *const *variables)
{
    wchar_t *block = GetEnvironmentStringsW();
    char **list = block != NULL ? merge(block, variables) : NULL;
    if (block != NULL)
        FreeEnvironmentStringsW(block);
    return list;
}
