// SPDX-License-Identifier: Apache-2.0
//
// What is the WMI client's own, in the lab: its store by the conformance suite, other namespaces
// and hosts, a service that is gone, calls that hang, and that nothing is left behind.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance.h"
#include "lab_fixture.h"
#include "lab_management.h"
#include "store_proxy.h"
#include "wmi_server_fixture.h"

static struct lab lab;
static struct wine wine;
static struct wmi_server server;
static struct kvpbus_management *management;
static struct kvpbus_failure failure;

static void start(void)
{
    lab_start(&lab, "");
}

static void finish(void)
{
    lab_stop(&lab);
    lab_remove(&lab);
}

TestSuite(wmi_lab, .init = start, .fini = finish);

static void open_one(bool plain, const char *const *options)
{
    wmi_server_share(&wine, lab.directory);
    wmi_server_start(&server, &wine, plain, options);
    cr_assert_eq(server.error, KVPBUS_OK, "%s", server.line);
    cr_assert_eq(kvpbus_lab_management_open(server.address, &management, &failure), KVPBUS_OK);
}

static void open_server(const char *const *options)
{
    open_one(false, options);
}

// Nothing of COM may be left when it ends.
static void close_server(void)
{
    management->ops->close(management);
    wmi_server_end(&server);
    cr_assert_eq(server.held, 0);
    cr_assert_leq(server.objects, 0);
}

static enum kvpbus_error read_vm(int vm, struct kvpbus_scan *scan)
{
    enum kvpbus_error result = KVPBUS_OK;
    uint8_t guids[1][KVPBUS_GUID_BYTES];
    memcpy(guids[0], lab.guids[vm], sizeof guids[0]);
    failure = (struct kvpbus_failure){0};
    enum kvpbus_error error = management->ops->read_guest(
        management, "kvpbus", (const uint8_t(*)[KVPBUS_GUID_BYTES])guids, 1, scan, &result,
        &failure);
    return error != KVPBUS_OK ? error : result;
}

static enum kvpbus_error add(int vm, const char *key, const char *value,
                             struct kvpbus_call_result *result)
{
    const struct kvpbus_change item = {key, value};
    failure = (struct kvpbus_failure){0};
    return management->ops->call(management, KVPBUS_OP_ADD, lab.guids[vm], &item, 1, result,
                                 &failure);
}

// --- the contract of a store ---

Test(wmi_lab, a_vms_store_keeps_the_contract_on_windows)
{
    struct kvpbus_store *store;
    wmi_server_share(&wine, lab.directory);
    cr_assert_eq(store_proxy_open(&wine, "wmi:alpha", &store, &failure), KVPBUS_OK, "%s",
                 failure.detail);
    const struct conformance suite = {
        .store = store,
        .context = &lab,
        .put_peer = lab_put_peer,
        .plant_foreign = lab_plant_foreign,
        .foreign_intact = lab_foreign_intact,
        .random_steps = 60,
    };
    conformance_run(&suite);
    kvpbus_store_close(store);
}

Test(wmi_lab, a_vm_is_named_by_what_is_unique)
{
    struct kvpbus_store *store;
    char kind[64] = "wmi:";
    wmi_server_share(&wine, lab.directory);
    cr_assert_eq(store_proxy_open(&wine, "wmi:' OR Name LIKE '%", &store, &failure),
                 KVPBUS_VM_UNKNOWN);
    kvpbus_guid_format(lab.guids[LAB_BETA], kind + strlen(kind));
    cr_assert_eq(store_proxy_open(&wine, kind, &store, &failure), KVPBUS_OK);
    kvpbus_store_close(store);
}

// --- other namespaces and hosts ---

static void expect_exchange(void)
{
    struct kvpbus_scan scan = {0};
    struct kvpbus_call_result result;
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.g", "from the guest");
    cr_assert_eq(read_vm(LAB_ALPHA, &scan), KVPBUS_OK, "%s", failure.detail);
    cr_assert_eq(scan.count, 1);
    cr_assert_str_eq(scan.items[0].value, "from the guest");
    cr_assert_eq(add(LAB_ALPHA, "kvpbus.h", "from the host", &result), KVPBUS_OK);
    cr_assert(lab_done(&result));
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.h"), "from the host");
    kvpbus_scan_free(&scan);
}

