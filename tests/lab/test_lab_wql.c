// SPDX-License-Identifier: Apache-2.0
//
// The queries that the stand-in WMI provider understands, and what they find.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "wql.h"

static enum kvpbus_wql_result parse(const char *text)
{
    struct kvpbus_wql_query *query = NULL;
    enum kvpbus_wql_result result = kvpbus_wql_parse(text, &query);
    kvpbus_wql_free(query);
    return result;
}

static struct kvpbus_wql_query *parsed(const char *text)
{
    struct kvpbus_wql_query *query = NULL;
    cr_assert_eq(kvpbus_wql_parse(text, &query), KVPBUS_WQL_OK, "%s", text);
    return query;
}

static struct kvpbus_cim_object *a_vm(void)
{
    struct kvpbus_cim_object *vm =
        kvpbus_cim_object_new(kvpbus_cim_class_find("Msvm_ComputerSystem"));
    cr_assert_not_null(vm);
    cr_assert(kvpbus_cim_set(vm, "ElementName", "it's \"alpha\" \\ 100%"));
    cr_assert(kvpbus_cim_set(vm, "Name", "0A0B0C0D-0001-0203-0405-060708090A0B"));
    cr_assert(kvpbus_cim_set_number(vm, "EnabledState", 10));
    return vm;
}

static bool finds(const char *condition)
{
    char text[512];
    snprintf(text, sizeof text, "SELECT * FROM Msvm_ComputerSystem WHERE %s", condition);
    struct kvpbus_wql_query *query = parsed(text);
    struct kvpbus_cim_object *vm = a_vm();
    cr_assert(kvpbus_wql_fits(query, vm->class), "%s", condition);
    bool found = kvpbus_wql_matches(query, vm);
    kvpbus_cim_object_free(vm);
    kvpbus_wql_free(query);
    return found;
}

Test(lab_wql, strings_are_compared_without_case_and_may_be_escaped)
{
    cr_assert(finds("Name = '0a0b0c0d-0001-0203-0405-060708090a0b'"));
    cr_assert(finds("NAME=\"0A0B0C0D-0001-0203-0405-060708090A0B\""));
    cr_assert(finds("ElementName = 'it\\'s \\\"alpha\\\" \\\\ 100%'"));
    cr_assert(finds("ElementName = \"IT'S \\\"alpha\\\" \\\\ 100%\""));
    cr_assert_not(finds("ElementName = 'alpha'"));
    cr_assert(finds("ElementName <> 'alpha'"));
    cr_assert(finds("ElementName != 'alpha'"));
    cr_assert(finds("'0A0B0C0D-0001-0203-0405-060708090A0B' = Name"));
}

Test(lab_wql, numbers_are_compared_as_numbers)
{
    cr_assert(finds("EnabledState = 10"));
    cr_assert(finds("EnabledState > 9"));
    cr_assert(finds("9 < EnabledState"));
    cr_assert(finds("EnabledState <= 10 AND EnabledState >= 10"));
    cr_assert_not(finds("EnabledState < 10"));
    cr_assert_not(finds("EnabledState = -1"));
}

Test(lab_wql, null_is_equal_to_nothing_but_null)
{
    cr_assert(finds("Status IS NULL"));
    cr_assert(finds("Status = NULL"));
    cr_assert(finds("Name IS NOT NULL"));
    cr_assert_not(finds("Status = 'OK'"));
    cr_assert_not(finds("Status <> 'OK'"));
    cr_assert_not(finds("Name = NULL"));
}

Test(lab_wql, and_binds_closer_than_or_and_not_closer_than_both)
{
    cr_assert(finds("EnabledState = 10 OR EnabledState = 2 AND Name = 'x'"));
    cr_assert_not(finds("(EnabledState = 10 OR EnabledState = 2) AND Name = 'x'"));
    cr_assert(finds("NOT Name = 'x' AND EnabledState = 10"));
    cr_assert_not(finds("NOT (Name = 'x' OR EnabledState = 10)"));
    cr_assert(finds("__CLASS = 'msvm_computersystem'"));
    cr_assert(finds("__THIS ISA 'CIM_System'"));
    cr_assert_not(finds("__THIS ISA 'CIM_Service'"));
}

