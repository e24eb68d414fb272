// SPDX-License-Identifier: Apache-2.0
//
// The parts of the lab that need no VM: text, items, faults.
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"
#include "items.h"
#include "text.h"

static size_t fit(const char *text, size_t units, size_t bytes)
{
    size_t length = SIZE_MAX;
    return kvpbus_lab_text_fit(text, strlen(text), units, bytes, &length) ? length : SIZE_MAX;
}

Test(lab_text, is_cut_between_characters)
{
    cr_assert_eq(fit("abcdef", 4, 100), 4);
    cr_assert_eq(fit("abcdef", 100, 5), 5);
    cr_assert_eq(fit("äöü", 2, 100), 4);
    cr_assert_eq(fit("äöü", 100, 3), 2);
    // U+1F600 is two units and four bytes.
    cr_assert_eq(fit("a\xf0\x9f\x98\x80"
                     "b",
                     2, 100),
                 1);
    cr_assert_eq(fit("a\xf0\x9f\x98\x80"
                     "b",
                     3, 100),
                 5);
    cr_assert_eq(fit("", 0, 0), 0);
    cr_assert(kvpbus_lab_text_within("abc", 3, 3));
    cr_assert_not(kvpbus_lab_text_within("abcd", 4, 3));
}

Test(lab_text, that_is_not_utf8_is_found_also_behind_the_cut)
{
    static const char *const bad[] = {
        "\xff", "\xc3",   "\xc0\xaf", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\x80", "a\xc3z",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(fit(bad[i], 10, 10), SIZE_MAX, "%zu", i);
        cr_assert_eq(fit(bad[i], 0, 0), SIZE_MAX, "%zu", i);
    }
}

static struct kvpbus_lab_items items;
static char path[64];

static void make_file(void)
{
    strcpy(path, "/tmp/kvpbus-items-XXXXXX");
    close(mkstemp(path));
    items.limit = 3;
}

static void remove_file(void)
{
    kvpbus_lab_items_free(&items);
    unlink(path);
}

TestSuite(lab_items, .init = make_file, .fini = remove_file);

Test(lab_items, are_bounded_and_keep_their_order)
{
    cr_assert(kvpbus_lab_items_append(&items, "a", "1"));
    cr_assert(kvpbus_lab_items_append(&items, "b", "2"));
    cr_assert(kvpbus_lab_items_append(&items, "c", "3"));
    cr_assert_not(kvpbus_lab_items_append(&items, "d", "4"));
    kvpbus_lab_items_remove(&items, kvpbus_lab_items_find(&items, "b"));
    cr_assert_eq(items.count, 2);
    cr_assert_str_eq(items.items[1].key, "c");
    cr_assert_null(kvpbus_lab_items_find(&items, "b"));
}

Test(lab_items, come_back_from_their_file)
{
    struct kvpbus_failure failure = {0};
    kvpbus_lab_items_append(&items, "a", "quote \" backslash \\ line\nä");
    kvpbus_lab_items_append(&items, "b", "");
    cr_assert_eq(kvpbus_lab_items_save(&items, path, &failure), KVPBUS_OK);
    kvpbus_lab_items_clear(&items);
    cr_assert_eq(kvpbus_lab_items_load(&items, path, &failure), KVPBUS_OK);
    cr_assert_eq(items.count, 2);
    cr_assert_str_eq(items.items[0].value, "quote \" backslash \\ line\nä");
    cr_assert_str_eq(items.items[1].value, "");
    cr_assert_eq(kvpbus_lab_items_load(&items, "/tmp/none/of/these", &failure), KVPBUS_OK);
    cr_assert_eq(items.count, 0);
}

Test(lab_items, a_damaged_file_is_an_error_and_gives_nothing)
{
    static const char too_many[] =
        "[{\"key\":\"a\",\"value\":\"1\"},{\"key\":\"b\",\"value\":\"2\"},"
        "{\"key\":\"c\",\"value\":\"3\"},{\"key\":\"d\",\"value\":\"4\"}]";
    static const char *const bad[] = {"", "{", "{}", "[1]", "[{\"key\":\"a\"}]", too_many};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct kvpbus_failure failure = {0};
        FILE *file = fopen(path, "w");
        fputs(bad[i], file);
        fclose(file);
        cr_assert_neq(kvpbus_lab_items_load(&items, path, &failure), KVPBUS_OK, "%zu", i);
        cr_assert_eq(items.count, 0);
        cr_assert_not_null(strstr(failure.detail, path));
    }
}

Test(lab_fault, strikes_as_often_as_was_said)
{
    struct kvpbus_lab_faults faults = {0};
    int64_t value = 0;
    cr_assert_not(kvpbus_lab_fault_strikes(&faults, KVPBUS_LAB_FAULT_ERROR, &value));
    kvpbus_lab_fault_set(&faults, KVPBUS_LAB_FAULT_ERROR, 32774, 2);
    cr_assert(kvpbus_lab_fault_active(&faults, KVPBUS_LAB_FAULT_ERROR));
    cr_assert(kvpbus_lab_fault_strikes(&faults, KVPBUS_LAB_FAULT_ERROR, &value));
    cr_assert_eq(value, 32774);
    cr_assert(kvpbus_lab_fault_strikes(&faults, KVPBUS_LAB_FAULT_ERROR, NULL));
    cr_assert_not(kvpbus_lab_fault_active(&faults, KVPBUS_LAB_FAULT_ERROR));
    kvpbus_lab_fault_set(&faults, KVPBUS_LAB_FAULT_NO_EFFECT, 0, 0);
    for (int i = 0; i < 100; i++)
        cr_assert(kvpbus_lab_fault_strikes(&faults, KVPBUS_LAB_FAULT_NO_EFFECT, NULL));
    kvpbus_lab_fault_clear(&faults);
    cr_assert_not(kvpbus_lab_fault_active(&faults, KVPBUS_LAB_FAULT_NO_EFFECT));
}

Test(lab_fault, is_known_by_its_word)
{
    struct kvpbus_failure failure = {0};
    enum kvpbus_lab_fault fault;
    cr_assert_eq(kvpbus_lab_fault_parse("wipe-pool", true, 1, &fault, &failure), KVPBUS_OK);
    cr_assert_eq(fault, KVPBUS_LAB_FAULT_WIPE_POOL);
    cr_assert_eq(kvpbus_lab_fault_parse("wipe-pool", true, 5, &fault, &failure),
                 KVPBUS_INVALID_ARGUMENT);
    cr_assert_eq(kvpbus_lab_fault_parse("wipe-pool", false, 0, &fault, &failure),
                 KVPBUS_INVALID_ARGUMENT);
    cr_assert_eq(kvpbus_lab_fault_parse("clear", true, 1, &fault, &failure),
                 KVPBUS_INVALID_ARGUMENT);
}