Test(wmi_lab, the_old_namespace)
{
    const char *const options[] = {"--v1", NULL};
    open_server(options);
    expect_exchange();
    lab_ctl(&lab, "pause alpha");
    struct kvpbus_scan scan = {0};
    cr_assert_eq(read_vm(LAB_ALPHA, &scan), KVPBUS_STORE_GONE);
    lab_ctl(&lab, "resume alpha");
    close_server();
}

Test(wmi_lab, another_host)
{
    const char *const options[] = {"--host", "hv7", NULL};
    setenv("KVPBUS_LAB_REMOTE", "hv7", 1);
    open_server(options);
    expect_exchange();
    close_server();
}

// The lab lets an object of such a host be used only as the account that was set on that object.
static const char of_accounts[] = "hv9=CORP\\operator:secret;hv5=operator@corp.example:secret";

Test(wmi_lab, another_host_that_wants_an_account)
{
    static const char *const names[][2] = {
        {"hv9", "CORP\\operator"},
        {"hv5", "operator@corp.example"},
    };
    setenv("KVPBUS_LAB_REMOTE", of_accounts, 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *const options[] = {"--host",     names[i][0], "--user", names[i][1],
                                       "--password", "secret",    NULL};
        open_server(options);
        expect_exchange();
        struct kvpbus_call_result result;
        const struct kvpbus_change item = {"kvpbus.h", NULL};
        cr_assert_eq(management->ops->call(management, KVPBUS_OP_REMOVE, lab.guids[LAB_ALPHA],
                                           &item, 1, &result, &failure),
                     KVPBUS_OK, "%s", failure.detail);
        cr_assert(lab_done(&result));
        close_server();
    }
}

Test(wmi_lab, another_account_or_none_is_told_what_to_do)
{
    static const char *const cases[][7] = {
        {"--host", "hv9"},
        {"--host", "hv9", "--user", "CORP\\operator", "--password", "secre"},
        {"--host", "hv9", "--user", "CORP\\operators", "--password", "secret"},
        {"--host", "hv9", "--user", "operator", "--password", "secret"},
    };
    setenv("KVPBUS_LAB_REMOTE", of_accounts, 1);
    wmi_server_share(&wine, lab.directory);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wmi_server_start(&server, &wine, false, cases[i]);
        cr_assert_eq(server.error, KVPBUS_ACCESS, "%s", server.line);
        cr_assert_not_null(strstr(server.line, "hv9: connecting to root\\virtualization\\v2: "));
        cr_assert_not_null(strstr(server.line, "0x80070005 E_ACCESSDENIED"), "%s", server.line);
        cr_assert_not_null(strstr(server.line, "check also the user name and the password"), "%s",
                           server.line);
        cr_assert_null(strstr(server.line, "secre"), "%s", server.line);
        wmi_server_end(&server);
        cr_assert_eq(server.held, 0);
        cr_assert_leq(server.objects, 0);
    }
}

Test(wmi_lab, a_wrong_host_is_told_with_what_to_do)
{
    const char *const options[] = {"--host", "hv8", NULL};
    wmi_server_share(&wine, lab.directory);
    wmi_server_start(&server, &wine, false, options);
    cr_assert_eq(server.error, KVPBUS_STORE_GONE, "%s", server.line);
    cr_assert_not_null(strstr(server.line, "hv8: connecting to root\\virtualization\\v2: "));
    cr_assert_not_null(strstr(server.line, "0x800706BA RPC_S_SERVER_UNAVAILABLE"));
    cr_assert_not_null(strstr(server.line, "check the host's name"));
    wmi_server_end(&server);
    cr_assert_eq(server.held, 0);
}

Test(wmi_lab, what_guests_say_of_their_systems_is_read_by_option)
{
    const char *const options[] = {"--auto", NULL};
    struct kvpbus_store *store;
    struct kvpbus_scan scan = {0};
    open_server(options);
    expect_exchange();
    close_server();
    cr_assert_eq(store_proxy_open(&wine, "wmi:alpha", &store, &failure), KVPBUS_OK);
    cr_assert_eq(store->ops->read_peer(store, &scan, &failure), KVPBUS_OK);
    cr_assert_eq(scan.count, 1);
    cr_assert_eq(scan.foreign, 0);
    kvpbus_store_close(store);
    cr_assert_eq(store_proxy_open(&wine, "wmi-auto:alpha", &store, &failure), KVPBUS_OK);
    cr_assert_eq(store->ops->read_peer(store, &scan, &failure), KVPBUS_OK);
    cr_assert_eq(scan.count, 1);
    cr_assert_geq(scan.foreign, 10, "%zu", scan.foreign);
    kvpbus_store_close(store);
    kvpbus_scan_free(&scan);
}

