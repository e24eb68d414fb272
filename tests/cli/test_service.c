// SPDX-License-Identifier: Apache-2.0
//
// What both services share: peers by name and GUID, and the end at any moment.
#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "service.h"
#include "service_notify.h"

static char folder[32], state[48], path[64];
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

static void open_as(enum kvpbus_role role)
{
    static const struct kvpbus_service_ops ops = {.store = no_store};
    struct kvpbus_service_options options = {
        .role = role, .program = "test", .state = state, .socket = path};
    cr_assert_eq(kvpbus_service_open(&service, &options, &ops, NULL, &failure), KVPBUS_OK, "%s",
                 failure.detail);
}

static void open_service(void)
{
    strcpy(folder, "/tmp/kvpbus-service-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(state, sizeof state, "%s/state", folder);
    snprintf(path, sizeof path, "%s/socket", folder);
    open_as(KVPBUS_ROLE_HOST);
}

TestSuite(service, .init = open_service, .fini = finish);

static void suspended(void *context, struct kvpbus_endpoint *endpoint,
                      const struct kvpbus_failure *result)
{
    (void)context;
    cr_assert_not_null(endpoint, "%s", result->detail);
    kvpbus_endpoint_suspend(endpoint, true, "a test");
}

// The last peer is there: looks, then ends the service.
static void look(void *context, struct kvpbus_endpoint *endpoint,
                 const struct kvpbus_failure *result)
{
    void (*check)(void) = *(void (**)(void))context;
    suspended(NULL, endpoint, result);
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

static void check_long(void)
{
    char name[KVPBUS_PEER_NAME_MAX + 1];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    cr_assert_null(vm(name));
    cr_assert_eq(failure.code, KVPBUS_VM_AMBIGUOUS);
    cr_assert_not_null(strstr(failure.detail, "01000000-0000-0000-0000-000000000000"), "%s",
                       failure.detail);
    cr_assert_not_null(strstr(failure.detail, "02000000-0000-0000-0000-000000000000"), "%s",
                       failure.detail);
}

Test(service, lists_the_guids_of_a_name_of_any_length)
{
    char name[KVPBUS_PEER_NAME_MAX + 1];
    void (*check)(void) = check_long;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    kvpbus_service_add_peer(&service, one, name, suspended, NULL);
    kvpbus_service_add_peer(&service, two, name, look, &check);
    kvpbus_service_run(&service);
}

// What a peer is named by finds it again.
static void check_found_again(void)
{
    char guid[KVPBUS_GUID_TEXT + 1];
    for (size_t i = 0; i < service.endpoint_count; i++) {
        const struct kvpbus_endpoint *endpoint = service.endpoints[i];
        const char *name = kvpbus_service_name(&service, endpoint, guid);
        cr_assert_eq(kvpbus_service_find(&service, name, NULL), endpoint, "%s", name);
    }
    cr_assert_str_eq(kvpbus_service_name(&service, service.endpoints[0], guid),
                     "01000000-0000-0000-0000-000000000000");
    cr_assert_str_eq(kvpbus_service_name(&service, service.endpoints[2], guid), "db");
    cr_assert_str_eq(kvpbus_service_name(&service, NULL, guid), "");
}

Test(service, names_a_peer_so_that_it_is_found)
{
    run_with_peers(check_found_again);
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

static void stop(void *context, const struct kvpbus_failure *result)
{
    (void)context;
    cr_assert_eq(result->code, KVPBUS_OK, "%s", result->detail);
    kvpbus_service_stop(&service);
}

static void pin_the_first(void *context, struct kvpbus_endpoint *endpoint,
                          const struct kvpbus_failure *result)
{
    static const uint8_t identity[KVPBUS_IDENTITY_BYTES] = {7};
    suspended(context, endpoint, result);
    kvpbus_bus_pin(service.endpoints[0], identity, stop, NULL);
}

Test(service, knows_the_paired_peers_from_the_start)
{
    kvpbus_service_add_peer(&service, one, "web", suspended, NULL);
    kvpbus_service_add_peer(&service, two, "db", pin_the_first, NULL);
    kvpbus_service_run(&service);
    open_as(KVPBUS_ROLE_HOST);
    cr_assert_arr_eq(vm("web"), one, sizeof one);
    cr_assert_null(vm("db"));
    kvpbus_service_stop(&service);
    kvpbus_service_run(&service);
}

Test(service, of_a_guest_knows_the_host_from_the_start)
{
    kvpbus_service_stop(&service);
    kvpbus_service_run(&service);
    strcat(state, ".guest");
    open_as(KVPBUS_ROLE_GUEST);
    cr_assert_not_null(vm("host"));
    kvpbus_service_stop(&service);
    kvpbus_service_run(&service);
}

// What was begun for the peers that are known is ended before the journal is closed.
Test(service, a_start_that_fails_says_why_and_leaves_nothing)
{
    static const struct kvpbus_service_ops ops = {.store = no_store};
    struct kvpbus_service_options options = {
        .role = KVPBUS_ROLE_GUEST, .program = "test", .state = state, .socket = path};
    kvpbus_service_stop(&service);
    kvpbus_service_run(&service);
    strcat(state, ".guest");
    strcat(path, "/no/socket");
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(kvpbus_service_open(&service, &options, &ops, NULL, &failure), KVPBUS_IO);
        cr_assert_not_null(strstr(failure.detail, "cannot listen on the socket"), "%s",
                           failure.detail);
    }
    path[strlen(path) - strlen("/no/socket")] = '\0';
    open_as(KVPBUS_ROLE_GUEST);
    cr_assert_not_null(vm("host"));
    kvpbus_service_stop(&service);
    kvpbus_service_run(&service);
}

Test(service, may_be_stopped_while_a_peer_is_being_added)
{
    kvpbus_service_add_peer(&service, one, "web", NULL, NULL);
    kvpbus_service_stop(&service);
    kvpbus_service_run(&service);
}

// --- the service manager ---

static int manager;

static void be_the_manager(bool abstract)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64];
    snprintf(name, sizeof name, "%s%s/notify", abstract ? "@" : "", folder);
    memcpy(address.sun_path, name, strlen(name));
    if (abstract)
        address.sun_path[0] = '\0';
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    cr_assert_eq(bind(manager, (struct sockaddr *)&address, length), 0);
    setenv("NOTIFY_SOCKET", name, 1);
}

