// SPDX-License-Identifier: Apache-2.0
//
// Items to a guest and back, by the steps that Microsoft's documentation of AddKvpItems shows.
#include <stdio.h>
#include <wchar.h>

#include "wmi_probe.h"

enum { STEPS_MAX = 6000, STEP_MS = 10 };

static IWbemServices *services;
static BSTR service_path, vm_path;

static IWbemClassObject *object_at(const WCHAR *path)
{
    BSTR text = SysAllocString(path);
    IWbemClassObject *object = NULL;
    EXPECT(IWbemServices_GetObject(services, text, 0, NULL, &object, NULL) == S_OK);
    SysFreeString(text);
    return object;
}

static bool put_text(IWbemClassObject *object, const WCHAR *name, const WCHAR *text)
{
    VARIANT value;
    V_VT(&value) = VT_BSTR;
    V_BSTR(&value) = SysAllocString(text);
    HRESULT result = IWbemClassObject_Put(object, name, 0, &value, 0);
    VariantClear(&value);
    return result == S_OK;
}

static bool put_number(IWbemClassObject *object, const WCHAR *name, LONG number)
{
    VARIANT value;
    V_VT(&value) = VT_I4;
    V_I4(&value) = number;
    return IWbemClassObject_Put(object, name, 0, &value, 0) == S_OK;
}

// The text of an item, made by the system.
static BSTR item_text(const WCHAR *key, const WCHAR *data, ULONG format)
{
    IWbemClassObject *class = object_at(L"Msvm_KvpExchangeDataItem"), *item = NULL;
    IWbemObjectTextSrc *source = NULL;
    BSTR text = NULL;
    EXPECT(IWbemClassObject_SpawnInstance(class, 0, &item) == S_OK);
    EXPECT(put_text(item, L"Name", key));
    EXPECT(put_text(item, L"Data", data));
    EXPECT(put_number(item, L"Source", 0));
    EXPECT(CoCreateInstance(&CLSID_WbemObjectTextSrc, NULL, CLSCTX_INPROC_SERVER,
                            &IID_IWbemObjectTextSrc, (void **)&source) == S_OK);
    EXPECT(IWbemObjectTextSrc_GetText(source, 0, item, format, NULL, &text) == S_OK);
    IWbemObjectTextSrc_Release(source);
    IWbemClassObject_Release(item);
    IWbemClassObject_Release(class);
    return text;
}

static IWbemClassObject *parameters(const WCHAR *method, const BSTR *items, LONG count)
{
    IWbemClassObject *class = object_at(L"Msvm_VirtualSystemManagementService");
    IWbemClassObject *signature = NULL, *in = NULL;
    VARIANT value;
    EXPECT(IWbemClassObject_GetMethod(class, method, 0, &signature, NULL) == S_OK);
    EXPECT(IWbemClassObject_SpawnInstance(signature, 0, &in) == S_OK);
    EXPECT(put_text(in, L"TargetSystem", vm_path));
    V_VT(&value) = VT_ARRAY | VT_BSTR;
    V_ARRAY(&value) = SafeArrayCreateVector(VT_BSTR, 0, (ULONG)count);
    for (LONG i = 0; i < count; i++)
        EXPECT(SafeArrayPutElement(V_ARRAY(&value), &i, items[i]) == S_OK);
    EXPECT(IWbemClassObject_Put(in, L"DataItems", 0, &value, 0) == S_OK);
    VariantClear(&value);
    IWbemClassObject_Release(signature);
    IWbemClassObject_Release(class);
    return in;
}

// The out parameters of a call, made in one of the two ways.
static IWbemClassObject *call(const WCHAR *method, IWbemClassObject *in, bool semi_synchronous)
{
    BSTR name = SysAllocString(method);
    IWbemClassObject *out = NULL;
    IWbemCallResult *result = NULL;
    LONG status = -1;
    if (!semi_synchronous) {
        EXPECT(IWbemServices_ExecMethod(services, service_path, name, 0, NULL, in, &out, NULL) ==
               S_OK);
    } else {
        EXPECT(IWbemServices_ExecMethod(services, service_path, name, WBEM_FLAG_RETURN_IMMEDIATELY,
                                        NULL, in, NULL, &result) == S_OK);
        EXPECT(IWbemCallResult_GetCallStatus(result, PATIENCE_MS, &status) == S_OK);
        EXPECT(status == S_OK);
        EXPECT(IWbemCallResult_GetResultObject(result, PATIENCE_MS, &out) == S_OK);
        IWbemCallResult_Release(result);
    }
    SysFreeString(name);
    return out;
}

