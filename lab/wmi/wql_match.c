// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wql.h"

enum { LIKE_STEPS_MAX = 1000000 };

// Bytes of the character of UTF-8 that begins here.
static size_t width(const char *text)
{
    size_t length = 1;
    while (((unsigned char)text[length] & 0xC0) == 0x80)
        length++;
    return length;
}

// Whether the character is one of "[…]"; *pattern then stands behind the bracket. A set that does
// not end matches nothing.
static bool in_set(const char *text, const char **pattern)
{
    const char *set = *pattern + 1;
    const char *end = strchr(set, ']');
    unsigned char c = kvpbus_cim_lower(*text);
    bool found = false;
    if (end == NULL)
        return false;
    bool excluded = *set == '^';
    for (set += excluded ? 1 : 0; set < end; set++) {
        const char *last = set[1] == '-' && set + 2 < end ? set + 2 : set;
        found = found || (kvpbus_cim_lower(*set) <= c && c <= kvpbus_cim_lower(*last));
        set = last;
    }
    *pattern = end + 1;
    return found != excluded;
}

static bool like(const char *text, const char *pattern, int *steps)
{
    while (*pattern != '\0') {
        if (--*steps < 0)
            return false;
        if (*pattern == '%') {
            do {
                if (like(text, pattern + 1, steps))
                    return true;
            } while (*text++ != '\0' && *steps > 0);
            return false;
        }
        if (*text == '\0')
            return false;
        if (*pattern == '[') {
            if (!in_set(text, &pattern))
                return false;
            text += width(text);
        } else if (*pattern == '_') {
            text += width(text);
            pattern++;
        } else if (kvpbus_cim_lower(*text++) != kvpbus_cim_lower(*pattern++)) {
            return false;
        }
    }
    return *text == '\0';
}

bool kvpbus_wql_like(const char *text, const char *pattern)
{
    int steps = LIKE_STEPS_MAX;
    return like(text, pattern, &steps);
}

static bool is_joint(const struct kvpbus_wql_node *node)
{
    return node->operator_ >= KVPBUS_WQL_AND;
}

// What stands for the object itself in a condition.
static bool is_object_name(const char *name)
{
    return kvpbus_cim_compare(name, "__CLASS") == 0 || kvpbus_cim_compare(name, "__THIS") == 0;
}

// What a client may ask of every object.
static bool is_system_name(const char *name)
{
    return kvpbus_cim_compare(name, "__CLASS") == 0 || kvpbus_cim_compare(name, "__RELPATH") == 0 ||
           kvpbus_cim_compare(name, "__PATH") == 0;
}

bool kvpbus_wql_fits(const struct kvpbus_wql_query *query, const struct kvpbus_cim_class *class)
{
    for (size_t i = 0; i < query->name_count; i++)
        if (!is_system_name(query->names[i]) &&
            kvpbus_cim_property_find(class, query->names[i]) < 0)
            return false;
    for (int i = 0; i < query->node_count; i++) {
        const struct kvpbus_wql_node *node = &query->nodes[i];
        if (is_joint(node) || is_object_name(node->property))
            continue;
        int index = kvpbus_cim_property_find(class, node->property);
        if (index < 0 || class->properties[index].array || node->operator_ == KVPBUS_WQL_ISA)
            return false;
    }
    return true;
}

static bool is_number_type(enum kvpbus_cim_type type)
{
    return type >= KVPBUS_CIM_UINT8 && type <= KVPBUS_CIM_UINT64;
}

// -1, 0 or 1 in *order; false when the two cannot be compared.
static bool order_of(const char *value, const struct kvpbus_wql_node *node, bool numbers,
                     int *order)
{
    if (!numbers) {
        *order = kvpbus_cim_compare(value, node->literal);
        return true;
    }
    char *end;
    errno = 0;
    long long right = strtoll(node->literal, &end, 10);
    if (*node->literal == '\0' || *end != '\0' || errno != 0)
        return false;
    long long left = strtoll(value, NULL, 10);
    *order = (left > right) - (left < right);
    return true;
}

static bool compare(const struct kvpbus_wql_node *node, const struct kvpbus_cim_object *object)
{
    int index = kvpbus_cim_property_find(object->class, node->property);
    const char *value = index < 0 ? object->class->name : NULL;
    if (index >= 0 && object->values[index].count > 0)
        value = object->values[index].texts[0];
    if (node->operator_ == KVPBUS_WQL_ISA)
        return kvpbus_cim_class_is(object->class, node->literal);
    if (node->literal == NULL || value == NULL) {
        bool both = node->literal == NULL && value == NULL;
        return node->operator_ == KVPBUS_WQL_EQUAL ? both : node->literal == NULL ? !both : false;
    }
    if (node->operator_ == KVPBUS_WQL_LIKE)
        return kvpbus_wql_like(value, node->literal);
    int order;
    bool numbers = index >= 0 && is_number_type(object->class->properties[index].type);
    if (!order_of(value, node, numbers, &order))
        return false;
    switch (node->operator_) {
    case KVPBUS_WQL_EQUAL:
        return order == 0;
    case KVPBUS_WQL_NOT_EQUAL:
        return order != 0;
    case KVPBUS_WQL_LESS:
        return order < 0;
    case KVPBUS_WQL_GREATER:
        return order > 0;
    case KVPBUS_WQL_AT_MOST:
        return order <= 0;
    default:
        return order >= 0;
    }
}

static bool holds(const struct kvpbus_wql_query *query, int index,
                  const struct kvpbus_cim_object *object)
{
    const struct kvpbus_wql_node *node = &query->nodes[index];
    switch (node->operator_) {
    case KVPBUS_WQL_AND:
        return holds(query, node->left, object) && holds(query, node->right, object);
    case KVPBUS_WQL_OR:
        return holds(query, node->left, object) || holds(query, node->right, object);
    case KVPBUS_WQL_NOT:
        return !holds(query, node->left, object);
    default:
        return compare(node, object);
    }
}

bool kvpbus_wql_matches(const struct kvpbus_wql_query *query,
                        const struct kvpbus_cim_object *object)
{
    return query->root < 0 || holds(query, query->root, object);
}

uint64_t kvpbus_wql_selection(const struct kvpbus_wql_query *query,
                              const struct kvpbus_cim_class *class)
{
    uint64_t selection = 0;
    if (query->name_count == 0)
        return (UINT64_C(1) << class->property_count) - 1;
    for (size_t i = 0; i < query->name_count; i++) {
        int index = kvpbus_cim_property_find(class, query->names[i]);
        if (index >= 0)
            selection |= UINT64_C(1) << index;
    }
    return selection;
}