// What it has been told so far, each with a blank behind.
static const char *told(void)
{
    static char all[256];
    char text[64];
    for (ssize_t length; (length = recv(manager, text, sizeof text, MSG_DONTWAIT)) > 0;)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%.*s ", (int)length, text);
    return all;
}

static void on_told(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    if (strstr(told(), "WATCHDOG=1") == NULL)
        return;
    uv_close((uv_handle_t *)poll, NULL);
    kvpbus_service_stop(&service);
}

static void runs_until_it_shows_life(bool abstract)
{
    uv_poll_t poll;
    be_the_manager(abstract);
    setenv("WATCHDOG_USEC", "30000000", 1);
    service.options.stop_within_ms = 120000;
    uv_poll_init(service.loop, &poll, manager);
    uv_poll_start(&poll, UV_READABLE, on_told);
    kvpbus_service_run(&service);
    cr_assert_str_eq(told(), "READY=1 WATCHDOG=1 STOPPING=1\nEXTEND_TIMEOUT_USEC=130000000 ");
}

Test(service, tells_the_service_manager)
{
    runs_until_it_shows_life(false);
}

Test(service, tells_a_service_manager_without_a_file)
{
    runs_until_it_shows_life(true);
}

static void check_nothing(void)
{
}

Test(service, shows_no_life_where_none_is_asked_of_it)
{
    be_the_manager(false);
    setenv("WATCHDOG_USEC", "1000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    run_with_peers(check_nothing);
    cr_assert_str_eq(told(), "READY=1 STOPPING=1\nEXTEND_TIMEOUT_USEC=30000000 ");
}

Test(service, a_service_that_has_nothing_to_do_did_not_fail_to_start)
{
    kvpbus_notify_nothing_to_do(); // nobody asked
    be_the_manager(false);
    kvpbus_notify_nothing_to_do();
    cr_assert_str_eq(told(), "READY=1 ");
}
