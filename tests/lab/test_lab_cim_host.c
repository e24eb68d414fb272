// SPDX-License-Identifier: Apache-2.0
//
// What the stand-in WMI provider makes of a real lab, without WMI in between.
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "item_text.h"
#include "lab_fixture.h"

static const struct kvpbus_cim_scope scope = {"HOST", "root\\virtualization\\v2"};
static struct lab lab;
static struct kvpbus_cim_host *host;

static void start(void)
{
    lab_start(&lab, "");
    cr_assert_eq(kvpbus_cim_host_open(lab.socket, &scope, &host), KVPBUS_CIM_OK);
}

static void finish(void)
{
    kvpbus_cim_host_release(host);
    lab_stop(&lab);
    lab_remove(&lab);
}

TestSuite(lab_cim_host, .init = start, .fini = finish);

static enum kvpbus_cim_status query(const char *text, struct kvpbus_cim_list *list)
{
    *list = (struct kvpbus_cim_list){0};
    return kvpbus_cim_host_query(host, text, list);
}

static size_t count(const char *text)
{
    struct kvpbus_cim_list list;
    cr_assert_eq(query(text, &list), KVPBUS_CIM_OK, "%s", text);
    size_t found = list.count;
    kvpbus_cim_list_free(&list);
    return found;
}

// A property of the only object that a query gives. Static; NULL when it is null.
static const char *only(const char *text, const char *property)
{
    static char value[4096];
    struct kvpbus_cim_list list;
    cr_assert_eq(query(text, &list), KVPBUS_CIM_OK, "%s", text);
    cr_assert_eq(list.count, 1, "%s", text);
    const char *found = kvpbus_cim_get(list.objects[0], property);
    if (found != NULL)
        snprintf(value, sizeof value, "%s", found);
    kvpbus_cim_list_free(&list);
    return found != NULL ? value : NULL;
}

static char *path_of(const char *text)
{
    struct kvpbus_cim_list list;
    cr_assert_eq(query(text, &list), KVPBUS_CIM_OK);
    cr_assert_eq(list.count, 1);
    char *path = kvpbus_cim_path(list.objects[0], &scope);
    kvpbus_cim_list_free(&list);
    cr_assert_not_null(path);
    return path;
}

#define ALPHA "SELECT * FROM Msvm_ComputerSystem WHERE ElementName='alpha'"

// A query in which # stands for the GUID of alpha. Static.
static const char *with_guid(const char *query_text)
{
    static char text[256];
    char guid[KVPBUS_GUID_TEXT + 1];
    const char *sign = strchr(query_text, '#');
    kvpbus_guid_format(lab.guids[LAB_ALPHA], guid);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(sign - query_text), query_text, guid, sign + 1);
    return text;
}

// One call of a method with one item. Returns ReturnValue; *job is the job's path, to be freed.
static unsigned call(const char *method, const char *key, const char *value, char **job)
{
    const struct kvpbus_cim_class *service =
        kvpbus_cim_class_find("Msvm_VirtualSystemManagementService");
    struct kvpbus_cim_object *in =
        kvpbus_cim_object_new(kvpbus_cim_method_find(service, method)->in);
    struct kvpbus_cim_object *item =
        kvpbus_cim_object_new(kvpbus_cim_class_find("Msvm_KvpExchangeDataItem"));
    struct kvpbus_cim_object *out;
    char *vm = path_of(ALPHA);
    char *path = path_of("SELECT * FROM Msvm_VirtualSystemManagementService");
    cr_assert(kvpbus_cim_set(item, "Name", key) && kvpbus_cim_set(item, "Data", value) &&
              kvpbus_cim_set(item, "Source", "0") && kvpbus_cim_set(in, "TargetSystem", vm));
    char *text = kvpbus_cim_instance_text(item, KVPBUS_CIM_DTD_2_0);
    cr_assert(kvpbus_cim_append(in, "DataItems", text));
    cr_assert_eq(kvpbus_cim_host_call(host, path, method, in, &out), KVPBUS_CIM_OK);
    unsigned result = (unsigned)strtoul(kvpbus_cim_get(out, "ReturnValue"), NULL, 10);
    const char *reference = kvpbus_cim_get(out, "Job");
    *job = reference != NULL ? strdup(reference) : NULL;
    kvpbus_cim_object_free(in);
    kvpbus_cim_object_free(item);
    kvpbus_cim_object_free(out);
    free(text);
    free(vm);
    free(path);
    return result;
}

