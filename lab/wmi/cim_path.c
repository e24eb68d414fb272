// SPDX-License-Identifier: Apache-2.0
//
// Object paths: "\\SERVER\root\virtualization\v2:Class.Key=\"value\",…", written and read.
#include <stdlib.h>
#include <string.h>

#include "cim.h"
#include "text_buffer.h"

static void add_quoted(struct kvpbus_cim_text *text, const char *value)
{
    kvpbus_cim_text_add(text, "\"");
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"')
            kvpbus_cim_text_add(text, "\\");
        kvpbus_cim_text_add_bytes(text, value, 1);
    }
    kvpbus_cim_text_add(text, "\"");
}

// The key that follows `last` in alphabetical order, or -1.
static int next_key(const struct kvpbus_cim_class *class, int last)
{
    int next = -1;
    for (int i = 0; i < (int)class->property_count; i++) {
        const char *name = class->properties[i].name;
        if (!class->properties[i].key ||
            (last >= 0 && kvpbus_cim_compare(name, class->properties[last].name) <= 0))
            continue;
        if (next < 0 || kvpbus_cim_compare(name, class->properties[next].name) < 0)
            next = i;
    }
    return next;
}

char *kvpbus_cim_relative_path(const struct kvpbus_cim_object *object)
{
    struct kvpbus_cim_text text = {0};
    const struct kvpbus_cim_class *class = object->class;
    kvpbus_cim_text_add(&text, class->name);
    if (object->is_class)
        return kvpbus_cim_text_take(&text);
    const char *separator = ".";
    for (int key = next_key(class, -1); key >= 0; key = next_key(class, key)) {
        const char *value = kvpbus_cim_get(object, class->properties[key].name);
        if (value == NULL) {
            free(text.bytes);
            return NULL;
        }
        kvpbus_cim_text_add(&text, separator);
        kvpbus_cim_text_add(&text, class->properties[key].name);
        kvpbus_cim_text_add(&text, "=");
        add_quoted(&text, value);
        separator = ",";
    }
    if (*separator == '.') {
        free(text.bytes);
        return NULL;
    }
    return kvpbus_cim_text_take(&text);
}

char *kvpbus_cim_path(const struct kvpbus_cim_object *object, const struct kvpbus_cim_scope *scope)
{
    struct kvpbus_cim_text text = {0};
    char *relative = kvpbus_cim_relative_path(object);
    if (relative == NULL)
        return NULL;
    kvpbus_cim_text_add(&text, "\\\\");
    kvpbus_cim_text_add(&text, scope->server);
    kvpbus_cim_text_add(&text, "\\");
    kvpbus_cim_text_add(&text, scope->name_space);
    kvpbus_cim_text_add(&text, ":");
    kvpbus_cim_text_add(&text, relative);
    free(relative);
    return kvpbus_cim_text_take(&text);
}

static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// A name at *position, which is then behind it; the character there is given back in *end and
// becomes the end of the name.
static const char *take_name(char **position, char *end)
{
    char *start = *position;
    while (is_name_character(**position))
        ++*position;
    if (*position == start)
        return NULL;
    *end = **position;
    **position = '\0';
    return start;
}

// A quoted value or a number at *position; unescaped in place.
static const char *take_value(char **position, char *end)
{
    char *start = *position;
    char quote = *start;
    if (quote != '"' && quote != '\'')
        return take_name(position, end);
    char *to = start;
    char *from = start + 1;
    while (*from != '\0' && *from != quote) {
        if (*from == '\\' && from[1] != '\0')
            from++;
        *to++ = *from++;
    }
    if (*from != quote)
        return NULL;
    *end = from[1];
    *position = from + 1;
    *to = '\0';
    return start;
}

static bool take_keys(char *position, struct kvpbus_cim_reference *reference)
{
    for (char end = ','; end == ',';) {
        if (reference->key_count == KVPBUS_CIM_KEYS_MAX)
            return false;
        const char *name = take_name(&position, &end);
        if (name == NULL || end != '=')
            return false;
        position++;
        const char *value = take_value(&position, &end);
        if (value == NULL || (end != ',' && end != '\0'))
            return false;
        reference->keys[reference->key_count].name = name;
        reference->keys[reference->key_count++].value = value;
        position++;
    }
    return true;
}

