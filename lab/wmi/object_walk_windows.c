// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "object.h"

static bool is_wanted(const struct object *object, LONG flags, int position)
{
    LONG origin = flags & WBEM_MASK_CONDITION_ORIGIN;
    bool keys = (flags & WBEM_FLAG_KEYS_ONLY) != 0, references = (flags & WBEM_FLAG_REFS_ONLY) != 0;
    int system = (int)kvpbus_provider_system_count;
    if (position < system)
        return !keys && !references && (origin == 0 || origin == WBEM_FLAG_SYSTEM_ONLY);
    const struct kvpbus_cim_property *property =
        &object->data->class->properties[position - system];
    if (!kvpbus_provider_visible(object, (size_t)(position - system)) || (keys && !property->key) ||
        (references && property->type != KVPBUS_CIM_REFERENCE))
        return false;
    switch (origin) {
    case WBEM_FLAG_SYSTEM_ONLY:
        return false;
    case WBEM_FLAG_LOCAL_ONLY:
        return !property->propagated;
    case WBEM_FLAG_PROPAGATED_ONLY:
        return property->propagated;
    default:
        return true;
    }
}

// The position behind `position` of what the flags ask for; the number of all when there is none.
static int following(const struct object *object, LONG flags, int position)
{
    int all = (int)kvpbus_provider_system_count + (int)object->data->class->property_count;
    for (position++; position < all && !is_wanted(object, flags, position);)
        position++;
    return position;
}

static bool is_end(const struct object *object, int position)
{
    return position >= (int)kvpbus_provider_system_count + (int)object->data->class->property_count;
}

static BSTR name_at(const struct object *object, int position)
{
    int system = (int)kvpbus_provider_system_count;
    return position < system
               ? SysAllocString(kvpbus_provider_system_names[position])
               : kvpbus_provider_bstr(object->data->class->properties[position - system].name);
}

HRESULT kvpbus_provider_begin(struct object *object, LONG flags)
{
    AcquireSRWLockExclusive(&object->lock);
    object->flags = flags;
    object->position = following(object, flags, -1);
    ReleaseSRWLockExclusive(&object->lock);
    return S_OK;
}

static HRESULT next_locked(struct object *object, BSTR *name, VARIANT *value, CIMTYPE *type,
                           LONG *flavor)
{
    int position = object->position;
    int system = (int)kvpbus_provider_system_count;
    HRESULT result;
    if (position == NOT_BEGUN)
        return HR(E_UNEXPECTED);
    if (is_end(object, position))
        return HR(S_NO_MORE_DATA);
    if (position < system) {
        result = kvpbus_provider_system_property(
            object->data, &object->scope, kvpbus_provider_system_names[position], value, type);
        if (flavor != NULL)
            *flavor = WBEM_FLAVOR_ORIGIN_SYSTEM;
    } else {
        result = kvpbus_provider_describe(object, (size_t)(position - system), value, type, flavor);
    }
    if (FAILED(result))
        return result;
    if (name != NULL && (*name = name_at(object, position)) == NULL) {
        if (value != NULL)
            VariantClear(value);
        return HR(E_OUT_OF_MEMORY);
    }
    object->position = following(object, object->flags, position);
    return S_OK;
}

HRESULT kvpbus_provider_next(struct object *object, BSTR *name, VARIANT *value, CIMTYPE *type,
                             LONG *flavor)
{
    if (name != NULL)
        *name = NULL;
    AcquireSRWLockExclusive(&object->lock);
    HRESULT result = next_locked(object, name, value, type, flavor);
    ReleaseSRWLockExclusive(&object->lock);
    return result;
}

HRESULT kvpbus_provider_end(struct object *object)
{
    AcquireSRWLockExclusive(&object->lock);
    object->position = NOT_BEGUN;
    ReleaseSRWLockExclusive(&object->lock);
    return S_OK;
}

// Whether the property has the qualifier, which for these is key or CIMTYPE.
static bool has_qualifier(const struct object *object, int position, const WCHAR *qualifier)
{
    int index = position - (int)kvpbus_provider_system_count;
    IWbemQualifierSet *set;
    if (index < 0 || FAILED(kvpbus_provider_qualifiers(object->data->class, index, &set)))
        return false;
    bool has = IWbemQualifierSet_Get(set, qualifier, 0, NULL, NULL) == S_OK;
    IWbemQualifierSet_Release(set);
    return has;
}

