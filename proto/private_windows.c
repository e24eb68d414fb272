// SPDX-License-Identifier: Apache-2.0
#include "private_windows.h"

#include <sddl.h>
#include <stdio.h>

enum { TOKEN_BYTES = 256, SDDL_CHARS = 512 };

// Of the process: its user, or who owns what it makes. The buffer holds the SID.
static PSID process_sid(TOKEN_INFORMATION_CLASS which, BYTE buffer[TOKEN_BYTES])
{
    HANDLE token;
    DWORD length;
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token))
        return NULL;
    bool known = GetTokenInformation(token, which, buffer, TOKEN_BYTES, &length);
    DWORD code = GetLastError();
    CloseHandle(token);
    SetLastError(code);
    if (!known)
        return NULL;
    return which == TokenUser ? ((TOKEN_USER *)(void *)buffer)->User.Sid
                              : ((TOKEN_OWNER *)(void *)buffer)->Owner;
}

static bool well_known(WELL_KNOWN_SID_TYPE which, BYTE sid[SECURITY_MAX_SID_SIZE])
{
    DWORD size = SECURITY_MAX_SID_SIZE;
    return CreateWellKnownSid(which, NULL, sid, &size);
}

// The user is one of those who may anyway. An administrator whose token was filtered by UAC is not.
static bool is_elevated(void)
{
    BYTE sid[SECURITY_MAX_SID_SIZE];
    BOOL member = FALSE;
    return (well_known(WinBuiltinAdministratorsSid, sid) &&
            CheckTokenMembership(NULL, sid, &member) && member) ||
           (well_known(WinLocalSystemSid, sid) && CheckTokenMembership(NULL, sid, &member) &&
            member);
}

bool kvpbus_private_attributes(bool folder, SECURITY_ATTRIBUTES *attributes)
{
    BYTE buffer[TOKEN_BYTES] __attribute__((aligned(8)));
    wchar_t sddl[SDDL_CHARS], *user = NULL;
    // A policy can make the user the owner of what an administrator makes; a service would not
    // trust that user.
    const bool elevated = is_elevated();
    const wchar_t *inherited = folder ? L"OICI" : L"";
    int length = swprintf(sddl, SDDL_CHARS, L"%lsD:P(A;%ls;FA;;;SY)(A;%ls;FA;;;BA)",
                          elevated ? L"O:BA" : L"", inherited, inherited);
    if (!elevated) {
        PSID sid = process_sid(TokenUser, buffer);
        if (sid == NULL || !ConvertSidToStringSidW(sid, &user))
            return false;
        swprintf(sddl + length, SDDL_CHARS - (size_t)length, L"(A;%ls;FA;;;%ls)", inherited, user);
        LocalFree(user);
    }
    *attributes = (SECURITY_ATTRIBUTES){.nLength = sizeof *attributes};
    return ConvertStringSecurityDescriptorToSecurityDescriptorW(
        sddl, SDDL_REVISION_1, &attributes->lpSecurityDescriptor, NULL);
}

void kvpbus_private_free(SECURITY_ATTRIBUTES *attributes)
{
    DWORD code = GetLastError();
    LocalFree(attributes->lpSecurityDescriptor);
    attributes->lpSecurityDescriptor = NULL;
    SetLastError(code);
}

bool kvpbus_private_trusts(PSID who)
{
    static const WELL_KNOWN_SID_TYPE trusted[] = {WinLocalSystemSid, WinBuiltinAdministratorsSid,
                                                  WinCreatorOwnerRightsSid};
    BYTE buffer[TOKEN_BYTES] __attribute__((aligned(8))), sid[SECURITY_MAX_SID_SIZE];
    if (who == NULL)
        return false;
    for (size_t i = 0; i < sizeof trusted / sizeof *trusted; i++)
        if (well_known(trusted[i], sid) && EqualSid(who, sid))
            return true;
    PSID user = process_sid(TokenUser, buffer);
    if (user != NULL && EqualSid(who, user))
        return true;
    PSID owner = process_sid(TokenOwner, buffer);
    return owner != NULL && EqualSid(who, owner);
}
