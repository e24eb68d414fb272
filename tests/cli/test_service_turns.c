// SPDX-License-Identifier: Apache-2.0
//
// Whose turn it is with a VM's stores: the link's, of those who look at the items, of a VM that is
// moved or gets another id. One at a time.
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service.h"

enum { CALL_MS = 100, KINDS = 3, VMS = 3 };

// Its calls take a while, and it notices two of a kind at once.
struct slow_store {
    struct kvpbus_store store; // first
    atomic_int now[KINDS], calls;
    atomic_bool together;
    atomic_bool closed; // its calls wait until it is open
    uv_sem_t open;
};

static char folder[32], state[48], path[64];
static struct kvpbus_service service;
static struct slow_store stores[VMS];
static const uint8_t vms[VMS][KVPBUS_VM_ID_BYTES] = {{1}, {2}, {3}};
static struct kvpbus_endpoint *endpoints[VMS];
static int ended; // callbacks

static enum kvpbus_error call(struct kvpbus_store *store, int kind)
{
    struct slow_store *slow = (struct slow_store *)store;
    if (atomic_fetch_add(&slow->now[kind], 1) > 0)
        atomic_store(&slow->together, true);
    atomic_fetch_add(&slow->calls, 1);
    if (atomic_load(&slow->closed))
        uv_sem_wait(&slow->open);
    uv_sleep(CALL_MS);
    atomic_fetch_sub(&slow->now[kind], 1);
    return KVPBUS_OK;
}

static enum kvpbus_error read_own(struct kvpbus_store *store, struct kvpbus_scan *scan,
                                  struct kvpbus_failure *failure)
{
    (void)scan;
    (void)failure;
    return call(store, 0);
}

static enum kvpbus_error read_peer(struct kvpbus_store *store, struct kvpbus_scan *scan,
                                   struct kvpbus_failure *failure)
{
    (void)scan;
    (void)failure;
    return call(store, 1);
}

static enum kvpbus_error write_items(struct kvpbus_store *store,
                                     const struct kvpbus_change *changes, size_t count,
                                     enum kvpbus_error *results, struct kvpbus_failure *failure)
{
    (void)changes;
    (void)failure;
    memset(results, 0, count * sizeof *results);
    return call(store, 2);
}

static bool under_way(int vm)
{
    for (int kind = 0; kind < KINDS; kind++)
        if (atomic_load(&stores[vm].now[kind]) > 0)
            return true;
    return false;
}

static struct kvpbus_store *store_of(void *program, const struct kvpbus_endpoint *endpoint)
{
    (void)program;
    return &stores[kvpbus_endpoint_peer(endpoint)->vm[0] - 1].store;
}

