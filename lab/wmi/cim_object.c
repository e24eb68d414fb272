// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cim.h"

enum { LIST_FIRST = 16 };

unsigned char kvpbus_cim_lower(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte - 'A' + 'a') : byte;
}

int kvpbus_cim_compare(const char *left, const char *right)
{
    while (*left != '\0' && kvpbus_cim_lower(*left) == kvpbus_cim_lower(*right)) {
        left++;
        right++;
    }
    return (int)kvpbus_cim_lower(*left) - (int)kvpbus_cim_lower(*right);
}

bool kvpbus_cim_class_is(const struct kvpbus_cim_class *class, const char *name)
{
    bool is = kvpbus_cim_compare(class->name, name) == 0;
    for (const char *const *base = class->bases; !is && *base != NULL; base++)
        is = kvpbus_cim_compare(*base, name) == 0;
    return is;
}

// Of the bases only the nearest is named.
const char *kvpbus_cim_origin(const struct kvpbus_cim_class *class, size_t index)
{
    bool inherited = class->properties[index].propagated && class->bases[0] != NULL;
    return inherited ? class->bases[0] : class->name;
}

int kvpbus_cim_property_find(const struct kvpbus_cim_class *class, const char *name)
{
    for (size_t i = 0; i < class->property_count; i++)
        if (kvpbus_cim_compare(class->properties[i].name, name) == 0)
            return (int)i;
    return -1;
}

const struct kvpbus_cim_method *kvpbus_cim_method_find(const struct kvpbus_cim_class *class,
                                                       const char *name)
{
    for (size_t i = 0; i < class->method_count; i++)
        if (kvpbus_cim_compare(class->methods[i].name, name) == 0)
            return &class->methods[i];
    return NULL;
}

const char *kvpbus_cim_type_text(enum kvpbus_cim_type type)
{
    static const char *const texts[] = {
        [KVPBUS_CIM_STRING] = "string", [KVPBUS_CIM_BOOLEAN] = "boolean",
        [KVPBUS_CIM_UINT8] = "uint8",   [KVPBUS_CIM_SINT8] = "sint8",
        [KVPBUS_CIM_UINT16] = "uint16", [KVPBUS_CIM_UINT32] = "uint32",
        [KVPBUS_CIM_UINT64] = "uint64", [KVPBUS_CIM_DATETIME] = "datetime",
        [KVPBUS_CIM_REFERENCE] = "ref",
    };
    return texts[type];
}

void kvpbus_cim_value_clear(struct kvpbus_cim_value *value)
{
    for (size_t i = 0; i < value->count; i++)
        free(value->texts[i]);
    free(value->texts);
    *value = (struct kvpbus_cim_value){0};
}

static bool push(struct kvpbus_cim_value *value, const char *text)
{
    if (value->count >= KVPBUS_CIM_ELEMENTS_MAX)
        return false;
    char *copy = strdup(text);
    char **texts = realloc(value->texts, (value->count + 1) * sizeof *texts);
    if (texts != NULL)
        value->texts = texts;
    if (copy == NULL || texts == NULL) {
        free(copy);
        return false;
    }
    value->texts[value->count++] = copy;
    value->set = true;
    return true;
}

static struct kvpbus_cim_value *value_of(struct kvpbus_cim_object *object, const char *name)
{
    int index = kvpbus_cim_property_find(object->class, name);
    assert(index >= 0);
    return &object->values[index];
}

bool kvpbus_cim_set(struct kvpbus_cim_object *object, const char *name, const char *text)
{
    struct kvpbus_cim_value *value = value_of(object, name);
    kvpbus_cim_value_clear(value);
    return text == NULL || push(value, text);
}

bool kvpbus_cim_set_number(struct kvpbus_cim_object *object, const char *name, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    return kvpbus_cim_set(object, name, text);
}

bool kvpbus_cim_append(struct kvpbus_cim_object *object, const char *name, const char *text)
{
    return push(value_of(object, name), text);
}

void kvpbus_cim_set_empty(struct kvpbus_cim_object *object, const char *name)
{
    struct kvpbus_cim_value *value = value_of(object, name);
    kvpbus_cim_value_clear(value);
    value->set = true;
}

const char *kvpbus_cim_get(const struct kvpbus_cim_object *object, const char *name)
{
    int index = kvpbus_cim_property_find(object->class, name);
    if (index < 0 || (object->visible >> index & 1) == 0 || object->values[index].count == 0)
        return NULL;
    return object->values[index].texts[0];
}

static struct kvpbus_cim_object *make(const struct kvpbus_cim_class *class)
{
    assert(class->property_count < KVPBUS_CIM_PROPERTIES_MAX);
    struct kvpbus_cim_object *object = calloc(1, sizeof *object);
    if (object == NULL)
        return NULL;
    object->class = class;
    object->visible = (UINT64_C(1) << class->property_count) - 1;
    return object;
}

struct kvpbus_cim_object *kvpbus_cim_object_new(const struct kvpbus_cim_class *class)
{
    struct kvpbus_cim_object *object = make(class);
    if (object == NULL)
        return NULL;
    for (size_t i = 0; i < class->property_count; i++) {
        const char *initial = class->properties[i].initial;
        if (initial != NULL && !push(&object->values[i], initial)) {
            kvpbus_cim_object_free(object);
            return NULL;
        }
    }
    return object;
}

struct kvpbus_cim_object *kvpbus_cim_object_copy(const struct kvpbus_cim_object *object)
{
    struct kvpbus_cim_object *copy = make(object->class);
    bool copied = copy != NULL;
    for (size_t i = 0; copied && i < object->class->property_count; i++) {
        copy->values[i].set = object->values[i].set;
        for (size_t j = 0; copied && j < object->values[i].count; j++)
            copied = push(&copy->values[i], object->values[i].texts[j]);
    }
    if (!copied) {
        kvpbus_cim_object_free(copy);
        return NULL;
    }
    copy->is_class = object->is_class;
    copy->visible = object->visible;
    return copy;
}

void kvpbus_cim_object_free(struct kvpbus_cim_object *object)
{
    if (object == NULL)
        return;
    for (size_t i = 0; i < object->class->property_count; i++)
        kvpbus_cim_value_clear(&object->values[i]);
    free(object);
}

bool kvpbus_cim_list_add(struct kvpbus_cim_list *list, struct kvpbus_cim_object *object)
{
    if (object == NULL)
        return false;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? LIST_FIRST : list->capacity * 2;
        struct kvpbus_cim_object **objects = realloc(list->objects, capacity * sizeof *objects);
        if (objects == NULL) {
            kvpbus_cim_object_free(object);
            return false;
        }
        list->objects = objects;
        list->capacity = capacity;
    }
    list->objects[list->count++] = object;
    return true;
}

void kvpbus_cim_list_free(struct kvpbus_cim_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        kvpbus_cim_object_free(list->objects[i]);
    free(list->objects);
    *list = (struct kvpbus_cim_list){0};
}
