// SPDX-License-Identifier: Apache-2.0
//
// Objects of the stand-in WMI provider, their paths and their texts.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cim.h"
#include "item_text.h"

static const struct kvpbus_cim_scope scope = {"HOST", "root\\virtualization\\v2"};

static struct kvpbus_cim_object *new_object(const char *class_name)
{
    struct kvpbus_cim_object *object = kvpbus_cim_object_new(kvpbus_cim_class_find(class_name));
    cr_assert_not_null(object);
    return object;
}

static struct kvpbus_cim_object *a_component(void)
{
    struct kvpbus_cim_object *object = new_object("Msvm_KvpExchangeComponent");
    cr_assert(kvpbus_cim_set(object, "SystemName", "GUID"));
    cr_assert(kvpbus_cim_set(object, "DeviceID", "Microsoft:GUID\\\"x\""));
    return object;
}

Test(lab_cim, classes_know_their_bases)
{
    const struct kvpbus_cim_class *class = kvpbus_cim_class_find("MSVM_computersystem");
    cr_assert_str_eq(class->name, "Msvm_ComputerSystem");
    cr_assert(kvpbus_cim_class_is(class, "CIM_System"));
    cr_assert(kvpbus_cim_class_is(class, "CIM_ManagedElement"));
    cr_assert_not(kvpbus_cim_class_is(class, "CIM_Sys"));
    cr_assert_not(kvpbus_cim_class_is(class, ""));
    cr_assert_null(kvpbus_cim_class_find("CIM_System"));
    for (size_t i = 0; i < kvpbus_cim_class_count(); i++)
        cr_assert_lt(kvpbus_cim_class_at(i)->property_count, KVPBUS_CIM_PROPERTIES_MAX);
}

Test(lab_cim, a_new_object_has_the_initial_values_and_a_copy_has_all)
{
    struct kvpbus_cim_object *object = new_object("Msvm_KvpExchangeComponent");
    cr_assert_str_eq(kvpbus_cim_get(object, "Caption"), "Key-Value Pair Exchange");
    cr_assert_null(kvpbus_cim_get(object, "SystemName"));
    cr_assert(kvpbus_cim_append(object, "GuestExchangeItems", "one"));
    cr_assert(kvpbus_cim_append(object, "GuestExchangeItems", "two"));
    struct kvpbus_cim_object *copy = kvpbus_cim_object_copy(object);
    kvpbus_cim_object_free(object);
    int index = kvpbus_cim_property_find(copy->class, "guestexchangeitems");
    cr_assert_eq(copy->values[index].count, 2);
    cr_assert_str_eq(copy->values[index].texts[1], "two");
    kvpbus_cim_set_empty(copy, "GuestExchangeItems");
    cr_assert(copy->values[index].set);
    cr_assert_eq(copy->values[index].count, 0);
    kvpbus_cim_object_free(copy);
}

Test(lab_cim, a_path_has_the_keys_in_alphabetical_order)
{
    struct kvpbus_cim_object *object = a_component();
    char *path = kvpbus_cim_path(object, &scope);
    cr_assert_str_eq(path, "\\\\HOST\\root\\virtualization\\v2:Msvm_KvpExchangeComponent."
                           "CreationClassName=\"Msvm_KvpExchangeComponent\","
                           "DeviceID=\"Microsoft:GUID\\\\\\\"x\\\"\","
                           "SystemCreationClassName=\"Msvm_ComputerSystem\",SystemName=\"GUID\"");
    struct kvpbus_cim_reference reference;
    cr_assert_eq(kvpbus_cim_path_parse(path, &scope, &reference), KVPBUS_CIM_PATH_OK);
    cr_assert(kvpbus_cim_path_names(&reference, object));
    cr_assert(kvpbus_cim_set(object, "SystemName", "other"));
    cr_assert_not(kvpbus_cim_path_names(&reference, object));
    free(reference.text);
    free(path);
    // Without a key there is no path.
    object->visible &= ~(UINT64_C(1) << kvpbus_cim_property_find(object->class, "DeviceID"));
    cr_assert_null(kvpbus_cim_path(object, &scope));
    object->is_class = true;
    path = kvpbus_cim_relative_path(object);
    cr_assert_str_eq(path, "Msvm_KvpExchangeComponent");
    free(path);
    kvpbus_cim_object_free(object);
}

static enum kvpbus_cim_path_result parse(const char *path)
{
    struct kvpbus_cim_reference reference;
    enum kvpbus_cim_path_result result = kvpbus_cim_path_parse(path, &scope, &reference);
    if (result == KVPBUS_CIM_PATH_OK)
        free(reference.text);
    return result;
}

