// SPDX-License-Identifier: Apache-2.0
//
// Another computer, which the environment says there is: hv7 for everybody, hv9 for one account.
#include <wchar.h>

#include "wmi_probe.h"

static IWbemServices *connect_as(const WCHAR *resource, const WCHAR *user, const WCHAR *password,
                                 HRESULT *result)
{
    IWbemLocator *locator = NULL;
    IWbemServices *services = NULL;
    BSTR name = SysAllocString(resource), account = SysAllocString(user);
    BSTR secret = SysAllocString(password);
    EXPECT(CoCreateInstance(&CLSID_WbemLocator, NULL, CLSCTX_INPROC_SERVER, &IID_IWbemLocator,
                            (void **)&locator) == S_OK);
    *result =
        IWbemLocator_ConnectServer(locator, name, account, secret, NULL, 0, NULL, NULL, &services);
    IWbemLocator_Release(locator);
    SysFreeString(name);
    SysFreeString(account);
    SysFreeString(secret);
    return services;
}

static HRESULT act_as(void *object, const WCHAR *domain, const WCHAR *user, const WCHAR *password)
{
    COAUTHIDENTITY identity = {
        .User = (USHORT *)user,
        .UserLength = (ULONG)wcslen(user),
        .Domain = (USHORT *)domain,
        .DomainLength = (ULONG)wcslen(domain),
        .Password = (USHORT *)password,
        .PasswordLength = (ULONG)wcslen(password),
        .Flags = SEC_WINNT_AUTH_IDENTITY_UNICODE,
    };
    return CoSetProxyBlanket(object, RPC_C_AUTHN_DEFAULT, RPC_C_AUTHZ_DEFAULT,
                             COLE_DEFAULT_PRINCIPAL, RPC_C_AUTHN_LEVEL_PKT_PRIVACY,
                             RPC_C_IMP_LEVEL_IMPERSONATE, &identity, EOAC_NONE);
}

// Each object is used as the account that was set on it, not as the one that has connected.
static void check_identity(IWbemServices *services)
{
    static const WCHAR query[] = L"SELECT * FROM Msvm_ComputerSystem";
    IEnumWbemClassObject *objects = NULL;
    IWbemClassObject *object = NULL;
    ULONG count = 0;
    EXPECT(probe_query(services, query, 0, &objects) == E_ACCESSDENIED);
    EXPECT(act_as(services, L"CORP", L"operator", L"wrong") == S_OK);
    EXPECT(probe_query(services, query, 0, &objects) == E_ACCESSDENIED);
    EXPECT(act_as(services, L"CORP", L"operator", L"secret") == S_OK);
    EXPECT(probe_query(services, query, 0, &objects) == S_OK);
    EXPECT(IEnumWbemClassObject_Next(objects, PATIENCE_MS, 1, &object, &count) == E_ACCESSDENIED);
    EXPECT(IEnumWbemClassObject_Reset(objects) == E_ACCESSDENIED);
    EXPECT(act_as(objects, L"CORP", L"operator", L"secret") == S_OK);
    EXPECT(IEnumWbemClassObject_Next(objects, PATIENCE_MS, 1, &object, &count) == S_OK);
    // Class objects are here: they have no proxy.
    EXPECT(wcsncmp(probe_text(object, L"__PATH"), L"\\\\hv9\\", 6) == 0);
    IWbemClassObject_Release(object);
    IEnumWbemClassObject_Release(objects);
    EXPECT(CoSetProxyBlanket((IUnknown *)services, RPC_C_AUTHN_DEFAULT, RPC_C_AUTHZ_DEFAULT, NULL,
                             RPC_C_AUTHN_LEVEL_CALL, RPC_C_IMP_LEVEL_IMPERSONATE, NULL,
                             EOAC_NONE) == S_OK);
    EXPECT(probe_query(services, query, 0, &objects) == E_ACCESSDENIED);
}

void probe_remote(void)
{
    HRESULT result;
    IWbemServices *services = probe_connect(L"\\\\hv7\\root\\virtualization\\v2", &result);
    EXPECT(services != NULL);
    EXPECT(probe_count(services, L"SELECT * FROM Msvm_ComputerSystem WHERE Name = 'hv7'") == 1);
    IWbemServices_Release(services);
    EXPECT(probe_connect(L"\\\\hv8\\root\\virtualization\\v2", &result) == NULL);
    EXPECT(result == HRESULT_FROM_WIN32(RPC_S_SERVER_UNAVAILABLE));
    EXPECT(probe_connect(L"\\\\hv9\\root\\virtualization\\v2", &result) == NULL);
    EXPECT(result == E_ACCESSDENIED);
    EXPECT(connect_as(L"\\\\hv9\\root\\virtualization\\v2", L"CORP\\operator", L"wrong", &result) ==
           NULL);
    EXPECT(result == E_ACCESSDENIED);
    services =
        connect_as(L"\\\\hv9\\root\\virtualization\\v2", L"CORP\\operator", L"secret", &result);
    EXPECT(services != NULL);
    if (services == NULL)
        return;
    check_identity(services);
    IWbemServices_Release(services);
}
