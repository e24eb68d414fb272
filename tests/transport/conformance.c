// SPDX-License-Identifier: Apache-2.0
#include "conformance.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { MODEL_KEYS = 40, NOTICE_WAIT_MS = 2000, BATCH_VALUE = 100 };

static struct kvpbus_failure failure;

static void fill(char *text, size_t length, char c)
{
    memset(text, c, length);
    text[length] = '\0';
}

static const struct kvpbus_item *find(const struct kvpbus_scan *scan, const char *key)
{
    for (size_t i = 0; i < scan->count; i++) {
        if (strcmp(scan->items[i].key, key) == 0)
            return &scan->items[i];
    }
    return NULL;
}

static void read_own(struct kvpbus_store *store, struct kvpbus_scan *scan)
{
    failure = (struct kvpbus_failure){0};
    enum kvpbus_error error = store->ops->read_own(store, scan, &failure);
    cr_assert_eq(error, KVPBUS_OK, "read_own: %s", failure.detail);
}

static void read_peer(struct kvpbus_store *store, struct kvpbus_scan *scan)
{
    failure = (struct kvpbus_failure){0};
    enum kvpbus_error error = store->ops->read_peer(store, scan, &failure);
    cr_assert_eq(error, KVPBUS_OK, "read_peer: %s", failure.detail);
}

static enum kvpbus_error write_all(struct kvpbus_store *store, const struct kvpbus_change *changes,
                                   size_t count, enum kvpbus_error *results)
{
    failure = (struct kvpbus_failure){0};
    return store->ops->write(store, changes, count, results, &failure);
}

static void write_ok(struct kvpbus_store *store, const struct kvpbus_change *changes, size_t count)
{
    enum kvpbus_error results[KVPBUS_CHANGES_MAX];
    memset(results, 0x55, sizeof(results));
    enum kvpbus_error error = write_all(store, changes, count, results);
    cr_assert_eq(error, KVPBUS_OK, "write: %s", failure.detail);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(results[i], KVPBUS_OK, "change %zu of %zu", i, count);
}

static void put(struct kvpbus_store *store, const char *key, const char *value)
{
    write_ok(store, &(struct kvpbus_change){key, value}, 1);
}

static void expect_own(struct kvpbus_store *store, const char *key, const char *value)
{
    struct kvpbus_scan scan = {0};
    read_own(store, &scan);
    const struct kvpbus_item *item = find(&scan, key);
    if (value == NULL) {
        cr_assert_null(item, "%s should be gone", key);
    } else {
        cr_assert_not_null(item, "%.40s is missing", key);
        cr_assert_str_eq(item->value, value);
    }
    kvpbus_scan_free(&scan);
}

static void check_empty(const struct conformance *suite)
{
    struct kvpbus_scan scan = {0};
    read_own(suite->store, &scan);
    cr_assert_eq(scan.count, 0, "%zu own items at the start", scan.count);
    read_peer(suite->store, &scan);
    cr_assert_eq(scan.count, 0, "%zu items of the peer at the start", scan.count);
    kvpbus_scan_free(&scan);
}

static void check_register(const struct conformance *suite)
{
    struct kvpbus_store *store = suite->store;
    put(store, "kvpbus.h", "first");
    expect_own(store, "kvpbus.h", "first");
    put(store, "kvpbus.h", "a second, longer value");
    expect_own(store, "kvpbus.h", "a second, longer value");
    put(store, "kvpbus.h", "3");
    expect_own(store, "kvpbus.h", "3");
    put(store, "kvpbus.h", "3");
    expect_own(store, "kvpbus.h", "3");
    put(store, "kvpbus.h", NULL);
    expect_own(store, "kvpbus.h", NULL);
    put(store, "kvpbus.h", NULL);
    put(store, "kvpbus.never", NULL);
    put(store, "kvpbus.h", "again");
    expect_own(store, "kvpbus.h", "again");
    put(store, "kvpbus.h", NULL);
    write_ok(store, NULL, 0);
}

