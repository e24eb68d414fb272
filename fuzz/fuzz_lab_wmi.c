// SPDX-License-Identifier: Apache-2.0
//
// The input is what a WMI client may give the lab's stand-in provider: a query, a path, an item. A
// path that is understood is written and read again; of a query the conditions are looked at.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "item_text.h"
#include "wql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct kvpbus_cim_scope scope = {"HOST", "root\\virtualization\\v2"};

static void try_query(const char *text, struct kvpbus_cim_object *vm)
{
    struct kvpbus_wql_query *query;
    if (kvpbus_wql_parse(text, &query) != KVPBUS_WQL_OK)
        return;
    if (query->kind == KVPBUS_WQL_SELECT && kvpbus_wql_fits(query, vm->class)) {
        kvpbus_wql_matches(query, vm);
        assert(kvpbus_wql_selection(query, vm->class) >> vm->class->property_count == 0);
    }
    kvpbus_wql_free(query);
}

static void try_path(const char *text, struct kvpbus_cim_object *vm)
{
    struct kvpbus_cim_reference reference, again;
    if (kvpbus_cim_path_parse(text, &scope, &reference) != KVPBUS_CIM_PATH_OK)
        return;
    if (reference.key_count > 0 && kvpbus_cim_set(vm, "Name", reference.keys[0].value)) {
        char *path = kvpbus_cim_path(vm, &scope);
        assert(path != NULL);
        assert(kvpbus_cim_path_parse(path, &scope, &again) == KVPBUS_CIM_PATH_OK);
        assert(kvpbus_cim_path_names(&again, vm));
        free(again.text);
        free(path);
    }
    kvpbus_cim_path_names(&reference, vm);
    free(reference.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kvpbus_cim_item item;
    char *text = malloc(size + 1);
    struct kvpbus_cim_object *vm =
        kvpbus_cim_object_new(kvpbus_cim_class_find("Msvm_ComputerSystem"));
    if (text == NULL || vm == NULL)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    try_query(text, vm);
    try_path(text, vm);
    if (kvpbus_cim_item_parse(text, &item) == KVPBUS_CIM_ITEM_OK)
        kvpbus_cim_item_clear(&item);
    kvpbus_cim_object_free(vm);
    free(text);
    return 0;
}
