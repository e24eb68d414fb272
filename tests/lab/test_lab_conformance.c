// SPDX-License-Identifier: Apache-2.0
//
// The store contract over the whole way: management store, client, lab, real daemon. And the upsert
// ladder against the lab's faults.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "conformance.h"
#include "lab_fixture.h"
#include "lab_management.h"

static struct lab lab;
static struct kvpbus_store *store;

static void open_store(const char *options)
{
    lab_start(&lab, options);
    cr_assert_eq(
        kvpbus_management_store_open(lab.management, lab.guids[LAB_ALPHA], "kvpbus", &store),
        KVPBUS_OK);
}

static void start(void)
{
    open_store("");
}

static void finish(void)
{
    kvpbus_store_close(store);
    lab_stop(&lab);
    lab_remove(&lab);
}

TestSuite(lab_store, .init = start, .fini = finish);

static void run_suite(void)
{
    struct conformance suite = {
        .store = store,
        .context = &lab,
        .put_peer = lab_put_peer,
        .plant_foreign = lab_plant_foreign,
        .foreign_intact = lab_foreign_intact,
        .random_steps = 60,
    };
    conformance_run(&suite);
}

Test(lab_store, keeps_the_contract)
{
    run_suite();
}

Test(lab_store_of_another_kind, keeps_it_with_the_other_codes_and_atomic_batches, .fini = finish)
{
    open_store("--atomic --modify-missing 32779 --remove-missing 32773 --drop-failed");
    run_suite();
}

static enum kvpbus_error write_one(const char *key, const char *value)
{
    const struct kvpbus_change change = {key, value};
    enum kvpbus_error result;
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error = store->ops->write(store, &change, 1, &result, &failure);
    cr_assert_eq(error, result);
    return error;
}

Test(lab_store, what_another_program_did_to_our_keys_is_found_out)
{
    cr_assert_eq(write_one("kvpbus.0", "a"), KVPBUS_OK);
    lab_call(&lab, LAB_ALPHA, KVPBUS_OP_REMOVE, "kvpbus.0", NULL);
    cr_assert_eq(write_one("kvpbus.0", "b"), KVPBUS_OK);
    lab_call(&lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbus.1", "theirs");
    cr_assert_eq(write_one("kvpbus.1", "ours"), KVPBUS_OK);
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.0"), "b");
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.1"), "ours");
}

Test(lab_store, each_fault_has_its_error)
{
    cr_assert_eq(write_one("kvpbus.0", "a"), KVPBUS_OK);
    kvpbus_lab_management_set_deadline(lab.management, 300);
    lab_ctl(&lab, "fault alpha lost-job --count 1");
    cr_assert_eq(write_one("kvpbus.0", "b"), KVPBUS_STORE_UNKNOWN);
    kvpbus_lab_management_set_deadline(lab.management, 30000);
    lab_ctl(&lab, "fault alpha error 32774 --count 1");
    cr_assert_eq(write_one("kvpbus.0", "b"), KVPBUS_STORE_BUSY);
    lab_ctl(&lab, "fault alpha error 32769 --count 1");
    cr_assert_eq(write_one("kvpbus.0", "b"), KVPBUS_ACCESS);
    lab_ctl(&lab, "fault alpha too-many --count 1");
    cr_assert_eq(write_one("kvpbus.1", "b"), KVPBUS_STORE_TOO_MANY);
    cr_assert_eq(write_one("kvpbus.0", NULL), KVPBUS_OK);
    cr_assert_eq(write_one("kvpbus.1", "b"), KVPBUS_OK);
    lab_ctl(&lab, "fault alpha disable-exchange");
    cr_assert_eq(write_one("kvpbus.1", "c"), KVPBUS_EXCHANGE_DISABLED);
    lab_ctl(&lab, "fault alpha clear");
    lab_ctl(&lab, "fault alpha daemon-absent");
    lab_sleep_ms(200);
    cr_assert_eq(write_one("kvpbus.2", "c"), KVPBUS_OK,
                 "it is kept by the host, if not by the guest");
    struct kvpbus_scan scan = {0};
    cr_assert_eq(store->ops->read_peer(store, &scan, NULL), KVPBUS_STORE_GONE);
    lab_ctl(&lab, "stop alpha");
    cr_assert_eq(store->ops->read_peer(store, &scan, NULL), KVPBUS_VM_OFF);
    kvpbus_scan_free(&scan);
}

Test(lab_store, half_a_batch_is_told_item_by_item)
{
    struct kvpbus_change changes[4] = {
        {"kvpbus.0", "a"}, {"kvpbus.1", "b"}, {"kvpbus.2", "c"}, {"kvpbus.3", "d"}};
    enum kvpbus_error results[4];
    lab_ctl(&lab, "fault alpha half-batch --count 1");
    cr_assert_neq(store->ops->write(store, changes, 4, results, NULL), KVPBUS_OK);
    for (int i = 0; i < 4; i++) {
        bool there = lab_host_value(&lab, LAB_ALPHA, changes[i].key) != NULL;
        cr_assert(results[i] != KVPBUS_OK || there, "%d", i);
        cr_assert(results[i] == KVPBUS_OK || results[i] == KVPBUS_STORE_UNKNOWN || !there, "%d", i);
    }
    cr_assert_eq(store->ops->write(store, changes, 4, results, NULL), KVPBUS_OK);
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.3"), "d");
}