// Keys and values of the greatest size arrive whole, and keys that differ in case or only in their
// last character are different.
static void check_limits(const struct conformance *suite)
{
    char key[KVPBUS_KEY_MAX + 1];
    char other[KVPBUS_KEY_MAX + 1];
    char value[KVPBUS_VALUE_MAX + 1];
    fill(key, KVPBUS_KEY_MAX, 'k');
    memcpy(key, "kvpbus.", 7);
    memcpy(other, key, sizeof(key));
    other[KVPBUS_KEY_MAX - 1] = 'l';
    fill(value, KVPBUS_VALUE_MAX, '-');
    value[0] = '_';
    put(suite->store, key, value);
    expect_own(suite->store, key, value);
    expect_own(suite->store, other, NULL);
    put(suite->store, key, "short");
    expect_own(suite->store, key, "short");
    put(suite->store, key, NULL);
}

static void refuse(const struct conformance *suite, const struct kvpbus_change *changes,
                   size_t count, enum kvpbus_error expected)
{
    enum kvpbus_error results[KVPBUS_CHANGES_MAX + 1] = {KVPBUS_OK};
    cr_assert_eq(write_all(suite->store, changes, count, results), expected);
    cr_assert_eq(results[0], expected);
    cr_assert_neq(failure.detail[0], '\0');
    struct kvpbus_scan scan = {0};
    read_own(suite->store, &scan);
    cr_assert_eq(scan.count, 0);
    kvpbus_scan_free(&scan);
}

static void check_refusals(const struct conformance *suite)
{
    char key[KVPBUS_KEY_MAX + 2];
    char value[KVPBUS_VALUE_MAX + 2];
    fill(key, KVPBUS_KEY_MAX + 1, 'k');
    memcpy(key, "kvpbus.", 7);
    fill(value, KVPBUS_VALUE_MAX + 1, 'v');
    refuse(suite, &(struct kvpbus_change){key, "v"}, 1, KVPBUS_TOO_LARGE);
    refuse(suite, &(struct kvpbus_change){"kvpbus.h", value}, 1, KVPBUS_TOO_LARGE);
    refuse(suite, &(struct kvpbus_change){"kvpbus.h", ""}, 1, KVPBUS_INVALID_ARGUMENT);
    refuse(suite, &(struct kvpbus_change){"kvpbus.h", "tab\t"}, 1, KVPBUS_INVALID_ARGUMENT);
    refuse(suite, &(struct kvpbus_change){"kvpbus.\xc3\xa4", "v"}, 1, KVPBUS_INVALID_ARGUMENT);
    refuse(suite, &(struct kvpbus_change){"kvpbus", "v"}, 1, KVPBUS_INVALID_ARGUMENT);
    refuse(suite, &(struct kvpbus_change){"kvpbusx.h", "v"}, 1, KVPBUS_INVALID_ARGUMENT);
    refuse(suite, &(struct kvpbus_change){"other.h", NULL}, 1, KVPBUS_INVALID_ARGUMENT);
    const struct kvpbus_change twice[] = {{"kvpbus.h", "a"}, {"kvpbus.s", "b"}, {"kvpbus.h", "c"}};
    refuse(suite, twice, 3, KVPBUS_INVALID_ARGUMENT);
    const struct kvpbus_change second_bad[] = {{"kvpbus.h", "a"}, {"kvpbus.s", ""}};
    refuse(suite, second_bad, 2, KVPBUS_INVALID_ARGUMENT);
}

