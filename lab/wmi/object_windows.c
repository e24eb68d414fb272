// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "object.h"

const GUID kvpbus_provider_own_object = {
    0x6d1b0c5e, 0x5ab9, 0x4a1d, {0x9c, 0x11, 0x0e, 0x3b, 0x52, 0x70, 0x4b, 0x56}};

static struct object *self(IWbemClassObject *face)
{
    return CONTAINING_RECORD(face, struct object, face);
}

static HRESULT WINAPI query_interface(IWbemClassObject *face, REFIID iid, void **out)
{
    if (out == NULL)
        return E_POINTER;
    *out = NULL;
    if (IsEqualIID(iid, &IID_IMarshal))
        return kvpbus_provider_marshal(out);
    if (!IsEqualIID(iid, &IID_IUnknown) && !IsEqualIID(iid, &IID_IWbemClassObject) &&
        !IsEqualIID(iid, &kvpbus_provider_own_object))
        return E_NOINTERFACE;
    *out = face;
    IWbemClassObject_AddRef(face);
    return S_OK;
}

static ULONG WINAPI add_ref(IWbemClassObject *face)
{
    return (ULONG)InterlockedIncrement(&self(face)->references);
}

static ULONG WINAPI release(IWbemClassObject *face)
{
    struct object *object = self(face);
    LONG left = InterlockedDecrement(&object->references);
    if (left == 0) {
        kvpbus_cim_object_free(object->data);
        free(object);
        kvpbus_provider_gone();
    }
    return (ULONG)left;
}

// Index of a property by name, -1 when it is not there or was not asked for.
static int find(const struct object *object, const WCHAR *name)
{
    char *text = kvpbus_provider_utf8(name);
    int index = text != NULL ? kvpbus_cim_property_find(object->data->class, text) : -1;
    free(text);
    return index >= 0 && kvpbus_provider_visible(object, (size_t)index) ? index : -1;
}

bool kvpbus_provider_visible(const struct object *object, size_t index)
{
    return (object->data->visible >> index & 1) != 0;
}

HRESULT kvpbus_provider_describe(const struct object *object, size_t index, VARIANT *value,
                                 CIMTYPE *type, LONG *flavor)
{
    const struct kvpbus_cim_property *property = &object->data->class->properties[index];
    if (type != NULL)
        *type = kvpbus_provider_cimtype(property);
    if (flavor != NULL)
        *flavor = property->propagated ? WBEM_FLAVOR_ORIGIN_PROPAGATED : WBEM_FLAVOR_ORIGIN_LOCAL;
    if (value == NULL)
        return S_OK;
    return kvpbus_provider_to_variant(property, &object->data->values[index], value);
}

static HRESULT WINAPI get_qualifiers(IWbemClassObject *face, IWbemQualifierSet **out)
{
    if (out == NULL)
        return HR(E_INVALID_PARAMETER);
    return kvpbus_provider_qualifiers(self(face)->data->class, -1, out);
}

static HRESULT WINAPI get(IWbemClassObject *face, LPCWSTR name, LONG flags, VARIANT *value,
                          CIMTYPE *type, LONG *flavor)
{
    struct object *object = self(face);
    if (name == NULL || flags != 0)
        return HR(E_INVALID_PARAMETER);
    if (name[0] == L'_' && name[1] == L'_') {
        if (flavor != NULL)
            *flavor = WBEM_FLAVOR_ORIGIN_SYSTEM;
        AcquireSRWLockShared(&object->lock);
        HRESULT result =
            kvpbus_provider_system_property(object->data, &object->scope, name, value, type);
        ReleaseSRWLockShared(&object->lock);
        return result;
    }
    AcquireSRWLockShared(&object->lock);
    int index = find(object, name);
    HRESULT result = index >= 0
                         ? kvpbus_provider_describe(object, (size_t)index, value, type, flavor)
                         : HR(E_NOT_FOUND);
    ReleaseSRWLockShared(&object->lock);
    return result;
}

static HRESULT WINAPI put(IWbemClassObject *face, LPCWSTR name, LONG flags, VARIANT *value,
                          CIMTYPE type)
{
    struct object *object = self(face);
    if (name == NULL || flags != 0)
        return HR(E_INVALID_PARAMETER);
    if (name[0] == L'_' && name[1] == L'_')
        return HR(E_READ_ONLY);
    AcquireSRWLockExclusive(&object->lock);
    int index = find(object, name);
    HRESULT result = HR(E_NOT_FOUND);
    if (index >= 0) {
        const struct kvpbus_cim_property *property = &object->data->class->properties[index];
        result = type != 0 && type != kvpbus_provider_cimtype(property)
                     ? HR(E_TYPE_MISMATCH)
                     : kvpbus_provider_from_variant(property, value, &object->data->values[index]);
    }
    ReleaseSRWLockExclusive(&object->lock);
    return result;
}