// Waits for the end of a job, whose path it frees; returns its ErrorCode.
static unsigned end_of(char *job)
{
    unsigned state = 0, error = 0;
    cr_assert_not_null(job);
    for (int i = 0; i < 6000 && state < 7; i++) {
        struct kvpbus_cim_object *object;
        lab_sleep_ms(i > 0 ? 10 : 0);
        cr_assert_eq(kvpbus_cim_host_get(host, job, &object), KVPBUS_CIM_OK);
        state = (unsigned)strtoul(kvpbus_cim_get(object, "JobState"), NULL, 10);
        error = (unsigned)strtoul(kvpbus_cim_get(object, "ErrorCode"), NULL, 10);
        kvpbus_cim_object_free(object);
    }
    free(job);
    cr_assert_eq(state, error == 0 ? 7 : 10);
    return error;
}

static unsigned change(const char *method, const char *key, const char *value)
{
    char *job;
    cr_assert_eq(call(method, key, value, &job), 4096);
    return end_of(job);
}

Test(lab_cim_host, systems_in_their_states)
{
    cr_assert_eq(count("SELECT * FROM Msvm_ComputerSystem"), 3);
    cr_assert_str_eq(only("SELECT * FROM CIM_System WHERE Caption LIKE 'Hosting%'", "Name"),
                     "HOST");
    cr_assert_str_eq(only(ALPHA, "EnabledState"), "2");
    lab_ctl(&lab, "pause alpha");
    cr_assert_str_eq(only(ALPHA, "EnabledState"), "9");
    lab_ctl(&lab, "resume alpha");
    lab_ctl(&lab, "save alpha");
    cr_assert_str_eq(only(ALPHA, "EnabledState"), "6");
    lab_ctl(&lab, "stop alpha");
    cr_assert_str_eq(only(ALPHA, "EnabledState"), "3");
    lab_ctl(&lab, "start alpha");
    lab_ctl(&lab, "fault alpha too-many --count 1");
    cr_assert_eq(change("AddKvpItems", "foreign", "x"), 32768);
    cr_assert_str_eq(only(ALPHA, "EnabledState"), "2");
    cr_assert_str_eq(only(ALPHA, "HealthState"), "25");
}

Test(lab_cim_host, items_go_to_the_guest_and_come_back)
{
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.g", "of the guest");
    cr_assert_eq(change("AddKvpItems", "kvpbus.h", "of the <host>"), 0);
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.h"), "of the <host>");
    cr_assert_eq(change("AddKvpItems", "kvpbus.h", "again"), 32773);
    cr_assert_eq(change("ModifyKvpItems", "kvpbus.h", "changed"), 0);
    const char *host_item = only(with_guid("SELECT InstanceID, HostExchangeItems FROM "
                                           "Msvm_KvpExchangeComponentSettingData WHERE InstanceID "
                                           "LIKE 'Microsoft:#\\\\%'"),
                                 "HostExchangeItems");
    cr_assert_not_null(strstr(host_item, "<VALUE>changed</VALUE>"));
    cr_assert_not_null(strstr(host_item, "<VALUE>0</VALUE>"));
    const char *guest_item =
        only(with_guid("SELECT SystemName,GuestExchangeItems FROM Msvm_KvpExchangeComponent WHERE "
                       "SystemName='#'"),
             "GuestExchangeItems");
    cr_assert_not_null(strstr(guest_item, "<VALUE>of the guest</VALUE>"));
    cr_assert_not_null(strstr(guest_item, "<VALUE>1</VALUE>"));
    const char *intrinsic =
        only(with_guid("SELECT * FROM Msvm_KvpExchangeComponent WHERE SystemName='#'"),
             "GuestIntrinsicExchangeItems");
    cr_assert_not_null(strstr(intrinsic, "<VALUE>FullyQualifiedDomainName</VALUE>"));
    cr_assert_not_null(strstr(intrinsic, "<VALUE>2</VALUE>"));
    cr_assert_eq(change("RemoveKvpItems", "kvpbus.h", ""), 0);
    cr_assert_eq(lab_host_count(&lab, LAB_ALPHA), 0);
}