// Through GetText and, where it is not registered, through what is written by ourselves.
static void exchange_characters(bool plain)
{
    static const char value[] = "<a b=\"c\">&amp;'</a>]]> .";
    struct kvpbus_scan scan = {0};
    struct kvpbus_call_result result;
    open_one(plain, NULL);
    cr_assert_eq(add(LAB_ALPHA, "kvpbus.<&>", value, &result), KVPBUS_OK, "%s", failure.detail);
    cr_assert(lab_done(&result));
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.<&>"), value);
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.&", value);
    cr_assert_eq(read_vm(LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_eq(scan.count, 1);
    cr_assert_str_eq(scan.items[0].key, "kvpbus.&");
    cr_assert_str_eq(scan.items[0].value, value);
    result = lab_call(&lab, LAB_ALPHA, KVPBUS_OP_REMOVE, "kvpbus.<&>", NULL);
    cr_assert(lab_done(&result));
    kvpbus_scan_free(&scan);
    close_server();
}

Test(wmi_lab, characters_of_xml_go_through_both_ways)
{
    exchange_characters(false);
}

Test(wmi_lab, also_where_no_object_writes_texts)
{
    exchange_characters(true);
}

// --- states ---

static struct kvpbus_vm listed(int vm)
{
    struct kvpbus_vm *vms, found = {.name = ""};
    size_t count;
    cr_assert_eq(management->ops->list(management, &vms, &count, &failure), KVPBUS_OK);
    for (size_t i = 0; i < count; i++)
        if (memcmp(vms[i].guid, lab.guids[vm], KVPBUS_GUID_BYTES) == 0)
            found = vms[i];
    free(vms);
    return found;
}

Test(wmi_lab, each_state_of_a_vm_is_told)
{
    static const struct {
        const char *words;
        enum kvpbus_vm_state state;
        enum kvpbus_error read; // of the guest's items
        bool disabled;
    } steps[] = {
        {"list", KVPBUS_VM_STATE_RUNNING, KVPBUS_OK, false},
        {"pause alpha", KVPBUS_VM_STATE_PAUSED, KVPBUS_STORE_GONE, false},
        {"resume alpha", KVPBUS_VM_STATE_RUNNING, KVPBUS_OK, false},
        {"save alpha", KVPBUS_VM_STATE_SAVED, KVPBUS_VM_OFF, false},
        {"start alpha", KVPBUS_VM_STATE_RUNNING, KVPBUS_OK, false},
        {"fault alpha disable-exchange", KVPBUS_VM_STATE_RUNNING, KVPBUS_EXCHANGE_DISABLED, true},
        {"fault alpha clear", KVPBUS_VM_STATE_RUNNING, KVPBUS_OK, false},
        {"stop alpha", KVPBUS_VM_STATE_OFF, KVPBUS_VM_OFF, false},
        {"start alpha", KVPBUS_VM_STATE_RUNNING, KVPBUS_OK, false},
    };
    struct kvpbus_scan scan = {0};
    open_server(NULL);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct kvpbus_scan host = {0};
        enum kvpbus_error error = KVPBUS_STORE_GONE;
        lab_ctl(&lab, steps[i].words);
        struct kvpbus_vm vm = listed(LAB_ALPHA);
        cr_assert_str_eq(vm.name, "alpha");
        cr_assert_eq(vm.state, steps[i].state, "%s: %d", steps[i].words, (int)vm.state);
        cr_assert_eq(vm.exchange_enabled, !steps[i].disabled, "%s", steps[i].words);
        // The guest's daemon comes a moment after its VM.
        for (int tries = 0; tries < 100 && error == KVPBUS_STORE_GONE; tries++) {
            error = read_vm(LAB_ALPHA, &scan);
            if (error == steps[i].read)
                break;
            lab_sleep_ms(50);
        }
        cr_assert_eq(error, steps[i].read, "%s: %d", steps[i].words, (int)error);
        cr_assert_eq(
            management->ops->read_host(management, "kvpbus", lab.guids[LAB_ALPHA], &host, &failure),
            KVPBUS_OK, "%s", steps[i].words);
        kvpbus_scan_free(&host);
        cr_assert_eq(read_vm(LAB_BETA, &scan), KVPBUS_OK, "%s", steps[i].words);
    }
    kvpbus_scan_free(&scan);
    close_server();
}

// --- what is not there, and what hangs ---

Test(wmi_lab, a_vm_that_is_not_there)
{
    struct kvpbus_scan scan = {0};
    struct kvpbus_call_result result;
    open_server(NULL);
    memset(lab.guids[LAB_BETA], 0x77, KVPBUS_GUID_BYTES);
    cr_assert_eq(read_vm(LAB_BETA, &scan), KVPBUS_VM_UNKNOWN);
    cr_assert_eq(
        management->ops->read_host(management, "kvpbus", lab.guids[LAB_BETA], &scan, &failure),
        KVPBUS_VM_UNKNOWN);
    cr_assert_eq(add(LAB_BETA, "kvpbus.0", "a", &result), KVPBUS_VM_UNKNOWN);
    close_server();
}

Test(wmi_lab, a_stuck_job_ends_at_the_deadline_and_holds_up_nobody)
{
    const char *const options[] = {"--deadline", "5000", NULL};
    struct kvpbus_call_result result;
    open_server(options);
    lab_ctl(&lab, "fault alpha lost-job --count 1");
    cr_assert_eq(add(LAB_ALPHA, "kvpbus.0", "a", &result), KVPBUS_TIMEOUT);
    cr_assert_not_null(strstr(failure.detail, "looking at a job"), "%s", failure.detail);
    cr_assert_eq(add(LAB_BETA, "kvpbus.0", "a", &result), KVPBUS_OK);
    cr_assert(lab_done(&result));
    close_server();
}

Test(wmi_lab, a_query_that_hangs_ends_at_the_deadline)
{
    const char *const options[] = {"--deadline", "5000", NULL};
    struct kvpbus_scan scan = {0};
    open_server(options);
    lab_ctl(&lab, "fault alpha latency 10000");
    cr_assert_eq(read_vm(LAB_ALPHA, &scan), KVPBUS_TIMEOUT);
    cr_assert_eq(read_vm(LAB_BETA, &scan), KVPBUS_OK);
    lab_ctl(&lab, "fault alpha clear");
    cr_assert_eq(read_vm(LAB_ALPHA, &scan), KVPBUS_OK);
    // What hangs in the provider is its own.
    management->ops->close(management);
    wmi_server_end(&server);
    cr_assert_eq(server.held, 0);
}

// What listing gives, with its text in `failure`.
static enum kvpbus_error list(void)
{
    struct kvpbus_vm *vms = NULL;
    size_t count;
    failure = (struct kvpbus_failure){0};
    enum kvpbus_error error = management->ops->list(management, &vms, &count, &failure);
    free(vms);
    return error;
}

Test(wmi_lab, a_service_that_was_restarted_is_connected_to_again)
{
    struct kvpbus_scan scan = {0};
    struct kvpbus_call_result result;
    open_server(NULL);
    expect_exchange();
    lab_ctl(&lab, "service restart");
    cr_assert_eq(read_vm(LAB_ALPHA, &scan), KVPBUS_OK);
    cr_assert_eq(scan.count, 1);
    lab_ctl(&lab, "service restart");
    cr_assert_eq(add(LAB_ALPHA, "kvpbus.r", "a", &result), KVPBUS_OK, "%s", failure.detail);
    cr_assert(lab_done(&result));
    lab_ctl(&lab, "service restart");
    cr_assert_eq(
        management->ops->read_host(management, "kvpbus", lab.guids[LAB_ALPHA], &scan, &failure),
        KVPBUS_OK);
    cr_assert_eq(scan.count, 2);
    lab_ctl(&lab, "service restart");
    cr_assert_eq(list(), KVPBUS_OK);
    kvpbus_scan_free(&scan);
    close_server();
}

Test(wmi_lab, a_service_that_is_stopped_is_gone_until_it_is_back)
{
    struct kvpbus_scan scan = {0};
    struct kvpbus_call_result result;
    open_server(NULL);
    for (int round = 0; round < 3; round++) {
        lab_ctl(&lab, "service stop");
        cr_assert_eq(list(), KVPBUS_STORE_GONE);
        cr_assert_not_null(strstr(failure.detail, "(0x800706BA RPC_S_SERVER_UNAVAILABLE)"), "%s",
                           failure.detail);
        cr_assert_eq(read_vm(LAB_ALPHA, &scan), KVPBUS_STORE_GONE);
        cr_assert_eq(add(LAB_ALPHA, "kvpbus.r", "a", &result), KVPBUS_STORE_GONE);
        lab_ctl(&lab, "service normal");
        cr_assert_eq(read_vm(LAB_ALPHA, &scan), KVPBUS_OK);
    }
    close_server();
}

Test(wmi_lab, a_job_that_a_restart_forgets_may_have_been_done)
{
    struct kvpbus_call_result result;
    struct kvpbus_scan scan = {0};
    open_server(NULL);
    lab_ctl(&lab, "fault alpha job-latency 700 --count 1");
    pid_t restarter = fork();
    if (restarter == 0) {
        lab_sleep_ms(200);
        lab_ctl(&lab, "service restart");
        _exit(0);
    }
    cr_assert_eq(add(LAB_ALPHA, "kvpbus.0", "a", &result), KVPBUS_TIMEOUT, "%s", failure.detail);
    cr_assert_eq(waitpid(restarter, NULL, 0), restarter);
    cr_assert_eq(read_vm(LAB_ALPHA, &scan), KVPBUS_OK);
    close_server();
}

Test(wmi_lab, no_rights_and_no_hyperv_are_told_with_what_to_do)
{
    struct kvpbus_call_result result;
    open_server(NULL);
    lab_ctl(&lab, "service deny");
    cr_assert_eq(list(), KVPBUS_ACCESS);
    cr_assert_not_null(strstr(failure.detail, "(0x80041003 WBEM_E_ACCESS_DENIED)"));
    cr_assert_not_null(strstr(failure.detail, "elevated"), "%s", failure.detail);
    cr_assert_eq(add(LAB_ALPHA, "kvpbus.0", "a", &result), KVPBUS_ACCESS);
    lab_ctl(&lab, "service absent");
    cr_assert_eq(list(), KVPBUS_UNSUPPORTED);
    cr_assert_not_null(strstr(failure.detail, "(0x8004100E WBEM_E_INVALID_NAMESPACE)"));
    cr_assert_not_null(strstr(failure.detail, "install the Hyper-V role"));
    lab_ctl(&lab, "service normal");
    cr_assert_eq(list(), KVPBUS_OK);
    close_server();
}

Test(wmi_lab, what_is_not_there_at_the_beginning_is_told_at_once)
{
    static const struct {
        const char *state;
        enum kvpbus_error error;
        const char *name;
    } cases[] = {
        {"service stop", KVPBUS_STORE_GONE, "RPC_S_SERVER_UNAVAILABLE"},
        {"service deny", KVPBUS_ACCESS, "WBEM_E_ACCESS_DENIED"},
        {"service absent", KVPBUS_UNSUPPORTED, "WBEM_E_INVALID_NAMESPACE"},
    };
    wmi_server_share(&wine, lab.directory);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lab_ctl(&lab, cases[i].state);
        wmi_server_start(&server, &wine, false, NULL);
        cr_assert_eq(server.error, cases[i].error, "%s", server.line);
        cr_assert_not_null(strstr(server.line, cases[i].name));
        wmi_server_end(&server);
        cr_assert_eq(server.held, 0);
        cr_assert_leq(server.objects, 0);
    }
    lab_ctl(&lab, "service normal");
}

// --- nothing is left behind ---

Test(wmi_lab, polls_leave_nothing_behind)
{
    const char *const words[] = {"tests/windows/wmi_polls.exe", "400", NULL};
    for (unsigned i = 0; i < 20; i++) {
        char key[32], value[900];
        snprintf(key, sizeof key, "kvpbus.%u", i);
        memset(value, 'A', sizeof value - 1);
        value[sizeof value - 1] = '\0';
        lab_guest_write(&lab, LAB_ALPHA, key, value);
        lab_guest_write(&lab, LAB_BETA, key, value);
    }
    wmi_server_share(&wine, lab.directory);
    cr_assert(wine_checks(&wine, words, 1200));
}
