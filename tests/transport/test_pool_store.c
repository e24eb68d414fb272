// SPDX-License-Identifier: Apache-2.0
//
// The store over the two pool files of a guest, with the daemon's side played by plain files.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conformance.h"
#include "pool_fixture.h"

enum { WAIT_MS = 2000 };

static struct pool_fixture fixture;

static void setup(void)
{
    pool_fixture_make(&fixture);
}

static void teardown(void)
{
    pool_fixture_remove(&fixture);
}

TestSuite(pool_store, .init = setup, .fini = teardown);

static struct kvpbus_store *open_store(void)
{
    struct kvpbus_store *store;
    struct kvpbus_failure failure = {0};
    cr_assert_eq(kvpbus_pool_store_open(fixture.folder, "kvpbus", &store, &failure), KVPBUS_OK);
    return store;
}

static void put_peer(void *context, const char *key, const char *value)
{
    (void)context;
    pool_daemon_set(fixture.peer, key, value);
}

static void plant_foreign(void *context, const char *key, const char *value)
{
    (void)context;
    pool_append(fixture.own, key, value, (unsigned)strlen(key));
}

static bool foreign_intact(void *context, const char *key, const char *value)
{
    (void)context;
    for (size_t i = 0; i < (size_t)pool_size(fixture.own) / POOL_RECORD; i++) {
        if (pool_holds(fixture.own, i, key, value, (unsigned)strlen(key)))
            return true;
    }
    return false;
}

Test(pool_store, keeps_the_contract)
{
    struct kvpbus_store *store = open_store();
    const struct conformance suite = {
        .store = store,
        .put_peer = put_peer,
        .plant_foreign = plant_foreign,
        .foreign_intact = foreign_intact,
    };
    conformance_run(&suite);
    kvpbus_store_close(store);
}

Test(pool_store, keeps_the_contract_among_records_of_others)
{
    for (unsigned i = 0; i < 30; i++)
        pool_append(fixture.own, "cloud-init", "log", i);
    struct kvpbus_store *store = open_store();
    const struct conformance suite = {.store = store, .put_peer = put_peer};
    conformance_run(&suite);
    cr_assert_eq(pool_size(fixture.own), 30 * POOL_RECORD);
    for (unsigned i = 0; i < 30; i++)
        cr_assert(pool_holds(fixture.own, i, "cloud-init", "log", i));
    kvpbus_store_close(store);
}

Test(pool_store, of_records_with_one_key_all_are_read)
{
    struct kvpbus_store *store = open_store();
    struct kvpbus_scan scan = {0};
    pool_append(fixture.peer, "kvpbus.h", "1", 1);
    pool_append(fixture.peer, "other", "2", 2);
    pool_append(fixture.peer, "kvpbus.h", "3", 3);
    cr_assert_eq(store->ops->read_peer(store, &scan, NULL), KVPBUS_OK);
    cr_assert_eq(scan.count, 2);
    cr_assert_eq(scan.foreign, 1);
    cr_assert_str_eq(scan.items[0].value, "1");
    cr_assert_str_eq(scan.items[1].value, "3");
    kvpbus_scan_free(&scan);
    kvpbus_store_close(store);
}

Test(pool_store, the_two_files_are_not_confused)
{
    struct kvpbus_store *store = open_store();
    enum kvpbus_error result;
    const struct kvpbus_change change = {"kvpbus.h", "mine"};
    pool_append(fixture.peer, "kvpbus.h", "the host's", 1);
    cr_assert_eq(store->ops->write(store, &change, 1, &result, NULL), KVPBUS_OK);
    cr_assert(pool_holds(fixture.peer, 0, "kvpbus.h", "the host's", 1));
    cr_assert_eq(pool_size(fixture.peer), POOL_RECORD);
    cr_assert_eq(pool_size(fixture.own), POOL_RECORD);
    kvpbus_store_close(store);
}

static bool noticed(struct kvpbus_store *store)
{
    struct pollfd wanted = {.fd = store->ops->notice_fd(store), .events = POLLIN};
    return poll(&wanted, 1, WAIT_MS) == 1;
}

static void expect_peer(struct kvpbus_store *store, const char *value)
{
    struct kvpbus_scan scan = {0};
    cr_assert_eq(store->ops->read_peer(store, &scan, NULL), KVPBUS_OK);
    cr_assert_eq(scan.count, 1);
    cr_assert_str_eq(scan.items[0].value, value);
    kvpbus_scan_free(&scan);
}

