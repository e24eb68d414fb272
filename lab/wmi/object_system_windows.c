// SPDX-License-Identifier: Apache-2.0
//
// The system properties of an object, which are not values but what it is and where, and its text
// in MOF.
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "object.h"
#include "text_buffer.h"

enum { GENUS_CLASS = 1, GENUS_INSTANCE = 2 };

const WCHAR *const kvpbus_provider_system_names[] = {
    L"__GENUS",          L"__CLASS",      L"__SUPERCLASS", L"__DYNASTY",   L"__RELPATH",
    L"__PROPERTY_COUNT", L"__DERIVATION", L"__SERVER",     L"__NAMESPACE", L"__PATH",
};
const size_t kvpbus_provider_system_count =
    sizeof kvpbus_provider_system_names / sizeof *kvpbus_provider_system_names;

static LONG count_visible(const struct kvpbus_cim_object *object)
{
    LONG count = 0;
    for (size_t i = 0; i < object->class->property_count; i++)
        count += (object->visible >> i & 1) != 0 ? 1 : 0;
    return count;
}

static HRESULT text_value(const char *text, VARIANT *value)
{
    V_VT(value) = VT_NULL;
    if (text == NULL)
        return S_OK;
    V_BSTR(value) = kvpbus_provider_bstr(text);
    if (V_BSTR(value) == NULL)
        return HR(E_OUT_OF_MEMORY);
    V_VT(value) = VT_BSTR;
    return S_OK;
}

static HRESULT number_value(LONG number, VARIANT *value)
{
    V_VT(value) = VT_I4;
    V_I4(value) = number;
    return S_OK;
}

static HRESULT taken_text(char *text, VARIANT *value)
{
    HRESULT result = text_value(text, value);
    free(text);
    return result;
}

static size_t count_bases(const struct kvpbus_cim_class *class)
{
    size_t count = 0;
    while (class->bases[count] != NULL)
        count++;
    return count;
}

static HRESULT derivation(const struct kvpbus_cim_class *class, VARIANT *value)
{
    V_VT(value) = VT_NULL;
    HRESULT result = kvpbus_provider_strings(class->bases, count_bases(class), &V_ARRAY(value));
    if (SUCCEEDED(result))
        V_VT(value) = VT_ARRAY | VT_BSTR;
    return result;
}

enum system { GENUS, CLASS, SUPERCLASS, DYNASTY, RELPATH, COUNT, DERIVATION, SERVER, SPACE, PATH };

static HRESULT value_of(enum system which, const struct kvpbus_cim_object *object,
                        const struct kvpbus_cim_scope *scope, VARIANT *value)
{
    const struct kvpbus_cim_class *class = object->class;
    size_t bases = count_bases(class);
    switch (which) {
    case GENUS:
        return number_value(object->is_class ? GENUS_CLASS : GENUS_INSTANCE, value);
    case CLASS:
        return text_value(class->name, value);
    case SUPERCLASS:
        return text_value(class->bases[0], value);
    case DYNASTY:
        return text_value(bases > 0 ? class->bases[bases - 1] : class->name, value);
    case RELPATH:
        return taken_text(kvpbus_cim_relative_path(object), value);
    case COUNT:
        return number_value(count_visible(object), value);
    case DERIVATION:
        return derivation(class, value);
    case SERVER:
        return text_value(scope->server, value);
    case SPACE:
        return text_value(scope->name_space, value);
    case PATH:
        break;
    }
    return taken_text(kvpbus_cim_path(object, scope), value);
}

HRESULT kvpbus_provider_system_property(const struct kvpbus_cim_object *object,
                                        const struct kvpbus_cim_scope *scope, const WCHAR *name,
                                        VARIANT *value, CIMTYPE *type)
{
    for (size_t i = 0; i < kvpbus_provider_system_count; i++) {
        if (_wcsicmp(name, kvpbus_provider_system_names[i]) != 0)
            continue;
        if (type != NULL)
            *type = i == GENUS || i == COUNT ? CIM_SINT32
                    : i == DERIVATION        ? CIM_STRING | CIM_FLAG_ARRAY
                                             : CIM_STRING;
        if (value == NULL)
            return S_OK;
        VariantInit(value);
        return value_of((enum system)i, object, scope, value);
    }
    return HR(E_NOT_FOUND);
}

static bool is_quoted(enum kvpbus_cim_type type)
{
    return type == KVPBUS_CIM_STRING || type == KVPBUS_CIM_DATETIME || type == KVPBUS_CIM_REFERENCE;
}

static void add_mof_text(struct kvpbus_cim_text *text, const char *value, bool quoted)
{
    if (!quoted) {
        kvpbus_cim_text_add(text, value);
        return;
    }
    kvpbus_cim_text_add(text, "\"");
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"')
            kvpbus_cim_text_add(text, "\\");
        kvpbus_cim_text_add_bytes(text, value, 1);
    }
    kvpbus_cim_text_add(text, "\"");
}

static void add_mof_value(struct kvpbus_cim_text *text, const struct kvpbus_cim_property *property,
                          const struct kvpbus_cim_value *value)
{
    kvpbus_cim_text_add(text, property->array ? "{" : "");
    for (size_t i = 0; i < value->count; i++) {
        kvpbus_cim_text_add(text, i > 0 ? ", " : "");
        add_mof_text(text, value->texts[i], is_quoted(property->type));
    }
    kvpbus_cim_text_add(text, property->array ? "}" : "");
}

HRESULT kvpbus_provider_mof(const struct kvpbus_cim_object *object, BSTR *out)
{
    struct kvpbus_cim_text text = {0};
    const struct kvpbus_cim_class *class = object->class;
    kvpbus_cim_text_add(&text, object->is_class ? "\nclass " : "\ninstance of ");
    kvpbus_cim_text_add(&text, class->name);
    kvpbus_cim_text_add(&text, "\n{\n");
    for (size_t i = 0; i < class->property_count; i++) {
        bool set = object->values[i].set;
        if ((object->visible >> i & 1) == 0 || (!object->is_class && !set))
            continue;
        kvpbus_cim_text_add(&text, "\t");
        if (object->is_class) {
            kvpbus_cim_text_add(&text, kvpbus_cim_type_text(class->properties[i].type));
            kvpbus_cim_text_add(&text, " ");
        }
        kvpbus_cim_text_add(&text, class->properties[i].name);
        if (object->is_class && class->properties[i].array)
            kvpbus_cim_text_add(&text, "[]");
        if (set) {
            kvpbus_cim_text_add(&text, " = ");
            add_mof_value(&text, &class->properties[i], &object->values[i]);
        }
        kvpbus_cim_text_add(&text, ";\n");
    }
    kvpbus_cim_text_add(&text, "};\n");
    char *bytes = kvpbus_cim_text_take(&text);
    *out = bytes != NULL ? kvpbus_provider_bstr(bytes) : NULL;
    free(bytes);
    return *out != NULL ? S_OK : HR(E_OUT_OF_MEMORY);
}
