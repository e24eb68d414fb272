// SPDX-License-Identifier: Apache-2.0
//
// The text of embedded instances: what other tools write is read, what is hostile is refused, and
// what we write is pinned by golden files. The program is linked with --wrap for malloc,
// realloc and free.
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../golden.h"
#include "kvp_item_text.h"

void *__real_malloc(size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);

static struct {
    size_t made;
    size_t fails; // the allocation that fails, from 1; 0: none
    size_t bytes;
    size_t live;
} heap;

static bool take(size_t size)
{
    heap.bytes += size;
    return ++heap.made != heap.fails;
}

void *__wrap_malloc(size_t size)
{
    void *block = take(size) ? __real_malloc(size) : NULL;
    heap.live += block != NULL;
    return block;
}

void *__wrap_realloc(void *block, size_t size)
{
    if (block == NULL)
        return __wrap_malloc(size);
    return take(size) ? __real_realloc(block, size) : NULL;
}

void __wrap_free(void *block)
{
    heap.live -= block != NULL;
    __real_free(block);
}

static struct kvpbus_item_text item;
static struct kvpbus_failure failure;

static enum kvpbus_error parse(const char *text)
{
    failure = (struct kvpbus_failure){0};
    enum kvpbus_error error = kvpbus_item_text_parse(text, strlen(text), &item, &failure);
    cr_assert_eq(failure.code, error);
    return error;
}

static const char *sample(const char *name)
{
    static char text[4096];
    char path[1024];
    snprintf(path, sizeof path, "%s/item-text/%s", KVPBUS_TEST_DATA, name);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    return text;
}

static void expect_name(const char *name)
{
    cr_assert(item.name_set);
    cr_assert_eq(item.name_length, strlen(name));
    cr_assert_arr_eq(item.name, name, strlen(name));
}

static void expect_data(const char *data)
{
    cr_assert(item.data_set);
    cr_assert_eq(item.data_length, strlen(data), "%.*s", (int)item.data_length, item.data);
    cr_assert_arr_eq(item.data, data, strlen(data));
}

Test(item_text, an_item_of_the_guest_is_read)
{
    cr_assert_eq(parse(sample("guest.xml")), KVPBUS_OK, "%s", failure.detail);
    expect_name("kvpbus.h0");
    expect_data("bW9pbg==");
}

Test(item_text, layout_and_a_declared_encoding_do_not_matter)
{
    cr_assert_eq(parse(sample("indented.xml")), KVPBUS_OK, "%s", failure.detail);
    expect_name("OSName");
    expect_data("Windows Server 2022 Standard");
}

Test(item_text, references_sections_qualifiers_and_the_order_of_attributes)
{
    cr_assert_eq(parse(sample("qualified.xml")), KVPBUS_OK, "%s", failure.detail);
    expect_name("kvpbus.h0");
    expect_data("a<b>&\"'<&A");
}

Test(item_text, null_is_not_empty)
{
    cr_assert_eq(parse(sample("null.xml")), KVPBUS_OK);
    cr_assert_not(item.data_set);
    cr_assert_eq(parse("<INSTANCE><PROPERTY NAME='Name'><VALUE/></PROPERTY>"
                       "<PROPERTY NAME='Data'><VALUE></VALUE></PROPERTY></INSTANCE>"),
                 KVPBUS_OK);
    expect_name("");
    expect_data("");
    cr_assert_eq(parse("<INSTANCE/>"), KVPBUS_OK);
    cr_assert_not(item.name_set || item.data_set);
}

Test(item_text, characters_beyond_ascii_are_utf_8)
{
    cr_assert_eq(parse("<INSTANCE><PROPERTY NAME='Data'><VALUE>\xc3\xa9&#233;&#x1F600;</VALUE>"
                       "</PROPERTY></INSTANCE>"),
                 KVPBUS_OK);
    expect_data("\xc3\xa9\xc3\xa9\xf0\x9f\x98\x80");
}

struct hostile {
    char text[160];
    char why[40];
};

