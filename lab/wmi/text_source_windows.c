// SPDX-License-Identifier: Apache-2.0
//
// IWbemObjectTextSrc, which Wine lacks: an object of this provider as XML.
#include <stdlib.h>

#include "item_text.h"
#include "provider.h"

struct text_source {
    IWbemObjectTextSrc face;
    LONG references;
};

static HRESULT WINAPI query_interface(IWbemObjectTextSrc *face, REFIID iid, void **out)
{
    if (out == NULL)
        return E_POINTER;
    *out = NULL;
    if (IsEqualIID(iid, &IID_IMarshal))
        return kvpbus_provider_marshal(out);
    if (!IsEqualIID(iid, &IID_IUnknown) && !IsEqualIID(iid, &IID_IWbemObjectTextSrc))
        return E_NOINTERFACE;
    *out = face;
    IWbemObjectTextSrc_AddRef(face);
    return S_OK;
}

static ULONG WINAPI add_ref(IWbemObjectTextSrc *face)
{
    return (ULONG)InterlockedIncrement(
        &CONTAINING_RECORD(face, struct text_source, face)->references);
}

static ULONG WINAPI release(IWbemObjectTextSrc *face)
{
    struct text_source *source = CONTAINING_RECORD(face, struct text_source, face);
    LONG left = InterlockedDecrement(&source->references);
    if (left == 0) {
        free(source);
        kvpbus_provider_gone();
    }
    return (ULONG)left;
}

static HRESULT WINAPI get_text(IWbemObjectTextSrc *face, LONG flags, IWbemClassObject *object,
                               ULONG format, IWbemContext *context, BSTR *out)
{
    (void)face;
    (void)flags;
    (void)context;
    if (object == NULL || out == NULL)
        return HR(E_INVALID_PARAMETER);
    *out = NULL;
    if (format != WMI_OBJ_TEXT_CIM_DTD_2_0 && format != WMI_OBJ_TEXT_WMI_DTD_2_0)
        return HR(E_NOT_SUPPORTED);
    struct kvpbus_cim_object *data = kvpbus_provider_copy(object);
    if (data == NULL)
        return HR(E_INVALID_OBJECT);
    HRESULT result = data->is_class ? HR(E_NOT_SUPPORTED) : HR(E_OUT_OF_MEMORY);
    if (!data->is_class) {
        char *text = kvpbus_cim_instance_text(
            data, format == WMI_OBJ_TEXT_WMI_DTD_2_0 ? KVPBUS_CIM_WMI_DTD_2_0 : KVPBUS_CIM_DTD_2_0);
        *out = text != NULL ? kvpbus_provider_bstr(text) : NULL;
        free(text);
    }
    kvpbus_cim_object_free(data);
    return *out != NULL ? S_OK : result;
}

static HRESULT WINAPI create_from_text(IWbemObjectTextSrc *face, LONG flags, BSTR text,
                                       ULONG format, IWbemContext *context,
                                       IWbemClassObject **object)
{
    (void)face;
    (void)flags;
    (void)text;
    (void)format;
    (void)context;
    if (object != NULL)
        *object = NULL;
    return HR(E_NOT_SUPPORTED);
}

static IWbemObjectTextSrcVtbl table = {query_interface, add_ref, release, get_text,
                                       create_from_text};

HRESULT kvpbus_provider_text_source(REFIID iid, void **out)
{
    struct text_source *source = calloc(1, sizeof *source);
    if (source == NULL)
        return E_OUTOFMEMORY;
    kvpbus_provider_made();
    source->face.lpVtbl = &table;
    source->references = 1;
    HRESULT result = IWbemObjectTextSrc_QueryInterface(&source->face, iid, out);
    IWbemObjectTextSrc_Release(&source->face);
    return result;
}
