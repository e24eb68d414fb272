// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider.h"

HRESULT kvpbus_provider_hresult(enum kvpbus_cim_status status)
{
    switch (status) {
    case KVPBUS_CIM_OK:
        return S_OK;
    case KVPBUS_CIM_NOMEM:
        return HR(E_OUT_OF_MEMORY);
    case KVPBUS_CIM_INVALID_QUERY:
        return HR(E_INVALID_QUERY);
    case KVPBUS_CIM_INVALID_CLASS:
        return HR(E_INVALID_CLASS);
    case KVPBUS_CIM_INVALID_PATH:
        return HR(E_INVALID_OBJECT_PATH);
    case KVPBUS_CIM_INVALID_METHOD:
        return HR(E_INVALID_METHOD);
    case KVPBUS_CIM_INVALID_PARAMETERS:
        return HR(E_INVALID_METHOD_PARAMETERS);
    case KVPBUS_CIM_INVALID_NAMESPACE:
        return HR(E_INVALID_NAMESPACE);
    case KVPBUS_CIM_NOT_FOUND:
        return HR(E_NOT_FOUND);
    case KVPBUS_CIM_ACCESS_DENIED:
        return HR(E_ACCESS_DENIED);
    case KVPBUS_CIM_DISCONNECTED:
        return RPC_E_DISCONNECTED;
    case KVPBUS_CIM_UNREACHABLE:
        return HRESULT_FROM_WIN32(RPC_S_SERVER_UNAVAILABLE);
    case KVPBUS_CIM_HIDDEN: // between two requests of one call
    case KVPBUS_CIM_FAILED:
        break;
    }
    return HR(E_FAILED);
}

BSTR kvpbus_provider_bstr(const char *text)
{
    int length = MultiByteToWideChar(CP_UTF8, 0, text, -1, NULL, 0);
    BSTR wide = length > 0 ? SysAllocStringLen(NULL, (UINT)length - 1) : NULL;
    if (wide != NULL)
        MultiByteToWideChar(CP_UTF8, 0, text, -1, wide, length);
    return wide;
}

char *kvpbus_provider_utf8(const WCHAR *text)
{
    int length = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
    char *bytes = length > 0 ? malloc((size_t)length) : NULL;
    if (bytes != NULL)
        WideCharToMultiByte(CP_UTF8, 0, text, -1, bytes, length, NULL, NULL);
    return bytes;
}

static const struct {
    CIMTYPE cimtype;
    VARTYPE vartype;
    ULONG size; // of an element
    LONGLONG least;
    ULONGLONG most; // of numbers
} types[] = {
    [KVPBUS_CIM_STRING] = {CIM_STRING, VT_BSTR, sizeof(BSTR), 0, 0},
    [KVPBUS_CIM_BOOLEAN] = {CIM_BOOLEAN, VT_BOOL, sizeof(VARIANT_BOOL), 0, 0},
    [KVPBUS_CIM_UINT8] = {CIM_UINT8, VT_UI1, 1, 0, UINT8_MAX},
    [KVPBUS_CIM_SINT8] = {CIM_SINT8, VT_I2, 2, INT8_MIN, INT8_MAX},
    [KVPBUS_CIM_UINT16] = {CIM_UINT16, VT_I4, 4, 0, UINT16_MAX},
    [KVPBUS_CIM_UINT32] = {CIM_UINT32, VT_I4, 4, 0, UINT32_MAX},
    [KVPBUS_CIM_UINT64] = {CIM_UINT64, VT_BSTR, sizeof(BSTR), 0, UINT64_MAX},
    [KVPBUS_CIM_DATETIME] = {CIM_DATETIME, VT_BSTR, sizeof(BSTR), 0, 0},
    [KVPBUS_CIM_REFERENCE] = {CIM_REFERENCE, VT_BSTR, sizeof(BSTR), 0, 0},
};

CIMTYPE kvpbus_provider_cimtype(const struct kvpbus_cim_property *property)
{
    return types[property->type].cimtype | (property->array ? CIM_FLAG_ARRAY : 0);
}

