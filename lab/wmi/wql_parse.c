// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "wql.h"

enum token {
    TOKEN_END,
    TOKEN_WORD, // a name or a keyword
    TOKEN_STRING,
    TOKEN_NUMBER,
    TOKEN_OPERATOR,
    TOKEN_STAR,
    TOKEN_COMMA,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_PATH, // {…}
    TOKEN_BAD,
};

struct parser {
    struct kvpbus_wql_query *query;
    const char *position;
    char *free; // where the text of the next token goes: query->text has room for all
    enum token token;
    const char *text;
    enum kvpbus_wql_operator operator_;
    int depth;
};

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static void begin_text(struct parser *parser)
{
    parser->text = parser->free;
}

static void keep(struct parser *parser, const char *bytes, size_t length)
{
    memcpy(parser->free, bytes, length);
    parser->free += length;
}

static void end_text(struct parser *parser, const char *behind)
{
    *parser->free++ = '\0';
    parser->position = behind;
}

// \\, \' and \" in a text between quotes. Anything else behind a backslash is an error.
static enum token quoted(struct parser *parser)
{
    char quote = *parser->position;
    const char *from = parser->position + 1;
    begin_text(parser);
    for (; *from != quote; from++) {
        if (*from == '\\') {
            from++;
            if (*from != '\\' && *from != '\'' && *from != '"')
                return TOKEN_BAD;
        }
        if (*from == '\0')
            return TOKEN_BAD;
        keep(parser, from, 1);
    }
    end_text(parser, from + 1);
    return TOKEN_STRING;
}

static enum token path(struct parser *parser)
{
    char quote = '\0';
    const char *start = parser->position + 1;
    const char *end = start;
    for (; *end != '\0' && (quote != '\0' || *end != '}'); end++) {
        if (quote != '\0' && *end == '\\' && end[1] != '\0')
            end++;
        else if (*end == quote)
            quote = '\0';
        else if (quote == '\0' && (*end == '"' || *end == '\''))
            quote = *end;
    }
    if (*end != '}')
        return TOKEN_BAD;
    begin_text(parser);
    keep(parser, start, (size_t)(end - start));
    end_text(parser, end + 1);
    return TOKEN_PATH;
}

static enum token comparison(struct parser *parser)
{
    static const struct {
        const char *text;
        enum kvpbus_wql_operator operator_;
    } operators[] = {
        {"<>", KVPBUS_WQL_NOT_EQUAL}, {"!=", KVPBUS_WQL_NOT_EQUAL}, {"<=", KVPBUS_WQL_AT_MOST},
        {">=", KVPBUS_WQL_AT_LEAST},  {"=", KVPBUS_WQL_EQUAL},      {"<", KVPBUS_WQL_LESS},
        {">", KVPBUS_WQL_GREATER},
    };
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        size_t length = strlen(operators[i].text);
        if (strncmp(parser->position, operators[i].text, length) != 0)
            continue;
        parser->position += length;
        parser->operator_ = operators[i].operator_;
        return TOKEN_OPERATOR;
    }
    return TOKEN_BAD;
}

static enum token word_or_number(struct parser *parser)
{
    const char *start = parser->position;
    const char *end = start + (*start == '-' ? 1 : 0);
    const char *first = end;
    bool digits = true;
    for (; is_word(*end); end++)
        digits = digits && *end >= '0' && *end <= '9';
    bool starts_as_number = *first >= '0' && *first <= '9';
    if (end == first || (!digits && (starts_as_number || first != start)))
        return TOKEN_BAD;
    begin_text(parser);
    keep(parser, start, (size_t)(end - start));
    end_text(parser, end);
    return digits ? TOKEN_NUMBER : TOKEN_WORD;
}

static enum token single(struct parser *parser, enum token token)
{
    parser->position++;
    return token;
}

static enum token scan(struct parser *parser)
{
    parser->position += strspn(parser->position, " \t\r\n");
    switch (*parser->position) {
    case '\0':
        return TOKEN_END;
    case '*':
        return single(parser, TOKEN_STAR);
    case ',':
        return single(parser, TOKEN_COMMA);
    case '(':
        return single(parser, TOKEN_OPEN);
    case ')':
        return single(parser, TOKEN_CLOSE);
    case '{':
        return path(parser);
    case '"':
    case '\'':
        return quoted(parser);
    case '=':
    case '<':
    case '>':
    case '!':
        return comparison(parser);
    default:
        return word_or_number(parser);
    }
}

static void next(struct parser *parser)
{
    parser->token = scan(parser);
}

