// SPDX-License-Identifier: Apache-2.0
//
// WQL, as far as a client of these classes needs it:
//   SELECT * | name, … FROM Class [WHERE condition]
//   ASSOCIATORS OF {path} [WHERE AssocClass = C ResultClass = C Role = P ResultRole = P]
//   REFERENCES OF {path} [WHERE ResultClass = C Role = P]
// A condition has AND, OR, NOT, parentheses, = <> != < > <= >= LIKE ISA, IS [NOT] NULL, strings in
// either kind of quotes with \\ \' \", numbers, TRUE, FALSE and NULL. Everything else is refused.
#ifndef KVPBUS_LAB_WMI_WQL_H
#define KVPBUS_LAB_WMI_WQL_H

#include "cim.h"

enum {
    KVPBUS_WQL_TEXT_MAX = 16 * 1024,
    KVPBUS_WQL_NODES_MAX = 256, // comparisons and what joins them
    KVPBUS_WQL_DEPTH_MAX = 32,
    KVPBUS_WQL_NAMES_MAX = KVPBUS_CIM_PROPERTIES_MAX,
};

enum kvpbus_wql_kind { KVPBUS_WQL_SELECT, KVPBUS_WQL_ASSOCIATORS, KVPBUS_WQL_REFERENCES };

enum kvpbus_wql_operator {
    KVPBUS_WQL_EQUAL,
    KVPBUS_WQL_NOT_EQUAL,
    KVPBUS_WQL_LESS,
    KVPBUS_WQL_GREATER,
    KVPBUS_WQL_AT_MOST,
    KVPBUS_WQL_AT_LEAST,
    KVPBUS_WQL_LIKE,
    KVPBUS_WQL_ISA,
    KVPBUS_WQL_AND,
    KVPBUS_WQL_OR,
    KVPBUS_WQL_NOT,
};

struct kvpbus_wql_node {
    enum kvpbus_wql_operator operator_;
    int left, right;      // of AND, OR and NOT (left only)
    const char *property; // of the others
    const char *literal;  // NULL: null
    bool is_number;
};

struct kvpbus_wql_query {
    enum kvpbus_wql_kind kind;
    char *text; // what the rest points into
    const char *class_name;
    const char *names[KVPBUS_WQL_NAMES_MAX];
    size_t name_count; // 0: all
    struct kvpbus_wql_node nodes[KVPBUS_WQL_NODES_MAX];
    int node_count;
    int root; // -1: no condition
    // ASSOCIATORS and REFERENCES; each NULL when it is not given.
    const char *path;
    const char *association, *result_class, *role, *result_role;
};

enum kvpbus_wql_result { KVPBUS_WQL_OK, KVPBUS_WQL_INVALID, KVPBUS_WQL_NOMEM };

// On KVPBUS_WQL_OK the caller frees with kvpbus_wql_free; on the others there is nothing to free.
enum kvpbus_wql_result kvpbus_wql_parse(const char *text, struct kvpbus_wql_query **query);
void kvpbus_wql_free(struct kvpbus_wql_query *query);

// True when all properties that the query names are of the class and can be compared: arrays
// cannot.
bool kvpbus_wql_fits(const struct kvpbus_wql_query *query, const struct kvpbus_cim_class *class);

// Whether the object fulfils the condition.
bool kvpbus_wql_matches(const struct kvpbus_wql_query *query,
                        const struct kvpbus_cim_object *object);

// The properties of the class that the query asks for, as struct kvpbus_cim_object has them.
uint64_t kvpbus_wql_selection(const struct kvpbus_wql_query *query,
                              const struct kvpbus_cim_class *class);

// LIKE: % any text, _ one character, [a-f] and [^a-f] sets. Characters are those of UTF-8.
bool kvpbus_wql_like(const char *text, const char *pattern);

#endif