Test(lab_cim_host, all_guests_are_one_read)
{
    static const char text[] =
        "SELECT SystemName,GuestExchangeItems FROM Msvm_KvpExchangeComponent";
    char stats[8192];
    cr_assert_eq(count(text), 2);
    cr_assert_eq(count("SELECT SystemName FROM Msvm_KvpExchangeComponent"), 2);
    cr_assert_eq(lab_program(&lab, "ctl DIR stats --json", stats, sizeof stats), 0);
    size_t queries = 0;
    for (const char *at = stats; (at = strstr(at, "\"queries\": ")) != NULL; at++)
        queries += strtoul(at + 11, NULL, 10);
    cr_assert_eq(queries, 1, "%s", stats);
}

Test(lab_cim_host, a_vm_that_is_off_has_settings_and_no_component)
{
    cr_assert_eq(change("AddKvpItems", "kvpbus.h", "kept"), 0);
    lab_ctl(&lab, "stop alpha");
    cr_assert_eq(count("SELECT * FROM Msvm_KvpExchangeComponent"), 1);
    const char *item = only(with_guid("SELECT * FROM Msvm_KvpExchangeComponentSettingData WHERE "
                                      "InstanceID LIKE '%#%'"),
                            "HostExchangeItems");
    cr_assert_not_null(strstr(item, "<VALUE>kept</VALUE>"));
    cr_assert_eq(change("AddKvpItems", "kvpbus.i", "while off"), 0);
}

Test(lab_cim_host, exchange_that_is_off_and_a_guest_without_its_service)
{
    static const char text[] = "SELECT * FROM Msvm_KvpExchangeComponent WHERE SystemName='#'";
    lab_ctl(&lab, "fault alpha disable-exchange");
    cr_assert_str_eq(only(with_guid(text), "EnabledState"), "3");
    cr_assert_null(only(with_guid(text), "GuestExchangeItems"));
    char *job;
    cr_assert_eq(call("AddKvpItems", "kvpbus.h", "x", &job), 32775);
    cr_assert_null(job);
    lab_ctl(&lab, "fault alpha enable-exchange");
    cr_assert_str_eq(only(with_guid(text), "OperationalStatus"), "2");
    lab_ctl(&lab, "fault alpha daemon-absent");
    for (int i = 0; i < 6000 && strcmp(only(with_guid(text), "OperationalStatus"), "12") != 0; i++)
        lab_sleep_ms(10);
    cr_assert_str_eq(only(with_guid(text), "OperationalStatus"), "12");
}