Test(lab_cim, paths_of_this_machine_in_every_spelling)
{
    cr_assert_eq(parse("Class"), KVPBUS_CIM_PATH_OK);
    cr_assert_eq(parse("ROOT\\Virtualization\\V2:Class"), KVPBUS_CIM_PATH_OK);
    cr_assert_eq(parse("root/virtualization/v2:Class"), KVPBUS_CIM_PATH_OK);
    cr_assert_eq(parse("//./root/virtualization/v2:Class.A=1,B='x'"), KVPBUS_CIM_PATH_OK);
    cr_assert_eq(parse("\\\\localhost\\root\\virtualization\\v2:Class=@"), KVPBUS_CIM_PATH_OK);
    cr_assert_eq(parse("\\\\host\\root\\virtualization\\v2:Class=\"a:b\""), KVPBUS_CIM_PATH_OK);
    cr_assert_eq(parse("Class=\"a:b\""), KVPBUS_CIM_PATH_OK);
    cr_assert_eq(parse("root\\cimv2:Class"), KVPBUS_CIM_PATH_ELSEWHERE);
    cr_assert_eq(parse("\\\\other\\root\\virtualization\\v2:Class"), KVPBUS_CIM_PATH_ELSEWHERE);
    cr_assert_eq(parse("\\\\host:Class"), KVPBUS_CIM_PATH_ELSEWHERE);
    static const char *const bad[] = {
        "",           "=",        "Class.",      "Class.A",
        "Class.A=",   "Class.=1", "Class=\"a",   "Class=\"a\"b",
        "Class.A=1,", "Class x",  "Class.A=1;B", "Class.A=1,A=1,A=1,A=1,A=1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(parse(bad[i]), KVPBUS_CIM_PATH_INVALID, "%s", bad[i]);
}

Test(lab_cim, a_path_gives_all_keys_once)
{
    const struct kvpbus_cim_class *class = kvpbus_cim_class_find("Msvm_ComputerSystem");
    static const struct {
        const char *path;
        bool fits;
    } paths[] = {
        {"Msvm_ComputerSystem.CreationClassName='a',Name='b'", true},
        {"Msvm_ComputerSystem.name='b',creationclassname='a'", true},
        {"Msvm_ComputerSystem.Name='b'", false},
        {"Msvm_ComputerSystem.Name='b',Name='b'", false},
        {"Msvm_ComputerSystem.Name='b',ElementName='c'", false},
        {"Msvm_ComputerSystem='b'", false},
        {"Msvm_ComputerSystem=@", false},
        {"Msvm_ComputerSystem", true},
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct kvpbus_cim_reference reference;
        cr_assert_eq(kvpbus_cim_path_parse(paths[i].path, &scope, &reference), KVPBUS_CIM_PATH_OK);
        cr_assert_eq(kvpbus_cim_path_fits(&reference, class), paths[i].fits, "%s", paths[i].path);
        free(reference.text);
    }
}

Test(lab_cim, the_text_of_an_item_is_that_of_the_documentation)
{
    struct kvpbus_cim_object *item = new_object("Msvm_KvpExchangeDataItem");
    cr_assert(kvpbus_cim_set(item, "Name", "a<b>"));
    cr_assert(kvpbus_cim_set(item, "Data", "\"&\""));
    cr_assert(kvpbus_cim_set_number(item, "Source", 0));
    char *text = kvpbus_cim_instance_text(item, KVPBUS_CIM_DTD_2_0);
    cr_assert_str_eq(
        text, "<INSTANCE CLASSNAME=\"Msvm_KvpExchangeDataItem\">"
              "<PROPERTY NAME=\"Caption\" PROPAGATED=\"true\" TYPE=\"string\"></PROPERTY>"
              "<PROPERTY NAME=\"Data\" TYPE=\"string\"><VALUE>&quot;&amp;&quot;</VALUE></PROPERTY>"
              "<PROPERTY NAME=\"Description\" PROPAGATED=\"true\" TYPE=\"string\"></PROPERTY>"
              "<PROPERTY NAME=\"ElementName\" PROPAGATED=\"true\" TYPE=\"string\"></PROPERTY>"
              "<PROPERTY NAME=\"InstanceID\" PROPAGATED=\"true\" TYPE=\"string\"></PROPERTY>"
              "<PROPERTY NAME=\"Name\" TYPE=\"string\"><VALUE>a&lt;b&gt;</VALUE></PROPERTY>"
              "<PROPERTY NAME=\"Source\" TYPE=\"uint16\"><VALUE>0</VALUE></PROPERTY></INSTANCE>");
    free(text);
    kvpbus_cim_object_free(item);
}

Test(lab_cim, what_is_written_is_read_in_both_forms)
{
    struct kvpbus_cim_object *object = new_object("Msvm_KvpExchangeDataItem");
    static const enum kvpbus_cim_dtd dtds[] = {KVPBUS_CIM_DTD_2_0, KVPBUS_CIM_WMI_DTD_2_0};
    cr_assert(kvpbus_cim_set(object, "Name", "key.1"));
    cr_assert(kvpbus_cim_set(object, "Data", " <a>&\t\xC3\xA4\r\n\"'"));
    cr_assert(kvpbus_cim_set_number(object, "Source", 4));
    for (size_t i = 0; i < 2; i++) {
        struct kvpbus_cim_item item;
        char *text = kvpbus_cim_instance_text(object, dtds[i]);
        cr_assert_eq(kvpbus_cim_item_parse(text, &item), KVPBUS_CIM_ITEM_OK, "%s", text);
        cr_assert_str_eq(item.name, "key.1");
        cr_assert_str_eq(item.data, " <a>&\t\xC3\xA4\r\n\"'");
        cr_assert_eq(item.source, 4);
        kvpbus_cim_item_clear(&item);
        free(text);
    }
    kvpbus_cim_object_free(object);
}

#define ITEM(inner) "<INSTANCE CLASSNAME=\"Msvm_KvpExchangeDataItem\">" inner "</INSTANCE>"
#define PROPERTY(name, value) \
    "<PROPERTY NAME=\"" name "\" TYPE=\"string\"><VALUE>" value "</VALUE></PROPERTY>"

Test(lab_cim, items_as_other_writers_make_them)
{
    struct kvpbus_cim_item item;
    cr_assert_eq(
        kvpbus_cim_item_parse(
            "<?xml version=\"1.0\" encoding=\"utf-16\"?>\n"
            "<INSTANCE CLASSNAME='msvm_kvpexchangedataitem'>\n <QUALIFIER NAME=\"x\">"
            "<VALUE>q</VALUE></QUALIFIER>" PROPERTY(
                "name", "k&#65;<![CDATA[<]]>") "<PROPERTY TYPE=\"string\" "
                                               "NAME=\"Data\"><QUALIFIER><VALUE>q</VALUE>"
                                               "</QUALIFIER><VALUE></VALUE></PROPERTY></INSTANCE>",
            &item),
        KVPBUS_CIM_ITEM_OK);
    cr_assert_str_eq(item.name, "kA<");
    cr_assert_str_eq(item.data, "");
    cr_assert_eq(item.source, 0);
    kvpbus_cim_item_clear(&item);
    cr_assert_eq(kvpbus_cim_item_parse(ITEM("<PROPERTY NAME=\"Name\"></PROPERTY>"), &item),
                 KVPBUS_CIM_ITEM_OK);
    cr_assert_null(item.name);
    cr_assert_null(item.data);
    kvpbus_cim_item_clear(&item);
}

Test(lab_cim, what_is_no_item_is_refused)
{
    static const char *const texts[] = {
        "",
        "text",
        "<INSTANCE/>",
        "<INSTANCE CLASSNAME=\"Msvm_ComputerSystem\"/>",
        "<OTHER CLASSNAME=\"Msvm_KvpExchangeDataItem\"/>",
        "<INSTANCE CLASSNAME=\"Msvm_KvpExchangeDataItem\">",
        ITEM("<PROPERTY><VALUE>x</VALUE></PROPERTY>"),
        ITEM(PROPERTY("Name", "a") PROPERTY("Name", "b")),
        ITEM(PROPERTY("Source", "x")),
        ITEM(PROPERTY("Source", "65536")),
        ITEM(PROPERTY("Source", "")),
        ITEM(PROPERTY("Name", "&unknown;")),
        ITEM("") ITEM(""),
        "<!DOCTYPE INSTANCE [<!ENTITY a \"a\">]>" ITEM(PROPERTY("Name", "&a;")),
        ITEM("<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a></a>"
             "</a></a></a></a></a></a></a>"),
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct kvpbus_cim_item item;
        cr_assert_eq(kvpbus_cim_item_parse(texts[i], &item), KVPBUS_CIM_ITEM_INVALID, "%s",
                     texts[i]);
        cr_assert_null(item.name);
    }
}
