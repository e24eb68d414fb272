// SPDX-License-Identifier: Apache-2.0
#include "item_text.h"

#include <expat.h>
#include <stdlib.h>
#include <string.h>

#include "text_buffer.h"

enum { DEPTH_MAX = 16 };

static void add_escaped(struct kvpbus_cim_text *text, const char *value)
{
    for (; *value != '\0'; value++) {
        switch (*value) {
        case '&':
            kvpbus_cim_text_add(text, "&amp;");
            break;
        case '<':
            kvpbus_cim_text_add(text, "&lt;");
            break;
        case '>':
            kvpbus_cim_text_add(text, "&gt;");
            break;
        case '"':
            kvpbus_cim_text_add(text, "&quot;");
            break;
        case '\r':
            kvpbus_cim_text_add(text, "&#13;");
            break;
        default:
            kvpbus_cim_text_add_bytes(text, value, 1);
        }
    }
}

static void add_attribute(struct kvpbus_cim_text *text, const char *name, const char *value)
{
    kvpbus_cim_text_add(text, " ");
    kvpbus_cim_text_add(text, name);
    kvpbus_cim_text_add(text, "=\"");
    add_escaped(text, value);
    kvpbus_cim_text_add(text, "\"");
}

static void add_value(struct kvpbus_cim_text *text, const char *tag, const char *value)
{
    kvpbus_cim_text_add(text, "<");
    kvpbus_cim_text_add(text, tag);
    kvpbus_cim_text_add(text, ">");
    add_escaped(text, value);
    kvpbus_cim_text_add(text, "</");
    kvpbus_cim_text_add(text, tag);
    kvpbus_cim_text_add(text, ">");
}

static void add_values(struct kvpbus_cim_text *text, const struct kvpbus_cim_property *property,
                       const struct kvpbus_cim_value *value)
{
    const char *tag = property->type == KVPBUS_CIM_REFERENCE ? "VALUE.REFERENCE" : "VALUE";
    if (!value->set)
        return;
    if (property->array)
        kvpbus_cim_text_add(text, "<VALUE.ARRAY>");
    for (size_t i = 0; i < value->count; i++)
        add_value(text, tag, value->texts[i]);
    if (property->array)
        kvpbus_cim_text_add(text, "</VALUE.ARRAY>");
}

static void add_property(struct kvpbus_cim_text *text, const struct kvpbus_cim_object *object,
                         size_t index, enum kvpbus_cim_dtd dtd)
{
    const struct kvpbus_cim_property *property = &object->class->properties[index];
    const char *tag = property->type == KVPBUS_CIM_REFERENCE ? "PROPERTY.REFERENCE"
                      : property->array                      ? "PROPERTY.ARRAY"
                                                             : "PROPERTY";
    kvpbus_cim_text_add(text, "<");
    kvpbus_cim_text_add(text, tag);
    add_attribute(text, "NAME", property->name);
    if (dtd == KVPBUS_CIM_WMI_DTD_2_0)
        add_attribute(text, "CLASSORIGIN", kvpbus_cim_origin(object->class, index));
    if (property->propagated && !object->values[index].set)
        add_attribute(text, "PROPAGATED", "true");
    if (property->type != KVPBUS_CIM_REFERENCE)
        add_attribute(text, "TYPE", kvpbus_cim_type_text(property->type));
    kvpbus_cim_text_add(text, ">");
    add_values(text, property, &object->values[index]);
    kvpbus_cim_text_add(text, "</");
    kvpbus_cim_text_add(text, tag);
    kvpbus_cim_text_add(text, ">");
}

// The visible property that follows `last` in alphabetical order, or -1.
static int next_property(const struct kvpbus_cim_object *object, int last)
{
    const struct kvpbus_cim_property *properties = object->class->properties;
    int next = -1;
    for (int i = 0; i < (int)object->class->property_count; i++) {
        if ((object->visible >> i & 1) == 0 ||
            (last >= 0 && kvpbus_cim_compare(properties[i].name, properties[last].name) <= 0))
            continue;
        if (next < 0 || kvpbus_cim_compare(properties[i].name, properties[next].name) < 0)
            next = i;
    }
    return next;
}

char *kvpbus_cim_instance_text(const struct kvpbus_cim_object *object, enum kvpbus_cim_dtd dtd)
{
    struct kvpbus_cim_text text = {0};
    kvpbus_cim_text_add(&text, "<INSTANCE");
    add_attribute(&text, "CLASSNAME", object->class->name);
    kvpbus_cim_text_add(&text, ">");
    for (int i = next_property(object, -1); i >= 0; i = next_property(object, i))
        add_property(&text, object, (size_t)i, dtd);
    kvpbus_cim_text_add(&text, "</INSTANCE>");
    return kvpbus_cim_text_take(&text);
}

