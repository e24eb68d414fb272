// SPDX-License-Identifier: Apache-2.0
#include "credentials.h"

#include <stdbool.h>
#include <string.h>

// The line at *text, which is then behind it. False when it has no room.
static bool take_line(const char **text, char *line)
{
    size_t length = strcspn(*text, "\r\n");
    if (length > KVPBUS_CREDENTIAL_MAX)
        return false;
    memcpy(line, *text, length);
    line[length] = '\0';
    *text += length;
    *text += **text == '\r' ? 1 : 0;
    *text += **text == '\n' ? 1 : 0;
    return true;
}

enum kvpbus_error kvpbus_credentials_parse(const char *path, const char *text,
                                           struct kvpbus_credentials *credentials,
                                           struct kvpbus_failure *failure)
{
    static const char mark[] = "\357\273\277"; // as Notepad puts it before UTF-8
    if (strncmp(text, mark, sizeof mark - 1) == 0)
        text += sizeof mark - 1;
    bool fits = take_line(&text, credentials->user) && take_line(&text, credentials->password);
    if (!fits)
        return kvpbus_fail(failure, KVPBUS_CONFIG, "%.100s: a line is longer than %d bytes", path,
                           KVPBUS_CREDENTIAL_MAX);
    if (credentials->user[0] == '\0' || credentials->password[0] == '\0' ||
        text[strspn(text, "\r\n")] != '\0')
        return kvpbus_fail(failure, KVPBUS_CONFIG,
                           "%.100s: it has to have the user name on the first line, the password "
                           "on the second, and nothing else",
                           path);
    return KVPBUS_OK;
}
