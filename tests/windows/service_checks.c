// SPDX-License-Identifier: Apache-2.0
//
// service_checks.exe: command lines of services, and what is said when the service manager refuses.
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include <shellapi.h> // wants windows.h before it

#include "check.h"
#include "service_wait_windows.h"
#include "windows_text.h"

// The words come out of the line as they went in.
static bool survive(char *const *words)
{
    int count = 0;
    size_t same = 0;
    wchar_t *line = kvpbus_wide_line(words);
    wchar_t **parts = line != NULL ? CommandLineToArgvW(line, &count) : NULL;
    while (parts != NULL && same < (size_t)count && words[same] != NULL) {
        char *part = kvpbus_narrow(parts[same]);
        bool equal = part != NULL && strcmp(part, words[same]) == 0;
        free(part);
        if (!equal)
            break;
        same++;
    }
    LocalFree(parts);
    free(line);
    return same == (size_t)count && words[same] == NULL;
}

static void check_lines(void)
{
    char *plain[] = {(char *)"C:\\Program Files\\kvpbus\\kvpbus-host.exe", (char *)"service",
                     (char *)"run", NULL};
    char *hard[] = {(char *)"C:\\p.exe",
                    (char *)"",
                    (char *)"C:\\a b\\",
                    (char *)"\"",
                    (char *)"\\\"",
                    (char *)"a\\\\\"b c\\\\",
                    (char *)"\t& | > %PATH% ^",
                    (char *)"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
                    NULL};
    char *broken[] = {(char *)"C:\\p.exe", (char *)"\xff", NULL};
    CHECK(survive(plain));
    CHECK(survive(hard));
    CHECK(kvpbus_wide_line(broken) == NULL);
    CHECK(GetLastError() == ERROR_NO_UNICODE_TRANSLATION);
}

static bool told(DWORD code, enum kvpbus_error error, const char *what)
{
    struct kvpbus_failure failure = {0};
    char number[16];
    snprintf(number, sizeof number, "(%lu)", (unsigned long)code);
    bool right = kvpbus_service_manager_failed(&failure, code, "open", "kvpbus-host") == error &&
                 failure.code == error && failure.os_code == (int64_t)code &&
                 strstr(failure.detail, what) != NULL && strstr(failure.detail, number) != NULL;
    if (!right)
        printf("%s\n", failure.detail);
    return right;
}

int main(void)
{
    check_lines();
    CHECK(told(ERROR_ACCESS_DENIED, KVPBUS_ACCESS, "use an elevated prompt"));
    CHECK(told(ERROR_SERVICE_MARKED_FOR_DELETE, KVPBUS_BUSY, "is being removed"));
    CHECK(told(ERROR_SERVICE_DISABLED, KVPBUS_IO, "cannot open the service kvpbus-host"));
    return checks_end();
}