static bool keyword(const struct parser *parser, const char *word)
{
    return parser->token == TOKEN_WORD && kvpbus_cim_compare(parser->text, word) == 0;
}

static bool accept(struct parser *parser, const char *word)
{
    if (!keyword(parser, word))
        return false;
    next(parser);
    return true;
}

static bool accept_token(struct parser *parser, enum token token)
{
    if (parser->token != token)
        return false;
    next(parser);
    return true;
}

// A name that is needed here. NULL when there is none.
static const char *name(struct parser *parser)
{
    const char *text = parser->text;
    return accept_token(parser, TOKEN_WORD) ? text : NULL;
}

static int add_node(struct parser *parser, const struct kvpbus_wql_node *node)
{
    struct kvpbus_wql_query *query = parser->query;
    if (query->node_count == KVPBUS_WQL_NODES_MAX)
        return -1;
    query->nodes[query->node_count] = *node;
    return query->node_count++;
}

static int condition(struct parser *parser);

static bool is_literal(const struct parser *parser)
{
    return parser->token == TOKEN_STRING || parser->token == TOKEN_NUMBER ||
           keyword(parser, "TRUE") || keyword(parser, "FALSE") || keyword(parser, "NULL");
}

static bool literal(struct parser *parser, struct kvpbus_wql_node *node)
{
    if (!is_literal(parser))
        return false;
    bool null = keyword(parser, "NULL");
    node->literal = null ? NULL : parser->text;
    node->is_number = parser->token == TOKEN_NUMBER;
    next(parser);
    return true;
}

static bool operator_of(struct parser *parser, struct kvpbus_wql_node *node)
{
    node->operator_ = parser->operator_;
    if (accept_token(parser, TOKEN_OPERATOR))
        return true;
    node->operator_ = keyword(parser, "LIKE") ? KVPBUS_WQL_LIKE : KVPBUS_WQL_ISA;
    return accept(parser, "LIKE") || accept(parser, "ISA");
}

static enum kvpbus_wql_operator mirrored(enum kvpbus_wql_operator operator_)
{
    switch (operator_) {
    case KVPBUS_WQL_LESS:
        return KVPBUS_WQL_GREATER;
    case KVPBUS_WQL_GREATER:
        return KVPBUS_WQL_LESS;
    case KVPBUS_WQL_AT_MOST:
        return KVPBUS_WQL_AT_LEAST;
    case KVPBUS_WQL_AT_LEAST:
        return KVPBUS_WQL_AT_MOST;
    default:
        return operator_;
    }
}

// LIKE and ISA want text; null is neither less nor more than anything.
static int add_comparison(struct parser *parser, const struct kvpbus_wql_node *node)
{
    bool needs_text = node->operator_ == KVPBUS_WQL_LIKE || node->operator_ == KVPBUS_WQL_ISA;
    bool ordered = node->operator_ >= KVPBUS_WQL_LESS && node->operator_ <= KVPBUS_WQL_AT_LEAST;
    if (needs_text && (node->literal == NULL || node->is_number))
        return -1;
    return ordered && node->literal == NULL ? -1 : add_node(parser, node);
}

// "property operator literal", "literal operator property" or "property IS [NOT] NULL".
static int comparison_of(struct parser *parser)
{
    struct kvpbus_wql_node node = {0};
    if (is_literal(parser)) {
        if (!literal(parser, &node) || !operator_of(parser, &node) ||
            node.operator_ >= KVPBUS_WQL_LIKE || (node.property = name(parser)) == NULL)
            return -1;
        node.operator_ = mirrored(node.operator_);
        return add_comparison(parser, &node);
    }
    node.property = name(parser);
    if (node.property == NULL)
        return -1;
    if (accept(parser, "IS")) {
        node.operator_ = accept(parser, "NOT") ? KVPBUS_WQL_NOT_EQUAL : KVPBUS_WQL_EQUAL;
        return accept(parser, "NULL") ? add_node(parser, &node) : -1;
    }
    if (!operator_of(parser, &node) || !literal(parser, &node))
        return -1;
    return add_comparison(parser, &node);
}

static int factor(struct parser *parser)
{
    int result;
    if (++parser->depth > KVPBUS_WQL_DEPTH_MAX)
        return -1;
    if (accept(parser, "NOT")) {
        struct kvpbus_wql_node node = {.operator_ = KVPBUS_WQL_NOT};
        node.left = factor(parser);
        result = node.left < 0 ? -1 : add_node(parser, &node);
    } else if (accept_token(parser, TOKEN_OPEN)) {
        result = condition(parser);
        if (!accept_token(parser, TOKEN_CLOSE))
            result = -1;
    } else {
        result = comparison_of(parser);
    }
    parser->depth--;
    return result;
}

