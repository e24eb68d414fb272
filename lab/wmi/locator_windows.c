// SPDX-License-Identifier: Apache-2.0
//
// IWbemLocator for the namespaces of Hyper-V on this machine. All others are those of the system's
// own locator, so that a machine on which this provider stands in goes on as it was.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "provider.h"

enum { SETTING_MAX = 512 };

struct locator {
    IWbemLocator face;
    LONG references;
};

static HRESULT WINAPI query_interface(IWbemLocator *face, REFIID iid, void **out)
{
    if (out == NULL)
        return E_POINTER;
    *out = NULL;
    if (IsEqualIID(iid, &IID_IMarshal))
        return kvpbus_provider_marshal(out);
    if (!IsEqualIID(iid, &IID_IUnknown) && !IsEqualIID(iid, &IID_IWbemLocator))
        return E_NOINTERFACE;
    *out = face;
    IWbemLocator_AddRef(face);
    return S_OK;
}

static ULONG WINAPI add_ref(IWbemLocator *face)
{
    return (ULONG)InterlockedIncrement(&CONTAINING_RECORD(face, struct locator, face)->references);
}

static ULONG WINAPI release(IWbemLocator *face)
{
    struct locator *locator = CONTAINING_RECORD(face, struct locator, face);
    LONG left = InterlockedDecrement(&locator->references);
    if (left == 0) {
        free(locator);
        kvpbus_provider_gone();
    }
    return (ULONG)left;
}

// A setting, of the environment or of the registry. Empty when there is none.
static void setting(const WCHAR *variable, const WCHAR *value, char *text)
{
    WCHAR wide[SETTING_MAX] = L"";
    DWORD size = sizeof wide;
    text[0] = '\0';
    DWORD length = GetEnvironmentVariableW(variable, wide, SETTING_MAX);
    if ((length == 0 || length >= SETTING_MAX) &&
        RegGetValueW(HKEY_LOCAL_MACHINE, L"Software\\kvpbus-lab", value,
                     RRF_RT_REG_SZ | RRF_SUBKEY_WOW6464KEY, NULL, wide, &size) != ERROR_SUCCESS)
        return;
    char *bytes = kvpbus_provider_utf8(wide);
    if (bytes != NULL)
        snprintf(text, SETTING_MAX, "%s", bytes);
    free(bytes);
}

// Finds a name in a list of the form "NAME;NAME=DOMAIN\user:password". What is behind the name goes
// to `account`, of SETTING_MAX.
static bool find_remote(const char *list, const char *name, char *account)
{
    for (const char *entry = list; *entry != '\0'; entry += strspn(entry, ";")) {
        char one[SETTING_MAX];
        size_t size = strcspn(entry, ";");
        snprintf(one, sizeof one, "%.*s", (int)size, entry);
        entry += size;
        char *mark = strchr(one, '=');
        if (mark != NULL)
            *mark = '\0';
        if (kvpbus_cim_compare(one, name) != 0)
            continue;
        snprintf(account, SETTING_MAX, "%s", mark != NULL ? mark + 1 : "");
        return true;
    }
    return false;
}

// "\\server\root\x", "//./root/x" or "root\x": server and namespace, the latter with backslashes.
// The server is empty when none is named.
static bool split(const WCHAR *resource, char *server, char *name_space)
{
    char *text = kvpbus_provider_utf8(resource);
    if (text == NULL || strlen(text) >= SETTING_MAX) {
        free(text);
        return false;
    }
    for (char *c = text; *c != '\0'; c++)
        *c = *c == '/' ? '\\' : *c;
    char *rest = text;
    server[0] = '\0';
    if (strncmp(text, "\\\\", 2) == 0) {
        size_t length = strcspn(text + 2, "\\");
        snprintf(server, SETTING_MAX, "%.*s", (int)length, text + 2);
        rest = text + 2 + length;
    }
    rest += strspn(rest, "\\");
    snprintf(name_space, SETTING_MAX, "%s", rest);
    free(text);
    return true;
}

static bool is_hyperv(const char *name_space)
{
    return kvpbus_cim_compare(name_space, "root\\virtualization\\v2") == 0 ||
           kvpbus_cim_compare(name_space, "root\\virtualization") == 0;
}

static void own_name(char *name, size_t size)
{
    WCHAR wide[MAX_COMPUTERNAME_LENGTH + 1] = L"";
    DWORD length = MAX_COMPUTERNAME_LENGTH + 1;
    GetComputerNameW(wide, &length);
    char *bytes = kvpbus_provider_utf8(wide);
    snprintf(name, size, "%s", bytes != NULL ? bytes : "LOCALHOST");
    free(bytes);
}

static bool is_local(const char *server, const char *own)
{
    return server[0] == '\0' || strcmp(server, ".") == 0 ||
           kvpbus_cim_compare(server, "localhost") == 0 || strcmp(server, "127.0.0.1") == 0 ||
           kvpbus_cim_compare(server, own) == 0;
}

// What a client says of itself.
struct caller {
    const WCHAR *user, *password;
};

