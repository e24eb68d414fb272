// SPDX-License-Identifier: Apache-2.0
//
// Connecting, and the computer systems.
#include <wchar.h>

#include "wmi_probe.h"

static void connects(const WCHAR *resource)
{
    HRESULT result;
    IWbemServices *services = probe_connect(resource, &result);
    EXPECT(services != NULL);
    EXPECT(result == S_OK);
    if (services == NULL)
        return;
    EXPECT(probe_count(services, L"SELECT * FROM Msvm_ComputerSystem") == 3);
    IWbemServices_Release(services);
}

static HRESULT refusal(const WCHAR *resource)
{
    HRESULT result;
    IWbemServices *services = probe_connect(resource, &result);
    if (services != NULL)
        IWbemServices_Release(services);
    return result;
}

static HRESULT with_user(void)
{
    IWbemLocator *locator;
    IWbemServices *services = NULL;
    BSTR name = SysAllocString(V2), user = SysAllocString(L"somebody");
    HRESULT result = CoCreateInstance(&CLSID_WbemLocator, NULL, CLSCTX_INPROC_SERVER,
                                      &IID_IWbemLocator, (void **)&locator);
    if (SUCCEEDED(result)) {
        result =
            IWbemLocator_ConnectServer(locator, name, user, user, NULL, 0, NULL, NULL, &services);
        IWbemLocator_Release(locator);
    }
    SysFreeString(name);
    SysFreeString(user);
    return result;
}

void probe_connecting(void)
{
    WCHAR own[64], name[MAX_COMPUTERNAME_LENGTH + 1];
    DWORD length = MAX_COMPUTERNAME_LENGTH + 1;
    EXPECT(GetComputerNameW(name, &length));
    _snwprintf(own, 64, L"\\\\%ls\\root\\virtualization\\v2", name);
    connects(V2);
    connects(L"ROOT\\Virtualization\\V2");
    connects(L"root/virtualization/v2");
    connects(L"\\\\.\\root\\virtualization\\v2");
    connects(L"//./root/virtualization/v2");
    connects(L"\\\\localhost\\root\\virtualization\\v2");
    connects(own);
    connects(L"root\\virtualization");
    // The system's own namespaces are there as before.
    HRESULT result;
    IWbemServices *services = probe_connect(L"root\\cimv2", &result);
    EXPECT(services != NULL);
    if (services != NULL) {
        EXPECT(probe_count(services, L"SELECT * FROM Win32_OperatingSystem") == 1);
        IWbemServices_Release(services);
    }
    EXPECT(refusal(L"root\\nothing") == HR(E_INVALID_NAMESPACE));
    EXPECT(refusal(L"\\\\elsewhere\\root\\virtualization\\v2") ==
           HRESULT_FROM_WIN32(RPC_S_SERVER_UNAVAILABLE));
    EXPECT(with_user() == HR(E_LOCAL_CREDENTIALS));
}

static void check_virtual(IWbemServices *services)
{
    IWbemClassObject *vm =
        probe_single(services, L"SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'alpha'");
    EXPECT(vm != NULL);
    if (vm == NULL)
        return;
    EXPECT(wcslen(probe_text(vm, L"Name")) == 36);
    EXPECT(wcscmp(probe_text(vm, L"Caption"), L"Virtual Machine") == 0);
    EXPECT(wcscmp(probe_text(vm, L"elementname"), L"alpha") == 0);
    EXPECT(probe_number(vm, L"EnabledState") == 2);
    EXPECT(probe_number(vm, L"HealthState") == 5);
    EXPECT(probe_elements(vm, L"OperationalStatus") == 1);
    EXPECT(probe_elements(vm, L"Roles") == -1);
    EXPECT(probe_number(vm, L"__GENUS") == 2);
    EXPECT(wcscmp(probe_text(vm, L"__CLASS"), L"Msvm_ComputerSystem") == 0);
    EXPECT(wcscmp(probe_text(vm, L"__SUPERCLASS"), L"CIM_ComputerSystem") == 0);
    EXPECT(wcscmp(probe_text(vm, L"__NAMESPACE"), V2) == 0);
    EXPECT(wcsstr(probe_text(vm, L"__PATH"), L":Msvm_ComputerSystem.CreationClassName=\"") != NULL);
    EXPECT(IWbemClassObject_Get(vm, L"Nothing", 0, NULL, NULL, NULL) == HR(E_NOT_FOUND));
    BSTR path = SysAllocString(probe_text(vm, L"__PATH"));
    IWbemClassObject *again = NULL;
    EXPECT(IWbemServices_GetObject(services, path, 0, NULL, &again, NULL) == S_OK);
    if (again != NULL) {
        EXPECT(IWbemClassObject_CompareTo(vm, 0, again) == HR(S_SAME));
        IWbemClassObject_Release(again);
    }
    SysFreeString(path);
    IWbemClassObject_Release(vm);
}

static void check_selection(IWbemServices *services)
{
    IWbemClassObject *vm = probe_single(
        services, L"SELECT Name, EnabledState FROM Msvm_ComputerSystem WHERE ElementName='beta'");
    EXPECT(vm != NULL);
    if (vm == NULL)
        return;
    EXPECT(wcslen(probe_text(vm, L"Name")) == 36);
    EXPECT(IWbemClassObject_Get(vm, L"ElementName", 0, NULL, NULL, NULL) == HR(E_NOT_FOUND));
    EXPECT(probe_number(vm, L"__PROPERTY_COUNT") == 2);
    EXPECT(probe_text(vm, L"__PATH")[0] == L'\0');
    IWbemClassObject_Release(vm);
}

