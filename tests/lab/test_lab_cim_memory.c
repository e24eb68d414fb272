// SPDX-License-Identifier: Apache-2.0
//
// The provider's parts without COM when memory fails: each allocation fails once, the result is a
// failure that says so, and nothing is left.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "item_text.h"
#include "wql.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *memory);

static bool counting;
static long left;   // allocations that succeed before one fails
static long living; // of those that were made while counting

static bool fails(void)
{
    return counting && left-- == 0;
}

static void *made(void *memory)
{
    living += counting && memory != NULL ? 1 : 0;
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : made(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : made(__real_calloc(count, size));
}

void *__wrap_realloc(void *memory, size_t size)
{
    if (fails())
        return NULL;
    return memory == NULL ? made(__real_realloc(NULL, size)) : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : made(__real_strdup(text));
}

void __wrap_free(void *memory)
{
    living -= counting && memory != NULL ? 1 : 0;
    __real_free(memory);
}

static const struct kvpbus_cim_scope scope = {"HOST", "root\\virtualization\\v2"};

// Runs a piece of work again and again, with one more allocation that succeeds, until it succeeds.
// It returns whether it did, and leaves nothing. Returns how often it failed.
static long fail_each(bool (*work)(void))
{
    long failures = 0;
    for (bool done = false; !done; failures++) {
        left = failures;
        living = 0;
        counting = true;
        done = work();
        bool failed = left < 0;
        counting = false;
        cr_assert_eq(living, 0, "after %ld allocations", failures);
        cr_assert_neq(done, failed, "after %ld allocations", failures);
        cr_assert_lt(failures, 10000);
    }
    return failures - 1;
}

static bool query(void)
{
    struct kvpbus_wql_query *parsed;
    enum kvpbus_wql_result result =
        kvpbus_wql_parse("SELECT Name FROM Msvm_ComputerSystem WHERE Name = 'x' OR a = 5", &parsed);
    if (result == KVPBUS_WQL_OK)
        kvpbus_wql_free(parsed);
    return result == KVPBUS_WQL_OK;
}

static bool path(void)
{
    struct kvpbus_cim_reference reference;
    struct kvpbus_cim_object *vm =
        kvpbus_cim_object_new(kvpbus_cim_class_find("Msvm_ComputerSystem"));
    char *text = NULL;
    bool good = vm != NULL && kvpbus_cim_set(vm, "Name", "x\"\\y");
    if (good)
        text = kvpbus_cim_path(vm, &scope);
    good = text != NULL && kvpbus_cim_path_parse(text, &scope, &reference) == KVPBUS_CIM_PATH_OK;
    if (good)
        free(reference.text);
    free(text);
    kvpbus_cim_object_free(vm);
    return good;
}

static bool list(void)
{
    struct kvpbus_cim_list objects = {0};
    struct kvpbus_cim_object *first =
        kvpbus_cim_object_new(kvpbus_cim_class_find("Msvm_KvpExchangeComponent"));
    bool good = first != NULL;
    for (int i = 0; good && i < 20; i++)
        good = kvpbus_cim_append(first, "GuestExchangeItems", "item");
    if (!good)
        kvpbus_cim_object_free(first);
    good = good && kvpbus_cim_list_add(&objects, first);
    for (int i = 0; good && i < 20; i++)
        good = kvpbus_cim_list_add(&objects, kvpbus_cim_object_copy(objects.objects[0]));
    kvpbus_cim_list_free(&objects);
    return good;
}

static bool text_of(void)
{
    struct kvpbus_cim_object *object =
        kvpbus_cim_object_new(kvpbus_cim_class_find("Msvm_KvpExchangeDataItem"));
    char *text = NULL;
    if (object != NULL && kvpbus_cim_set(object, "Name", "key") &&
        kvpbus_cim_set(object, "Data", "value"))
        text = kvpbus_cim_instance_text(object, KVPBUS_CIM_WMI_DTD_2_0);
    kvpbus_cim_object_free(object);
    free(text);
    return text != NULL;
}

// What expat itself allocates does not pass here.
static bool item(void)
{
    struct kvpbus_cim_item parsed;
    enum kvpbus_cim_item_result result = kvpbus_cim_item_parse(
        "<INSTANCE CLASSNAME=\"Msvm_KvpExchangeDataItem\"><PROPERTY NAME=\"Name\"><VALUE>key"
        "</VALUE></PROPERTY><PROPERTY NAME=\"Data\"><VALUE>value</VALUE></PROPERTY></INSTANCE>",
        &parsed);
    if (result == KVPBUS_CIM_ITEM_OK)
        kvpbus_cim_item_clear(&parsed);
    else
        cr_assert_eq(result, KVPBUS_CIM_ITEM_NOMEM);
    return result == KVPBUS_CIM_ITEM_OK;
}

Test(lab_cim_memory, each_allocation_fails_once)
{
    cr_assert_eq(fail_each(query), 2);
    cr_assert_gt(fail_each(path), 10);
    cr_assert_gt(fail_each(list), 400);
    cr_assert_gt(fail_each(text_of), 5);
    cr_assert_eq(fail_each(item), 2);
}