Test(lab_wql, like_has_any_text_one_character_and_sets)
{
    cr_assert(kvpbus_wql_like("Microsoft:0A0B\\2A34", "microsoft:0a0b\\%"));
    cr_assert(kvpbus_wql_like("abc", "%"));
    cr_assert(kvpbus_wql_like("", "%"));
    cr_assert(kvpbus_wql_like("abc", "a_c"));
    cr_assert(kvpbus_wql_like("a\xC3\xA4"
                              "c",
                              "a_c"));
    cr_assert(kvpbus_wql_like("a5c", "a[0-9]c"));
    cr_assert(kvpbus_wql_like("a5%", "a[0-9x][%]"));
    cr_assert(kvpbus_wql_like("axc", "a[^0-9]c"));
    cr_assert_not(kvpbus_wql_like("a5c", "a[^0-9]c"));
    cr_assert_not(kvpbus_wql_like("abc", "ab"));
    cr_assert_not(kvpbus_wql_like("abc", "a[bc"));
    cr_assert_not(kvpbus_wql_like("ab", "a_c"));
    cr_assert(finds("ElementName LIKE '%[%]'"));
    cr_assert(finds("ElementName LIKE '%\\\\%'"));
}

Test(lab_wql, sets_have_whole_characters)
{
    cr_assert(kvpbus_wql_like("\u00e4", "[\u00e4]"));
    cr_assert_not(kvpbus_wql_like("\u00f6", "[\u00e4]"));
    cr_assert(kvpbus_wql_like("\u00f6", "[^\u00e4]"));
    cr_assert(kvpbus_wql_like("\u00f6x", "[\u00e4-\u00fc][W-Y]"));
    cr_assert(kvpbus_wql_like("\u20ac", "[\u00e4-\U0001f600]"));
    cr_assert_not(kvpbus_wql_like("\u00e3", "[\u00e4-\u00fc]"));
    cr_assert_not(kvpbus_wql_like("\u00c4", "[\u00e4]"));
    cr_assert(kvpbus_wql_like("a-", "[ab-][-b]"));
    cr_assert_not(kvpbus_wql_like("a", "%["));
}

Test(lab_wql, any_text_takes_as_much_as_the_rest_leaves)
{
    static char many[16001];
    cr_assert(kvpbus_wql_like("aXbXc", "a%X%c"));
    cr_assert(kvpbus_wql_like("aab", "%ab"));
    cr_assert(kvpbus_wql_like("abcabd", "%abd%"));
    cr_assert_not(kvpbus_wql_like("abcabd", "%abd_"));
    cr_assert(kvpbus_wql_like("\u00e4\u00f6", "%_[\u00f6]%"));
    memset(many, '%', sizeof many - 1);
    cr_assert(kvpbus_wql_like("abc", many));
    cr_assert(kvpbus_wql_like("", many));
    many[sizeof many - 2] = 'd';
    cr_assert_not(kvpbus_wql_like("abc", many));
    cr_assert(kvpbus_wql_like("abcd", many));
}

Test(lab_wql, a_pattern_made_to_take_for_ever_does_not)
{
    char text[4001], pattern[2001];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (size_t i = 0; i < sizeof pattern - 1; i++)
        pattern[i] = i % 2 == 0 ? '%' : 'a';
    pattern[sizeof pattern - 2] = 'b';
    pattern[sizeof pattern - 1] = '\0';
    cr_assert_not(kvpbus_wql_like(text, pattern));
    // Nor is a long search given up.
    memset(pattern + 1, 'a', sizeof pattern - 3);
    cr_assert_not(kvpbus_wql_like(text, pattern));
    text[sizeof text - 2] = 'b';
    cr_assert(kvpbus_wql_like(text, pattern));
}

Test(lab_wql, selected_properties)
{
    struct kvpbus_wql_query *query =
        parsed("select name, ElementName , __PATH from Msvm_ComputerSystem");
    const struct kvpbus_cim_class *class = kvpbus_cim_class_find("Msvm_ComputerSystem");
    cr_assert(kvpbus_wql_fits(query, class));
    uint64_t selected = UINT64_C(1) << kvpbus_cim_property_find(class, "Name") |
                        UINT64_C(1) << kvpbus_cim_property_find(class, "ElementName");
    uint64_t other_key = UINT64_C(1) << kvpbus_cim_property_find(class, "CreationClassName");
    cr_assert_eq(kvpbus_wql_selection(query, class), selected | other_key);
    kvpbus_wql_free(query);
    query = parsed("select name, ElementName from Msvm_ComputerSystem");
    cr_assert_eq(kvpbus_wql_selection(query, class), selected);
    kvpbus_wql_free(query);
}

