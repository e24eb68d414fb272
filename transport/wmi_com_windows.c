// SPDX-License-Identifier: Apache-2.0
#include "wmi_com_windows.h"

#include <stdlib.h>
#include <string.h>

#include "kvp_item_text.h"

static volatile LONG held;

void kvpbus_com_took(const void *object)
{
    if (object != NULL)
        InterlockedIncrement(&held);
}

void kvpbus_com_release(void *pointer)
{
    IUnknown **object = pointer;
    if (*object == NULL)
        return;
    IUnknown_Release(*object);
    InterlockedDecrement(&held);
    *object = NULL;
}

long kvpbus_com_held(void)
{
    return InterlockedCompareExchange(&held, 0, 0);
}

// --- strings ---

BSTR kvpbus_bstr(const char *utf8)
{
    size_t bytes = strlen(utf8);
    if (bytes > INT_MAX)
        return NULL;
    int units = MultiByteToWideChar(CP_UTF8, 0, utf8, (int)bytes, NULL, 0);
    BSTR string = SysAllocStringLen(NULL, (UINT)units);
    if (string == NULL)
        return NULL;
    MultiByteToWideChar(CP_UTF8, 0, utf8, (int)bytes, string, units);
    InterlockedIncrement(&held);
    return string;
}

void kvpbus_bstr_free(BSTR *string)
{
    if (*string == NULL)
        return;
    SysFreeString(*string);
    InterlockedDecrement(&held);
    *string = NULL;
}

// Cut to whole units of UTF-16, of which each takes a byte at least.
static void to_text(const wchar_t *wide, size_t units, char *text, size_t size)
{
    int length = (int)(units < size ? units : size - 1), bytes = 0;
    while (length > 0 && bytes == 0) {
        bytes = WideCharToMultiByte(CP_UTF8, 0, wide, length, text, (int)size - 1, NULL, NULL);
        length--;
    }
    text[bytes] = '\0';
}

// --- reading properties ---

static HRESULT get(IWbemClassObject *object, const wchar_t *name, VARIANT *value)
{
    VariantInit(value);
    HRESULT result = IWbemClassObject_Get(object, name, 0, value, NULL, NULL);
    // A property that the class of an older Windows lacks is as good as null.
    return result == KVPBUS_WBEM(E_NOT_FOUND) ? S_OK : result;
}

HRESULT kvpbus_com_text(IWbemClassObject *object, const wchar_t *name, char *text, size_t size,
                        bool *set)
{
    VARIANT value;
    text[0] = '\0';
    HRESULT result = get(object, name, &value);
    *set = SUCCEEDED(result) && V_VT(&value) == VT_BSTR && V_BSTR(&value) != NULL;
    if (*set)
        to_text(V_BSTR(&value), SysStringLen(V_BSTR(&value)), text, size);
    VariantClear(&value);
    return result;
}

// WMI gives every unsigned number up to 32 bits as VT_I4; others may be more exact.
static bool take_number(VARTYPE type, const void *data, uint32_t *number)
{
    switch (type) {
    case VT_I4:
    case VT_UI4:
    case VT_INT:
    case VT_UINT:
        *number = *(const uint32_t *)data;
        return true;
    case VT_I2:
    case VT_UI2:
        *number = *(const uint16_t *)data;
        return true;
    case VT_UI1:
        *number = *(const uint8_t *)data;
        return true;
    default:
        return false;
    }
}

HRESULT kvpbus_com_number(IWbemClassObject *object, const wchar_t *name, uint32_t *number,
                          bool *set)
{
    VARIANT value;
    *number = 0;
    HRESULT result = get(object, name, &value);
    *set = SUCCEEDED(result) && take_number(V_VT(&value), &V_I4(&value), number);
    VariantClear(&value);
    return result;
}

// The elements of a vector, which stays locked until SafeArrayUnaccessData; NULL when it is none.
static SAFEARRAY *open_vector(const VARIANT *value, void **elements, size_t *count)
{
    SAFEARRAY *array = V_VT(value) & VT_ARRAY ? V_ARRAY(value) : NULL;
    LONG lower, upper;
    *count = 0;
    if (array == NULL || SafeArrayGetDim(array) != 1 ||
        FAILED(SafeArrayGetLBound(array, 1, &lower)) ||
        FAILED(SafeArrayGetUBound(array, 1, &upper)) ||
        FAILED(SafeArrayAccessData(array, elements)))
        return NULL;
    if (upper >= lower)
        *count = (size_t)(upper - lower) + 1;
    return array;
}

