// SPDX-License-Identifier: Apache-2.0
//
// The qualifiers that clients look at: key, CIMTYPE and HyperVEmbeddedInstance of properties,
// dynamic, provider and Association of classes.
#include <stdlib.h>
#include <wchar.h>

#include "provider.h"

enum { QUALIFIERS_MAX = 4, NOT_BEGUN = -1 };

struct qualifier {
    const WCHAR *name;
    const char *text; // NULL: true
};

struct set {
    IWbemQualifierSet face;
    LONG references;
    struct qualifier qualifiers[QUALIFIERS_MAX];
    int count;
    LONG position;
};

static struct set *self(IWbemQualifierSet *face)
{
    return CONTAINING_RECORD(face, struct set, face);
}

static HRESULT WINAPI query_interface(IWbemQualifierSet *face, REFIID iid, void **out)
{
    if (out == NULL)
        return E_POINTER;
    *out = NULL;
    if (IsEqualIID(iid, &IID_IMarshal))
        return kvpbus_provider_marshal(out);
    if (!IsEqualIID(iid, &IID_IUnknown) && !IsEqualIID(iid, &IID_IWbemQualifierSet))
        return E_NOINTERFACE;
    *out = face;
    IWbemQualifierSet_AddRef(face);
    return S_OK;
}

static ULONG WINAPI add_ref(IWbemQualifierSet *face)
{
    return (ULONG)InterlockedIncrement(&self(face)->references);
}

static ULONG WINAPI release(IWbemQualifierSet *face)
{
    struct set *set = self(face);
    LONG left = InterlockedDecrement(&set->references);
    if (left == 0) {
        free(set);
        kvpbus_provider_gone();
    }
    return (ULONG)left;
}

static HRESULT value_of(const struct qualifier *qualifier, VARIANT *value, LONG *flavor)
{
    if (flavor != NULL)
        *flavor = WBEM_FLAVOR_FLAG_PROPAGATE_TO_INSTANCE;
    if (value == NULL)
        return S_OK;
    VariantInit(value);
    if (qualifier->text == NULL) {
        V_VT(value) = VT_BOOL;
        V_BOOL(value) = VARIANT_TRUE;
        return S_OK;
    }
    V_BSTR(value) = kvpbus_provider_bstr(qualifier->text);
    if (V_BSTR(value) == NULL)
        return HR(E_OUT_OF_MEMORY);
    V_VT(value) = VT_BSTR;
    return S_OK;
}

static HRESULT WINAPI get(IWbemQualifierSet *face, LPCWSTR name, LONG flags, VARIANT *value,
                          LONG *flavor)
{
    const struct set *set = self(face);
    if (name == NULL || flags != 0)
        return HR(E_INVALID_PARAMETER);
    for (int i = 0; i < set->count; i++)
        if (_wcsicmp(set->qualifiers[i].name, name) == 0)
            return value_of(&set->qualifiers[i], value, flavor);
    return HR(E_NOT_FOUND);
}

static HRESULT WINAPI put(IWbemQualifierSet *face, LPCWSTR name, VARIANT *value, LONG flavor)
{
    (void)face;
    (void)name;
    (void)value;
    (void)flavor;
    return HR(E_NOT_SUPPORTED);
}

static HRESULT WINAPI delete_qualifier(IWbemQualifierSet *face, LPCWSTR name)
{
    (void)face;
    (void)name;
    return HR(E_NOT_SUPPORTED);
}

static HRESULT WINAPI get_names(IWbemQualifierSet *face, LONG flags, SAFEARRAY **names)
{
    const struct set *set = self(face);
    (void)flags;
    if (names == NULL)
        return HR(E_INVALID_PARAMETER);
    SAFEARRAY *array = SafeArrayCreateVector(VT_BSTR, 0, (ULONG)set->count);
    HRESULT result = array != NULL ? S_OK : HR(E_OUT_OF_MEMORY);
    for (LONG i = 0; SUCCEEDED(result) && i < set->count; i++) {
        BSTR name = SysAllocString(set->qualifiers[i].name);
        result = name != NULL ? SafeArrayPutElement(array, &i, name) : HR(E_OUT_OF_MEMORY);
        SysFreeString(name);
    }
    if (FAILED(result) && array != NULL) {
        SafeArrayDestroy(array);
        array = NULL;
    }
    *names = array;
    return result;
}

static HRESULT WINAPI begin(IWbemQualifierSet *face, LONG flags)
{
    (void)flags;
    InterlockedExchange(&self(face)->position, 0);
    return S_OK;
}

static HRESULT WINAPI next(IWbemQualifierSet *face, LONG flags, BSTR *name, VARIANT *value,
                           LONG *flavor)
{
    struct set *set = self(face);
    (void)flags;
    if (set->position == NOT_BEGUN)
        return HR(E_UNEXPECTED);
    LONG position = InterlockedIncrement(&set->position) - 1;
    if (position >= set->count) {
        InterlockedExchange(&set->position, set->count);
        return HR(S_NO_MORE_DATA);
    }
    HRESULT result = value_of(&set->qualifiers[position], value, flavor);
    if (SUCCEEDED(result) && name != NULL &&
        (*name = SysAllocString(set->qualifiers[position].name)) == NULL) {
        result = HR(E_OUT_OF_MEMORY);
        if (value != NULL)
            VariantClear(value);
    }
    return result;
}

static HRESULT WINAPI end(IWbemQualifierSet *face)
{
    InterlockedExchange(&self(face)->position, NOT_BEGUN);
    return S_OK;
}

static IWbemQualifierSetVtbl table = {query_interface,  add_ref,   release, get,  put,
                                      delete_qualifier, get_names, begin,   next, end};

static void add(struct set *set, bool has, const WCHAR *name, const char *text)
{
    if (!has)
        return;
    set->qualifiers[set->count].name = name;
    set->qualifiers[set->count++].text = text;
}

HRESULT kvpbus_provider_qualifiers(const struct kvpbus_cim_class *class, int index,
                                   IWbemQualifierSet **out)
{
    struct set *set = calloc(1, sizeof *set);
    if (set == NULL)
        return HR(E_OUT_OF_MEMORY);
    kvpbus_provider_made();
    set->face.lpVtbl = &table;
    set->references = 1;
    set->position = NOT_BEGUN;
    if (index < 0) {
        bool dynamic = !class->embedded;
        add(set, dynamic, L"dynamic", NULL);
        add(set, dynamic, L"provider", "VmmsWmiInstanceAndMethodProvider");
        add(set, class->association, L"Association", NULL);
    } else {
        const struct kvpbus_cim_property *property = &class->properties[index];
        add(set, true, L"CIMTYPE", kvpbus_cim_type_text(property->type));
        add(set, property->key, L"key", NULL);
        add(set, property->embedded, L"HyperVEmbeddedInstance", "Msvm_KvpExchangeDataItem");
    }
    *out = &set->face;
    return S_OK;
}
