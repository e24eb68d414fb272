// SPDX-License-Identifier: Apache-2.0
#include "kvp_item_text.h"

#include <expat.h>
#include <stdlib.h>
#include <string.h>

// What is read now.
enum place { ELSEWHERE, IN_INSTANCE, IN_PROPERTY, IN_VALUE };

struct target {
    char *bytes;
    size_t room;
    size_t *length;
    bool *set;
};

struct reading {
    XML_Parser parser;
    struct kvpbus_item_text *item;
    enum place place;
    unsigned depth, elements;
    struct target target; // of the property that is being read; no bytes: it does not matter
    const char *refused;  // why, unless the XML itself is wrong
};

static void refuse(struct reading *reading, const char *why)
{
    if (reading->refused == NULL)
        reading->refused = why;
    XML_StopParser(reading->parser, XML_FALSE);
}

static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static bool same_name(const char *left, const char *right)
{
    while (*left != '\0' && lower(*left) == lower(*right)) {
        left++;
        right++;
    }
    return *left == *right;
}

// Property names have no case in WMI, the element names of the document type have.
static void begin_property(struct reading *reading, const char **attributes)
{
    struct kvpbus_item_text *item = reading->item;
    const char *name = "";
    for (; attributes[0] != NULL; attributes += 2) {
        if (strcmp(attributes[0], "NAME") == 0)
            name = attributes[1];
    }
    reading->place = IN_PROPERTY;
    reading->target = (struct target){0};
    if (same_name(name, "Name"))
        reading->target =
            (struct target){item->name, sizeof item->name, &item->name_length, &item->name_set};
    else if (same_name(name, "Data"))
        reading->target =
            (struct target){item->data, sizeof item->data, &item->data_length, &item->data_set};
}

static void begin_value(struct reading *reading)
{
    bool *set = reading->target.set;
    reading->place = IN_VALUE;
    if (set != NULL && *set)
        refuse(reading, "a property has two values");
    if (set != NULL)
        *set = true;
}

static void XMLCALL on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *reading = context;
    if (++reading->elements > KVPBUS_ITEM_TEXT_ELEMENTS ||
        reading->depth == KVPBUS_ITEM_TEXT_DEPTH) {
        refuse(reading, "it has too many elements");
        return;
    }
    unsigned depth = reading->depth++;
    if (depth == 0) {
        reading->place = IN_INSTANCE;
        if (strcmp(name, "INSTANCE") != 0)
            refuse(reading, "it is not an INSTANCE");
    } else if (reading->place == IN_VALUE) {
        refuse(reading, "a value has elements in it");
    } else if (depth == 1 && strcmp(name, "PROPERTY") == 0) {
        begin_property(reading, attributes);
    } else if (depth == 2 && reading->place == IN_PROPERTY && strcmp(name, "VALUE") == 0) {
        begin_value(reading);
    }
}

static void XMLCALL on_end(void *context, const XML_Char *name)
{
    struct reading *reading = context;
    (void)name;
    reading->depth--;
    if (reading->place == IN_VALUE)
        reading->place = IN_PROPERTY;
    else if (reading->depth == 1)
        reading->place = IN_INSTANCE;
}

static void XMLCALL on_text(void *context, const XML_Char *text, int length)
{
    struct reading *reading = context;
    struct target *target = &reading->target;
    if (reading->place != IN_VALUE || target->bytes == NULL)
        return;
    size_t taken = (size_t)length;
    size_t room = *target->length < target->room ? target->room - *target->length : 0;
    memcpy(target->bytes + *target->length, text, taken < room ? taken : room);
    *target->length += taken;
}

static void XMLCALL on_doctype(void *context, const XML_Char *name, const XML_Char *system_id,
                               const XML_Char *public_id, int internal_subset)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)internal_subset;
    refuse(context, "it has a document type");
}