static void check_batches(const struct conformance *suite)
{
    static char keys[KVPBUS_CHANGES_MAX + 1][16];
    static char values[KVPBUS_CHANGES_MAX + 1][BATCH_VALUE];
    struct kvpbus_change changes[KVPBUS_CHANGES_MAX + 1];
    for (size_t i = 0; i <= KVPBUS_CHANGES_MAX; i++) {
        snprintf(keys[i], sizeof(keys[i]), "kvpbus.%03zu", i);
        snprintf(values[i], sizeof(values[i]), "value of %zu", i);
        changes[i] = (struct kvpbus_change){keys[i], values[i]};
    }
    refuse(suite, changes, KVPBUS_CHANGES_MAX + 1, KVPBUS_INVALID_ARGUMENT);
    write_ok(suite->store, changes, KVPBUS_CHANGES_MAX);
    for (size_t i = 0; i < KVPBUS_CHANGES_MAX; i++)
        expect_own(suite->store, keys[i], values[i]);

    // A third is overwritten, a third removed, a third added again later.
    struct kvpbus_change mixed[KVPBUS_CHANGES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < KVPBUS_CHANGES_MAX; i++) {
        if (i % 3 == 0)
            mixed[count++] = (struct kvpbus_change){keys[i], "new"};
        if (i % 3 == 1)
            mixed[count++] = (struct kvpbus_change){keys[i], NULL};
    }
    mixed[count++] = (struct kvpbus_change){"kvpbus.h", "added"};
    write_ok(suite->store, mixed, count);
    expect_own(suite->store, "kvpbus.h", "added");
    for (size_t i = 0; i < KVPBUS_CHANGES_MAX; i++)
        expect_own(suite->store, keys[i], i % 3 == 0 ? "new" : i % 3 == 1 ? NULL : values[i]);
    for (size_t i = 0; i < KVPBUS_CHANGES_MAX; i++)
        changes[i].value = NULL;
    write_ok(suite->store, changes, KVPBUS_CHANGES_MAX);
    put(suite->store, "kvpbus.h", NULL);
    check_empty(suite);
}

static void check_peer(const struct conformance *suite)
{
    struct kvpbus_scan scan = {0};
    char value[KVPBUS_VALUE_MAX + 1];
    fill(value, KVPBUS_VALUE_MAX, 'p');
    put(suite->store, "kvpbus.h", "own");
    suite->put_peer(suite->context, "kvpbus.h", "the peer's");
    suite->put_peer(suite->context, "kvpbus.00", value);
    read_peer(suite->store, &scan);
    cr_assert_eq(scan.count, 2);
    cr_assert_str_eq(find(&scan, "kvpbus.h")->value, "the peer's");
    cr_assert_str_eq(find(&scan, "kvpbus.00")->value, value);
    suite->put_peer(suite->context, "kvpbus.h", "new");
    suite->put_peer(suite->context, "kvpbus.00", NULL);
    read_peer(suite->store, &scan);
    cr_assert_eq(scan.count, 1);
    cr_assert_str_eq(find(&scan, "kvpbus.h")->value, "new");
    expect_own(suite->store, "kvpbus.h", "own");
    suite->put_peer(suite->context, "kvpbus.h", NULL);
    put(suite->store, "kvpbus.h", NULL);
    kvpbus_scan_free(&scan);
}

static void check_foreign(const struct conformance *suite)
{
    static const char *const keys[] = {"cloud-init|1", "kvpbus", "kvpbusx.h", "KVPBUS.h", "kvpbu"};
    size_t count = sizeof(keys) / sizeof(keys[0]);
    if (suite->plant_foreign == NULL)
        return;
    put(suite->store, "kvpbus.00", "before");
    for (size_t i = 0; i < count; i++)
        suite->plant_foreign(suite->context, keys[i], "not ours");
    put(suite->store, "kvpbus.01", "behind");
    struct kvpbus_scan scan = {0};
    read_own(suite->store, &scan);
    cr_assert_eq(scan.count, 2);
    kvpbus_scan_free(&scan);
    put(suite->store, "kvpbus.00", "changed");
    put(suite->store, "kvpbus.00", NULL);
    put(suite->store, "kvpbus.01", NULL);
    for (size_t i = 0; i < count; i++)
        cr_assert(suite->foreign_intact(suite->context, keys[i], "not ours"), "%s", keys[i]);
}