ParameterizedTestParameters(item_text, hostile_text_is_refused)
{
    static struct hostile cases[] = {
        {"", "no element found"},
        {"<INSTANCE>", "no element found"},
        {"<INSTANCE></INSTANCE><INSTANCE></INSTANCE>", "junk after document element"},
        {"<INSTANCE></PROPERTY>", "mismatched tag"},
        {"<OBJECT></OBJECT>", "not an INSTANCE"},
        {"<!DOCTYPE INSTANCE><INSTANCE/>", "document type"},
        {"<!DOCTYPE i [<!ENTITY a 'b'>]><INSTANCE>&a;</INSTANCE>", "document type"},
        {"<!DOCTYPE i SYSTEM 'file:///etc/passwd'><INSTANCE/>", "document type"},
        {"<INSTANCE>&unheard;</INSTANCE>", "undefined entity"},
        {"<INSTANCE><PROPERTY NAME='Name'><VALUE>&#0;</VALUE></PROPERTY></INSTANCE>",
         "invalid character number"},
        {"<INSTANCE><PROPERTY NAME='Name'><VALUE>\x01</VALUE></PROPERTY></INSTANCE>",
         "not well-formed"},
        {"<INSTANCE><PROPERTY NAME='Name'><VALUE>\xff</VALUE></PROPERTY></INSTANCE>",
         "not well-formed"},
        {"<INSTANCE><PROPERTY NAME='Name'><VALUE>a<b/></VALUE></PROPERTY></INSTANCE>",
         "a value has elements"},
        {"<INSTANCE><PROPERTY NAME='Name'><VALUE/><VALUE>b</VALUE></PROPERTY></INSTANCE>",
         "two values"},
        {"<INSTANCE><PROPERTY NAME='Name'><VALUE/></PROPERTY>"
         "<PROPERTY NAME='NAME'><VALUE/></PROPERTY></INSTANCE>",
         "two values"},
        {"<INSTANCE><PROPERTY NAME='Name' NAME='Data'><VALUE/></PROPERTY></INSTANCE>",
         "duplicate attribute"},
        {"<INSTANCE><a><b><c><d><e><f><g><h/></g></f></e></d></c></b></a></INSTANCE>",
         "too many elements"},
    };
    return cr_make_param_array(struct hostile, cases, sizeof cases / sizeof *cases);
}

ParameterizedTest(struct hostile *hostile, item_text, hostile_text_is_refused)
{
    static const struct kvpbus_item_text nothing;
    cr_assert_eq(parse(hostile->text), KVPBUS_BAD_ITEM, "%s", hostile->text);
    cr_assert_not_null(strstr(failure.detail, hostile->why), "%s: %s", hostile->text,
                       failure.detail);
    cr_assert_arr_eq((const char *)&item, (const char *)&nothing, sizeof item);
}

Test(item_text, each_element_of_an_array_is_a_document_of_its_own)
{
    char both[4096];
    snprintf(both, sizeof both, "%s", sample("guest.xml"));
    strncat(both, sample("indented.xml"), sizeof both - strlen(both) - 1);
    cr_assert_eq(parse(both), KVPBUS_BAD_ITEM);
}

static size_t append(char *text, size_t length, const char *more, size_t times)
{
    for (size_t i = 0; i < times; i++, length += strlen(more))
        memcpy(text + length, more, strlen(more));
    return length;
}

Test(item_text, length_and_number_of_elements_are_bounded)
{
    static char text[KVPBUS_ITEM_TEXT_MAX + 100];
    size_t length = append(text, 0, "<INSTANCE>", 1);
    size_t head = length;
    length = append(text, length, "<a/>", KVPBUS_ITEM_TEXT_ELEMENTS - 1);
    length = append(text, length, "</INSTANCE>", 1);
    cr_assert_eq(kvpbus_item_text_parse(text, length, &item, &failure), KVPBUS_OK);
    length = append(text, head, "<a/>", KVPBUS_ITEM_TEXT_ELEMENTS);
    length = append(text, length, "</INSTANCE>", 1);
    cr_assert_eq(kvpbus_item_text_parse(text, length, &item, &failure), KVPBUS_BAD_ITEM);
    length = append(text, 0, " ", KVPBUS_ITEM_TEXT_MAX - 11);
    length = append(text, length, "<INSTANCE/>", 1);
    cr_assert_eq(kvpbus_item_text_parse(text, length, &item, &failure), KVPBUS_OK);
    cr_assert_eq(kvpbus_item_text_parse(text, length + 1, &item, &failure), KVPBUS_TOO_LARGE);
}