// What follows the class's name: nothing, ".keys", "=value" or "=@".
static bool take_rest(char *position, char end, struct kvpbus_cim_reference *reference)
{
    if (end == '\0')
        return true;
    position++;
    reference->is_instance = true;
    if (end == '.')
        return take_keys(position, reference);
    if (end != '=')
        return false;
    if (strcmp(position, "@") == 0) {
        reference->singleton = true;
        return true;
    }
    reference->keys[0].value = take_value(&position, &end);
    reference->key_count = 1;
    return reference->keys[0].value != NULL && end == '\0';
}

// The given one may have slashes.
static bool same_namespace(const char *given, const char *own)
{
    while (*given != '\0' &&
           (*given == '/' ? *own == '\\' : kvpbus_cim_lower(*given) == kvpbus_cim_lower(*own))) {
        given++;
        own++;
    }
    return *given == '\0' && *own == '\0';
}

// The end of "[\\server\]namespace:", or NULL when the path has no such beginning.
static char *scope_end(char *path)
{
    char *colon = strchr(path, ':');
    char *quote = strpbrk(path, "\"'");
    return colon != NULL && (quote == NULL || colon < quote) ? colon : NULL;
}

static bool is_own_scope(char *given, const struct kvpbus_cim_scope *scope)
{
    if ((given[0] == '\\' || given[0] == '/') && (given[1] == '\\' || given[1] == '/')) {
        char *server = given + 2;
        given = strpbrk(server, "\\/");
        if (given == NULL)
            return false;
        *given++ = '\0';
        if (strcmp(server, ".") != 0 && kvpbus_cim_compare(server, "localhost") != 0 &&
            kvpbus_cim_compare(server, scope->server) != 0)
            return false;
    }
    return same_namespace(given, scope->name_space);
}

enum kvpbus_cim_path_result kvpbus_cim_path_parse(const char *path,
                                                  const struct kvpbus_cim_scope *scope,
                                                  struct kvpbus_cim_reference *reference)
{
    enum kvpbus_cim_path_result result = KVPBUS_CIM_PATH_OK;
    char end;
    *reference = (struct kvpbus_cim_reference){0};
    reference->text = strdup(path);
    if (reference->text == NULL)
        return KVPBUS_CIM_PATH_NOMEM;
    char *position = reference->text;
    char *colon = scope_end(position);
    if (colon != NULL) {
        *colon = '\0';
        if (!is_own_scope(position, scope))
            result = KVPBUS_CIM_PATH_ELSEWHERE;
        position = colon + 1;
    }
    if (result == KVPBUS_CIM_PATH_OK) {
        reference->class_name = take_name(&position, &end);
        if (reference->class_name == NULL || !take_rest(position, end, reference))
            result = KVPBUS_CIM_PATH_INVALID;
    }
    if (result != KVPBUS_CIM_PATH_OK) {
        free(reference->text);
        reference->text = NULL;
    }
    return result;
}

static size_t count_keys(const struct kvpbus_cim_class *class)
{
    size_t count = 0;
    for (size_t i = 0; i < class->property_count; i++)
        count += class->properties[i].key ? 1 : 0;
    return count;
}

bool kvpbus_cim_path_fits(const struct kvpbus_cim_reference *reference,
                          const struct kvpbus_cim_class *class)
{
    if (!reference->is_instance)
        return true;
    if (reference->singleton || reference->key_count != count_keys(class))
        return false;
    for (size_t i = 0; i < reference->key_count; i++) {
        if (reference->keys[i].name == NULL)
            continue;
        int index = kvpbus_cim_property_find(class, reference->keys[i].name);
        if (index < 0 || !class->properties[index].key)
            return false;
        for (size_t j = 0; j < i; j++)
            if (kvpbus_cim_compare(reference->keys[j].name, reference->keys[i].name) == 0)
                return false;
    }
    return true;
}

bool kvpbus_cim_path_names(const struct kvpbus_cim_reference *reference,
                           const struct kvpbus_cim_object *object)
{
    const struct kvpbus_cim_class *class = object->class;
    if (kvpbus_cim_compare(reference->class_name, class->name) != 0 ||
        !kvpbus_cim_path_fits(reference, class))
        return false;
    for (size_t i = 0; i < reference->key_count; i++) {
        const char *name = reference->keys[i].name;
        if (name == NULL)
            name = class->properties[next_key(class, -1)].name;
        const char *value = kvpbus_cim_get(object, name);
        if (value == NULL || kvpbus_cim_compare(value, reference->keys[i].value) != 0)
            return false;
    }
    return true;
}