static bool readable(int fd, int wait_ms)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    return poll(&wanted, 1, wait_ms) == 1;
}

static void check_notice(const struct conformance *suite)
{
    const struct kvpbus_store_ops *ops = suite->store->ops;
    int fd = ops->notice_fd(suite->store);
    ops->acknowledge_notice(suite->store);
    if (fd < 0)
        return;
    for (int i = 0; i < 3; i++) {
        suite->put_peer(suite->context, "kvpbus.s", i % 2 == 0 ? "x" : "y");
        cr_assert(readable(fd, NOTICE_WAIT_MS), "no notice of change %d", i);
        ops->acknowledge_notice(suite->store);
        cr_assert_not(readable(fd, 0), "not quiet after change %d", i);
    }
    put(suite->store, "kvpbus.h", "own");
    put(suite->store, "kvpbus.h", "other");
    struct kvpbus_scan scan = {0};
    ops->acknowledge_notice(suite->store);
    put(suite->store, "kvpbus.h", "third");
    read_peer(suite->store, &scan);
    read_own(suite->store, &scan);
    cr_assert_not(readable(fd, 20), "notices of what we do ourselves");
    put(suite->store, "kvpbus.h", NULL);
    suite->put_peer(suite->context, "kvpbus.s", NULL);
    kvpbus_scan_free(&scan);
}

// xorshift, with a fixed seed: a failure repeats.
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void compare(struct kvpbus_store *store, char model[MODEL_KEYS][BATCH_VALUE], unsigned step)
{
    struct kvpbus_scan scan = {0};
    size_t expected = 0;
    read_own(store, &scan);
    for (size_t k = 0; k < MODEL_KEYS; k++) {
        char key[16];
        snprintf(key, sizeof(key), "kvpbus.%02zu", k);
        const struct kvpbus_item *item = find(&scan, key);
        cr_assert_eq(item != NULL, model[k][0] != '\0', "step %u, %s", step, key);
        if (item != NULL) {
            expected++;
            cr_assert_str_eq(item->value, model[k], "step %u, %s", step, key);
        }
    }
    cr_assert_eq(scan.count, expected, "step %u: %zu items, expected %zu", step, scan.count,
                 expected);
    kvpbus_scan_free(&scan);
}

static void check_random_walk(const struct conformance *suite)
{
    static char model[MODEL_KEYS][BATCH_VALUE];
    static char keys[MODEL_KEYS][16];
    unsigned steps = suite->random_steps == 0 ? 200 : suite->random_steps;
    uint32_t state = 20140624;
    memset(model, 0, sizeof(model));
    for (unsigned step = 0; step < steps; step++) {
        struct kvpbus_change changes[MODEL_KEYS];
        size_t count = 0;
        uint32_t share = 1 + next_random(&state) % 8;
        for (size_t k = 0; k < MODEL_KEYS; k++) {
            if (next_random(&state) % 8 >= share)
                continue;
            snprintf(keys[k], sizeof(keys[k]), "kvpbus.%02zu", k);
            bool remove = next_random(&state) % 3 == 0;
            size_t length = remove ? 0 : 1 + next_random(&state) % (BATCH_VALUE - 1);
            fill(model[k], length, (char)('a' + next_random(&state) % 26));
            changes[count++] = (struct kvpbus_change){keys[k], remove ? NULL : model[k]};
        }
        write_ok(suite->store, changes, count);
        compare(suite->store, model, step);
    }
    for (size_t k = 0; k < MODEL_KEYS; k++) {
        snprintf(keys[k], sizeof(keys[k]), "kvpbus.%02zu", k);
        put(suite->store, keys[k], NULL);
    }
}

void conformance_run(const struct conformance *suite)
{
    check_empty(suite);
    check_register(suite);
    check_limits(suite);
    check_refusals(suite);
    check_batches(suite);
    check_peer(suite);
    check_notice(suite);
    check_random_walk(suite);
    check_empty(suite);
    check_foreign(suite);
}
