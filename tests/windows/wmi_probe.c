// SPDX-License-Identifier: Apache-2.0
//
// wmi_probe.exe GROUP: looks at the WMI of a lab with the VMs alpha, which runs, and beta.
#include "wmi_probe.h"

#include <string.h>
#include <wchar.h>

#include "check.h"

void probe_expect(bool holds, const char *text, const char *file, int line)
{
    check(holds, text, file, line);
}

IWbemServices *probe_connect(const WCHAR *resource, HRESULT *result)
{
    IWbemLocator *locator;
    IWbemServices *services = NULL;
    BSTR name = SysAllocString(resource);
    *result = CoCreateInstance(&CLSID_WbemLocator, NULL, CLSCTX_INPROC_SERVER, &IID_IWbemLocator,
                               (void **)&locator);
    if (SUCCEEDED(*result)) {
        *result =
            IWbemLocator_ConnectServer(locator, name, NULL, NULL, NULL, 0, NULL, NULL, &services);
        IWbemLocator_Release(locator);
    }
    SysFreeString(name);
    return services;
}

HRESULT probe_query(IWbemServices *services, const WCHAR *query, LONG flags,
                    IEnumWbemClassObject **out)
{
    BSTR language = SysAllocString(L"WQL"), text = SysAllocString(query);
    HRESULT result = IWbemServices_ExecQuery(services, language, text, flags, NULL, out);
    SysFreeString(language);
    SysFreeString(text);
    return result;
}

IWbemClassObject *probe_single(IWbemServices *services, const WCHAR *query)
{
    IEnumWbemClassObject *objects;
    IWbemClassObject *found[2] = {NULL, NULL};
    ULONG count = 0;
    if (FAILED(probe_query(services, query, WBEM_FLAG_RETURN_IMMEDIATELY, &objects)))
        return NULL;
    IEnumWbemClassObject_Next(objects, PATIENCE_MS, 2, found, &count);
    IEnumWbemClassObject_Release(objects);
    if (count == 1)
        return found[0];
    for (ULONG i = 0; i < count; i++)
        IWbemClassObject_Release(found[i]);
    return NULL;
}

int probe_count(IWbemServices *services, const WCHAR *query)
{
    IEnumWbemClassObject *objects;
    IWbemClassObject *object;
    ULONG got;
    int count = 0;
    HRESULT result = probe_query(services, query,
                                 WBEM_FLAG_RETURN_IMMEDIATELY | WBEM_FLAG_FORWARD_ONLY, &objects);
    if (FAILED(result))
        return -1;
    for (;;) {
        result = IEnumWbemClassObject_Next(objects, PATIENCE_MS, 1, &object, &got);
        if (result != S_OK)
            break;
        IWbemClassObject_Release(object);
        count++;
    }
    IEnumWbemClassObject_Release(objects);
    return result == HR(S_FALSE) ? count : -1;
}

const WCHAR *probe_text(IWbemClassObject *object, const WCHAR *name)
{
    static WCHAR text[4096];
    VARIANT value;
    text[0] = L'\0';
    if (FAILED(IWbemClassObject_Get(object, name, 0, &value, NULL, NULL)))
        return text;
    if (V_VT(&value) == VT_BSTR)
        wcsncpy(text, V_BSTR(&value), sizeof text / sizeof *text - 1);
    VariantClear(&value);
    return text;
}

LONG probe_number(IWbemClassObject *object, const WCHAR *name)
{
    VARIANT value;
    LONG number = -1;
    if (FAILED(IWbemClassObject_Get(object, name, 0, &value, NULL, NULL)))
        return -1;
    if (V_VT(&value) == VT_I4)
        number = V_I4(&value);
    VariantClear(&value);
    return number;
}

LONG probe_elements(IWbemClassObject *object, const WCHAR *name)
{
    VARIANT value;
    LONG low = 0, high = -1, count = -1;
    if (FAILED(IWbemClassObject_Get(object, name, 0, &value, NULL, NULL)))
        return -1;
    if ((V_VT(&value) & VT_ARRAY) != 0 && SUCCEEDED(SafeArrayGetLBound(V_ARRAY(&value), 1, &low)) &&
        SUCCEEDED(SafeArrayGetUBound(V_ARRAY(&value), 1, &high)))
        count = high - low + 1;
    VariantClear(&value);
    return count;
}

static const struct {
    const char *name;
    void (*run)(void);
} groups[] = {
    {"connect", probe_connecting},    {"systems", probe_systems},     {"items", probe_items},
    {"threads", probe_threads},       {"sinks", probe_sinks},         {"slow", probe_slow},
    {"references", probe_references}, {"denied", probe_denied},       {"absent", probe_absent},
    {"stopped", probe_stopped},       {"restarted", probe_restarted}, {"remote", probe_remote},
    {"hidden", probe_hidden},
};

int main(int argc, char **argv)
{
    bool found = false;
    EXPECT(SUCCEEDED(CoInitializeEx(NULL, COINIT_MULTITHREADED)));
    for (size_t i = 0; argc > 1 && i < sizeof groups / sizeof *groups; i++) {
        if (strcmp(argv[1], groups[i].name) != 0)
            continue;
        found = true;
        groups[i].run();
    }
    EXPECT(found);
    CoUninitialize();
    return checks_end();
}