Test(lab_cim_host, associations_lead_from_a_vm_to_its_items)
{
    char text[1024];
    char *vm = path_of(ALPHA);
    snprintf(text, sizeof text,
             "ASSOCIATORS OF {%s} WHERE AssocClass=Msvm_SystemDevice "
             "ResultClass=Msvm_KvpExchangeComponent",
             vm);
    char *component = path_of(text);
    cr_assert_not_null(strstr(component, ":Msvm_KvpExchangeComponent."));
    snprintf(text, sizeof text,
             "ASSOCIATORS OF {%s} WHERE ResultClass=Msvm_KvpExchangeComponentSettingData",
             component);
    char *settings = path_of(text);
    cr_assert_not_null(strstr(settings, ":Msvm_KvpExchangeComponentSettingData.InstanceID="));
    snprintf(text, sizeof text, "REFERENCES OF {%s}", component);
    cr_assert_eq(count(text), 2);
    snprintf(text, sizeof text, "ASSOCIATORS OF {%s} WHERE ResultRole=GroupComponent", component);
    char *back = path_of(text);
    cr_assert_str_eq(back, vm);
    snprintf(text, sizeof text, "ASSOCIATORS OF {%s} WHERE AssocClass=Msvm_Nothing", component);
    struct kvpbus_cim_list list;
    cr_assert_eq(query(text, &list), KVPBUS_CIM_INVALID_CLASS);
    cr_assert_eq(query("ASSOCIATORS OF {Msvm_ConcreteJob.InstanceID='x'}", &list),
                 KVPBUS_CIM_NOT_FOUND);
    cr_assert_eq(query("ASSOCIATORS OF {Msvm_ComputerSystem}", &list), KVPBUS_CIM_INVALID_QUERY);
    free(vm);
    free(component);
    free(settings);
    free(back);
}

Test(lab_cim_host, a_checkpoint_has_settings_of_its_own)
{
    static const char all[] = "SELECT * FROM Msvm_KvpExchangeComponentSettingData";
    char text[512];
    cr_assert_eq(change("AddKvpItems", "kvpbus.h", "before"), 0);
    lab_ctl(&lab, "stop alpha");
    lab_ctl(&lab, "checkpoint alpha one");
    cr_assert_eq(change("ModifyKvpItems", "kvpbus.h", "after"), 0);
    cr_assert_eq(count(all), 3);
    // By the GUID of the VM there are those of the VM alone.
    const char *items = only(with_guid("SELECT * FROM Msvm_KvpExchangeComponentSettingData WHERE "
                                       "InstanceID LIKE 'Microsoft:#%'"),
                             "HostExchangeItems");
    cr_assert_not_null(strstr(items, "<VALUE>after</VALUE>"));
    lab_ctl(&lab, "start alpha");
    char *component =
        path_of(with_guid("SELECT * FROM Msvm_KvpExchangeComponent WHERE SystemName='#'"));
    snprintf(text, sizeof text, "ASSOCIATORS OF {%s} WHERE AssocClass=Msvm_ElementSettingData",
             component);
    items = only(text, "HostExchangeItems");
    cr_assert_not_null(strstr(items, "<VALUE>before</VALUE>"));
    snprintf(text, sizeof text, "ASSOCIATORS OF {%s} WHERE AssocClass=Msvm_SettingsDefineState",
             component);
    items = only(text, "HostExchangeItems");
    cr_assert_not_null(strstr(items, "<VALUE>after</VALUE>"));
    free(component);
}