struct reader {
    XML_Parser parser;
    int depth;
    bool invalid;
    char property[32]; // of the PROPERTY that is open; longer names are none of ours
    bool in_value;
    struct kvpbus_cim_text value;
    struct kvpbus_cim_item *item;
    bool no_memory;
};

static const char *attribute(const char **attributes, const char *name)
{
    for (; *attributes != NULL; attributes += 2)
        if (strcmp(attributes[0], name) == 0)
            return attributes[1];
    return NULL;
}

static void refuse(struct reader *reader)
{
    reader->invalid = true;
    XML_StopParser(reader->parser, XML_FALSE);
}

static void XMLCALL on_start(void *context, const char *element, const char **attributes)
{
    struct reader *reader = context;
    reader->depth++;
    if (reader->depth > DEPTH_MAX) {
        refuse(reader);
    } else if (reader->depth == 1) {
        const char *class_name = attribute(attributes, "CLASSNAME");
        if (strcmp(element, "INSTANCE") != 0 || class_name == NULL ||
            kvpbus_cim_compare(class_name, "Msvm_KvpExchangeDataItem") != 0)
            refuse(reader);
    } else if (reader->depth == 2 && strcmp(element, "PROPERTY") == 0) {
        const char *name = attribute(attributes, "NAME");
        if (name == NULL)
            refuse(reader);
        else if (strlen(name) < sizeof reader->property)
            strcpy(reader->property, name);
    } else if (reader->depth == 3 && reader->property[0] != '\0' && strcmp(element, "VALUE") == 0) {
        reader->in_value = true;
    }
}

// A property that is there twice is none that a client sends.
static void store_text(struct reader *reader, char **target, char *value)
{
    if (*target != NULL) {
        refuse(reader);
        free(value);
        return;
    }
    *target = value;
}

static void store(struct reader *reader)
{
    struct kvpbus_cim_item *item = reader->item;
    char *value = kvpbus_cim_text_take(&reader->value);
    char *end = value;
    if (value == NULL) {
        reader->no_memory = true;
        refuse(reader);
    } else if (kvpbus_cim_compare(reader->property, "Name") == 0) {
        store_text(reader, &item->name, value);
    } else if (kvpbus_cim_compare(reader->property, "Data") == 0) {
        store_text(reader, &item->data, value);
    } else if (kvpbus_cim_compare(reader->property, "Source") == 0) {
        unsigned long source = strtoul(value, &end, 10);
        item->source = (unsigned)source;
        if (end == value || *end != '\0' || source > UINT16_MAX)
            refuse(reader);
        free(value);
    } else {
        free(value);
    }
}

static void XMLCALL on_end(void *context, const char *element)
{
    struct reader *reader = context;
    (void)element;
    if (reader->depth == 3 && reader->in_value) {
        store(reader);
        reader->in_value = false;
    }
    if (reader->depth == 2)
        reader->property[0] = '\0';
    reader->depth--;
}

static void XMLCALL on_text(void *context, const char *text, int length)
{
    struct reader *reader = context;
    if (reader->in_value && reader->depth == 3)
        kvpbus_cim_text_add_bytes(&reader->value, text, (size_t)length);
}

// No document of these has a type, and without one there are no entities to expand.
static void XMLCALL on_doctype(void *context, const char *name, const char *system_id,
                               const char *public_id, int has_internal_subset)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_internal_subset;
    refuse(context);
}

enum kvpbus_cim_item_result kvpbus_cim_item_parse(const char *text, struct kvpbus_cim_item *item)
{
    struct reader reader = {.item = item};
    size_t length = strlen(text);
    *item = (struct kvpbus_cim_item){0};
    if (length > KVPBUS_CIM_TEXT_MAX)
        return KVPBUS_CIM_ITEM_INVALID;
    reader.parser = XML_ParserCreate("UTF-8");
    if (reader.parser == NULL)
        return KVPBUS_CIM_ITEM_NOMEM;
    XML_SetUserData(reader.parser, &reader);
    XML_SetElementHandler(reader.parser, on_start, on_end);
    XML_SetCharacterDataHandler(reader.parser, on_text);
    XML_SetStartDoctypeDeclHandler(reader.parser, on_doctype);
    bool parsed = XML_Parse(reader.parser, text, (int)length, 1) == XML_STATUS_OK;
    if (XML_GetErrorCode(reader.parser) == XML_ERROR_NO_MEMORY)
        reader.no_memory = true;
    XML_ParserFree(reader.parser);
    free(reader.value.bytes);
    if (parsed && !reader.invalid)
        return KVPBUS_CIM_ITEM_OK;
    kvpbus_cim_item_clear(item);
    return reader.no_memory ? KVPBUS_CIM_ITEM_NOMEM : KVPBUS_CIM_ITEM_INVALID;
}

void kvpbus_cim_item_clear(struct kvpbus_cim_item *item)
{
    free(item->name);
    free(item->data);
    *item = (struct kvpbus_cim_item){0};
}