// Follows the job of out parameters, which it frees, to its end. Returns its ErrorCode.
static LONG follow(IWbemClassObject *out)
{
    LONG state = 0, error = -1;
    bool whole = true, explained = true;
    EXPECT(probe_number(out, L"ReturnValue") == 4096);
    BSTR path = SysAllocString(probe_text(out, L"Job"));
    IWbemClassObject_Release(out);
    for (int i = 0; i < STEPS_MAX && state < 7; i++) {
        IWbemClassObject *job = object_at(path);
        if (job == NULL)
            break;
        state = probe_number(job, L"JobState");
        error = probe_number(job, L"ErrorCode");
        whole = state < 7 || probe_number(job, L"PercentComplete") == 100;
        explained = error == 0 || probe_text(job, L"ErrorDescription")[0] != L'\0';
        IWbemClassObject_Release(job);
        Sleep(state < 7 ? STEP_MS : 0);
    }
    SysFreeString(path);
    EXPECT(whole);
    EXPECT(explained);
    EXPECT(state == (error == 0 ? 7 : 10));
    return error;
}

static LONG change(const WCHAR *method, const WCHAR *key, const WCHAR *data, bool semi_synchronous)
{
    BSTR text = item_text(key, data, WMI_OBJ_TEXT_CIM_DTD_2_0);
    IWbemClassObject *in = parameters(method, &text, 1);
    LONG error = follow(call(method, in, semi_synchronous));
    IWbemClassObject_Release(in);
    SysFreeString(text);
    return error;
}

// Whether an element of an array of texts has the part.
static bool has_element(IWbemClassObject *object, const WCHAR *name, const WCHAR *part)
{
    VARIANT value;
    bool found = false;
    LONG high = -1;
    if (FAILED(IWbemClassObject_Get(object, name, 0, &value, NULL, NULL)))
        return false;
    if (V_VT(&value) == (VT_ARRAY | VT_BSTR))
        SafeArrayGetUBound(V_ARRAY(&value), 1, &high);
    for (LONG i = 0; i <= high; i++) {
        BSTR text;
        if (FAILED(SafeArrayGetElement(V_ARRAY(&value), &i, &text)))
            continue;
        found = found || wcsstr(text, part) != NULL;
        SysFreeString(text);
    }
    VariantClear(&value);
    return found;
}

// The object that a query of this form gives for another's path.
static IWbemClassObject *associated(const WCHAR *path, const WCHAR *result_class)
{
    WCHAR query[1024];
    _snwprintf(query, 1024, L"ASSOCIATORS OF {%ls} WHERE ResultClass=%ls", path, result_class);
    IWbemClassObject *object = probe_single(services, query);
    EXPECT(object != NULL);
    return object;
}

// From the VM to what the guest offers and what the host has set, as the article goes.
static void check_reading(void)
{
    IWbemClassObject *component = associated(vm_path, L"Msvm_KvpExchangeComponent");
    if (component == NULL)
        return;
    EXPECT(has_element(component, L"GuestExchangeItems", L"<VALUE>of the guest</VALUE>"));
    EXPECT(has_element(component, L"GuestIntrinsicExchangeItems", L"FullyQualifiedDomainName"));
    BSTR path = SysAllocString(probe_text(component, L"__PATH"));
    IWbemClassObject *settings = associated(path, L"Msvm_KvpExchangeComponentSettingData");
    SysFreeString(path);
    IWbemClassObject_Release(component);
    if (settings == NULL)
        return;
    EXPECT(probe_elements(settings, L"HostExchangeItems") == 1);
    EXPECT(has_element(settings, L"HostExchangeItems", L"<VALUE>a &lt;b&gt; &amp; c</VALUE>"));
    IWbemClassObject_Release(settings);
}