Test(lab_cim_host, objects_and_classes_by_path)
{
    struct kvpbus_cim_object *object = NULL;
    cr_assert_eq(kvpbus_cim_host_get(host, "Msvm_ComputerSystem", &object), KVPBUS_CIM_OK);
    cr_assert(object->is_class);
    kvpbus_cim_object_free(object);
    static const struct {
        const char *path;
        enum kvpbus_cim_status status;
    } paths[] = {
        {"Msvm_Nothing", KVPBUS_CIM_NOT_FOUND},
        {"Msvm_Nothing.A='x'", KVPBUS_CIM_INVALID_CLASS},
        {"Msvm_ComputerSystem.Name='x'", KVPBUS_CIM_INVALID_PATH},
        {"Msvm_ComputerSystem.Name='x',CreationClassName='Msvm_ComputerSystem'",
         KVPBUS_CIM_NOT_FOUND},
        {"Msvm_KvpExchangeDataItem.InstanceID='x'", KVPBUS_CIM_NOT_FOUND},
        {"root\\cimv2:Msvm_ComputerSystem", KVPBUS_CIM_INVALID_NAMESPACE},
        {"=", KVPBUS_CIM_INVALID_PATH},
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        cr_assert_eq(kvpbus_cim_host_get(host, paths[i].path, &object), paths[i].status, "%s",
                     paths[i].path);
}

Test(lab_cim_host, a_job_that_never_ends_and_one_by_query)
{
    char *job, text[256];
    lab_ctl(&lab, "fault alpha lost-job --count 1");
    cr_assert_eq(call("AddKvpItems", "kvpbus.h", "x", &job), 4096);
    struct kvpbus_cim_object *object;
    cr_assert_eq(kvpbus_cim_host_get(host, job, &object), KVPBUS_CIM_OK);
    cr_assert_str_eq(kvpbus_cim_get(object, "JobState"), "4");
    snprintf(text, sizeof text, "SELECT * FROM Msvm_ConcreteJob WHERE InstanceID = '%s'",
             kvpbus_cim_get(object, "InstanceID"));
    cr_assert_str_eq(only(text, "JobState"), "4");
    kvpbus_cim_object_free(object);
    free(job);
    cr_assert_eq(count("SELECT * FROM Msvm_ConcreteJob"), 0);
}

Test(lab_cim_host, methods_with_bad_parameters)
{
    const struct kvpbus_cim_method *method = kvpbus_cim_method_find(
        kvpbus_cim_class_find("Msvm_VirtualSystemManagementService"), "AddKvpItems");
    struct kvpbus_cim_object *in = kvpbus_cim_object_new(method->in), *out;
    char *path = path_of("SELECT * FROM Msvm_VirtualSystemManagementService");
    cr_assert_eq(kvpbus_cim_host_call(host, path, "AddKvpItems", NULL, &out),
                 KVPBUS_CIM_INVALID_PARAMETERS);
    cr_assert_eq(kvpbus_cim_host_call(host, path, "AddKvpItems", in, &out),
                 KVPBUS_CIM_INVALID_PARAMETERS);
    cr_assert_eq(kvpbus_cim_host_call(host, path, "Nothing", in, &out), KVPBUS_CIM_INVALID_METHOD);
    cr_assert_eq(
        kvpbus_cim_host_call(host, "Msvm_VirtualSystemManagementService", "AddKvpItems", in, &out),
        KVPBUS_CIM_INVALID_PARAMETERS);
    cr_assert(kvpbus_cim_set(in, "TargetSystem", "Msvm_ComputerSystem.Name='x'"));
    cr_assert(kvpbus_cim_append(in, "DataItems", "no XML"));
    cr_assert_eq(kvpbus_cim_host_call(host, path, "AddKvpItems", in, &out), KVPBUS_CIM_OK);
    cr_assert_str_eq(kvpbus_cim_get(out, "ReturnValue"), "32773");
    kvpbus_cim_object_free(out);
    char *vm = path_of(ALPHA);
    cr_assert(kvpbus_cim_set(in, "TargetSystem", vm));
    cr_assert_eq(kvpbus_cim_host_call(host, path, "AddKvpItems", in, &out), KVPBUS_CIM_OK);
    cr_assert_str_eq(kvpbus_cim_get(out, "ReturnValue"), "32773");
    kvpbus_cim_object_free(out);
    kvpbus_cim_object_free(in);
    free(vm);
    free(path);
}

static void *poll_often(void *context)
{
    size_t *good = context;
    for (int i = 0; i < 50; i++) {
        struct kvpbus_cim_list list = {0};
        if (kvpbus_cim_host_query(host, "SELECT * FROM Msvm_KvpExchangeComponent", &list) ==
            KVPBUS_CIM_OK)
            *good += list.count;
        kvpbus_cim_list_free(&list);
    }
    return NULL;
}

Test(lab_cim_host, many_threads_at_once)
{
    enum { THREADS = 12 };
    pthread_t threads[THREADS];
    size_t good[THREADS] = {0};
    for (size_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, poll_often, &good[i]), 0);
    for (size_t i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        cr_assert_eq(good[i], 100);
    }
}