enum kvpbus_error kvpbus_item_text_parse(const char *text, size_t length,
                                         struct kvpbus_item_text *item,
                                         struct kvpbus_failure *failure)
{
    struct reading reading = {.item = item};
    memset(item, 0, sizeof *item);
    if (length > KVPBUS_ITEM_TEXT_MAX)
        return kvpbus_fail(failure, KVPBUS_TOO_LARGE,
                           "the text of an item has %zu bytes, at most %d are read", length,
                           KVPBUS_ITEM_TEXT_MAX);
    // Named here, so that the tests can make each of the parser's allocations fail.
    static const XML_Memory_Handling_Suite memory = {malloc, realloc, free};
    reading.parser = XML_ParserCreate_MM("UTF-8", &memory, NULL);
    if (reading.parser == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "reading the text of an item");
    XML_SetUserData(reading.parser, &reading);
    XML_SetElementHandler(reading.parser, on_start, on_end);
    XML_SetCharacterDataHandler(reading.parser, on_text);
    XML_SetStartDoctypeDeclHandler(reading.parser, on_doctype);
    enum XML_Status status = XML_Parse(reading.parser, text, (int)length, XML_TRUE);
    enum XML_Error code = XML_GetErrorCode(reading.parser);
    XML_ParserFree(reading.parser);
    if (status == XML_STATUS_OK && reading.refused == NULL)
        return KVPBUS_OK;
    memset(item, 0, sizeof *item);
    if (code == XML_ERROR_NO_MEMORY)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "reading the text of an item");
    return kvpbus_fail(failure, KVPBUS_BAD_ITEM, "the text of an item cannot be read: %s",
                       reading.refused != NULL ? reading.refused : XML_ErrorString(code));
}

enum kvpbus_error kvpbus_item_text_scan(struct kvpbus_scan *scan, const char *prefix,
                                        const char *text, size_t length)
{
    struct kvpbus_item_text item;
    enum kvpbus_error error = kvpbus_item_text_parse(text, length, &item, NULL);
    if (error == KVPBUS_NOMEM)
        return error;
    if (error != KVPBUS_OK)
        scan->skipped++;
    else if (!item.name_set)
        scan->foreign++;
    else
        return kvpbus_scan_add(scan, prefix, item.name, item.name_length, item.data,
                               item.data_set ? item.data_length : SIZE_MAX);
    return KVPBUS_OK;
}

// --- writing ---

struct writing {
    char *text;
    size_t size, length;
    bool failed;
};

static void put(struct writing *writing, const char *text)
{
    size_t length = strlen(text);
    if (writing->failed || length >= writing->size - writing->length) {
        writing->failed = true;
        return;
    }
    memcpy(writing->text + writing->length, text, length + 1);
    writing->length += length;
}

// Blanks other than the space would come back as others, so they are written as references.
static void put_escaped(struct writing *writing, const char *value)
{
    for (const char *c = value; *c != '\0' && !writing->failed; c++) {
        char plain[2] = {*c, '\0'};
        switch (*c) {
        case '&':
            put(writing, "&amp;");
            break;
        case '<':
            put(writing, "&lt;");
            break;
        case '>':
            put(writing, "&gt;");
            break;
        case '\t':
            put(writing, "&#9;");
            break;
        case '\n':
            put(writing, "&#10;");
            break;
        case '\r':
            put(writing, "&#13;");
            break;
        default:
            if ((unsigned char)*c < ' ')
                writing->failed = true;
            put(writing, plain);
        }
    }
}

static void put_string(struct writing *writing, const char *name, const char *value)
{
    put(writing, "<PROPERTY NAME=\"");
    put(writing, name);
    put(writing, "\" TYPE=\"string\"><VALUE>");
    put_escaped(writing, value);
    put(writing, "</VALUE></PROPERTY>");
}

static void put_inherited(struct writing *writing, const char *name)
{
    put(writing, "<PROPERTY NAME=\"");
    put(writing, name);
    put(writing, "\" PROPAGATED=\"true\" TYPE=\"string\"></PROPERTY>");
}

size_t kvpbus_item_text_write(const char *key, const char *value, char *text, size_t size)
{
    struct writing writing = {.text = text, .size = size};
    if (size == 0)
        return 0;
    text[0] = '\0';
    put(&writing, "<INSTANCE CLASSNAME=\"Msvm_KvpExchangeDataItem\">");
    put_inherited(&writing, "Caption");
    put_string(&writing, "Data", value);
    put_inherited(&writing, "Description");
    put_inherited(&writing, "ElementName");
    put_string(&writing, "Name", key);
    put(&writing, "<PROPERTY NAME=\"Source\" TYPE=\"uint16\"><VALUE>0</VALUE></PROPERTY>"
                  "</INSTANCE>");
    return writing.failed ? 0 : writing.length;
}
