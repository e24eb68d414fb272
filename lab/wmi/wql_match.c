// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wql.h"

// Bytes of the character of UTF-8 that begins here; 1 at the text's end.
static size_t width(const char *text)
{
    size_t length = 1;
    if ((unsigned char)*text < 0xC0)
        return length;
    while (length < 4 && ((unsigned char)text[length] & 0xC0) == 0x80)
        length++;
    return length;
}

// The character that begins here, as a number: its bytes, which are in the order of characters.
// Case does not matter, of ASCII letters.
static uint32_t character(const char *text)
{
    uint32_t number = kvpbus_cim_lower(*text);
    for (size_t i = 1; i < width(text); i++)
        number = number << 8 | (unsigned char)text[i];
    return number;
}

// Whether the character is one of "[…]"; *pattern then stands behind the bracket. A set that does
// not end matches nothing.
static bool in_set(uint32_t c, const char **pattern)
{
    const char *set = *pattern + 1;
    const char *end = strchr(set, ']');
    bool found = false;
    if (end == NULL)
        return false;
    bool excluded = *set == '^';
    for (set += excluded ? 1 : 0; set < end; set += width(set)) {
        const char *first = set;
        const char *dash = set + width(set);
        if (*dash == '-' && dash + 1 < end)
            set = dash + 1;
        found = found || (character(first) <= c && c <= character(set));
    }
    *pattern = end + 1;
    return found != excluded;
}

// Whether the next character of the text is what the pattern, which does not begin with %, begins
// with; both then stand behind it.
static bool take_one(const char **text, const char **pattern)
{
    uint32_t c = character(*text);
    if (**pattern == '[') {
        if (!in_set(c, pattern))
            return false;
    } else {
        if (**pattern != '_' && character(*pattern) != c)
            return false;
        *pattern += width(*pattern);
    }
    *text += width(*text);
    return true;
}

// Only the last % has to be able to take more: what stands before it has its text.
bool kvpbus_wql_like(const char *text, const char *pattern)
{
    const char *behind_any = NULL; // in the pattern
    const char *not_taken = NULL;  // by that %, in the text
    while (*text != '\0') {
        if (*pattern == '%') {
            behind_any = ++pattern;
            not_taken = text;
        } else if (!take_one(&text, &pattern)) {
            if (behind_any == NULL)
                return false;
            not_taken += width(not_taken);
            text = not_taken;
            pattern = behind_any;
        }
    }
    return pattern[strspn(pattern, "%")] == '\0';
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

static bool is_path_name(const char *name)
{
    return kvpbus_cim_compare(name, "__RELPATH") == 0 || kvpbus_cim_compare(name, "__PATH") == 0;
}

// What a client may ask of every object.
static bool is_system_name(const char *name)
{
    return kvpbus_cim_compare(name, "__CLASS") == 0 || is_path_name(name);
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
        // A path is made of the keys.
        for (size_t key = 0; is_path_name(query->names[i]) && key < class->property_count; key++)
            selection |= (uint64_t) class->properties[key].key << key;
    }
    return selection;
}
