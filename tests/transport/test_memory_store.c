// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>
#include <stdio.h>

#include "conformance.h"
#include "kvpbus/management.h"

static void put_through_peer(void *context, const char *key, const char *value)
{
    struct kvpbus_store *peer = context;
    enum kvpbus_error result;
    const struct kvpbus_change change = {key, value};
    cr_assert_eq(peer->ops->write(peer, &change, 1, &result, NULL), KVPBUS_OK);
}

Test(memory_store, both_sides_keep_the_contract)
{
    struct kvpbus_store *host;
    struct kvpbus_store *guest;
    cr_assert_eq(kvpbus_memory_store_pair("kvpbus", &host, &guest), KVPBUS_OK);
    struct conformance suite = {.store = host, .context = guest, .put_peer = put_through_peer};
    conformance_run(&suite);
    suite.store = guest;
    suite.context = host;
    conformance_run(&suite);
    kvpbus_store_close(host);
    kvpbus_store_close(guest);
}

Test(memory_store, what_one_side_writes_stays_when_it_closes)
{
    struct kvpbus_store *host;
    struct kvpbus_store *guest;
    cr_assert_eq(kvpbus_memory_store_pair("kvpbus", &host, &guest), KVPBUS_OK);
    put_through_peer(host, "kvpbus.h", "hello");
    kvpbus_store_close(host);
    struct kvpbus_scan scan = {0};
    cr_assert_eq(guest->ops->read_peer(guest, &scan, NULL), KVPBUS_OK);
    cr_assert_eq(scan.count, 1);
    cr_assert_str_eq(scan.items[0].value, "hello");
    kvpbus_scan_free(&scan);
    kvpbus_store_close(guest);
}

Test(memory_store, a_full_store_takes_no_new_key_and_still_updates)
{
    struct kvpbus_store *host;
    struct kvpbus_store *guest;
    char key[32];
    enum kvpbus_error results[2];
    cr_assert_eq(kvpbus_memory_store_pair("kvpbus", &host, &guest), KVPBUS_OK);
    for (int i = 0; i < KVPBUS_SCAN_MAX; i++) {
        snprintf(key, sizeof(key), "kvpbus.%d", i);
        put_through_peer(host, key, "v");
    }
    const struct kvpbus_change changes[] = {{"kvpbus.new", "v"}, {"kvpbus.7", "changed"}};
    struct kvpbus_failure failure = {0};
    cr_assert_eq(host->ops->write(host, changes, 2, results, &failure), KVPBUS_STORE_TOO_MANY);
    cr_assert_eq(results[0], KVPBUS_STORE_TOO_MANY);
    cr_assert_eq(results[1], KVPBUS_OK);
    kvpbus_store_close(host);
    kvpbus_store_close(guest);
}

Test(memory_store, a_bad_prefix_is_refused)
{
    struct kvpbus_store *host;
    struct kvpbus_store *guest;
    cr_assert_eq(kvpbus_memory_store_pair("Kvp", &host, &guest), KVPBUS_INVALID_ARGUMENT);
}

Test(scan, prefixes)
{
    cr_assert(kvpbus_prefix_valid("kvpbus"));
    cr_assert(kvpbus_prefix_valid("0"));
    cr_assert(kvpbus_prefix_valid("abcdefghijklmnopqrstuvwxyz012345"));
    cr_assert_not(kvpbus_prefix_valid("abcdefghijklmnopqrstuvwxyz0123456"));
    cr_assert_not(kvpbus_prefix_valid(""));
    cr_assert_not(kvpbus_prefix_valid("kvp.bus"));
    cr_assert_not(kvpbus_prefix_valid("kvp-bus"));
    cr_assert_not(kvpbus_prefix_valid("kvpBus"));
}

static void add(struct kvpbus_scan *scan, const char *key, size_t key_length, const char *value,
                size_t value_length)
{
    cr_assert_eq(kvpbus_scan_add(scan, "kvpbus", key, key_length, value, value_length), KVPBUS_OK);
}

Test(scan, keeps_ours_and_counts_the_rest)
{
    static char long_text[KVPBUS_VALUE_MAX + 2];
    struct kvpbus_scan scan = {0};
    memset(long_text, 'a', sizeof(long_text));
    add(&scan, "kvpbus.hTAIL", 8, "valueTAIL", 5);
    add(&scan, "kvpbus.h", 8, "again", 5);
    add(&scan, "kvpbus.s", 8, long_text, KVPBUS_VALUE_MAX);
    cr_assert_eq(scan.count, 3);
    cr_assert_str_eq(scan.items[0].key, "kvpbus.h");
    cr_assert_str_eq(scan.items[0].value, "value");
    add(&scan, "kvpbus", 6, "v", 1);
    add(&scan, "kvpbus-h", 8, "v", 1);
    add(&scan, "", 0, "v", 1);
    cr_assert_eq(scan.foreign, 3);
    add(&scan, "kvpbus.s", 8, long_text, KVPBUS_VALUE_MAX + 1);
    add(&scan, "kvpbus.s", 8, "\x80", 1);
    add(&scan, "kvpbus.\n", 8, "v", 1);
    memcpy(long_text, "kvpbus.", 7);
    add(&scan, long_text, KVPBUS_KEY_MAX + 1, "v", 1);
    cr_assert_eq(scan.skipped, 4);
    cr_assert_eq(scan.count, 3);
    kvpbus_scan_free(&scan);
    cr_assert_eq(scan.count + scan.foreign + scan.skipped, 0);
}

Test(scan, is_bounded)
{
    struct kvpbus_scan scan = {0};
    for (int i = 0; i < KVPBUS_SCAN_MAX + 10; i++)
        add(&scan, "kvpbus.h", 8, "v", 1);
    cr_assert_eq(scan.count, KVPBUS_SCAN_MAX);
    cr_assert_eq(scan.skipped, 10);
    kvpbus_scan_clear(&scan);
    cr_assert_eq(scan.count + scan.skipped, 0);
    kvpbus_scan_free(&scan);
}

Test(guid, text_forms)
{
    static const uint8_t expected[KVPBUS_GUID_BYTES] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc,
                                                        0xde, 0xf0, 0x00, 0x11, 0x22, 0x33,
                                                        0x44, 0x55, 0x66, 0xff};
    uint8_t guid[KVPBUS_GUID_BYTES];
    char text[KVPBUS_GUID_TEXT + 1];
    cr_assert(kvpbus_guid_parse("12345678-9abc-def0-0011-2233445566ff", guid));
    cr_assert_arr_eq(guid, expected, sizeof(expected));
    memset(guid, 0, sizeof(guid));
    cr_assert(kvpbus_guid_parse("{12345678-9ABC-DEF0-0011-2233445566FF}", guid));
    cr_assert_arr_eq(guid, expected, sizeof(expected));
    kvpbus_guid_format(guid, text);
    cr_assert_str_eq(text, "12345678-9ABC-DEF0-0011-2233445566FF");

    static const char *const bad[] = {
        "",
        "12345678-9abc-def0-0011-2233445566f",
        "12345678-9abc-def0-0011-2233445566fff",
        "12345678-9abc-def0-0011-2233445566fg",
        "123456789-abc-def0-0011-2233445566ff",
        "{12345678-9abc-def0-0011-2233445566ff",
        "(12345678-9abc-def0-0011-2233445566ff)",
        "12345678-9abc-def0-0011-22334455-6ff",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_not(kvpbus_guid_parse(bad[i], guid), "%s", bad[i]);
    cr_assert_arr_eq(guid, expected, sizeof(expected));
}