HRESULT kvpbus_com_first_number(IWbemClassObject *object, const wchar_t *name, uint32_t *number,
                                bool *set)
{
    VARIANT value;
    void *elements;
    size_t count;
    *set = false;
    *number = 0;
    HRESULT result = get(object, name, &value);
    SAFEARRAY *array = SUCCEEDED(result) ? open_vector(&value, &elements, &count) : NULL;
    if (array != NULL) {
        if (count > 0)
            *set = take_number(V_VT(&value) & VT_TYPEMASK, elements, number);
        SafeArrayUnaccessData(array);
    }
    VariantClear(&value);
    return result;
}

static HRESULT scan_strings(BSTR const *strings, size_t count, const char *prefix,
                            struct kvpbus_scan *scan)
{
    enum kvpbus_error error = KVPBUS_OK;
    char *text = malloc(KVPBUS_ITEM_TEXT_MAX);
    if (text == NULL)
        return E_OUTOFMEMORY;
    for (size_t i = 0; i < count && i < KVPBUS_WMI_ITEMS_MAX && error == KVPBUS_OK; i++) {
        UINT units = SysStringLen(strings[i]);
        int bytes = units <= KVPBUS_ITEM_TEXT_MAX
                        ? WideCharToMultiByte(CP_UTF8, 0, strings[i], (int)units, text,
                                              KVPBUS_ITEM_TEXT_MAX, NULL, NULL)
                        : 0;
        // What has no room is too long to be read, which the parser shall say.
        size_t length = bytes > 0 || units == 0 ? (size_t)bytes : KVPBUS_ITEM_TEXT_MAX + 1;
        error = kvpbus_item_text_scan(scan, prefix, text, length);
    }
    if (count > KVPBUS_WMI_ITEMS_MAX)
        scan->foreign += count - KVPBUS_WMI_ITEMS_MAX;
    free(text);
    return error == KVPBUS_OK ? S_OK : E_OUTOFMEMORY;
}

HRESULT kvpbus_com_items(IWbemClassObject *object, const wchar_t *name, const char *prefix,
                         struct kvpbus_scan *scan, long *count)
{
    VARIANT value;
    void *elements;
    size_t found;
    HRESULT result = get(object, name, &value);
    SAFEARRAY *array = SUCCEEDED(result) && V_VT(&value) == (VT_ARRAY | VT_BSTR)
                           ? open_vector(&value, &elements, &found)
                           : NULL;
    *count = array != NULL ? (long)found : -1;
    if (array != NULL) {
        result = scan_strings(elements, found, prefix, scan);
        SafeArrayUnaccessData(array);
    }
    VariantClear(&value);
    return result;
}

// --- writing properties ---

HRESULT kvpbus_com_put_text(IWbemClassObject *object, const wchar_t *name, const char *utf8)
{
    VARIANT value;
    BSTR string = kvpbus_bstr(utf8);
    if (string == NULL)
        return E_OUTOFMEMORY;
    VariantInit(&value);
    V_VT(&value) = VT_BSTR;
    V_BSTR(&value) = string;
    HRESULT result = IWbemClassObject_Put(object, name, 0, &value, 0);
    kvpbus_bstr_free(&string);
    return result;
}

HRESULT kvpbus_com_put_number(IWbemClassObject *object, const wchar_t *name, int32_t number)
{
    VARIANT value;
    VariantInit(&value);
    V_VT(&value) = VT_I4;
    V_I4(&value) = number;
    return IWbemClassObject_Put(object, name, 0, &value, 0);
}

HRESULT kvpbus_com_put_array(IWbemClassObject *object, const wchar_t *name, BSTR *strings,
                             size_t count)
{
    void *elements;
    SAFEARRAY *array = SafeArrayCreateVector(VT_BSTR, 0, (ULONG)count);
    HRESULT result = array != NULL ? SafeArrayAccessData(array, &elements) : E_OUTOFMEMORY;
    if (SUCCEEDED(result)) {
        // Copies, so that what is counted is freed where it was made.
        for (size_t i = 0; i < count && SUCCEEDED(result); i++) {
            BSTR copy = SysAllocStringLen(strings[i], SysStringLen(strings[i]));
            ((BSTR *)elements)[i] = copy;
            result = copy != NULL ? S_OK : E_OUTOFMEMORY;
        }
        SafeArrayUnaccessData(array);
    }
    if (SUCCEEDED(result)) {
        VARIANT value;
        VariantInit(&value);
        V_VT(&value) = VT_ARRAY | VT_BSTR;
        V_ARRAY(&value) = array;
        result = IWbemClassObject_Put(object, name, 0, &value, 0);
    }
    if (array != NULL)
        SafeArrayDestroy(array);
    for (size_t i = 0; i < count; i++)
        kvpbus_bstr_free(&strings[i]);
    return result;
}