static int joined(struct parser *parser, const char *word, enum kvpbus_wql_operator operator_,
                  int (*part)(struct parser *parser))
{
    int left = part(parser);
    while (left >= 0 && accept(parser, word)) {
        struct kvpbus_wql_node node = {.operator_ = operator_, .left = left};
        node.right = part(parser);
        left = node.right < 0 ? -1 : add_node(parser, &node);
    }
    return left;
}

static int term(struct parser *parser)
{
    return joined(parser, "AND", KVPBUS_WQL_AND, factor);
}

static int condition(struct parser *parser)
{
    return joined(parser, "OR", KVPBUS_WQL_OR, term);
}

static bool select_list(struct parser *parser)
{
    struct kvpbus_wql_query *query = parser->query;
    if (accept_token(parser, TOKEN_STAR))
        return true;
    do {
        const char *text = name(parser);
        if (text == NULL || query->name_count == KVPBUS_WQL_NAMES_MAX)
            return false;
        query->names[query->name_count++] = text;
    } while (accept_token(parser, TOKEN_COMMA));
    return true;
}

static bool select_query(struct parser *parser)
{
    struct kvpbus_wql_query *query = parser->query;
    query->kind = KVPBUS_WQL_SELECT;
    if (!select_list(parser) || !accept(parser, "FROM") ||
        (query->class_name = name(parser)) == NULL)
        return false;
    if (!accept(parser, "WHERE"))
        return true;
    query->root = condition(parser);
    return query->root >= 0;
}

static bool narrowing(struct parser *parser)
{
    struct kvpbus_wql_query *query = parser->query;
    bool associators = query->kind == KVPBUS_WQL_ASSOCIATORS;
    const char *key = name(parser);
    bool equals = parser->token == TOKEN_OPERATOR && parser->operator_ == KVPBUS_WQL_EQUAL;
    if (key == NULL || !equals)
        return false;
    next(parser);
    const char *value = name(parser);
    const char **target = NULL;
    if (kvpbus_cim_compare(key, "ResultClass") == 0)
        target = &query->result_class;
    else if (kvpbus_cim_compare(key, "Role") == 0)
        target = &query->role;
    else if (associators && kvpbus_cim_compare(key, "AssocClass") == 0)
        target = &query->association;
    else if (associators && kvpbus_cim_compare(key, "ResultRole") == 0)
        target = &query->result_role;
    if (value == NULL || target == NULL || *target != NULL)
        return false;
    *target = value;
    return true;
}

static bool related_query(struct parser *parser, enum kvpbus_wql_kind kind)
{
    struct kvpbus_wql_query *query = parser->query;
    query->kind = kind;
    if (!accept(parser, "OF"))
        return false;
    query->path = parser->text;
    if (!accept_token(parser, TOKEN_PATH))
        return false;
    if (!accept(parser, "WHERE"))
        return true;
    do {
        if (!narrowing(parser))
            return false;
    } while (parser->token != TOKEN_END);
    return true;
}

static bool parse(struct parser *parser)
{
    next(parser);
    bool understood = false;
    if (accept(parser, "SELECT"))
        understood = select_query(parser);
    else if (accept(parser, "ASSOCIATORS"))
        understood = related_query(parser, KVPBUS_WQL_ASSOCIATORS);
    else if (accept(parser, "REFERENCES"))
        understood = related_query(parser, KVPBUS_WQL_REFERENCES);
    return understood && parser->token == TOKEN_END;
}

enum kvpbus_wql_result kvpbus_wql_parse(const char *text, struct kvpbus_wql_query **out)
{
    size_t length = strlen(text);
    if (length > KVPBUS_WQL_TEXT_MAX)
        return KVPBUS_WQL_INVALID;
    struct kvpbus_wql_query *query = calloc(1, sizeof *query);
    if (query == NULL)
        return KVPBUS_WQL_NOMEM;
    query->root = -1;
    // A token and its end take at most twice as much as they do in the query.
    query->text = malloc(2 * length + 1);
    if (query->text == NULL) {
        kvpbus_wql_free(query);
        return KVPBUS_WQL_NOMEM;
    }
    struct parser parser = {.query = query, .position = text, .free = query->text};
    if (!parse(&parser)) {
        kvpbus_wql_free(query);
        return KVPBUS_WQL_INVALID;
    }
    *out = query;
    return KVPBUS_WQL_OK;
}

void kvpbus_wql_free(struct kvpbus_wql_query *query)
{
    if (query != NULL)
        free(query->text);
    free(query);
}