static HRESULT query_error(IWbemServices *services, const WCHAR *query)
{
    IEnumWbemClassObject *objects = NULL;
    IWbemClassObject *object = NULL;
    ULONG count = 0;
    // Now, when it is asked for synchronously; with the first object otherwise.
    HRESULT result = probe_query(services, query, 0, &objects);
    EXPECT(FAILED(result));
    EXPECT(objects == NULL);
    EXPECT(probe_query(services, query, WBEM_FLAG_RETURN_IMMEDIATELY, &objects) == S_OK);
    if (objects != NULL) {
        EXPECT(IEnumWbemClassObject_Next(objects, PATIENCE_MS, 1, &object, &count) == result);
        EXPECT(count == 0);
        IEnumWbemClassObject_Release(objects);
    }
    return result;
}

static void check_enumerator(IWbemServices *services)
{
    IEnumWbemClassObject *objects, *copy;
    IWbemClassObject *found[4];
    IClientSecurity *security;
    ULONG count = 0;
    const WCHAR query[] = L"SELECT * FROM Msvm_ComputerSystem";
    EXPECT(probe_query(services, query, 0, &objects) == S_OK);
    EXPECT(IEnumWbemClassObject_Skip(objects, PATIENCE_MS, 1) == S_OK);
    EXPECT(IEnumWbemClassObject_Clone(objects, &copy) == S_OK);
    EXPECT(IEnumWbemClassObject_Next(objects, PATIENCE_MS, 4, found, &count) == HR(S_FALSE));
    EXPECT(count == 2);
    for (ULONG i = 0; i < count; i++)
        IWbemClassObject_Release(found[i]);
    EXPECT(IEnumWbemClassObject_Next(copy, PATIENCE_MS, 1, found, &count) == S_OK);
    IWbemClassObject_Release(found[0]);
    EXPECT(IEnumWbemClassObject_Reset(copy) == S_OK);
    EXPECT(IEnumWbemClassObject_Skip(copy, PATIENCE_MS, 9) == HR(S_FALSE));
    EXPECT(IEnumWbemClassObject_QueryInterface(copy, &IID_IClientSecurity, (void **)&security) ==
           S_OK);
    IClientSecurity_Release(security);
    IEnumWbemClassObject_Release(copy);
    IEnumWbemClassObject_Release(objects);
    EXPECT(probe_query(services, query, WBEM_FLAG_FORWARD_ONLY, &objects) == S_OK);
    EXPECT(IEnumWbemClassObject_Reset(objects) == HR(E_INVALID_OPERATION));
    EXPECT(IEnumWbemClassObject_Clone(objects, &copy) == HR(E_INVALID_OPERATION));
    IEnumWbemClassObject_Release(objects);
}

static void check_walk(IWbemServices *services)
{
    IWbemClassObject *host = probe_single(
        services, L"SELECT * FROM CIM_ComputerSystem WHERE Caption = 'Hosting Computer System'");
    SAFEARRAY *names = NULL;
    BSTR name;
    CIMTYPE type;
    LONG properties = 0, high = 0;
    EXPECT(host != NULL);
    if (host == NULL)
        return;
    EXPECT(IWbemClassObject_BeginEnumeration(host, WBEM_FLAG_NONSYSTEM_ONLY) == S_OK);
    while (IWbemClassObject_Next(host, 0, &name, NULL, &type, NULL) == S_OK) {
        properties++;
        EXPECT(type == CIM_STRING || type == CIM_UINT16 || type == CIM_UINT32 ||
               type == CIM_UINT64 || type == CIM_DATETIME || (type & CIM_FLAG_ARRAY) != 0);
        SysFreeString(name);
    }
    EXPECT(IWbemClassObject_EndEnumeration(host) == S_OK);
    EXPECT(properties == probe_number(host, L"__PROPERTY_COUNT"));
    EXPECT(IWbemClassObject_GetNames(host, NULL, WBEM_FLAG_ALWAYS | WBEM_FLAG_KEYS_ONLY, NULL,
                                     &names) == S_OK);
    if (names != NULL) {
        EXPECT(SafeArrayGetUBound(names, 1, &high) == S_OK && high == 1);
        SafeArrayDestroy(names);
    }
    IWbemClassObject_Release(host);
}

void probe_systems(void)
{
    HRESULT result;
    IWbemServices *services = probe_connect(V2, &result);
    EXPECT(services != NULL);
    if (services == NULL)
        return;
    EXPECT(CoSetProxyBlanket((IUnknown *)services, RPC_C_AUTHN_WINNT, RPC_C_AUTHZ_NONE, NULL,
                             RPC_C_AUTHN_LEVEL_CALL, RPC_C_IMP_LEVEL_IMPERSONATE, NULL,
                             EOAC_NONE) == S_OK);
    check_virtual(services);
    check_selection(services);
    check_enumerator(services);
    check_walk(services);
    EXPECT(probe_count(services, L"SELECT * FROM Msvm_ComputerSystem WHERE EnabledState = 2") == 3);
    EXPECT(probe_count(services, L"SELECT * FROM Msvm_ComputerSystem WHERE ElementName='gamma'") ==
           0);
    EXPECT(query_error(services, L"SELECT * FROM") == HR(E_INVALID_QUERY));
    EXPECT(query_error(services, L"SELECT Nothing FROM Msvm_ComputerSystem") ==
           HR(E_INVALID_QUERY));
    EXPECT(query_error(services, L"SELECT * FROM Msvm_Nothing") == HR(E_INVALID_CLASS));
    IWbemServices_Release(services);
}
