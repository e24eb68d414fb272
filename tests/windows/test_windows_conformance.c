// SPDX-License-Identifier: Apache-2.0
//
// The store contract over the whole way with Windows at one end or both: the registry of a Windows
// guest, its integration service, the lab, and the host's store, on Linux or under Wine.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance.h"
#include "guest_fixture.h"

enum { STEPS = 25 };

static struct lab lab;
static struct guest guest;
static struct kvpbus_store *host; // of gamma, unless a test says otherwise

static void start(void)
{
    lab_start(&lab, "--windows-vm gamma");
}

static void finish(void)
{
    kvpbus_store_close(host);
    guest_end(&guest, &lab);
}

TestSuite(windows_conformance, .init = start, .fini = finish);

static void put(struct kvpbus_store *store, const char *key, const char *value)
{
    const struct kvpbus_change change = {key, value};
    enum kvpbus_error result;
    struct kvpbus_failure failure = {0};
    cr_assert_eq(store->ops->write(store, &change, 1, &result, &failure), KVPBUS_OK, "%s",
                 failure.detail);
}

static void guest_puts(void *context, const char *key, const char *value)
{
    (void)context;
    put(guest.store, key, value);
}

static void host_puts(void *context, const char *key, const char *value)
{
    (void)context;
    put(host, key, value);
}

static void run(struct kvpbus_store *store, void (*put_peer)(void *, const char *, const char *))
{
    const struct conformance suite = {
        .store = store, .context = &lab, .put_peer = put_peer, .random_steps = STEPS};
    conformance_run(&suite);
}

static void open_linux_host(void)
{
    cr_assert_eq(
        kvpbus_management_store_open(lab.management, lab.guids[LAB_GAMMA], "kvpbus", &host),
        KVPBUS_OK);
}

// Under Wine, in the guest's prefix, of which it uses nothing else.
static void open_windows_host(const char *kind)
{
    struct kvpbus_failure failure = {0};
    cr_assert_eq(store_proxy_open(&guest.wine, kind, &host, &failure), KVPBUS_OK, "%s",
                 failure.detail);
}

Test(windows_conformance, of_a_linux_host_with_a_windows_guest)
{
    guest_start(&guest, &lab, "registry");
    open_linux_host();
    run(host, guest_puts);
}

Test(windows_conformance, of_a_windows_guest_with_a_linux_host)
{
    guest_start(&guest, &lab, "registry");
    open_linux_host();
    cr_assert_geq(guest.store->ops->notice_fd(guest.store), 0);
    run(guest.store, host_puts);
}

Test(windows_conformance, of_a_windows_host_that_uses_the_labs_own_api)
{
    char kind[64];
    guest_start(&guest, &lab, NULL);
    snprintf(kind, sizeof kind, "lab:%s/alpha", guest.address);
    open_windows_host(kind);
    run(host, lab_put_peer);
}

static void open_wmi(const char *kind)
{
    char address[LAB_ADDRESS];
    lab_address(&lab, address);
    cr_assert_eq(setenv("KVPBUS_LAB", address, 1), 0);
    open_windows_host(kind);
}

Test(windows_conformance, of_a_windows_host_with_a_windows_guest)
{
    guest_start(&guest, &lab, "registry");
    open_wmi("wmi:gamma");
    run(host, guest_puts);
}

Test(windows_conformance, of_a_windows_host_with_a_windows_guest_that_writes_into_auto)
{
    guest_start(&guest, &lab, "registry-auto");
    open_wmi("wmi-auto:gamma");
    run(host, guest_puts);
}