Test(lab_cim_host, everything_is_hidden)
{
    struct kvpbus_cim_host *other;
    struct kvpbus_cim_object *object;
    char *path = path_of("SELECT * FROM Msvm_VirtualSystemManagementService"), *job;
    cr_assert_eq(call("AddKvpItems", "kvpbus.h", "x", &job), 4096);
    lab_ctl(&lab, "service hide");
    cr_assert_eq(kvpbus_cim_host_open(lab.socket, &scope, &other), KVPBUS_CIM_OK);
    cr_assert_eq(count("SELECT * FROM CIM_ManagedElement"), 0);
    cr_assert_eq(kvpbus_cim_host_get(other, path, &object), KVPBUS_CIM_NOT_FOUND);
    cr_assert_eq(kvpbus_cim_host_get(host, job, &object), KVPBUS_CIM_NOT_FOUND);
    cr_assert_eq(kvpbus_cim_host_call(host, path, "AddKvpItems", NULL, &object),
                 KVPBUS_CIM_NOT_FOUND);
    lab_ctl(&lab, "service normal");
    cr_assert_eq(count("SELECT * FROM Msvm_ComputerSystem"), 3);
    // Who connected meanwhile is the service's client like others.
    lab_ctl(&lab, "service restart");
    cr_assert_eq(kvpbus_cim_host_get(other, path, &object), KVPBUS_CIM_DISCONNECTED);
    kvpbus_cim_host_release(other);
    free(job);
    free(path);
}

Test(lab_cim_host, the_service_as_a_whole)
{
    struct kvpbus_cim_list list;
    struct kvpbus_cim_host *other;
    char *job;
    cr_assert_eq(call("AddKvpItems", "kvpbus.h", "x", &job), 4096);
    lab_ctl(&lab, "service restart");
    cr_assert_eq(query(ALPHA, &list), KVPBUS_CIM_DISCONNECTED);
    cr_assert_eq(query(ALPHA, &list), KVPBUS_CIM_DISCONNECTED);
    cr_assert_eq(kvpbus_cim_host_open(lab.socket, &scope, &other), KVPBUS_CIM_OK);
    struct kvpbus_cim_object *object;
    cr_assert_eq(kvpbus_cim_host_get(other, job, &object), KVPBUS_CIM_NOT_FOUND);
    free(job);
    static const struct {
        const char *words;
        enum kvpbus_cim_status status;
    } states[] = {
        {"service deny", KVPBUS_CIM_ACCESS_DENIED},
        {"service absent", KVPBUS_CIM_INVALID_NAMESPACE},
        {"service stop", KVPBUS_CIM_UNREACHABLE},
    };
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        struct kvpbus_cim_host *refused;
        lab_ctl(&lab, states[i].words);
        cr_assert_eq(kvpbus_cim_host_open(lab.socket, &scope, &refused), states[i].status);
        list = (struct kvpbus_cim_list){0};
        cr_assert_eq(kvpbus_cim_host_query(other, ALPHA, &list), states[i].status);
        // The lab itself is there for who does not come through the service.
        cr_assert_eq(lab_state(&lab, LAB_ALPHA), KVPBUS_VM_STATE_RUNNING);
    }
    lab_ctl(&lab, "service normal");
    cr_assert_eq(kvpbus_cim_host_query(other, ALPHA, &list), KVPBUS_CIM_OK);
    kvpbus_cim_list_free(&list);
    kvpbus_cim_host_release(other);
    cr_assert_eq(lab_program(&lab, "ctl DIR service nonsense", NULL, 0), 2);
    cr_assert_eq(kvpbus_cim_host_open("/nowhere/host.sock", &scope, &other),
                 KVPBUS_CIM_UNREACHABLE);
}