// Memory is bounded by the document, whatever is in it.
Test(item_text, a_document_of_the_greatest_length_takes_little)
{
    static char text[KVPBUS_ITEM_TEXT_MAX];
    static const char *const units[] = {"&lt;", "<![CDATA[<]]>", "&#x1F600;", "a", "<!---->"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t length = append(text, 0, "<INSTANCE><PROPERTY NAME='Data'><VALUE>", 1);
        length = append(text, length, units[i], (sizeof text - length - 40) / strlen(units[i]));
        length = append(text, length, "</VALUE></PROPERTY></INSTANCE>", 1);
        size_t live = heap.live;
        heap.bytes = 0;
        cr_assert_eq(kvpbus_item_text_parse(text, length, &item, &failure), KVPBUS_OK);
        cr_assert_leq(heap.bytes, 4 * KVPBUS_ITEM_TEXT_MAX, "%s: %zu", units[i], heap.bytes);
        cr_assert_eq(heap.live, live);
    }
    size_t length = append(text, 0, "<INSTANCE ", 1);
    for (unsigned i = 0; length < sizeof text - 30; i++)
        length += (size_t)sprintf(text + length, "a%u='' ", i);
    length = append(text, length, "/>", 1);
    heap.bytes = 0;
    cr_assert_eq(kvpbus_item_text_parse(text, length, &item, &failure), KVPBUS_OK);
    cr_assert_leq(heap.bytes, 64 * KVPBUS_ITEM_TEXT_MAX, "%zu", heap.bytes);
}

Test(item_text, what_has_no_room_is_counted)
{
    static char text[KVPBUS_ITEM_TEXT_MAX];
    size_t length = append(text, 0, "<INSTANCE><PROPERTY NAME='Name'><VALUE>", 1);
    length = append(text, length, "n", 5000);
    length = append(text, length, "</VALUE></PROPERTY><PROPERTY NAME='Data'><VALUE>", 1);
    length = append(text, length, "&amp;", 6000);
    length = append(text, length, "</VALUE></PROPERTY></INSTANCE>", 1);
    cr_assert_eq(kvpbus_item_text_parse(text, length, &item, &failure), KVPBUS_OK);
    cr_assert_eq(item.name_length, 5000);
    cr_assert_eq(item.data_length, 6000);
    cr_assert_eq(item.name[KVPBUS_ITEM_NAME_ROOM - 1], 'n');
    cr_assert_eq(item.data[KVPBUS_ITEM_DATA_ROOM - 1], '&');
}

// Gives how many allocations there were.
static size_t parse_without_one_allocation(const char *text, enum kvpbus_error expected)
{
    size_t live = heap.live;
    for (size_t i = 1;; i++) {
        heap.made = 0;
        heap.fails = i;
        enum kvpbus_error error = parse(text);
        bool all_done = heap.made < i;
        heap.fails = 0;
        cr_assert_eq(heap.live, live, "allocation %zu", i);
        cr_assert(error == expected || (!all_done && error == KVPBUS_NOMEM), "allocation %zu: %s",
                  i, failure.detail);
        if (all_done)
            return i - 1;
    }
}

Test(item_text, every_allocation_fails_once)
{
    cr_assert_gt(parse_without_one_allocation(sample("guest.xml"), KVPBUS_OK), 5);
    cr_assert_gt(parse_without_one_allocation(sample("qualified.xml"), KVPBUS_OK), 5);
    cr_assert_gt(parse_without_one_allocation(sample("doctype.xml"), KVPBUS_BAD_ITEM), 5);
}

