// SPDX-License-Identifier: Apache-2.0
#include "wmi_options.h"

#include <stdio.h>
#include <string.h>
#include <windows.h>

#include "credentials.h"
#include "guarded_file.h"
#include "windows_error.h"
#include "wmi_management.h"

enum { FILE_MAX = 4096 };

static struct {
    const char *host, *credentials;
    bool old_namespace;
} given;

static enum kvpbus_error take(const char *name, const char *value, struct kvpbus_failure *failure)
{
    if (value == NULL || value[0] == '\0')
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "%s wants a value", name);
    if (strcmp(name, "--hyperv-host") == 0) {
        given.host = value;
        return kvpbus_wmi_host_check(value, failure);
    }
    if (strcmp(name, "--credentials") == 0) {
        given.credentials = value;
    } else {
        given.old_namespace = strcmp(value, "v1") == 0;
        if (!given.old_namespace && strcmp(value, "v2") != 0)
            return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                               "there is no namespace '%.40s': v1 or v2", value);
    }
    return KVPBUS_OK;
}

// The option that a word is, "--name" or "--name=value"; NULL when it is none of these.
static const char *option_of(const char *word, const char **value)
{
    static const char *const names[] = {"--hyperv-host", "--credentials", "--namespace"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t length = strlen(names[i]);
        if (strncmp(word, names[i], length) != 0 || (word[length] != '\0' && word[length] != '='))
            continue;
        *value = word[length] == '=' ? word + length + 1 : NULL;
        return names[i];
    }
    return NULL;
}

enum kvpbus_error kvpbus_wmi_options_take(int *argc, char **argv, struct kvpbus_failure *failure)
{
    enum kvpbus_error error = KVPBUS_OK;
    int kept = 1;
    for (int i = 1; i < *argc && error == KVPBUS_OK; i++) {
        const char *value = NULL;
        const char *name = option_of(argv[i], &value);
        if (name == NULL) {
            argv[kept++] = argv[i];
            continue;
        }
        if (value == NULL && i + 1 < *argc)
            value = argv[++i];
        error = take(name, value, failure);
    }
    argv[kept] = NULL;
    *argc = kept;
    if (error == KVPBUS_OK && given.credentials != NULL && given.host == NULL)
        error = kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                            "--credentials is for another host: name it with --hyperv-host");
    return error;
}

bool kvpbus_wmi_options_given(void)
{
    return given.host != NULL || given.old_namespace;
}

// --- credentials ---

static enum kvpbus_error read_file(struct kvpbus_credentials *credentials,
                                   struct kvpbus_failure *failure)
{
    char *text;
    size_t length;
    enum kvpbus_error error =
        kvpbus_guarded_read(given.credentials, true, FILE_MAX, &text, &length, NULL, failure);
    if (error != KVPBUS_OK)
        return error;
    error = kvpbus_credentials_parse(given.credentials, text, credentials, failure);
    kvpbus_guarded_free(text, length);
    return error;
}

// One line of the console, without its end.
static bool read_line(HANDLE console, char *text)
{
    wchar_t line[KVPBUS_CREDENTIAL_MAX + 3];
    DWORD units = 0;
    bool read = ReadConsoleW(console, line, KVPBUS_CREDENTIAL_MAX + 2, &units, NULL);
    while (read && units > 0 && (line[units - 1] == L'\n' || line[units - 1] == L'\r'))
        units--;
    int bytes = units > 0 ? WideCharToMultiByte(CP_UTF8, 0, line, (int)units, text,
                                                KVPBUS_CREDENTIAL_MAX, NULL, NULL)
                          : 0;
    text[bytes] = '\0';
    SecureZeroMemory(line, sizeof line);
    return bytes > 0;
}

static enum kvpbus_error ask(struct kvpbus_credentials *credentials, struct kvpbus_failure *failure)
{
    DWORD mode;
    HANDLE console = CreateFileW(L"CONIN$", GENERIC_READ | GENERIC_WRITE,
                                 FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
    if (console == INVALID_HANDLE_VALUE || !GetConsoleMode(console, &mode)) {
        DWORD code = GetLastError();
        if (console != INVALID_HANDLE_VALUE)
            CloseHandle(console);
        return kvpbus_fail_windows(failure, KVPBUS_INVALID_ARGUMENT, code,
                                   "there is no console to ask at; give --credentials a file");
    }
    fprintf(stderr, "User on %s (DOMAIN\\user): ", given.host);
    bool complete = read_line(console, credentials->user);
    fprintf(stderr, "Password: ");
    SetConsoleMode(console, mode & ~(DWORD)ENABLE_ECHO_INPUT);
    complete = complete && read_line(console, credentials->password);
    SetConsoleMode(console, mode);
    fputc('\n', stderr);
    CloseHandle(console);
    return complete ? KVPBUS_OK
                    : kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                                  "a user name and a password are needed, of at most %d bytes each",
                                  KVPBUS_CREDENTIAL_MAX);
}

enum kvpbus_error kvpbus_wmi_options_open(bool guest_auto, struct kvpbus_management **management,
                                          struct kvpbus_failure *failure)
{
    struct kvpbus_credentials credentials = {{0}, {0}};
    struct kvpbus_wmi_options options = {
        .host = given.host,
        .old_namespace = given.old_namespace,
        .guest_auto = guest_auto,
    };
    enum kvpbus_error error = KVPBUS_OK;
    if (given.credentials != NULL) {
        bool console = strcmp(given.credentials, "-") == 0;
        error = console ? ask(&credentials, failure) : read_file(&credentials, failure);
        options.user = credentials.user;
        options.password = credentials.password;
    }
    if (error == KVPBUS_OK)
        error = kvpbus_wmi_management_open(&options, management, failure);
    SecureZeroMemory(&credentials, sizeof credentials);
    return error;
}