// One element, as it lies in a VARIANT or a SAFEARRAY.
union element {
    BSTR text;
    VARIANT_BOOL boolean;
    BYTE byte;
    SHORT small;
    LONG number;
};

static bool to_element(enum kvpbus_cim_type type, const char *text, union element *element)
{
    switch (types[type].vartype) {
    case VT_BOOL:
        element->boolean = kvpbus_cim_compare(text, "TRUE") == 0 ? VARIANT_TRUE : VARIANT_FALSE;
        return true;
    case VT_UI1:
        element->byte = (BYTE)strtoul(text, NULL, 10);
        return true;
    case VT_I2:
        element->small = (SHORT)strtol(text, NULL, 10);
        return true;
    case VT_I4:
        element->number = (LONG)strtoul(text, NULL, 10);
        return true;
    default:
        element->text = kvpbus_provider_bstr(text);
        return element->text != NULL;
    }
}

static HRESULT to_array(enum kvpbus_cim_type type, const char *const *texts, size_t count,
                        SAFEARRAY **out)
{
    SAFEARRAY *array = SafeArrayCreateVector(types[type].vartype, 0, (ULONG)count);
    char *data = NULL;
    if (array == NULL || FAILED(SafeArrayAccessData(array, (void **)&data)))
        goto fail;
    for (size_t i = 0; i < count; i++) {
        union element element;
        if (!to_element(type, texts[i], &element)) {
            SafeArrayUnaccessData(array);
            goto fail;
        }
        memcpy(data + i * types[type].size, &element, types[type].size);
    }
    SafeArrayUnaccessData(array);
    *out = array;
    return S_OK;
fail:
    if (array != NULL)
        SafeArrayDestroy(array);
    return HR(E_OUT_OF_MEMORY);
}

HRESULT kvpbus_provider_strings(const char *const *texts, size_t count, SAFEARRAY **array)
{
    return to_array(KVPBUS_CIM_STRING, texts, count, array);
}

HRESULT kvpbus_provider_to_variant(const struct kvpbus_cim_property *property,
                                   const struct kvpbus_cim_value *value, VARIANT *variant)
{
    union element element;
    VariantInit(variant);
    if (!value->set) {
        V_VT(variant) = VT_NULL;
        return S_OK;
    }
    if (property->array) {
        HRESULT result = to_array(property->type, (const char *const *)value->texts, value->count,
                                  &V_ARRAY(variant));
        if (SUCCEEDED(result))
            V_VT(variant) = (VARTYPE)(VT_ARRAY | types[property->type].vartype);
        return result;
    }
    if (!to_element(property->type, value->texts[0], &element))
        return HR(E_OUT_OF_MEMORY);
    V_VT(variant) = types[property->type].vartype;
    switch (V_VT(variant)) {
    case VT_BOOL:
        V_BOOL(variant) = element.boolean;
        break;
    case VT_UI1:
        V_UI1(variant) = element.byte;
        break;
    case VT_I2:
        V_I2(variant) = element.small;
        break;
    case VT_I4:
        V_I4(variant) = element.number;
        break;
    default:
        V_BSTR(variant) = element.text;
    }
    return S_OK;
}

static bool is_number(enum kvpbus_cim_type type)
{
    return types[type].most != 0;
}

static HRESULT number_text(enum kvpbus_cim_type type, const VARIANT *variant, char **text)
{
    VARIANT wide;
    bool negative;
    char digits[32];
    VariantInit(&wide);
    // What 32 bits cannot hold with a sign comes as a negative number.
    if (V_VT(variant) == VT_I4 && type == KVPBUS_CIM_UINT32) {
        V_VT(&wide) = VT_UI8;
        V_UI8(&wide) = (ULONG)V_I4(variant);
    } else if (FAILED(VariantChangeType(&wide, (VARIANT *)variant, 0, VT_I8))) {
        return HR(E_TYPE_MISMATCH);
    }
    negative = V_I8(&wide) < 0;
    if (negative ? V_I8(&wide) < types[type].least : V_UI8(&wide) > types[type].most)
        return HR(E_VALUE_OUT_OF_RANGE);
    snprintf(digits, sizeof digits, "%lld", V_I8(&wide));
    *text = strdup(digits);
    return *text != NULL ? S_OK : HR(E_OUT_OF_MEMORY);
}