static void expect_scan(const char *text, size_t count, size_t foreign, size_t skipped)
{
    struct kvpbus_scan scan = {0};
    cr_assert_eq(kvpbus_item_text_scan(&scan, "kvpbus", text, strlen(text)), KVPBUS_OK);
    cr_assert(scan.count == count && scan.foreign == foreign && scan.skipped == skipped, "%s",
              text);
    kvpbus_scan_free(&scan);
}

Test(item_text, a_scan_keeps_ours_and_counts_the_others)
{
    expect_scan(sample("guest.xml"), 1, 0, 0);
    expect_scan(sample("indented.xml"), 0, 1, 0);
    expect_scan(sample("null.xml"), 0, 0, 1);
    expect_scan(sample("doctype.xml"), 0, 0, 1);
    expect_scan("<INSTANCE/>", 0, 1, 0);
    expect_scan("<INSTANCE><PROPERTY NAME='Name'><VALUE>kvpbus.\xc3\xa9</VALUE></PROPERTY>"
                "<PROPERTY NAME='Data'><VALUE>a</VALUE></PROPERTY></INSTANCE>",
                0, 0, 1);
}

Test(item_text, a_scan_without_memory_says_so)
{
    struct kvpbus_scan scan = {0};
    const char *text = sample("guest.xml");
    heap.made = 0;
    heap.fails = 1;
    cr_assert_eq(kvpbus_item_text_scan(&scan, "kvpbus", text, strlen(text)), KVPBUS_NOMEM);
    heap.fails = 0;
    cr_assert_eq(scan.count + scan.foreign + scan.skipped, 0);
}

// --- writing ---

static void expect_golden(const char *name, const char *key, const char *value)
{
    char text[KVPBUS_ITEM_TEXT_ROOM];
    size_t length = kvpbus_item_text_write(key, value, text, sizeof text);
    golden_compare(name, text, length);
    cr_assert_eq(parse(text), KVPBUS_OK);
    expect_name(key);
    expect_data(value);
}

Test(item_text, what_is_written_is_pinned)
{
    expect_golden("item-text-add.xml", "kvpbus.h0", "bW9pbg==");
    expect_golden("item-text-remove.xml", "kvpbus.h0", "");
    expect_golden("item-text-escaped.xml", "a&b<c>", "<&>\"' ]]> \t\n\r.");
}

Test(item_text, an_item_of_the_host_has_the_form_of_one_of_the_guest)
{
    char text[KVPBUS_ITEM_TEXT_ROOM], expected[4096];
    snprintf(expected, sizeof expected, "%s", sample("guest.xml"));
    strstr(expected, "<VALUE>1<")[7] = '0';
    expected[strcspn(expected, "\n")] = '\0';
    cr_assert_gt(kvpbus_item_text_write("kvpbus.h0", "bW9pbg==", text, sizeof text), 0);
    cr_assert_str_eq(text, expected);
}

Test(item_text, what_does_not_fit_or_is_no_xml_is_not_written)
{
    char text[KVPBUS_ITEM_TEXT_ROOM], value[KVPBUS_ITEM_DATA_ROOM + 1];
    char key[KVPBUS_ITEM_NAME_ROOM + 1];
    size_t length = kvpbus_item_text_write("kvpbus.0", "a", text, sizeof text);
    for (size_t size = 0; size <= length; size++)
        cr_assert_eq(kvpbus_item_text_write("kvpbus.0", "a", text, size), 0);
    cr_assert_eq(kvpbus_item_text_write("kvpbus.0", "a", text, length + 1), length);
    cr_assert_eq(kvpbus_item_text_write("kvpbus.0", "\x1b", text, sizeof text), 0);
    cr_assert_eq(kvpbus_item_text_write("kvpbus.\x01", "a", text, sizeof text), 0);
    memset(value, '&', sizeof value - 1);
    memset(key, '\r', sizeof key - 1);
    value[KVPBUS_ITEM_DATA_ROOM] = key[KVPBUS_ITEM_NAME_ROOM] = '\0';
    cr_assert_gt(kvpbus_item_text_write(key, value, text, sizeof text), 0);
}