Test(pool_store, a_file_that_appears_or_is_replaced_is_noticed)
{
    char other[128];
    struct kvpbus_store *store = open_store();
    pool_daemon_set(fixture.peer, "kvpbus.h", "1");
    cr_assert(noticed(store));
    store->ops->acknowledge_notice(store);
    expect_peer(store, "1");

    snprintf(other, sizeof(other), "%s/new", fixture.folder);
    pool_append(other, "kvpbus.h", "2", 1);
    store->ops->acknowledge_notice(store);
    cr_assert_eq(rename(other, fixture.peer), 0);
    cr_assert(noticed(store));
    store->ops->acknowledge_notice(store);
    expect_peer(store, "2");

    cr_assert_eq(unlink(fixture.peer), 0);
    cr_assert(noticed(store));
    store->ops->acknowledge_notice(store);
    pool_daemon_set(fixture.peer, "kvpbus.h", "3");
    cr_assert(noticed(store));
    store->ops->acknowledge_notice(store);
    pool_daemon_set(fixture.peer, "kvpbus.h", "4");
    cr_assert(noticed(store));
    expect_peer(store, "4");
    kvpbus_store_close(store);
}

Test(pool_store, a_folder_that_is_made_later_is_noticed)
{
    struct kvpbus_scan scan = {0};
    struct kvpbus_failure failure = {0};
    cr_assert_eq(rmdir(fixture.folder), 0);
    struct kvpbus_store *store = open_store();
    cr_assert_eq(store->ops->read_peer(store, &scan, &failure), KVPBUS_STORE_GONE);
    cr_assert_not_null(strstr(failure.detail, fixture.folder));
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(mkdir(fixture.folder, 0755), 0);
        cr_assert(noticed(store), "round %d: the folder", round);
        store->ops->acknowledge_notice(store);
        pool_daemon_set(fixture.peer, "kvpbus.h", "1");
        cr_assert(noticed(store), "round %d: the file", round);
        store->ops->acknowledge_notice(store);
        expect_peer(store, "1");
        cr_assert_eq(unlink(fixture.peer), 0);
        cr_assert_eq(rmdir(fixture.folder), 0);
        cr_assert(noticed(store), "round %d: gone", round);
        store->ops->acknowledge_notice(store);
    }
    kvpbus_store_close(store);
}

Test(pool_store, reads_go_on_beside_a_write_that_waits)
{
    struct kvpbus_store *store = open_store();
    pool_append(fixture.own, "foreign", "f", 1);
    pool_append(fixture.peer, "kvpbus.h", "1", 1);
    pid_t holder = pool_hold_lock(fixture.own, POOL_LOCK_FLOCK);
    expect_peer(store, "1");
    pool_release(holder);
    kvpbus_store_close(store);
}

static void *read_often(void *context)
{
    struct kvpbus_store *store = context;
    struct kvpbus_scan scan = {0};
    for (int i = 0; i < 300; i++) {
        if (store->ops->read_own(store, &scan, NULL) != KVPBUS_OK)
            return NULL;
        // The write puts both or, later, removes both; under the locks no half of it is seen.
        if (scan.count % 2 != 0)
            return NULL;
    }
    kvpbus_scan_free(&scan);
    return store;
}

Test(pool_store, a_read_in_another_thread_sees_all_of_a_write_or_nothing)
{
    struct kvpbus_store *store = open_store();
    pthread_t reader;
    void *outcome;
    enum kvpbus_error results[2];
    const struct kvpbus_change puts[] = {{"kvpbus.00", "a"}, {"kvpbus.01", "b"}};
    const struct kvpbus_change removes[] = {{"kvpbus.00", NULL}, {"kvpbus.01", NULL}};
    cr_assert_eq(pthread_create(&reader, NULL, read_often, store), 0);
    for (int i = 0; i < 300; i++)
        cr_assert_eq(store->ops->write(store, i % 2 == 0 ? puts : removes, 2, results, NULL),
                     KVPBUS_OK);
    pthread_join(reader, &outcome);
    cr_assert_eq(outcome, store);
    kvpbus_store_close(store);
}

Test(pool_store, bad_arguments_are_refused)
{
    struct kvpbus_store *store;
    struct kvpbus_failure failure = {0};
    cr_assert_eq(kvpbus_pool_store_open(fixture.folder, "UPPER", &store, &failure),
                 KVPBUS_INVALID_ARGUMENT);
    cr_assert_eq(kvpbus_pool_store_open("", "kvpbus", &store, &failure), KVPBUS_INVALID_ARGUMENT);
}

Test(pool_store, a_folder_named_with_slashes_or_from_here)
{
    struct kvpbus_store *store;
    char path[128];
    enum kvpbus_error result;
    const struct kvpbus_change change = {"kvpbus.h", "v"};
    snprintf(path, sizeof(path), "%s///", fixture.folder);
    cr_assert_eq(kvpbus_pool_store_open(path, "kvpbus", &store, NULL), KVPBUS_OK);
    cr_assert_eq(store->ops->write(store, &change, 1, &result, NULL), KVPBUS_OK);
    kvpbus_store_close(store);
    cr_assert_eq(chdir("/tmp"), 0);
    cr_assert_eq(kvpbus_pool_store_open(strrchr(fixture.folder, '/') + 1, "kvpbus", &store, NULL),
                 KVPBUS_OK);
    pool_daemon_set(fixture.peer, "kvpbus.h", "1");
    cr_assert(noticed(store));
    expect_peer(store, "1");
    kvpbus_store_close(store);
}