static HRESULT element_text(enum kvpbus_cim_type type, const VARIANT *variant, char **text)
{
    if (type == KVPBUS_CIM_BOOLEAN) {
        if (V_VT(variant) != VT_BOOL)
            return HR(E_TYPE_MISMATCH);
        *text = strdup(V_BOOL(variant) ? "TRUE" : "FALSE");
    } else if (is_number(type)) {
        return number_text(type, variant, text);
    } else if (V_VT(variant) == VT_BSTR) {
        *text = kvpbus_provider_utf8(V_BSTR(variant) != NULL ? V_BSTR(variant) : L"");
    } else {
        return HR(E_TYPE_MISMATCH);
    }
    return *text != NULL ? S_OK : HR(E_OUT_OF_MEMORY);
}

// Element `index` of an array, as a VARIANT to be cleared. Scripts pass arrays of VARIANTs.
static HRESULT array_element(SAFEARRAY *array, VARTYPE type, LONG index, VARIANT *element)
{
    VariantInit(element);
    if (type == VT_VARIANT)
        return SafeArrayGetElement(array, &index, element);
    if (SafeArrayGetElemsize(array) > sizeof V_I8(element))
        return HR(E_TYPE_MISMATCH);
    HRESULT result = SafeArrayGetElement(array, &index, &V_BYREF(element));
    if (SUCCEEDED(result))
        V_VT(element) = type;
    return result;
}

static HRESULT array_texts(const struct kvpbus_cim_property *property, const VARIANT *variant,
                           struct kvpbus_cim_value *value)
{
    VARTYPE type = (VARTYPE)(V_VT(variant) & VT_TYPEMASK);
    LONG low, high;
    if ((V_VT(variant) & VT_ARRAY) == 0 || (V_VT(variant) & VT_BYREF) != 0 ||
        V_ARRAY(variant) == NULL || SafeArrayGetDim(V_ARRAY(variant)) != 1 ||
        FAILED(SafeArrayGetLBound(V_ARRAY(variant), 1, &low)) ||
        FAILED(SafeArrayGetUBound(V_ARRAY(variant), 1, &high)))
        return HR(E_TYPE_MISMATCH);
    if ((LONGLONG)high - low >= KVPBUS_CIM_ELEMENTS_MAX)
        return HR(E_VALUE_OUT_OF_RANGE);
    size_t room = high >= low ? (size_t)(high - low) + 1 : 0;
    value->texts = calloc(room + 1, sizeof *value->texts);
    if (value->texts == NULL)
        return HR(E_OUT_OF_MEMORY);
    value->set = true;
    for (LONG i = low; i <= high; i++) {
        VARIANT element;
        HRESULT result = array_element(V_ARRAY(variant), type, i, &element);
        if (SUCCEEDED(result))
            result = element_text(property->type, &element, &value->texts[value->count]);
        VariantClear(&element);
        if (FAILED(result))
            return result;
        value->count++;
    }
    return S_OK;
}

HRESULT kvpbus_provider_from_variant(const struct kvpbus_cim_property *property,
                                     const VARIANT *variant, struct kvpbus_cim_value *value)
{
    struct kvpbus_cim_value next = {0};
    HRESULT result = S_OK;
    bool null = variant == NULL || V_VT(variant) == VT_NULL || V_VT(variant) == VT_EMPTY;
    if (!null && property->array) {
        result = array_texts(property, variant, &next);
    } else if (!null) {
        next.texts = calloc(1, sizeof *next.texts);
        result = next.texts != NULL ? element_text(property->type, variant, &next.texts[0])
                                    : HR(E_OUT_OF_MEMORY);
        next.set = SUCCEEDED(result);
        next.count = next.set ? 1 : 0;
    }
    if (FAILED(result)) {
        kvpbus_cim_value_clear(&next);
        return result;
    }
    kvpbus_cim_value_clear(value);
    *value = next;
    return S_OK;
}