static void check_types(void)
{
    IWbemClassObject *class = object_at(L"Msvm_KvpExchangeDataItem"), *item = NULL;
    VARIANT value;
    EXPECT(IWbemClassObject_SpawnInstance(class, 0, &item) == S_OK);
    V_VT(&value) = VT_I4;
    V_I4(&value) = 5;
    EXPECT(IWbemClassObject_Put(item, L"Name", 0, &value, 0) == HR(E_TYPE_MISMATCH));
    V_I4(&value) = 70000;
    EXPECT(IWbemClassObject_Put(item, L"Source", 0, &value, 0) == HR(E_VALUE_OUT_OF_RANGE));
    V_VT(&value) = VT_DISPATCH;
    V_DISPATCH(&value) = NULL;
    EXPECT(IWbemClassObject_Put(item, L"Source", 0, &value, 0) == HR(E_TYPE_MISMATCH));
    V_VT(&value) = VT_NULL;
    EXPECT(IWbemClassObject_Put(item, L"Source", 0, &value, 0) == S_OK);
    EXPECT(IWbemClassObject_Put(item, L"Nothing", 0, &value, 0) == HR(E_NOT_FOUND));
    EXPECT(IWbemClassObject_Put(item, L"__CLASS", 0, &value, 0) == HR(E_READ_ONLY));
    EXPECT(IWbemClassObject_SpawnInstance(item, 0, &item) == HR(E_INVALID_OPERATION));
    IWbemClassObject_Release(class);
}

static void check_refusals(void)
{
    BSTR text = SysAllocString(L"no XML"), name = SysAllocString(L"Nothing");
    IWbemClassObject *in = parameters(L"AddKvpItems", &text, 1),
                     *out = call(L"AddKvpItems", in, true);
    EXPECT(out != NULL && probe_number(out, L"ReturnValue") == 32773);
    EXPECT(out != NULL && probe_text(out, L"Job")[0] == L'\0');
    IWbemClassObject_Release(out);
    EXPECT(IWbemServices_ExecMethod(services, service_path, name, 0, NULL, in, &out, NULL) ==
           HR(E_INVALID_METHOD));
    EXPECT(IWbemServices_ExecMethod(services, vm_path, name, 0, NULL, in, &out, NULL) ==
           HR(E_INVALID_METHOD));
    EXPECT(IWbemServices_ExecMethod(services, name, name, 0, NULL, in, &out, NULL) ==
           HR(E_NOT_FOUND));
    IWbemClassObject_Release(in);
    SysFreeString(text);
    SysFreeString(name);
}

// 128 items in one call, the documented limit, and one more.
static void check_many(void)
{
    BSTR texts[129];
    for (LONG i = 0; i < 129; i++) {
        WCHAR key[32];
        _snwprintf(key, 32, L"many.%ld", i);
        texts[i] = item_text(key, L"x", WMI_OBJ_TEXT_WMI_DTD_2_0);
    }
    IWbemClassObject *in = parameters(L"AddKvpItems", texts, 129);
    IWbemClassObject *out = call(L"AddKvpItems", in, false);
    EXPECT(out != NULL && probe_number(out, L"ReturnValue") == 32773);
    IWbemClassObject_Release(out);
    IWbemClassObject_Release(in);
    in = parameters(L"AddKvpItems", texts, 128);
    EXPECT(follow(call(L"AddKvpItems", in, false)) == 0);
    IWbemClassObject_Release(in);
    in = parameters(L"RemoveKvpItems", texts, 128);
    EXPECT(follow(call(L"RemoveKvpItems", in, true)) == 0);
    IWbemClassObject_Release(in);
    for (LONG i = 0; i < 129; i++)
        SysFreeString(texts[i]);
}

static BSTR path_of(const WCHAR *query)
{
    IWbemClassObject *object = probe_single(services, query);
    EXPECT(object != NULL);
    if (object == NULL)
        return NULL;
    BSTR path = SysAllocString(probe_text(object, L"__PATH"));
    IWbemClassObject_Release(object);
    return path;
}

void probe_items(void)
{
    HRESULT result;
    services = probe_connect(V2, &result);
    EXPECT(services != NULL);
    if (services == NULL)
        return;
    service_path = path_of(L"SELECT * FROM Msvm_VirtualSystemManagementService");
    vm_path = path_of(L"SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'alpha'");
    if (service_path != NULL && vm_path != NULL) {
        check_types();
        EXPECT(change(L"AddKvpItems", L"probe.1", L"first", false) == 0);
        EXPECT(change(L"AddKvpItems", L"probe.1", L"again", true) == 32773);
        EXPECT(change(L"ModifyKvpItems", L"probe.1", L"a <b> & c", true) == 0);
        check_reading();
        check_refusals();
        check_many();
        EXPECT(change(L"RemoveKvpItems", L"probe.1", L"", false) == 0);
        EXPECT(change(L"AddKvpItems", L"probe.2", L"of the host", true) == 0);
    }
    SysFreeString(service_path);
    SysFreeString(vm_path);
    IWbemServices_Release(services);
}