// An instance has its properties from its class: deleting one brings the initial value back.
static HRESULT WINAPI delete_property(IWbemClassObject *face, LPCWSTR name)
{
    struct object *object = self(face);
    if (name == NULL)
        return HR(E_INVALID_PARAMETER);
    AcquireSRWLockExclusive(&object->lock);
    int index = find(object, name);
    HRESULT result = index >= 0 ? HR(S_RESET_TO_DEFAULT) : HR(E_NOT_FOUND);
    if (index >= 0) {
        const struct kvpbus_cim_property *property = &object->data->class->properties[index];
        if (!kvpbus_cim_set(object->data, property->name, property->initial))
            result = HR(E_OUT_OF_MEMORY);
    }
    ReleaseSRWLockExclusive(&object->lock);
    return result;
}

static HRESULT WINAPI get_property_qualifiers(IWbemClassObject *face, LPCWSTR name,
                                              IWbemQualifierSet **out)
{
    struct object *object = self(face);
    if (name == NULL || out == NULL)
        return HR(E_INVALID_PARAMETER);
    if (name[0] == L'_' && name[1] == L'_')
        return HR(E_SYSTEM_PROPERTY);
    int index = find(object, name);
    return index >= 0 ? kvpbus_provider_qualifiers(object->data->class, index, out)
                      : HR(E_NOT_FOUND);
}

static HRESULT WINAPI clone(IWbemClassObject *face, IWbemClassObject **out)
{
    struct object *object = self(face);
    if (out == NULL)
        return HR(E_INVALID_PARAMETER);
    struct kvpbus_cim_object *copy = kvpbus_provider_copy(face);
    return copy != NULL ? kvpbus_provider_object(copy, &object->scope, out) : HR(E_OUT_OF_MEMORY);
}

static HRESULT WINAPI get_text(IWbemClassObject *face, LONG flags, BSTR *text)
{
    struct object *object = self(face);
    (void)flags;
    if (text == NULL)
        return HR(E_INVALID_PARAMETER);
    AcquireSRWLockShared(&object->lock);
    HRESULT result = kvpbus_provider_mof(object->data, text);
    ReleaseSRWLockShared(&object->lock);
    return result;
}

static HRESULT WINAPI spawn_class(IWbemClassObject *face, LONG flags, IWbemClassObject **out)
{
    (void)face;
    (void)flags;
    if (out != NULL)
        *out = NULL;
    return HR(E_NOT_SUPPORTED);
}

static HRESULT WINAPI spawn_instance(IWbemClassObject *face, LONG flags, IWbemClassObject **out)
{
    struct object *object = self(face);
    if (out == NULL || flags != 0)
        return HR(E_INVALID_PARAMETER);
    *out = NULL;
    if (!object->data->is_class)
        return HR(E_INVALID_OPERATION);
    struct kvpbus_cim_object *copy = kvpbus_provider_copy(face);
    if (copy == NULL)
        return HR(E_OUT_OF_MEMORY);
    copy->is_class = false;
    return kvpbus_provider_object(copy, &object->scope, out);
}

static bool equal_values(const struct kvpbus_cim_value *a, const struct kvpbus_cim_value *b)
{
    bool equal = a->set == b->set && a->count == b->count;
    for (size_t i = 0; equal && i < a->count; i++)
        equal = strcmp(a->texts[i], b->texts[i]) == 0;
    return equal;
}

static HRESULT WINAPI compare(IWbemClassObject *face, LONG flags, IWbemClassObject *with)
{
    (void)flags;
    if (with == NULL)
        return HR(E_INVALID_PARAMETER);
    struct kvpbus_cim_object *a = kvpbus_provider_copy(face), *b = kvpbus_provider_copy(with);
    bool equal = a != NULL && b != NULL && a->class == b->class && a->is_class == b->is_class &&
                 a->visible == b->visible;
    for (size_t i = 0; equal && i < a->class->property_count; i++)
        equal = equal_values(&a->values[i], &b->values[i]);
    kvpbus_cim_object_free(a);
    kvpbus_cim_object_free(b);
    return equal ? HR(S_SAME) : HR(S_DIFFERENT);
}

static HRESULT WINAPI get_origin(IWbemClassObject *face, LPCWSTR name, BSTR *out)
{
    struct object *object = self(face);
    if (name == NULL || out == NULL)
        return HR(E_INVALID_PARAMETER);
    if (name[0] == L'_' && name[1] == L'_') {
        *out = SysAllocString(L"___SYSTEM");
        return *out != NULL ? S_OK : HR(E_OUT_OF_MEMORY);
    }
    int index = find(object, name);
    if (index < 0)
        return HR(E_NOT_FOUND);
    *out = kvpbus_provider_bstr(kvpbus_cim_origin(object->data->class, (size_t)index));
    return *out != NULL ? S_OK : HR(E_OUT_OF_MEMORY);
}