static void begin(void)
{
    static const struct kvpbus_store_ops slow = {
        .kind = "slow", .read_own = read_own, .read_peer = read_peer, .write = write_items};
    static const struct kvpbus_service_ops ops = {.store = store_of};
    struct kvpbus_failure failure = {0};
    strcpy(folder, "/tmp/kvpbus-turns-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(state, sizeof state, "%s/state", folder);
    snprintf(path, sizeof path, "%s/socket", folder);
    struct kvpbus_service_options options = {
        .role = KVPBUS_ROLE_HOST, .program = "test", .state = state, .socket = path};
    for (int i = 0; i < VMS; i++) {
        stores[i].store.ops = &slow;
        cr_assert_eq(uv_sem_init(&stores[i].open, 0), 0);
    }
    cr_assert_eq(kvpbus_service_open(&service, &options, &ops, NULL, &failure), KVPBUS_OK, "%s",
                 failure.detail);
}

static void finish(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(service_turns, .init = begin, .fini = finish);

static void on_added(void *context, struct kvpbus_endpoint *endpoint,
                     const struct kvpbus_failure *why)
{
    cr_assert_not_null(endpoint, "%s", why->detail);
    *(struct kvpbus_endpoint **)context = endpoint;
}

static void add(int vm)
{
    kvpbus_service_add_peer(&service, vms[vm], "web", on_added, &endpoints[vm]);
    while (endpoints[vm] == NULL)
        uv_run(service.loop, UV_RUN_ONCE);
}

static void await_calls(int vm, int calls)
{
    while (atomic_load(&stores[vm].calls) < calls)
        uv_run(service.loop, UV_RUN_ONCE);
}

// At the end of a test: the service ends, and never were there two calls of a kind at once.
static void none_together(void)
{
    kvpbus_service_stop(&service);
    kvpbus_service_run(&service);
    for (int i = 0; i < VMS; i++)
        cr_assert_not(atomic_load(&stores[i].together), "two calls of a kind at once");
}

static void close_store(int vm)
{
    atomic_store(&stores[vm].closed, true);
}

static void open_store(int vm)
{
    atomic_store(&stores[vm].closed, false);
    for (int i = 0; i < KINDS; i++)
        uv_sem_post(&stores[vm].open);
}

static void some_turns(void)
{
    for (int turn = 0; turn < 20; turn++)
        uv_run(service.loop, UV_RUN_ONCE);
}

static void await_ended(int count)
{
    while (ended < count)
        uv_run(service.loop, UV_RUN_ONCE);
}

static void on_pinned(void *context, const struct kvpbus_failure *failure)
{
    (void)context;
    cr_assert_eq(failure->code, KVPBUS_OK, "%s", failure->detail);
    ended++;
}

static void pair(int vm)
{
    static const uint8_t identity[KVPBUS_IDENTITY_BYTES] = {7};
    int before = ended;
    kvpbus_bus_pin(endpoints[vm], identity, on_pinned, NULL);
    await_ended(before + 1);
}

static void on_items(void *context, const struct kvpbus_scan *own, const struct kvpbus_scan *peer,
                     const struct kvpbus_failure *failure)
{
    (void)context;
    (void)own;
    (void)peer;
    cr_assert_eq(failure->code, KVPBUS_OK, "%s", failure->detail);
    ended++;
}

// Neither of the two VMs has a call under way.
static void on_rebound(void *context, const struct kvpbus_failure *failure)
{
    (void)context;
    cr_assert_eq(failure->code, KVPBUS_OK, "%s", failure->detail);
    cr_assert_not(under_way(0) || under_way(1));
    ended++;
}

// As `context` says.
static void on_ended(void *context, const struct kvpbus_failure *failure)
{
    cr_assert_eq(failure->code, *(enum kvpbus_error *)context, "%s", failure->detail);
    ended++;
}

// The second VM comes after the first one in each turn: the first one has had its chance.
Test(service_turns, who_is_held_twice_waits_for_both)
{
    add(0);
    kvpbus_endpoint_hold(endpoints[0]);
    kvpbus_endpoint_hold(endpoints[0]);
    while (!kvpbus_endpoint_quiet(endpoints[0]))
        uv_run(service.loop, UV_RUN_ONCE);
    int calls = atomic_load(&stores[0].calls);
    kvpbus_endpoint_take(endpoints[0]);
    cr_assert_not(kvpbus_endpoint_quiet(endpoints[0]), "it is somebody's turn");
    kvpbus_endpoint_release(endpoints[0]);
    add(1);
    await_calls(1, 2);
    cr_assert_eq(atomic_load(&stores[0].calls), calls);
    cr_assert(kvpbus_endpoint_quiet(endpoints[0]));
    kvpbus_endpoint_take(endpoints[0]);
    kvpbus_endpoint_release(endpoints[0]);
    await_calls(0, calls + 1);
    none_together();
}

Test(service_turns, two_who_look_at_the_items_look_one_after_the_other)
{
    add(0);
    for (int i = 0; i < 3; i++)
        kvpbus_service_read_both(&service, endpoints[0], on_items, NULL);
    await_ended(3);
    none_together();
}

Test(service_turns, a_new_id_waits_for_who_looks_at_the_items)
{
    add(0);
    add(1);
    pair(0);
    int before = ended;
    kvpbus_service_read_both(&service, endpoints[0], on_items, NULL);
    kvpbus_service_read_both(&service, endpoints[1], on_items, NULL);
    kvpbus_service_rebind(&service, endpoints[0], vms[1], true, on_rebound, NULL);
    kvpbus_service_read_both(&service, endpoints[0], on_items, NULL);
    await_ended(before + 4);
    cr_assert_arr_eq(kvpbus_endpoint_peer(endpoints[0])->vm, vms[1], KVPBUS_VM_ID_BYTES);
    none_together();
}

// The new id is nobody's when it is asked for, and a VM's that was listed when its turn comes.
Test(service_turns, a_new_id_waits_for_a_vm_that_has_it_meanwhile)
{
    close_store(0);
    close_store(1);
    add(0);
    pair(0);
    await_calls(0, 1);
    int before = ended;
    kvpbus_service_rebind(&service, endpoints[0], vms[1], true, on_rebound, NULL);
    add(1);
    some_turns();
    open_store(0);
    while (under_way(0))
        uv_run(service.loop, UV_RUN_ONCE);
    some_turns();
    open_store(1);
    await_ended(before + 1);
    cr_assert_arr_eq(kvpbus_endpoint_peer(endpoints[1])->vm, vms[0], KVPBUS_VM_ID_BYTES);
    none_together();
}

Test(service_turns, one_vm_is_moved_or_rebound_at_a_time)
{
    struct kvpbus_parcel parcel = {.name = "web"};
    enum kvpbus_error no_file = KVPBUS_NOT_FOUND, busy = KVPBUS_BUSY, none = KVPBUS_OK;
    add(0);
    pair(0);
    int before = ended;
    memcpy(parcel.vm, vms[1], sizeof parcel.vm);
    kvpbus_service_import(&service, &parcel, false, on_ended, &no_file);
    kvpbus_service_rebind(&service, endpoints[0], vms[1], true, on_ended, &busy);
    cr_assert_eq(ended, before + 1);
    await_ended(before + 2);
    kvpbus_service_rebind(&service, endpoints[0], vms[2], true, on_ended, &none);
    kvpbus_service_import(&service, &parcel, false, on_ended, &busy);
    await_ended(before + 4);
    none_together();
}
