// SPDX-License-Identifier: Apache-2.0
//
// The store contract over the registry, under Wine: both sides of the pair, and the guest's that
// writes into Auto. One agent plays the guest, another the host.
#include <criterion/criterion.h>
#include <string.h>
#include <uchar.h>

#include "conformance.h"
#include "store_proxy.h"

static struct wine wine;
static struct kvpbus_store *own, *peer;
static const char *own_key;

static void open_pair(const char *own_kind, const char *key, const char *peer_kind)
{
    struct kvpbus_failure failure = {0};
    wine_make(&wine, true);
    own_key = key;
    cr_assert_eq(store_proxy_open(&wine, own_kind, &own, &failure), KVPBUS_OK, "%s",
                 failure.detail);
    cr_assert_eq(store_proxy_open(&wine, peer_kind, &peer, &failure), KVPBUS_OK, "%s",
                 failure.detail);
}

static void finish(void)
{
    kvpbus_store_close(own);
    kvpbus_store_close(peer);
    wine_remove(&wine);
}

TestSuite(registry, .fini = finish);

static void put_peer(void *context, const char *key, const char *value)
{
    const struct kvpbus_change change = {key, value};
    enum kvpbus_error result;
    struct kvpbus_failure failure = {0};
    (void)context;
    cr_assert_eq(peer->ops->write(peer, &change, 1, &result, &failure), KVPBUS_OK, "%s",
                 failure.detail);
}

// As the registry has it: UTF-16 with its NUL.
static size_t wide(const char *text, char16_t *units)
{
    size_t length = 0;
    do
        units[length] = (unsigned char)text[length];
    while (text[length++] != '\0');
    return length * sizeof *units;
}

static void plant_foreign(void *context, const char *key, const char *value)
{
    char16_t units[64];
    (void)context;
    cr_assert_eq(
        store_proxy_set_value(own, own_key, key, STORE_PROXY_SZ, units, wide(value, units)), 0);
}

static bool foreign_intact(void *context, const char *key, const char *value)
{
    char16_t units[64], found[64];
    size_t size = sizeof found, expected = wide(value, units);
    uint32_t type;
    (void)context;
    return store_proxy_get_value(own, own_key, key, &type, found, &size) == 0 &&
           type == STORE_PROXY_SZ && size == expected && memcmp(units, found, size) == 0;
}

static void run_suite(void)
{
    const struct conformance suite = {
        .store = own,
        .put_peer = put_peer,
        .plant_foreign = plant_foreign,
        .foreign_intact = foreign_intact,
        .random_steps = 100,
    };
    conformance_run(&suite);
}

Test(registry, of_a_guest_keeps_the_contract)
{
    open_pair("registry", "Guest", "registry-host");
    cr_assert_geq(own->ops->notice_fd(own), 0);
    run_suite();
}

Test(registry, of_a_guest_that_writes_into_auto_keeps_the_contract)
{
    open_pair("registry-auto", "Auto", "registry-host");
    run_suite();
}

Test(registry, as_the_other_side_sees_it_keeps_the_contract)
{
    open_pair("registry-host", "External", "registry");
    run_suite();
}