static HRESULT WINAPI inherits(IWbemClassObject *face, LPCWSTR ancestor)
{
    if (ancestor == NULL)
        return HR(E_INVALID_PARAMETER);
    char *name = kvpbus_provider_utf8(ancestor);
    if (name == NULL)
        return HR(E_OUT_OF_MEMORY);
    bool is = kvpbus_cim_class_is(self(face)->data->class, name);
    free(name);
    return is ? S_OK : HR(S_FALSE);
}

static HRESULT WINAPI put_method(IWbemClassObject *face, LPCWSTR name, LONG flags,
                                 IWbemClassObject *in, IWbemClassObject *out)
{
    (void)face;
    (void)name;
    (void)flags;
    (void)in;
    (void)out;
    return HR(E_NOT_SUPPORTED);
}

static HRESULT WINAPI delete_method(IWbemClassObject *face, LPCWSTR name)
{
    (void)face;
    (void)name;
    return HR(E_NOT_SUPPORTED);
}

static HRESULT WINAPI get_method_qualifiers(IWbemClassObject *face, LPCWSTR name,
                                            IWbemQualifierSet **out)
{
    (void)face;
    (void)name;
    if (out != NULL)
        *out = NULL;
    return HR(E_NOT_SUPPORTED);
}

static HRESULT WINAPI get_names(IWbemClassObject *face, LPCWSTR qualifier, LONG flags,
                                VARIANT *value, SAFEARRAY **names)
{
    return kvpbus_provider_names(self(face), qualifier, flags, value, names);
}

static HRESULT WINAPI begin(IWbemClassObject *face, LONG flags)
{
    return kvpbus_provider_begin(self(face), flags);
}

static HRESULT WINAPI next(IWbemClassObject *face, LONG flags, BSTR *name, VARIANT *value,
                           CIMTYPE *type, LONG *flavor)
{
    (void)flags;
    return kvpbus_provider_next(self(face), name, value, type, flavor);
}

static HRESULT WINAPI end(IWbemClassObject *face)
{
    return kvpbus_provider_end(self(face));
}

static HRESULT WINAPI get_method(IWbemClassObject *face, LPCWSTR name, LONG flags,
                                 IWbemClassObject **in, IWbemClassObject **out)
{
    (void)flags;
    return kvpbus_provider_get_method(self(face), name, in, out);
}

static HRESULT WINAPI begin_methods(IWbemClassObject *face, LONG flags)
{
    (void)flags;
    return kvpbus_provider_begin_methods(self(face));
}

static HRESULT WINAPI next_method(IWbemClassObject *face, LONG flags, BSTR *name,
                                  IWbemClassObject **in, IWbemClassObject **out)
{
    (void)flags;
    return kvpbus_provider_next_method(self(face), name, in, out);
}

static HRESULT WINAPI end_methods(IWbemClassObject *face)
{
    return kvpbus_provider_end_methods(self(face));
}

static HRESULT WINAPI get_method_origin(IWbemClassObject *face, LPCWSTR name, BSTR *out)
{
    return kvpbus_provider_method_origin(self(face), name, out);
}

static IWbemClassObjectVtbl table = {
    query_interface,
    add_ref,
    release,
    get_qualifiers,
    get,
    put,
    delete_property,
    get_names,
    begin,
    next,
    end,
    get_property_qualifiers,
    clone,
    get_text,
    spawn_class,
    spawn_instance,
    compare,
    get_origin,
    inherits,
    get_method,
    put_method,
    delete_method,
    begin_methods,
    next_method,
    end_methods,
    get_method_qualifiers,
    get_method_origin,
};

HRESULT kvpbus_provider_object(struct kvpbus_cim_object *data, const struct kvpbus_cim_scope *scope,
                               IWbemClassObject **out)
{
    struct object *object = calloc(1, sizeof *object);
    if (object == NULL) {
        kvpbus_cim_object_free(data);
        return HR(E_OUT_OF_MEMORY);
    }
    kvpbus_provider_made();
    object->face.lpVtbl = &table;
    object->references = 1;
    object->data = data;
    object->scope = *scope;
    object->position = NOT_BEGUN;
    object->method = NOT_BEGUN;
    InitializeSRWLock(&object->lock);
    *out = &object->face;
    return S_OK;
}

struct kvpbus_cim_object *kvpbus_provider_copy(IWbemClassObject *face)
{
    IWbemClassObject *own;
    if (FAILED(IWbemClassObject_QueryInterface(face, &kvpbus_provider_own_object, (void **)&own)))
        return NULL;
    struct object *object = self(own);
    AcquireSRWLockShared(&object->lock);
    struct kvpbus_cim_object *copy = kvpbus_cim_object_copy(object->data);
    ReleaseSRWLockShared(&object->lock);
    IWbemClassObject_Release(own);
    return copy;
}