// Another computer is served when the settings name it, and to the account that they name.
// `account` is that one, or empty.
static HRESULT admit(const char *server, const struct caller *caller, WCHAR *account)
{
    char remote[SETTING_MAX], needed[SETTING_MAX];
    WCHAR given[KVPBUS_PROVIDER_ACCOUNT_MAX];
    setting(L"KVPBUS_LAB_REMOTE", L"Remote", remote);
    if (!find_remote(remote, server, needed))
        return HRESULT_FROM_WIN32(RPC_S_SERVER_UNAVAILABLE);
    if (needed[0] == '\0')
        return S_OK;
    kvpbus_provider_account(NULL, caller->user, caller->password, given);
    if (MultiByteToWideChar(CP_UTF8, 0, needed, -1, account, KVPBUS_PROVIDER_ACCOUNT_MAX) == 0)
        return E_ACCESSDENIED;
    return wcscmp(given, account) == 0 ? S_OK : E_ACCESSDENIED;
}

static HRESULT connect_lab(const char *server, const char *name_space, const struct caller *caller,
                           IWbemServices **out)
{
    char address[SETTING_MAX];
    WCHAR account[KVPBUS_PROVIDER_ACCOUNT_MAX] = L"";
    struct kvpbus_cim_scope scope = {0};
    struct kvpbus_cim_host *host;
    HRESULT result = S_OK;
    own_name(scope.server, sizeof scope.server);
    if (!is_local(server, scope.server)) {
        result = admit(server, caller, account);
        snprintf(scope.server, sizeof scope.server, "%s", server);
    } else if (caller->user != NULL && *caller->user != L'\0') {
        result = HR(E_LOCAL_CREDENTIALS);
    }
    if (FAILED(result))
        return result;
    setting(L"KVPBUS_LAB", L"Address", address);
    if (address[0] == '\0')
        return HR(E_INVALID_NAMESPACE); // as on a machine without the role
    bool v2 = strchr(name_space, '\\') != strrchr(name_space, '\\');
    strcpy(scope.name_space, v2 ? "root\\virtualization\\v2" : "root\\virtualization");
    enum kvpbus_cim_status status = kvpbus_cim_host_open(address, &scope, &host);
    if (status != KVPBUS_CIM_OK)
        return kvpbus_provider_hresult(status);
    return kvpbus_provider_services(host, account, out);
}

// The system's locator, by its file: under its class it would be this one again.
static HRESULT system_locator(IWbemLocator **out)
{
    WCHAR path[MAX_PATH];
    IClassFactory *factory;
    UINT length = GetSystemDirectoryW(path, MAX_PATH);
    if (length == 0 || length + 20 > MAX_PATH)
        return HR(E_INVALID_NAMESPACE);
    wcscat(path, L"\\wbem\\wbemprox.dll");
    HMODULE module = LoadLibraryW(path);
    LPFNGETCLASSOBJECT get = NULL;
    FARPROC function = module != NULL ? GetProcAddress(module, "DllGetClassObject") : NULL;
    memcpy(&get, &function, sizeof get);
    if (get == NULL)
        return HR(E_INVALID_NAMESPACE);
    HRESULT result = get(&CLSID_WbemLocator, &IID_IClassFactory, (void **)&factory);
    if (FAILED(result))
        return result;
    result = IClassFactory_CreateInstance(factory, NULL, &IID_IWbemLocator, (void **)out);
    IClassFactory_Release(factory);
    return result;
}

static HRESULT WINAPI connect_server(IWbemLocator *face, const BSTR resource, const BSTR user,
                                     const BSTR password, const BSTR locale, LONG flags,
                                     const BSTR authority, IWbemContext *context,
                                     IWbemServices **out)
{
    char server[SETTING_MAX], name_space[SETTING_MAX];
    IWbemLocator *system;
    (void)face;
    if (resource == NULL || out == NULL)
        return HR(E_INVALID_PARAMETER);
    *out = NULL;
    if (!split(resource, server, name_space))
        return HR(E_INVALID_NAMESPACE);
    if (is_hyperv(name_space)) {
        const struct caller caller = {user, password};
        return connect_lab(server, name_space, &caller, out);
    }
    HRESULT result = system_locator(&system);
    if (FAILED(result))
        return result;
    result = IWbemLocator_ConnectServer(system, resource, user, password, locale, flags, authority,
                                        context, out);
    IWbemLocator_Release(system);
    return result;
}

static IWbemLocatorVtbl table = {query_interface, add_ref, release, connect_server};

HRESULT kvpbus_provider_locator(REFIID iid, void **out)
{
    struct locator *locator = calloc(1, sizeof *locator);
    if (locator == NULL)
        return E_OUTOFMEMORY;
    kvpbus_provider_made();
    locator->face.lpVtbl = &table;
    locator->references = 1;
    HRESULT result = IWbemLocator_QueryInterface(&locator->face, iid, out);
    IWbemLocator_Release(&locator->face);
    return result;
}
