// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "kvpbus/management.h"

static struct kvpbus_vm host_vms[5];
static size_t host_count;
static enum kvpbus_error list_error;

static enum kvpbus_error list(struct kvpbus_management *management, struct kvpbus_vm **vms,
                              size_t *count, struct kvpbus_failure *failure)
{
    (void)management;
    if (list_error != KVPBUS_OK)
        return kvpbus_fail(failure, list_error, "no list");
    *vms = malloc(sizeof host_vms);
    *count = host_count;
    memcpy(*vms, host_vms, sizeof host_vms);
    return KVPBUS_OK;
}

static const struct kvpbus_management_ops ops = {.list = list};
static struct kvpbus_management host = {&ops};
static struct kvpbus_vm found;
static struct kvpbus_failure failure;

static void add(const char *name)
{
    struct kvpbus_vm *vm = &host_vms[host_count];
    memset(vm->guid, (int)(0xA0 + host_count++), sizeof vm->guid);
    strcpy(vm->name, name);
}

static enum kvpbus_error find(const char *vm)
{
    failure = (struct kvpbus_failure){0};
    return kvpbus_management_find(&host, vm, &found, &failure);
}

Test(management_find, by_name_and_by_guid)
{
    add("web");
    add("it's a \"test\" OR '1'='1' %_[x]");
    cr_assert_eq(find("web"), KVPBUS_OK);
    cr_assert_eq(found.guid[0], 0xA0);
    cr_assert_eq(find("it's a \"test\" OR '1'='1' %_[x]"), KVPBUS_OK);
    cr_assert_eq(found.guid[0], 0xA1);
    cr_assert_eq(find("{a1a1a1a1-a1a1-a1a1-a1a1-a1a1a1a1a1a1}"), KVPBUS_OK);
    cr_assert_eq(found.guid[0], 0xA1);
}

Test(management_find, an_unknown_one)
{
    add("web");
    static const char *const unknown[] = {
        "", "we", "WEB", "web ", "%", "' OR ''='", "00000000-0000-0000-0000-000000000000"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        cr_assert_eq(find(unknown[i]), KVPBUS_VM_UNKNOWN, "%s", unknown[i]);
        cr_assert_eq(failure.code, KVPBUS_VM_UNKNOWN);
    }
}

Test(management_find, two_of_one_name_are_listed)
{
    add("web");
    add("db");
    add("web");
    cr_assert_eq(find("web"), KVPBUS_VM_AMBIGUOUS);
    cr_assert_str_eq(failure.detail, "2 VMs are named web; use the GUID: "
                                     "A0A0A0A0-A0A0-A0A0-A0A0-A0A0A0A0A0A0 or "
                                     "A2A2A2A2-A2A2-A2A2-A2A2-A2A2A2A2A2A2");
    cr_assert_eq(find("a2a2a2a2-a2a2-a2a2-a2a2-a2a2a2a2a2a2"), KVPBUS_OK);
    add("web");
    cr_assert_eq(find("web"), KVPBUS_VM_AMBIGUOUS);
    cr_assert_not_null(strstr(failure.detail, "3 VMs"));
    cr_assert_not_null(strstr(failure.detail, "or another"));
}

Test(management_find, what_listing_gives_is_passed_on)
{
    list_error = KVPBUS_ACCESS;
    cr_assert_eq(find("web"), KVPBUS_ACCESS);
}