HRESULT kvpbus_provider_names(struct object *object, const WCHAR *qualifier, LONG flags,
                              const VARIANT *value, SAFEARRAY **names)
{
    LONG condition = flags & (WBEM_FLAG_ONLY_IF_TRUE | WBEM_FLAG_ONLY_IF_FALSE);
    LONG count = 0;
    if (names == NULL || (condition != 0 && qualifier == NULL))
        return HR(E_INVALID_PARAMETER);
    *names = NULL;
    // The value of a qualifier is not compared.
    if (value != NULL && condition == (WBEM_FLAG_ONLY_IF_TRUE | WBEM_FLAG_ONLY_IF_FALSE))
        return HR(E_NOT_SUPPORTED);
    SAFEARRAY *array = SafeArrayCreateVector(
        VT_BSTR, 0, (ULONG)(kvpbus_provider_system_count + object->data->class->property_count));
    if (array == NULL)
        return HR(E_OUT_OF_MEMORY);
    AcquireSRWLockShared(&object->lock);
    HRESULT result = S_OK;
    for (int i = following(object, flags, -1); SUCCEEDED(result) && !is_end(object, i);
         i = following(object, flags, i)) {
        if (condition != 0 &&
            has_qualifier(object, i, qualifier) != (condition == WBEM_FLAG_ONLY_IF_TRUE))
            continue;
        BSTR name = name_at(object, i);
        result = name != NULL ? SafeArrayPutElement(array, &count, name) : HR(E_OUT_OF_MEMORY);
        SysFreeString(name);
        count++;
    }
    ReleaseSRWLockShared(&object->lock);
    SAFEARRAYBOUND bound = {.cElements = (ULONG)count, .lLbound = 0};
    if (SUCCEEDED(result))
        result = SafeArrayRedim(array, &bound);
    if (FAILED(result))
        SafeArrayDestroy(array);
    else
        *names = array;
    return result;
}

static HRESULT signature(const struct object *object, const struct kvpbus_cim_class *class,
                         IWbemClassObject **out)
{
    if (out == NULL)
        return S_OK;
    struct kvpbus_cim_object *data = kvpbus_cim_object_new(class);
    if (data == NULL)
        return HR(E_OUT_OF_MEMORY);
    data->is_class = true;
    return kvpbus_provider_object(data, &object->scope, out);
}

static HRESULT signatures(const struct object *object, const struct kvpbus_cim_method *method,
                          IWbemClassObject **in, IWbemClassObject **out)
{
    HRESULT result = signature(object, method->in, in);
    if (SUCCEEDED(result))
        result = signature(object, method->out, out);
    if (FAILED(result) && in != NULL && *in != NULL) {
        IWbemClassObject_Release(*in);
        *in = NULL;
    }
    return result;
}

static const struct kvpbus_cim_method *find_method(const struct object *object, const WCHAR *name)
{
    char *text = kvpbus_provider_utf8(name);
    const struct kvpbus_cim_method *method =
        text != NULL ? kvpbus_cim_method_find(object->data->class, text) : NULL;
    free(text);
    return method;
}

// Methods belong to classes: an instance does not tell its own.
HRESULT kvpbus_provider_get_method(struct object *object, const WCHAR *name, IWbemClassObject **in,
                                   IWbemClassObject **out)
{
    if (in != NULL)
        *in = NULL;
    if (out != NULL)
        *out = NULL;
    if (name == NULL)
        return HR(E_INVALID_PARAMETER);
    if (!object->data->is_class)
        return HR(E_ILLEGAL_OPERATION);
    const struct kvpbus_cim_method *method = find_method(object, name);
    return method != NULL ? signatures(object, method, in, out) : HR(E_NOT_FOUND);
}

HRESULT kvpbus_provider_begin_methods(struct object *object)
{
    if (!object->data->is_class)
        return HR(E_ILLEGAL_OPERATION);
    AcquireSRWLockExclusive(&object->lock);
    object->method = 0;
    ReleaseSRWLockExclusive(&object->lock);
    return S_OK;
}

static HRESULT next_method_locked(struct object *object, BSTR *name, IWbemClassObject **in,
                                  IWbemClassObject **out)
{
    const struct kvpbus_cim_class *class = object->data->class;
    if (object->method == NOT_BEGUN)
        return HR(E_UNEXPECTED);
    if (object->method >= (int)class->method_count)
        return HR(S_NO_MORE_DATA);
    const struct kvpbus_cim_method *method = &class->methods[object->method];
    if (name != NULL && (*name = kvpbus_provider_bstr(method->name)) == NULL)
        return HR(E_OUT_OF_MEMORY);
    HRESULT result = signatures(object, method, in, out);
    if (SUCCEEDED(result)) {
        object->method++;
    } else if (name != NULL) {
        SysFreeString(*name);
        *name = NULL;
    }
    return result;
}

HRESULT kvpbus_provider_next_method(struct object *object, BSTR *name, IWbemClassObject **in,
                                    IWbemClassObject **out)
{
    if (name != NULL)
        *name = NULL;
    if (in != NULL)
        *in = NULL;
    if (out != NULL)
        *out = NULL;
    AcquireSRWLockExclusive(&object->lock);
    HRESULT result = next_method_locked(object, name, in, out);
    ReleaseSRWLockExclusive(&object->lock);
    return result;
}

HRESULT kvpbus_provider_end_methods(struct object *object)
{
    AcquireSRWLockExclusive(&object->lock);
    object->method = NOT_BEGUN;
    ReleaseSRWLockExclusive(&object->lock);
    return S_OK;
}

HRESULT kvpbus_provider_method_origin(struct object *object, const WCHAR *name, BSTR *out)
{
    if (name == NULL || out == NULL)
        return HR(E_INVALID_PARAMETER);
    *out = NULL;
    if (find_method(object, name) == NULL)
        return HR(E_NOT_FOUND);
    *out = kvpbus_provider_bstr(object->data->class->name);
    return *out != NULL ? S_OK : HR(E_OUT_OF_MEMORY);
}
