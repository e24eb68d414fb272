// SPDX-License-Identifier: Apache-2.0
//
// What both services share: peers by name and GUID, and the end at any moment.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service.h"

static char folder[32], state[48], path[48];
static struct kvpbus_service service;
static struct kvpbus_failure failure;
static const uint8_t one[KVPBUS_VM_ID_BYTES] = {1}, two[KVPBUS_VM_ID_BYTES] = {2},
                     three[KVPBUS_VM_ID_BYTES] = {0xab, 0xcd, 0xef, 0x01};

static void finish(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

static struct kvpbus_store *no_store(void *program, const struct kvpbus_endpoint *endpoint)
{
    (void)program;
    (void)endpoint;
    cr_assert(false, "a suspended peer is not touched");
    return NULL;
}

static void open_service(void)
{
    static const struct kvpbus_service_ops ops = {.store = no_store};
    strcpy(folder, "/tmp/kvpbus-service-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(state, sizeof state, "%s/state", folder);
    snprintf(path, sizeof path, "%s/socket", folder);
    struct kvpbus_service_options options = {
        .role = KVPBUS_ROLE_HOST, .program = "test", .state = state, .socket = path};
    cr_assert_eq(kvpbus_service_open(&service, &options, &ops, NULL, &failure), KVPBUS_OK, "%s",
                 failure.detail);
}

TestSuite(service, .init = open_service, .fini = finish, .timeout = 30);

static void suspended(void *context, struct kvpbus_endpoint *endpoint)
{
    (void)context;
    cr_assert_not_null(endpoint);
    kvpbus_endpoint_suspend(endpoint, true, "a test");
}

// The last peer is there: looks, then ends the service.
static void look(void *context, struct kvpbus_endpoint *endpoint)
{
    void (*check)(void) = *(void (**)(void))context;
    suspended(NULL, endpoint);
    check();
    kvpbus_service_stop(&service);
}

static void run_with_peers(void (*check)(void))
{
    kvpbus_service_add_peer(&service, one, "web", suspended, NULL);
    kvpbus_service_add_peer(&service, two, "web", suspended, NULL);
    kvpbus_service_add_peer(&service, three, "db", look, &check);
    kvpbus_service_run(&service);
}

static const uint8_t *vm(const char *name)
{
    struct kvpbus_endpoint *found = kvpbus_service_find(&service, name, &failure);
    return found != NULL ? kvpbus_endpoint_peer(found)->vm : NULL;
}

static void check_names(void)
{
    cr_assert_arr_eq(vm("db"), three, sizeof three);
    cr_assert_arr_eq(vm("ABCDEF01-0000-0000-0000-000000000000"), three, sizeof three);
    cr_assert_arr_eq(vm("{abcdef01-0000-0000-0000-000000000000}"), three, sizeof three);
    cr_assert_arr_eq(vm("02000000-0000-0000-0000-000000000000"), two, sizeof two);
}

Test(service, finds_peers_by_name_and_guid)
{
    run_with_peers(check_names);
}

static void check_ambiguous(void)
{
    cr_assert_null(vm("web"));
    cr_assert_eq(failure.code, KVPBUS_VM_AMBIGUOUS);
    cr_assert_not_null(strstr(failure.detail, "01000000-0000-0000-0000-000000000000"));
    cr_assert_not_null(strstr(failure.detail, "02000000-0000-0000-0000-000000000000"));
}

Test(service, lists_the_guids_of_a_name_that_several_have)
{
    run_with_peers(check_ambiguous);
}

static void check_unknown(void)
{
    static const char *const names[] = {"", "w", "web2", "WEB",
                                        "03000000-0000-0000-0000-000000000000"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cr_assert_null(vm(names[i]), "%s", names[i]);
        cr_assert_eq(failure.code, KVPBUS_VM_UNKNOWN);
        cr_assert_not_null(strstr(failure.detail, "kvpbus vms"));
    }
}

Test(service, says_that_a_peer_is_not_known)
{
    run_with_peers(check_unknown);
}

Test(service, may_be_stopped_while_a_peer_is_being_added)
{
    kvpbus_service_add_peer(&service, one, "web", NULL, NULL);
    kvpbus_service_stop(&service);
    kvpbus_service_run(&service);
}