Test(lab_wql, what_can_not_be_compared_does_not_fit)
{
    static const char *const conditions[] = {"Nothing = 'x'", "Roles = 'x'", "Name ISA 'x'",
                                             "OperationalStatus > 1"};
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
        char text[128];
        snprintf(text, sizeof text, "SELECT * FROM Msvm_ComputerSystem WHERE %s", conditions[i]);
        struct kvpbus_wql_query *query = parsed(text);
        cr_assert_not(kvpbus_wql_fits(query, kvpbus_cim_class_find("Msvm_ComputerSystem")), "%s",
                      text);
        kvpbus_wql_free(query);
    }
}

Test(lab_wql, associators_with_what_narrows_them)
{
    struct kvpbus_wql_query *query = parsed(
        "ASSOCIATORS OF {\\\\.\\root\\x:C.Name=\"a}b\\\"\"} WHERE AssocClass=Msvm_SystemDevice "
        "ResultClass = Msvm_KvpExchangeComponent Role=GroupComponent");
    cr_assert_eq(query->kind, KVPBUS_WQL_ASSOCIATORS);
    cr_assert_str_eq(query->path, "\\\\.\\root\\x:C.Name=\"a}b\\\"\"");
    cr_assert_str_eq(query->association, "Msvm_SystemDevice");
    cr_assert_str_eq(query->result_class, "Msvm_KvpExchangeComponent");
    cr_assert_str_eq(query->role, "GroupComponent");
    cr_assert_null(query->result_role);
    kvpbus_wql_free(query);
}

Test(lab_wql, everything_else_is_refused)
{
    static const char *const texts[] = {
        "",
        "SELECT",
        "SELECT * FROM",
        "SELECT FROM Class",
        "SELECT * FROM Class WHERE",
        "SELECT * FROM Class WHERE Name",
        "SELECT * FROM Class WHERE Name =",
        "SELECT * FROM Class WHERE Name = 'open",
        "SELECT * FROM Class WHERE Name = 'a' OR",
        "SELECT * FROM Class WHERE Name = 'a' OR 'b' = 'b'",
        "SELECT * FROM Class WHERE Name = 'a'; DELETE",
        "SELECT * FROM Class WHERE Name = 'a\\x'",
        "SELECT * FROM Class WHERE (Name = 'a'",
        "SELECT * FROM Class WHERE Name LIKE 5",
        "SELECT * FROM Class WHERE Name LIKE NULL",
        "SELECT * FROM Class WHERE Name < NULL",
        "SELECT * FROM Class WHERE NULL < Name",
        "SELECT * FROM Class WHERE NULL >= Name",
        "SELECT * FROM Class WHERE Name = 5x",
        "SELECT a,, b FROM Class",
        "SELECT * FROM Class WITHIN 2",
        "SELECT * FROM Class trailing",
        "INSERT INTO Class",
        "ASSOCIATORS OF",
        "ASSOCIATORS OF {open",
        "ASSOCIATORS OF {C='a'} WHERE",
        "ASSOCIATORS OF {C='a'} WHERE ResultClass = X ResultClass = Y",
        "ASSOCIATORS OF {C='a'} WHERE ClassDefsOnly",
        "REFERENCES OF {C='a'} WHERE AssocClass = X",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_assert_eq(parse(texts[i]), KVPBUS_WQL_INVALID, "%s", texts[i]);
}

static enum kvpbus_wql_result parse_nested(size_t depth)
{
    char text[256];
    size_t length = (size_t)sprintf(text, "SELECT * FROM C WHERE ");
    memset(text + length, '(', depth);
    length += depth;
    length += (size_t)sprintf(text + length, "a=1");
    memset(text + length, ')', depth);
    text[length + depth] = '\0';
    return parse(text);
}

Test(lab_wql, sizes_have_bounds)
{
    static char text[KVPBUS_WQL_TEXT_MAX + 64];
    cr_assert_eq(parse_nested(KVPBUS_WQL_DEPTH_MAX - 1), KVPBUS_WQL_OK);
    cr_assert_eq(parse_nested(KVPBUS_WQL_DEPTH_MAX), KVPBUS_WQL_INVALID);
    size_t length = (size_t)sprintf(text, "SELECT * FROM C WHERE a=1");
    for (int i = 0; i < KVPBUS_WQL_NODES_MAX; i++)
        length += (size_t)sprintf(text + length, " OR a=1");
    cr_assert_eq(parse(text), KVPBUS_WQL_INVALID);
    length = (size_t)sprintf(text, "SELECT * FROM C");
    memset(text + length, ' ', sizeof text - length);
    text[KVPBUS_WQL_TEXT_MAX + 1] = '\0';
    cr_assert_eq(parse(text), KVPBUS_WQL_INVALID);
    text[KVPBUS_WQL_TEXT_MAX] = '\0';
    cr_assert_eq(parse(text), KVPBUS_WQL_OK);
}
